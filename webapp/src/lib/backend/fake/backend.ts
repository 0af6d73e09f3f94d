import {
  BackendError,
  type Args,
  type Backend,
  type CallName,
  type ConnectionState,
  type Me,
  type QueryName,
  type Reply,
  type WaysIn,
} from "../backend";
import { Cell } from "../observable";
import type { ErrorCode, MachineSummary } from "../wire.gen";
import { FakeDirectories } from "./directories";
import { FakeSchedules } from "./schedules";
import { FakeAgent } from "./script";
import { seed } from "./seed";
import { seedSchedules } from "./seed-schedules";
import { FakeWorld, type FakeChat } from "./world";

const KEY_LIFE_MS = 10 * 60_000;
const TRANSCRIPT_PAGE = 50;
const NOBODY_IS_THERE = "Nobody is there to allow this: the schedule does not list it.";

export interface Fake extends Backend {
  readonly world: FakeWorld;
  readonly directories: FakeDirectories;
  readonly schedules: FakeSchedules;
  readonly connection: Cell<ConnectionState>;
}

/** A backend in memory, for work on the page and for its tests. Never part of a production build. */
export function fakeBackend({
  pace = 1,
  seeded = true,
  signedIn = true,
  ways = { password: true, provider: null, link: "once" },
}: { pace?: number; seeded?: boolean; signedIn?: boolean; ways?: WaysIn } = {}): Fake {
  const world = new FakeWorld();
  if (seeded) seed(world);
  const agent = new FakeAgent(world, pace);
  const connection = new Cell<ConnectionState>({ kind: "live" });
  const directories = new FakeDirectories(world, pace);
  const own = functionsOf(world, agent);
  const schedules = new FakeSchedules(world, {
    start: (args) => own["worker.chat.startSession"](args).chatSessionId,
    send: (chatSessionId, message) => own["worker.chat.sendMessage"]({ chatSessionId, message }).turn,
    cancel: (turnId) => void own["worker.chat.cancelTurn"]({ turnId }),
    end: (chatSessionId) => void own["worker.chat.endSession"]({ chatSessionId, discardWorktree: false }),
    answer: (ask, allowed) =>
      void own["worker.chat.answerAsk"]({
        askId: ask.id,
        answer: allowed ? { kind: "once" } : { kind: "reject", message: NOBODY_IS_THERE },
      }),
  });
  if (seeded) seedSchedules(world, schedules);
  const functions: FakeFunctions = { ...own, ...directories.functions, ...schedules.functions };
  const done = new Map<string, unknown>();
  let me: Me | null = signedIn
    ? { person: { id: world.owner, name: "owner" }, hasPassword: false, endsAt: null }
    : null;
  const signIn = () => {
    me ??= { person: { id: world.owner, name: "owner" }, hasPassword: true, endsAt: null };
    connection.set({ kind: "live" });
    return Promise.resolve();
  };
  const rejected = (message: string) => Promise.reject(new BackendError("unauthenticated", message));

  const call = async <Name extends CallName>(
    name: Name,
    args: Args<Name>,
    options?: { key?: string },
  ): Promise<Reply<Name>> => {
    await new Promise((resolve) => setTimeout(resolve, 40 * pace));
    const key = options?.key;
    if (key !== undefined && done.has(key)) return done.get(key) as Reply<Name>;
    const reply = structuredClone(functions[name](args));
    if (key !== undefined) done.set(key, reply);
    world.changed();
    return reply;
  };

  return {
    world,
    directories,
    schedules,
    close: () => schedules.close(),
    connection,
    machineAddress: "http://127.0.0.1:7700",
    auth: {
      ways,
      providerAddress: () => Promise.resolve("/sign-in?code=fake&state=fake"),
      signInFromProvider: signIn,
      me: () => Promise.resolve(me),
      signInWithToken: (token) =>
        token === "used" ? rejected("This link has been used. Start again to get a new one.") : signIn(),
      signInWithPassword: (password) =>
        password === "wrong" ? rejected("The password is wrong. Try again, or sign in by a link.") : signIn(),
      setPassword: () => {
        if (me) me = { ...me, hasPassword: true, endsAt: null };
        return Promise.resolve();
      },
      signOut: () => {
        me = null;
        connection.set({ kind: "signed_out" });
        return Promise.resolve();
      },
    },
    call,
    watch: (name, args, onValue, onState) => {
      let last = "";
      const look = () => {
        try {
          const value: Reply<QueryName> = functions[name](args);
          const text = JSON.stringify(value);
          if (text === last) return;
          last = text;
          onValue(JSON.parse(text) as Reply<typeof name>);
          onState?.({ kind: "live" });
        } catch (error) {
          onState?.({ kind: "refused", error: error as BackendError });
        }
      };
      onState?.({ kind: "waiting" });
      queueMicrotask(look);
      return world.onChange(look);
    },
    readStream: (path, fromOffset, { onChunks, onState }) => {
      const turnId = path.split("/").at(-1) ?? "";
      let next = fromOffset === "-1" ? 0 : Number(fromOffset);
      const look = () => {
        const chunks = world.turn(turnId)?.turn.chunks.slice(next) ?? [];
        if (chunks.length === 0) return;
        next += chunks.length;
        onChunks(structuredClone(chunks), String(next));
      };
      onState?.({ kind: "live" });
      queueMicrotask(look);
      return world.onChunk(turnId, look);
    },
  };
}

