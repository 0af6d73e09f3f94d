/**
 * The one choke point for who may reach what. Every row that a call touches by an id from its arguments is loaded
 * here, and another's row answers exactly as one that does not exist.
 */

import type { Doc } from "../functions/_generated/dataModel";
import type { QueryCtx } from "../functions/_generated/server";
import type { Access } from "./contract";
import { isId, personIdOf } from "./ids";
import { notFound, refusal, revoked } from "./refusal";
import { matches } from "./secrets";

export interface Person {
  kind: "person";
  id: string;
}

/** A machine, on its connection in effect or on one that has not been used so far. */
export interface Machine {
  kind: "machine";
  id: string;
  epoch: number;
  /** Whether the connection has not taken effect yet. */
  isPending: boolean;
}

export interface Nobody {
  kind: "nobody";
}

export type Actor = Person | Machine | Nobody;

/** Who may be let in where. */
export interface ActorBy {
  anyone: Nobody;
  person: Person;
  machine: Machine;
  either: Person | Machine;
}

/**
 * Connection tokens are `omc_<machine id>_<epoch>_<secret>`: they say whose they are, so that a token of an earlier
 * connection can be told from a wrong one.
 */
const CONNECTION_PREFIX = "omc";

export const connectionToken = (machine: string, epoch: number, nonce: string): string =>
  `${CONNECTION_PREFIX}_${machine}_${epoch}_${nonce}`;

/** Checks what the caller brought, and whether this kind of caller may call the function at all. */
export async function authorise<A extends Access>(
  ctx: QueryCtx,
  name: string,
  access: A,
  token: string | undefined,
): Promise<ActorBy[A]> {
  // The credential is among the arguments; what else came, such as an earlier connection's token, is nothing.
  const actor: Actor = access === "anyone" ? { kind: "nobody" } : await recognise(ctx, token);
  if (access === "machine" && actor.kind === "nobody") {
    throw refusal("unauthenticated", "This needs a machine's connection token. Connect first.");
  }
  if (access !== "anyone" && actor.kind === "nobody") {
    throw refusal("unauthenticated", "You are not signed in. Sign in and try again.");
  }
  if (access === "person" && actor.kind === "machine") {
    throw refusal("forbidden", `${name} is for people, not for machines.`);
  }
  if (access === "machine" && actor.kind === "person") {
    throw refusal("forbidden", `${name} is for machines, not for people.`);
  }
  return actor as ActorBy[A];
}

async function recognise(ctx: QueryCtx, token: string | undefined): Promise<Actor> {
  if (token !== undefined) {
    return await connection(ctx, token);
  }
  const identity = await ctx.auth.getUserIdentity();
  return identity === null ? { kind: "nobody" } : { kind: "person", id: personIdOf(identity.tokenIdentifier) };
}

/** The machine whose connection token this is, unless a later connection has taken effect. */
async function connection(ctx: QueryCtx, token: string): Promise<Machine> {
  const [prefix, idPrefix = "", idRest = "", epochText = ""] = token.split("_");
  const id = `${idPrefix}_${idRest}`;
  const epoch = Number(epochText);
  if (prefix !== CONNECTION_PREFIX || !isId(id, "mch") || !/^\d+$/.test(epochText)) {
    throw unknownToken();
  }
  const machine = await machineById(ctx, id);
  if (machine?.state === "revoked") {
    throw revoked();
  }
  const credentials = await credentialsOf(ctx, id);
  if (machine === null || credentials === null) {
    throw unknownToken();
  }
  if (epoch < credentials.epoch) {
    throw staleEpoch(epoch, credentials.epoch);
  }
  const isPending = epoch > credentials.epoch;
  const hash = isPending ? (await pendingRow(ctx, id, epoch))?.connection : credentials.connection;
  if (hash == null || !matches(hash, token)) {
    throw unknownToken();
  }
  return { kind: "machine", id, epoch, isPending };
}

const unknownToken = () =>
  refusal("unauthenticated", "This connection token is not known. Connect again with the machine's secret.");

export const staleEpoch = (epoch: number, current: number) =>
  refusal(
    "stale_epoch",
    `Another process has connected with this MACHINE_ID (epoch ${current}; this one is ${epoch}). ` +
      "The newer one goes on, this one stops.",
  );

export const credentialsOf = (ctx: QueryCtx, machine: string): Promise<Doc<"credentials"> | null> =>
  ctx.db
    .query("credentials")
    .withIndex("by_machine", (q) => q.eq("machine", machine))
    .unique();

