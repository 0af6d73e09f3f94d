//! What is asked of a machine's directories: `ls`, `cat`, `mkdir`, `mv`, `rm`, `restore`, `clone`; and the log of
//! it: `activity`, `follow`, `cancel`.

mod activity;
mod clone;
mod follow;
mod listing;
mod place;
mod screen;
mod text;

use protocol::functions::{CancelCommand, ListMachines, RequestCommand, ViewCommand};
use protocol::ids::CommandId;
use protocol::state::CommandState;
use protocol::wire::{
    CommandArgs, CommandResult, CommandSummary, CommandView, MachineSummary, NoArgs, Operation,
    RequestCommandArgs,
};

use crate::api::Api;
use crate::cli::{CatArgs, DirectoryCommand, MkdirArgs, MvArgs, RestoreArgs, RmArgs, WaitArgs};
use crate::exit::{Exit, Failure};
use crate::lists::done;
use crate::out::{Out, name_text, printable};
use crate::settings::Settings;
use crate::signals::Signals;
use follow::{Follower, OnInterrupt};
use screen::Screen;

pub(crate) use place::Place;

pub(crate) async fn run(
    settings: &Settings,
    command: DirectoryCommand,
    out: Out,
) -> Result<Exit, Failure> {
    let mut desk = Desk {
        api: Api::of(settings)?,
        out,
        signals: Signals::listen()?,
    };
    match command {
        DirectoryCommand::Ls(args) => listing::list(&mut desk, args).await,
        DirectoryCommand::Cat(args) => desk.cat(args).await,
        DirectoryCommand::Mkdir(args) => desk.mkdir(args).await,
        DirectoryCommand::Mv(args) => desk.rename(args).await,
        DirectoryCommand::Rm(args) => desk.trash(args).await,
        DirectoryCommand::Restore(args) => desk.restore(args).await,
        DirectoryCommand::Clone(args) => clone::clone(&mut desk, args).await,
        DirectoryCommand::Activity(args) => activity::activity(&desk, args).await,
        DirectoryCommand::Follow(args) => desk.follow(&args.command).await,
        DirectoryCommand::Cancel(args) => desk.cancel(&args.command).await,
    }
}

/// Where requests are made from.
struct Desk {
    api: Api,
    out: Out,
    signals: Signals,
}

/// A command that has succeeded, and what it had to tell.
struct Succeeded {
    command: CommandSummary,
    result: Option<CommandResult>,
}

/// How asking a machine for something went, where that was no failure.
enum Asked {
    Succeeded(Box<Succeeded>),
    /// The machine is away, and the request is left waiting for it.
    Waits(Box<CommandSummary>),
}

impl Desk {
    async fn machines(&self) -> Result<Vec<MachineSummary>, Failure> {
        Ok(self.api.call::<ListMachines>(&NoArgs {}).await?.machines)
    }

    async fn place(&self, machine: Option<&str>, path: &str) -> Result<Place, Failure> {
        Place::find(self.machines().await?, machine, path)
    }

    async fn request(
        &self,
        machine: &MachineSummary,
        operation: Operation,
    ) -> Result<CommandView, Failure> {
        let args = RequestCommandArgs {
            machine_id: machine.id.clone(),
            operation,
        };
        self.api.call::<RequestCommand>(&args).await
    }

    /// Asks a machine for something that takes a moment, and waits for it.
    async fn ask(
        &mut self,
        machine: &MachineSummary,
        operation: Operation,
        wait: WaitArgs,
    ) -> Result<Asked, Failure> {
        let view = self.request(machine, operation).await?;
        self.wait(view, Some(machine), wait, Screen::quiet(self.out))
            .await
    }

