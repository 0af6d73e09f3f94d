// Made from crates/protocol by `UPDATE_WIRE=1 cargo test -p protocol --test typescript`.

/**
 * A page of a machine's activity.
 */
export type Activity = {
/**
 * Commands, latest first.
 */
commands: Array<CommandSummary>,
/**
 * There are earlier ones.
 */
hasEarlier: boolean, };

/**
 * Call or watch `machine.activity`: what was asked of a machine, latest first.
 */
export type ActivityArgs = {
/**
 * The machine.
 */
machineId: MachineId,
/**
 * Whether commands that only read are among them.
 */
reads: boolean,
/**
 * Only commands before this one, for the next page.
 */
before?: CommandId | null, };

/**
 * Call `worker.chat.answerAsk`.
 */
export type AnswerAskArgs = {
/**
 * The ask.
 */
askId: AskId,
/**
 * The answer.
 */
answer: AskAnswer, };

/**
 * The answer to an append to a turn's chunk stream.
 */
export type Appended = {
/**
 * How long to gather chunks before the next append, in milliseconds from when this one was sent. Zero:
 * not at all. A backend that counts calls says more, and most while nobody watches.
 */
gatherMs: number, };

/**
 * A permission request or question that waits for a person.
 */
export type Ask = {
/**
 * Its id.
 */
id: AskId,
/**
 * Its chat session.
 */
chatSessionId: ChatSessionId,
/**
 * The turn that waits for it.
 */
turnId: TurnId,
/**
 * What it asks.
 */
body: AskBody,
/**
 * Its state.
 */
state: AskState,
/**
 * The answer, once there is one.
 */
answer?: AskAnswer | null,
/**
 * When it was asked.
 */
createdAt: Timestamp,
/**
 * When it denies by itself.
 */
deadline: Timestamp, };

/**
 * A person's answer to an ask.
 */
export type AskAnswer = { "kind": "once" } | { "kind": "always" } | { "kind": "reject",
/**
 * What the agent should do instead; without it, the turn ends.
 */
message?: string | null, } | { "kind": "answers",
/**
 * For each question what was chosen or written.
 */
answers: Array<Array<string>>, } | { "kind": "unknown" };

/**
 * What an ask asks.
 */
export type AskBody = { "kind": "permission",
/**
 * What it wants: `bash`, `edit`, ...
 */
permission: string,
/**
 * The commands or files it is about.
 */
patterns: Array<string>,
/**
 * What else is known about it, for a person: a diff, a command, ... as JSON text.
 */
detail: string,
/**
 * What `always` would allow.
 */
always: Array<string>, } | { "kind": "question",
/**
 * The questions; the answer has one entry for each.
 */
questions: Array<Question>, } | { "kind": "unknown" };

/**
 * An ask: a permission request or a question that waits for a person.
 */
export type AskId = string;

/**
 * A permission request or question that waits for a person.
 */
export type AskState = "pending" | "answered" | "expired" | "withdrawn" | "unknown";

/**
 * A refused call: what happened, why, and what to do next.
 */
export type CallError = {
/**
 * What kind of refusal.
 */
code: ErrorCode,
/**
 * For a person to read.
 */
message: string,
/**
 * Earliest time for another try, in milliseconds from now, where the backend knows one.
 */
retryAfterMs?: number | null, };

/**
 * What to do with firings that were missed.
 */
export type CatchUp = { "kind": "latest" } | { "kind": "all",
/**
 * How old, in milliseconds.
 */
withinMs: number, } | { "kind": "skip" } | { "kind": "unknown" };

/**
 * Names one chat session.
 */
export type ChatArgs = {
/**
 * The chat session.
 */
chatSessionId: ChatSessionId, };

/**
 * A chat session: one conversation, one agent process.
 */
export type ChatSessionId = string;

/**
 * One conversation and the agent process that serves it.
 */
export type ChatState = "requested" | "starting" | "ready" | "busy" | "hibernated" | "failed" | "closed" | "unknown";

/**
 * A chat session as a person sees it in a list.
 */
export type ChatSummary = {
/**
 * Its id.
 */
id: ChatSessionId,
/**
 * Its machine.
 */
machineId: MachineId,
/**
 * Its worker.
 */
workerId: WorkerId,
/**
 * Its title: what a person called it, else the beginning of its first message.
 */
title: string,
/**
 * Its state.
 */
state: ChatState,
/**
 * Why it failed, if it did.
 */
reason?: string | null,
/**
 * The model its turns use, as `provider/model`; opencode's own default if absent.
 */
model?: string | null,
/**
 * The agent its turns use; opencode's own default if absent.
 */
agent?: string | null,
/**
 * How many messages wait.
 */
queuedCount: number,
/**
 * How many asks wait.
 */
pendingAskCount: number,
/**
 * When it was started.
 */
createdAt: Timestamp,
/**
 * When something last happened in it.
 */
activeAt: Timestamp,
/**
 * The git worktree it has for itself, if it has one.
 */
worktree?: Worktree | null,
/**
 * The chat session, on this or another machine, whose conversation it goes on with.
 */
continues?: ChatSessionId | null,
/**
 * The latest chat session that goes on with its conversation.
 */
continuedBy?: ChatSessionId | null, };

/**
 * Watch `worker.chat.view`: a chat session, its latest turns without texts, and its asks.
 */
export type ChatView = {
/**
 * The chat session.
 */
chat: ChatSummary,
/**
 * The latest turns, by place; older ones by `worker.chat.transcript`.
 */
turns: Array<TurnSummary>,
/**
 * There are earlier turns.
 */
hasEarlier: boolean,
/**
 * Asks that wait, oldest first.
 */
asks: Array<Ask>,
/**
 * The path, below the backend's address, of the chunk stream of the turn that is under way. Read it
 * from its beginning: it holds this turn's chunks and no others.
 */
stream?: string | null,
/**
 * Why its next message waits, if it waits for a process.
 */
wait?: ProcessWait | null, };

/**
 * One entry of a chat session's chunk stream.
 */
export type Chunk = {
/**
 * The turn it belongs to.
 */
turn: TurnId,
/**
 * Counts the turn's chunks from zero, without a gap.
 */
seq: number, } & ({ "op": "append",
/**
 * The part.
 */
part: string,
/**
 * Where the text goes.
 */
kind: DeltaKind,
/**
 * The text.
 */
delta: string, } | { "op": "replace",
/**
 * The whole part. A tool call without `output` keeps the output that it has.
 */
part: Part, } | { "op": "supersede",
/**
 * The part.
 */
part: string, } | { "op": "seal",
/**
 * How the turn ended.
 */
outcome: TurnState,
/**
 * The hash of the turn's text; see [`crate::transcript::Transcript::hash`].
 */
hash: string, } | { "op": "unknown" });

/**
 * Names one command.
 */
export type CommandArgs = {
/**
 * The command.
 */
commandId: CommandId, };

/**
 * Why a command failed: what happened, why, and what to do next.
 */
export type CommandError = {
/**
 * What kind of failure.
 */
code: CommandErrorCode,
/**
 * For a person to read.
 */
message: string, };

/**
 * What kind of failure it is; programs decide by this, people read the message.
 */
export type CommandErrorCode = "not_found" | "already_exists" | "wrong_kind" | "outside_root" | "invalid" | "permission_denied" | "no_space" | "too_large" | "authentication_needed" | "host_unknown" | "unreachable" | "unsaved_work" | "timed_out" | "interrupted" | "other" | "unknown";

/**
 * A command: something a person asks of a machine.
 */
export type CommandId = string;

/**
 * What a command that succeeded has to tell.
 */
export type CommandResult = { "kind": "done" } | { "kind": "listing" } & Listing | { "kind": "repositories",
/**
 * In the order in which they were asked for; others are left out.
 */
repositories: Array<Repository>, } | { "kind": "file" } & FileText | { "kind": "cloned",
/**
 * The branch that is checked out; none in an empty repository or at a tag.
 */
branch?: string | null, } | { "kind": "unknown" };

