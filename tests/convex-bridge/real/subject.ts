/** A deployment as it is: real time, other people's rows in it, nothing to look behind. */
import { ConvexHttpClient } from "convex/browser";
import { ConvexError } from "convex/values";
import { FUNCTIONS } from "../../../convex/model/gen/wire.ts";
import { mutation, query } from "../tests/support.ts";
import { soleMember, type Json, type JsonObject, type Scenario, type Step } from "../vectors/format.ts";
import { Refused, type Actor, type Append, type Subject } from "../vectors/run.ts";

/** Scenarios with so many repetitions are about limits: they would cost a real deployment more than they tell. */
const TIMES_MAX = 20;

/** Gives a token for somebody of that name. */
export type Issue = (name: string) => Promise<string>;

/** The scenarios that can be told to a deployment: those that need neither its clock nor its tables. */
export function tellable(scenarios: readonly Scenario[]): Scenario[] {
  return scenarios
    .filter(({ steps }) =>
      everyStep(
        steps,
        ({ wait, jump, times }) => wait === undefined && jump === undefined && (times ?? 1) <= TIMES_MAX,
      ),
    )
    .map((scenario) => ({ ...scenario, steps: told(scenario.steps) }));
}

function everyStep(steps: readonly Step[], holds: (step: Step) => boolean): boolean {
  return steps.every((step) => holds(step) && everyStep(step.steps ?? [], holds));
}

/** The steps without looks at what is stored, and with any moment where a certain one is expected. */
function told(steps: readonly Step[]): Step[] {
  return steps
    .filter(({ state }) => state === undefined)
    .map((step) => ({
      ...step,
      ...(step.steps && { steps: told(step.steps) }),
      ...(step.reply !== undefined && { reply: withoutTime(step.reply) }),
      ...(step.value !== undefined && { value: withoutTime(step.value) }),
    }));
}

function withoutTime(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutTime);
  if (typeof value !== "object" || value === null) return value;
  if (soleMember(value)?.[0] === "at") return { any: true };
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withoutTime(member)]));
}

/** Persons of its own, so that each scenario begins with nothing. */
export class RealSubject implements Subject {
  private readonly clients = new Map<string, ConvexHttpClient>();
  private readonly watches = new Map<string, () => Promise<Json>>();
  private readonly here = crypto.randomUUID();

  constructor(
    private readonly url: string,
    private readonly issue: Issue,
  ) {}

  advance(): Promise<void> {
    throw new Error("a deployment's clock is its own");
  }

  jump(): Promise<void> {
    return this.advance();
  }

  state(): Promise<JsonObject> {
    throw new Error("a deployment's tables are not looked at");
  }

  call(actor: Actor, name: string, args: Json, key: string | undefined): Promise<Json> {
    return this.invoke(actor, name, { args, ...(key === undefined ? {} : { key }) });
  }

  async append({ actor, turn, epoch, seq, chunks }: Append): Promise<void> {
    const args = { turnId: turn, epoch, seq, chunks: JSON.stringify(chunks) };
    await this.invoke(actor, "worker.chat.writeChunk", { args }, false);
  }

  async read(actor: Actor, turn: string): Promise<Json[]> {
    const chunks: Json[] = [];
    for (let after = "-1"; ;) {
      const answer = await this.invoke(actor, "worker.chat.chunks", { args: { turnId: turn, after } }, true);
      const page = answer as { batches: string[]; next: string; upToDate: boolean };
      chunks.push(...page.batches.flatMap((batch) => JSON.parse(batch) as Json[]));
      if (page.upToDate) return chunks;
      after = page.next;
    }
  }

  /** A watch is level-triggered: what it would show is what a query gives. */
  watch(name: string, actor: Actor, path: string, args: Json): Promise<void> {
    this.watches.set(name, () => this.invoke(actor, path, { args }, true));
    return Promise.resolve();
  }

  async newest(name: string): Promise<Json> {
    const watch = this.watches.get(name);
    if (watch === undefined) throw new Error(`there is no watch ${name}`);
    return watch();
  }

  private async invoke(actor: Actor, name: string, body: JsonObject, isQuery = isQueryOf(name)): Promise<Json> {
    const path = name.replace(/\.(?=[^.]*$)/, ":").replaceAll(".", "/");
    const client = await this.clientOf(actor);
    const args = actor.kind === "machine" ? { ...body, token: actor.token } : body;
    try {
      return (await (isQuery ? client.query(query(path), args) : client.mutation(mutation(path), args))) as Json;
    } catch (error) {
      throw error instanceof ConvexError ? new Refused(error.data as JsonObject) : error;
    }
  }

  private async clientOf(actor: Actor): Promise<ConvexHttpClient> {
    const name = actor.kind === "person" ? actor.name : "";
    let client = this.clients.get(name);
    if (client === undefined) {
      client = new ConvexHttpClient(this.url, { logger: false });
      if (name !== "") client.setAuth(await this.issue(`${name}-${this.here}`));
      this.clients.set(name, client);
    }
    return client;
  }
}

function isQueryOf(name: string): boolean {
  return (FUNCTIONS as Record<string, { kind: string }>)[name]?.kind === "query";
}
