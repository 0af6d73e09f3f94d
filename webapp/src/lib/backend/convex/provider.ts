import {
  ErrorResponse,
  OidcClient,
  WebStorageStateStore,
  type RefreshState,
  type SigninResponse,
} from "oidc-client-ts";

import { BackendError } from "../backend";
import type { ProviderConfig } from "../config";
import { claimsOf } from "./token";

/** Where the provider sends the browser back to; it has to be registered there. */
const RETURN_PATH = "/sign-in";
/** `offline_access` asks for a refresh token, so that a sign-in outlives its first hour. */
const DEFAULT_SCOPE = "openid profile email offline_access";

/** What a provider has given. */
export interface Tokens {
  token: string;
  refreshToken?: string;
}

/** An OpenID Connect provider, by authorization code and PKCE. */
export interface Provider {
  /** Where the browser is to go. */
  address: () => Promise<string>;
  finish: (address: string) => Promise<Tokens>;
  /** Fresh tokens for a refresh token; null: the provider wants the person to sign in again. */
  refresh: (tokens: Tokens) => Promise<Tokens | null>;
}

export function openProvider({ issuer, clientId, scope = DEFAULT_SCOPE }: ProviderConfig): Provider {
  const client = new OidcClient({
    authority: issuer,
    client_id: clientId,
    redirect_uri: window.location.origin + RETURN_PATH,
    response_type: "code",
    scope,
    loadUserInfo: false,
    stateStore: new WebStorageStateStore({ store: window.localStorage, prefix: "orchestrator.provider." }),
  });
  return {
    address: async () => {
      try {
        await client.clearStaleState();
        return (await client.createSigninRequest({ request_type: "si:r" })).url;
      } catch (error) {
        throw asRefusal(error, issuer);
      }
    },
    finish: async (address) => {
      try {
        return tokensOf(await client.processSigninResponse(address));
      } catch (error) {
        throw asRefusal(error, issuer);
      }
    },
    refresh: async ({ token, refreshToken }) => {
      if (refreshToken === undefined) return null;
      try {
        // The library exports this class as a type only; it reads nothing but these fields.
        // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment
        const state: RefreshState = {
          refresh_token: refreshToken,
          id_token: token,
          session_state: null,
          scope,
          profile: claimsOf(token) as RefreshState["profile"],
        };
        // A provider that gives no new refresh token means the one before.
        return { refreshToken, ...tokensOf(await client.useRefreshToken({ state })) };
      } catch (error) {
        if (error instanceof ErrorResponse) return null;
        throw asRefusal(error, issuer);
      }
    },
  };
}

function tokensOf({ id_token: token, refresh_token: refreshToken }: SigninResponse): Tokens {
  if (token === undefined || token === "")
    throw new BackendError("unauthenticated", "The identity provider gave no ID token. Its client needs scope openid.");
  return refreshToken === undefined ? { token } : { token, refreshToken };
}

function asRefusal(error: unknown, issuer: string): BackendError {
  if (error instanceof BackendError) return error;
  const host = new URL(issuer).host;
  if (error instanceof ErrorResponse)
    return new BackendError(
      "unauthenticated",
      `${host} did not sign you in: ${error.error_description ?? error.error ?? "no reason given"}. Try again.`,
    );
  const text = error instanceof Error ? error.message : String(error);
  // The browser says no more than this of an address that it could not reach or may not read.
  if (error instanceof TypeError)
    return new BackendError("network", `${host} could not be reached. Check that you are online, then try again.`);
  return new BackendError("unauthenticated", `The sign-in with ${host} did not work: ${text}. Try again.`);
}