    async fn wait(
        &mut self,
        view: CommandView,
        machine: Option<&MachineSummary>,
        wait: WaitArgs,
        screen: Screen,
    ) -> Result<Asked, Failure> {
        let on_interrupt = if view.command.operation.is_read() {
            // It ends by itself, and somebody else may wait for the same.
            OnInterrupt::Leave
        } else {
            OnInterrupt::Cancel
        };
        let follower = Follower {
            api: &self.api,
            out: self.out,
            machine,
            on_interrupt,
            no_wait: wait.no_wait,
        };
        follower.run(view, screen, &mut self.signals).await
    }

    async fn mkdir(&mut self, args: MkdirArgs) -> Result<Exit, Failure> {
        let Place { machine, path } = self.place(args.on.machine.as_deref(), &args.path).await?;
        let operation = Operation::MakeDirectory { path };
        let asked = self.ask(&machine, operation, args.wait).await?;
        self.tell(asked, |command| {
            format!("{} is there.", text::target(&machine, command))
        })
    }

    async fn rename(&mut self, args: MvArgs) -> Result<Exit, Failure> {
        let machines = self.machines().await?;
        let from = Place::find(machines.clone(), args.on.machine.as_deref(), &args.from)?;
        let to = from.same_machine(machines, args.on.machine.is_some(), &args.to)?;
        let operation = Operation::Rename {
            to: place::into(&to, &from.path),
            from: from.path,
        };
        let asked = self.ask(&from.machine, operation, args.wait).await?;
        self.tell(asked, |command| {
            format!("It is {} now.", text::target(&from.machine, command))
        })
    }

    async fn trash(&mut self, args: RmArgs) -> Result<Exit, Failure> {
        let Place { machine, path } = self.place(args.on.machine.as_deref(), &args.path).await?;
        let operation = Operation::Trash { path };
        match self.ask(&machine, operation, args.wait).await? {
            Asked::Succeeded(succeeded) if !self.out.is_json() => {
                let command = &succeeded.command;
                self.out.say(&format!(
                    "{} is in the trash. Undo: orchestrator restore {}",
                    text::target(&machine, command),
                    command.id
                ));
                self.out.line(command.id.as_str())?;
                Ok(Exit::Done)
            }
            asked @ (Asked::Succeeded(_) | Asked::Waits(_)) => self.tell(asked, |_| String::new()),
        }
    }

    async fn restore(&mut self, args: RestoreArgs) -> Result<Exit, Failure> {
        let trashed = command_id(&args.command)?;
        let view = self.view(&trashed).await?;
        let machine = self.machine_of(&view.command).await?;
        let operation = Operation::Restore {
            trashed,
            path: String::new(),
        };
        let asked = self.ask(&machine, operation, args.wait).await?;
        self.tell(asked, |command| {
            format!("{} is back.", text::target(&machine, command))
        })
    }

    async fn cat(&mut self, args: CatArgs) -> Result<Exit, Failure> {
        let Place { machine, path } = self.place(args.on.machine.as_deref(), &args.path).await?;
        let operation = Operation::ReadFile { path };
        let succeeded = match self.ask(&machine, operation, args.wait).await? {
            Asked::Succeeded(succeeded) => succeeded,
            waits @ Asked::Waits(_) => return self.tell(waits, |_| String::new()),
        };
        let target = text::target(&machine, &succeeded.command);
        let Some(CommandResult::File(file)) = succeeded.result else {
            return Err(unknown_result());
        };
        if file.is_binary {
            return Err(Failure::new(
                Exit::WrongKind,
                format!(
                    "{target} is a binary file of {}, and only text can be shown. Look at it on the machine.",
                    text::bytes(file.size)
                ),
            ));
        }
        if self.out.is_json() {
            self.out.value(&file)?;
        } else if self.out.is_terminal() {
            self.out.piece(&printable(&file.text))?;
            if !file.text.ends_with('\n') && !file.text.is_empty() {
                self.out.line("")?;
            }
        } else {
            self.out.piece(&file.text)?;
        }
        if file.truncated {
            let shown = u64::try_from(file.text.len()).unwrap_or(u64::MAX);
            return Err(Failure::new(
                Exit::TooLarge,
                format!(
                    "Only the first {} of {target} are shown, of {}. Look at the rest on the machine.",
                    text::bytes(shown),
                    text::bytes(file.size)
                ),
            ));
        }
        Ok(Exit::Done)
    }

