/** How a machine is. Watching it costs a call with each sign of life, so it is for whoever looks into a problem. */

import type { QueryCtx } from "../functions/_generated/server";
import { machineRow, type Person } from "./access";
import { openChatsOf } from "./chats";
import { openCommandsOf } from "./commands";
import type { MachineArgs, MachineHealth } from "./gen/wire";
import { presenceOf, signsOf } from "./presence";
import { statusRow } from "./statuses";

export async function health(ctx: QueryCtx, person: Person, args: MachineArgs): Promise<MachineHealth> {
  const machine = await machineRow(ctx, person, args.machineId);
  const chats = await openChatsOf(ctx, machine.id);
  const status = await statusRow(ctx, machine.id);
  return {
    presence: await presenceOf(ctx, machine),
    ...(await signsOf(ctx, machine.id)),
    openTurnCount: chats.reduce((sum, chat) => sum + chat.openTurns, 0),
    openCommandCount: (await openCommandsOf(ctx, machine.id)).length,
    pendingAskCount: chats.reduce((sum, chat) => sum + chat.pendingAskCount, 0),
    status: status?.status ?? null,
    statusAt: status?.at ?? null,
  };
}