/**
 * A directory operation or another request to a machine.
 */
export type CommandState = "queued" | "leased" | "running" | "succeeded" | "failed" | "cancelled" | "expired" | "unknown";

/**
 * A command as a person sees it.
 */
export type CommandSummary = {
/**
 * Its id.
 */
id: CommandId,
/**
 * Its machine.
 */
machineId: MachineId,
/**
 * Who asked for it.
 */
requestedBy: PersonId,
/**
 * What was asked.
 */
operation: Operation,
/**
 * Its state.
 */
state: CommandState,
/**
 * How often it was begun.
 */
attempt: number,
/**
 * A person wants it to stop.
 */
cancelRequested: boolean,
/**
 * How far it is, while it runs.
 */
progress?: Progress | null,
/**
 * Why it failed, if it did.
 */
error?: CommandError | null,
/**
 * When it was asked for.
 */
createdAt: Timestamp,
/**
 * When the machine began with it.
 */
startedAt?: Timestamp | null,
/**
 * When it ended.
 */
endedAt?: Timestamp | null,
/**
 * When it is given up if no machine has begun with it.
 */
expiresAt: Timestamp, };

/**
 * Watch `machine.command.view`: one command, with its result for as long as that is kept.
 */
export type CommandView = {
/**
 * The command.
 */
command: CommandSummary,
/**
 * What it has to tell; dropped ten minutes after it ended.
 */
result?: CommandResult | null, };

/**
 * Call `worker.configure`: how the chat sessions that start from now on run.
 */
export type ConfigureWorkerArgs = {
/**
 * The worker.
 */
workerId: WorkerId,
/**
 * All of its settings.
 */
settings: WorkerSettings, };

/**
 * Call `machine.connect`: hands out a connection. Its first call that changes something, or append, takes effect for
 * it: it fences all earlier connections. Until then nothing changes.
 */
export type ConnectArgs = {
/**
 * MACHINE_ID.
 */
machineId: MachineId,
/**
 * The secret.
 */
secret: string,
/**
 * The caller's [`crate::wire::WIRE_VERSION`].
 */
wireVersion: number,
/**
 * A random secret that the process makes once: the same one again is the same connection, so that a
 * repeated request does not fence the process that sent it. What it tells then, once it knows whether opencode
 * runs there, takes the place of what it told first.
 */
nonce?: string | null,
/**
 * What the machine tells about itself.
 */
info: MachineInfo, };

/**
 * The connection that `machine.connect` has handed out.
 */
export type ConnectReply = {
/**
 * The fencing token: greater than every earlier one of this machine.
 */
epoch: number,
/**
 * Sent as bearer credential with everything that follows on this connection.
 */
connectionToken: string,
/**
 * The backend's [`crate::wire::WIRE_VERSION`].
 */
wireVersion: number,
/**
 * How long the machine counts as online after a sign of life.
 */
leaseMs: number,
/**
 * How often it should give one.
 */
heartbeatMs: number,
/**
 * The largest append to a chunk stream, in bytes of JSON.
 */
chunkBatchMaxBytes: number, };

/**
 * Call `machine.create`.
 */
export type CreateMachineArgs = {
/**
 * What a person calls the machine.
 */
name: string, };

/**
 * Call `schedule.create`.
 */
export type CreateScheduleArgs = {
/**
 * The worker that does its runs.
 */
workerId: WorkerId,
/**
 * What it is.
 */
spec: ScheduleSpec,
/**
 * Whether it begins paused.
 */
paused: boolean, };

/**
 * Where an appended text goes.
 */
export type DeltaKind = "text" | "reasoning" | "tool_output" | "unknown";

/**
 * Watch `machine.directory`: a directory as it was last listed.
 */
export type DirectoryArgs = {
/**
 * The machine.
 */
machineId: MachineId,
/**
 * The directory.
 */
directory: string,
/**
 * Whether names that begin with a dot are listed.
 */
hidden: boolean, };

/**
 * One entry of a directory.
 */
export type DirectoryEntry = {
/**
 * Its name, escaped where needed.
 */
name: string,
/**
 * What it is.
 */
kind: EntryKind,
/**
 * A file's size in bytes.
 */
size?: number | null,
/**
 * When it was last changed.
 */
modifiedAt?: Timestamp | null,
/**
 * The git repository that a directory is, if it is one.
 */
git?: GitHead | null, };

/**
 * A directory as it was last listed, and how its next listing stands.
 */
export type DirectoryView = {
/**
 * The first page, if it was ever listed.
 */
listing?: Listing | null,
/**
 * When that page was true.
 */
asOf?: Timestamp | null,
/**
 * The latest command to list it: waiting, running, or failed.
 */
command?: CommandSummary | null, };

/**
 * Call `machine.disconnect`: the machine says goodbye.
 */
export type DisconnectArgs = Record<symbol, never>;

/**
 * The answer of a call that has nothing to say.
 */
export type Done = Record<symbol, never>;

/**
 * Call `schedule.edit`: all of it anew, from now on. Firings before now stay as they were; runs that have begun
 * end with what they began with, runs that wait begin with what is new.
 */
export type EditScheduleArgs = {
/**
 * The schedule.
 */
scheduleId: ScheduleId,
/**
 * The revision that was edited: an edit of an older one is refused as a conflict.
 */
revision: number,
/**
 * What it is from now on.
 */
spec: ScheduleSpec, };

/**
 * Call `worker.chat.endSession`.
 */
export type EndSessionArgs = {
/**
 * The chat session.
 */
chatSessionId: ChatSessionId,
/**
 * Whether its worktree goes even if there is work in it that is nowhere else.
 */
discardWorktree: boolean, };

/**
 * What an entry of a directory is.
 */
export type EntryKind = "directory" | "file" | "link" | "other" | "unknown";

/**
 * What kind of refusal it is; callers decide by this, people read the message.
 */
export type ErrorCode = "invalid" | "too_large" | "limit_reached" | "unauthenticated" | "forbidden" | "not_found" | "conflict" | "stale_epoch" | "revoked" | "expired" | "upgrade_required" | "rate_limited" | "unavailable" | "internal" | "unknown";

/**
 * Why a run failed, as far as it matters for another try.
 */
export type FailureKind = "provider" | "process" | "machine" | "denied" | "time_limit" | "setup" | "other" | "unknown";

/**
 * The beginning of a text file.
 */
export type FileText = {
/**
 * The text; empty for a binary file. Bytes that are not UTF-8 are replaced.
 */
text: string,
/**
 * The whole file's size in bytes.
 */
size: number,
/**
 * The file goes on.
 */
truncated: boolean,
/**
 * It is no text.
 */
isBinary: boolean, };

/**
 * Call `machine.command.finish`: how a command ended.
 */
export type FinishCommandArgs = {
/**
 * The command.
 */
commandId: CommandId,
/**
 * `succeeded`, `failed` or `cancelled`.
 */
outcome: CommandState,
/**
 * What it has to tell, if it succeeded.
 */
result?: CommandResult | null,
/**
 * Why it failed, if it did.
 */
error?: CommandError | null, };

/**
 * The complete answer of a turn.
 */
export type FullMessage = {
/**
 * Its parts, in order.
 */
parts: Array<Part>,
/**
 * The hash of its text; see [`crate::transcript::Transcript::hash`].
 */
hash: string,
/**
 * What it took, where the driver knows.
 */
usage?: Usage | null,
/**
 * The model that answered, as `provider/model`.
 */
model?: string | null, };

/**
 * What a repository has checked out, as its `HEAD` file says.
 */
export type GitHead = {
/**
 * The branch; none while a commit is checked out by itself.
 */
branch?: string | null, };

