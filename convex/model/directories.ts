/** Directories as they were last listed: what is known of them without asking the machine again. */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import { commandById, machineRow, type Person } from "./access";
import { summary } from "./commands";
import { count, countsOf } from "./counts";
import { LIMITS, type CommandResult, type DirectoryArgs, type DirectoryView, type Operation } from "./gen/wire";
import { checkedPath } from "./paths";

/** What both sides of a listing know of its command. */
interface Lister {
  id: string;
  machine: string;
  operation: Operation;
}

export async function view(ctx: QueryCtx, person: Person, args: DirectoryArgs): Promise<DirectoryView> {
  const machine = await machineRow(ctx, person, args.machineId);
  const row = await directoryRow(ctx, machine.id, args.hidden, checkedPath(args.directory));
  const command = row === null ? null : await commandById(ctx, row.command);
  return {
    listing: row?.listing ?? null,
    asOf: row?.asOf ?? null,
    command: command === null ? null : summary(command),
  };
}

/** A command that lists a directory's first page has begun to wait. */
export async function listingRequested(ctx: MutationCtx, command: Lister): Promise<void> {
  await keep(ctx, command, {});
}

/** A command has succeeded: if it listed a directory's first page, that is what is known of it now. */
export async function listed(ctx: MutationCtx, command: Lister, result: CommandResult): Promise<void> {
  if (result.kind === "listing") {
    const { kind: _, ...listing } = result;
    await keep(ctx, command, { listing, asOf: Date.now() });
  }
}

async function keep(
  ctx: MutationCtx,
  { id, machine, operation }: Lister,
  known: Partial<Pick<Doc<"directories">, "listing" | "asOf">>,
): Promise<void> {
  if (operation.kind !== "list" || operation.filter != null || operation.after != null) {
    return;
  }
  const { directory, hidden } = operation;
  const touched = { command: id, touchedAt: Date.now(), ...known };
  const row = await directoryRow(ctx, machine, hidden, directory);
  if (row !== null) {
    await ctx.db.patch(row._id, touched);
    return;
  }
  await ctx.db.insert("directories", { machine, hidden, directory, listing: null, asOf: null, ...touched });
  await count(ctx, machine, "directories", 1);
  await forgetOldest(ctx, machine);
}

async function forgetOldest(ctx: MutationCtx, machine: string): Promise<void> {
  if ((await countsOf(ctx, machine)).directories <= LIMITS.keptListingsMax) {
    return;
  }
  const oldest = await ctx.db
    .query("directories")
    .withIndex("by_machine_touchedAt_hidden_directory", (q) => q.eq("machine", machine))
    .first();
  if (oldest !== null) {
    await ctx.db.delete(oldest._id);
    await count(ctx, machine, "directories", -1);
  }
}

const directoryRow = (
  ctx: QueryCtx,
  machine: string,
  hidden: boolean,
  directory: string,
): Promise<Doc<"directories"> | null> =>
  ctx.db
    .query("directories")
    .withIndex("by_machine_hidden_directory", (q) =>
      q.eq("machine", machine).eq("hidden", hidden).eq("directory", directory),
    )
    .unique();
