/**
 * Much of everything, within Convex's transaction limits, which the engine enforces. convex-test looks at every row of
 * a table for each read, so what ends in batches is tried with some batches, not with the 2,000 that are allowed.
 */
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { personIdOf, newId } from "../../../../convex/model/ids.ts";
import { START_MS, type JsonObject } from "../../vectors/format.ts";
import { World, type Rows } from "./world.ts";

const ANN = personIdOf("https://people.test|ann");
const NEVER = { epoch: 0, seq: 0 };
/** More than two batches of model/closing.ts. */
const CHATS = 210;

type Size = { workers: number; chats: number; turns: number };

/** Chat sessions with worktrees and waiting messages. */
async function fill(world: World, { workers, chats, turns }: Size): Promise<string[]> {
  const machine = world.machineId;
  const workerIds = Array.from({ length: workers }, () => newId("wrk"));
  await world.seed(async (rows) => {
    for (const id of workerIds) {
      const settings = { sandbox: "off" } as const;
      const row = { id, machine, name: "a", directory: id, state: "ready", reason: null, settings } as const;
      await rows.insert("workers", { ...row, reported: NEVER, createdAt: START_MS, open: true });
    }
  });
  const chatIds = Array.from({ length: chats }, () => newId("cht"));
  for (let at = 0; at < chats; at += 500) {
    await world.seed(async (rows) => {
      for (const [index, id] of chatIds.slice(at, at + 500).entries()) {
        await addChat(rows, machine, workerIds[index % workers] ?? "", id, turns);
      }
    });
  }
  await world.seed(async (rows) => {
    const counts = await rows.query("counts").first();
    const fresh = { machine, workers, openChats: chats, pendingAsks: 0, directories: 0 };
    await (counts === null ? rows.insert("counts", fresh) : rows.patch(counts._id, fresh));
  });
  return chatIds;
}

async function addChat(rows: Rows, machine: string, worker: string, id: string, turns: number): Promise<void> {
  await rows.insert("chats", {
    id,
    machine,
    worker,
    title: "t",
    state: "ready",
    reason: null,
    model: null,
    agent: null,
    agentSessionId: null,
    reported: NEVER,
    lastOrdinal: turns,
    queuedCount: turns,
    pendingAskCount: 0,
    createdAt: START_MS,
    activeAt: START_MS,
    worktree: { directory: `w/${id}`, branch: "b", state: "present", reason: null },
    open: true,
    openTurns: turns,
    openAsks: 0,
  });
  for (let ordinal = 1; ordinal <= turns; ordinal += 1) {
    await rows.insert("turns", {
      id: newId("trn"),
      chat: id,
      machine,
      ordinal,
      state: "queued",
      reason: null,
      cancelRequested: false,
      createdAt: START_MS,
      deliveredAt: null,
      endedAt: null,
      hash: null,
      open: true,
      messageBytes: 1,
      answerBytes: 0,
    });
  }
}

test("chat sessions of more than one batch end with their machine", { timeout: 120_000 }, async () => {
  const world = await World.begin();
  await fill(world, { workers: 10, chats: CHATS, turns: 1 });
  const { machineId } = world;
  const inbox = await world.machine("machine:inbox");
  expect((inbox.chats as JsonObject[]).filter((chat) => chat.turn !== null).length).toBe(CHATS);
  const before = await world.person("machine:view", { machineId });
  expect((before.workers as JsonObject[]).length).toBe(10);
  await world.person("machine:revoke", { machineId });
  await world.advance(0);
  const after = await world.person("machine:view", { machineId });
  expect(after.machine).toMatchObject({ state: "revoked", openChatCount: 0 });
  const chats = after.chats as JsonObject[];
  expect(chats.length).toBe(CHATS);
  expect(chats.every((chat) => chat.state === "closed" && chat.queuedCount === 0)).toBe(true);
  expect(chats.every((chat) => (chat.worktree as JsonObject).state === "kept")).toBe(true);
  await world.seed(async (rows) => {
    expect((await rows.query("openCommands").collect()).length).toBe(0);
    expect((await rows.query("chats").collect()).filter((chat) => chat.open).length).toBe(0);
  });
});

