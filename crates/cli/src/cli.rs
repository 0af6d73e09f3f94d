//! The command line.

mod convex;
mod directory;
mod lists;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::exit::Failure;
use crate::settings::{Flags, Key};

pub(crate) use convex::{ConvexArgs, ConvexCommand};
pub(crate) use directory::{
    ActivityArgs, CatArgs, CloneArgs, DirectoryCommand, LsArgs, MkdirArgs, MvArgs, RestoreArgs,
    RmArgs, WaitArgs,
};
pub(crate) use lists::{
    MachinesArgs, MachinesCommand, SessionsArgs, SessionsCommand, WorkerSettingsArgs, WorkersArgs,
    WorkersCommand,
};

/// Delegate work to opencode on your machines, from a web page.
#[derive(Debug, Parser)]
#[command(
    name = "orchestrator",
    version,
    max_term_width = 100,
    propagate_version = true,
    disable_help_subcommand = true
)]
#[command(after_help = "\
Examples:
  orchestrator up                     everything on this computer; prints a link that signs you in
  orchestrator up --demo              the same with a scripted model: no account, no network
  orchestrator chat \"fix the tests\"   one message to the worker for this directory
  orchestrator ls build-2:repos       what is in a directory of a machine
  orchestrator doctor                 what is wrong with this installation, and what to do

Settings come from flags, then ORCHESTRATOR_* variables, then one TOML file, then defaults: `orchestrator config show` tells what holds and why. Exit codes are listed in docs/cli.md.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Common {
    /// Read this configuration file instead of the usual one
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the hub keeps its files
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Use the demo: the scripted model, and files apart from your real ones
    #[arg(long, global = true)]
    pub(crate) demo: bool,
    /// Write data as JSON, one value per line; errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log what happens to standard error; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the hub, its page and this computer's machine in one go
    #[command(after_help = "\
Prints exactly one line on standard output: a link that signs you in, once. Everything else is talk on standard error. Ctrl-C lets running turns finish, a second Ctrl-C stops at once.

With --convex there is no hub: the page is served here for a Convex deployment, this computer becomes one of its machines, and the link works for 30 days. `orchestrator convex --help` says how a deployment comes to know you; `./start --convex` does it all.

Examples:
  orchestrator up
  orchestrator up --demo --open
  orchestrator up --listen 127.0.0.1:8080 --root ~/projects
  orchestrator up --listen 0.0.0.0:7777 --public-url https://orchestrator.example.org
  orchestrator up --convex https://NAME.convex.cloud")]
    Up(UpArgs),
    /// Run only the hub: the backend and its page
    #[command(after_help = "\
Examples:
  orchestrator hub --listen 0.0.0.0:7777 --public-url https://orchestrator.example.org
  orchestrator link        in a second terminal: a link that signs you in")]
    Hub(HubArgs),
    /// Run this computer as a machine of a backend
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "\
The first time it registers: add the machine on the page, and paste the command that the page shows. Without a terminal, give --backend, --key and --root, or ORCHESTRATOR_BACKEND, ORCHESTRATOR_REGISTRATION_KEY and ORCHESTRATOR_ROOT. MACHINE_ID and secret are kept in machine.toml in the machine's directory, readable by you only.

Examples:
  orchestrator machine --backend https://orchestrator.example.org --key ork_... --root ~/projects
  orchestrator machine --backend convex+https://NAME.convex.cloud --key ork_... --root ~/projects
  orchestrator machine            the next times
  orchestrator machine --max-processes 2 --max-memory-mib 4096      on a small computer
  orchestrator machine install    keep it running, as a service
  orchestrator machine forget     give up this computer's MACHINE_ID"
    )]
    Machine(MachineArgs),
    /// Chat with a worker from the terminal
    #[command(after_help = "\
With a message: prints the answer and ends; the exit code says how the turn ended (30 failed, 31 interrupted, 32 stopped). Without one: a conversation. Ctrl-C stops the running turn, a second one leaves.

Without --session, --worker or --machine it is this computer's worker for the current directory, which becomes one if it is none, or else the only worker there is.

Examples:
  orchestrator chat
  orchestrator chat \"what does this project do?\"
  orchestrator chat --machine build-2 --dir repos/app \"run the tests\"
  orchestrator chat --continue cht_... --machine build-3 --dir repos/app
  git diff | orchestrator chat \"review this:\" -
  orchestrator chat --json \"hello\" | jq -r 'select(.event==\"text\").text'")]
    Chat(ChatArgs),
    /// List, add, rename and revoke machines
    #[command(after_help = "\
