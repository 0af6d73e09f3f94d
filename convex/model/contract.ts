import { decodeArgs, decodeAs, type Schema } from "./decode";
import { FUNCTIONS, type Appended, type Done, type Functions, type NoArgs } from "./gen/wire";

/** Who may call a function: the contract's three kinds, and for streams whoever may see the turn. */
export type Access = "anyone" | "person" | "machine" | "either";

export interface AppendArgs {
  turnId: string;
  epoch: number;
  seq: number;
  /** The JSON text of an array of chunks. */
  chunks: string;
}

export interface ReadChunksArgs {
  turnId: string;
  /** `-1` for the beginning, else the `next` of the page before. */
  after: string;
  limit?: number | null;
}

export interface ChunksPage {
  /** The texts of appends, in order. */
  batches: string[];
  next: string;
  upToDate: boolean;
  /** Nothing will ever follow. */
  closed: boolean;
}

/** Names a chat session, or a turn of it, by whichever the caller knows. */
export interface ViewingArgs {
  chatSessionId?: string | null;
  turnId?: string | null;
}

export interface Version {
  wireVersion: number;
  wireVersionMin: number;
}

/** What Convex offers besides the contract's functions: the hub has streams and a health check for that. */
interface OwnFunctions {
  "system.version": { args: NoArgs; reply: Version };
  "worker.chat.writeChunk": { args: AppendArgs; reply: Appended };
  "worker.chat.chunks": { args: ReadChunksArgs; reply: ChunksPage };
  "worker.chat.viewing": { args: ViewingArgs; reply: Done };
}

const text: Schema = { type: "string" };
const number: Schema = { type: "integer" };
const turnId: Schema = { $ref: "#/$defs/TurnId" };
const own = (properties: Record<string, Schema>): Schema => ({ properties, required: Object.keys(properties) });

const OWN_FUNCTIONS = {
  "system.version": { access: "anyone", kind: "query", args: own({}) },
  "worker.chat.writeChunk": {
    access: "machine",
    kind: "mutation",
    args: own({ turnId, epoch: number, seq: number, chunks: text }),
  },
  "worker.chat.chunks": {
    access: "either",
    kind: "query",
    args: own({ turnId, after: text, limit: { type: ["integer", "null"] } }),
  },
  /** Saying it again is harmless, so it needs no idempotency key. */
  "worker.chat.viewing": {
    access: "person",
    kind: "mutation",
    args: own({
      chatSessionId: { anyOf: [{ $ref: "#/$defs/ChatSessionId" }, { type: "null" }] },
      turnId: { anyOf: [turnId, { type: "null" }] },
    }),
  },
} as const;

export type Contract = Functions & OwnFunctions;
type Table = typeof FUNCTIONS & typeof OWN_FUNCTIONS;
type NamesOf<K extends string> = { [N in keyof Table]: Table[N]["kind"] extends K ? N : never }[keyof Table];

export type QueryName = NamesOf<"query">;
export type MutationName = NamesOf<"mutation">;
export type AccessOf<N extends keyof Table> = Table[N]["access"];

/** Who may call it. */
export const accessOf = (name: keyof Table): Access => ({ ...FUNCTIONS, ...OWN_FUNCTIONS })[name].access;

/** Whether the reply is kept for an idempotency key: a person's changes have no other rule that makes a repeat safe. */
export const isKeyed = (name: keyof Table): boolean =>
  name in FUNCTIONS && accessOf(name) === "person" && FUNCTIONS[name as keyof Functions].kind === "mutation";

/** The arguments of a call, if they fit. */
export function argsOf<N extends keyof Table>(name: N, args: unknown): Contract[N]["args"] {
  const schema = name in OWN_FUNCTIONS ? OWN_FUNCTIONS[name as keyof OwnFunctions].args : undefined;
  return (schema === undefined ? decodeArgs(name, args) : decodeAs(schema, args)) as Contract[N]["args"];
}
