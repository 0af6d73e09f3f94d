/** What makes a subscription run again, and what has to leave it alone: each update is a call that is paid for. */
import { beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../vectors/format.ts";
import { World } from "./world.ts";

let world: World;
let chat: { workerId: string; chatSessionId: string; turnId: string };
let commandId: string;
let scheduleId: string;
let appended = 0;
/** Waits for a process from the beginning. */
let waiting: string;

beforeAll(async () => {
  world = await World.begin();
  chat = await world.chatAtWork();
  const operation = { kind: "clone", url: "https://example.org/a.git", path: "a" };
  const { command } = await world.person("machine/command:request", { machineId: world.machineId, operation });
  commandId = (command as { id: string }).id;
  await world.machine("machine/command:take", { commandId });
  await world.machine("machine/command:report", { commandId, progress: { phase: "Receiving" }, seq: 1 });
  await append();
  const queued = await world.person("worker/chat:startSession", { workerId: chat.workerId });
  waiting = queued.chatSessionId as string;
  await world.person("worker/chat:sendMessage", { chatSessionId: waiting, message: "Hello" });
  await tellWaits(1, [waiting]);
  const when = { kind: "cron", expression: "0 * * * *", zone: "UTC" };
  const spec = { name: "Nightly", prompt: "go", when };
  const { schedule } = await world.person("schedule:create", { workerId: chat.workerId, spec });
  scheduleId = (schedule as { id: string }).id;
  // The first sign that somebody watches makes a row, the later ones change it.
  await world.person("worker/chat:viewing", { turnId: chat.turnId });
});

function append(): Promise<unknown> {
  const seq = appended++;
  const chunk = { turn: chat.turnId, seq, op: "append", part: "p", kind: "text", delta: "x" };
  const chunks = JSON.stringify([chunk]);
  return world.machine("worker/chat:writeChunk", { turnId: chat.turnId, epoch: 1, seq, chunks });
}

const queries: Record<string, () => [string, JsonObject | "machine"]> = {
  list: () => ["machine:list", {}],
  view: () => ["machine:view", { machineId: world.machineId }],
  health: () => ["machine:health", { machineId: world.machineId }],
  inbox: () => ["machine:inbox", "machine"],
  activity: () => ["machine:activity", { machineId: world.machineId }],
  command: () => ["machine/command:view", { commandId }],
  chat: () => ["worker/chat:view", { chatSessionId: chat.chatSessionId }],
  waiting: () => ["worker/chat:view", { chatSessionId: waiting }],
  schedules: () => ["schedule:list", {}],
  schedule: () => ["schedule:view", { scheduleId }],
  ledger: () => ["schedule:ledger", {}],
  chunks: () => ["worker/chat:chunks", { turnId: chat.turnId, after: "-1" }],
};

const acts: [string, () => Promise<unknown>, string[]][] = [
  ["a heartbeat", beat, ["health"]],
  ["a heartbeat that tells the same of those that wait", () => tellWaits(1, [waiting]), ["health"]],
  ["a heartbeat that tells something else of them", () => tellWaits(2, [waiting]), ["health", "waiting"]],
  ["a heartbeat that tells that nobody waits", () => tellWaits(1, []), ["health", "waiting"]],
  ["a heartbeat that tells how the machine is", () => tellWaits(2, []), ["health"]],
  ["the lease's own deadline while the machine lives", livesOn, ["health"]],
  ["an append", append, ["chunks"]],
  ["somebody who watches", () => world.person("worker/chat:viewing", { turnId: chat.turnId }), []],
  ["a command's progress", reportProgress, ["activity", "command"]],
  [
    "a machine that drains",
    () => world.machine("machine:heartbeat", { draining: true }),
    ["list", "view", "health", "waiting"],
  ],
  ["another title", renameChat, ["view", "health", "inbox", "chat"]],
  ["another message", sendMessage, ["view", "health", "inbox", "chat"]],
  ["an ask", openAsk, ["list", "view", "health", "inbox", "chat"]],
  ["a run", runNow, ["list", "view", "health", "inbox", "schedules", "schedule", "ledger"]],
];

function runNow(): Promise<unknown> {
  return world.person("schedule:runNow", { scheduleId });
}

async function beat(): Promise<void> {
  await world.advance(1);
  await world.machine("machine:heartbeat");
}

async function tellWaits(processes: number, waiting: string[]): Promise<void> {
  await world.advance(1);
  const errors = [{ at: 1, message: "x" }];
  const status = { processes, processLimit: 2, memoryBytes: 1_000_000, waiting, errors };
  await world.machine("machine:heartbeat", { status });
}

async function livesOn(): Promise<void> {
  for (let seconds = 0; seconds < 60; seconds += 15) {
    await world.machine("machine:heartbeat");
    await world.advance(15_000);
  }
}

function reportProgress(): Promise<unknown> {
  return world.machine("machine/command:report", { commandId, progress: { phase: "Receiving", percent: 50 }, seq: 2 });
}
function renameChat(): Promise<unknown> {
  return world.person("worker/chat:renameSession", { chatSessionId: chat.chatSessionId, title: "Other" });
}
function sendMessage(): Promise<unknown> {
  return world.person("worker/chat:sendMessage", { chatSessionId: chat.chatSessionId, message: "And then?" });
}
function openAsk(): Promise<unknown> {
  return world.machine("worker/chat:openAsk", {
    turnId: chat.turnId,
    agentAskId: "1",
    body: { kind: "permission", permission: "bash", patterns: ["ls"] },
  });
}

describe.each(acts)("%s", (_, act, expected) => {
  test(`makes run again: ${expected.join(", ") || "nothing"}`, async () => {
    const reads = new Map<string, Awaited<ReturnType<World["reads"]>>>();
    for (const [name, query] of Object.entries(queries)) reads.set(name, await world.reads(...query()));
    const writes = await world.writes(act);
    expect(writes.length).toBeGreaterThan(0);
    const rerun = [...reads].filter(([, read]) => read.intersects(writes)).map(([name]) => name);
    expect(rerun.sort()).toEqual([...expected].sort());
  });
});
