//! The state machines. Each is one table: a state names every state it may go to. A transition that is not
//! in the table is refused with an error that names both states. `docs/protocol.md` shows the same tables,
//! and a test keeps them equal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use ts_rs::TS;

/// A transition that the table does not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a {thing} that is {from} can't become {to}")]
pub struct IllegalTransition {
    /// Which state machine.
    pub thing: &'static str,
    /// The state it is in.
    pub from: &'static str,
    /// The state that was asked for.
    pub to: &'static str,
}

/// One state machine's table, as data for documentation and tests.
#[derive(Debug, Clone, Copy)]
pub struct StateTable {
    /// The thing that has these states.
    pub thing: &'static str,
    /// Each state with the states it may go to.
    pub rows: &'static [(&'static str, &'static [&'static str])],
}

macro_rules! state_machine {
    ($(#[$doc:meta])* $name:ident, $thing:literal, $table:ident { $($(#[$state_doc:meta])* $state:ident = $text:literal => [$($next:ident),*];)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS)]
        #[ts(export_to = "wire.ts")]
        pub enum $name {
            $($(#[$state_doc])* #[serde(rename = $text)] $state,)*
            /// A state that only a newer peer knows.
            #[serde(rename = "unknown", other)]
            Unknown,
        }

        /// The table as data.
        pub const $table: StateTable = StateTable {
            thing: $thing,
            rows: &[$(($text, &[$($name::$next.as_str()),*])),*],
        };

        impl $name {
            /// Every state of the table.
            pub const ALL: &[Self] = &[$(Self::$state),*];

            /// The state's name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$state => $text,)*
                    Self::Unknown => "unknown",
                }
            }

            /// The states that this one may go to.
            #[must_use]
            pub const fn next(self) -> &'static [Self] {
                match self {
                    $(Self::$state => &[$(Self::$next),*],)*
                    Self::Unknown => &[],
                }
            }

            /// Whether nothing comes after this state.
            #[must_use]
            pub const fn is_terminal(self) -> bool {
                self.next().is_empty()
            }

            /// Takes the transition.
            ///
            /// # Errors
            /// [`IllegalTransition`] when the table does not have it.
            pub fn to(self, next: Self) -> Result<Self, IllegalTransition> {
                if self.next().contains(&next) {
                    Ok(next)
                } else {
                    Err(IllegalTransition { thing: $thing, from: self.as_str(), to: next.as_str() })
                }
            }
        }
    };
}

state_machine! {
    /// A one-time key with which a machine registers.
    RegistrationKeyState, "registration key", REGISTRATION_KEY {
        /// Can be used until it expires.
        Issued = "issued" => [Consumed, Expired, Revoked];
        /// Was used.
        Consumed = "consumed" => [];
        /// Was not used in time.
        Expired = "expired" => [];
        /// Was replaced by a newer key or taken back.
        Revoked = "revoked" => [];
    }
}

state_machine! {
    /// A machine's registration. Whether it is online is its presence, which is derived.
    MachineState, "machine", MACHINE {
        /// Named by a person; no process has registered yet.
        Created = "created" => [Registered, Revoked];
        /// Has a secret.
        Registered = "registered" => [Revoked];
        /// Its credentials are void.
        Revoked = "revoked" => [];
    }
}

state_machine! {
    /// A directory of a machine in which chat sessions run.
    WorkerState, "worker", WORKER {
        /// Asked for; the machine has not looked at the directory yet.
        Registered = "registered" => [Ready, Unavailable, Removed];
        /// The directory is there.
        Ready = "ready" => [Unavailable, Removed];
        /// The directory can't be used, for the reason given.
        Unavailable = "unavailable" => [Ready, Removed];
        /// Taken away by a person.
        Removed = "removed" => [];
    }
}

state_machine! {
    /// One conversation and the agent process that serves it.
    ChatState, "chat session", CHAT {
        /// Asked for; the machine has not begun.
        Requested = "requested" => [Starting, Failed, Closed];
        /// The process is starting.
        Starting = "starting" => [Ready, Hibernated, Failed, Closed];
        /// The process waits for a message.
        Ready = "ready" => [Busy, Starting, Hibernated, Failed, Closed];
        /// The process works on a turn.
        Busy = "busy" => [Ready, Starting, Failed, Closed];
        /// The process is stopped; the next message wakes it.
        Hibernated = "hibernated" => [Starting, Failed, Closed];
        /// The process could not be started, for the reason given; the next message tries again.
        Failed = "failed" => [Starting, Closed];
        /// Ended by a person.
        Closed = "closed" => [];
    }
}