/**
 * Call `machine.heartbeat`: a sign of life.
 */
export type HeartbeatArgs = {
/**
 * The machine takes nothing new.
 */
draining: boolean,
/**
 * How the machine is, if that has changed since it last told.
 */
status?: MachineStatus | null, };

/**
 * Watch `machine.inbox`: all that a machine should know now. It is the whole of it: a machine that has
 * this and its own directory needs nothing else to go on.
 */
export type Inbox = {
/**
 * The machine.
 */
machineId: MachineId,
/**
 * The epoch of the connection that watches.
 */
epoch: number,
/**
 * The workers that are not removed.
 */
workers: Array<InboxWorker>,
/**
 * The chat sessions that are not closed.
 */
chats: Array<InboxChat>,
/**
 * The commands that have not ended.
 */
commands: Array<InboxCommand>, };

/**
 * An answered ask.
 */
export type InboxAnswer = {
/**
 * The ask.
 */
askId: AskId,
/**
 * The driver's own name for it.
 */
agentAskId: string,
/**
 * The answer.
 */
answer: AskAnswer, };

/**
 * A chat session as its machine sees it.
 */
export type InboxChat = {
/**
 * The chat session.
 */
id: ChatSessionId,
/**
 * Its worker.
 */
workerId: WorkerId,
/**
 * The worker's directory below the root.
 */
directory: string,
/**
 * Its state.
 */
state: ChatState,
/**
 * Its title.
 */
title: string,
/**
 * The driver's own name for the conversation, once it has told.
 */
agentSessionId?: string | null,
/**
 * The model, as `provider/model`.
 */
model?: string | null,
/**
 * The agent.
 */
agent?: string | null,
/**
 * What its process may write to.
 */
sandbox: Sandbox,
/**
 * The git worktree to make for it, and to work in.
 */
worktree?: Worktree | null,
/**
 * Whether its process has to ask before everything: whether it may is decided here.
 */
askFirst: boolean,
/**
 * The turn that is under way or next, if there is one.
 */
turn?: InboxTurn | null,
/**
 * Asks of the turn that have an answer which the machine has not settled yet.
 */
answers: Array<InboxAnswer>, };

/**
 * A command as its machine sees it in the inbox.
 */
export type InboxCommand = {
/**
 * The command.
 */
id: CommandId,
/**
 * A person wants it to stop.
 */
cancelRequested: boolean,
/**
 * It may take minutes.
 */
isLong: boolean, };

/**
 * The turn that is under way or next.
 */
export type InboxTurn = {
/**
 * The turn.
 */
id: TurnId,
/**
 * Its state.
 */
state: TurnState,
/**
 * A person wants it to stop.
 */
cancelRequested: boolean, };

/**
 * A worker as its machine sees it.
 */
export type InboxWorker = {
/**
 * The worker.
 */
id: WorkerId,
/**
 * Its directory below the root.
 */
directory: string,
/**
 * Its state.
 */
state: WorkerState, };

/**
 * A page of the ledger.
 */
export type Ledger = {
/**
 * By the instant they were due, latest first.
 */
runs: Array<RunSummary>,
/**
 * There are earlier ones.
 */
hasEarlier: boolean, };

/**
 * Call or watch `schedule.ledger`: a page of runs, latest first, of one schedule, one worker or all.
 */
export type LedgerArgs = {
/**
 * Only those of this schedule; a deleted one too.
 */
scheduleId?: ScheduleId | null,
/**
 * Only those due at or after this.
 */
from?: Timestamp | null,
/**
 * Only those due before this.
 */
until?: Timestamp | null,
/**
 * Only those before this one: the last of the page before.
 */
before?: RunId | null, };

/**
 * Watch `schedule.list`: the caller's schedules that were not deleted, by their next firing.
 */
export type ListSchedulesArgs = {
/**
 * Only those of this worker.
 */
workerId?: WorkerId | null,
/**
 * Only those after this one, in the order of making: the last of the page before.
 */
after?: ScheduleId | null, };

/**
 * A page of a directory.
 */
export type Listing = {
/**
 * The entries of this page.
 */
entries: Array<DirectoryEntry>,
/**
 * How many entries all pages have together.
 */
total: number,
/**
 * Where the next page begins, if there is one.
 */
next?: string | null, };

/**
 * Names one machine.
 */
export type MachineArgs = {
/**
 * The machine.
 */
machineId: MachineId, };

/**
 * What a machine keeps: nothing else is needed to come back.
 */
export type MachineCredentials = {
/**
 * MACHINE_ID.
 */
machineId: MachineId,
/**
 * The secret.
 */
secret: string,
/**
 * The name a person gave the machine.
 */
name: string, };

/**
 * Something that went wrong on a machine.
 */
export type MachineError = {
/**
 * When.
 */
at: Timestamp,
/**
 * What, for a person.
 */
message: string, };

/**
 * Watch `machine.health`: how a machine is, for whoever looks into a problem.
 */
export type MachineHealth = {
/**
 * Whether it is there.
 */
presence: Presence,
/**
 * The fencing token of its latest connection; zero before the first.
 */
epoch: number,
/**
 * When it last gave a sign of life, if it ever did.
 */
seenAt?: Timestamp | null,
/**
 * Until when it counts as online without another one.
 */
leaseUntil?: Timestamp | null,
/**
 * How many messages wait or are under way.
 */
openTurnCount: number,
/**
 * How many commands wait or are under way.
 */
openCommandCount: number,
/**
 * How many asks wait.
 */
pendingAskCount: number,
/**
 * What it told last about its own work, if it has on this connection.
 */
status?: MachineStatus | null,
/**
 * When it told that.
 */
statusAt?: Timestamp | null, };

/**
 * A machine: one computer's registration.
 */
export type MachineId = string;

/**
 * What a machine tells about itself when it connects.
 */
export type MachineInfo = {
/**
 * `linux`, `macos`, ...
 */
os: string,
/**
 * `x86_64`, `aarch64`, ...
 */
arch: string,
/**
 * The computer's own name.
 */
hostname: string,
/**
 * The root directory, as the machine's user wrote it.
 */
root: string,
/**
 * The version of the orchestrator that runs there.
 */
agentVersion: string,
/**
 * The version of opencode that runs there, if one was found.
 */
opencodeVersion?: string | null,
/**
 * How far the machine's kernel holds git, and opencode where that is asked for, to what they may write; for
 * a person.
 */
enforcement?: string | null,
/**
 * Why chat sessions can't run there, if they can't.
 */
problem?: string | null, };

/**
 * Watch `machine.list`: all machines of the caller.
 */
export type MachineList = {
/**
 * By time of adding; revoked ones are left out.
 */
machines: Array<MachineSummary>, };

/**
 * A machine's registration. Whether it is online is its presence, which is derived.
 */
export type MachineState = "created" | "registered" | "revoked" | "unknown";

/**
 * What a machine tells about its own work. Times are by the machine's clock.
 */
export type MachineStatus = {
/**
 * When its process started.
 */
startedAt: Timestamp,
/**
 * How often it has lost the backend and found it again since then.
 */
reconnects: number,
/**
 * How many chat sessions' processes run, start or stop.
 */
processes: number,
/**
 * How many may at once.
 */
processLimit: number,
/**
 * The memory of those processes and all that they have started, in bytes, where it can be measured.
 */
memoryBytes?: number | null,
/**
 * How much of it there may be before no further process is started, if that is limited.
 */
memoryLimitBytes?: number | null,
/**
 * Chat sessions whose next message waits for a process, the one whose turn is next first.
 */
waiting: Array<ChatSessionId>,
/**
 * How much of answers the backend has not taken yet, in bytes.
 */
spooledBytes: number,
/**
 * How many calls wait for the backend's answer.
 */
pendingCalls: number,
/**
 * What went wrong lately, latest last.
 */
errors: Array<MachineError>, };

