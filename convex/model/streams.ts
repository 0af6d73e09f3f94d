/**
 * Chunk streams: each append is a row of its own, which is never changed. An append reads the rows it has to by their
 * place and never the stream's end, so a reader's query and the next append do not get into each other's way.
 */

import { internal } from "../functions/_generated/api";
import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import { chatRow, staleEpoch, turnRow, type Machine, type Person } from "./access";
import type { AppendArgs, ChunksPage, ReadChunksArgs, ViewingArgs } from "./contract";
import { arm } from "./deadlines";
import { LIMITS, type Appended, type Done } from "./gen/wire";
import { refusal } from "./refusal";
import { transition } from "./states";
import { byteLength } from "./texts";

/** What a machine gathers for one append; a longer chunk goes alone. */
export const APPEND_GATHER_BYTES = LIMITS.chunkDeltaMaxBytes;
/** One append as JSON: a chunk's text of 16 KiB and what is around it, or a tool's call with its input and error. */
const APPEND_MAX_BYTES = 24 * 1024;
/** How long to gather while somebody watches: a call costs, a blink does not hurt. */
const GATHER_WATCHED_MS = 700;
/** How long to gather while nobody does. */
const GATHER_UNWATCHED_MS = 2_000;
/** How long somebody who watches is believed to: readers say it again every 20 s. */
const VIEWER_KEPT_MS = 45_000;
/** One page of a stream. */
const PAGE_MAX_ROWS = 100;
const PAGE_MAX_BYTES = 1024 * 1024;
/** Rows that one transaction purges. */
const PURGE_ROWS = 200;
/** The place before the first chunk. */
const START = "-1";

/** The turn has been taken: its stream begins. */
export async function beginStream(ctx: MutationCtx, turn: string): Promise<void> {
  if ((await streamRow(ctx, turn)) === null) {
    await ctx.db.insert("streams", { turn });
  }
}

/** Appends, once for each epoch and number. */
export async function writeChunk(ctx: MutationCtx, machine: Machine, args: AppendArgs): Promise<Appended> {
  const seals = sealsStream(args.chunks);
  if (args.epoch !== machine.epoch) {
    throw staleEpoch(args.epoch, machine.epoch);
  }
  const turn = await turnRow(ctx, machine, args.turnId);
  if (turn.state === "delivered") {
    await ctx.db.patch(turn._id, { state: transition("turn", turn.state, "streaming") });
  } else if (turn.state !== "streaming") {
    throw refusal("conflict", `This turn is ${turn.state}; its chunks have ended.`);
  }
  if (await isNext(ctx, args)) {
    const { epoch, seq, chunks: text } = args;
    await ctx.db.insert("chunks", { turn: turn.id, epoch, seq, seals, text });
  }
  const viewer = await viewerRow(ctx, turn.chat);
  const isWatched = viewer !== null && viewer.until > Date.now();
  // Whoever opens an answer as it begins may not have said so yet.
  return { gatherMs: isWatched || args.seq === 0 ? GATHER_WATCHED_MS : GATHER_UNWATCHED_MS };
}

