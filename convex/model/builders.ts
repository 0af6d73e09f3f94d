/** The two builders of public functions: what is the same for all of them. */

import type { RegisteredMutation, RegisteredQuery } from "convex/server";
import { v } from "convex/values";
import {
  mutation as convexMutation,
  query as convexQuery,
  type MutationCtx,
  type QueryCtx,
} from "../functions/_generated/server";
import { authorise, type ActorBy } from "./access";
import { takeEffect } from "./connections";
import { accessOf, argsOf, isKeyed, type AccessOf, type Contract, type MutationName, type QueryName } from "./contract";
import { once } from "./replies";
import { settleRuns } from "./settling";

/**
 * How every public function is called. The arguments are decoded by the contract's own schemas and not by Convex's
 * validators, which would refuse a field that only a newer caller knows.
 */
const envelope = {
  args: v.optional(v.any()),
  /** A machine's connection token. Without one the caller is the person who is signed in, or nobody. */
  token: v.optional(v.string()),
  /** The idempotency key of a person's changing call. */
  key: v.optional(v.string()),
};

export type Envelope = { args?: unknown; token?: string; key?: string };

type Answer<Ctx, N extends QueryName | MutationName> = (
  ctx: Ctx,
  actor: ActorBy[AccessOf<N>],
  args: Contract[N]["args"],
) => Promise<Contract[N]["reply"]>;

/** A query of the contract. */
export function query<N extends QueryName>(
  name: N,
  answer: Answer<QueryCtx, N>,
): RegisteredQuery<"public", Envelope, Promise<Contract[N]["reply"]>> {
  return convexQuery({
    args: envelope,
    handler: async (ctx, call) => {
      const actor = await authorise(ctx, name, accessOf(name) as AccessOf<N>, call.token);
      return await answer(ctx, actor, argsOf(name, call.args));
    },
  });
}

/** A mutation of the contract. A person's is done once for its idempotency key, however often it comes. */
export function mutation<N extends MutationName>(
  name: N,
  answer: Answer<MutationCtx, N>,
): RegisteredMutation<"public", Envelope, Promise<Contract[N]["reply"]>> {
  return convexMutation({
    args: envelope,
    handler: async (ctx, call) => {
      const actor = await authorise(ctx, name, accessOf(name) as AccessOf<N>, call.token);
      if (actor.kind === "machine" && actor.isPending) {
        await takeEffect(ctx, actor);
      }
      const act = async () => {
        const reply = await answer(ctx, actor, argsOf(name, call.args));
        await settleRuns(ctx);
        return reply;
      };
      return actor.kind === "person" && isKeyed(name) ? await once(ctx, actor, name, call, act) : await act();
    },
  });
}
