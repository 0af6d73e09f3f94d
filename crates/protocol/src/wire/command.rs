//! Commands: what a person asks of a machine's directories, and what the machine answers.
//!
//! Every path is relative to the machine's root, with `/` between its parts; empty is the root itself. A name
//! that is not UTF-8, or that has control characters or a backslash, is written with escapes: `\\` for a
//! backslash, `\xHH` for any other byte. So every name can be shown, and given back exactly.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::ids::{ChatSessionId, CommandId, MachineId, PersonId};
use crate::state::CommandState;
use crate::time::Timestamp;

/// What a machine is asked to do below its root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(
    tag = "kind",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
#[ts(export_to = "wire.ts")]
pub enum Operation {
    /// List a directory, a page at a time: directories first, then everything else, each by name.
    List {
        /// The directory.
        directory: String,
        /// Whether names that begin with a dot are listed.
        #[serde(default)]
        hidden: bool,
        /// Only names that contain this text, whatever its case.
        #[serde(default)]
        #[ts(optional = nullable)]
        filter: Option<String>,
        /// Where the page begins: the `next` of the page before.
        #[serde(default)]
        #[ts(optional = nullable)]
        after: Option<String>,
    },
    /// Look at what git says of these directories, each a repository.
    InspectRepositories {
        /// The directories.
        directories: Vec<String>,
    },
    /// Read the beginning of a text file.
    ReadFile {
        /// The file.
        path: String,
    },
    /// Make a directory; one that is there already is fine.
    MakeDirectory {
        /// The directory.
        path: String,
    },
    /// Give something another name or place. Refuses to replace what is there.
    Rename {
        /// What it is called now.
        from: String,
        /// What it shall be called.
        to: String,
    },
    /// Put something into the trash below the root, from where it can be restored.
    Trash {
        /// What.
        path: String,
    },
    /// Put something back from the trash. Refuses to replace what is there.
    Restore {
        /// The command that trashed it.
        trashed: CommandId,
        /// Where it was; filled in by the backend.
        #[serde(default)]
        path: String,
    },
    /// Clone a git repository. Refuses to replace what is there.
    Clone {
        /// Where from.
        url: String,
        /// The branch or tag, if not the repository's own choice.
        #[serde(default)]
        #[ts(optional = nullable)]
        branch: Option<String>,
        /// The directory that it makes.
        path: String,
    },
    /// Remove the git worktree of a chat session that has ended.
    RemoveWorktree {
        /// The chat session.
        chat_session_id: ChatSessionId,
        /// Whether it goes even if there is work in it that is nowhere else.
        #[serde(default)]
        force: bool,
        /// The directory of the repository; filled in by the backend.
        #[serde(default)]
        repository: String,
        /// The worktree's directory; filled in by the backend.
        #[serde(default)]
        directory: String,
        /// The worktree's branch; filled in by the backend.
        #[serde(default)]
        branch: String,
    },
    /// An operation that only a newer peer knows.
    #[serde(other)]
    Unknown,
}

impl Operation {
    /// Its name on the wire.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::List { .. } => "list",
            Self::InspectRepositories { .. } => "inspect_repositories",
            Self::ReadFile { .. } => "read_file",
            Self::MakeDirectory { .. } => "make_directory",
            Self::Rename { .. } => "rename",
            Self::Trash { .. } => "trash",
            Self::Restore { .. } => "restore",
            Self::Clone { .. } => "clone",
            Self::RemoveWorktree { .. } => "remove_worktree",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it leaves everything as it is.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(
            self,
            Self::List { .. } | Self::InspectRepositories { .. } | Self::ReadFile { .. }
        )
    }

    /// Whether it may take minutes, so that it must not keep short ones waiting.
    #[must_use]
    pub const fn is_long(&self) -> bool {
        matches!(self, Self::Clone { .. })
    }
}

