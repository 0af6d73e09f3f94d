import type { Chunk, DeltaKind, Part, ToolState, TurnState } from "../backend/wire.gen";

/** A turn's answer while it grows; the twin of crates/protocol/src/transcript.rs, held to it by tests/vectors. */
export interface Transcript {
  readonly parts: readonly Part[];
  /** The sequence number that comes next. */
  readonly nextSeq: number;
  /** Set once the last chunk has come. */
  readonly seal: { readonly outcome: TurnState; readonly hash: string } | null;
  /** A chunk was missing: what is here may have holes, and the complete message will repair it. */
  readonly gap: boolean;
}

export const EMPTY_TRANSCRIPT: Transcript = { parts: [], nextSeq: 0, seal: null, gap: false };

export type Applied = { kind: "yes" } | { kind: "duplicate" } | { kind: "gap"; expected: number };

/** Applies the turn's next chunk. */
export function applyChunk(transcript: Transcript, chunk: Chunk): { transcript: Transcript; applied: Applied } {
  if (chunk.seq < transcript.nextSeq) return { transcript, applied: { kind: "duplicate" } };
  if (chunk.seq > transcript.nextSeq) {
    return {
      transcript: transcript.gap ? transcript : { ...transcript, gap: true },
      applied: { kind: "gap", expected: transcript.nextSeq },
    };
  }
  return {
    transcript: { ...transcript, ...applyOp(transcript, chunk), nextSeq: chunk.seq + 1, gap: false },
    applied: { kind: "yes" },
  };
}

/** Applies chunks of one turn in their order; those that came before change nothing. */
export function applyChunks(transcript: Transcript, chunks: readonly Chunk[]): Transcript {
  return chunks.reduce((before, chunk) => applyChunk(before, chunk).transcript, transcript);
}

function applyOp(transcript: Transcript, chunk: Chunk): Partial<Transcript> {
  const { parts } = transcript;
  switch (chunk.op) {
    case "append":
      return { parts: append(parts, chunk.part, chunk.kind, chunk.delta) };
    case "replace":
      return { parts: replace(parts, asKnown(chunk.part)) };
    case "supersede":
      return { parts: supersede(parts, chunk.part) };
    case "seal":
      return { seal: { outcome: chunk.outcome, hash: chunk.hash } };
    case "unknown":
      return {};
    default:
      // An operation that only a newer peer knows: Rust reads it as `unknown`.
      return {};
  }
}

function append(parts: readonly Part[], id: string, kind: DeltaKind, delta: string): readonly Part[] {
  const index = positionOf(parts, id);
  const part = index === -1 ? emptyPart(id, kind) : parts[index];
  if (!part) return parts;
  const grown = grow(part, kind, delta);
  return index === -1 ? [...parts, grown] : parts.with(index, grown);
}

function emptyPart(id: string, kind: DeltaKind): Part {
  switch (kind) {
    case "text":
    case "reasoning":
      return { id, kind, text: "" };
    case "tool_output":
      return { id, kind: "tool", tool: "", state: "running", input: "", truncated: false };
    default:
      return { id, kind: "unknown" };
  }
}

function grow(part: Part, kind: DeltaKind, delta: string): Part {
  if ((part.kind === "text" && kind === "text") || (part.kind === "reasoning" && kind === "reasoning")) {
    return { ...part, text: part.text + delta };
  }
  if (part.kind === "tool" && kind === "tool_output") return { ...part, output: (part.output ?? "") + delta };
  // A delta that does not fit its part comes from a peer at fault; the complete message repairs it.
  return part;
}

function replace(parts: readonly Part[], next: Part): readonly Part[] {
  const index = positionOf(parts, next.id);
  const old = parts[index];
  if (!old) return [...parts, next];
  if (next.kind === "tool" && old.kind === "tool" && next.output == null && old.output != null) {
    return parts.with(index, { ...next, output: old.output });
  }
  return parts.with(index, next);
}

function supersede(parts: readonly Part[], id: string): readonly Part[] {
  const index = positionOf(parts, id);
  const part = parts[index];
  if (!part) return parts;
  switch (part.kind) {
    case "text":
    case "reasoning":
    case "notice":
      return parts.with(index, { ...part, text: "" });
    case "tool": {
      const { output, ...rest } = part;
      return parts.with(index, rest);
    }
    default:
      return parts;
  }
}

function positionOf(parts: readonly Part[], id: string): number {
  // The part that grows is nearly always the last one.
  return parts.findLastIndex((part) => part.id === id);
}

const KINDS = new Set<string>(["text", "reasoning", "tool", "notice"] satisfies Part["kind"][]);
const TOOL_STATES = new Set<string>(["pending", "running", "completed", "failed"] satisfies ToolState[]);

/** Kinds and states that only a newer peer knows are `unknown`, as Rust reads them. */
function asKnown(part: Part): Part {
  if (!KINDS.has(part.kind)) return { id: part.id, kind: "unknown" };
  if (part.kind === "tool" && !TOOL_STATES.has(part.state)) return { ...part, state: "unknown" };
  return part;
}