type FakeFunctions = { [Name in CallName]: (args: Args<Name>) => Reply<Name> };

type OwnFunctions = Omit<FakeFunctions, keyof (FakeDirectories["functions"] & FakeSchedules["functions"])>;

function functionsOf(world: FakeWorld, agent: FakeAgent): OwnFunctions {
  const machine = (id: string) =>
    world.machines.find((other) => other.id === id) ?? refuse("not_found", "This machine does not exist.");
  const worker = (id: string) =>
    world.workers.find((other) => other.id === id) ?? refuse("not_found", "This worker does not exist.");
  const chat = (id: string) => world.chat(id) ?? refuse("not_found", "This chat session does not exist.");
  const turn = (id: string) => world.turn(id) ?? refuse("not_found", "This turn does not exist.");
  const issue = (machineId: string) => {
    const expiresAt = Date.now() + KEY_LIFE_MS;
    machine(machineId).keyExpiresAt = expiresAt;
    return { machineId, registrationKey: "ork_7f3k9q2m8x5c1v6b4n0z7f3k9q2m8x5c", expiresAt };
  };

  return {
    "machine.list": () => ({ machines: world.machines.map((row) => world.counted(row)) }),
    "machine.view": ({ machineId }) =>
      world.machineView(machineId) ?? refuse("not_found", "This machine does not exist."),
    "machine.health": ({ machineId }) => world.health(machine(machineId)),
    "machine.create": ({ name }) => {
      const id = world.id("mch");
      world.machines.push({
        id,
        name,
        state: "created",
        presence: { state: "never" },
        createdAt: Date.now(),
        workerCount: 0,
        openChatCount: 0,
        pendingAskCount: 0,
      });
      return issue(id);
    },
    "machine.reissueKey": ({ machineId }) => issue(machineId),
    "machine.rename": ({ machineId, name }) => {
      machine(machineId).name = name;
      return {};
    },
    "machine.revoke": ({ machineId }) => {
      world.machines = world.machines.filter(({ id }) => id !== machineId);
      return {};
    },
    "worker.register": ({ machineId, directory, name, settings }) => {
      const row = {
        id: world.id("wrk"),
        machineId,
        name: name || (directory.split("/").at(-1) ?? "") || "root",
        directory,
        state: "ready" as const,
        createdAt: Date.now(),
        openChatCount: 0,
        settings,
      };
      world.workers.push(row);
      return row;
    },
    "worker.configure": ({ workerId, settings }) => {
      worker(workerId).settings = settings;
      return worker(workerId);
    },
    "worker.rename": ({ workerId, name }) => {
      worker(workerId).name = name;
      return {};
    },
    "worker.remove": ({ workerId }) => {
      world.workers = world.workers.filter(({ id }) => id !== workerId);
      return {};
    },
    "worker.chat.startSession": ({ workerId, title, model, agent: agentName, ownWorktree, continues }) => {
      const old = continues == null ? null : chat(continues);
      const now = Date.now();
      const id = world.id("cht");
      const place = `${worker(workerId).directory}-worktrees/${id.slice(-6)}`;
      const row: FakeChat = {
        summary: {
          id,
          machineId: worker(workerId).machineId,
          workerId,
          title: title ?? "",
          state: "requested",
          model,
          agent: agentName,
          queuedCount: 0,
          pendingAskCount: 0,
          createdAt: now,
          activeAt: now,
          worktree: ownWorktree ? { directory: place, branch: `orchestrator/${id.slice(-6)}`, state: "present" } : null,
          continues: continues ?? null,
        },
        turns: [],
        asks: [],
      };
      world.chats.push(row);
      if (old) old.summary.continuedBy = id;
      void agent.wake(row);
      return { chatSessionId: row.summary.id };
    },
    "worker.chat.renameSession": ({ chatSessionId, title }) => {
      chat(chatSessionId).summary.title = title;
      return {};
    },
    "worker.chat.endSession": ({ chatSessionId, discardWorktree }) => {
      const row = chat(chatSessionId);
      row.summary.state = "closed";
      if (row.summary.worktree)
        row.summary.worktree = discardWorktree
          ? { ...row.summary.worktree, state: "removed" }
          : { ...row.summary.worktree, state: "kept", reason: "2 files in it are changed and not committed." };
      row.asks = [];
      for (const open of row.turns) if (open.summary.endedAt == null) world.end(open, "cancelled");
      return {};
    },
    "worker.chat.sendMessage": ({ chatSessionId, message }) => {
      const row = chat(chatSessionId);
      const added = world.addTurn(row, message);
      void agent.wake(row);
      return { turn: added.summary };
    },
    "worker.chat.cancelTurn": ({ turnId }) => {
      const { turn: row, chat: of } = turn(turnId);
      if (row.summary.endedAt != null) return { turn: row.summary };
      row.summary = { ...row.summary, cancelRequested: true };
      if (row.summary.state === "queued") row.summary = { ...row.summary, state: "cancelled", endedAt: Date.now() };
      else if (!isConnected(machine(of.summary.machineId))) {
        // Only the machine has the complete message.
        const reason = "Stopped while the machine was away; it may have worked on for a while.";
        row.summary = { ...row.summary, state: "cancelled", endedAt: Date.now(), cancelRequested: false, reason };
        if (of.summary.state === "busy") of.summary.state = "ready";
      }
      for (const ask of of.asks.filter((open) => open.turnId === turnId && open.state === "pending")) {
        ask.state = "withdrawn";
        agent.answered(ask.id, { kind: "reject" });
      }
      return { turn: row.summary };
    },
    "worker.chat.continueTurn": ({ turnId }) => {
      const { chat: row } = turn(turnId);
      const added = world.addTurn(row, "Go on where you were interrupted.");
      void agent.wake(row);
      return { turn: added.summary };
    },
    "worker.chat.answerAsk": ({ askId, answer }) => {
      const ask =
        world.chats.flatMap(({ asks }) => asks).find(({ id }) => id === askId) ??
        refuse("not_found", "This ask does not exist.");
      if (ask.state !== "pending") refuse("conflict", "Somebody has answered this already.");
      ask.state = "answered";
      ask.answer = answer;
      agent.answered(askId, answer);
      return {};
    },
    "worker.chat.view": ({ chatSessionId }) =>
      world.view(chatSessionId) ?? refuse("not_found", "This chat session does not exist."),
    "worker.chat.transcript": ({ chatSessionId, beforeOrdinal, turnIds }) => {
      const all = chat(chatSessionId).turns;
      if (turnIds)
        return {
          turns: all.filter(({ summary }) => turnIds.includes(summary.id)).map((row) => world.record(row)),
          hasEarlier: false,
        };
      const before = all.filter(({ summary }) => beforeOrdinal == null || summary.ordinal < beforeOrdinal);
      const page = before.slice(-TRANSCRIPT_PAGE);
      return { turns: page.map((row) => world.record(row)), hasEarlier: page.length < before.length };
    },
  };
}

function isConnected({ presence }: MachineSummary): boolean {
  return presence.state === "online" || presence.state === "draining";
}

function refuse(code: ErrorCode, message: string): never {
  throw new BackendError(code, message);
}