/**
 * A machine as a person sees it.
 */
export type MachineSummary = {
/**
 * Its id.
 */
id: MachineId,
/**
 * Its name.
 */
name: string,
/**
 * Its registration.
 */
state: MachineState,
/**
 * Whether it is there.
 */
presence: Presence,
/**
 * What it told about itself, once it has connected.
 */
info?: MachineInfo | null,
/**
 * When the open registration key expires, while there is one.
 */
keyExpiresAt?: Timestamp | null,
/**
 * When it was added.
 */
createdAt: Timestamp,
/**
 * How many workers it has.
 */
workerCount: number,
/**
 * How many of its chat sessions are not closed.
 */
openChatCount: number,
/**
 * How many asks wait on it.
 */
pendingAskCount: number, };

/**
 * Watch `machine.view`: one machine and what is on it.
 */
export type MachineView = {
/**
 * The machine.
 */
machine: MachineSummary,
/**
 * Its workers, by time of adding; removed ones are left out.
 */
workers: Array<WorkerSummary>,
/**
 * Its chat sessions, latest activity first: all open ones and the latest closed ones.
 */
chats: Array<ChatSummary>, };

/**
 * Why a missed firing was not run later, for the ledger.
 */
export type MissedWhy = "skipped" | "later" | "too_old" | "too_many" | "unknown";

/**
 * The arguments of a function that takes none.
 */
export type NoArgs = Record<symbol, never>;

/**
 * Whom to tell of a run's end, besides those who look.
 */
export type Notify = {
/**
 * When a run failed, was interrupted or missed, and when the schedule pauses by itself.
 */
onFailure: boolean,
/**
 * When a run was completed.
 */
onSuccess: boolean,
/**
 * When a run waits for an answer.
 */
onAsk: boolean,
/**
 * An address that is sent a signed message of the same; `https`, or `http` to the loopback. The page tells
 * in the browser with or without it.
 */
webhook?: string | null, };

/**
 * Call `worker.chat.openAsk`: the agent process waits for a person.
 */
export type OpenAskArgs = {
/**
 * The turn that waits.
 */
turnId: TurnId,
/**
 * The driver's own name for the ask; the same name again is the same ask.
 */
agentAskId: string,
/**
 * What it asks.
 */
body: AskBody, };

/**
 * The ask that was opened.
 */
export type OpenAskReply = {
/**
 * Its id.
 */
askId: AskId, };

/**
 * What a machine is asked to do below its root.
 */
export type Operation = { "kind": "list",
/**
 * The directory.
 */
directory: string,
/**
 * Whether names that begin with a dot are listed.
 */
hidden: boolean,
/**
 * Only names that contain this text, whatever its case.
 */
filter?: string | null,
/**
 * Where the page begins: the `next` of the page before.
 */
after?: string | null, } | { "kind": "inspect_repositories",
/**
 * The directories.
 */
directories: Array<string>, } | { "kind": "read_file",
/**
 * The file.
 */
path: string, } | { "kind": "make_directory",
/**
 * The directory.
 */
path: string, } | { "kind": "rename",
/**
 * What it is called now.
 */
from: string,
/**
 * What it shall be called.
 */
to: string, } | { "kind": "trash",
/**
 * What.
 */
path: string, } | { "kind": "restore",
/**
 * The command that trashed it.
 */
trashed: CommandId,
/**
 * Where it was; filled in by the backend.
 */
path: string, } | { "kind": "clone",
/**
 * Where from.
 */
url: string,
/**
 * The branch or tag, if not the repository's own choice.
 */
branch?: string | null,
/**
 * The directory that it makes.
 */
path: string, } | { "kind": "remove_worktree",
/**
 * The chat session.
 */
chatSessionId: ChatSessionId,
/**
 * Whether it goes even if there is work in it that is nowhere else.
 */
force: boolean,
/**
 * The directory of the repository; filled in by the backend.
 */
repository: string,
/**
 * The worktree's directory; filled in by the backend.
 */
directory: string,
/**
 * The worktree's branch; filled in by the backend.
 */
branch: string, } | { "kind": "unknown" };

/**
 * What to do with a firing while an earlier run goes on.
 */
export type Overlap = "skip" | "queue" | "cancel" | "parallel" | "unknown";

/**
 * A piece of an answer.
 */
export type Part = {
/**
 * Its name within the turn.
 */
id: string, } & ({ "kind": "text",
/**
 * The text.
 */
text: string, } | { "kind": "reasoning",
/**
 * The text.
 */
text: string, } | { "kind": "tool" } & ToolCall | { "kind": "notice",
/**
 * The text.
 */
text: string, } | { "kind": "unknown" });

/**
 * A person who owns rows.
 */
export type PersonId = string;

/**
 * Whether a machine is there, as far as the backend honestly knows.
 */
export type Presence = { "state": "never" } | { "state": "online",
/**
 * The fencing token of the connection.
 */
epoch: number,
/**
 * When this connection began.
 */
since: Timestamp, } | { "state": "draining",
/**
 * When it began to drain.
 */
since: Timestamp, } | { "state": "unknown",
/**
 * Its last sign of life.
 */
since: Timestamp, } | { "state": "offline",
/**
 * When it left.
 */
since: Timestamp, };

/**
 * Why a message waits although its machine is there: the machine runs as many processes as it may.
 */
export type ProcessWait = {
/**
 * How many chat sessions come before this one.
 */
ahead: number,
/**
 * How many processes the machine runs.
 */
processes: number,
/**
 * How many it may.
 */
processLimit: number,
/**
 * It is memory that is short, not the number.
 */
forMemory: boolean, };

/**
 * How far a running command is.
 */
export type Progress = {
/**
 * What it does now, for a person: "Receiving objects".
 */
phase: string,
/**
 * How much of the phase is done, from 0 to 100.
 */
percent?: number | null,
/**
 * How many objects are done.
 */
objectsDone?: number | null,
/**
 * Of how many.
 */
objectsTotal?: number | null,
/**
 * Bytes received so far.
 */
bytes?: number | null,
/**
 * Bytes received each second.
 */
bytesPerSecond?: number | null, };

/**
 * A question to a person.
 */
export type Question = {
/**
 * One or two words.
 */
header: string,
/**
 * The question.
 */
question: string,
/**
 * The answers to choose from.
 */
options: Array<QuestionOption>,
/**
 * More than one may be chosen.
 */
multiple: boolean,
/**
 * An answer in one's own words is welcome.
 */
custom: boolean, };

/**
 * An answer to choose.
 */
export type QuestionOption = {
/**
 * The answer.
 */
label: string,
/**
 * What it means.
 */
description: string, };

/**
 * Call `machine.register`: exchanges a registration key for the machine's own credentials.
 */
export type RegisterMachineArgs = {
/**
 * The key.
 */
registrationKey: string,
/**
 * A random secret that the process makes once: the same key with the same one again, before the machine
 * has connected, gives the same credentials. Whoever may send a request twice brings one.
 */
nonce?: string | null,
/**
 * What the machine tells about itself.
 */
info: MachineInfo, };

/**
 * Call `worker.register`: adds a worker, or gives the one that the directory has.
 */
export type RegisterWorkerArgs = {
/**
 * The machine.
 */
machineId: MachineId,
/**
 * A path below the machine's root, with `/` between its parts.
 */
directory: string,
/**
 * A name, if it should have another than the directory's.
 */
name?: string | null,
/**
 * How its chat sessions run. Of a worker that is there already, nothing changes.
 */
settings: WorkerSettings, };

/**
 * A registration key, shown this once.
 */
export type RegistrationKeyReply = {
/**
 * The machine it is for.
 */
machineId: MachineId,
/**
 * The key.
 */
registrationKey: string,
/**
 * Until when it can be used.
 */
expiresAt: Timestamp, };

/**
 * Call `machine.rename`.
 */