Examples:
  orchestrator machines
  orchestrator machines add build-2
  orchestrator machines revoke build-2")]
    Machines(MachinesArgs),
    /// List, add, rename, configure and remove workers
    #[command(after_help = "\
Examples:
  orchestrator workers
  orchestrator workers add build-2:repos/app
  orchestrator workers add build-2:repos/app --model anthropic/claude-sonnet-4-5 --sandbox workspace
  orchestrator workers configure app --agent plan
  orchestrator workers remove app")]
    Workers(WorkersArgs),
    /// List and end chat sessions, print what was said
    #[command(after_help = "\
Examples:
  orchestrator sessions
  orchestrator sessions transcript cht_...
  orchestrator sessions end cht_...
  orchestrator sessions end cht_... --discard-worktree")]
    Sessions(SessionsArgs),
    #[command(flatten)]
    Directory(DirectoryCommand),
    /// Print a new link that signs you in, once
    #[command(after_help = "\
For a Convex deployment the link is to the page on this computer, or to the one that --page names, and works for 30 days.

Examples:
  orchestrator link
  orchestrator link --page https://orchestrator.example.org")]
    Link(LinkArgs),
    /// Sign in to a backend with the owner's password, for the other commands
    #[command(after_help = "\
Asks for the password, or reads it from standard input when that is no terminal. For a Convex deployment it asks for a token instead: of `orchestrator convex token` on the owner's computer, or nothing at all for this computer's own key.

Examples:
  orchestrator login --backend https://orchestrator.example.org
  orchestrator login --backend convex+https://NAME.convex.cloud")]
    Login(ClientArgs),
    /// Set the owner's password
    #[command(
        after_help = "Asks for the password, or reads it from standard input when that is no terminal."
    )]
    Password(ClientArgs),
    /// Say what is wrong with this installation, and what to do
    Doctor(DoctorArgs),
    /// Make the key with which you sign in to Convex deployments, and tokens of it
    #[command(after_help = "\
A Convex deployment takes the place of the hub where one computer is not enough. It takes whoever its variable ORCHESTRATOR_AUTH names: mint-key makes a key for you and prints the value to set there. For people of an identity provider, set the provider there instead (docs/convex.md).

Examples:
  orchestrator convex mint-key
  orchestrator convex auth | npx convex env set ORCHESTRATOR_AUTH
  orchestrator convex token --days 7")]
    Convex(ConvexArgs),
    /// Show the settings that hold
    Config(ConfigArgs),
    /// Print a completion script for your shell
    #[command(after_help = "\
Examples:
  orchestrator completions bash > ~/.local/share/bash-completion/completions/orchestrator
  orchestrator completions zsh > ~/.zfunc/_orchestrator
  orchestrator completions fish > ~/.config/fish/completions/orchestrator.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the version
    Version,
    /// Run a program so that nothing of it outlives this one
    #[command(hide = true, disable_help_flag = true)]
    Supervise {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct HubArgs {
    /// The address to listen on; a port alone is one of this computer only
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// The address under which others reach the hub
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Answer to this host too; may be given again
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_host: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) hub: HubArgs,
    /// Use this Convex deployment in place of a hub
    #[arg(long, value_name = "URL")]
    pub(crate) convex: Option<String>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// What this computer is called on the page, the first time
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Open the link in the browser
    #[arg(long)]
    pub(crate) open: bool,
}

