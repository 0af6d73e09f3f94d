//! How a command ends: its exit code, and what a person reads when it failed. The codes are an interface;
//! `docs/cli.md` has the same table, and a test keeps them equal.

use std::process::ExitCode;

use protocol::wire::{CommandError, CommandErrorCode};
use protocol::{CallError, ErrorCode};
use transport::TransportError;

macro_rules! exits {
    ($(#[doc = $doc:literal] $name:ident = $code:literal, $text:literal;)*) => {
        /// How a command ends.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Exit {
            $(#[doc = $doc] $name,)*
        }

        impl Exit {
            /// Every exit, in the order of the codes.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            /// The process's exit code.
            pub(crate) const fn code(self) -> u8 {
                match self { $(Self::$name => $code,)* }
            }

            /// What it means, in a line.
            #[cfg(test)]
            const fn doc(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }

            /// Its name in JSON.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The exit with that code, if there is one.
            pub(crate) const fn of_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

exits! {
    /// Done.
    Done = 0, "done";
    /// Something went wrong that no other code names.
    Failed = 1, "failed";
    /// The command line is not understood.
    Usage = 2, "usage";
    /// A setting is wrong: of the environment, the configuration file, or missing altogether.
    Settings = 3, "settings";
    /// The backend can't be reached.
    Unreachable = 4, "unreachable";
    /// Nobody is signed in, or the token is not known (any more).
    SignedOut = 5, "signed_out";
    /// The backend refused.
    Refused = 6, "refused";
    /// There is no such thing, or it is somebody else's.
    NotFound = 7, "not_found";
    /// This version and the backend's do not fit together.
    Upgrade = 8, "upgrade";
    /// The address to listen on is taken or can't be had.
    AddressTaken = 10, "address_taken";
    /// The data directory can't be used.
    DataDir = 11, "data_dir";
    /// Another process uses this data directory.
    AlreadyRunning = 12, "already_running";
    /// The root directory can't be used.
    Root = 13, "root";
    /// The service's file is written, but the service manager can't be reached or did not start it.
    ServiceNotStarted = 14, "service_not_started";
    /// The new program did not come up, and the earlier one runs again.
    RolledBack = 15, "rolled_back";
    /// A newer process has connected with this MACHINE_ID.
    Fenced = 20, "fenced";
    /// The machine was revoked, or its credentials are not known.
    Unregistered = 21, "unregistered";
    /// The registration key is wrong, used or expired.
    BadKey = 22, "bad_key";
    /// The turn failed.
    TurnFailed = 30, "turn_failed";
    /// The turn was interrupted.
    TurnInterrupted = 31, "turn_interrupted";
    /// The turn was stopped by a person.
    TurnCancelled = 32, "turn_cancelled";
    /// `doctor` found something that keeps the product from working.
    Unwell = 40, "unwell";
    /// The machine could not do what was asked.
    CommandFailed = 50, "command_failed";
    /// The request was cancelled.
    CommandCancelled = 51, "command_cancelled";
    /// The machine did not come for the request in time.
    CommandExpired = 52, "command_expired";
    /// The machine is away, and the request was left waiting for it.
    Waiting = 53, "waiting";
    /// Something is there already.
    AlreadyExists = 60, "already_exists";
    /// It is of another kind than needed: a binary file, or a file instead of a directory.
    WrongKind = 61, "wrong_kind";
    /// The path leads out of the machine's root.
    OutsideRoot = 62, "outside_root";
    /// The machine can't use the name, address or text.
    Invalid = 63, "invalid";
    /// The machine's user may not do that.
    PermissionDenied = 64, "permission_denied";
    /// The machine's disk is full, or a quota is used up.
    NoSpace = 65, "no_space";
    /// Something is larger than its limit.
    TooLarge = 66, "too_large";
    /// The repository asks for credentials that the machine does not have.
    AuthenticationNeeded = 67, "authentication_needed";
    /// The repository's host has a key that the machine does not know.
    HostUnknown = 68, "host_unknown";
    /// The machine can't reach the repository or its host.
    RepositoryUnreachable = 69, "repository_unreachable";
    /// There is work in it that is nowhere else.
    UnsavedWork = 70, "unsaved_work";
    /// It took the machine too long.
    TimedOut = 71, "timed_out";
    /// It was begun several times, and each time the machine's process died.
    CommandInterrupted = 72, "command_interrupted";
    /// Ended at once by Ctrl-C: the second one where the first ends things in order.
    Aborted = 130, "aborted";
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command failed, for a person: what happened, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    /// Whoever read the output has gone: nothing is wrong, and nothing is left to do.
    pub(crate) fn is_reader_gone(&self) -> bool {
        self.exit == Exit::Done
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Done, "");
        }
        Self::new(
            Exit::Failed,
            format!("The output could not be written: {error}."),
        )
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let exit = match error.code {
            ErrorCode::Unauthenticated => Exit::SignedOut,
            ErrorCode::NotFound => Exit::NotFound,
            ErrorCode::UpgradeRequired => Exit::Upgrade,
            ErrorCode::Revoked => Exit::Unregistered,
            ErrorCode::StaleEpoch => Exit::Fenced,
            ErrorCode::Invalid
            | ErrorCode::TooLarge
            | ErrorCode::LimitReached
            | ErrorCode::Forbidden
            | ErrorCode::Conflict
            | ErrorCode::Expired
            | ErrorCode::RateLimited
            | ErrorCode::Unavailable
            | ErrorCode::Internal
            | ErrorCode::Unknown => Exit::Refused,
        };
        Self::new(exit, error.message)
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        let exit = match error.code {
            CommandErrorCode::NotFound => Exit::NotFound,
            CommandErrorCode::AlreadyExists => Exit::AlreadyExists,
            CommandErrorCode::WrongKind => Exit::WrongKind,
            CommandErrorCode::OutsideRoot => Exit::OutsideRoot,
            CommandErrorCode::Invalid => Exit::Invalid,
            CommandErrorCode::PermissionDenied => Exit::PermissionDenied,
            CommandErrorCode::NoSpace => Exit::NoSpace,
            CommandErrorCode::TooLarge => Exit::TooLarge,
            CommandErrorCode::AuthenticationNeeded => Exit::AuthenticationNeeded,
            CommandErrorCode::HostUnknown => Exit::HostUnknown,
            CommandErrorCode::Unreachable => Exit::RepositoryUnreachable,
            CommandErrorCode::UnsavedWork => Exit::UnsavedWork,
            CommandErrorCode::TimedOut => Exit::TimedOut,
            CommandErrorCode::Interrupted => Exit::CommandInterrupted,
            CommandErrorCode::Other | CommandErrorCode::Unknown => Exit::CommandFailed,
        };
        Self::new(exit, error.message)
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Refused(error) => error.into(),
            TransportError::Lost(why) => Self::new(
                Exit::Unreachable,
                format!("The backend can't be reached: {why}."),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Key;

    #[test]
    fn codes_read_back_and_do_not_repeat() {
        for exit in Exit::ALL {
            assert_eq!(Exit::of_code(exit.code()), Some(*exit));
        }
        assert!(Exit::ALL.is_sorted_by_key(|exit| exit.code()));
    }

    #[test]
    fn the_documents_tables_are_those_of_the_code() {
        let exits = Exit::ALL.iter().map(|exit| {
            let (code, name, doc) = (exit.code(), exit.name(), exit.doc().trim());
            format!("| {code} | `{name}` | {doc} |\n")
        });
        let settings = Key::ALL.iter().map(|key| {
            let (name, variable, doc) = (key.name(), key.variable(), key.doc().trim());
            format!("| `{name}` | `{variable}` | {doc} |\n")
        });
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
        let document = std::fs::read_to_string(path).unwrap();
        let next = with_table(&document, "<!-- exits:", &exits.collect::<String>());
        let next = with_table(&next, "<!-- settings:", &settings.collect::<String>());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &next).unwrap();
        } else {
            assert!(
                next == document,
                "run: UPDATE_DOCS=1 cargo test -p cli tables"
            );
        }
    }

    /// A document with these rows between the head of the table and the mark below it.
    fn with_table(document: &str, mark: &str, rows: &str) -> String {
        let end = document.find(mark).unwrap();
        let head = "| --- | --- | --- |\n";
        let begin = document[..end].rfind(head).unwrap() + head.len();
        format!("{}{rows}{}", &document[..begin], &document[end..])
    }
}