state_machine! {
    /// One person's message and all that answers it.
    TurnState, "turn", TURN {
        /// Kept by the backend; no machine has it yet.
        Queued = "queued" => [Delivered, Cancelled, Failed];
        /// A machine has it and is about to hand it to the agent process.
        Delivered = "delivered" => [Streaming, Completed, Interrupted, Failed, Cancelled];
        /// The answer is being written.
        Streaming = "streaming" => [Completed, Interrupted, Failed, Cancelled];
        /// The answer is complete.
        Completed = "completed" => [];
        /// Cut off by something that was nobody's wish, for the reason given.
        Interrupted = "interrupted" => [];
        /// Could not be answered, for the reason given.
        Failed = "failed" => [];
        /// Stopped by a person.
        Cancelled = "cancelled" => [];
    }
}

state_machine! {
    /// A permission request or question that waits for a person.
    AskState, "ask", ASK {
        /// Waits; denies at its deadline.
        Pending = "pending" => [Answered, Expired, Withdrawn];
        /// A person answered.
        Answered = "answered" => [];
        /// Nobody answered in time: denied.
        Expired = "expired" => [];
        /// Its turn ended before anybody answered.
        Withdrawn = "withdrawn" => [];
    }
}

state_machine! {
    /// A directory operation or another request to a machine.
    CommandState, "command", COMMAND {
        /// Waits for the machine.
        Queued = "queued" => [Leased, Cancelled, Expired];
        /// The machine has it.
        Leased = "leased" => [Queued, Running, Failed, Cancelled, Expired];
        /// The machine works on it.
        Running = "running" => [Queued, Succeeded, Failed, Cancelled, Expired];
        /// Done.
        Succeeded = "succeeded" => [];
        /// Could not be done, for the reason given.
        Failed = "failed" => [];
        /// Stopped by a person.
        Cancelled = "cancelled" => [];
        /// Was not begun in time.
        Expired = "expired" => [];
    }
}

state_machine! {
    /// A standing order to send a message at set times.
    ScheduleState, "schedule", SCHEDULE {
        /// Fires.
        Enabled = "enabled" => [Paused];
        /// Does not fire, for the reason given.
        Paused = "paused" => [Enabled];
    }
}

state_machine! {
    /// One firing of a schedule.
    RunState, "run", RUN {
        /// Its time has come.
        Due = "due" => [Queued, Cancelled, Skipped, Missed];
        /// Waits for its machine, for the run before it or to be tried again.
        Queued = "queued" => [Running, Failed, Cancelled, Skipped];
        /// Its machine works on it.
        Running = "running" => [Queued, Completed, Interrupted, Failed, Cancelled];
        /// Its turn was completed.
        Completed = "completed" => [];
        /// Its turn was interrupted, and it is not tried again.
        Interrupted = "interrupted" => [];
        /// Its turn failed or could not begin, and it is not tried again.
        Failed = "failed" => [];
        /// Stopped by a person or by the overlap policy.
        Cancelled = "cancelled" => [];
        /// Left out by the overlap policy.
        Skipped = "skipped" => [];
        /// Nobody was there to run it, and the policy does not catch up.
        Missed = "missed" => [];
    }
}

/// All tables, in the order of the documentation.
pub const TABLES: &[StateTable] = &[
    REGISTRATION_KEY,
    MACHINE,
    WORKER,
    CHAT,
    TURN,
    ASK,
    COMMAND,
    SCHEDULE,
    RUN,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transition_outside_the_table_names_both_states() {
        let error = TurnState::Completed.to(TurnState::Streaming).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a turn that is completed can't become streaming"
        );
        assert_eq!(
            TurnState::Queued.to(TurnState::Delivered),
            Ok(TurnState::Delivered)
        );
    }

    #[test]
    fn every_state_can_be_reached_and_terminal_states_stay() {
        for table in TABLES {
            let first = table.rows[0].0;
            for (state, _) in table.rows {
                let reached =
                    *state == first || table.rows.iter().any(|(_, next)| next.contains(state));
                assert!(reached, "{} of a {} can't be reached", state, table.thing);
            }
        }
    }

    #[test]
    fn a_newer_peers_state_is_kept_as_unknown() {
        let state: TurnState = serde_json::from_str("\"paused_by_budget\"").unwrap();
        assert_eq!(state, TurnState::Unknown);
        assert!(state.to(TurnState::Completed).is_err());
    }
}