/// How a machine runs.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The directory that everything on this machine stays below
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Where this machine keeps its MACHINE_ID, its secret and its conversations
    #[arg(long, value_name = "DIR")]
    pub(crate) machine_dir: Option<PathBuf>,
    /// The opencode to run, in place of the installed one
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) opencode: Option<PathBuf>,
    /// Run at most so many opencodes at once, one for each chat session at work; further messages wait in line. By
    /// default one for each GiB of this computer's memory, 4 to 64
    #[arg(long, value_name = "N")]
    pub(crate) max_processes: Option<String>,
    /// Start no further opencode while they and what they run take more memory than this; one may always run. By
    /// default 70 % of this computer's
    #[arg(long, value_name = "MIB")]
    pub(crate) max_memory_mib: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct MachineArgs {
    #[command(subcommand)]
    pub(crate) command: Option<MachineCommand>,
    /// The backend to join
    #[arg(long, value_name = "URL")]
    pub(crate) backend: Option<String>,
    /// The registration key that the page shows
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Add this machine under that name, where you are signed in to the backend; needs no key
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Take orders on standard input and stop when it ends: for `up`
    #[arg(long, hide = true)]
    pub(crate) supervised: bool,
    /// Exit with 0 after what another start would only repeat: for launchd, which can't tell codes apart
    #[arg(long, hide = true)]
    pub(crate) final_is_done: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MachineCommand {
    /// Keep this computer's machine running: a service of yours, by systemd or launchd
    #[command(after_help = "\
Register first, with `orchestrator machine`. The service runs a copy of this program and starts it again when it dies, but not after it was fenced, revoked or is too old. Settings of flags and variables that are no secrets go into it; run this again after a change.

Where the service manager can't be reached, as in containers, the file is written, what to run is said, and the exit code is 14.

Examples:
  orchestrator machine install
  orchestrator machine install --print      what would be written")]
    Install {
        /// Where this machine keeps its MACHINE_ID, its secret and its conversations
        #[arg(long, value_name = "DIR")]
        machine_dir: Option<PathBuf>,
        /// Print the service's file and write nothing
        #[arg(long)]
        print: bool,
    },
    /// Stop and remove the service; MACHINE_ID and conversations stay
    Uninstall {
        /// Where this machine keeps its MACHINE_ID, its secret and its conversations
        #[arg(long, value_name = "DIR")]
        machine_dir: Option<PathBuf>,
    },
    /// Say whether the service is installed and runs
    Status {
        /// Where this machine keeps its MACHINE_ID, its secret and its conversations
        #[arg(long, value_name = "DIR")]
        machine_dir: Option<PathBuf>,
    },
    /// Put another program in the service's place, once running turns have finished
    #[command(after_help = "\
The earlier program runs again if the new one does not connect. In a checkout of the sources: git pull && ./start machine upgrade

Examples:
  orchestrator machine upgrade                          to the program that runs this
  orchestrator machine upgrade --program ./orchestrator")]
    Upgrade {
        /// The new program; by default the one that runs this command
        #[arg(long, value_name = "PROGRAM")]
        program: Option<PathBuf>,
        /// Where this machine keeps its MACHINE_ID, its secret and its conversations
        #[arg(long, value_name = "DIR")]
        machine_dir: Option<PathBuf>,
    },
    /// Give up this computer's MACHINE_ID and secret
    Forget {
        /// Where they are kept
        #[arg(long, value_name = "DIR")]
        machine_dir: Option<PathBuf>,
    },
}

/// Which backend.
#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// The backend; by default the one that runs on this computer
    #[arg(long, value_name = "URL")]
    pub(crate) backend: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LinkArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    /// The page to link to, for a Convex deployment; by default the one that runs on this computer
    #[arg(long, value_name = "URL")]
    pub(crate) page: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    /// Go on with this chat session
    #[arg(long, value_name = "ID", conflicts_with_all = ["worker", "machine", "dir", "model", "agent", "own_worktree"])]
    pub(crate) session: Option<String>,
    /// Start a chat session that goes on with another one's conversation, on this or another machine
    #[arg(long = "continue", value_name = "CHAT", conflicts_with = "session")]
    pub(crate) continues: Option<String>,
    /// The worker, by id or name
    #[arg(long, value_name = "WORKER", conflicts_with_all = ["dir"])]
    pub(crate) worker: Option<String>,
    /// The machine, by id or name
    #[arg(long, value_name = "MACHINE")]
    pub(crate) machine: Option<String>,
    /// A directory below the machine's root; it becomes a worker if it is none
    #[arg(long, value_name = "DIR", requires = "machine")]
    pub(crate) dir: Option<String>,
    /// The model, as provider/model
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// opencode's agent
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// Work in a git worktree of its own, so that others in the same directory are not in the way
    #[arg(long)]
    pub(crate) own_worktree: bool,
    /// What to do when the agent asks for permission
    #[arg(long, value_enum, value_name = "HOW")]
    pub(crate) asks: Option<Asks>,
    /// End the chat session afterwards
    #[arg(long)]
    pub(crate) end: bool,
    /// The message; more words are one message, and - is what is piped in
    pub(crate) message: Vec<String>,
}

