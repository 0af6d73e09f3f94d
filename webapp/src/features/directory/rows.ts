import type { DirectoryEntry } from "@/lib/backend/wire.gen";

import { placeKey, type Directories, type Folder, type Place } from "./directory-store";
import { isWithin, joinPath, parentOf } from "./paths";

/** One line of the tree. `parent` is the id of the line that it is below; null at the top. */
export type Row = { id: string; level: number; parent: string | null } & (
  | { kind: "entry"; path: string; entry: DirectoryEntry; position: number; setSize: number; expanded: boolean | null }
  /** Nothing is known of the folder yet. */
  | { kind: "loading"; folder: Folder }
  /** The folder could not be listed. */
  | { kind: "failed"; folder: Folder; problem: string }
  | { kind: "empty"; folder: Folder }
  /** There are further pages. */
  | { kind: "more"; folder: Folder; shown: number }
);
export type EntryRow = Extract<Row, { kind: "entry" }>;

/** Lines that were made before: a folder of any size is not gone through anew for each page that comes. */
export type RowCache = Map<
  string,
  { entries: readonly DirectoryEntry[]; total: number; level: number; rows: EntryRow[] }
>;

/** The lines of the tree, from a directory down into those of its folders that are open. */
export function rowsOf(
  folders: Directories["folders"],
  top: Place,
  expanded: ReadonlySet<string>,
  cache: RowCache = new Map(),
): Row[] {
  const rows: Row[] = [];
  const parents = new Set([...expanded].map(parentOf));
  const add = (place: Place, level: number, parent: string | null) => {
    const folder = folders.get(placeKey(place));
    if (!folder) return;
    const at = { level, parent };
    const id = (kind: string) => `${kind}:${place.directory}`;
    const problem = problemOfFolder(folder);
    if (problem !== null) rows.push({ kind: "failed", id: id("failed"), ...at, folder, problem });
    const { entries } = folder;
    if (entries === null) {
      if (problem === null) rows.push({ kind: "loading", id: id("loading"), ...at, folder });
      return;
    }
    if (entries.length === 0) rows.push({ kind: "empty", id: id("empty"), ...at, folder });
    const hasOpen = parents.has(place.directory);
    for (const row of entryRows(folder, entries, level, parent, cache)) {
      const isOpen = hasOpen && row.expanded !== null && expanded.has(row.path);
      rows.push(isOpen ? { ...row, expanded: true } : row);
      if (isOpen) add({ directory: row.path, filter: "" }, level + 1, row.id);
    }
    if (folder.next !== null) rows.push({ kind: "more", id: id("more"), ...at, folder, shown: entries.length });
  };
  add(top, 1, null);
  for (const key of [...cache.keys()]) if (!folders.has(key)) cache.delete(key);
  return rows;
}

/** A line for each entry, none of them open. What a further page did not change is as it was. */
function entryRows(
  folder: Folder,
  entries: readonly DirectoryEntry[],
  level: number,
  parent: string | null,
  cache: RowCache,
): readonly EntryRow[] {
  const key = placeKey(folder);
  const before = cache.get(key);
  const { directory, total } = folder;
  if (before?.entries === entries && before.total === total && before.level === level) return before.rows;
  const count = before?.entries.length ?? 0;
  const goesOn =
    before?.total === total &&
    before.level === level &&
    count <= entries.length &&
    before.entries[0] === entries[0] &&
    before.entries[count - 1] === entries[count - 1];
  const rows = goesOn ? before.rows.slice() : [];
  for (let index = rows.length; index < entries.length; index += 1) {
    const entry = entries[index];
    if (!entry) break;
    const path = joinPath(directory, entry.name);
    const expanded = entry.kind === "directory" ? false : null;
    const place = { position: index + 1, setSize: total, expanded };
    rows.push({ kind: "entry", id: `entry:${path}`, level, parent, path, entry, ...place });
  }
  cache.set(key, { entries, total, level, rows });
  return rows;
}

function problemOfFolder({ error, command }: Folder): string | null {
  if (error) return error.message;
  if (command?.state === "failed") return command.error?.message ?? "The machine did not say why.";
  if (command?.state === "expired") return "The machine did not come for the request in time.";
  if (command?.state === "cancelled") return "The request was cancelled.";
  return null;
}

/** Folders that are open at once; each is followed for as long as it is. */
const OPEN_PLACES_MAX = 40;

/** The open folders with one more; beyond what can be followed, those that were opened first close. */
export function withOpen(expanded: ReadonlySet<string>, directory: string, path: string): ReadonlySet<string> {
  const after = new Set(expanded).add(path);
  const shown = openPlaces({ directory, filter: "" }, after).slice(1);
  const surplus = shown.filter((place) => !isWithin(path, place.directory));
  for (const place of surplus.slice(0, Math.max(0, shown.length - OPEN_PLACES_MAX))) after.delete(place.directory);
  return after;
}

/** The folders that are open somewhere in the tree below a directory: those whose ancestors are open too. */
export function openPlaces(top: Place, expanded: ReadonlySet<string>): Place[] {
  const base = top.directory;
  const isShown = (path: string): boolean => {
    if (path === base || !(base === "" || path.startsWith(`${base}/`))) return false;
    const parent = parentOf(path);
    return parent === base || (expanded.has(parent) && isShown(parent));
  };
  const inner = [...expanded].filter(isShown).map((directory) => ({ directory, filter: "" }));
  return [top, ...inner];
}
