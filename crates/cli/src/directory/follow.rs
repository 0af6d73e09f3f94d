//! Following one command until it has ended.

use std::pin::pin;
use std::time::Duration;

use protocol::functions::{CancelCommand, ListMachines, ViewCommand};
use protocol::state::CommandState;
use protocol::wire::{CommandArgs, CommandView, MachineSummary, NoArgs};

use super::screen::Screen;
use super::{Asked, Succeeded, text};
use crate::api::{Api, Live, News};
use crate::exit::{Exit, Failure};
use crate::lists::time;
use crate::out::{Look, Out, name_text};
use crate::signals::Signals;

/// When a command has not ended after this long, its machine is watched too.
const LOOK_AT_MACHINE_AFTER: Duration = Duration::from_secs(2);

/// What the first Ctrl-C does; the second one always leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnInterrupt {
    Cancel,
    Leave,
}

/// What is needed to follow a command.
pub(super) struct Follower<'a> {
    pub(super) api: &'a Api,
    pub(super) out: Out,
    /// Its machine, as it was just now; `None` if it is gone.
    pub(super) machine: Option<&'a MachineSummary>,
    pub(super) on_interrupt: OnInterrupt,
    /// Leave as soon as it waits for a machine that is away.
    pub(super) no_wait: bool,
}

/// What a person was told so far.
#[derive(Default)]
struct Told {
    cancel_asked: bool,
    /// That the machine is away, in these words.
    away: Option<String>,
}

impl Follower<'_> {
    /// Follows it to its end.
    ///
    /// # Errors
    /// When it has not succeeded: why, with the exit code for that.
    pub(super) async fn run(
        self,
        view: CommandView,
        screen: Screen,
        signals: &mut Signals,
    ) -> Result<Asked, Failure> {
        let machine = self.machine.map_or_else(
            || "The machine".to_owned(),
            |machine| name_text(&machine.name),
        );
        let id = view.command.id.clone();
        let Some(ended) = self.end_of(view, screen, signals).await? else {
            return Err(Failure::new(
                Exit::Aborted,
                format!("Left. {}", text::how_to_come_back(&id)),
            ));
        };
        let CommandView { command, result } = ended;
        match command.state {
            CommandState::Succeeded => {
                Ok(Asked::Succeeded(Box::new(Succeeded { command, result })))
            }
            CommandState::Failed => Err(match command.error {
                Some(error) => error.into(),
                None => Failure::new(Exit::CommandFailed, "The machine did not say why."),
            }),
            CommandState::Cancelled => Err(Failure::new(
                Exit::CommandCancelled,
                text::cancelled(&command),
            )),
            CommandState::Expired => Err(Failure::new(
                Exit::CommandExpired,
                format!(
                    "{machine} did not come for the request until {}. Ask again when it is back: `orchestrator machines` shows whether it is.",
                    time(command.expires_at)
                ),
            )),
            CommandState::Queued
            | CommandState::Leased
            | CommandState::Running
            | CommandState::Unknown => Ok(Asked::Waits(Box::new(command))),
        }
    }

    /// The command when it has ended, or when it is left waiting; `None` if the person left.
    pub(super) async fn end_of(
        &self,
        mut view: CommandView,
        mut screen: Screen,
        signals: &mut Signals,
    ) -> Result<Option<CommandView>, Failure> {
        let mut told = Told {
            cancel_asked: view.command.cancel_requested,
            away: None,
        };
        let args = CommandArgs {
            command_id: view.command.id.clone(),
        };
        let mut views = Live::<ViewCommand>::new(self.api, args);
        let mut machines: Option<Live<ListMachines>> = None;
        let mut look = pin!(tokio::time::sleep(LOOK_AT_MACHINE_AFTER));
        if let Some(machine) = self.machine {
            self.machine_is(machine, &view, &mut told, &screen);
        }
        loop {
            screen.show(&view)?;
            let is_over = view.command.state.is_terminal();
            let is_left =
                self.no_wait && told.away.is_some() && view.command.state == CommandState::Queued;
            if is_over || is_left {
                return Ok(Some(view));
            }
            tokio::select! {
                news = views.next() => match news? {
                    News::Value(newer) => view = newer,
                    News::Lost(why) => screen.say(&format!(
                        "{} the backend can't be reached ({why}); trying again. The command is not affected.",
                        self.out.talk(Look::Warn, "lost:")
                    )),
                },
                news = next_of(&mut machines) => {
                    // That the backend is lost is told once, above.
                    if let News::Value(list) = news?
                        && let Some(machine) = list.machines.iter().find(|machine| machine.id == view.command.machine_id)
                    {
                        self.machine_is(machine, &view, &mut told, &screen);
                    }
                }
                () = &mut look, if machines.is_none() => {
                    machines = Some(Live::new(self.api, NoArgs {}));
                }
                () = signals.next() => {
                    if told.cancel_asked || self.on_interrupt == OnInterrupt::Leave {
                        return Ok(None);
                    }
                    told.cancel_asked = true;
                    screen.say("Cancelling; Ctrl-C again leaves it running.");
                    let args = CommandArgs { command_id: view.command.id.clone() };
                    tokio::select! {
                        cancelled = self.api.call::<CancelCommand>(&args) => view = cancelled?,
                        () = signals.next() => return Ok(None),
                    }
                }
            }
        }
    }

    /// Says when the machine goes, and when it is back.
    fn machine_is(
        &self,
        machine: &MachineSummary,
        view: &CommandView,
        told: &mut Told,
        screen: &Screen,
    ) {
        let away = text::away(machine);
        if view.command.state.is_terminal() || told.away.is_some() == away.is_some() {
            return;
        }
        match &away {
            None => screen.say(&format!("{} is back.", name_text(&machine.name))),
            Some(away) => {
                let then = self.while_away(view, told);
                screen.say(&format!(
                    "{} {away}; {then}",
                    self.out.talk(Look::Warn, "note:")
                ));
            }
        }
        told.away = away;
    }

    fn while_away(&self, view: &CommandView, told: &Told) -> String {
        let is_waiting = view.command.state == CommandState::Queued;
        let leaves = self.on_interrupt == OnInterrupt::Leave;
        if !is_waiting {
            return "what becomes of the command is told when it is back.".to_owned();
        }
        let until = format!(
            "the request waits for it until {}.",
            time(view.command.expires_at)
        );
        if self.no_wait || told.cancel_asked {
            until
        } else if leaves {
            format!("{until} Ctrl-C leaves.")
        } else {
            format!("{until} Ctrl-C cancels it; --no-wait would leave it.")
        }
    }
}

async fn next_of(
    machines: &mut Option<Live<ListMachines>>,
) -> Result<News<protocol::wire::MachineList>, Failure> {
    match machines {
        Some(machines) => machines.next().await,
        None => std::future::pending().await,
    }
}
