/** Checks a function's arguments against its validator, with the texts of Convex's ArgumentValidationError. */
import type { ValidatorJSON, Value } from "convex/values";

type ObjectFields = Record<string, { fieldType: ValidatorJSON; optional: boolean }>;

/** The text of the misfit, or undefined when the value fits. */
export function misfit(validator: ValidatorJSON, value: Value | undefined, path = ""): string | undefined {
  switch (validator.type) {
    case "any":
      return undefined;
    case "null":
      return value === null ? undefined : noMatch(validator, value, path);
    case "number":
    case "boolean":
    case "string":
    case "bigint":
      return typeof value === validator.type ? undefined : noMatch(validator, value, path);
    case "id":
      return typeof value === "string" ? undefined : noMatch(validator, value, path);
    case "bytes":
      return value instanceof ArrayBuffer ? undefined : noMatch(validator, value, path);
    case "literal":
      return value === validator.value
        ? undefined
        : `\`${show(value)}\` does not match literal validator \`${describe(validator)}\`.${context(path)}`;
    case "array": {
      if (!Array.isArray(value)) return noMatch(validator, value, path);
      return first(value.map((item, index) => misfit(validator.value, item, `${path}[${index}]`)));
    }
    case "record": {
      if (!isObject(value)) return noMatch(validator, value, path);
      const fields = Object.entries(value);
      return first(fields.map(([name, item]) => misfit(validator.values.fieldType, item, `${path}.${name}`)));
    }
    case "union":
      return validator.value.some((it) => misfit(it, value, path) === undefined)
        ? undefined
        : noMatch(validator, value, path);
    case "object":
      return isObject(value) ? objectMisfit(validator.value, value, path) : noMatch(validator, value, path);
    default:
      return undefined;
  }
}

function objectMisfit(fields: ObjectFields, value: Record<string, Value>, path: string): string | undefined {
  const where = `\n${context(path)}\nObject: ${show(value)}\nValidator: ${describeObject(fields)}`;
  for (const [name, { optional }] of Object.entries(fields)) {
    if (!optional && !(name in value)) {
      return (
        `Object is missing the required field \`${name}\`. Consider wrapping the field validator in ` +
        `\`v.optional(...)\` if this is expected.${where}`
      );
    }
  }
  const extra = Object.keys(value).find((name) => !(name in fields));
  if (extra !== undefined) return `Object contains extra field \`${extra}\` that is not in the validator.${where}`;
  return first(
    Object.entries(fields).map(([name, { fieldType }]) =>
      name in value ? misfit(fieldType, value[name], `${path}.${name}`) : undefined,
    ),
  );
}

function noMatch(validator: ValidatorJSON, value: Value | undefined, path: string): string {
  return `Value does not match validator.\n${context(path)}\nValue: ${show(value)}\nValidator: ${describe(validator)}`;
}

function context(path: string): string {
  return path === "" ? "" : `Path: ${path}`;
}

function first(found: (string | undefined)[]): string | undefined {
  return found.find((it) => it !== undefined);
}

function isObject(value: Value | undefined): value is Record<string, Value> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof ArrayBuffer);
}

function describe(validator: ValidatorJSON): string {
  switch (validator.type) {
    case "number":
      return "v.float64()";
    case "bigint":
      return "v.int64()";
    case "id":
      return `v.id("${validator.tableName}")`;
    case "literal":
      return `v.literal(${show(validator.value)})`;
    case "array":
      return `v.array(${describe(validator.value)})`;
    case "union":
      return `v.union(${validator.value.map(describe).join(", ")})`;
    case "record":
      return `v.record(${describe(validator.keys)}, ${describe(validator.values.fieldType)})`;
    case "object":
      return describeObject(validator.value);
    default:
      return `v.${validator.type}()`;
  }
}

function describeObject(fields: ObjectFields): string {
  const shown = Object.entries(fields).map(([name, { fieldType, optional }]) =>
    optional ? `${name}: v.optional(${describe(fieldType)})` : `${name}: ${describe(fieldType)}`,
  );
  return `v.object({${shown.join(", ")}})`;
}

/** A value as Convex's backend prints it: a whole float has a `.0`. */
function show(value: Value | undefined): string {
  if (typeof value === "number") return Number.isInteger(value) ? `${value}.0` : String(value);
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  if (isObject(value)) {
    const fields = Object.entries(value).map(([name, item]) => `${name}: ${show(item)}`);
    return `{${fields.join(", ")}}`;
  }
  return typeof value === "bigint" || value === undefined ? String(value) : JSON.stringify(value);
}
