import type { ChatState, MachineInfo, MachineSummary, Presence } from "../wire.gen";
import { ANSWER } from "./script";
import type { FakeChat, FakeWorld } from "./world";

const MINUTE = 60_000;

/** Fills a world with what a person has after a week: enough for every page to have something to show. */
export function seed(world: FakeWorld, now = Date.now()): void {
  const laptop = machine(
    world,
    "laptop",
    { state: "online", epoch: 12, since: now - 95 * MINUTE },
    info("thinkpad-x1", "linux", "x86_64", "/home/dev/work"),
  );
  const box = machine(
    world,
    "build-box",
    { state: "unknown", since: now - 17 * MINUTE },
    info("bb-01", "linux", "aarch64", "/srv/agents"),
  );
  const mini = machine(
    world,
    "mac-mini",
    { state: "online", epoch: 3, since: now - 60 * MINUTE },
    {
      ...info("mini", "macos", "aarch64", "/Users/ci/repos"),
      opencodeVersion: null,
      problem: "opencode was not found in PATH. Install it with `npm i -g opencode-ai`, then restart the machine.",
    },
  );
  machine(world, "new-server", { state: "never" }, null);

  const api = worker(world, laptop, "api-server", "repos/api-server");
  const docs = worker(world, laptop, "docs", "repos/docs");
  const nightly = worker(world, laptop, "nightly", "repos/nightly");
  const train = worker(world, box, "nightly-builds", "ci/nightly");
  worker(world, mini, "ios-app", "ios-app");

  const long = chat(world, api, "Fix the flaky reconnect test", "ready", now - 4 * MINUTE);
  for (let index = 0; index < 70; index += 1)
    done(
      world,
      long,
      `Step ${index + 1}: what changed since the last run of the reconnect suite?`,
      now - (400 - index * 5) * MINUTE,
    );
  done(
    world,
    long,
    "The reconnect test in transport fails now and then on CI. Find out why and fix it; don't just raise the timeout.",
    now - 6 * MINUTE,
  );

  const asking = chat(world, api, "Upgrade axum to 0.9", "busy", now - MINUTE);
  const askTurn = world.addTurn(asking, "Upgrade axum to 0.9 and fix what breaks.", now - 2 * MINUTE);
  askTurn.summary = { ...askTurn.summary, state: "streaming", deliveredAt: now - 2 * MINUTE };
  world.write(askTurn, {
    op: "append",
    part: "p1",
    kind: "text",
    delta: "The new version is in the lock file. Next I want to see what no longer compiles.",
  });
  asking.asks.push({
    id: world.id("ask"),
    chatSessionId: asking.summary.id,
    turnId: askTurn.summary.id,
    body: {
      kind: "permission",
      permission: "bash",
      patterns: ["cargo check --workspace"],
      detail: JSON.stringify({ command: "cargo check --workspace 2>&1 | head -100" }),
      always: ["cargo check *"],
    },
    state: "pending",
    createdAt: now - MINUTE,
    deadline: now + 24 * 60 * MINUTE,
  });

  chat(world, api, "Explain the retry logic", "hibernated", now - 300 * MINUTE);
  const failed = chat(world, api, "Migrate to the new config", "failed", now - 900 * MINUTE);
  failed.summary.reason = "The port it was given is taken. Nothing was changed.";
  const waiting = chat(world, docs, "Check the links", "hibernated", now - 40_000);
  world.addTurn(waiting, "Check every link in the docs and fix those that are dead.", now - 40_000);
  waiting.wait = { ahead: 2, processes: 6, processLimit: 6, forMemory: false };
  world.statuses.set(laptop.id, {
    at: now - 4_000,
    status: {
      startedAt: now - 95 * MINUTE,
      reconnects: 3,
      processes: 6,
      processLimit: 6,
      memoryBytes: 2_900_000_000,
      memoryLimitBytes: 6 * 1024 ** 3,
      waiting: [waiting.summary.id],
      spooledBytes: 18_432,
      pendingCalls: 1,
      errors: [
        { at: now - 52 * MINUTE, message: "The backend was away for 38 s: connection reset by peer." },
        {
          at: now - 14 * MINUTE,
          message: "opencode of a chat in repos/api-server ended by itself (signal 9) and was started again.",
        },
      ],
    },
  });
  const before = chat(world, train, "Weekly cost report", "closed", now - 200 * MINUTE);
  done(world, before, "What did our builds cost this week?", now - 210 * MINUTE);
  const after = chat(world, nightly, "Weekly cost report", "ready", now - 190 * MINUTE);
  after.summary.continues = before.summary.id;
  before.summary.continuedBy = after.summary.id;
  const away = chat(world, train, "Nightly: dependency report", "busy", now - 18 * MINUTE);
  const cut = world.addTurn(away, "Summarise what changed in our dependencies this week.", now - 30 * MINUTE);
  cut.summary = { ...cut.summary, deliveredAt: now - 30 * MINUTE };
  world.write(cut, { op: "append", part: "p1", kind: "text", delta: "I'll read the lock file's history first." });
  world.end(cut, "interrupted", {
    reason: "The agent was restarted while this turn ran.",
    now: now - 20 * MINUTE,
  });
  world.addTurn(away, "Then open a pull request with the safe ones.", now - 10 * MINUTE);
  world.addTurn(away, "And post the summary to the team.", now - 9 * MINUTE);
}

