import { createHash, createSign, generateKeyPairSync, randomUUID, type KeyObject } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Long enough for Convex's client to refresh them in time: it begins ten seconds before the end. */
const TOKEN_LIFE_S = 18;
const PEOPLE: Record<string, string> = { ann: "Ann", bob: "Bob" };

interface Grant {
  sub: string;
  challenge: string;
  redirectUri: string;
  nonce: string | null;
}

/** An OpenID Connect provider of two people, who only have to say who they are. */
export class OidcProvider {
  readonly clientId = "orchestrator-page";
  /** How often a refresh token was used. */
  refreshes = 0;
  /** It takes no refresh token any more. */
  revoked = false;
  readonly #server: Server;
  readonly #key: KeyObject;
  readonly #jwk: object;
  readonly #grants = new Map<string, Grant>();
  readonly #refreshTokens = new Map<string, string>();

  private constructor() {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
    this.#key = privateKey;
    this.#jwk = { ...publicKey.export({ format: "jwk" }), kid: "provider", alg: "RS256", use: "sig" };
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(): Promise<OidcProvider> {
    const provider = new OidcProvider();
    await new Promise<void>((resolve) => provider.#server.listen(0, "127.0.0.1", resolve));
    return provider;
  }

  get issuer(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", this.issuer);
    response.setHeader("access-control-allow-origin", request.headers.origin ?? "*");
    switch (`${request.method} ${url.pathname}`) {
      case "GET /.well-known/openid-configuration":
        this.#json(response, 200, {
          issuer: this.issuer,
          authorization_endpoint: `${this.issuer}/authorize`,
          token_endpoint: `${this.issuer}/token`,
          jwks_uri: `${this.issuer}/keys`,
          response_types_supported: ["code"],
          subject_types_supported: ["public"],
          id_token_signing_alg_values_supported: ["RS256"],
        });
        return;
      case "GET /keys":
        this.#json(response, 200, { keys: [this.#jwk] });
        return;
      case "GET /authorize":
        this.#authorize(url.searchParams, response);
        return;
      case "POST /token":
        this.#token(new URLSearchParams(await bodyOf(request)), response);
        return;
      default:
        response.writeHead(404).end();
    }
  }

  /** The provider's own page: whoever presses a button is that person. */
  #authorize(query: URLSearchParams, response: ServerResponse): void {
    const redirectUri = query.get("redirect_uri") ?? "";
    const back = (answer: Record<string, string>) => {
      const to = new URL(redirectUri);
      for (const [name, value] of Object.entries({ ...answer, state: query.get("state") ?? "" })) to.searchParams.set(name, value);
      return to.href;
    };
    if (query.get("client_id") !== this.clientId || query.get("response_type") !== "code" || query.get("code_challenge_method") !== "S256") {
      response.writeHead(400).end("not a request by code and PKCE");
      return;
    }
    const button = (name: string, href: string) => `<button onclick="location.href='${href}'">${name}</button>`;
    const buttons = Object.keys(PEOPLE).map((sub) => {
      const code = randomUUID();
      this.#grants.set(code, { sub, redirectUri, challenge: query.get("code_challenge") ?? "", nonce: query.get("nonce") });
      return button(`Be ${sub}`, back({ code }));
    });
    const no = button("Nobody", back({ error: "access_denied", error_description: "the person said no" }));
    response.writeHead(200, { "content-type": "text/html" }).end(`<!doctype html><title>Provider</title>${buttons.join("")}${no}`);
  }

  #token(form: URLSearchParams, response: ServerResponse): void {
    if (form.get("grant_type") === "refresh_token") {
      const sub = this.#refreshTokens.get(form.get("refresh_token") ?? "");
      if (sub === undefined || this.revoked) {
        this.#json(response, 400, { error: "invalid_grant", error_description: "the refresh token is not taken any more" });
        return;
      }
      this.refreshes += 1;
      this.#give(response, sub, null);
      return;
    }
    const code = form.get("code") ?? "";
    const grant = this.#grants.get(code);
    const challenge = createHash("sha256").update(form.get("code_verifier") ?? "").digest("base64url");
    if (!grant || grant.challenge !== challenge || grant.redirectUri !== form.get("redirect_uri")) {
      this.#json(response, 400, { error: "invalid_grant", error_description: "the code is not taken" });
      return;
    }
    this.#grants.delete(code);
    this.#give(response, grant.sub, grant.nonce);
  }

  #give(response: ServerResponse, sub: string, nonce: string | null): void {
    const refreshToken = randomUUID();
    this.#refreshTokens.set(refreshToken, sub);
    const now = Math.floor(Date.now() / 1_000);
    const claims = { iss: this.issuer, aud: this.clientId, sub, name: PEOPLE[sub], iat: now, exp: now + TOKEN_LIFE_S, ...(nonce === null ? {} : { nonce }) };
    this.#json(response, 200, { access_token: randomUUID(), token_type: "Bearer", expires_in: TOKEN_LIFE_S, refresh_token: refreshToken, id_token: this.#sign(claims) });
  }

  #sign(claims: object): string {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const text = `${part({ alg: "RS256", typ: "JWT", kid: "provider" })}.${part(claims)}`;
    return `${text}.${createSign("RSA-SHA256").update(text).sign(this.#key).toString("base64url")}`;
  }

  #json(response: ServerResponse, status: number, value: object): void {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const piece of request) body += String(piece);
  return body;
}
