/** What the scenarios can't see of schedules: steps of bounded size, deadlines that come twice or never. */
import { expect, test } from "vitest";
import { newId } from "../../../../convex/model/ids.ts";
import { checkWebhook } from "../../../../convex/model/scheduleSpec.ts";
import { allows, fits } from "../../../../convex/model/unattended.ts";
import type { JsonObject } from "../../vectors/format.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const EVERY_MINUTE = { kind: "cron", expression: "* * * * *", zone: "UTC" };
const HOURLY = { kind: "cron", expression: "0 * * * *", zone: "UTC" };

type Made = { world: World; workerId: string; scheduleId: string };

async function scheduled(spec: JsonObject): Promise<Made> {
  const world = await World.begin();
  const { id } = await world.person("worker:register", { machineId: world.machineId, directory: "a" });
  const workerId = id as string;
  return { world, workerId, scheduleId: await create(world, workerId, spec) };
}

async function create(world: World, workerId: string, spec: JsonObject): Promise<string> {
  const { schedule } = await world.person("schedule:create", {
    workerId,
    spec: { name: "Nightly", prompt: "go", ...spec },
  });
  return (schedule as { id: string }).id;
}

type Row = { dueAt: number; isManual: boolean; until: number | null; count: number; state: string };

async function rowsOf(world: World): Promise<Row[]> {
  let rows: Row[] = [];
  await world.seed(async (db) => {
    rows = await db.query("runs").collect();
  });
  return rows.sort((a, b) => a.dueAt - b.dueAt);
}

/** How many firings the rows stand for; fails if two stand for the same. */
function firings(rows: Row[]): number {
  for (const [index, row] of rows.entries()) {
    const next = rows[index + 1];
    expect(next === undefined || (row.until ?? row.dueAt) < next.dueAt).toBe(true);
  }
  return rows.reduce((sum, row) => sum + row.count, 0);
}

test("a firing whose deadline comes several times has one row", async () => {
  const { world, scheduleId } = await scheduled({ when: HOURLY });
  for (let revision = 1; revision <= 3; revision += 1) {
    // Each edit arms a deadline of its own for the same instant.
    const spec = { name: "Nightly", prompt: "go", when: HOURLY };
    await world.person("schedule:edit", { scheduleId, revision, spec });
  }
  await world.advance(HOUR);
  expect((await rowsOf(world)).length).toBe(1);
  await world.advance(HOUR);
  expect((await rowsOf(world)).map(({ state }) => state)).toEqual(["queued", "skipped"]);
});

test("runs with long messages are caught up in several transactions", { timeout: 120_000 }, async () => {
  const catchUp = { kind: "all", withinMs: 2 * HOUR };
  const { world } = await scheduled({ when: EVERY_MINUTE, prompt: "x".repeat(250_000), overlap: "cancel", catchUp });
  await world.clock.jump(3 * HOUR);
  await world.advance(0);
  const rows = await rowsOf(world);
  expect(firings(rows)).toBe(180);
  const count = (state: string) => rows.filter((row) => row.state === state).length;
  expect([count("missed"), count("skipped"), count("queued")]).toEqual([51, 101, 1]);
  await world.seed(async (db) => {
    expect((await db.query("chats").collect()).filter((chat) => chat.open).length).toBe(1);
  });
});

test("a call that comes while a long look back goes on is told to come again", { timeout: 120_000 }, async () => {
  const { world, scheduleId } = await scheduled({ when: EVERY_MINUTE });
  const minutes = 60_000;
  // The clock is set on, and the call comes before the schedule's deadline is met.
  Object.assign(world.clock, { nowMs: world.clock.now() + minutes * MINUTE });
  await expect(world.person("schedule:pause", { scheduleId })).rejects.toThrow("still looks back");
  expect(await rowsOf(world)).toEqual([]);
  await world.advance(0);
  expect(firings(await rowsOf(world))).toBe(minutes);
  const { schedule } = await world.person("schedule:pause", { scheduleId });
  expect(schedule).toMatchObject({ state: "paused", nextAt: null });
});

