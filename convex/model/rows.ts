/** Validators of what rows hold, in the shapes of the wire types. */

import { v, type Validator } from "convex/values";
import { STATES } from "./gen/states";
import type { CommandErrorCode, EntryKind, Sandbox, WorktreeState } from "./gen/wire";
import type { StateOf } from "./states";

/** A member of a row that is always written, as null when there is nothing. */
export const nullable = <T, F extends string>(value: Validator<T, "required", F>) => v.union(value, v.null());

/** A member of a wire type that may be left out. */
export const maybe = <T, F extends string>(value: Validator<T, "required", F>) => v.optional(v.union(value, v.null()));

/** One of these names. */
export const oneOf = <T extends string>(...names: readonly T[]) => v.union(...names.map((name) => v.literal(name)));

/** A state of that thing. Whether a state may follow another is for the state tables to say. */
export const stateOf = <T extends keyof typeof STATES>(thing: T) =>
  oneOf(...([...Object.keys(STATES[thing]), "unknown"] as StateOf<T>[]));

/** The place of a machine's report: epoch, then its number within the epoch. Later ones compare greater. */
export const reportPlace = v.object({ epoch: v.number(), seq: v.number() });

export const machineInfo = v.object({
  os: v.string(),
  arch: v.string(),
  hostname: v.string(),
  root: v.string(),
  agentVersion: v.string(),
  opencodeVersion: maybe(v.string()),
  enforcement: maybe(v.string()),
  problem: maybe(v.string()),
});

export const machineStatus = v.object({
  startedAt: v.number(),
  reconnects: v.number(),
  processes: v.number(),
  processLimit: v.number(),
  memoryBytes: maybe(v.number()),
  memoryLimitBytes: maybe(v.number()),
  waiting: v.array(v.string()),
  spooledBytes: v.number(),
  pendingCalls: v.number(),
  errors: v.array(v.object({ at: v.number(), message: v.string() })),
});

export const link = oneOf("up", "draining", "lost", "left");

export const workerSettings = v.object({
  model: maybe(v.string()),
  agent: maybe(v.string()),
  sandbox: oneOf<Sandbox>("off", "workspace", "unknown"),
});

export const worktree = v.object({
  directory: v.string(),
  branch: v.string(),
  state: oneOf<WorktreeState>("wanted", "present", "kept", "removed", "unknown"),
  reason: maybe(v.string()),
});

const unknown = v.object({ kind: v.literal("unknown") });

export const askBody = v.union(
  v.object({
    kind: v.literal("permission"),
    permission: v.string(),
    patterns: v.array(v.string()),
    detail: v.string(),
    always: v.array(v.string()),
  }),
  v.object({
    kind: v.literal("question"),
    questions: v.array(
      v.object({
        header: v.string(),
        question: v.string(),
        options: v.array(v.object({ label: v.string(), description: v.string() })),
        multiple: v.boolean(),
        custom: v.boolean(),
      }),
    ),
  }),
  unknown,
);

export const askAnswer = v.union(
  v.object({ kind: v.literal("once") }),
  v.object({ kind: v.literal("always") }),
  v.object({ kind: v.literal("reject"), message: maybe(v.string()) }),
  v.object({ kind: v.literal("answers"), answers: v.array(v.array(v.string())) }),
  unknown,
);

export const operation = v.union(
  v.object({
    kind: v.literal("list"),
    directory: v.string(),
    hidden: v.boolean(),
    filter: maybe(v.string()),
    after: maybe(v.string()),
  }),
  v.object({ kind: v.literal("inspect_repositories"), directories: v.array(v.string()) }),
  v.object({ kind: v.literal("read_file"), path: v.string() }),
  v.object({ kind: v.literal("make_directory"), path: v.string() }),
  v.object({ kind: v.literal("rename"), from: v.string(), to: v.string() }),
  v.object({ kind: v.literal("trash"), path: v.string() }),
  v.object({ kind: v.literal("restore"), trashed: v.string(), path: v.string() }),
  v.object({ kind: v.literal("clone"), url: v.string(), branch: maybe(v.string()), path: v.string() }),
  v.object({
    kind: v.literal("remove_worktree"),
    chatSessionId: v.string(),
    force: v.boolean(),
    repository: v.string(),
    directory: v.string(),
    branch: v.string(),
  }),
  unknown,
);

export const progress = v.object({
  phase: v.string(),
  percent: maybe(v.number()),
  objectsDone: maybe(v.number()),
  objectsTotal: maybe(v.number()),
  bytes: maybe(v.number()),
  bytesPerSecond: maybe(v.number()),
});

export const commandError = v.object({
  code: oneOf<CommandErrorCode>(
    "not_found",
    "already_exists",
    "wrong_kind",
    "outside_root",
    "invalid",
    "permission_denied",
    "no_space",
    "too_large",
    "authentication_needed",
    "host_unknown",
    "unreachable",
    "unsaved_work",
    "timed_out",
    "interrupted",
    "other",
    "unknown",
  ),
  message: v.string(),
});

const listingFields = {
  entries: v.array(
    v.object({
      name: v.string(),
      kind: oneOf<EntryKind>("directory", "file", "link", "other", "unknown"),
      size: maybe(v.number()),
      modifiedAt: maybe(v.number()),
      git: maybe(v.object({ branch: maybe(v.string()) })),
    }),
  ),
  total: v.number(),
  next: maybe(v.string()),
};

export const listing = v.object(listingFields);

export const commandResult = v.union(
  v.object({ kind: v.literal("done") }),
  v.object({ kind: v.literal("listing"), ...listingFields }),
  v.object({
    kind: v.literal("repositories"),
    repositories: v.array(
      v.object({ directory: v.string(), branch: maybe(v.string()), changedFiles: maybe(v.number()) }),
    ),
  }),
  v.object({
    kind: v.literal("file"),
    text: v.string(),
    size: v.number(),
    truncated: v.boolean(),
    isBinary: v.boolean(),
  }),
  v.object({ kind: v.literal("cloned"), branch: maybe(v.string()) }),
  unknown,
);
