/** The functions in convex-test, called directly: no client and no protocol in between. */
import { fileURLToPath } from "node:url";
import type { UserIdentity } from "convex/server";
import type { JSONValue } from "convex/values";
import { VirtualClock } from "../src/clock.ts";
import { Counts } from "../src/counts.ts";
import { Engine, type Outcome } from "../src/engine.ts";
import { loadFunctions } from "../src/functions.ts";
import { dump } from "./dump.ts";
import { START_MS, type Json, type JsonObject } from "./format.ts";
import { Refused, type Actor, type Append, type Subject } from "./run.ts";

const FOLDER = fileURLToPath(new URL("../../../convex/functions", import.meta.url));

const functions = await loadFunctions(FOLDER);

type Watch = { actor: Actor; query: string; args: Json };

export class ConvexTestSubject implements Subject {
  private readonly clock = new VirtualClock(START_MS);
  private readonly watches = new Map<string, Watch>();
  private readonly defects: string[] = [];
  private readonly engine = new Engine(functions, this.clock, new Counts(), (text) => void this.defects.push(text));

  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms);
    this.refuseDefects();
  }

  async jump(ms: number): Promise<void> {
    await this.clock.jump(ms);
    this.refuseDefects();
  }

  async call(actor: Actor, name: string, args: Json, key: string | undefined): Promise<Json> {
    return await this.invoke(actor, pathOf(name), { args, ...(key === undefined ? {} : { key }) });
  }

  async append({ actor, turn, epoch, seq, chunks }: Append): Promise<void> {
    const args = { turnId: turn, epoch, seq, chunks: JSON.stringify(chunks) };
    await this.invoke(actor, "worker/chat:writeChunk", { args });
  }

  async read(actor: Actor, turn: string): Promise<Json[]> {
    const chunks: Json[] = [];
    for (let after = "-1"; ;) {
      const page = (await this.invoke(actor, "worker/chat:chunks", { args: { turnId: turn, after } })) as {
        batches: string[];
        next: string;
        upToDate: boolean;
      };
      chunks.push(...page.batches.flatMap((batch) => JSON.parse(batch) as Json[]));
      if (page.upToDate) return chunks;
      after = page.next;
    }
  }

  watch(name: string, actor: Actor, query: string, args: Json): Promise<void> {
    this.watches.set(name, { actor, query, args });
    return Promise.resolve();
  }

  async newest(name: string): Promise<Json> {
    const watch = this.watches.get(name);
    if (watch === undefined) throw new Error(`there is no watch ${name}`);
    return await this.invoke(watch.actor, pathOf(watch.query), { args: watch.args });
  }

  async state(): Promise<JsonObject> {
    return dump((await this.engine.tables()) as Record<string, JsonObject[]>);
  }

  private async invoke(actor: Actor, path: string, envelope: JsonObject): Promise<Json> {
    const token = actor.kind === "machine" ? { token: actor.token } : {};
    const args = [{ ...envelope, ...token }] as JSONValue;
    const call = { path, args, identity: identityOf(actor) };
    const outcome = await this.engine.exclusive(async (): Promise<Outcome> => {
      const isQuery = this.engine.kindOf(path) === "query";
      return isQuery ? (await this.engine.query(call, "client")).outcome : (await this.engine.mutation(call)).outcome;
    });
    // What a call goes on with in transactions of its own is done before anybody looks.
    await this.clock.advance(0);
    if ("value" in outcome) {
      this.refuseDefects();
      return outcome.value;
    }
    const { data, text } = outcome.failure;
    if (data === undefined) throw new Error(text);
    throw new Refused(data as JsonObject);
  }

  /** What failed without a refusal, also in a scheduled function, is a defect. */
  private refuseDefects(): void {
    const [first] = this.defects.splice(0);
    if (first !== undefined) throw new Error(first);
  }
}

/** `worker.chat.sendMessage` is `worker/chat:sendMessage`. */
const pathOf = (name: string): string => name.replace(/\.(?=[^.]*$)/, ":").replaceAll(".", "/");

const identityOf = (actor: Actor): UserIdentity | null =>
  actor.kind === "person"
    ? { tokenIdentifier: `https://people.test|${actor.name}`, subject: actor.name, issuer: "https://people.test" }
    : null;
