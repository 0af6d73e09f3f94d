//! Every limit of the protocol, in one place. Sizes are in bytes of UTF-8, times in milliseconds.

/// A machine's, worker's or chat session's name.
pub const NAME_MAX_BYTES: usize = 64;
/// A path below a machine's root.
pub const PATH_MAX_BYTES: usize = 4 * 1024;
/// A person's message.
pub const MESSAGE_MAX_BYTES: usize = 256 * 1024;
/// One append to a chunk stream, as JSON.
pub const CHUNK_BATCH_MAX_BYTES: usize = 64 * 1024;
/// The text of one chunk; longer deltas are split.
pub const CHUNK_DELTA_MAX_BYTES: usize = 16 * 1024;
/// Chunks one session may have waiting to be acked before its driver is held back.
pub const SPOOL_MAX_BYTES: usize = 1024 * 1024;
/// A tool's input or output as kept in a complete message; longer ones are cut and marked.
pub const TOOL_TEXT_MAX_BYTES: usize = 32 * 1024;
/// A complete message as JSON.
pub const FULL_MESSAGE_MAX_BYTES: usize = 8 * 1024 * 1024;
/// How often a complete message is sent that the backend refuses; then its turn has failed.
pub const MESSAGE_REFUSALS_MAX: u32 = 3;
/// How often it may stay unknown whether a prompt has reached its process; then its turn has failed.
pub const PROMPT_DOUBTS_MAX: u32 = 3;
/// Any call's body as JSON, but for a complete message's.
pub const CALL_MAX_BYTES: usize = 512 * 1024;
/// How deep the JSON of a call may nest.
pub const JSON_MAX_DEPTH: usize = 64;
/// Messages waiting in one chat session.
pub const QUEUE_MAX_TURNS: usize = 1_000;
/// Turns that the live view of a chat session carries; earlier ones are fetched by page.
pub const VIEW_MAX_TURNS: usize = 100;
/// Turns in one page of a transcript.
pub const TRANSCRIPT_PAGE_TURNS: usize = 50;
/// The texts of one page of a transcript; a single turn may have more.
pub const TRANSCRIPT_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// What the first message of a continued chat session brings of what was said before.
pub const BACKGROUND_MAX_BYTES: usize = 128 * 1024;
/// How many chat sessions that continue each other it goes back through.
pub const BACKGROUND_MAX_CHATS: usize = 8;
/// Entries in one page of a listing.
pub const LISTING_PAGE_ENTRIES: usize = 500;
/// The text with which a process names its request to register or to connect.
pub const NONCE_MAX_BYTES: usize = 256;
/// Connections of one machine that were handed out and not used so far; the oldest goes.
pub const PENDING_CONNECTIONS_MAX: usize = 8;
/// How long one of them waits for its first use.
pub const PENDING_CONNECTION_LIFE_MS: u64 = 10 * 60 * 1_000;
/// Machines a person may own.
pub const MACHINES_MAX: usize = 1_000;
/// Workers of one machine.
pub const WORKERS_MAX: usize = 1_000;
/// Chat sessions of one machine that are not closed.
pub const OPEN_CHATS_MAX: usize = 2_000;
/// Asks waiting in one chat session.
pub const ASKS_MAX: usize = 100;
/// An ask's or an answer's JSON.
pub const ASK_MAX_BYTES: usize = 64 * 1024;
/// A reason or an error text shown to a person; longer ones are cut.
pub const REASON_MAX_BYTES: usize = 2 * 1024;
/// Chat sessions that wait for a process, as a machine tells them; later ones are left out.
pub const STATUS_WAITING_MAX: usize = 200;
/// Errors that a machine tells; earlier ones are left out.
pub const STATUS_ERRORS_MAX: usize = 20;
/// Commands of one machine that have not ended.
pub const OPEN_COMMANDS_MAX: usize = 100;
/// How often a command is begun before it is given up.
pub const COMMAND_ATTEMPTS_MAX: u32 = 5;
/// Commands that one machine works on at once, and how many of them may be long ones.
pub const RUNNING_COMMANDS_MAX: usize = 8;
/// Of the commands that run at once, how many may be long ones.
pub const RUNNING_LONG_COMMANDS_MAX: usize = 4;
/// A command's operation, result or error as JSON.
pub const COMMAND_MAX_BYTES: usize = 384 * 1024;
/// A repository's address.
pub const URL_MAX_BYTES: usize = 2 * 1024;
/// Directories that one command inspects.
pub const INSPECTED_MAX: usize = 50;
/// How much of a file a person is shown.
pub const FILE_TEXT_MAX_BYTES: usize = 128 * 1024;
/// Commands in one page of a machine's activity.
pub const ACTIVITY_PAGE_COMMANDS: usize = 50;
/// Directories of one machine whose last listing is kept; those listed longest ago go first.
pub const KEPT_LISTINGS_MAX: usize = 500;
/// A schedule's cron expression or its phrase.
pub const EXPRESSION_MAX_BYTES: usize = 200;
/// The longest interval of a schedule: 366 days.
pub const INTERVAL_MAX_MINUTES: u32 = 366 * 24 * 60;
/// Firings of a schedule that are worked out for a preview.
pub const PREVIEW_MAX_FIRINGS: usize = 100;
/// Runs of one schedule that go on at the same time.
pub const PARALLEL_RUNS_MAX: usize = 10;
/// Missed firings that are caught up in one go.
pub const CATCH_UP_RUNS_MAX: usize = 100;
/// Missed firings that get a row of the ledger each; earlier ones share one row for a range.
pub const MISSED_ROWS_MAX: usize = 50;
/// Firings that one look back goes through; what is left follows at once in the next.
pub const LOOK_BACK_FIRINGS_MAX: usize = 10_000;
/// How often a failed run is tried again at most.
pub const RUN_RETRIES_MAX: u32 = 5;
/// Schedules a person may have.
pub const SCHEDULES_MAX: usize = 5_000;
/// Schedules in one page of their list.
pub const SCHEDULES_PAGE: usize = 500;
/// Runs in one page of a ledger.
pub const LEDGER_PAGE_RUNS: usize = 100;
/// Runs that the live view of a schedule carries; earlier ones are fetched by page.
pub const VIEW_MAX_RUNS: usize = 50;
/// Entries in the list of what unattended runs may do.
pub const ALLOW_MAX_ENTRIES: usize = 50;
/// An entry of that list.
pub const ALLOW_ENTRY_MAX_BYTES: usize = 256;
/// What a run was denied, as kept in its row; what comes later is left out.
pub const DENIED_MAX_ENTRIES: usize = 10;
/// The most failures in a row that a schedule may wait for before it pauses.
pub const PAUSE_AFTER_MAX: u32 = 1_000;
/// One line of a server-sent event stream.
pub const SSE_LINE_MAX_BYTES: usize = 1024 * 1024;

