import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
import {
  askAnswer,
  askBody,
  commandError,
  commandResult,
  link,
  listing,
  machineInfo,
  machineStatus,
  nullable,
  operation,
  progress,
  reportPlace,
  stateOf,
  workerSettings,
  worktree,
} from "../model/rows";
import { runFields, scheduleFields } from "../model/scheduleRows";

/**
 * Rows of things name each other by the contract's own ids (`mch_…`), which are in `id` (indexed as `by_ownId`: Convex
 * keeps `by_id` for itself). A row whose `open` is false
 * has left the lists of what there is: it is revoked, removed, closed, ended or settled.
 *
 * What changes often is apart from what is watched: `leases` and `statuses` from `presence`, `progress` and the like from
 * `openCommands`, `chunks` from everything.
 */
export default defineSchema({
  machines: defineTable({
    id: v.string(),
    owner: v.string(),
    name: v.string(),
    state: stateOf("machine"),
    info: nullable(machineInfo),
    keyHash: nullable(v.string()),
    createdAt: v.number(),
    open: v.boolean(),
  })
    .index("by_ownId", ["id"])
    .index("by_owner_open_id", ["owner", "open", "id"]),

  /** How much a machine has, so that a list of machines need not read all of it. */
  counts: defineTable({
    machine: v.string(),
    workers: v.number(),
    openChats: v.number(),
    pendingAsks: v.number(),
    directories: v.number(),
  }).index("by_machine", ["machine"]),

  /** Hashes only, and apart from the machine's row, so that nothing which is shown ever holds them. */
  credentials: defineTable({
    machine: v.string(),
    secret: v.string(),
    /** The token of the connection in effect. */
    connection: nullable(v.string()),
    /** Its epoch; 0 before the first. */
    epoch: v.number(),
    /** The highest epoch that was handed out since that is kept. */
    handedOut: v.optional(v.number()),
    /** Of the latest connections, latest last: a request that comes late is known by them. */
    nonces: v.array(v.string()),
  }).index("by_machine", ["machine"]),

  /** Connections that were handed out and not used so far. They have no effect yet. */
  pending: defineTable({
    machine: v.string(),
    epoch: v.number(),
    connection: v.string(),
    nonce: v.string(),
    /** What the machine told about itself: shown once the connection takes effect. */
    info: machineInfo,
    expiresAt: v.number(),
  }).index("by_machine_epoch", ["machine", "epoch"]),

  registrationKeys: defineTable({
    hash: v.string(),
    machine: v.string(),
    state: stateOf("registration key"),
    expiresAt: v.number(),
    /** The hash of the nonce of whoever used it. */
    nonce: nullable(v.string()),
  }).index("by_hash", ["hash"]),

  presence: defineTable({
    machine: v.string(),
    epoch: v.number(),
    link,
    since: v.number(),
  }).index("by_machine", ["machine"]),

  /** Written on each heartbeat. No query reads it but the one of a machine's health. */
  leases: defineTable({
    machine: v.string(),
    seenAt: v.number(),
    leaseUntil: v.number(),
    /** When the deadline that is armed for it comes; see model/presence.ts. */
    checkAt: v.number(),
  }).index("by_machine", ["machine"]),

  /** What the machine told last about its own work, on the connection that it has or had last. As with `leases`. */
  statuses: defineTable({ machine: v.string(), at: v.number(), status: machineStatus }).index("by_machine", [
    "machine",
  ]),

  /** Who waits for a process there, by `statuses`, while anybody does; written only when it differs. */
  waits: defineTable({
    machine: v.string(),
    processes: v.number(),
    processLimit: v.number(),
    /** The next one first. */
    waiting: v.array(v.string()),
  }).index("by_machine", ["machine"]),

  workers: defineTable({
    id: v.string(),
    machine: v.string(),
    name: v.string(),
    directory: v.string(),
    state: stateOf("worker"),
    reason: nullable(v.string()),
    reported: reportPlace,
    createdAt: v.number(),
    settings: workerSettings,
    open: v.boolean(),
  })
    .index("by_ownId", ["id"])
    .index("by_machine_open_id", ["machine", "open", "id"])
    .index("by_machine_open_directory", ["machine", "open", "directory"]),

  chats: defineTable({
    id: v.string(),
    machine: v.string(),
    worker: v.string(),
    title: v.string(),
    state: stateOf("chat session"),
    reason: nullable(v.string()),
    model: nullable(v.string()),
    agent: nullable(v.string()),
    agentSessionId: nullable(v.string()),
    reported: reportPlace,
    lastOrdinal: v.number(),
    queuedCount: v.number(),
    pendingAskCount: v.number(),
    createdAt: v.number(),
    activeAt: v.number(),
    worktree: nullable(worktree),
    /** Its process is to ask before everything: what may be done is decided here. */
    askFirst: v.optional(v.boolean()),
    continues: v.optional(v.string()),
    continuedBy: v.optional(v.string()),
    /** The latest turn that was given what was said in the chat session that it continues. */
    backgroundFor: v.optional(v.string()),
    open: v.boolean(),
    /** Turns and asks of it that are open: the inbox looks for those only where there are some. */
    openTurns: v.number(),
    openAsks: v.number(),
  })
    .index("by_ownId", ["id"])
    .index("by_machine_open_id", ["machine", "open", "id"])
    .index("by_worker_open_id", ["worker", "open", "id"]),

  turns: defineTable({
    id: v.string(),
    chat: v.string(),
    machine: v.string(),
    ordinal: v.number(),
    state: stateOf("turn"),
    reason: nullable(v.string()),
    cancelRequested: v.boolean(),
    createdAt: v.number(),
    deliveredAt: nullable(v.number()),
    endedAt: nullable(v.number()),
    hash: nullable(v.string()),
    /** The run that it is a try of. */
    run: v.optional(v.string()),
    open: v.boolean(),
    /** The sizes of its texts, so that a page of them is planned before they are read. */
    messageBytes: v.number(),
    answerBytes: v.number(),
  })
    .index("by_ownId", ["id"])
    .index("by_chat_ordinal", ["chat", "ordinal"])
    .index("by_chat_open_ordinal", ["chat", "open", "ordinal"]),

  messages: defineTable({ turn: v.string(), text: v.string() }).index("by_turn", ["turn"]),

  /** The JSON of a turn's complete answer, in pieces that fit a document. */
  answers: defineTable({ turn: v.string(), piece: v.number(), text: v.string() }).index("by_turn_piece", [
    "turn",
    "piece",
  ]),

  asks: defineTable({
    id: v.string(),
    agentAskId: v.string(),
    chat: v.string(),
    turn: v.string(),
    machine: v.string(),
    body: askBody,
    state: stateOf("ask"),
    answer: nullable(askAnswer),
    createdAt: v.number(),
    deadline: v.number(),
    open: v.boolean(),
  })
    .index("by_ownId", ["id"])
    .index("by_turn_agentAskId", ["turn", "agentAskId"])
    .index("by_chat_open_id", ["chat", "open", "id"]),

  commands: defineTable({
    id: v.string(),
    machine: v.string(),
    requestedBy: v.string(),
    operation,
    isRead: v.boolean(),
    state: stateOf("command"),
    /** The connection that took it last. */
    epoch: v.number(),
    attempt: v.number(),
    cancelRequested: v.boolean(),
    progress: nullable(progress),
    reported: reportPlace,
    error: nullable(commandError),
    createdAt: v.number(),
    startedAt: nullable(v.number()),
    endedAt: nullable(v.number()),
    expiresAt: v.number(),
  })
    .index("by_ownId", ["id"])
    .index("by_machine_id", ["machine", "id"])
    .index("by_machine_isRead_id", ["machine", "isRead", "id"]),

  /** The commands that have not ended, as the inbox shows them: reports of progress do not touch it. */
  openCommands: defineTable({
    machine: v.string(),
    command: v.string(),
    cancelRequested: v.boolean(),
    isLong: v.boolean(),
    /** The hash of what a reading command reads, by which the same wish is found again. */
    reads: nullable(v.string()),
  })
    .index("by_command", ["command"])
    .index("by_machine_command", ["machine", "command"])
    .index("by_machine_reads", ["machine", "reads"]),

  results: defineTable({ command: v.string(), result: commandResult }).index("by_command", ["command"]),

  /** Directories as they were last listed. */
  directories: defineTable({
    machine: v.string(),
    hidden: v.boolean(),
    directory: v.string(),
    listing: nullable(listing),
    asOf: nullable(v.number()),
    /** The latest command to list it. */
    command: v.string(),
    touchedAt: v.number(),
  })
    .index("by_machine_hidden_directory", ["machine", "hidden", "directory"])
    .index("by_machine_touchedAt_hidden_directory", ["machine", "touchedAt", "hidden", "directory"]),

  /** A deleted one's `open` is false. */
  schedules: defineTable({ ...scheduleFields, open: v.boolean() })
    .index("by_ownId", ["id"])
    .index("by_owner_open_id", ["owner", "open", "id"])
    .index("by_worker_open_id", ["worker", "open", "id"])
    .index("by_machine_open_id", ["machine", "open", "id"])
    .index("by_state_nextAt", ["state", "nextAt"]),

  /** The prompts of schedules, which may be long. */
  prompts: defineTable({ schedule: v.string(), text: v.string() }).index("by_schedule", ["schedule"]),

  /** How many schedules a person has. */
  scheduleCounts: defineTable({ owner: v.string(), schedules: v.number() }).index("by_owner", ["owner"]),

  runs: defineTable(runFields)
    .index("by_ownId", ["id"])
    .index("by_schedule_open_place", ["schedule", "open", "place"])
    .index("by_schedule_isManual_dueAt", ["schedule", "isManual", "dueAt"])
    .index("by_schedule_dueAt_id", ["schedule", "dueAt", "id"])
    .index("by_owner_dueAt_id", ["owner", "dueAt", "id"])
    .index("by_open_startsAt", ["open", "startsAt"]),

  /** The replies of changing calls, as JSON, kept for their idempotency keys. */
  replies: defineTable({
    person: v.string(),
    key: v.string(),
    requestHash: v.string(),
    reply: v.string(),
  }).index("by_person_key", ["person", "key"]),

  /** The turns that have a chunk stream. */
  streams: defineTable({ turn: v.string() }).index("by_turn", ["turn"]),

  /** Each append to a stream, as it came. Only ever inserted, and deleted some time after the turn's end. */
  chunks: defineTable({
    turn: v.string(),
    epoch: v.number(),
    seq: v.number(),
    /** Whether its last chunk ends the stream. */
    seals: v.boolean(),
    text: v.string(),
  }).index("by_turn_epoch_seq", ["turn", "epoch", "seq"]),

  /** Until when somebody watches a chat session's answer. */
  viewers: defineTable({ chat: v.string(), until: v.number() }).index("by_chat", ["chat"]),
});