/// How far a running command is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", default)]
#[ts(export_to = "wire.ts")]
pub struct Progress {
    /// What it does now, for a person: "Receiving objects".
    pub phase: String,
    /// How much of the phase is done, from 0 to 100.
    #[ts(optional = nullable)]
    pub percent: Option<u8>,
    /// How many objects are done.
    #[ts(optional = nullable)]
    pub objects_done: Option<u64>,
    /// Of how many.
    #[ts(optional = nullable)]
    pub objects_total: Option<u64>,
    /// Bytes received so far.
    #[ts(optional = nullable)]
    pub bytes: Option<u64>,
    /// Bytes received each second.
    #[ts(optional = nullable)]
    pub bytes_per_second: Option<u64>,
}

/// What a command that succeeded has to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(
    tag = "kind",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
#[ts(export_to = "wire.ts")]
pub enum CommandResult {
    /// It is done, and that is all.
    Done,
    /// A page of a directory.
    Listing(Listing),
    /// What git said of each directory that is a repository.
    Repositories {
        /// In the order in which they were asked for; others are left out.
        repositories: Vec<Repository>,
    },
    /// The beginning of a file.
    File(FileText),
    /// A repository was cloned.
    Cloned {
        /// The branch that is checked out; none in an empty repository or at a tag.
        #[serde(default)]
        #[ts(optional = nullable)]
        branch: Option<String>,
    },
    /// A result that only a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// A page of a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct Listing {
    /// The entries of this page.
    pub entries: Vec<DirectoryEntry>,
    /// How many entries all pages have together.
    pub total: u32,
    /// Where the next page begins, if there is one.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub next: Option<String>,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct DirectoryEntry {
    /// Its name, escaped where needed.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// A file's size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub size: Option<u64>,
    /// When it was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub modified_at: Option<Timestamp>,
    /// The git repository that a directory is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub git: Option<GitHead>,
}

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "wire.ts")]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link; it is not followed.
    Link,
    /// A device, a pipe, a socket.
    Other,
    /// A kind that only a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// What a repository has checked out, as its `HEAD` file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", default)]
#[ts(export_to = "wire.ts")]
pub struct GitHead {
    /// The branch; none while a commit is checked out by itself.
    #[ts(optional = nullable)]
    pub branch: Option<String>,
}

/// What git says of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct Repository {
    /// Its directory.
    pub directory: String,
    /// The branch; none while a commit is checked out by itself.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub branch: Option<String>,
    /// How many files are changed or not known to git; none if that could not be found out in time.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub changed_files: Option<u32>,
}

/// The beginning of a text file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct FileText {
    /// The text; empty for a binary file. Bytes that are not UTF-8 are replaced.
    pub text: String,
    /// The whole file's size in bytes.
    pub size: u64,
    /// The file goes on.
    pub truncated: bool,
    /// It is no text.
    pub is_binary: bool,
}

