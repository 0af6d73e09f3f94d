/** Machines as their processes handle them: from a key to credentials, from credentials to a fenced connection. */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx } from "../functions/_generated/server";
import { connectionToken, credentialsOf, machineById, type Nobody } from "./access";
import {
  LIMITS,
  WIRE_VERSION,
  WIRE_VERSION_MIN,
  type ConnectArgs,
  type ConnectReply,
  type MachineCredentials,
  type MachineInfo,
  type RegisterMachineArgs,
} from "./gen/wire";
import { keyRow } from "./machines";
import { beginPresence, setLink } from "./presence";
import { notFound, refusal, revoked } from "./refusal";
import { derivedSecret, hashOf, isWellFormed, matches, newSecret } from "./secrets";
import { transition } from "./states";
import { APPEND_GATHER_BYTES } from "./streams";
import { boundedReason, byteLength, maybe } from "./texts";

const NONCE_MAX_BYTES = 256;
/** How many connections back a late request is still known. */
const NONCES_KEPT = 16;

export async function register(ctx: MutationCtx, _: Nobody, args: RegisterMachineArgs): Promise<MachineCredentials> {
  const { registrationKey, nonce = null } = args;
  if (!isWellFormed(registrationKey, "ork")) {
    throw refusal(
      "unauthenticated",
      "This is not a complete registration key. Copy the whole key from the page; it begins with ork_.",
    );
  }
  const key = await keyRow(ctx, hashOf(registrationKey));
  if (key === null) {
    throw refusal(
      "unauthenticated",
      "This registration key is not known here. Check that the backend is the one that issued it.",
    );
  }
  const machine = await machineById(ctx, key.machine);
  if (machine === null) {
    throw notFound("machine");
  }
  const secret = machineSecret(registrationKey, nonce);
  const credentials = { machineId: machine.id, secret, name: machine.name };
  if (await isRepeated(ctx, key, nonce, secret)) {
    return credentials;
  }
  refuseGone(key);
  if (nonce !== null) {
    checkNonce(nonce);
  }
  await ctx.db.patch(key._id, {
    state: transition("registration key", key.state, "consumed"),
    nonce: maybe(nonce, hashOf),
  });
  await ctx.db.patch(machine._id, {
    state: machine.state === "registered" ? "registered" : transition("machine", machine.state, "registered"),
    keyHash: null,
    info: boundedInfo(args.info),
  });
  await saveCredentials(ctx, {
    machine: machine.id,
    secret: hashOf(secret),
    connection: null,
    epoch: 0,
    nonces: [],
  });
  return credentials;
}

/** Whether the key was used by this very request, whose answer may have been lost, and what it got still holds. */
async function isRepeated(
  ctx: MutationCtx,
  key: Doc<"registrationKeys">,
  nonce: string | null,
  secret: string,
): Promise<boolean> {
  if (key.nonce === null || nonce === null || !matches(key.nonce, nonce)) {
    return false;
  }
  const credentials = await credentialsOf(ctx, key.machine);
  return credentials?.epoch === 0 && matches(credentials.secret, secret);
}

function refuseGone(key: Doc<"registrationKeys">): void {
  const why = {
    issued: key.expiresAt <= Date.now() ? "has expired" : null,
    consumed: "has been used",
    expired: "has expired",
    revoked: "was replaced or taken back",
    unknown: "was replaced or taken back",
  }[key.state];
  if (why !== null) {
    throw refusal(
      "expired",
      `This registration key ${why}. Get a new one on the page: add the machine, or open it and choose "New key".`,
    );
  }
}

/**
 * A machine's secret. With a nonce it follows from what only the process that registers has, so that a repeated
 * request gets the same one without anybody having kept it.
 */
const machineSecret = (key: string, nonce: string | null): string =>
  nonce === null ? newSecret("oms") : derivedSecret("oms", [key, nonce]);

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
  const known = credentials.nonces.findLastIndex((hash) => matches(hash, nonce));
  if (known >= 0 && known + 1 < credentials.nonces.length) {
    throw refusal(
      "stale_epoch",
      "Another process has connected with this MACHINE_ID since. The newer one goes on, this one stops.",
    );
  }
  if (known >= 0) {
    // By now it may know whether opencode runs there; its first request, which may come late, does not.
    if (args.info.opencodeVersion != null || args.info.problem != null) {
      await ctx.db.patch(machine._id, { info: boundedInfo(args.info) });
    }
    await setLink(ctx, machine.id, "up");
    return connected(credentials.epoch, connectionToken(machine.id, credentials.epoch, nonce));
  }
  const epoch = credentials.epoch + 1;
  const token = connectionToken(machine.id, epoch, nonce);
  await ctx.db.patch(credentials._id, {
    epoch,
    connection: hashOf(token),
    nonces: [...credentials.nonces, hashOf(nonce)].slice(-NONCES_KEPT),
  });
  await ctx.db.patch(machine._id, { info: boundedInfo(args.info) });
  await beginPresence(ctx, machine.id, epoch);
  return connected(epoch, token);
}

const connected = (epoch: number, token: string): ConnectReply => ({
  epoch,
  connectionToken: token,
  wireVersion: WIRE_VERSION,
  leaseMs: LIMITS.leaseMs,
  heartbeatMs: LIMITS.heartbeatMs,
  chunkBatchMaxBytes: APPEND_GATHER_BYTES,
});

function checkNonce(nonce: string): void {
  if (byteLength(nonce) > NONCE_MAX_BYTES) {
    throw refusal("too_large", `The nonce is over its limit of ${NONCE_MAX_BYTES} bytes.`);
  }
}

async function saveCredentials(
  ctx: MutationCtx,
  credentials: Omit<Doc<"credentials">, "_id" | "_creationTime">,
): Promise<void> {
  const earlier = await credentialsOf(ctx, credentials.machine);
  if (earlier === null) {
    await ctx.db.insert("credentials", credentials);
  } else {
    await ctx.db.replace(earlier._id, credentials);
  }
}

const boundedInfo = (info: MachineInfo): MachineInfo => ({
  os: boundedReason(info.os),
  arch: boundedReason(info.arch),
  hostname: boundedReason(info.hostname),
  root: boundedReason(info.root),
  agentVersion: boundedReason(info.agentVersion),
  opencodeVersion: maybe(info.opencodeVersion, boundedReason),
  enforcement: maybe(info.enforcement, boundedReason),
  problem: maybe(info.problem, boundedReason),
});