export type RenameMachineArgs = {
/**
 * The machine.
 */
machineId: MachineId,
/**
 * Its new name.
 */
name: string, };

/**
 * Call `worker.chat.renameSession`.
 */
export type RenameSessionArgs = {
/**
 * The chat session.
 */
chatSessionId: ChatSessionId,
/**
 * Its new title.
 */
title: string, };

/**
 * Call `worker.rename`.
 */
export type RenameWorkerArgs = {
/**
 * The worker.
 */
workerId: WorkerId,
/**
 * Its new name.
 */
name: string, };

/**
 * Call `machine.command.report`: how far a command is.
 */
export type ReportCommandArgs = {
/**
 * The command.
 */
commandId: CommandId,
/**
 * How far it is.
 */
progress: Progress,
/**
 * From one, grows with each report of the connection: one that comes late or again changes nothing.
 */
seq: number, };

/**
 * Call `worker.chat.reportSession`: the machine says how the process is.
 */
export type ReportSessionArgs = {
/**
 * The chat session.
 */
chatSessionId: ChatSessionId,
/**
 * `starting`, `ready`, `hibernated` or `failed`.
 */
state: ChatState,
/**
 * Why it failed, if it did.
 */
reason?: string | null,
/**
 * The driver's own name for the conversation, where it is known.
 */
agentSessionId?: string | null,
/**
 * From one, grows with each report of the connection: one that comes late or again changes nothing.
 */
seq: number, };

/**
 * Call `worker.report`: the machine says how the directory is.
 */
export type ReportWorkerArgs = {
/**
 * The worker.
 */
workerId: WorkerId,
/**
 * `ready` or `unavailable`.
 */
state: WorkerState,
/**
 * Why it is unavailable, if it is.
 */
reason?: string | null,
/**
 * From one, grows with each report of the connection: one that comes late or again changes nothing.
 */
seq: number, };

/**
 * What git says of a repository.
 */
export type Repository = {
/**
 * Its directory.
 */
directory: string,
/**
 * The branch; none while a commit is checked out by itself.
 */
branch?: string | null,
/**
 * How many files are changed or not known to git; none if that could not be found out in time.
 */
changedFiles?: number | null, };

/**
 * Call `machine.command.request`.
 */
export type RequestCommandArgs = {
/**
 * The machine.
 */
machineId: MachineId,
/**
 * What to do.
 */
operation: Operation, };

/**
 * How often a run that failed is tried again.
 */
export type Retries = {
/**
 * How many tries after the first; zero for none.
 */
most: number, };

/**
 * Names one run.
 */
export type RunArgs = {
/**
 * The run.
 */
runId: RunId, };

/**
 * A run: one firing of a schedule, or one that a person started.
 */
export type RunId = string;

/**
 * The run that was begun or stopped.
 */
export type RunReply = {
/**
 * The run.
 */
run: RunSummary, };

/**
 * In which chat session a run's message is sent.
 */
export type RunSession = { "kind": "new",
/**
 * Whether it works in a git worktree of its own.
 */
ownWorktree: boolean, } | { "kind": "continue" } | { "kind": "unknown" };

/**
 * One firing of a schedule.
 */
export type RunState = "due" | "queued" | "running" | "completed" | "interrupted" | "failed" | "cancelled" | "skipped" | "missed" | "unknown";

/**
 * One row of the ledger: one firing, or, of firings that were missed long ago, a range of them.
 */
export type RunSummary = {
/**
 * Its id.
 */
id: RunId,
/**
 * Its schedule.
 */
scheduleId: ScheduleId,
/**
 * Its schedule's name.
 */
scheduleName: string,
/**
 * Its worker.
 */
workerId: WorkerId,
/**
 * Its machine.
 */
machineId: MachineId,
/**
 * The instant it was due; when it was asked for, of one that a person started.
 */
dueAt: Timestamp,
/**
 * A person started it; it is no firing.
 */
isManual: boolean,
/**
 * The last instant of a range of missed firings, if it is one.
 */
until?: Timestamp | null,
/**
 * How many firings it stands for: one, but for a range.
 */
count: number,
/**
 * Its state.
 */
state: RunState,
/**
 * Why it ended as it did, waits, or was left out, for a person to read.
 */
reason?: string | null,
/**
 * Why it was skipped, if it was.
 */
skipped?: SkipWhy | null,
/**
 * Why it was missed, if it was.
 */
missed?: MissedWhy | null,
/**
 * What kind of failure it was, if it failed.
 */
failure?: FailureKind | null,
/**
 * How often it was tried.
 */
tries: number,
/**
 * When it is tried next, if it waits for its jitter or for another try.
 */
startsAt?: Timestamp | null,
/**
 * When its machine first took it.
 */
startedAt?: Timestamp | null,
/**
 * When it ended.
 */
endedAt?: Timestamp | null,
/**
 * The chat session of its latest try.
 */
chatSessionId?: ChatSessionId | null,
/**
 * The turn of its latest try.
 */
turnId?: TurnId | null,
/**
 * What it took, all tries together, where opencode reports it.
 */
usage?: Usage | null,
/**
 * What it was denied because nobody was there, the first few of it.
 */
denied: Array<string>,
/**
 * It waits for a person's answer.
 */
isAsking: boolean,
/**
 * The revision of its schedule that it ran with.
 */
revision: number, };

/**
 * What the agent processes of a worker may write to.
 */
export type Sandbox = "off" | "workspace" | "unknown";

/**
 * Names one schedule.
 */
export type ScheduleArgs = {
/**
 * The schedule.
 */
scheduleId: ScheduleId, };

/**
 * A schedule: a standing order to send a message at set times.
 */
export type ScheduleId = string;

/**
 * A page of schedules.
 */
export type ScheduleList = {
/**
 * In the order of making.
 */
schedules: Array<ScheduleSummary>,
/**
 * There are more after the last one.
 */
hasMore: boolean, };

/**
 * All that a person chooses of a schedule.
 */
export type ScheduleSpec = {
/**
 * Its name.
 */
name: string,
/**
 * When it fires.
 */
when: When,
/**
 * The message of each run, in Markdown, with variables; see [`crate::schedule::VARIABLES`].
 */
prompt: string,
/**
 * The model, as `provider/model`; the worker's choice if absent.
 */
model?: string | null,
/**
 * opencode's agent; the worker's choice if absent.
 */
agent?: string | null,
/**
 * In which chat session it runs.
 */
session: RunSession,
/**
 * What a firing does that meets a run of the same schedule.
 */
overlap: Overlap,
/**
 * What becomes of firings that nobody was there for.
 */
catchUp: CatchUp,
/**
 * By up to how many milliseconds a start is delayed, so that not all begin at once.
 */
jitterMs: number,
/**
 * How long a run may go on from its start, in milliseconds; then it is stopped and has failed. As long as it
 * takes if absent.
 */
timeLimitMs?: number,
/**
 * How often a run that failed is tried again.
 */
retries: Retries,
/**
 * Failures in a row that pause the schedule; zero for never.
 */
pauseAfter: number,
/**
 * What runs may do unasked.
 */
unattended: Unattended,
/**
 * Whom to tell.
 */
notify: Notify, };

/**
 * A standing order to send a message at set times.
 */
export type ScheduleState = "enabled" | "paused" | "unknown";

/**
 * A schedule as a person sees it in a list.
 */
