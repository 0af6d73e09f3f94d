import type { QueryCtx } from "../functions/_generated/server";
import { machineRow, type Person } from "./access";
import { summary } from "./commands";
import { LIMITS, type Activity, type ActivityArgs, type CommandSummary } from "./gen/wire";
import { jsonBytes } from "./texts";

/** What one page holds at most: 50 operations of 384 KiB would be more than a transaction may read. */
const PAGE_MAX_BYTES = 8 * 1024 * 1024;

/** What was asked of a machine, latest first. */
export async function activity(ctx: QueryCtx, person: Person, args: ActivityArgs): Promise<Activity> {
  const machine = await machineRow(ctx, person, args.machineId);
  const { before } = args;
  const all = ctx.db.query("commands");
  const page = args.reads
    ? all.withIndex("by_machine_id", (q) => {
        const ofMachine = q.eq("machine", machine.id);
        return before == null ? ofMachine : ofMachine.lt("id", before);
      })
    : all.withIndex("by_machine_isRead_id", (q) => {
        const changes = q.eq("machine", machine.id).eq("isRead", false);
        return before == null ? changes : changes.lt("id", before);
      });
  const commands: CommandSummary[] = [];
  let bytes = 0;
  for await (const command of page.order("desc")) {
    bytes += jsonBytes(command.operation);
    if (commands.length === LIMITS.activityPageCommands || (bytes > PAGE_MAX_BYTES && commands.length > 0)) {
      return { commands, hasEarlier: true };
    }
    commands.push(summary(command));
  }
  return { commands, hasEarlier: false };
}
