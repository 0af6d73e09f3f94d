/** Convex's rows as the tables that scenarios look at. */
import type { Json, JsonObject } from "./format.ts";

type Rows = readonly JsonObject[];

/** What a row has only here, and what is secret. */
const LEFT_OUT = [
  "_id",
  "_creationTime",
  "open",
  "openTurns",
  "openAsks",
  "messageBytes",
  "answerBytes",
  "isRead",
  "keyHash",
  "openRuns",
  "run",
  "webhookSecret",
];

/** What is stored, by table, in the order of making. */
export function dump(tables: Record<string, Rows>): JsonObject {
  const rows = (name: string): Rows => tables[name] ?? [];
  const leases = new Map(rows("leases").map((lease) => [lease.machine, lease]));
  return {
    machines: sorted(rows("machines").map(plain), "id"),
    credentials: sorted(rows("credentials").map(only("machine", "epoch")), "machine"),
    registrationKeys: sorted(
      rows("registrationKeys").map(only("machine", "state", "expiresAt")),
      "expiresAt",
      "machine",
      "state",
    ),
    presence: sorted(
      rows("presence").map((row) => {
        const { seenAt, leaseUntil } = leases.get(row.machine ?? null) ?? {};
        return {
          ...plain(row),

          seenAt: seenAt ?? null,
          leaseUntil: leaseUntil ?? null,
        };
      }),
      "machine",
    ),
    workers: sorted(rows("workers").map(reported), "id"),
    chats: sorted(rows("chats").map(reported), "id"),
    turns: sorted(rows("turns").map(plain), "id"),
    asks: sorted(rows("asks").map(plain), "id"),
    commands: sorted(rows("commands").map(reported), "id"),
    results: sorted(rows("results").map(plain), "command"),
    directories: sorted(rows("directories").map(plain), "machine", "hidden", "directory"),
    schedules: sorted(
      rows("schedules").map((row) => {
        const prompt = rows("prompts").find(({ schedule }) => schedule === row.id)?.text ?? null;
        return { ...plain(row), spec: { ...(row.spec as JsonObject), prompt } };
      }),
      "id",
    ),
    runs: sorted(rows("runs").map(plain), "id"),
    replies: sorted(
      rows("replies").map(({ person, key }) => ({ scope: person ?? null, key: key ?? null })),
      "scope",
      "key",
    ),
    streams: sorted(rows("streams").map(plain), "turn"),
  };
}

const plain = (row: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(row).filter(([name]) => !LEFT_OUT.includes(name)));

const only =
  (...names: string[]) =>
  (row: JsonObject): JsonObject =>
    Object.fromEntries(names.map((name) => [name, row[name] ?? null]));

function reported(row: JsonObject): JsonObject {
  const { epoch, seq } = row.reported as { epoch: number; seq: number };
  return { ...plain(row), reported: [epoch, seq] };
}

function sorted(rows: JsonObject[], ...names: string[]): Json[] {
  const place = (row: JsonObject): string => names.map((name) => JSON.stringify(row[name])).join("\0");
  return rows.sort((a, b) => (place(a) < place(b) ? -1 : 1));
}
