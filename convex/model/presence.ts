/**
 * Whether a machine is there. What views show lies in `presence` and changes when the answer does; what each
 * heartbeat writes lies in `leases`, which no view reads but that of the machine's health.
 */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import type { Machine } from "./access";
import { arm } from "./deadlines";
import { LIMITS, type DisconnectArgs, type Done, type HeartbeatArgs, type Presence } from "./gen/wire";
import { forgetStatus, keepStatus } from "./statuses";

type Link = Doc<"presence">["link"];

export async function heartbeat(ctx: MutationCtx, machine: Machine, args: HeartbeatArgs): Promise<Done> {
  const presence = await presenceRow(ctx, machine.id);
  // One that the goodbye has overtaken is no sign of life.
  if (presence?.link !== "left") {
    await setLink(ctx, machine.id, args.draining ? "draining" : "up");
    if (args.status != null) {
      await keepStatus(ctx, machine.id, args.status);
    }
  }
  return {};
}

export async function disconnect(ctx: MutationCtx, machine: Machine, _: DisconnectArgs): Promise<Done> {
  await setLink(ctx, machine.id, "left");
  return {};
}

/** A new connection has begun. */
export async function beginPresence(ctx: MutationCtx, machine: string, epoch: number): Promise<void> {
  const now = Date.now();
  const fresh = { machine, epoch, link: "up", since: now } as const;
  const presence = await presenceRow(ctx, machine);
  if (presence === null) {
    await ctx.db.insert("presence", fresh);
  } else {
    await ctx.db.replace(presence._id, fresh);
  }
  await renewLease(ctx, machine);
  await forgetStatus(ctx, machine);
}

/** Records a sign of life, or its end. */
export async function setLink(ctx: MutationCtx, machine: string, link: Link): Promise<void> {
  const presence = await presenceRow(ctx, machine);
  const lease = await leaseRow(ctx, machine);
  if (presence === null || lease === null) {
    return;
  }
  const now = Date.now();
  if (link === "up" || link === "draining") {
    await renewLease(ctx, machine);
  } else if (link === "left") {
    await ctx.db.patch(lease._id, { seenAt: now });
  }
  // A goodbye that is said again is a later one.
  if (presence.link !== link || link === "left") {
    await ctx.db.patch(presence._id, { link, since: link === "lost" ? lease.seenAt : now });
  }
}

/**
 * Keeps the machine online for another while. There is one armed deadline a machine: it comes at `checkAt`, looks
 * whether the lease was renewed meanwhile, and then arms itself anew.
 */
async function renewLease(ctx: MutationCtx, machine: string): Promise<void> {
  const now = Date.now();
  const lease = await leaseRow(ctx, machine);
  const renewed = { machine, seenAt: now, leaseUntil: now + LIMITS.leaseMs };
  if (lease !== null && lease.checkAt > now) {
    await ctx.db.patch(lease._id, renewed);
    return;
  }
  const checked = { ...renewed, checkAt: renewed.leaseUntil };
  if (lease === null) {
    await ctx.db.insert("leases", checked);
  } else {
    await ctx.db.patch(lease._id, checked);
  }
  await arm(ctx, checked.checkAt, { kind: "leaseEnds", machine, at: checked.checkAt });
}

/** A lease may have ended. */
export async function leaseEnds(ctx: MutationCtx, machine: string, at: number): Promise<void> {
  const presence = await presenceRow(ctx, machine);
  const lease = await leaseRow(ctx, machine);
  if (presence === null || lease?.checkAt !== at || (presence.link !== "up" && presence.link !== "draining")) {
    return;
  }
  if (holds(lease)) {
    await ctx.db.patch(lease._id, { checkAt: lease.leaseUntil });
    await arm(ctx, lease.leaseUntil, { kind: "leaseEnds", machine, at: lease.leaseUntil });
  } else {
    await setLink(ctx, machine, "lost");
  }
}

/**
 * Whether the lease holds. One that ends later than a lease can was given before the clock was set back: of the time
 * since then it says nothing.
 */
function holds({ leaseUntil }: Doc<"leases">): boolean {
  const now = Date.now();
  return now < leaseUntil && leaseUntil <= now + LIMITS.leaseMs;
}

/** Whether the machine can be told something now. For mutations only: a query that read leases would never rest. */
export async function isConnected(ctx: MutationCtx, machine: string): Promise<boolean> {
  const presence = await presenceRow(ctx, machine);
  const lease = await leaseRow(ctx, machine);
  const isLinked = presence?.link === "up" || presence?.link === "draining";
  return isLinked && lease !== null && holds(lease);
}

/** Whether the machine is there and takes what is new, as a person sees it. */
export async function isUp(ctx: QueryCtx, machine: string): Promise<boolean> {
  return (await presenceRow(ctx, machine))?.link === "up";
}

export async function forgetPresence(ctx: MutationCtx, machine: string): Promise<void> {
  for (const row of [await presenceRow(ctx, machine), await leaseRow(ctx, machine)]) {
    if (row !== null) {
      await ctx.db.delete(row._id);
    }
  }
  await forgetStatus(ctx, machine);
}

/** What a person sees. A link that is lost or left began at the machine's last sign of life. */
export async function presenceOf(ctx: QueryCtx, machine: Doc<"machines">): Promise<Presence> {
  const presence = await presenceRow(ctx, machine.id);
  if (machine.state === "revoked" || presence === null) {
    return { state: "never" };
  }
  const { epoch, since } = presence;
  switch (presence.link) {
    case "up":
      return { state: "online", epoch, since };
    case "draining":
      return { state: "draining", since };
    case "lost":
      return { state: "unknown", since };
    case "left":
      return { state: "offline", since };
  }
}

/** The machine's signs of life: for its health only, since each of them makes whoever reads this look again. */
export async function signsOf(
  ctx: QueryCtx,
  machine: string,
): Promise<{ epoch: number; seenAt: number | null; leaseUntil: number | null }> {
  const presence = await presenceRow(ctx, machine);
  const lease = await leaseRow(ctx, machine);
  const isLinked = presence?.link === "up" || presence?.link === "draining";
  return {
    epoch: presence?.epoch ?? 0,
    seenAt: lease?.seenAt ?? null,
    leaseUntil: isLinked ? (lease?.leaseUntil ?? null) : null,
  };
}

const presenceRow = (ctx: QueryCtx, machine: string): Promise<Doc<"presence"> | null> =>
  ctx.db
    .query("presence")
    .withIndex("by_machine", (q) => q.eq("machine", machine))
    .unique();

const leaseRow = (ctx: QueryCtx, machine: string): Promise<Doc<"leases"> | null> =>
  ctx.db
    .query("leases")
    .withIndex("by_machine", (q) => q.eq("machine", machine))
    .unique();
