import { deadline } from "../model/deadlines";
import { meet as meetDeadline } from "../model/meet";
import { internalMutation } from "./_generated/server";

export const meet = internalMutation({
  args: { deadline },
  handler: (ctx, call): Promise<void> => meetDeadline(ctx, call.deadline),
});
