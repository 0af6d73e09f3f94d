/**
 * Connections: handed out to whoever has the machine's secret, in effect from their first use on. A request to connect
 * may lie in the network while its process ends and another one connects: it changes nothing when it arrives, since
 * nobody has its token.
 */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx } from "../functions/_generated/server";
import {
  connectionToken,
  credentialsOf,
  machineById,
  newestEpoch,
  pendingRow,
  type Machine,
  type Nobody,
} from "./access";
import {
  LIMITS,
  WIRE_VERSION,
  WIRE_VERSION_MIN,
  type ConnectArgs,
  type ConnectReply,
  type MachineInfo,
} from "./gen/wire";
import { beginPresence } from "./presence";
import { notFound, refusal, revoked } from "./refusal";
import { hashOf, matches, newSecret } from "./secrets";
import { APPEND_GATHER_BYTES } from "./streams";
import { boundedReason, byteLength, maybe } from "./texts";

/** How many connections back a late request is still known. */
const NONCES_KEPT = 16;

export async function connect(ctx: MutationCtx, _: Nobody, args: ConnectArgs): Promise<ConnectReply> {
  if (args.wireVersion < WIRE_VERSION_MIN) {
    throw refusal(
      "upgrade_required",
      `This machine speaks version ${args.wireVersion} of the protocol; the backend needs ${WIRE_VERSION_MIN} or ` +
        "later. Update the orchestrator on the machine.",
    );
  }
  const machine = await machineById(ctx, args.machineId);
  if (machine?.state === "revoked") {
    throw revoked();
  }
  const credentials = await credentialsOf(ctx, args.machineId);
  if (machine === null || credentials === null || !matches(credentials.secret, args.secret)) {
    throw refusal("unauthenticated", "MACHINE_ID and secret do not fit together. Register the machine again.");
  }
  const nonce = args.nonce ?? newSecret("t");
  checkNonce(nonce);
  const token = (epoch: number) => connectionToken(machine.id, epoch, nonce);
  const inEffect = token(credentials.epoch);
  if (credentials.connection !== null && matches(credentials.connection, inEffect)) {
    if (knowsItsAgent(args.info)) {
      await ctx.db.patch(machine._id, { info: boundedInfo(args.info) });
    }
    return connected(credentials.epoch, inEffect);
  }
  const pending = await pendingOf(ctx, machine.id);
  const waiting = pending.filter((row) => row.expiresAt > Date.now());
  const same = waiting.find((row) => matches(row.nonce, nonce));
  if (same !== undefined) {
    if (knowsItsAgent(args.info)) {
      await ctx.db.patch(same._id, { info: boundedInfo(args.info) });
    }
    return connected(same.epoch, token(same.epoch));
  }
  const kept = waiting.slice(-(LIMITS.pendingConnectionsMax - 1));
  const forgotten = pending.filter((row) => !kept.includes(row));
  for (const row of forgotten) {
    await ctx.db.delete(row._id);
  }
  // Whoever has a token of those may connect again: nothing newer has taken its place.
  const nonces = credentials.nonces.filter((hash) => !forgotten.some((row) => row.nonce === hash));
  if (nonces.some((hash) => matches(hash, nonce))) {
    throw refusal(
      "stale_epoch",
      "Another process has connected with this MACHINE_ID since. The newer one goes on, this one stops.",
    );
  }
  const epoch = newestEpoch(credentials) + 1;
  await ctx.db.insert("pending", {
    machine: machine.id,
    epoch,
    connection: hashOf(token(epoch)),
    nonce: hashOf(nonce),
    info: boundedInfo(args.info),
    expiresAt: Date.now() + LIMITS.pendingConnectionLifeMs,
  });
  await ctx.db.patch(credentials._id, {
    handedOut: epoch,
    nonces: [...nonces, hashOf(nonce)].slice(-NONCES_KEPT),
  });
  return connected(epoch, token(epoch));
}

/** Whether it knows by now if opencode runs there: the first request, which may come late, does not. */
const knowsItsAgent = ({ opencodeVersion, problem }: MachineInfo): boolean =>
  opencodeVersion != null || problem != null;

const connected = (epoch: number, token: string): ConnectReply => ({
  epoch,
  connectionToken: token,
  wireVersion: WIRE_VERSION,
  leaseMs: LIMITS.leaseMs,
  heartbeatMs: LIMITS.heartbeatMs,
  chunkBatchMaxBytes: APPEND_GATHER_BYTES,
});

/** The first use of a connection: it takes the place of all before it, whether they were used or not. */
export async function takeEffect(ctx: MutationCtx, { id, epoch }: Machine): Promise<void> {
  const pending = await pendingRow(ctx, id, epoch);
  const credentials = await credentialsOf(ctx, id);
  const machine = await machineById(ctx, id);
  if (pending === null || credentials === null || machine === null) {
    throw notFound("connection");
  }
  await forgetPending(ctx, id, epoch);
  await ctx.db.patch(credentials._id, { epoch, connection: pending.connection });
  await ctx.db.patch(machine._id, { info: pending.info });
  await beginPresence(ctx, id, epoch);
}

/** A later connection than these has taken effect, or none ever will. */
export async function forgetPending(ctx: MutationCtx, machine: string, upToEpoch = Infinity): Promise<void> {
  for (const row of await pendingOf(ctx, machine)) {
    if (row.epoch <= upToEpoch) {
      await ctx.db.delete(row._id);
    }
  }
}

/** The machine's connections that were handed out and not used, the oldest first. */
const pendingOf = (ctx: MutationCtx, machine: string): Promise<Doc<"pending">[]> =>
  ctx.db
    .query("pending")
    .withIndex("by_machine_epoch", (q) => q.eq("machine", machine))
    .take(LIMITS.pendingConnectionsMax);

export function checkNonce(nonce: string): void {
  if (byteLength(nonce) > LIMITS.nonceMaxBytes) {
    throw refusal("too_large", `The nonce is over its limit of ${LIMITS.nonceMaxBytes} bytes.`);
  }
}

export const boundedInfo = (info: MachineInfo): MachineInfo => ({
  os: boundedReason(info.os),
  arch: boundedReason(info.arch),
  hostname: boundedReason(info.hostname),
  root: boundedReason(info.root),
  agentVersion: boundedReason(info.agentVersion),
  opencodeVersion: maybe(info.opencodeVersion, boundedReason),
  enforcement: maybe(info.enforcement, boundedReason),
  problem: maybe(info.problem, boundedReason),
});
