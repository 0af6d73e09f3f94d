//! The seam between the agent and whatever runs its chat sessions: opencode here, a scripted double in
//! tests, other coding agents later.

use std::path::PathBuf;

use async_trait::async_trait;
use protocol::driver::{DriverEvent, SessionSpec, TurnRecall};
use protocol::ids::TurnId;
use protocol::wire::AskAnswer;
use tokio::sync::mpsc;

/// Starts one agent process for each chat session.
#[async_trait]
pub trait Driver: Send + Sync {
    /// Says whether sessions can be started at all, and with what.
    ///
    /// # Errors
    /// [`DriverError::Missing`] or [`DriverError::WrongVersion`]; both say what to do.
    async fn check(&self) -> Result<DriverInfo, DriverError>;

    /// Starts a process for the chat session, or resumes it where the spec names an earlier conversation.
    /// Returns when the process takes prompts.
    ///
    /// Everything the process does is told through `events`, in order. When that channel is full the
    /// process's output is not read until there is room: nothing is dropped, and nothing piles up.
    ///
    /// # Errors
    /// Any [`DriverError`]; no process is left behind.
    async fn start(
        &self,
        spec: SessionSpec,
        events: mpsc::Sender<DriverEvent>,
    ) -> Result<StartedSession, DriverError>;

    /// Says how many processes it may keep in store for sessions to come, from now on. Those beyond that are ended.
    /// A driver that keeps none has nothing to do.
    fn keep_spares(&self, _most: usize) {}
}

/// A driver and the program that it runs, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverInfo {
    /// The program: `opencode`.
    pub program: String,
    /// Its version.
    pub version: String,
    /// Where it is, if it is a file.
    pub path: Option<PathBuf>,
}

/// A process that takes prompts.
pub struct StartedSession {
    /// The driver's name for the conversation: give it back in [`SessionSpec`] to resume.
    pub agent_session_id: String,
    /// The model that turns use, as `provider/model`, where it is known: the one asked for or the default.
    pub model: Option<String>,
    /// The agent that turns use, where it is known.
    pub agent: Option<String>,
    /// The process.
    pub process: Box<dyn AgentProcess>,
}

impl std::fmt::Debug for StartedSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StartedSession")
            .field("agent_session_id", &self.agent_session_id)
            .field("model", &self.model)
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}

/// One chat session's process. Dropping it stops it too, less gently than [`AgentProcess::stop`].
#[async_trait]
pub trait AgentProcess: Send + Sync {
    /// Hands over a person's message. Returns when the process has it; the answer comes as events and ends
    /// with [`DriverEvent::TurnEnded`]. The same turn again is the same prompt: it is not answered twice.
    ///
    /// # Errors
    /// [`DriverError::Busy`] while another turn is under way, or what went wrong on the way. After
    /// [`DriverError::TimedOut`] the process may or may not have it: ask [`AgentProcess::recall`].
    async fn prompt(&self, turn_id: &TurnId, text: &str) -> Result<(), DriverError>;

    /// Says what the process knows of a turn: after a restart, to decide whether handing it over is safe.
    ///
    /// # Errors
    /// When the process can't be asked; then nothing is known.
    async fn recall(&self, turn_id: &TurnId) -> Result<TurnRecall, DriverError>;

    /// Stops a turn. It ends with outcome `cancelled`; a turn that is over already is left as it is.
    ///
    /// # Errors
    /// When the process can't be told.
    async fn abort(&self, turn_id: &TurnId) -> Result<(), DriverError>;

    /// Answers an ask.
    ///
    /// # Errors
    /// [`DriverError::UnknownAsk`] when nobody waits for it any more, or when the process can't be told.
    async fn reply(&self, agent_ask_id: &str, answer: AskAnswer) -> Result<(), DriverError>;

    /// Stops the process and all that it started. Returns when nothing of it is left; tells no
    /// [`DriverEvent::Exited`].
    async fn stop(&self);
}

