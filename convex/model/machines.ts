/** Machines as people handle them: named, given keys, revoked. */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import { credentialsOf, machineById, machineRow, newestEpoch, type Person } from "./access";
import { forgetPending } from "./connections";
import { closeAllOf } from "./closing";
import { arm } from "./deadlines";
import { pauseSchedulesOf } from "./firing";
import {
  LIMITS,
  type CreateMachineArgs,
  type Done,
  type MachineArgs,
  type RegistrationKeyReply,
  type RenameMachineArgs,
} from "./gen/wire";
import { newId } from "./ids";
import { forgetPresence } from "./presence";
import { refusal, revoked } from "./refusal";
import { hashOf, newSecret } from "./secrets";
import { transition, type StateOf } from "./states";
import { checkedName } from "./texts";

export async function create(ctx: MutationCtx, person: Person, args: CreateMachineArgs): Promise<RegistrationKeyReply> {
  const name = checkedName(args.name);
  if ((await machinesOf(ctx, person)).length >= LIMITS.machinesMax) {
    throw refusal(
      "limit_reached",
      `You have ${LIMITS.machinesMax} machines, which is the limit. Revoke one that you no longer need.`,
    );
  }
  const row = await ctx.db.insert("machines", {
    id: newId("mch"),
    owner: person.id,
    name,
    state: "created",
    info: null,
    keyHash: null,
    createdAt: Date.now(),
    open: true,
  });
  return await issueKey(ctx, await loaded(ctx, row));
}

export async function reissueKey(ctx: MutationCtx, person: Person, args: MachineArgs): Promise<RegistrationKeyReply> {
  const machine = await machineRow(ctx, person, args.machineId);
  switch (machine.state) {
    case "created":
      return await issueKey(ctx, machine);
    case "registered":
      // The answer to its registration may have been lost: until it connects, it may register again.
      if (await neverConnected(ctx, machine.id)) {
        return await issueKey(ctx, machine);
      }
      throw refusal("conflict", "This machine has registered. To register another computer, add another machine.");
    case "revoked":
    case "unknown":
      throw revoked();
  }
}

export async function rename(ctx: MutationCtx, person: Person, args: RenameMachineArgs): Promise<Done> {
  const machine = await machineRow(ctx, person, args.machineId);
  await ctx.db.patch(machine._id, { name: checkedName(args.name) });
  return {};
}

export async function revoke(ctx: MutationCtx, person: Person, args: MachineArgs): Promise<Done> {
  const machine = await machineRow(ctx, person, args.machineId);
  if (machine.state === "revoked") {
    return {};
  }
  await pauseSchedulesOf(ctx, { machine: machine.id, worker: null, reason: "Its machine was revoked." }, "");
  const state = transition("machine", machine.state, "revoked");
  await endKey(ctx, machine, "revoked");
  await ctx.db.patch(machine._id, { state, keyHash: null, open: false });
  const credentials = await credentialsOf(ctx, machine.id);
  if (credentials !== null) {
    await ctx.db.delete(credentials._id);
  }
  await forgetPending(ctx, machine.id);
  await forgetPresence(ctx, machine.id);
  await closeAllOf(ctx, { machine: machine.id, worker: null, person: person.id });
  return {};
}

/** The person's machines, by time of adding. */
export const machinesOf = (ctx: QueryCtx, person: Person): Promise<Doc<"machines">[]> =>
  ctx.db
    .query("machines")
    .withIndex("by_owner_open_id", (q) => q.eq("owner", person.id).eq("open", true))
    .take(LIMITS.machinesMax);

async function neverConnected(ctx: QueryCtx, machine: string): Promise<boolean> {
  const credentials = await credentialsOf(ctx, machine);
  return credentials !== null && newestEpoch(credentials) === 0;
}

async function issueKey(ctx: MutationCtx, machine: Doc<"machines">): Promise<RegistrationKeyReply> {
  await endKey(ctx, machine, "revoked");
  const registrationKey = newSecret("ork");
  const hash = hashOf(registrationKey);
  const expiresAt = Date.now() + LIMITS.registrationKeyLifeMs;
  await ctx.db.insert("registrationKeys", { hash, machine: machine.id, state: "issued", expiresAt, nonce: null });
  await arm(ctx, expiresAt, { kind: "keyExpires", keyHash: hash });
  await ctx.db.patch(machine._id, { keyHash: hash });
  return { machineId: machine.id, registrationKey, expiresAt };
}

/** Takes the machine's open key, if it has one, to its last state. */
async function endKey(ctx: MutationCtx, machine: Doc<"machines">, end: StateOf<"registration key">): Promise<void> {
  const key = machine.keyHash === null ? null : await keyRow(ctx, machine.keyHash);
  if (key !== null) {
    await ctx.db.patch(key._id, { state: transition("registration key", key.state, end) });
  }
}

export const keyRow = (ctx: QueryCtx, hash: string): Promise<Doc<"registrationKeys"> | null> =>
  ctx.db
    .query("registrationKeys")
    .withIndex("by_hash", (q) => q.eq("hash", hash))
    .unique();

/** A registration key's time is over. */
export async function keyExpires(ctx: MutationCtx, hash: string): Promise<void> {
  const key = await keyRow(ctx, hash);
  const machine = key?.state === "issued" ? await machineById(ctx, key.machine) : null;
  if (machine !== null) {
    await endKey(ctx, machine, "expired");
    await ctx.db.patch(machine._id, { keyHash: null });
  }
}

async function loaded(ctx: MutationCtx, id: Doc<"machines">["_id"]): Promise<Doc<"machines">> {
  const row = await ctx.db.get(id);
  if (row === null) {
    throw new Error("a row that was written just now is not there");
  }
  return row;
}
