/** How much a machine has: kept, so that nobody has to read all of it to know. */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";

type Counts = Pick<Doc<"counts">, "workers" | "openChats" | "pendingAsks" | "directories">;

const NONE: Counts = { workers: 0, openChats: 0, pendingAsks: 0, directories: 0 };

const countsRow = (ctx: QueryCtx, machine: string): Promise<Doc<"counts"> | null> =>
  ctx.db
    .query("counts")
    .withIndex("by_machine", (q) => q.eq("machine", machine))
    .unique();

export const countsOf = async (ctx: QueryCtx, machine: string): Promise<Counts> =>
  (await countsRow(ctx, machine)) ?? NONE;

/** So many more, or less. */
export async function count(ctx: MutationCtx, machine: string, what: keyof Counts, by: number): Promise<void> {
  if (by === 0) {
    return;
  }
  const row = await countsRow(ctx, machine);
  if (row === null) {
    await ctx.db.insert("counts", { machine, ...NONE, [what]: by });
  } else {
    await ctx.db.patch(row._id, { [what]: row[what] + by });
  }
}