/** The highest epoch that was ever handed out. */
export const newestEpoch = ({ epoch, handedOut = 0 }: Doc<"credentials">): number => Math.max(epoch, handedOut);

/** A connection that was handed out and not used so far, while it may still be. */
export async function pendingRow(ctx: QueryCtx, machine: string, epoch: number): Promise<Doc<"pending"> | null> {
  const row = await ctx.db
    .query("pending")
    .withIndex("by_machine_epoch", (q) => q.eq("machine", machine).eq("epoch", epoch))
    .unique();
  return row !== null && row.expiresAt > Date.now() ? row : null;
}

/** A machine without any question of whose it is: for what has been let in already. */
export const machineById = (ctx: QueryCtx, id: string): Promise<Doc<"machines"> | null> =>
  ctx.db
    .query("machines")
    .withIndex("by_ownId", (q) => q.eq("id", id))
    .unique();

export async function machineRow(ctx: QueryCtx, actor: Actor, id: string): Promise<Doc<"machines">> {
  const row = await machineById(ctx, id);
  if (row === null || !isTheirs(row, actor)) {
    throw notFound("machine");
  }
  return row;
}

function isTheirs(machine: Doc<"machines">, actor: Actor): boolean {
  switch (actor.kind) {
    case "person":
      return machine.owner === actor.id;
    case "machine":
      return machine.id === actor.id;
    case "nobody":
      return false;
  }
}

/** A row that belongs to a machine, if that machine is the caller's. */
async function rowOf<R extends { machine: string }>(
  ctx: QueryCtx,
  actor: Actor,
  what: string,
  loaded: Promise<R | null>,
): Promise<R> {
  const row = await loaded;
  const machine = row === null ? null : await machineById(ctx, row.machine);
  if (row === null || machine === null || !isTheirs(machine, actor)) {
    throw notFound(what);
  }
  return row;
}

type ThingTable = "workers" | "chats" | "turns" | "asks" | "commands" | "schedules" | "runs";

const byId = async <T extends ThingTable>(ctx: QueryCtx, table: T, id: string): Promise<Doc<T> | null> => {
  // The compiler can't see that these tables have the same index, so one of them stands for all.
  const rows = ctx.db.query(table as "workers").withIndex("by_ownId", (q) => q.eq("id", id));
  return (await rows.unique()) as Doc<ThingTable> | null as Doc<T> | null;
};

export const workerById = (ctx: QueryCtx, id: string) => byId(ctx, "workers", id);
export const chatById = (ctx: QueryCtx, id: string) => byId(ctx, "chats", id);
export const turnById = (ctx: QueryCtx, id: string) => byId(ctx, "turns", id);
export const askById = (ctx: QueryCtx, id: string) => byId(ctx, "asks", id);
export const commandById = (ctx: QueryCtx, id: string) => byId(ctx, "commands", id);
export const scheduleById = (ctx: QueryCtx, id: string) => byId(ctx, "schedules", id);
export const runById = (ctx: QueryCtx, id: string) => byId(ctx, "runs", id);

/** A schedule or a run, which belongs to a person and not to a machine. */
async function ownRow<R extends { owner: string }>(actor: Actor, what: string, loaded: Promise<R | null>): Promise<R> {
  const row = await loaded;
  if (row === null || actor.kind !== "person" || row.owner !== actor.id) {
    throw notFound(what);
  }
  return row;
}

export const workerRow = (ctx: QueryCtx, actor: Actor, id: string) => rowOf(ctx, actor, "worker", workerById(ctx, id));
export const chatRow = (ctx: QueryCtx, actor: Actor, id: string) =>
  rowOf(ctx, actor, "chat session", chatById(ctx, id));
export const turnRow = (ctx: QueryCtx, actor: Actor, id: string) => rowOf(ctx, actor, "turn", turnById(ctx, id));
export const askRow = (ctx: QueryCtx, actor: Actor, id: string) => rowOf(ctx, actor, "ask", askById(ctx, id));
export const commandRow = (ctx: QueryCtx, actor: Actor, id: string) =>
  rowOf(ctx, actor, "command", commandById(ctx, id));
export const scheduleRow = (ctx: QueryCtx, actor: Actor, id: string) =>
  ownRow(actor, "schedule", scheduleById(ctx, id));
export const runRow = (ctx: QueryCtx, actor: Actor, id: string) => ownRow(actor, "run", runById(ctx, id));
