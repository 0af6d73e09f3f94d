/** Values with variables: filled in where they are sent, matched and bound where they are expected. */
import { numbered, soleMember, START_MS, type Json, type JsonObject } from "./format.ts";

/** What the variables stand for. */
export type Bindings = Map<string, Json>;

/** Where a value is not what was expected. */
export class Mismatch extends Error {
  constructor(
    readonly path: string,
    readonly expected: string,
    readonly got: Json,
  ) {
    super(`at ${path || "itself"}: expected ${expected}, got ${shown(got)}`);
  }
}

/** The most of a value that a failure shows. */
const SHOWN_CHARS = 4_000;

export const shown = (value: Json): string => JSON.stringify(value).slice(0, SHOWN_CHARS);

/** A value as it is sent: variables and short forms written out. */
export function fill(value: Json, bindings: Bindings): Json {
  const form = formOf(value);
  if (form !== undefined) {
    if (!("value" in form)) throw new Error(`${shown(value)} is only for what is expected`);
    return Array.isArray(form.value) ? form.value.map((item) => fill(item, bindings)) : form.value;
  }
  if (typeof value === "string") return fillText(value, bindings);
  if (Array.isArray(value)) return value.map((item) => fill(item, bindings));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, fill(member, bindings)]));
}

/** Compares what came with what was expected, and binds variables that are new; fails with a {@link Mismatch}. */
export function match(expected: Json, got: Json, bindings: Bindings, path = ""): void {
  const form = formOf(expected);
  if (form !== undefined) {
    if ("value" in form && Array.isArray(form.value)) return match(form.value, got, bindings, path);
    const fits = "value" in form ? form.value === got : form.fits(got);
    if (!fits) throw new Mismatch(path, shown(expected), got);
    return;
  }
  if (typeof expected === "string") return matchText(expected, got, bindings, path);
  if (Array.isArray(expected) && Array.isArray(got)) return matchList(expected, got, bindings, path);
  if (isObject(expected) && isObject(got)) return matchMembers(expected, got, bindings, path);
  if (expected !== got) throw new Mismatch(path, shown(expected), got);
}

function matchText(expected: string, got: Json, bindings: Bindings, path: string): void {
  const name = variableOf(expected);
  if (name !== undefined && !bindings.has(name) && got !== null) {
    bindings.set(name, got);
    return;
  }
  const filled = fillText(expected, bindings);
  if (filled !== got) throw new Mismatch(path, `${expected} = ${shown(filled)}`, got);
}

function matchList(expected: Json[], got: Json[], bindings: Bindings, path: string): void {
  if (expected[0] === "...") {
    expected.slice(1).forEach((item, index) => matchSome(item, got, bindings, `${path}[... ${index}]`));
    return;
  }
  if (expected.length !== got.length) throw new Mismatch(path, `${expected.length} elements`, got);
  expected.forEach((item, index) => match(item, got[index] ?? null, bindings, `${path}[${index}]`));
}

/** The wanted element has to be there, wherever. What it binds is kept. */
function matchSome(expected: Json, got: Json[], bindings: Bindings, path: string): void {
  for (const item of got) {
    const tried = new Map(bindings);
    try {
      match(expected, item, tried, path);
    } catch (error) {
      if (error instanceof Mismatch) continue;
      throw error;
    }
    for (const [name, value] of tried) bindings.set(name, value);
    return;
  }
  throw new Mismatch(path, `an element like ${shown(expected)}`, got);
}

function matchMembers(expected: JsonObject, got: JsonObject, bindings: Bindings, path: string): void {
  const isOpen = "..." in expected;
  for (const [name, member] of Object.entries(expected)) {
    if (name !== "...") match(member, got[name] ?? null, bindings, `${path}.${name}`);
  }
  for (const [name, member] of Object.entries(got)) {
    if (!isOpen && member !== null && !(name in expected)) throw new Mismatch(`${path}.${name}`, "nothing", member);
  }
}

/** An object that stands for something else: a value, or a test of one. */
type Form = { value: Json } | { fits: (got: Json) => boolean };

function formOf(value: Json): Form | undefined {
  const [name, inner] = soleMember(value) ?? [];
  switch (name) {
    case "at":
      return { value: START_MS + Number(inner) };
    case "any":
      return { fits: (got) => got !== null };
    case "starts":
      return { fits: (got) => typeof got === "string" && typeof inner === "string" && got.startsWith(inner) };
    case "repeat": {
      const [text, times] = inner as [string, number];
      return { value: text.repeat(times) };
    }
    case "list": {
      const [template, times] = inner as [Json, number];
      return { value: Array.from({ length: times }, (_, index) => numbered(template, index)) };
    }
    default:
      return undefined;
  }
}

const isObject = (value: Json): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const variableOf = (text: string): string | undefined => /^\$([A-Za-z0-9]+)$/.exec(text)?.[1];

function fillText(text: string, bindings: Bindings): Json {
  const bound = (name: string): Json => {
    const value = bindings.get(name);
    if (value === undefined) throw new Error(`the variable $${name} stands for nothing yet`);
    return value;
  };
  const name = variableOf(text);
  if (name !== undefined) return bound(name);
  return text.replace(/\$\{([A-Za-z0-9]+)\}/g, (_, inner: string) => {
    const value = bound(inner);
    return typeof value === "string" ? value : JSON.stringify(value);
  });
}
