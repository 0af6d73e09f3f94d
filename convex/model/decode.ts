import { DEFINITIONS, FUNCTION_ARGS } from "./gen/schemas";
import { ID_KINDS, isId, type IdPrefix } from "./ids";
import { refusal } from "./refusal";

/** As much of JSON schema as the contract's arguments need. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly const?: string;
  readonly oneOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  /** The members that are written always. The others are left out while they are null. */
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
}

type JsonObject = Record<string, unknown>;

class Misfit extends Error {}

/** A function's arguments, read as the Rust backend reads them. */
export function decodeArgs(name: string, args: unknown): unknown {
  const schema = FUNCTION_ARGS[name];
  if (schema === undefined) {
    throw new Error(`${name} has no schema`);
  }
  return decodeAs(schema, args);
}

/**
 * A value read by its schema: members that are not known are left out, defaults filled in, variants that are not
 * known become `unknown` where that is one. What comes out is what the Rust side would write again.
 */
export function decodeAs(schema: Schema, args: unknown): unknown {
  try {
    // Absent arguments are empty ones: functions without arguments can be called with nothing.
    return decode(schema, args ?? {});
  } catch (error) {
    if (error instanceof Misfit) {
      throw refusal("invalid", `The arguments do not fit: ${error.message}.`);
    }
    throw error;
  }
}

function decode(schema: Schema, value: unknown): unknown {
  if (isNullable(schema)) {
    if (value === null) {
      return null;
    }
    const given = schema.anyOf?.find((option) => option.type !== "null");
    if (given !== undefined) {
      return decode(given, value);
    }
  }
  if (schema.oneOf?.every((option) => option.const !== undefined)) {
    return decodeName(schema.oneOf, value);
  }
  if (schema.$ref !== undefined && schema.properties === undefined) {
    return decode(definition(schema.$ref), value);
  }
  switch (typeof schema.type === "object" ? schema.type.find((type) => type !== "null") : schema.type) {
    case "string":
      return decodeText(schema, value);
    case "boolean":
      return typeof value === "boolean" ? value : misfit(value, "a boolean");
    case "integer":
      return decodeInteger(schema, value);
    case "array":
      return decodeList(schema.items ?? {}, value);
    default:
      return decodeObject(schema, value);
  }
}

function decodeText(schema: Schema, value: unknown): string {
  if (typeof value !== "string") {
    return misfit(value, "a string");
  }
  const prefix = schema.format?.startsWith("id:") ? (schema.format.slice("id:".length) as IdPrefix) : undefined;
  if (prefix !== undefined && !isId(value, prefix)) {
    const text = JSON.stringify(value.slice(0, 64));
    throw new Misfit(`${text} is not a ${ID_KINDS[prefix]} id (expected ${prefix}_ and 26 of 0-9 a-z)`);
  }
  return value;
}

function decodeInteger(schema: Schema, value: unknown): number {
  const maximum = schema.maximum ?? (schema.format === "uint32" ? 2 ** 32 - 1 : Number.MAX_SAFE_INTEGER);
  if (typeof value !== "number" || !Number.isInteger(value) || value < (schema.minimum ?? 0) || value > maximum) {
    return misfit(value, `a whole number from ${schema.minimum ?? 0} to ${maximum}`);
  }
  return value;
}

function decodeList(items: Schema, value: unknown): unknown[] {
  return Array.isArray(value) ? value.map((item) => decode(items, item)) : misfit(value, "a sequence");
}

function decodeName(names: readonly Schema[], value: unknown): string {
  if (typeof value !== "string") {
    return misfit(value, "the name of a variant");
  }
  const known = [value, "unknown"].find((text) => names.some((name) => name.const === text));
  return known ?? misfit(value, `one of ${names.map((name) => name.const).join(", ")}`);
}

function decodeObject(schema: Schema, value: unknown): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return misfit(value, "an object");
  }
  const given = value as JsonObject;
  const decoded: JsonObject = {};
  for (const shape of shapesOf(schema, given)) {
    for (const [name, member] of Object.entries(shape.properties ?? {})) {
      const found = decodeMember(name, member, given[name]);
      if (found !== null || shape.required?.includes(name)) {
        decoded[name] = found;
      }
    }
  }
  return decoded;
}

/** The parts that describe an object: its own members, those of what it includes, those of its variant. */
function shapesOf(schema: Schema, value: JsonObject): Schema[] {
  const shapes = [schema];
  if (schema.$ref !== undefined) {
    shapes.push(...shapesOf(definition(schema.$ref), value));
  }
  if (schema.oneOf !== undefined) {
    shapes.push(...shapesOf(variantOf(schema.oneOf, value), value));
  }
  return shapes;
}

function variantOf(variants: readonly Schema[], value: JsonObject): Schema {
  const tag = Object.entries(variants[0]?.properties ?? {}).find(([, member]) => member.const !== undefined)?.[0] ?? "";
  const given = value[tag];
  if (given === undefined) {
    throw new Misfit(`missing field \`${tag}\``);
  }
  if (typeof given !== "string") {
    return misfit(given, "the name of a variant");
  }
  const named = (name: string) => variants.find((variant) => variant.properties?.[tag]?.const === name);
  return named(given) ?? named("unknown") ?? misfit(given, "a variant that is known");
}

function decodeMember(name: string, schema: Schema, value: unknown): unknown {
  if (schema.const !== undefined) {
    return schema.const;
  }
  if (value !== undefined) {
    return decode(schema, value);
  }
  if (schema.default !== undefined) {
    return schema.default;
  }
  if (isNullable(schema)) {
    return null;
  }
  throw new Misfit(`missing field \`${name}\``);
}

const isNullable = (schema: Schema): boolean =>
  (Array.isArray(schema.type) && schema.type.includes("null")) ||
  (schema.anyOf?.some((option) => option.type === "null") ?? false);

function definition(reference: string): Schema {
  const found = DEFINITIONS[reference.slice("#/$defs/".length)];
  if (found === undefined) {
    throw new Error(`${reference} is not defined`);
  }
  return found;
}

function misfit(value: unknown, expected: string): never {
  const shown = typeof value === "object" && value !== null ? "this" : String(value).slice(0, 64);
  throw new Misfit(`${shown} is not ${expected}`);
}