export type ScheduleSummary = {
/**
 * Its id.
 */
id: ScheduleId,
/**
 * Its worker.
 */
workerId: WorkerId,
/**
 * Its worker's machine.
 */
machineId: MachineId,
/**
 * Its name.
 */
name: string,
/**
 * When it fires.
 */
when: When,
/**
 * Its state.
 */
state: ScheduleState,
/**
 * Why it is paused, if it is.
 */
reason?: string | null,
/**
 * Its next firing; none while it is paused, and when it never fires again.
 */
nextAt?: Timestamp | null,
/**
 * Its latest run that has begun or ended, missed and skipped ones included.
 */
lastRun?: RunSummary | null,
/**
 * How many runs have not ended.
 */
openRunCount: number,
/**
 * Runs that failed since one was completed.
 */
failuresInARow: number,
/**
 * Grows by one with each edit.
 */
revision: number,
/**
 * When it was made.
 */
createdAt: Timestamp,
/**
 * When a person last changed, paused or resumed it.
 */
changedAt: Timestamp,
/**
 * It was deleted; only its ledger is left.
 */
isDeleted: boolean, };

/**
 * Watch `schedule.view`: one schedule and its latest runs.
 */
export type ScheduleView = {
/**
 * The schedule.
 */
schedule: ScheduleSummary,
/**
 * What a person chose of it.
 */
spec: ScheduleSpec,
/**
 * The secret with which its webhook's messages are signed, if it has a webhook.
 */
webhookSecret?: string | null,
/**
 * The chat session that goes on from run to run, if there is one.
 */
chatSessionId?: ChatSessionId | null,
/**
 * Its latest runs, latest first; earlier ones by `schedule.ledger`.
 */
runs: Array<RunSummary>,
/**
 * There are earlier runs.
 */
hasEarlier: boolean, };

/**
 * Call `worker.chat.sendMessage`.
 */
export type SendMessageArgs = {
/**
 * The chat session.
 */
chatSessionId: ChatSessionId,
/**
 * The message, in Markdown.
 */
message: string, };

/**
 * Call `worker.chat.settleAsk`: the answer has reached the agent process, or nobody waits any more.
 */
export type SettleAskArgs = {
/**
 * The ask's turn.
 */
turnId: TurnId,
/**
 * The driver's own name for the ask.
 */
agentAskId: string, };

/**
 * Why a firing was left out, for the ledger.
 */
export type SkipWhy = "still_running" | "one_waits" | "too_many_runs" | "newer" | "unknown";

/**
 * Call `worker.chat.startSession`.
 */
export type StartSessionArgs = {
/**
 * The worker.
 */
workerId: WorkerId,
/**
 * A title, if it should have one from the start.
 */
title?: string | null,
/**
 * The model, as `provider/model`.
 */
model?: string | null,
/**
 * opencode's agent.
 */
agent?: string | null,
/**
 * Whether it works in a git worktree of its own, so that it does not get in the way of others in the
 * worker's directory.
 */
ownWorktree: boolean,
/**
 * A chat session of the same person, on this or another machine, whose conversation it goes on with: the
 * transcript is handed to the agent with the first message.
 */
continues?: ChatSessionId | null, };

/**
 * The chat session that was started.
 */
export type StartSessionReply = {
/**
 * Its id.
 */
chatSessionId: ChatSessionId, };

/**
 * A command as given to the machine that took it.
 */
export type TakenCommand = {
/**
 * The command.
 */
commandId: CommandId,
/**
 * Its state now.
 */
state: CommandState,
/**
 * How often it has been begun, this time included.
 */
attempt: number,
/**
 * It is only to be stopped, and what is left of earlier attempts to be removed.
 */
cancelRequested: boolean,
/**
 * What to do.
 */
operation: Operation, };

/**
 * A turn as given to the machine that took it.
 */
export type TakenTurn = {
/**
 * The turn.
 */
turnId: TurnId,
/**
 * Its state now.
 */
state: TurnState,
/**
 * What the person sent.
 */
message: string,
/**
 * What the agent process has to know before, as Markdown: the transcript of the chat session that this one
 * goes on with. Comes before the message in the prompt.
 */
background?: string | null, };

/**
 * A moment: milliseconds since the Unix epoch, UTC.
 */
export type Timestamp = number;

/**
 * A call of a tool.
 */
export type ToolCall = {
/**
 * The tool: `bash`, `edit`, `read`, ...
 */
tool: string,
/**
 * Its state.
 */
state: ToolState,
/**
 * One line for a person.
 */
title?: string | null,
/**
 * The arguments as JSON text; cut beyond its limit.
 */
input: string,
/**
 * What the tool wrote so far. In a `replace` chunk, absent means: as it was.
 */
output?: string | null,
/**
 * Some of the input or output was left out because it was too long.
 */
truncated: boolean,
/**
 * Why it failed, if it did.
 */
error?: string | null,
/**
 * When the tool began.
 */
startedAt?: Timestamp | null,
/**
 * When the tool ended.
 */
endedAt?: Timestamp | null, };

/**
 * The state of a tool call.
 */
export type ToolState = "pending" | "running" | "completed" | "failed" | "unknown";

/**
 * Call `worker.chat.transcript`: a page of turns with their texts, latest last.
 */
export type TranscriptArgs = {
/**
 * The chat session.
 */
chatSessionId: ChatSessionId,
/**
 * Only turns before this place; the latest ones if absent.
 */
beforeOrdinal?: number | null,
/**
 * Only these turns; at most a page. Takes the place of `beforeOrdinal`.
 */
turnIds?: Array<TurnId> | null, };

/**
 * A page of turns.
 */
export type TranscriptPage = {
/**
 * By place.
 */
turns: Array<TurnRecord>,
/**
 * There are earlier ones.
 */
hasEarlier: boolean, };

/**
 * Names one turn.
 */
export type TurnArgs = {
/**
 * The turn.
 */
turnId: TurnId, };

/**
 * A turn: one person's message and all that answers it.
 */
export type TurnId = string;

/**
 * A turn with its texts.
 */
export type TurnRecord = {
/**
 * The turn.
 */
turn: TurnSummary,
/**
 * What the person sent.
 */
message: string,
/**
 * The complete answer, once the turn has ended.
 */
answer?: FullMessage | null, };

/**
 * The turn that a message began.
 */
export type TurnReply = {
/**
 * The turn.
 */
turn: TurnSummary, };

/**
 * One person's message and all that answers it.
 */
export type TurnState = "queued" | "delivered" | "streaming" | "completed" | "interrupted" | "failed" | "cancelled" | "unknown";

/**
 * A turn without its texts.
 */
export type TurnSummary = {
/**
 * Its id.
 */
id: TurnId,
/**
 * Its place in the chat session, from one, in the order of sending.
 */
ordinal: number,
/**
 * Its state.
 */
state: TurnState,
/**
 * Why it was interrupted or failed, if it was.
 */
reason?: string | null,
/**
 * A person asked to stop it and the machine has not ended it yet.
 */
cancelRequested: boolean,
/**
 * When it was sent.
 */
createdAt: Timestamp,
/**
 * When the machine took it.
 */
deliveredAt?: Timestamp | null,
/**
 * When it ended.
 */
endedAt?: Timestamp | null,
/**
 * The hash of the complete message's text, once there is one.
 */
hash?: string | null, };

/**
 * What runs may do when nobody is there to ask.
 */
export type Unattended = { "kind": "ask" } | { "kind": "only",
/**
 * The permissions that are allowed, by opencode's names: `read`, `edit`, `bash`, `webfetch`, ... A name
 * with patterns, `bash:git *`, allows only what all of its patterns fit; `*` stands for any text.
 */
allow: Array<string>, } | { "kind": "unknown" };

/**
 * What a turn took.
 */
export type Usage = {
/**
 * Tokens the model read.
 */
inputTokens: number,
/**
 * Tokens the model wrote.
 */
outputTokens: number,
/**
 * The price in millionths of a US dollar.
 */
costMicroUsd: number, };

/**
 * When a schedule fires.
 */
export type When = { "kind": "cron",
/**
 * Minute, hour, day of the month, month and day of the week.
 */
expression: string,
/**
 * A zone of the IANA database, such as `Europe/Berlin`.
 */
zone: string, } | { "kind": "interval",
/**
 * How many minutes from one firing to the next.
 */
everyMinutes: number,
/**
 * The first firing; on a full minute.
 */
anchor: Timestamp,
/**
 * The zone in which it is shown. It has no say in when it fires.
 */
zone: string, } | { "kind": "unknown" };

