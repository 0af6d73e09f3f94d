/** What a query has read, precise enough to say whether a write could change its result. */
import { compareValues, jsonToConvex, type JSONValue, type Value } from "convex/values";

export type Doc = Record<string, Value>;

/** One document's change by a commit. `null`: it did not exist before, or no longer does. */
export type Write = { table: string; id: string; before: Doc | null; after: Doc | null };

type RangeExpression = { type: "Eq" | "Gt" | "Gte" | "Lt" | "Lte"; fieldPath: string; value: JSONValue };

/** The serialised query that `1.0/queryStream` gets. */
export type SerializedQuery = {
  source:
    | { type: "FullTableScan"; tableName: string; order?: "asc" | "desc" | null }
    | { type: "IndexRange"; indexName: string; range: RangeExpression[]; order?: "asc" | "desc" | null }
    | { type: "Search"; indexName: string };
  operators: ({ filter: unknown } | { limit: number })[];
};

export class ReadSet {
  private readonly ids = new Set<string>();
  private readonly ranges: RangeRead[] = [];

  addDocument(id: string): void {
    this.ids.add(id);
  }

  addRange(range: RangeRead): void {
    this.ranges.push(range);
  }

  intersects(writes: readonly Write[]): boolean {
    return writes.some(
      (write) =>
        this.ids.has(write.id) ||
        this.ranges.some(
          (range) => range.table === write.table && (range.covers(write.before) || range.covers(write.after)),
        ),
    );
  }
}

/**
 * A range of an index. As in Convex, a stream that is left early, or ended by its limit, has read only up to the last
 * document it gave, so `first()` and `take(n)` do not depend on what comes after.
 */
export class RangeRead {
  private lastGiven: Doc | null = null;
  private given = 0;
  private whole = false;

  private constructor(
    readonly table: string,
    private readonly keyFields: readonly string[],
    private readonly range: readonly { type: RangeExpression["type"]; path: string; value: Value | undefined }[],
    private readonly descending: boolean,
    private readonly limit: number,
  ) {}

  static of(query: SerializedQuery, indexFields: (table: string, index: string) => readonly string[]): RangeRead {
    const { source } = query;
    const limit = query.operators.reduce((least, it) => ("limit" in it ? Math.min(least, it.limit) : least), Infinity);
    switch (source.type) {
      case "FullTableScan":
        return new RangeRead(source.tableName, ["_creationTime", "_id"], [], source.order === "desc", limit);
      case "IndexRange": {
        const [table = "", index = ""] = source.indexName.split(".");
        const range = source.range.map((it) => ({ type: it.type, path: it.fieldPath, value: bound(it.value) }));
        return new RangeRead(table, indexFields(table, index), range, source.order === "desc", limit);
      }
      case "Search":
        return RangeRead.table(source.indexName.split(".")[0] ?? "");
    }
  }

  /** All of a table: what no narrower rule is known for. */
  static table(table: string): RangeRead {
    const read = new RangeRead(table, [], [], false, Infinity);
    read.whole = true;
    return read;
  }

  gave(doc: Doc): void {
    this.lastGiven = doc;
    this.given += 1;
  }

  /** The stream said that there is no more: without a limit, all of the range has been read. */
  ended(): void {
    if (this.given < this.limit) this.whole = true;
  }

  /** Reads the whole range whatever was given. */
  readWhole(): this {
    this.whole = true;
    return this;
  }

  covers(doc: Doc | null): boolean {
    if (doc === null || !this.range.every((it) => holds(it.type, compareValues(field(doc, it.path), it.value)))) {
      return false;
    }
    if (this.whole) return true;
    // Nothing was taken from the stream: nothing was read.
    if (this.lastGiven === null) return false;
    const last = this.lastGiven;
    const order = this.keyFields
      .map((path) => compareValues(field(doc, path), field(last, path)))
      .find((compared) => compared !== 0);
    return order === undefined || (this.descending ? order > 0 : order < 0);
  }
}

function holds(type: RangeExpression["type"], compared: number): boolean {
  switch (type) {
    case "Eq":
      return compared === 0;
    case "Gt":
      return compared > 0;
    case "Gte":
      return compared >= 0;
    case "Lt":
      return compared < 0;
    case "Lte":
      return compared <= 0;
  }
}

function field(doc: Doc, path: string): Value | undefined {
  let value: unknown = doc;
  for (const part of path.split(".")) {
    value = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[part] : undefined;
  }
  return value as Value | undefined;
}

/** A bound may be `{"$undefined": null}`, which stands for a field that is not there. */
function bound(value: JSONValue): Value | undefined {
  if (typeof value === "object" && value !== null && "$undefined" in value) return undefined;
  return jsonToConvex(value);
}
