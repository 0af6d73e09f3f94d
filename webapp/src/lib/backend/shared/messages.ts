import {
  BackendError,
  type Auth,
  type CallName,
  type ConnectionState,
  type QueryName,
  type StreamState,
  type WatchState,
} from "../backend";
import type { Chunk, ErrorCode } from "../wire.gen";

export type AuthMethod = Exclude<keyof Auth, "ways">;

// What a tab and the backend that it shares with other tabs say to each other. Ids are the tab's; both ends are of
// one build, which is in the names of their channels.

export type FromTab =
  | { type: "ping" }
  /** The network or the person came back. */
  | { type: "wake" }
  /** The tab goes away, for good or into the browser's cache. */
  | { type: "bye" }
  | { type: "watch"; id: number; name: QueryName; args: unknown }
  | { type: "stream"; id: number; path: string; offset: string }
  | { type: "stop"; id: number }
  /** The last value or chunks of this id have been worked on; only then the next ones are sent. */
  | { type: "ack"; id: number }
  | { type: "call"; id: number; name: CallName; args: unknown; key: string }
  | { type: "auth"; id: number; method: AuthMethod; args: unknown[] };

export type ToTab =
  /** `hidden`: the owner is a tab that nobody looks at, which browsers slow down. */
  | { type: "pong"; hidden: boolean }
  /** The tab was silent for so long that all it followed was ended. */
  | { type: "forgotten" }
  | { type: "connection"; state: ConnectionState }
  | { type: "value"; id: number; value: unknown }
  | { type: "watchState"; id: number; state: Plain<WatchState> }
  | { type: "chunks"; id: number; chunks: Chunk[]; nextOffset: string }
  | { type: "streamState"; id: number; state: Plain<StreamState> }
  | { type: "done"; id: number; result: unknown }
  | { type: "failed"; id: number; error: PlainError };

/** An error as it can be sent: structured cloning loses the class. */
export interface PlainError {
  code: ErrorCode | "network";
  message: string;
  retryAfterMs: number | null;
}

export type Plain<State> = State extends { kind: "refused"; error: BackendError }
  ? { kind: "refused"; error: PlainError }
  : State;

export function plainError({ code, message, retryAfterMs }: BackendError): PlainError {
  return { code, message, retryAfterMs };
}

export function plain<State extends WatchState | StreamState>(state: State): Plain<State> {
  return (state.kind === "refused" ? { kind: "refused", error: plainError(state.error) } : state) as Plain<State>;
}

export function fromPlain<State extends WatchState | StreamState>(state: Plain<State>): State {
  const { kind, error } = state as { kind: string; error?: PlainError };
  return (kind === "refused" && error ? { kind, error: errorFrom(error) } : state) as State;
}

export function errorFrom({ code, message, retryAfterMs }: PlainError): BackendError {
  return new BackendError(code, message, retryAfterMs);
}

/** One end between a tab and what it shares. */
export interface Line<Out, In> {
  post: (message: Out) => void;
  /** Called once, before anything is expected to come. */
  listen: (onMessage: (message: In) => void) => void;
  close: () => void;
}

/** What carries messages to everybody else who opened it by the same name, in order. */
export interface Channel {
  postMessage: (message: unknown) => void;
  onmessage: ((event: MessageEvent) => void) | null;
  close: () => void;
}

export function channelLine<Out, In>(channel: Channel): Line<Out, In> {
  return {
    post: (message) => channel.postMessage(message),
    listen: (onMessage) => {
      channel.onmessage = ({ data }: MessageEvent<In>) => onMessage(data);
    },
    close: () => channel.close(),
  };
}

/** A line whose other end begins: until it has said something, nobody may be there to hear. */
export function patientLine<Out, In>(line: Line<Out, In>): Line<Out, In> {
  let unheard: Out[] | null = [];
  return {
    ...line,
    post: (message) => {
      if (unheard) unheard.push(message);
      else line.post(message);
    },
    listen: (onMessage) =>
      line.listen((message) => {
        const first = unheard ?? [];
        unheard = null;
        for (const each of first) line.post(each);
        onMessage(message);
      }),
  };
}