function info(hostname: string, os: string, arch: string, root: string): MachineInfo {
  const enforcement =
    os === "linux"
      ? "Landlock holds git, and opencode where a worker asks for it, to the folders they may write to."
      : "The kernel has no Landlock, so nothing holds git or opencode to their folders.";
  return { hostname, os, arch, root, agentVersion: "0.1.0", opencodeVersion: "1.18.33", enforcement };
}

function machine(world: FakeWorld, name: string, presence: Presence, machineInfo: MachineInfo | null): MachineSummary {
  const state = machineInfo ? "registered" : "created";
  const keyExpiresAt = machineInfo ? null : Date.now() + 8 * MINUTE;
  const row: MachineSummary = {
    id: world.id("mch"),
    name,
    state,
    presence,
    info: machineInfo,
    keyExpiresAt,
    createdAt: Date.now() - 9_000 * MINUTE,
    workerCount: 0,
    openChatCount: 0,
    pendingAskCount: 0,
  };
  world.machines.push(row);
  return row;
}

function worker(
  world: FakeWorld,
  on: MachineSummary,
  name: string,
  directory: string,
): { id: string; machineId: string } {
  const row = {
    id: world.id("wrk"),
    machineId: on.id,
    name,
    directory,
    state: "ready" as const,
    createdAt: Date.now() - 8_000 * MINUTE,
    openChatCount: 0,
    settings: { sandbox: "off" as const },
  };
  world.workers.push(row);
  return row;
}

function chat(
  world: FakeWorld,
  of: { id: string; machineId: string },
  title: string,
  state: ChatState,
  activeAt: number,
): FakeChat {
  const row: FakeChat = {
    summary: {
      id: world.id("cht"),
      machineId: of.machineId,
      workerId: of.id,
      title,
      state,
      queuedCount: 0,
      pendingAskCount: 0,
      createdAt: activeAt,
      activeAt,
    },
    turns: [],
    asks: [],
  };
  world.chats.push(row);
  return row;
}

function done(world: FakeWorld, to: FakeChat, message: string, at: number): void {
  const turn = world.addTurn(to, message, at);
  turn.summary = { ...turn.summary, deliveredAt: at + 400 };
  world.write(turn, {
    op: "append",
    part: "r1",
    kind: "reasoning",
    delta: "It races a timer against the socket; look at how the backoff is driven.",
  });
  world.write(turn, {
    op: "replace",
    part: {
      id: "t1",
      kind: "tool",
      tool: "bash",
      state: "completed",
      title: "Run the tests",
      input: '{"command":"cargo test -p transport"}',
      output: "running 3 tests\ntest result: ok. 3 passed; 0 failed\n",
      truncated: false,
      startedAt: at,
      endedAt: at + 3_400,
    },
  });
  world.write(turn, { op: "append", part: "p1", kind: "text", delta: ANSWER });
  world.end(turn, "completed", { now: at + 14_200 });
}
