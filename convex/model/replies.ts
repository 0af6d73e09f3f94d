/** Replies of changing calls, kept so that a repeated call changes nothing and gets the first result again. */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx } from "../functions/_generated/server";
import type { Person } from "./access";
import { canonicalJson, hashOfTexts } from "./canonical";
import { arm } from "./deadlines";
import { LIMITS } from "./gen/wire";
import { isId } from "./ids";
import { refusal } from "./refusal";

/** How long the replies with a registration key are kept: they go when the key does. */
const SECRET_REPLIES = ["machine.create", "machine.reissueKey"];

/** Does what a person asked for, unless this idempotency key says that it has been done. */
export async function once<R>(
  ctx: MutationCtx,
  person: Person,
  name: string,
  call: { args?: unknown; key?: string },
  act: () => Promise<R>,
): Promise<R> {
  const key = checkedKey(name, call.key);
  const requestHash = hashOfTexts(name, canonicalJson(call.args ?? null));
  const earlier = await replyRow(ctx, person.id, key);
  if (earlier?.requestHash === requestHash) {
    return JSON.parse(earlier.reply) as R;
  }
  if (earlier !== null) {
    throw refusal("conflict", "This idempotency key was used for another request. Make a new key for a new request.");
  }
  const reply = await act();
  await ctx.db.insert("replies", { person: person.id, key, requestHash, reply: JSON.stringify(reply) });
  const life = SECRET_REPLIES.includes(name) ? LIMITS.registrationKeyLifeMs : LIMITS.idempotencyLifeMs;
  await arm(ctx, Date.now() + life, { kind: "forgetReply", person: person.id, key });
  return reply;
}

/** The key's time is over. */
export async function forgetReply(ctx: MutationCtx, person: string, key: string): Promise<void> {
  const row = await replyRow(ctx, person, key);
  if (row !== null) {
    await ctx.db.delete(row._id);
  }
}

const replyRow = (ctx: MutationCtx, person: string, key: string): Promise<Doc<"replies"> | null> =>
  ctx.db
    .query("replies")
    .withIndex("by_person_key", (q) => q.eq("person", person).eq("key", key))
    .unique();

function checkedKey(name: string, key: string | undefined): string {
  if (key === undefined) {
    throw refusal("invalid", `${name} changes things, so it needs an idempotency key.`);
  }
  if (!isId(key, "idk")) {
    throw refusal(
      "invalid",
      "The idempotency key is none: it is idk_ and the 26 characters of a UUIDv7 in base 32. Make one for each intent.",
    );
  }
  return key;
}
