//! The arguments of what is asked of a machine's directories.

use clap::{Args, Subcommand};

use super::ClientArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum DirectoryCommand {
    /// List a directory of a machine
    #[command(after_help = "\
PATH is below the machine's root; without MACHINE: it is on the only machine there is. Write ./PATH if the path itself has a colon, or name the machine with --machine. A link is not followed.

Examples:
  orchestrator ls
  orchestrator ls build-2:repos
  orchestrator ls build-2: --all --filter .toml
  orchestrator ls build-2:repos --json | jq -r 'select(.git).name'")]
    Ls(LsArgs),
    /// Print a text file of a machine
    #[command(after_help = "\
Prints the first 128 KiB, and exits with 66 if there is more. On a terminal, characters that would steer it are left out. Binary files are refused.

Examples:
  orchestrator cat build-2:repos/app/README.md")]
    Cat(CatArgs),
    /// Make a directory on a machine; one that is there already is fine
    #[command(after_help = "\
Examples:
  orchestrator mkdir build-2:repos/new")]
    Mkdir(MkdirArgs),
    /// Give a file or directory of a machine another name or place
    #[command(after_help = "\
Nothing is replaced: TO must not be there. With a slash at its end TO is a directory to move into.

Examples:
  orchestrator mv build-2:repos/app repos/old-app
  orchestrator mv build-2:notes.txt archive/")]
    Mv(MvArgs),
    /// Put a file or directory of a machine into its trash
    #[command(after_help = "\
Says how to undo it, and prints the command's id for that.

Examples:
  orchestrator rm build-2:repos/old-app
  orchestrator restore cmd_...          undo it")]
    Rm(RmArgs),
    /// Put back what `rm` put into the trash
    #[command(after_help = "\
COMMAND_ID is what `rm` printed; `orchestrator activity` shows it too.

Examples:
  orchestrator restore cmd_...")]
    Restore(RestoreArgs),
    /// Clone a git repository on a machine
    #[command(after_help = "\
Without a path the directory is called as the repository, directly below the root; a path with a slash at its end is the directory to put it into. The machine's own ssh keys and credential helpers are used.

The clone goes on if this terminal or the connection is gone. Ctrl-C cancels it, a second one leaves it running.

Examples:
  orchestrator clone https://example.org/team/app.git
  orchestrator clone git@example.org:team/app.git build-2:repos/ --branch next
  orchestrator clone https://example.org/team/app.git --machine build-2 --detach
  orchestrator follow cmd_...           look at it again")]
    Clone(CloneArgs),
    /// Show what was asked of a machine: who, what, when, how long, and what came of it
    #[command(after_help = "\
With --json it is the whole log, one command per line, latest first: the export.

Examples:
  orchestrator activity build-2
  orchestrator activity build-2 --all --reads
  orchestrator activity build-2 --json > audit.jsonl")]
    Activity(ActivityArgs),
    /// Show how far a command is, until it has ended
    #[command(after_help = "\
Ctrl-C leaves; the command goes on.

Examples:
  orchestrator follow cmd_...")]
    Follow(CommandArgs),
    /// Stop a command that waits or runs
    #[command(after_help = "\
One that waits for its machine stops at once, one that runs as soon as the machine hears of it; this waits for that, and Ctrl-C leaves.

Examples:
  orchestrator cancel cmd_...")]
    Cancel(CommandArgs),
}

impl DirectoryCommand {
    pub(super) fn client(&self) -> &ClientArgs {
        match self {
            Self::Ls(LsArgs { on, .. })
            | Self::Cat(CatArgs { on, .. })
            | Self::Mkdir(MkdirArgs { on, .. })
            | Self::Mv(MvArgs { on, .. })
            | Self::Rm(RmArgs { on, .. })
            | Self::Clone(CloneArgs { on, .. }) => &on.client,
            Self::Activity(ActivityArgs { client, .. })
            | Self::Restore(RestoreArgs { client, .. })
            | Self::Follow(CommandArgs { client, .. })
            | Self::Cancel(CommandArgs { client, .. }) => client,
        }
    }
}

/// Which machine.
#[derive(Debug, Args)]
pub(crate) struct OnMachine {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    /// The machine, by id or name; paths are then taken as they are, colons and all
    #[arg(long, value_name = "MACHINE")]
    pub(crate) machine: Option<String>,
}

/// What to do when the machine is away.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct WaitArgs {
    /// Do not wait for a machine that is away: leave the request with the backend, and exit with 53
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    pub(crate) on: OnMachine,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// Names that begin with a dot too
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only names that contain this, whatever its case
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// The directory; the root if none is given
    #[arg(
        value_name = "[MACHINE:]PATH",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) path: String,
}

#[derive(Debug, Args)]
pub(crate) struct CatArgs {
    #[command(flatten)]
    pub(crate) on: OnMachine,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// The file
    #[arg(value_name = "[MACHINE:]PATH")]
    pub(crate) path: String,
}

#[derive(Debug, Args)]
pub(crate) struct MkdirArgs {
    #[command(flatten)]
    pub(crate) on: OnMachine,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// The directory
    #[arg(value_name = "[MACHINE:]PATH")]
    pub(crate) path: String,
}

#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    #[command(flatten)]
    pub(crate) on: OnMachine,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// The file or directory
    #[arg(value_name = "[MACHINE:]PATH")]
    pub(crate) path: String,
}

#[derive(Debug, Args)]
pub(crate) struct MvArgs {
    #[command(flatten)]
    pub(crate) on: OnMachine,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// What it is called now
    #[arg(value_name = "[MACHINE:]FROM")]
    pub(crate) from: String,
    /// What it shall be called, on the same machine
    #[arg(value_name = "[MACHINE:]TO")]
    pub(crate) to: String,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// The `rm` to undo
    #[arg(value_name = "COMMAND_ID")]
    pub(crate) command: String,
}

#[derive(Debug, Args)]
pub(crate) struct CloneArgs {
    #[command(flatten)]
    pub(crate) on: OnMachine,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// The branch or tag, if not the repository's own choice
    #[arg(long)]
    pub(crate) branch: Option<String>,
    /// Print the command's id and leave; `orchestrator follow` shows how far it is
    #[arg(long)]
    pub(crate) detach: bool,
    /// Where from
    pub(crate) url: String,
    /// The directory that it makes
    #[arg(
        value_name = "[MACHINE:]PATH",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) path: String,
}

#[derive(Debug, Args)]
pub(crate) struct ActivityArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    /// Listings and looks at files too
    #[arg(long)]
    pub(crate) reads: bool,
    /// All of it, not only the latest 50
    #[arg(long)]
    pub(crate) all: bool,
    /// The machine, by id or name; the only one if none is given
    pub(crate) machine: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CommandArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    /// The command
    #[arg(value_name = "COMMAND_ID")]
    pub(crate) command: String,
}