test("a chat session with many messages and all its asks ends", { timeout: 60_000 }, async () => {
  const world = await World.begin();
  const { chatSessionId, turnId } = await world.chatAtWork();
  for (let index = 0; index < 100; index += 1) {
    const body = { kind: "permission", permission: "bash", patterns: [] };
    await world.machine("worker/chat:openAsk", { turnId, agentAskId: String(index), body });
  }
  for (let index = 0; index < 200; index += 1) {
    await world.person("worker/chat:sendMessage", { chatSessionId, message: "x" });
  }
  await world.person("worker/chat:endSession", { chatSessionId });
  const { chat, asks } = await world.person("worker/chat:view", { chatSessionId });
  expect(chat).toMatchObject({ state: "closed", queuedCount: 0, pendingAskCount: 0 });
  expect(asks).toEqual([]);
});

test("1,000 machines are listed", { timeout: 60_000 }, async () => {
  const world = await World.begin();
  await world.seed(async (rows) => {
    for (let index = 1; index < 1_000; index += 1) {
      const row = { owner: ANN, name: "m", state: "created", info: null, keyHash: null } as const;
      await rows.insert("machines", { ...row, id: newId("mch"), createdAt: START_MS, open: true });
    }
  });
  const { machines } = await world.person("machine:list", {});
  expect((machines as JsonObject[]).length).toBe(1_000);
  await expect(world.person("machine:create", { name: "one more" })).rejects.toThrow("limit_reached");
});

test("an answer of 8 MiB is written, and read alone", { timeout: 60_000 }, async () => {
  const world = await World.begin();
  const { chatSessionId, turnId } = await world.chatAtWork();
  const frame = { parts: [{ id: "p", kind: "text", text: "" }], hash: "0".repeat(64), usage: null, model: null };
  // Characters of four bytes, one of which would lie across each piece's end.
  const room = 8 * 1024 * 1024 - JSON.stringify(frame).length;
  const text = "a".repeat(room % 4) + "😀".repeat(Math.floor(room / 4));
  const hash = createHash("sha256").update(text).update("\0").digest("hex");
  const answer = { ...frame, parts: [{ id: "p", kind: "text", text }], hash };
  expect(Buffer.byteLength(JSON.stringify(answer))).toBe(8 * 1024 * 1024);
  await world.machine("worker/chat:writeMessage", { turnId, outcome: "completed", answer });
  const page = await world.person("worker/chat:transcript", { chatSessionId });
  const [record] = page.turns as { answer: typeof answer }[];
  expect(record?.answer.parts[0]?.text === text).toBe(true);
  const { turn } = await world.person("worker/chat:sendMessage", { chatSessionId, message: "more" });
  const next = await world.person("worker/chat:transcript", { chatSessionId });
  // The one before is more than what is left of the page.
  expect(next).toMatchObject({ turns: [{ turn: { id: (turn as JsonObject).id } }], hasEarlier: true });
});

test("a long answer's chunks are read in pages, and go an hour after its end", { timeout: 60_000 }, async () => {
  const world = await World.begin();
  const { turnId } = await world.chatAtWork();
  const delta = "x".repeat(16_000);
  const count = 450;
  for (let seq = 0; seq < count; seq += 1) {
    const chunks = JSON.stringify([{ turn: turnId, seq, op: "append", part: "p", kind: "text", delta }]);
    await world.machine("worker/chat:writeChunk", { turnId, epoch: 1, seq, chunks });
  }
  let read = 0;
  for (let after = "-1", upToDate = false; !upToDate;) {
    const page = await world.person("worker/chat:chunks", { turnId, after });
    const batches = page.batches as string[];
    expect(batches.join("").length).toBeLessThanOrEqual(1024 * 1024);
    read += batches.length;
    [after, upToDate] = [page.next as string, page.upToDate as boolean];
  }
  expect(read).toBe(count);
  const empty = createHash("sha256").digest("hex");
  await world.machine("worker/chat:writeMessage", { turnId, outcome: "completed", answer: { hash: empty } });
  await world.advance(60 * 60 * 1_000);
  await expect(world.person("worker/chat:chunks", { turnId, after: "-1" })).rejects.toThrow("not_found");
  await world.seed(async (rows) => {
    expect(await rows.query("chunks").collect()).toEqual([]);
  });
});
