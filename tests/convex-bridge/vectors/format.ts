/** The scenarios in `tests/vectors/backend`; the README there describes them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
/* eslint-disable-next-line @typescript-eslint/consistent-indexed-object-style -- A record may not name itself. */
export type JsonObject = { [name: string]: Json };

/** When every scenario begins: 2026-01-01 in UTC. */
export const START_MS = 1_767_225_600_000;

/** A step as it is written: which fields it has says what it does. */
export type Step = {
  as?: string;
  call?: string;
  args?: Json;
  key?: string | null;
  reply?: Json;
  error?: JsonObject;
  watch?: string;
  expect?: string;
  value?: Json;
  wait?: number;
  jump?: number;
  append?: Json;
  epoch?: Json;
  seq?: Json;
  read?: Json;
  chunks?: Json;
  state?: JsonObject;
  times?: number;
  steps?: Step[];
};

export type Scenario = { name: string; about: string; steps: Step[] };

const FOLDER = fileURLToPath(new URL("../../vectors/backend", import.meta.url));

/** All scenarios by name, or only those whose name contains what the environment variable `VECTOR` holds. */
export function loadScenarios(): Scenario[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith(".json") && file.includes(process.env.VECTOR ?? ""))
    .sort()
    .map((file) => {
      const { about, steps } = JSON.parse(readFileSync(join(FOLDER, file), "utf8")) as Scenario;
      return { name: file.replace(/\.json$/, ""), about, steps };
    });
}

/** A step that is done once. */
export type Leaf = { place: string; step: Step };

/** The steps with their repetitions written out. */
export function leavesOf(steps: readonly Step[], prefix = ""): Leaf[] {
  return steps.flatMap((step, index) => {
    const place = `${prefix}${index + 1}`;
    const { times, ...once } = step;
    return Array.from({ length: times ?? 1 }, (_, time) => {
      const act = times === undefined ? once : (numbered(once, time) as Step);
      const here = times === undefined ? place : `${place} (#${time})`;
      return act.steps === undefined ? [{ place: here, step: act }] : leavesOf(act.steps, `${here}.`);
    }).flat();
  });
}

/** The value with `#` in its texts replaced by a number; a list in it has numbers of its own. */
export function numbered(value: Json, index: number): Json {
  if (typeof value === "string") return value.replaceAll("#", String(index));
  if (Array.isArray(value)) return value.map((item) => numbered(item, index));
  if (typeof value !== "object" || value === null || soleMember(value)?.[0] === "list") return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, numbered(member, index)]));
}

/** The name and the value of an object's only member. */
export function soleMember(value: Json): [string, Json] | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const [first, second] = Object.entries(value);
  return second === undefined ? first : undefined;
}