test("schedules of more than one batch pause with their worker, and their runs end", { timeout: 120_000 }, async () => {
  const { world, workerId } = await scheduled({ when: HOURLY, overlap: "queue" });
  for (let made = 1; made < 45; made += 1) {
    await create(world, workerId, { when: HOURLY, overlap: "queue" });
  }
  await world.advance(HOUR);
  await world.person("worker:remove", { workerId });
  await world.advance(2 * HOUR);
  const { schedules } = await world.person("schedule:list", {});
  const paused = { state: "paused", reason: "Its worker was removed.", openRunCount: 0 };
  expect(schedules).toMatchObject(Array(45).fill(paused));
  expect((await rowsOf(world)).map(({ state }) => state)).toEqual(Array<string>(45).fill("cancelled"));
});

test("a schedule and a run whose deadlines were lost are found by the sweep", async () => {
  const { world } = await scheduled({ when: HOURLY });
  const lost = newId("sch");
  const nextAt = world.clock.now() + HOUR;
  await world.seed(async (db) => {
    const schedule = await db.query("schedules").first();
    if (schedule === null) throw new Error("there is no schedule");
    const { _id, _creationTime, ...fields } = schedule;
    await db.insert("schedules", { ...fields, id: lost, nextAt });
    await db.insert("prompts", { schedule: lost, text: "go" });
    await db.patch(_id, { state: "paused", nextAt: null });
  });
  await world.advance(2 * HOUR);
  expect(await rowsOf(world)).toEqual([]);
  await world.cron("upkeep:sweep");
  await world.advance(0);
  expect((await rowsOf(world)).map(({ state }) => state)).toEqual(["missed", "queued"]);
});

test("a star stands for any text and nothing else does", () => {
  const cases: [string, string, boolean][] = [
    ["git *", "git status", true],
    ["git *", "git ", true],
    ["git *", "git", false],
    ["git *", "agit x", false],
    ["*", "", true],
    ["*", "a\nb", true],
    ["", "", true],
    ["", "a", false],
    ["ls", "ls", true],
    ["ls", "ls -l", false],
    ["a*b*c", "a-b-c", true],
    ["a*b*c", "abc", true],
    ["a*b*c", "acb", false],
    ["xy*yx", "xyx", false],
    ["*.rs", "src/a.rs", true],
    ["*.rs", "a.rs.txt", false],
    ["a?c", "abc", false],
    ["**", "anything", true],
  ];
  for (const [pattern, text, expected] of cases) {
    expect(fits(pattern, text), `${pattern} ${text}`).toBe(expected);
  }
});

test("all that an ask is about has to fit", () => {
  expect(allows("edit", "edit", [])).toBe(true);
  expect(allows("edit", "editor", [])).toBe(false);
  expect(allows("bash:git *", "bash", ["git a", "git b"])).toBe(true);
  expect(allows("bash:git *", "bash", ["git a", "rm b"])).toBe(false);
  expect(allows("bash:git *", "bash", [])).toBe(false);
  expect(allows("bash:git *", "edit", ["git a"])).toBe(false);
  expect(allows("webfetch:https://a:1/*", "webfetch", ["https://a:1/x"])).toBe(true);
});

test("a webhook goes over TLS or stays on the computer", () => {
  const good = ["https://example.org/hook?x=1", "https://example.org:8443", "http://localhost:9000/"];
  for (const url of [...good, "http://127.0.0.1/x", "http://[::1]:80/x"]) {
    expect(() => checkWebhook(url), url).not.toThrow();
  }
  const bad = ["", "example.org", "https://", "https:///x", "http://example.org/", "http://localhost.example.org/"];
  const worse = ["http://127.0.0.1.example.org/", "http://localhost@example.org/", "https://a:b@example.org/"];
  for (const url of [
    ...bad,
    ...worse,
    "ftp://example.org/",
    "https://example.org/a b",
    "https://example.org\\@localhost/",
  ]) {
    expect(() => checkWebhook(url), url).toThrow();
  }
});
