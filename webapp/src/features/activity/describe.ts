import { shownName } from "@/features/directory/paths";
import type { CommandState, Operation, Progress } from "@/lib/backend/wire.gen";
import { byteSize } from "@/lib/text/bytes";
import { readableLine } from "@/lib/text/sanitise";

/** What was asked of a machine, in words. */
export function describeOperation(operation: Operation): string {
  switch (operation.kind) {
    case "list":
      return operation.filter
        ? `List what contains “${readableLine(operation.filter)}” in ${shownPath(operation.directory)}`
        : `List ${shownPath(operation.directory)}`;
    case "inspect_repositories":
      return operation.directories.length === 1
        ? `Ask git about ${shownPath(operation.directories[0] ?? "")}`
        : `Ask git about ${operation.directories.length} folders`;
    case "read_file":
      return `Read ${shownPath(operation.path)}`;
    case "make_directory":
      return `Make the folder ${shownPath(operation.path)}`;
    case "rename":
      return `Rename ${shownPath(operation.from)} to ${shownPath(operation.to)}`;
    case "trash":
      return `Move ${shownPath(operation.path)} to the trash`;
    case "restore":
      return `Put ${shownPath(operation.path)} back from the trash`;
    case "clone": {
      const branch = operation.branch ? `, branch ${readableLine(operation.branch)},` : "";
      return `Clone ${readableLine(operation.url)}${branch} into ${shownPath(operation.path)}`;
    }
    case "remove_worktree":
      return `Remove the worktree ${shownPath(operation.directory)}${operation.force ? ", with what is unsaved in it" : ""}`;
    case "unknown":
      return "Something that a newer version knows";
  }
}

export function shownPath(path: string): string {
  return path === "" ? "the root" : shownName(path);
}

/** Whether it leaves everything as it is. */
export function isRead({ kind }: Operation): boolean {
  return kind === "list" || kind === "inspect_repositories" || kind === "read_file";
}

/** The directories whose listings it changes. */
export function changedDirectories(operation: Operation): string[] {
  const parent = (path: string) => path.slice(0, Math.max(path.lastIndexOf("/"), 0));
  switch (operation.kind) {
    case "make_directory":
    case "trash":
    case "restore":
    case "clone":
      return [parent(operation.path)];
    case "rename":
      return [...new Set([parent(operation.from), parent(operation.to)])];
    case "list":
    case "inspect_repositories":
    case "read_file":
    case "remove_worktree":
    case "unknown":
      return [];
  }
}

/** `1,890 of 4,200 objects · 4.7 MiB · 3.2 MiB/s`. */
export function progressFacts({ objectsDone, objectsTotal, bytes, bytesPerSecond }: Progress): string {
  const facts: string[] = [];
  if (objectsDone != null)
    facts.push(
      objectsTotal != null
        ? `${objectsDone.toLocaleString("en")} of ${objectsTotal.toLocaleString("en")} objects`
        : `${objectsDone.toLocaleString("en")} objects`,
    );
  if (bytes != null && bytes > 0) facts.push(byteSize(bytes));
  if (bytesPerSecond != null && bytesPerSecond > 0) facts.push(`${byteSize(bytesPerSecond)}/s`);
  return facts.join(" · ");
}

export const COMMAND_STATES: Record<CommandState, { variant: "ok" | "busy" | "wait" | "bad" | "quiet"; text: string }> =
  {
    queued: { variant: "wait", text: "waiting" },
    leased: { variant: "busy", text: "starting" },
    running: { variant: "busy", text: "running" },
    succeeded: { variant: "ok", text: "done" },
    failed: { variant: "bad", text: "failed" },
    cancelled: { variant: "quiet", text: "cancelled" },
    expired: { variant: "quiet", text: "expired" },
    unknown: { variant: "quiet", text: "unknown" },
  };
