/** Runs a scenario against a backend. */
import { idOf } from "../../../convex/model/ids.ts";
import { FUNCTIONS } from "../../../convex/model/gen/wire.ts";
import { leavesOf, START_MS, type Json, type JsonObject, type Leaf, type Scenario, type Step } from "./format.ts";
import { fill, match, Mismatch, shown, type Bindings } from "./match.ts";

export type Actor = { kind: "person"; name: string } | { kind: "nobody" } | { kind: "machine"; token: string };

export type Append = { actor: Actor; turn: string; epoch: number; seq: number; chunks: Json[] };

/** A refusal, as the contract has it. What a subject fails with otherwise is a defect. */
export class Refused extends Error {
  constructor(readonly error: JsonObject) {
    super(shown(error));
  }
}

/** A backend that is held to the scenarios. It begins empty, at {@link START_MS}. */
export interface Subject {
  /** Lets that much time pass; each deadline is met at its own time. */
  advance(ms: number): Promise<void>;
  /** Sets the clock on or back by that much; what is due is met only then. */
  jump(ms: number): Promise<void>;
  call(actor: Actor, name: string, args: Json, key: string | undefined): Promise<Json>;
  append(append: Append): Promise<void>;
  /** All chunks of a turn, of all appends in one array. */
  read(actor: Actor, turn: string): Promise<Json[]>;
  /** Opens a watch under a name. */
  watch(name: string, actor: Actor, query: string, args: Json): Promise<void>;
  /** A watch's newest value, or the refusal that ended it, once all that was done has come through. */
  newest(name: string): Promise<Json>;
  /** What is stored, by table. */
  state(): Promise<JsonObject>;
}

/** Runs a scenario to its end, or fails with its first failure. */
export async function run(scenario: Scenario, subject: Subject): Promise<void> {
  const running = new Run(subject);
  for (const leaf of leavesOf(scenario.steps)) {
    try {
      await running.take(leaf);
      // convex-test never waits for anything: without this the process that runs the tests would seem dead.
      await new Promise((resolve) => setImmediate(resolve));
    } catch (error) {
      const why = error instanceof Mismatch || error instanceof Error ? error.message : String(error);
      throw new Error(`${scenario.name}.json, step ${leaf.place}: ${why}\n  (${scenario.about})`, { cause: error });
    }
  }
}

class Run {
  private readonly bindings: Bindings = new Map();
  private readonly keys = new Map<string, string>();
  private keysMade = 0;
  private nowMs = START_MS;

  constructor(private readonly subject: Subject) {}

  async take({ step }: Leaf): Promise<void> {
    if (step.wait !== undefined) {
      await this.subject.advance(step.wait);
      this.nowMs += step.wait;
    } else if (step.jump !== undefined) {
      await this.subject.jump(step.jump);
      this.nowMs += step.jump;
    } else if (step.state !== undefined) {
      await this.takeState(step.state);
    } else if (step.expect !== undefined) {
      await this.judge(`the watch ${step.expect}`, step, this.subject.newest(step.expect));
    } else if (step.append !== undefined) {
      await this.takeAppend(step);
    } else if (step.read !== undefined) {
      const read = this.subject.read(this.actor(step), this.text(step.read));
      await this.judge("the chunks", { error: step.error, value: step.chunks }, read);
    } else {
      await this.takeCall(step);
    }
  }

  private async takeCall(step: Step): Promise<void> {
    if (step.call === undefined) throw new Error('what does it do? "call" is missing');
    const [actor, args] = [this.actor(step), this.filled(step.args)];
    if (step.watch !== undefined) {
      await this.subject.watch(step.watch, actor, step.call, args);
    } else {
      await this.judge(step.call, step, this.subject.call(actor, step.call, args, this.key(step)));
    }
  }

  private async takeAppend(step: Step): Promise<void> {
    const append = this.subject.append({
      actor: this.actor(step),
      turn: this.text(step.append),
      epoch: Number(this.filled(step.epoch)),
      seq: Number(this.filled(step.seq)),
      chunks: this.filled(step.chunks) as Json[],
    });
    const done = append.then(() => null);
    await this.judge("the append", { error: step.error }, done);
  }

  private async takeState(tables: JsonObject): Promise<void> {
    const stored = await this.subject.state();
    const wanted = Object.keys(tables).map((table): [string, Json] => [table, stored[table] ?? null]);
    match(tables, Object.fromEntries(wanted), this.bindings);
  }

  private async judge(what: string, step: Step, answer: Promise<Json>): Promise<void> {
    const expected = step.reply ?? step.value;
    let got: Json;
    try {
      got = await answer;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (step.error === undefined) throw new Error(`${what} was refused: ${error.message}`, { cause: error });
      this.compare(`the refusal of ${what}`, { ...step.error, "...": true }, error.error);
      return;
    }
    if (step.error !== undefined) {
      throw new Error(`${what} should be refused with ${shown(step.error)}, but gave ${shown(got)}`);
    }
    if (expected !== undefined) this.compare(what, expected, got);
  }

  private compare(what: string, expected: Json, got: Json): void {
    try {
      match(expected, got, this.bindings);
    } catch (error) {
      if (!(error instanceof Mismatch)) throw error;
      throw new Error(`${what} is not as expected\n  ${error.message}\n  all of it: ${shown(got)}`, { cause: error });
    }
  }

  private actor({ as: name }: Step): Actor {
    if (name === undefined) throw new Error('who does it? "as" is missing');
    if (name === "ann" || name === "bob") return { kind: "person", name };
    return name === "nobody" ? { kind: "nobody" } : { kind: "machine", token: this.text(name) };
  }

  private filled(value: Json | undefined): Json {
    return fill(value ?? null, this.bindings);
  }

  private text(value: Json | undefined): string {
    const filled = this.filled(value);
    if (typeof filled !== "string") throw new Error(`${shown(filled)} is no text`);
    return filled;
  }

  /** A person's changing call has a new key, unless its step says otherwise. */
  private key({ call, key }: Step): string | undefined {
    if (key === null) return undefined;
    if (key === undefined) {
      const known = (FUNCTIONS as Record<string, { access: string; kind: string }>)[call ?? ""];
      return known?.kind === "mutation" && known.access === "person" ? this.newKey() : undefined;
    }
    const made = this.keys.get(key) ?? this.newKey();
    this.keys.set(key, made);
    return made;
  }

  private newKey(): string {
    this.keysMade += 1;
    const entropy = new Uint8Array(10);
    new DataView(entropy.buffer).setUint32(6, this.keysMade);
    return idOf("idk", this.nowMs, entropy);
  }
}
