import { BackendError, type Args, type Backend, type CallName, type Reply } from "../backend";
import { backoffMs } from "../backoff";
import type { ConvexConfig } from "../config";
import { newIdempotencyKey } from "../idempotency";
import { shareAmongTabs } from "../shared/tabs";
import { FUNCTIONS } from "../wire.gen";
import { openConvexClient, type OpenClient } from "./client";
import { ConvexConnection } from "./connection";
import { convexName, plainArgs } from "./names";
import { ConvexSignIn, convexWays } from "./sign-in";
import { ConvexStreams } from "./streams";
import { ConvexWatches } from "./watches";

/** A call that the deployment could not do just now is repeated this often, with its key, before the person is asked. */
const CALL_TRIES = 4;

/** A Convex deployment, over one connection that all tabs of this browser share: each subscription is paid once. */
export function sharedConvexBackend(config: ConvexConfig): Backend {
  return shareAmongTabs(`convex ${config.url}`, () => convexBackend(config), {
    ways: convexWays(config),
    machineAddress: machineAddress(config),
  });
}

/** A Convex deployment: reactive queries and mutations by the official client. */
export function convexBackend(config: ConvexConfig, openClient: OpenClient = openConvexClient): Backend {
  const connection = new ConvexConnection(config.url, openClient);
  const watches = new ConvexWatches(connection);
  const streams = new ConvexStreams(connection, (path) => watches.chatOf(path));
  const auth = new ConvexSignIn(config, connection, async (provider) =>
    (await import("./provider")).openProvider(provider),
  );
  return {
    connection: connection.state,
    auth,
    machineAddress: machineAddress(config),
    call: (name, args, options) => callWithRetries(connection, name, args, options?.key),
    watch: (name, args, onValue, onState) => watches.watch(name, args, onValue, onState),
    readStream: (path, fromOffset, handlers) => streams.read(path, fromOffset, handlers),
    close: () => {
      auth.close();
      connection.close();
    },
  };
}

function machineAddress({ url }: ConvexConfig): string {
  return `convex+${url}`;
}

async function callWithRetries<Name extends CallName>(
  connection: ConvexConnection,
  name: Name,
  args: Args<Name>,
  key = newIdempotencyKey(),
): Promise<Reply<Name>> {
  const path = convexName(name);
  const envelope = { args: plainArgs(args) };
  for (let attempt = 0; ; attempt += 1) {
    try {
      return (await (FUNCTIONS[name].kind === "mutation"
        ? connection.mutate(path, { ...envelope, key })
        : connection.query(path, envelope))) as Reply<Name>;
    } catch (error) {
      // What was lost was waited for already, and the client repeats it by itself when it is connected again.
      const busy = error instanceof BackendError && error.code === "unavailable";
      if (!busy || attempt + 1 >= CALL_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, backoffMs(attempt)));
    }
  }
}
