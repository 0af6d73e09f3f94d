import {
  BackendError,
  noSuchWay,
  type Args,
  type Auth,
  type Backend,
  type CallName,
  type Me,
  type Reply,
  type WaysIn,
} from "./backend";
import { backoffMs } from "./backoff";
import { HubStreams } from "./hub-streams";
import { HubWatches } from "./hub-watch";
import { newIdempotencyKey } from "./idempotency";
import { refusal } from "./sse";
import { FUNCTIONS } from "./wire.gen";

const CALL_TIMEOUT_MS = 15_000;
/** A call whose answer was lost is repeated this often, with its key, before the person is asked. */
const CALL_TRIES = 4;

export const HUB_WAYS: WaysIn = { password: true, provider: null, link: "once" };

/** Machines reach the hub where the page comes from. */
export function hubAddress(): string {
  return typeof window === "undefined" ? "" : window.location.origin;
}

/** The backend that serves this very page: HTTP and server-sent events below `/v1`. */
export function hubBackend(): Backend {
  const watches = new HubWatches();
  const streams = new HubStreams();
  return {
    connection: watches.connection,
    auth: hubAuth(watches),
    machineAddress: hubAddress(),
    call: async (name, args, options) => {
      try {
        return await callWithRetries(name, args, options?.key);
      } catch (error) {
        if (error instanceof BackendError && error.requiresSignIn) watches.restart({ kind: "signed_out" });
        throw error;
      }
    },
    watch: (name, args, onValue, onState) => watches.watch(name, args, onValue, onState),
    readStream: (path, fromOffset, handlers) => streams.read(path, fromOffset, handlers),
  };
}

function hubAuth(watches: HubWatches): Auth {
  const signIn = async (body: { token: string } | { password: string }) => {
    await post("/v1/auth/sign-in", body);
    watches.restart({ kind: "connecting" });
  };
  return {
    ways: HUB_WAYS,
    providerAddress: noSuchWay,
    signInFromProvider: noSuchWay,
    me: async () => {
      const response = await request("/v1/auth/me", {});
      if (response.status === 401) return null;
      if (!response.ok) throw await refusal(response);
      return { endsAt: null, ...((await response.json()) as Omit<Me, "endsAt">) };
    },
    signInWithToken: (token) => signIn({ token }),
    signInWithPassword: (password) => signIn({ password }),
    setPassword: async (password, current) => {
      await post("/v1/auth/password", current === undefined ? { password } : { password, current });
    },
    signOut: async () => {
      await post("/v1/auth/sign-out", {});
      watches.restart({ kind: "signed_out" });
    },
  };
}

async function callWithRetries<Name extends CallName>(
  name: Name,
  args: Args<Name>,
  key?: string,
): Promise<Reply<Name>> {
  const headers: Record<string, string> =
    FUNCTIONS[name].kind === "mutation" ? { "Idempotency-Key": key ?? newIdempotencyKey() } : {};
  for (let attempt = 0; ; attempt += 1) {
    try {
      const response = await post(`/v1/${name}`, args, headers);
      return (await response.json()) as Reply<Name>;
    } catch (error) {
      // Safe to repeat: a query changes nothing, and a mutation's key makes its repetition the same call.
      const lost = error instanceof BackendError && (error.code === "network" || error.code === "unavailable");
      if (!lost || attempt + 1 >= CALL_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, backoffMs(attempt)));
    }
  }
}

async function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const response = await request(path, {
    method: "POST",
    // A page of another origin can't set this header without the hub's consent.
    headers: { "Content-Type": "application/json", "X-Orchestrator": "1", ...headers },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw await refusal(response);
  return response;
}

async function request(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, {
      ...init,
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    });
  } catch {
    throw new BackendError(
      "network",
      "The backend could not be reached. Check that it runs and that you are online, then try again.",
    );
  }
}
