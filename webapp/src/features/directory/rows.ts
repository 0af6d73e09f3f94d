import type { DirectoryEntry } from "@/lib/backend/wire.gen";

import { placeKey, type Directories, type Folder, type Place } from "./directory-store";
import { joinPath } from "./paths";

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

/** The lines of the tree, from a directory down into those of its folders that are open. */
export function rowsOf({ folders }: Directories, top: Place, expanded: ReadonlySet<string>): Row[] {
  const rows: Row[] = [];
  const add = (place: Place, level: number, parent: string | null) => {
    const folder = folders.get(placeKey(place));
    if (!folder) return;
    const at = { level, parent };
    const id = (kind: string) => `${kind}:${place.directory}`;
    const problem = problemOfFolder(folder);
    if (problem !== null) rows.push({ kind: "failed", id: id("failed"), ...at, folder, problem });
    if (folder.entries === null) {
      if (problem === null) rows.push({ kind: "loading", id: id("loading"), ...at, folder });
      return;
    }
    if (folder.entries.length === 0) rows.push({ kind: "empty", id: id("empty"), ...at, folder });
    folder.entries.forEach((entry, index) => {
      const path = joinPath(place.directory, entry.name);
      const isOpen = entry.kind === "directory" ? expanded.has(path) : null;
      const facts = { path, entry, position: index + 1, setSize: folder.total, expanded: isOpen };
      rows.push({ kind: "entry", id: `entry:${path}`, ...at, ...facts });
      if (isOpen === true) add({ directory: path, filter: "" }, level + 1, `entry:${path}`);
    });
    if (folder.next !== null) rows.push({ kind: "more", id: id("more"), ...at, folder, shown: folder.entries.length });
  };
  add(top, 1, null);
  return rows;
}

function problemOfFolder({ error, command }: Folder): string | null {
  if (error) return error.message;
  if (command?.state === "failed") return command.error?.message ?? "The machine did not say why.";
  if (command?.state === "expired") return "The machine did not come for the request in time.";
  if (command?.state === "cancelled") return "The request was cancelled.";
  return null;
}

/** The folders that are open somewhere in the tree below a directory: those whose ancestors are open too. */
export function openPlaces(top: Place, expanded: ReadonlySet<string>): Place[] {
  const base = top.directory;
  const isShown = (path: string): boolean => {
    if (path === base || !(base === "" || path.startsWith(`${base}/`))) return false;
    const parent = path.slice(0, Math.max(path.lastIndexOf("/"), 0));
    return parent === base || (expanded.has(parent) && isShown(parent));
  };
  const inner = [...expanded].filter(isShown).map((directory) => ({ directory, filter: "" }));
  return [top, ...inner];
}
