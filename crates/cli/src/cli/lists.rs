//! The arguments of `machines`, `workers` and `sessions`.

use clap::{Args, Subcommand};
use protocol::wire::{Sandbox, WorkerSettings};

use super::ClientArgs;

#[derive(Debug, Args)]
pub(crate) struct MachinesArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    #[command(subcommand)]
    pub(crate) command: Option<MachinesCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MachinesCommand {
    /// List the machines; what happens without a word
    List,
    /// Add a machine and print the command with which it registers
    Add {
        /// Its name
        name: String,
    },
    /// Give a machine another name
    Rename {
        /// The machine, by id or name
        machine: String,
        /// Its new name
        name: String,
    },
    /// Void a machine's credentials, cut its connection and close its chat sessions
    Revoke {
        /// The machine, by id or name
        machine: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WorkersArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    /// Only of this machine, by id or name
    #[arg(long, value_name = "MACHINE", global = true)]
    pub(crate) machine: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Option<WorkersCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkersCommand {
    /// List the workers; what happens without a word
    List,
    /// Add a worker for a directory of a machine
    Add {
        /// The directory, below the machine's root
        #[arg(value_name = "[MACHINE:]PATH")]
        directory: String,
        /// A name, if it should have another than the directory's
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        settings: WorkerSettingsArgs,
    },
    /// Set how the chat sessions of a worker run that start from now on
    #[command(group = clap::ArgGroup::new("what").args(["model", "agent", "sandbox"]).multiple(true).required(true))]
    Configure {
        /// The worker, by id or name
        worker: String,
        #[command(flatten)]
        settings: WorkerSettingsArgs,
    },
    /// Give a worker another name
    Rename {
        /// The worker, by id or name
        worker: String,
        /// Its new name
        name: String,
    },
    /// Remove a worker and close its chat sessions; its directory stays
    Remove {
        /// The worker, by id or name
        worker: String,
    },
}

/// How a worker's chat sessions run.
#[derive(Debug, Args)]
pub(crate) struct WorkerSettingsArgs {
    /// The model, as provider/model; "" is opencode's own choice
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// opencode's agent; "" is opencode's own choice
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// What opencode may write to
    #[arg(long, value_enum, value_name = "WHERE")]
    pub(crate) sandbox: Option<SandboxArg>,
}

/// What opencode may write to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SandboxArg {
    /// Whatever the machine's user may
    Off,
    /// The worker's directory, opencode's own files and temporary ones, where the kernel can enforce it
    Workspace,
}

impl WorkerSettingsArgs {
    /// The settings with what was given in place of what was there.
    pub(crate) fn over(&self, before: WorkerSettings) -> WorkerSettings {
        let text = |given: &Option<String>, before: Option<String>| match given {
            Some(given) => Some(given.clone()).filter(|text| !text.is_empty()),
            None => before,
        };
        WorkerSettings {
            model: text(&self.model, before.model),
            agent: text(&self.agent, before.agent),
            sandbox: match self.sandbox {
                Some(SandboxArg::Off) => Sandbox::Off,
                Some(SandboxArg::Workspace) => Sandbox::Workspace,
                None => before.sandbox,
            },
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct SessionsArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    #[command(subcommand)]
    pub(crate) command: Option<SessionsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionsCommand {
    /// List the chat sessions; what happens without a word
    List {
        /// Closed ones too
        #[arg(long)]
        all: bool,
    },
    /// End a chat session and its process; what was said stays
    End {
        /// The chat session
        session: String,
        /// Remove its git worktree even if there is work in it that is nowhere else
        #[arg(long)]
        discard_worktree: bool,
    },
    /// Print what was said
    Transcript {
        /// The chat session
        session: String,
    },
}