/// Why a driver could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// The program is not there.
    #[error("{program} was not found. Looked for it in: {}. {advice}", looked_in.join(", "))]
    Missing {
        /// The program.
        program: String,
        /// Where it was looked for.
        looked_in: Vec<String>,
        /// What to do.
        advice: String,
    },
    /// The program is there, in a version that this driver does not know.
    #[error("{path} is version {found}, but this product works with {accepted}. {advice}")]
    WrongVersion {
        /// The program's path.
        path: String,
        /// Its version, or what it said in place of one.
        found: String,
        /// The versions that are accepted.
        accepted: String,
        /// What to do.
        advice: String,
    },
    /// The directory to work in is not there.
    #[error("The directory {directory} can't be used: {reason}. Create it, or choose another one.")]
    Directory {
        /// The directory.
        directory: String,
        /// Why.
        reason: String,
    },
    /// The process ended before it took prompts.
    #[error(
        "opencode ended while it was starting ({status}).{}",
        last_words(stderr)
    )]
    ExitedAtStart {
        /// How it ended.
        status: String,
        /// The last lines that it wrote to its standard error.
        stderr: String,
    },
    /// Somebody killed the process before it took prompts: the operating system when memory ran out, a person.
    #[error(
        "opencode was killed while it was starting ({status}), {tries} times. If nobody did that, the machine may \
         be short of memory: end other programs, then send the message again.{}",
        last_words(stderr)
    )]
    KilledAtStart {
        /// By which signal.
        status: String,
        /// How often it was started.
        tries: usize,
        /// The last lines that it wrote to its standard error.
        stderr: String,
    },
    /// The process did not get ready in time and was stopped.
    #[error("opencode did not get ready within {} s and was stopped.{}", waited_ms / 1_000, last_words(stderr))]
    NeverReady {
        /// How long it was waited for.
        waited_ms: u64,
        /// The last lines that it wrote to its standard error.
        stderr: String,
    },
    /// The process has ended.
    #[error(
        "opencode is not running any more ({reason}). Send the message again to start it anew."
    )]
    Gone {
        /// How it ended.
        reason: String,
    },
    /// The process did not answer in time. Whether it did what it was asked is not known.
    #[error("opencode did not answer in time ({operation}).")]
    TimedOut {
        /// What it was asked.
        operation: &'static str,
    },
    /// The process refused.
    #[error("opencode refused ({operation}, status {status}): {message}")]
    Refused {
        /// What it was asked.
        operation: &'static str,
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The process answered with something that this driver can't read.
    #[error("opencode's answer could not be understood ({operation}): {detail}")]
    Malformed {
        /// What it was asked.
        operation: &'static str,
        /// What is wrong with the answer.
        detail: String,
    },
    /// Another turn is under way.
    #[error("another turn is still under way in this chat session")]
    Busy,
    /// Nobody waits for that ask.
    #[error("nobody waits for this answer any more")]
    UnknownAsk,
    /// The answer does not fit the ask: a permission is answered with allow or deny, a question with answers.
    #[error("this answer does not fit what was asked: {detail}")]
    WrongAnswer {
        /// What does not fit.
        detail: String,
    },
    /// The machine could not do something: a file, a process, a port.
    #[error("{what}: {reason}")]
    Machine {
        /// What was tried.
        what: String,
        /// What the operating system said.
        reason: String,
    },
}

impl DriverError {
    /// Whether trying again later may help without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NeverReady { .. }
            | Self::KilledAtStart { .. }
            | Self::Gone { .. }
            | Self::TimedOut { .. }
            | Self::Busy
            | Self::Machine { .. } => true,
            Self::Missing { .. }
            | Self::WrongVersion { .. }
            | Self::Directory { .. }
            | Self::ExitedAtStart { .. }
            | Self::Refused { .. }
            | Self::Malformed { .. }
            | Self::UnknownAsk
            | Self::WrongAnswer { .. } => false,
        }
    }

    /// Whether the process may have taken the prompt although the call failed.
    #[must_use]
    pub fn leaves_prompt_in_doubt(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::Gone { .. } | Self::Malformed { .. } => true,
            Self::Missing { .. }
            | Self::WrongVersion { .. }
            | Self::Directory { .. }
            | Self::ExitedAtStart { .. }
            | Self::KilledAtStart { .. }
            | Self::NeverReady { .. }
            | Self::Refused { .. }
            | Self::Busy
            | Self::UnknownAsk
            | Self::WrongAnswer { .. }
            | Self::Machine { .. } => false,
        }
    }
}

fn last_words(stderr: &str) -> String {
    match stderr.trim() {
        "" => " It wrote nothing to its standard error.".to_owned(),
        text => format!(" Its last words: {text}"),
    }
}