/// What kind of failure it is; programs decide by this, people read the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "wire.ts")]
pub enum CommandErrorCode {
    /// Nothing is there.
    NotFound,
    /// Something is there already.
    AlreadyExists,
    /// It is not of the kind that is needed: a file instead of a directory, say.
    WrongKind,
    /// The path can't be one below the root, or leads out of it.
    OutsideRoot,
    /// The name, address or text can't be used.
    Invalid,
    /// The machine's user may not do that.
    PermissionDenied,
    /// The disk is full, or a quota is used up.
    NoSpace,
    /// Something is larger than its limit.
    TooLarge,
    /// The repository asks for credentials that the machine does not have.
    AuthenticationNeeded,
    /// The host's key is not known to the machine.
    HostUnknown,
    /// The host, or the repository there, can't be reached.
    Unreachable,
    /// There is work in it that is nowhere else.
    UnsavedWork,
    /// It took too long.
    TimedOut,
    /// It was begun several times, and each time the machine's process died.
    Interrupted,
    /// A program that is needed is not there, or anything else.
    Other,
    /// A code that only a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// Why a command failed: what happened, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
#[error("{message}")]
pub struct CommandError {
    /// What kind of failure.
    pub code: CommandErrorCode,
    /// For a person to read.
    pub message: String,
}

impl CommandError {
    /// A failure with its text.
    #[must_use]
    pub fn new(code: CommandErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// A command as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct CommandSummary {
    /// Its id.
    pub id: CommandId,
    /// Its machine.
    pub machine_id: MachineId,
    /// Who asked for it.
    pub requested_by: PersonId,
    /// What was asked.
    pub operation: Operation,
    /// Its state.
    pub state: CommandState,
    /// How often it was begun.
    pub attempt: u32,
    /// A person wants it to stop.
    pub cancel_requested: bool,
    /// How far it is, while it runs.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub progress: Option<Progress>,
    /// Why it failed, if it did.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub error: Option<CommandError>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When the machine began with it.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub ended_at: Option<Timestamp>,
    /// When it is given up if no machine has begun with it.
    pub expires_at: Timestamp,
}

/// Call `machine.command.request`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct RequestCommandArgs {
    /// The machine.
    pub machine_id: MachineId,
    /// What to do.
    pub operation: Operation,
}

/// Names one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct CommandArgs {
    /// The command.
    pub command_id: CommandId,
}

/// Watch `machine.command.view`: one command, with its result for as long as that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct CommandView {
    /// The command.
    pub command: CommandSummary,
    /// What it has to tell; dropped ten minutes after it ended.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub result: Option<CommandResult>,
}

/// Call or watch `machine.activity`: what was asked of a machine, latest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct ActivityArgs {
    /// The machine.
    pub machine_id: MachineId,
    /// Whether commands that only read are among them.
    #[serde(default)]
    pub reads: bool,
    /// Only commands before this one, for the next page.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub before: Option<CommandId>,
}

/// A page of a machine's activity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct Activity {
    /// Commands, latest first.
    pub commands: Vec<CommandSummary>,
    /// There are earlier ones.
    pub has_earlier: bool,
}

/// Watch `machine.directory`: a directory as it was last listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct DirectoryArgs {
    /// The machine.
    pub machine_id: MachineId,
    /// The directory.
    pub directory: String,
    /// Whether names that begin with a dot are listed.
    #[serde(default)]
    pub hidden: bool,
}

/// A directory as it was last listed, and how its next listing stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct DirectoryView {
    /// The first page, if it was ever listed.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub listing: Option<Listing>,
    /// When that page was true.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub as_of: Option<Timestamp>,
    /// The latest command to list it: waiting, running, or failed.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub command: Option<CommandSummary>,
}

/// A command as its machine sees it in the inbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct InboxCommand {
    /// The command.
    pub id: CommandId,
    /// A person wants it to stop.
    pub cancel_requested: bool,
    /// It may take minutes.
    pub is_long: bool,
}

/// A command as given to the machine that took it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct TakenCommand {
    /// The command.
    pub command_id: CommandId,
    /// Its state now.
    pub state: CommandState,
    /// How often it has been begun, this time included.
    pub attempt: u32,
    /// It is only to be stopped, and what is left of earlier attempts to be removed.
    #[serde(default)]
    pub cancel_requested: bool,
    /// What to do.
    pub operation: Operation,
}

/// Call `machine.command.report`: how far a command is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct ReportCommandArgs {
    /// The command.
    pub command_id: CommandId,
    /// How far it is.
    pub progress: Progress,
    /// From one, grows with each report of the connection: one that comes late or again changes nothing.
    pub seq: u64,
}

/// Call `machine.command.finish`: how a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct FinishCommandArgs {
    /// The command.
    pub command_id: CommandId,
    /// `succeeded`, `failed` or `cancelled`.
    pub outcome: CommandState,
    /// What it has to tell, if it succeeded.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub result: Option<CommandResult>,
    /// Why it failed, if it did.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub error: Option<CommandError>,
}
