import { ConvexReactClient } from "convex/react";
import { makeFunctionReference } from "convex/server";

import type { Envelope } from "./names";

/** Gives the token to show; `force`: the one before was refused or is about to expire. Null: there is none. */
export type FetchToken = (force: boolean) => Promise<string | null>;

/** What is used of the Convex client; tests script one. */
export interface ConvexClient {
  /** Subscribes; `look` gives the latest result, undefined while there is none, and throws that of a failed query. */
  watch: (name: string, envelope: Envelope, onUpdate: () => void) => { look: () => unknown; stop: () => void };
  mutate: (name: string, envelope: Envelope) => Promise<unknown>;
  setAuth: (fetchToken: FetchToken, onChange: (isAuthenticated: boolean) => void) => void;
  isConnected: () => boolean;
  /** How often connecting has failed since it last worked. */
  failures: () => number;
  close: () => void;
}

/** What the client does not tell by itself. */
export interface ClientEvents {
  /** Something came, were it only a ping. */
  onMessage: () => void;
  /** The deployment has ended the connection for good, and the client does not try again. */
  onFatal: () => void;
  onConnection: () => void;
}

export type OpenClient = (url: string, events: ClientEvents) => ConvexClient;

export const openConvexClient: OpenClient = (url, events) => {
  const client = new ConvexReactClient(url, {
    webSocketConstructor: observedSocket(events),
    // A deployment may have any address.
    skipConvexDeploymentUrlCheck: true,
    // What is under way is repeated under its key; nothing is lost by leaving.
    unsavedChangesWarning: false,
    // Spares the second execution of every query right after the first.
    initialAuthTokenReuse: true,
    // Refusals are shown to the person, not written to the console.
    logger: false,
  });
  client.subscribeToConnectionState(events.onConnection);
  return {
    watch: (name, envelope, onUpdate) => {
      const watch = client.watchQuery(makeFunctionReference<"query">(name), envelope);
      return { stop: watch.onUpdate(onUpdate), look: () => watch.localQueryResult() as unknown };
    },
    mutate: (name, envelope) => client.mutation(makeFunctionReference<"mutation">(name), envelope),
    setAuth: (fetchToken, onChange) =>
      client.setAuth(({ forceRefreshToken }) => fetchToken(forceRefreshToken), onChange),
    isConnected: () => client.connectionState().isWebSocketConnected,
    failures: () => client.connectionState().connectionRetries,
    close: () => void client.close(),
  };
};

function observedSocket({ onMessage, onFatal }: ClientEvents): typeof WebSocket {
  return class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      this.addEventListener("message", ({ data }: MessageEvent) => {
        onMessage();
        if (typeof data === "string" && data.startsWith('{"type":"FatalError"')) onFatal();
      });
    }
  };
}
