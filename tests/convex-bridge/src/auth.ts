/** Verifies tokens against the providers of `auth.config.ts`, as the open-source backend does. */
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  jwtVerify,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyGetKey,
} from "jose";
import type { UserIdentity } from "convex/server";
import { RequestError } from "./errors.ts";

export type Provider =
  | { domain: string; applicationID: string }
  | { type: "customJwt"; issuer: string; jwks: string; algorithm: "RS256" | "ES256"; applicationID?: string };

/** Who a token stands for, and until when (ms). */
export type Verified = { identity: UserIdentity; expiresAtMs: number };

/** The tolerance of the backend for clocks, in seconds. */
const CLOCK_TOLERANCE_S = 5;

export class Authenticator {
  private readonly keys = new Map<string, Promise<JWTVerifyGetKey>>();

  constructor(
    private readonly providers: readonly Provider[],
    private readonly nowMs: () => number,
  ) {}

  /** Fails with a 401 whose text the client gets in its AuthError. */
  async verify(token: string): Promise<Verified> {
    const { claims, kid } = peek(token);
    const provider = this.providers.find((it) => matches(it, claims));
    if (provider === undefined) throw refused("NoAuthProvider", "No auth provider found matching the given token");
    if (kid === undefined) {
      throw refused("InvalidAuthHeader", "Could not decode token. JWT may be missing a 'kid' (key ID) header.");
    }
    const custom = "type" in provider;
    let payload: JWTPayload;
    try {
      ({ payload } = await jwtVerify(token, await this.keysOf(provider), {
        // An OIDC provider is taken with these only, whatever its discovery document says.
        algorithms: custom ? [provider.algorithm] : ["RS256", "EdDSA"],
        clockTolerance: CLOCK_TOLERANCE_S,
        currentDate: new Date(this.nowMs()),
        requiredClaims: ["iss", "sub", "exp"],
      }));
    } catch (error) {
      throw rejection(error, custom);
    }
    if ((payload.iat ?? 0) * 1000 > this.nowMs() + CLOCK_TOLERANCE_S * 1000) {
      throw refused("InvalidAuthHeader", "Could not validate token: Token issued in the future");
    }
    return { identity: identityOf(payload, custom), expiresAtMs: (payload.exp ?? 0) * 1000 };
  }

  private keysOf(provider: Provider): Promise<JWTVerifyGetKey> {
    const key = "type" in provider ? provider.jwks : provider.domain;
    let keys = this.keys.get(key);
    if (keys === undefined) {
      keys = "type" in provider ? jwks(provider.jwks) : discover(provider.domain);
      this.keys.set(key, keys);
      // A failed discovery is tried again by the next token.
      keys.catch(() => this.keys.delete(key));
    }
    return keys;
  }
}

function peek(token: string): { claims: JWTPayload; kid: string | undefined } {
  let claims: JWTPayload;
  let kid: string | undefined;
  try {
    claims = decodeJwt(token);
    kid = decodeProtectedHeader(token).kid;
  } catch {
    throw refused(
      "InvalidAuthHeader",
      "Could not parse JWT payload. Check that the token is a valid JWT format with three base64-encoded parts " +
        "separated by dots.",
    );
  }
  if (claims.iss === undefined) {
    throw refused("InvalidAuthHeader", "Missing issuer claim ('iss') in JWT payload.");
  }
  return { claims, kid };
}

/** The issuer must be the provider's, but for a missing scheme and a closing slash; the audience only if one is set. */
function matches(provider: Provider, claims: JWTPayload): boolean {
  const audiences = [claims.aud ?? []].flat();
  if (provider.applicationID !== undefined && !audiences.includes(provider.applicationID)) return false;
  return normal("type" in provider ? provider.issuer : provider.domain) === normal(claims.iss ?? "");
}

function normal(issuer: string): string {
  return (/^https?:\/\//.test(issuer) ? issuer : `https://${issuer}`).replace(/\/+$/, "");
}

async function jwks(source: string): Promise<JWTVerifyGetKey> {
  if (!source.startsWith("data:")) return createRemoteJWKSet(new URL(source));
  try {
    return createLocalJWKSet((await (await fetch(source)).json()) as JSONWebKeySet);
  } catch {
    throw refused("InvalidAuthHeader", "Invalid JWKS data URL.");
  }
}

async function discover(domain: string): Promise<JWTVerifyGetKey> {
  const issuer = normal(domain);
  try {
    const answer = await fetch(`${issuer}/.well-known/openid-configuration`);
    const found = (await answer.json()) as { issuer?: string; jwks_uri?: string };
    if (!answer.ok || normal(found.issuer ?? "") !== issuer || found.jwks_uri === undefined) throw new Error("misfit");
    return createRemoteJWKSet(new URL(found.jwks_uri));
  } catch {
    throw refused("AuthProviderDiscoveryFailed", `Auth provider discovery of ${domain} failed`);
  }
}

function rejection(error: unknown, custom: boolean): RequestError {
  if (error instanceof RequestError) return error;
  if (!custom) {
    return refused(
      "Unauthenticated",
      "Could not verify OIDC token claim. Check that the token signature is valid and the token hasn't expired.",
    );
  }
  if (error instanceof errors.JWTExpired)
    return refused("InvalidAuthHeader", "Could not validate token: Token expired");
  if (error instanceof errors.JWTClaimValidationFailed) {
    return refused("InvalidAuthHeader", `Could not validate token: ${error.message}`);
  }
  return refused(
    "InvalidAuthHeader",
    "Could not decode token. The JWT's 'kid' (key ID) header doesn't match any key in the provider's JWKS, or the JWT " +
      "signature is invalid.",
  );
}

const ATTRIBUTES: Record<string, string> = {
  given_name: "givenName",
  family_name: "familyName",
  preferred_username: "preferredUsername",
  profile: "profileUrl",
  picture: "pictureUrl",
  email_verified: "emailVerified",
  birthdate: "birthday",
  zoneinfo: "timezone",
  locale: "language",
  phone_number: "phoneNumber",
  phone_number_verified: "phoneNumberVerified",
  updated_at: "updatedAt",
};

/** A custom token's claims keep their names; an OIDC token's standard claims get the names of `UserIdentity`. */
function identityOf(payload: JWTPayload, custom: boolean): UserIdentity {
  const { iss = "", sub = "", exp, iat, nbf, aud, jti, fva, ...claims } = payload as JWTPayload & { fva?: unknown };
  const named = Object.entries(claims).map(([name, value]) => [custom ? name : (ATTRIBUTES[name] ?? name), value]);
  return {
    ...(Object.fromEntries(named) as Partial<UserIdentity>),
    tokenIdentifier: `${iss}|${sub}`,
    issuer: iss,
    subject: sub,
  };
}

function refused(code: string, text: string): RequestError {
  return new RequestError(401, code, text);
}
