import { BackendError } from "./backend";

/** Beside the page; without one the page belongs to the hub that serves it. */
const CONFIG_PATH = "/config.json";
const TIMEOUT_MS = 15_000;

/** An identity provider that signs people in, by authorization code and PKCE. */
export interface ProviderConfig {
  issuer: string;
  clientId: string;
  scope?: string;
}

export interface ConvexConfig {
  backend: "convex";
  /** Of the deployment. */
  url: string;
  auth?: ProviderConfig;
}

export type BackendConfig = { backend: "hub" } | ConvexConfig;

/** Which backend this page belongs to. */
export async function fetchConfig(): Promise<BackendConfig> {
  let response: Response;
  try {
    // With the defaults, so that it is the answer to the preload in the page's head.
    response = await fetch(CONFIG_PATH, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw new BackendError(
      "network",
      "Where this page comes from does not answer. Check that it runs and that you are online.",
    );
  }
  // Some hosts of files answer with their own page for what they don't have.
  const isJson = response.headers.get("content-type")?.includes("json") === true;
  if (response.status === 404 || (response.ok && !isJson)) return { backend: "hub" };
  if (!response.ok)
    throw new BackendError("unavailable", `${CONFIG_PATH} of this page can't be read (HTTP ${response.status}).`);
  return parseConfig(await response.text());
}

/** @throws BackendError that says what is wrong with it */
export function parseConfig(text: string): BackendConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrong("is not JSON");
  }
  if (!isObject(value)) throw wrong("is not an object");
  const { backend, url, auth } = value;
  if (backend === "hub") return { backend };
  if (backend !== "convex") throw wrong('has no "backend" that is "hub" or "convex"');
  if (!isWebAddress(url)) throw wrong('has no "url" of a Convex deployment (https://…)');
  const config: ConvexConfig = { backend, url: url.replace(/\/+$/, "") };
  return auth === undefined || auth === null ? config : { ...config, auth: parseProvider(auth) };
}

function parseProvider(auth: unknown): ProviderConfig {
  if (!isObject(auth)) throw wrong('has an "auth" that is not an object');
  const { issuer, clientId, scope } = auth;
  if (!isWebAddress(issuer)) throw wrong('has an "auth" without an "issuer" (https://…)');
  if (typeof clientId !== "string" || clientId === "") throw wrong('has an "auth" without a "clientId"');
  if (scope !== undefined && typeof scope !== "string") throw wrong('has an "auth" with a "scope" that is not a text');
  return scope === undefined ? { issuer, clientId } : { issuer, clientId, scope };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isWebAddress(value: unknown): value is string {
  return typeof value === "string" && URL.canParse(value) && /^https?:$/.test(new URL(value).protocol);
}

function wrong(what: string): BackendError {
  return new BackendError("invalid", `${CONFIG_PATH} of this page ${what}. Correct it where the page is served.`);
}