/// How long a registration key can be used.
pub const REGISTRATION_KEY_LIFE_MS: u64 = 10 * 60 * 1_000;
/// How long a machine counts as online after its last sign of life.
pub const LEASE_MS: u64 = 45_000;
/// How often a machine gives a sign of life.
pub const HEARTBEAT_MS: u64 = 15_000;
/// How long an ask waits before it denies.
pub const ASK_LIFE_MS: u64 = 24 * 60 * 60 * 1_000;
/// How long the result of a changing call is kept for its idempotency key.
pub const IDEMPOTENCY_LIFE_MS: u64 = 24 * 60 * 60 * 1_000;
/// How long a turn's chunks are kept after its complete message has come.
pub const CHUNKS_KEPT_MS: u64 = 60 * 60 * 1_000;
/// Deadlines handled in one go; the rest follow at once in the next.
pub const DEADLINES_PER_TICK: usize = 200;
/// How long a chat session's process may sit without work before it is stopped.
pub const HIBERNATE_AFTER_MS: u64 = 30 * 60 * 1_000;
/// How long a command that only reads waits for its machine.
pub const READ_COMMAND_LIFE_MS: u64 = 10 * 60 * 1_000;
/// How long a command that changes something waits for its machine.
pub const CHANGE_COMMAND_LIFE_MS: u64 = 24 * 60 * 60 * 1_000;
/// How long a command's result is kept after its end.
pub const RESULT_KEPT_MS: u64 = 10 * 60 * 1_000;
/// How long a command that only reads stays in the activity.
pub const READ_ACTIVITY_KEPT_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
/// How long a command that changes something stays in the activity.
pub const CHANGE_ACTIVITY_KEPT_MS: u64 = 365 * 24 * 60 * 60 * 1_000;
/// The shortest time between two reports of a command's progress: five a second.
pub const PROGRESS_EVERY_MS: u64 = 200;
/// How long a call may take before it counts as lost.
pub const CALL_TIMEOUT_MS: u64 = 15_000;
/// The first wait between two tries; each one is between half of that and all of it, at random.
pub const BACKOFF_FIRST_MS: u64 = 250;
/// The longest wait between two tries.
pub const BACKOFF_MAX_MS: u64 = 15_000;
/// A firing counts as on time up to this long after its instant; later ones are missed.
pub const FIRING_GRACE_MS: u64 = 60_000;
/// The widest spread of the starts of a schedule's runs.
pub const JITTER_MAX_MS: u64 = 60 * 60 * 1_000;
/// The longest look back in which missed firings are all caught up.
pub const CATCH_UP_WINDOW_MAX_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
/// The wait before a failed run is tried again for the first time; it doubles each time.
pub const RUN_RETRY_FIRST_MS: u64 = 30_000;
/// The longest wait before a failed run is tried again.
pub const RUN_RETRY_MAX_MS: u64 = 15 * 60 * 1_000;
/// The shortest time limit of a run.
pub const RUN_TIME_LIMIT_MIN_MS: u64 = 60_000;
/// The longest time limit of a run.
pub const RUN_TIME_LIMIT_MAX_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
/// How often an SSE connection says that it lives.
pub const SSE_PING_MS: u64 = 15_000;
/// After this long without a byte a reader counts an SSE connection as dead.
pub const SSE_DEAD_MS: u64 = 45_000;