/** Whether the last chunk of an append ends the stream; refuses what is no append. */
function sealsStream(text: string): boolean {
  if (byteLength(text) > APPEND_MAX_BYTES) {
    throw refusal("too_large", `the body is larger than ${APPEND_MAX_BYTES} bytes; send it in smaller pieces`);
  }
  const chunks = parsed(text);
  if (!Array.isArray(chunks)) {
    throw refusal("invalid", "an append is the JSON text of an array of chunks");
  }
  if (chunks.length === 0) {
    throw refusal("invalid", "an empty array appends nothing; send at least one message");
  }
  const last: unknown = chunks.at(-1);
  return typeof last === "object" && last !== null && "op" in last && last.op === "seal";
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Whether an append is the next one, or was made before; refuses any other. The rules are those of the Durable Streams
 * protocol, section 5.2.1: numbers go up from 0 within an epoch, and a higher epoch fences a lower one off. That the
 * epoch is not behind is known by now: it is the connection's own.
 */
async function isNext(ctx: MutationCtx, { turnId, epoch, seq }: AppendArgs): Promise<boolean> {
  if ((await streamRow(ctx, turnId)) === null) {
    throw noStream();
  }
  const same = await chunkRow(ctx, turnId, epoch, seq);
  if (same !== null) {
    // A closed stream takes nothing, but knows the append that closed it.
    if (!same.seals && (await lastRow(ctx, turnId))?.seals) {
      throw closed();
    }
    return false;
  }
  const before = seq === 0 ? await lastRow(ctx, turnId) : await chunkRow(ctx, turnId, epoch, seq - 1);
  if (before?.seals) {
    throw closed();
  }
  if (seq === 0 || before !== null) {
    return true;
  }
  const last = await lastRow(ctx, turnId);
  if (last?.seals) {
    throw closed();
  }
  if (last !== null && last.epoch < epoch) {
    throw refusal("invalid", "the first append of a new epoch must carry Producer-Seq 0");
  }
  const expected = last === null ? 0 : last.seq + 1;
  throw refusal("conflict", `append ${seq} came before append ${expected}; send that one first`);
}

const closed = () => refusal("conflict", "the stream is closed; nothing can be appended to it");
const noStream = () => refusal("not_found", "there is no such stream (any more); create it first");

/** A page of a turn's appends, from a place on. */
export async function readChunks(ctx: QueryCtx, actor: Person | Machine, args: ReadChunksArgs): Promise<ChunksPage> {
  const turn = await turnRow(ctx, actor, args.turnId);
  if ((await streamRow(ctx, turn.id)) === null) {
    throw noStream();
  }
  const limit = Math.min(Math.max(args.limit ?? PAGE_MAX_ROWS, 1), PAGE_MAX_ROWS);
  const start = placeOf(args.after);
  const page: Doc<"chunks">[] = [];
  let bytes = 0;
  let upToDate = true;
  for (const rows of rowsAfter(ctx, turn.id, start)) {
    for await (const row of upToDate ? rows : []) {
      bytes += byteLength(row.text);
      if (page.length === limit || (bytes > PAGE_MAX_BYTES && page.length > 0)) {
        upToDate = false;
        break;
      }
      page.push(row);
    }
  }
  const last = page.at(-1) ?? (start === null ? null : await chunkRow(ctx, turn.id, start.epoch, start.seq));
  return {
    batches: page.map((row) => row.text),
    next: last === null ? START : `${last.epoch}.${last.seq}`,
    upToDate,
    closed: last?.seals ?? false,
  };
}

interface Place {
  epoch: number;
  seq: number;
}

function placeOf(after: string): Place | null {
  const found = /^(\d{1,16})\.(\d{1,16})$/.exec(after);
  if (after !== START && found === null) {
    throw refusal("invalid", "the offset is none that this backend gave out; use the page's next, or -1");
  }
  return found === null ? null : { epoch: Number(found[1]), seq: Number(found[2]) };
}

/** What follows a place, in order: the rest of its epoch, then the later epochs. */
function rowsAfter(ctx: QueryCtx, turn: string, place: Place | null): AsyncIterable<Doc<"chunks">>[] {
  const rows = () => ctx.db.query("chunks");
  if (place === null) {
    return [rows().withIndex("by_turn_epoch_seq", (q) => q.eq("turn", turn))];
  }
  const { epoch, seq } = place;
  return [
    rows().withIndex("by_turn_epoch_seq", (q) => q.eq("turn", turn).eq("epoch", epoch).gt("seq", seq)),
    rows().withIndex("by_turn_epoch_seq", (q) => q.eq("turn", turn).gt("epoch", epoch)),
  ];
}

/** A turn's chunks have been kept long enough. Whoever still reads hears at once that the stream is gone. */
export async function dropChunks(ctx: MutationCtx, turn: string): Promise<void> {
  const stream = await streamRow(ctx, turn);
  if (stream !== null) {
    await ctx.db.delete(stream._id);
    await purgeChunks(ctx, turn);
  }
}

/** Deletes some of a turn's chunks, and comes back for more. */
export async function purgeChunks(ctx: MutationCtx, turn: string): Promise<void> {
  const rows = await ctx.db
    .query("chunks")
    .withIndex("by_turn_epoch_seq", (q) => q.eq("turn", turn))
    .take(PURGE_ROWS);
  for (const row of rows) {
    await ctx.db.delete(row._id);
  }
  if (rows.length === PURGE_ROWS) {
    await ctx.scheduler.runAfter(0, internal.upkeep.purgeChunks, { turn });
  }
}

/** Somebody watches the chat session's answer. */
export async function viewing(ctx: MutationCtx, person: Person, args: ViewingArgs): Promise<Done> {
  const chat = await watched(ctx, person, args);
  const until = Date.now() + VIEWER_KEPT_MS;
  const viewer = await viewerRow(ctx, chat);
  if (viewer === null) {
    await ctx.db.insert("viewers", { chat, until });
    await arm(ctx, until, { kind: "viewerLeaves", chat });
  } else {
    await ctx.db.patch(viewer._id, { until });
  }
  return {};
}

async function watched(ctx: MutationCtx, person: Person, { chatSessionId, turnId }: ViewingArgs): Promise<string> {
  if (chatSessionId != null) {
    return (await chatRow(ctx, person, chatSessionId)).id;
  }
  if (turnId != null) {
    return (await turnRow(ctx, person, turnId)).chat;
  }
  throw refusal("invalid", "name the chat session or the turn that somebody watches");
}

/** Whoever watched may have gone. */
export async function viewerLeaves(ctx: MutationCtx, chat: string): Promise<void> {
  const viewer = await viewerRow(ctx, chat);
  if (viewer !== null && viewer.until > Date.now()) {
    await arm(ctx, viewer.until, { kind: "viewerLeaves", chat });
  } else if (viewer !== null) {
    await ctx.db.delete(viewer._id);
  }
}

const streamRow = (ctx: QueryCtx, turn: string): Promise<Doc<"streams"> | null> =>
  ctx.db
    .query("streams")
    .withIndex("by_turn", (q) => q.eq("turn", turn))
    .unique();

const chunkRow = (ctx: QueryCtx, turn: string, epoch: number, seq: number): Promise<Doc<"chunks"> | null> =>
  ctx.db
    .query("chunks")
    .withIndex("by_turn_epoch_seq", (q) => q.eq("turn", turn).eq("epoch", epoch).eq("seq", seq))
    .unique();

/** The stream's end: for a new epoch's first append and for refusals. */
const lastRow = (ctx: QueryCtx, turn: string): Promise<Doc<"chunks"> | null> =>
  ctx.db
    .query("chunks")
    .withIndex("by_turn_epoch_seq", (q) => q.eq("turn", turn))
    .order("desc")
    .first();

const viewerRow = (ctx: QueryCtx, chat: string): Promise<Doc<"viewers"> | null> =>
  ctx.db
    .query("viewers")
    .withIndex("by_chat", (q) => q.eq("chat", chat))
    .unique();
