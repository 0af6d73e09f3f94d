/** What a machine is asked to do: checked before it is kept. Whether it may be done there is the machine's to say. */

import type { QueryCtx } from "../functions/_generated/server";
import { commandById } from "./access";
import { LIMITS, type Operation } from "./gen/wire";
import { check, PROTOCOLS, PROTOCOLS_BY_DEFAULT } from "./gitUrl";
import { checkedPath, checkedTarget } from "./paths";
import { notFound, refusal } from "./refusal";
import { byteLength, jsonBytes, trimmed } from "./texts";
import { removal } from "./worktrees";

/** The longest part of a name that a filter looks for: a file's name has at most as many. */
const FILTER_MAX_BYTES = 255;
/** The longest place between two pages. */
const CURSOR_MAX_BYTES = 2 * 1024;
const BRANCH_MAX_BYTES = LIMITS.nameMaxBytes * 4;

/** Whether it leaves everything as it is. */
export const isRead = ({ kind }: Operation): boolean =>
  kind === "list" || kind === "inspect_repositories" || kind === "read_file";

/** Whether it may take minutes, so that it must not keep short ones waiting. */
export const isLong = ({ kind }: Operation): boolean => kind === "clone";

/** The operation in its one form, if a machine may be asked for it. */
export async function checkedOperation(ctx: QueryCtx, machine: string, operation: Operation): Promise<Operation> {
  const checked = await checkedByKind(ctx, machine, operation);
  checkJson("operation", checked);
  return checked;
}

async function checkedByKind(ctx: QueryCtx, machine: string, operation: Operation): Promise<Operation> {
  switch (operation.kind) {
    case "list":
      return {
        ...operation,
        directory: checkedPath(operation.directory),
        filter: checkedOption(operation.filter, "filter", FILTER_MAX_BYTES),
        after: checkedOption(operation.after, "place of the page", CURSOR_MAX_BYTES),
      };
    case "inspect_repositories":
      if (operation.directories.length > LIMITS.inspectedMax) {
        throw refusal("too_large", `At most ${LIMITS.inspectedMax} directories are inspected at once.`);
      }
      return { ...operation, directories: operation.directories.map(checkedPath) };
    case "read_file":
    case "make_directory":
    case "trash":
      return { ...operation, path: checkedTarget(operation.path) };
    case "rename":
      return { ...operation, from: checkedTarget(operation.from), to: checkedTarget(operation.to) };
    case "restore":
      return { ...operation, path: await trashedPath(ctx, machine, operation.trashed) };
    case "remove_worktree":
      return await removal(ctx, machine, operation.chatSessionId, operation.force);
    case "clone":
      return {
        ...operation,
        url: checkedUrl(operation.url),
        branch: checkedOption(operation.branch, "branch", BRANCH_MAX_BYTES),
        path: checkedTarget(operation.path),
      };
    case "unknown":
      throw refusal("invalid", "This backend does not know that operation. Update it.");
  }
}

/** Where it was what a command has put into the trash. */
async function trashedPath(ctx: QueryCtx, machine: string, command: string): Promise<string> {
  const row = await commandById(ctx, command);
  if (row?.machine !== machine || row.state !== "succeeded" || row.operation.kind !== "trash") {
    throw notFound("thing in the trash");
  }
  return row.operation.path;
}

/**
 * The form of an address; whether its protocol is allowed is the machine's to say. A password in it would be kept in
 * the activity, so it is refused here and not only there.
 */
function checkedUrl(text: string): string {
  const url = trimmed(text);
  const refused = check(url, PROTOCOLS);
  if (refused !== null) {
    // What is advised is what every machine allows.
    throw refusal("invalid", (check(url, PROTOCOLS_BY_DEFAULT) ?? refused).message);
  }
  return url;
}

function checkedOption(text: string | null | undefined, what: string, maxBytes: number): string | null {
  if (byteLength(text ?? "") > maxBytes) {
    throw refusal("too_large", `The ${what} is over its limit of ${maxBytes} bytes.`);
  }
  return text || null;
}

/** Refuses what is too large to be kept with a command. */
export function checkJson(what: string, value: unknown): void {
  if (jsonBytes(value) > LIMITS.commandMaxBytes) {
    throw refusal("too_large", `The ${what} is over its limit of ${LIMITS.commandMaxBytes} bytes.`);
  }
}
