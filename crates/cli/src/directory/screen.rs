//! How far a command is, as it is shown: a bar on a terminal, lines where there is none, events as JSON.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use protocol::ids::CommandId;
use protocol::state::CommandState;
use protocol::wire::{CommandResult, CommandSummary, CommandView, Progress};
use serde::Serialize;

use super::text;
use crate::exit::Failure;
use crate::out::{Out, one_line};

/// Without a terminal a phase is told again when it has come this much further, in percent.
const LINE_EVERY_PERCENT: u8 = 25;
/// How often a bar that shows no percents moves.
const TICK: Duration = Duration::from_millis(120);
const PERCENTS: &str = "{prefix:19} [{bar:12}] {pos:>3}%  {wide_msg}";
const NO_PERCENTS: &str = "{prefix:19} {spinner}  {wide_msg}";

/// What is shown of a command while it runs.
pub(super) struct Screen {
    out: Out,
    kind: Kind,
    state: Option<CommandState>,
    progress: Option<Progress>,
}

enum Kind {
    /// Nothing: it takes a moment.
    Quiet,
    Bar(Box<Bar>),
    /// The phase and the percents that were told last.
    Lines(Option<(String, u8)>),
    Events,
}

/// A line of JSON.
#[derive(Serialize)]
#[serde(
    tag = "event",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
enum Event<'a> {
    Command {
        command: &'a CommandSummary,
    },
    State {
        command_id: &'a CommandId,
        state: CommandState,
    },
    Progress {
        command_id: &'a CommandId,
        progress: &'a Progress,
    },
    End {
        command: &'a CommandSummary,
        result: Option<&'a CommandResult>,
    },
}

struct Bar {
    bar: ProgressBar,
    has_percents: bool,
}

impl Screen {
    /// For what takes a moment.
    pub(super) fn quiet(out: Out) -> Self {
        Self::of(out, Kind::Quiet)
    }

    /// For what takes long.
    pub(super) fn live(out: Out) -> Self {
        let kind = if out.is_json() {
            Kind::Events
        } else if out.is_talk_live() {
            let bar = ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::stderr());
            bar.set_style(style(NO_PERCENTS));
            bar.enable_steady_tick(TICK);
            Kind::Bar(Box::new(Bar {
                bar,
                has_percents: false,
            }))
        } else {
            Kind::Lines(None)
        };
        Self::of(out, kind)
    }

    const fn of(out: Out, kind: Kind) -> Self {
        Self {
            out,
            kind,
            state: None,
            progress: None,
        }
    }

    /// Shows how the command is now.
    pub(super) fn show(&mut self, view: &CommandView) -> Result<(), Failure> {
        let command = &view.command;
        let is_first = self.state.is_none();
        let is_new_state = self.state.replace(command.state) != Some(command.state);
        let is_further = command.progress.is_some() && self.progress != command.progress;
        if is_further {
            self.progress.clone_from(&command.progress);
        }
        let further = command.progress.as_ref().filter(|_| is_further);
        match &mut self.kind {
            Kind::Quiet => {}
            Kind::Events => {
                let id = &command.id;
                let state = command.state;
                if is_first {
                    self.out.value(&Event::Command { command })?;
                }
                if is_new_state && !state.is_terminal() {
                    self.out.value(&Event::State {
                        command_id: id,
                        state,
                    })?;
                }
                if let Some(progress) = further {
                    self.out.value(&Event::Progress {
                        command_id: id,
                        progress,
                    })?;
                }
                if is_new_state && state.is_terminal() {
                    let result = view.result.as_ref();
                    self.out.value(&Event::End { command, result })?;
                }
            }
            Kind::Lines(told) => {
                if let Some(progress) = further {
                    let percent = progress.percent.unwrap_or(0);
                    let is_news = told.as_ref().is_none_or(|(phase, before)| {
                        *phase != progress.phase
                            || percent >= before.saturating_add(LINE_EVERY_PERCENT)
                            || (percent == 100 && *before < 100)
                    });
                    if is_news {
                        *told = Some((progress.phase.clone(), percent));
                        self.out.say(&line(progress));
                    }
                }
            }
            Kind::Bar(bar) => bar.show(command.state, further),
        }
        Ok(())
    }

    /// Says something besides.
    pub(super) fn say(&self, text: &str) {
        match &self.kind {
            Kind::Bar(bar) => bar.bar.suspend(|| self.out.say(text)),
            Kind::Quiet | Kind::Lines(_) | Kind::Events => self.out.say(text),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Kind::Bar(bar) = &self.kind {
            bar.bar.finish_and_clear();
        }
    }
}

impl Bar {
    fn show(&mut self, state: CommandState, further: Option<&Progress>) {
        if let Some(progress) = further {
            let has_percents = progress.percent.is_some();
            if has_percents != self.has_percents {
                self.has_percents = has_percents;
                let template = if has_percents { PERCENTS } else { NO_PERCENTS };
                self.bar.set_style(style(template));
            }
            self.bar.set_prefix(one_line(&progress.phase));
            self.bar.set_position(progress.percent.unwrap_or(0).into());
            self.bar.set_message(amounts(progress));
        } else if !self.has_percents && self.bar.message().is_empty() {
            let text = match state {
                CommandState::Queued => "Waiting",
                CommandState::Leased | CommandState::Running => "Starting",
                CommandState::Succeeded
                | CommandState::Failed
                | CommandState::Cancelled
                | CommandState::Expired
                | CommandState::Unknown => return,
            };
            self.bar.set_prefix(text);
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// `Receiving objects: 45%, 12.3 MiB, 3.4 MiB/s, 1,234 of 5,678 objects`
fn line(progress: &Progress) -> String {
    let parts: Vec<String> = progress
        .percent
        .map(|percent| format!("{percent}%"))
        .into_iter()
        .chain(Some(amounts(progress)).filter(|amounts| !amounts.is_empty()))
        .collect();
    let phase = one_line(&progress.phase);
    if parts.is_empty() {
        phase
    } else {
        format!("{phase}: {}", parts.join(", "))
    }
}

fn amounts(progress: &Progress) -> String {
    let objects = match (progress.objects_done, progress.objects_total) {
        (Some(done), Some(total)) => Some(format!(
            "{} of {} objects",
            text::number(done),
            text::number(total)
        )),
        (Some(done), None) => Some(format!("{} objects", text::number(done))),
        (None, _) => None,
    };
    let bytes = progress.bytes.map(text::bytes);
    let speed = progress
        .bytes_per_second
        .map(|bytes| format!("{}/s", text::bytes(bytes)));
    // What matters least is last: a narrow terminal cuts it off.
    [bytes, speed, objects]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_one_line_of_what_is_known() {
        let mut progress = Progress {
            phase: "Counting\u{1b}[2J objects".to_owned(),
            ..Progress::default()
        };
        assert_eq!(line(&progress), "Counting[2J objects");
        progress.objects_done = Some(1_234);
        assert_eq!(line(&progress), "Counting[2J objects: 1,234 objects");
        progress.percent = Some(45);
        progress.objects_total = Some(5_678);
        progress.bytes = Some(3 << 20);
        progress.bytes_per_second = Some(1_536);
        assert_eq!(
            line(&progress),
            "Counting[2J objects: 45%, 3.0 MiB, 1.5 KiB/s, 1,234 of 5,678 objects"
        );
    }

    #[test]
    fn the_bars_templates_are_sound() {
        for template in [PERCENTS, NO_PERCENTS] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