/**
 * Names one worker.
 */
export type WorkerArgs = {
/**
 * The worker.
 */
workerId: WorkerId, };

/**
 * A worker: one directory of one machine.
 */
export type WorkerId = string;

/**
 * How a worker's chat sessions run, unless one says otherwise.
 */
export type WorkerSettings = {
/**
 * The model, as `provider/model`; opencode's own choice if absent.
 */
model?: string | null,
/**
 * opencode's agent; its own choice if absent.
 */
agent?: string | null,
/**
 * What its agent processes may write to.
 */
sandbox: Sandbox, };

/**
 * A directory of a machine in which chat sessions run.
 */
export type WorkerState = "registered" | "ready" | "unavailable" | "removed" | "unknown";

/**
 * A worker as a person sees it.
 */
export type WorkerSummary = {
/**
 * Its id.
 */
id: WorkerId,
/**
 * Its machine.
 */
machineId: MachineId,
/**
 * Its name; the directory's last part if nobody gave one.
 */
name: string,
/**
 * Its directory below the machine's root; empty is the root itself.
 */
directory: string,
/**
 * Its state.
 */
state: WorkerState,
/**
 * Why it is unavailable, if it is.
 */
reason?: string | null,
/**
 * When it was added.
 */
createdAt: Timestamp,
/**
 * How many of its chat sessions are not closed.
 */
openChatCount: number,
/**
 * How its chat sessions run.
 */
settings: WorkerSettings, };

/**
 * A chat session's own git worktree.
 */
export type Worktree = {
/**
 * Its directory below the machine's root.
 */
directory: string,
/**
 * Its branch.
 */
branch: string,
/**
 * How it stands.
 */
state: WorktreeState,
/**
 * Why it was kept, if it was.
 */
reason?: string | null, };

/**
 * How a chat session's own git worktree stands.
 */
export type WorktreeState = "wanted" | "present" | "kept" | "removed" | "unknown";

/**
 * Call `worker.chat.writeMessage`: the complete answer, which ends the turn.
 */
export type WriteMessageArgs = {
/**
 * The turn.
 */
turnId: TurnId,
/**
 * `completed`, `interrupted`, `failed` or `cancelled`.
 */
outcome: TurnState,
/**
 * Why it was interrupted or failed, if it was.
 */
reason?: string | null,
/**
 * What kind of failure it was, if it was interrupted or failed and the machine knows.
 */
failure?: FailureKind | null,
/**
 * The answer, as far as there is one.
 */
answer: FullMessage, };

/** Every function of the contract: who may call it, what it does, what it takes and gives. */
export interface Functions {
  /** All machines of the caller. */
  "machine.list": { args: NoArgs; reply: MachineList };
  /** One machine, its workers and its chat sessions. */
  "machine.view": { args: MachineArgs; reply: MachineView };
  /** How a machine is, for whoever looks into a problem. */
  "machine.health": { args: MachineArgs; reply: MachineHealth };
  /** Adds a machine and gives the key with which its process registers. */
  "machine.create": { args: CreateMachineArgs; reply: RegistrationKeyReply };
  /** Replaces the registration key of a machine that has not registered. */
  "machine.reissueKey": { args: MachineArgs; reply: RegistrationKeyReply };
  /** Gives a machine another name. */
  "machine.rename": { args: RenameMachineArgs; reply: Done };
  /** Voids a machine's credentials, cuts its connection, closes its chat sessions. */
  "machine.revoke": { args: MachineArgs; reply: Done };
  /** Exchanges a registration key for the machine's own credentials. */
  "machine.register": { args: RegisterMachineArgs; reply: MachineCredentials };
  /** Hands out a connection. With its first use it takes effect, and fences all earlier ones of the machine. */
  "machine.connect": { args: ConnectArgs; reply: ConnectReply };
  /** A sign of life. The first thing to call on a connection. */
  "machine.heartbeat": { args: HeartbeatArgs; reply: Done };
  /** The machine says goodbye. */
  "machine.disconnect": { args: DisconnectArgs; reply: Done };
  /** All that the machine should know now. */
  "machine.inbox": { args: NoArgs; reply: Inbox };
  /** A directory as it was last listed. */
  "machine.directory": { args: DirectoryArgs; reply: DirectoryView };
  /** What was asked of a machine, latest first. */
  "machine.activity": { args: ActivityArgs; reply: Activity };
  /** Asks a machine to do something below its root; it waits while the machine is away. */
  "machine.command.request": { args: RequestCommandArgs; reply: CommandView };
  /** Stops a command: a waiting one, or one of a machine that is away, at once; a running one as soon as the machine hears of it. */
  "machine.command.cancel": { args: CommandArgs; reply: CommandView };
  /** One command and its result. */
  "machine.command.view": { args: CommandArgs; reply: CommandView };
  /** The machine takes a command and learns what to do. */
  "machine.command.take": { args: CommandArgs; reply: TakenCommand };
  /** The machine says how far a command is. */
  "machine.command.report": { args: ReportCommandArgs; reply: Done };
  /** How a command ended. */
  "machine.command.finish": { args: FinishCommandArgs; reply: Done };
  /** Adds a worker for a directory, or gives the one it has. */
  "worker.register": { args: RegisterWorkerArgs; reply: WorkerSummary };
  /** Gives a worker another name. */
  "worker.rename": { args: RenameWorkerArgs; reply: Done };
  /** Sets how the chat sessions of a worker run that start from now on. */
  "worker.configure": { args: ConfigureWorkerArgs; reply: WorkerSummary };
  /** Removes a worker and closes its chat sessions; its directory stays. */
  "worker.remove": { args: WorkerArgs; reply: Done };
  /** The machine says how a worker's directory is. */
  "worker.report": { args: ReportWorkerArgs; reply: Done };
  /** Starts a chat session. */
  "worker.chat.startSession": { args: StartSessionArgs; reply: StartSessionReply };
  /** Gives a chat session another title. */
  "worker.chat.renameSession": { args: RenameSessionArgs; reply: Done };
  /** Ends a chat session and its process; the transcript stays. */
  "worker.chat.endSession": { args: EndSessionArgs; reply: Done };
  /** Sends a message; it queues while the chat session is busy or its machine away. */
  "worker.chat.sendMessage": { args: SendMessageArgs; reply: TurnReply };
  /** Stops a turn: a waiting one, or one of a machine that is away, at once; a running one as soon as the machine hears of it. */
  "worker.chat.cancelTurn": { args: TurnArgs; reply: TurnReply };
  /** Asks the agent to go on after an interrupted turn. */
  "worker.chat.continueTurn": { args: TurnArgs; reply: TurnReply };
  /** Answers an ask, once. */
  "worker.chat.answerAsk": { args: AnswerAskArgs; reply: Done };
  /** A chat session, its latest turns without texts, and its asks. */
  "worker.chat.view": { args: ChatArgs; reply: ChatView };
  /** A page of turns with their texts. */
  "worker.chat.transcript": { args: TranscriptArgs; reply: TranscriptPage };
  /** The machine says how a chat session's process is. */
  "worker.chat.reportSession": { args: ReportSessionArgs; reply: Done };
  /** The machine takes the next turn and gets its text. */
  "worker.chat.takeTurn": { args: TurnArgs; reply: TakenTurn };
  /** The complete answer; ends the turn. */
  "worker.chat.writeMessage": { args: WriteMessageArgs; reply: Done };
  /** The agent process waits for a person. */
  "worker.chat.openAsk": { args: OpenAskArgs; reply: OpenAskReply };
  /** An ask's answer has arrived, or nobody waits for it any more. */
  "worker.chat.settleAsk": { args: SettleAskArgs; reply: Done };
  /** The schedules of the caller, or of one worker. */
  "schedule.list": { args: ListSchedulesArgs; reply: ScheduleList };
  /** One schedule and its latest runs. */
  "schedule.view": { args: ScheduleArgs; reply: ScheduleView };
  /** What became of each firing, latest first. */
  "schedule.ledger": { args: LedgerArgs; reply: Ledger };
  /** Sends a message to a worker at set times from now on. */
  "schedule.create": { args: CreateScheduleArgs; reply: ScheduleView };
  /** Changes a schedule from now on. */
  "schedule.edit": { args: EditScheduleArgs; reply: ScheduleView };
  /** Stops a schedule from firing; runs that have begun go on. */
  "schedule.pause": { args: ScheduleArgs; reply: ScheduleView };
  /** Lets a paused schedule fire again, from now on. */
  "schedule.resume": { args: ScheduleArgs; reply: ScheduleView };
  /** Starts a run that is no firing, as the overlap policy allows. */
  "schedule.runNow": { args: ScheduleArgs; reply: RunReply };
  /** Stops a run, waiting or under way. */
  "schedule.cancelRun": { args: RunArgs; reply: RunReply };
  /** Deletes a schedule and stops its runs; its ledger stays. */
  "schedule.delete": { args: ScheduleArgs; reply: Done };
}