/// What to do with asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Asks {
    /// Ask me; what a terminal does by default
    Prompt,
    /// Deny; what happens by default where there is no terminal
    Deny,
    /// Allow, each time
    Allow,
    /// Leave it to the page, and wait
    Wait,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// The address that `up` would listen on
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// The Convex deployment that `up` would use
    #[arg(long, value_name = "URL")]
    pub(crate) convex: Option<String>,
    /// Say how this machine is, by id or name; by default all of them
    #[arg(long, value_name = "MACHINE")]
    pub(crate) machine: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show every setting, its value and where that comes from
    Show {
        #[command(flatten)]
        client: ClientArgs,
        #[command(flatten)]
        hub: HubArgs,
        #[command(flatten)]
        run: RunArgs,
    },
}

impl Cli {
    /// What was given on the command line, for the settings.
    pub(crate) fn flags(&self) -> Result<Flags, Failure> {
        let mut flags = Flags::default();
        flags.config.clone_from(&self.common.config);
        flags.set_place(Key::DataDir, self.common.data_dir.as_deref())?;
        flags.set(Key::Demo, self.common.demo.then_some("true"));
        match &self.command {
            Command::Up(args) => {
                args.hub.set(&mut flags);
                args.run.set(&mut flags)?;
                flags.set(Key::Name, args.name.clone());
                flags.set(Key::Convex, args.convex.clone());
            }
            Command::Hub(args) => args.set(&mut flags),
            Command::Machine(args) => {
                flags.set(Key::Backend, args.backend.clone());
                flags.set(Key::RegistrationKey, args.key.clone());
                flags.set(Key::Name, args.name.clone());
                args.run.set(&mut flags)?;
                match &args.command {
                    Some(
                        MachineCommand::Forget { machine_dir }
                        | MachineCommand::Install { machine_dir, .. }
                        | MachineCommand::Uninstall { machine_dir }
                        | MachineCommand::Status { machine_dir }
                        | MachineCommand::Upgrade { machine_dir, .. },
                    ) => flags.set_place(Key::MachineDir, machine_dir.as_deref())?,
                    None => {}
                }
            }
            Command::Chat(ChatArgs { client, .. })
            | Command::Machines(MachinesArgs { client, .. })
            | Command::Workers(WorkersArgs { client, .. })
            | Command::Sessions(SessionsArgs { client, .. })
            | Command::Link(LinkArgs { client, .. })
            | Command::Login(client)
            | Command::Password(client) => client.set(&mut flags),
            Command::Directory(command) => command.client().set(&mut flags),
            Command::Doctor(args) => {
                args.client.set(&mut flags);
                args.run.set(&mut flags)?;
                flags.set(Key::Listen, args.listen.clone());
                flags.set(Key::Convex, args.convex.clone());
            }
            Command::Config(ConfigArgs {
                command: ConfigCommand::Show { client, hub, run },
            }) => {
                client.set(&mut flags);
                hub.set(&mut flags);
                run.set(&mut flags)?;
            }
            Command::Convex(_)
            | Command::Completions { .. }
            | Command::Version
            | Command::Supervise { .. } => {}
        }
        Ok(flags)
    }
}

impl HubArgs {
    fn set(&self, flags: &mut Flags) {
        flags.set(Key::Listen, self.listen.clone());
        flags.set(Key::PublicUrl, self.public_url.clone());
        flags.set(
            Key::AllowHosts,
            (!self.allow_host.is_empty()).then(|| self.allow_host.join(",")),
        );
    }
}

impl RunArgs {
    fn set(&self, flags: &mut Flags) -> Result<(), Failure> {
        flags.set_place(Key::Root, self.root.as_deref())?;
        flags.set_place(Key::MachineDir, self.machine_dir.as_deref())?;
        flags.set_place(Key::Opencode, self.opencode.as_deref())?;
        flags.set(Key::MaxProcesses, self.max_processes.clone());
        flags.set(Key::MaxMemoryMib, self.max_memory_mib.clone());
        Ok(())
    }
}

impl ClientArgs {
    fn set(&self, flags: &mut Flags) {
        flags.set(Key::Backend, self.backend.clone());
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
