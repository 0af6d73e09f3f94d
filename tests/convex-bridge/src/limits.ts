/** Convex's limits on values, which convex-test does not check. */
import { getConvexSize, type Value } from "convex/values";

const ARRAY_ITEMS = 8_192;
const OBJECT_FIELDS = 1_024;
const VALUE_NESTING = 64;
const DOCUMENT_NESTING = 16;
const DOCUMENT_BYTES = 1 << 20;
/** Of a function's arguments, and of its result. */
const CALL_BYTES = 1 << 24;

/** Why a document cannot be stored, if so. */
export function unfitDocument(doc: Value): string | undefined {
  return unfit(doc, DOCUMENT_NESTING, "Document") ?? tooLarge(doc, DOCUMENT_BYTES);
}

/** Why a value cannot be a function's arguments or its result, if so. */
export function unfitInCall(value: Value): string | undefined {
  return unfit(value, VALUE_NESTING, "Value") ?? tooLarge(value, CALL_BYTES);
}

function tooLarge(value: Value, limit: number): string | undefined {
  const bytes = getConvexSize(value);
  return bytes > limit ? `Value is too large (${bytes} B > maximum size ${limit} B)` : undefined;
}

function unfit(value: Value, nesting: number, what: string): string | undefined {
  const pending: [Value, number][] = [[value, 1]];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [here, depth] = next;
    // Half a character: what is left of an emoji that was cut in two.
    if (typeof here === "string" && !here.isWellFormed()) return "A string holds an unpaired surrogate";
    if (typeof here !== "object" || here === null || here instanceof ArrayBuffer) continue;
    if (depth > nesting) return `${what} is too nested (more than ${nesting} levels deep)`;
    const inside = Array.isArray(here) ? here : Object.values(here as Record<string, Value>);
    if (Array.isArray(here) && here.length > ARRAY_ITEMS) {
      return `Array length is too long (${here.length} > maximum length ${ARRAY_ITEMS})`;
    }
    if (!Array.isArray(here) && inside.length > OBJECT_FIELDS) {
      return `Object has too many fields (${inside.length} > maximum number ${OBJECT_FIELDS})`;
    }
    for (const item of inside) pending.push([item, depth + 1]);
  }
  return undefined;
}
