/** Machines as their processes handle them: from a key to credentials. */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx } from "../functions/_generated/server";
import { credentialsOf, machineById, newestEpoch, type Nobody } from "./access";
import { boundedInfo, checkNonce, forgetPending } from "./connections";
import type { MachineCredentials, RegisterMachineArgs } from "./gen/wire";
import { keyRow } from "./machines";
import { notFound, refusal } from "./refusal";
import { derivedSecret, hashOf, isWellFormed, matches, newSecret } from "./secrets";
import { transition } from "./states";
import { maybe } from "./texts";

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
    handedOut: 0,
    nonces: [],
  });
  await forgetPending(ctx, machine.id);
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
  return credentials !== null && newestEpoch(credentials) === 0 && matches(credentials.secret, secret);
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