    async fn follow(&mut self, command: &str) -> Result<Exit, Failure> {
        let view = self.view(&command_id(command)?).await?;
        let machine = self.machine_of(&view.command).await.ok();
        let follower = Follower {
            api: &self.api,
            out: self.out,
            machine: machine.as_ref(),
            on_interrupt: OnInterrupt::Leave,
            no_wait: false,
        };
        let screen = Screen::live(self.out);
        if let Asked::Succeeded(succeeded) = follower.run(view, screen, &mut self.signals).await?
            && !self.out.is_json()
        {
            self.out.say(&format!(
                "{}: succeeded.",
                text::what(&succeeded.command.operation)
            ));
        }
        Ok(Exit::Done)
    }

    async fn cancel(&mut self, command: &str) -> Result<Exit, Failure> {
        let args = CommandArgs {
            command_id: command_id(command)?,
        };
        let view = self.api.call::<CancelCommand>(&args).await?;
        let was_over = view.command.state.is_terminal();
        let machine = self.machine_of(&view.command).await.ok();
        let what = text::what(&view.command.operation);
        let follower = Follower {
            api: &self.api,
            out: self.out,
            machine: machine.as_ref(),
            on_interrupt: OnInterrupt::Leave,
            no_wait: false,
        };
        let screen = Screen::quiet(self.out);
        let ended = follower.end_of(view, screen, &mut self.signals).await?;
        let Some(ended) = ended.filter(|view| view.command.state.is_terminal()) else {
            return Ok(Exit::Aborted);
        };
        if ended.command.state == CommandState::Cancelled {
            done(self.out, &text::cancelled(&ended.command), &ended.command)?;
            return Ok(Exit::Done);
        }
        let before = if was_over {
            "had ended already"
        } else {
            "was faster"
        };
        Err(Failure::new(
            Exit::Refused,
            format!(
                "{what}: it {before}, as {}. There is nothing left to cancel.",
                ended.command.state.as_str()
            ),
        ))
    }

    async fn view(&self, command: &CommandId) -> Result<CommandView, Failure> {
        let args = CommandArgs {
            command_id: command.clone(),
        };
        self.api.call::<ViewCommand>(&args).await
    }

    async fn machine_of(&self, command: &CommandSummary) -> Result<MachineSummary, Failure> {
        self.api.machine(command.machine_id.as_str()).await
    }

    /// Says what was done, or that it waits.
    fn tell(
        &self,
        asked: Asked,
        text: impl FnOnce(&CommandSummary) -> String,
    ) -> Result<Exit, Failure> {
        match asked {
            Asked::Succeeded(succeeded) => {
                done(self.out, &text(&succeeded.command), &succeeded.command)?;
                Ok(Exit::Done)
            }
            Asked::Waits(command) => {
                self.left(&command)?;
                Ok(Exit::Waiting)
            }
        }
    }

    /// Says how to come back to a command that is left alone.
    fn left(&self, command: &CommandSummary) -> Result<(), Failure> {
        if self.out.is_json() {
            return self.out.value(command);
        }
        self.out.say(&text::how_to_come_back(&command.id));
        self.out.line(command.id.as_str())
    }
}

fn command_id(text: &str) -> Result<CommandId, Failure> {
    text.parse().map_err(|error| {
        Failure::new(
            Exit::Usage,
            format!("{error}. `orchestrator activity` lists them."),
        )
    })
}

fn unknown_result() -> Failure {
    Failure::new(
        Exit::Upgrade,
        "The machine's answer is not kept any more, or only a newer version understands it. Ask again, or see `orchestrator doctor`.",
    )
}

/// `build-2:repos/app`, as it can be typed.
fn shown_at(machine: &MachineSummary, path: &str) -> String {
    format!("{}:{}", name_text(&machine.name), name_text(path))
}