export const FUNCTIONS = {
  "machine.list": { access: "person", kind: "query" },
  "machine.view": { access: "person", kind: "query" },
  "machine.health": { access: "person", kind: "query" },
  "machine.create": { access: "person", kind: "mutation" },
  "machine.reissueKey": { access: "person", kind: "mutation" },
  "machine.rename": { access: "person", kind: "mutation" },
  "machine.revoke": { access: "person", kind: "mutation" },
  "machine.register": { access: "anyone", kind: "mutation" },
  "machine.connect": { access: "anyone", kind: "mutation" },
  "machine.heartbeat": { access: "machine", kind: "mutation" },
  "machine.disconnect": { access: "machine", kind: "mutation" },
  "machine.inbox": { access: "machine", kind: "query" },
  "machine.directory": { access: "person", kind: "query" },
  "machine.activity": { access: "person", kind: "query" },
  "machine.command.request": { access: "person", kind: "mutation" },
  "machine.command.cancel": { access: "person", kind: "mutation" },
  "machine.command.view": { access: "person", kind: "query" },
  "machine.command.take": { access: "machine", kind: "mutation" },
  "machine.command.report": { access: "machine", kind: "mutation" },
  "machine.command.finish": { access: "machine", kind: "mutation" },
  "worker.register": { access: "person", kind: "mutation" },
  "worker.rename": { access: "person", kind: "mutation" },
  "worker.configure": { access: "person", kind: "mutation" },
  "worker.remove": { access: "person", kind: "mutation" },
  "worker.report": { access: "machine", kind: "mutation" },
  "worker.chat.startSession": { access: "person", kind: "mutation" },
  "worker.chat.renameSession": { access: "person", kind: "mutation" },
  "worker.chat.endSession": { access: "person", kind: "mutation" },
  "worker.chat.sendMessage": { access: "person", kind: "mutation" },
  "worker.chat.cancelTurn": { access: "person", kind: "mutation" },
  "worker.chat.continueTurn": { access: "person", kind: "mutation" },
  "worker.chat.answerAsk": { access: "person", kind: "mutation" },
  "worker.chat.view": { access: "person", kind: "query" },
  "worker.chat.transcript": { access: "person", kind: "query" },
  "worker.chat.reportSession": { access: "machine", kind: "mutation" },
  "worker.chat.takeTurn": { access: "machine", kind: "mutation" },
  "worker.chat.writeMessage": { access: "machine", kind: "mutation" },
  "worker.chat.openAsk": { access: "machine", kind: "mutation" },
  "worker.chat.settleAsk": { access: "machine", kind: "mutation" },
  "schedule.list": { access: "person", kind: "query" },
  "schedule.view": { access: "person", kind: "query" },
  "schedule.ledger": { access: "person", kind: "query" },
  "schedule.create": { access: "person", kind: "mutation" },
  "schedule.edit": { access: "person", kind: "mutation" },
  "schedule.pause": { access: "person", kind: "mutation" },
  "schedule.resume": { access: "person", kind: "mutation" },
  "schedule.runNow": { access: "person", kind: "mutation" },
  "schedule.cancelRun": { access: "person", kind: "mutation" },
  "schedule.delete": { access: "person", kind: "mutation" },
} as const;

export const WIRE_VERSION = 1;
export const WIRE_VERSION_MIN = 1;

export const LIMITS = {
  nameMaxBytes: 64,
  pathMaxBytes: 4096,
  messageMaxBytes: 262144,
  chunkBatchMaxBytes: 65536,
  chunkDeltaMaxBytes: 16384,
  spoolMaxBytes: 1048576,
  toolTextMaxBytes: 32768,
  fullMessageMaxBytes: 8388608,
  messageRefusalsMax: 3,
  promptDoubtsMax: 3,
  callMaxBytes: 524288,
  jsonMaxDepth: 64,
  queueMaxTurns: 1000,
  viewMaxTurns: 100,
  transcriptPageTurns: 50,
  transcriptPageBytes: 4194304,
  backgroundMaxBytes: 131072,
  backgroundMaxChats: 8,
  listingPageEntries: 500,
  nonceMaxBytes: 256,
  pendingConnectionsMax: 8,
  pendingConnectionLifeMs: 600000,
  machinesMax: 1000,
  workersMax: 1000,
  openChatsMax: 2000,
  asksMax: 100,
  askMaxBytes: 65536,
  reasonMaxBytes: 2048,
  statusWaitingMax: 200,
  statusErrorsMax: 20,
  openCommandsMax: 100,
  commandAttemptsMax: 5,
  runningCommandsMax: 8,
  runningLongCommandsMax: 4,
  commandMaxBytes: 393216,
  urlMaxBytes: 2048,
  inspectedMax: 50,
  fileTextMaxBytes: 131072,
  activityPageCommands: 50,
  keptListingsMax: 500,
  expressionMaxBytes: 200,
  intervalMaxMinutes: 527040,
  previewMaxFirings: 100,
  parallelRunsMax: 10,
  catchUpRunsMax: 100,
  missedRowsMax: 50,
  lookBackFiringsMax: 10000,
  runRetriesMax: 5,
  schedulesMax: 5000,
  schedulesPage: 500,
  ledgerPageRuns: 100,
  viewMaxRuns: 50,
  allowMaxEntries: 50,
  allowEntryMaxBytes: 256,
  deniedMaxEntries: 10,
  pauseAfterMax: 1000,
  sseLineMaxBytes: 1048576,
  registrationKeyLifeMs: 600000,
  leaseMs: 45000,
  heartbeatMs: 15000,
  askLifeMs: 86400000,
  idempotencyLifeMs: 86400000,
  chunksKeptMs: 3600000,
  deadlinesPerTick: 200,
  hibernateAfterMs: 1800000,
  readCommandLifeMs: 600000,
  changeCommandLifeMs: 86400000,
  resultKeptMs: 600000,
  readActivityKeptMs: 604800000,
  changeActivityKeptMs: 31536000000,
  progressEveryMs: 200,
  callTimeoutMs: 15000,
  backoffFirstMs: 250,
  backoffMaxMs: 15000,
  firingGraceMs: 60000,
  jitterMaxMs: 3600000,
  catchUpWindowMaxMs: 604800000,
  runRetryFirstMs: 30000,
  runRetryMaxMs: 900000,
  runTimeLimitMinMs: 60000,
  runTimeLimitMaxMs: 604800000,
  ssePingMs: 15000,
  sseDeadMs: 45000,
} as const;
