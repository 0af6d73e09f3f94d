import type { Backend } from "../backend";
import type { Owner, TabLine } from "./client";
import { channelLine, patientLine, type Channel, type FromTab, type Line, type ToTab } from "./messages";
import { TabServer } from "./server";

/** What tabs of one browser share; tests bring their own. */
export interface Browser {
  /**
   * Waits for the lock of this name and runs `held`, which keeps it until its promise settles. Resolves when the
   * lock is gone, also when it was stolen.
   */
  lock: (name: string, held: () => Promise<void>, options: { steal: true } | { signal: AbortSignal }) => Promise<void>;
  channel: (name: string) => Channel;
  isHidden: () => boolean;
  /** The page is left (`true`) or came back from the browser's cache (`false`). */
  onAway: (listener: (away: boolean) => void) => void;
}

type LobbyMessage =
  /** A tab has opened the channel of this name and waits there for the owner. */
  | { type: "hello"; line: string }
  /** The sender is the owner from now on. */
  | { type: "owner" };

/**
 * Makes one tab the owner of all connections: the one that has the lock. Browsers give it to the next tab when its
 * holder closes, crashes or is left; one that is frozen has it stolen.
 */
export function electOwner(name: string, openBackend: () => Backend, browser: Browser): Owner {
  const lobby = browser.channel(name);
  const listeners = new Set<() => void>();
  let server: TabServer | null = null;
  let resign: () => void = () => undefined;
  let waiting = new AbortController();

  const changed = () => {
    for (const listener of [...listeners]) listener();
  };
  const say = (message: LobbyMessage) => lobby.postMessage(message);

  const own = async () => {
    const mine = new TabServer(openBackend(), browser.isHidden);
    server?.close();
    server = mine;
    const resigned = new Promise<void>((resolve) => {
      resign = resolve;
    });
    say({ type: "owner" });
    changed();
    await resigned;
  };
  /** Queues for the lock, and again when it was taken away: the thief may go before this tab does. */
  const apply = async () => {
    waiting = new AbortController();
    const { signal } = waiting;
    while (!signal.aborted) {
      await browser.lock(name, own, { signal });
      end();
    }
  };
  const end = () => {
    server?.close();
    server = null;
  };

  lobby.onmessage = ({ data }: MessageEvent<LobbyMessage>) => {
    if (data.type === "owner") {
      // Stolen, which this tab may hear of before it hears from its lock.
      end();
      resign();
      changed();
    } else {
      server?.serve(channelLine<ToTab, FromTab>(browser.channel(data.line)));
    }
  };
  browser.onAway((away) => {
    if (away) {
      waiting.abort();
      resign();
      end();
    } else {
      void apply();
    }
  });
  void apply();

  return {
    line: () => {
      if (server) return ownLine(server);
      const line = `${name}/${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;
      const channel = browser.channel(line);
      say({ type: "hello", line });
      return patientLine(channelLine<FromTab, ToTab>(channel));
    },
    onChange: (listener) => void listeners.add(listener),
    takeOver: () => {
      if (server) return;
      void browser.lock(name, own, { steal: true }).then(end);
    },
  };
}

/** The owner's line to itself. Never within one call, as from tab to tab. */
function ownLine(server: TabServer): TabLine {
  let toTab: ((message: ToTab) => void) | null = null;
  let toServer: ((message: FromTab) => void) | null = null;
  let closed = false;
  const soon = (run: () => void) => queueMicrotask(() => (closed ? undefined : run()));
  const far: Line<ToTab, FromTab> = {
    post: (message) => soon(() => toTab?.(message)),
    listen: (onMessage) => {
      toServer = onMessage;
    },
    close: () => {
      closed = true;
    },
  };
  const near: TabLine = {
    post: (message) => soon(() => toServer?.(message)),
    listen: (onMessage) => {
      toTab = onMessage;
    },
    // Nobody else says that this line is not needed any more.
    close: () => {
      toServer?.({ type: "bye" });
      closed = true;
    },
  };
  server.serve(far);
  return near;
}
