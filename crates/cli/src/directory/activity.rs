//! `activity`: the log of what was asked of a machine.

use protocol::functions::ReadActivity;
use protocol::state::CommandState;
use protocol::wire::{Activity, ActivityArgs as PageArgs, CommandSummary, MachineSummary};

use super::{Desk, place, text};
use crate::cli::ActivityArgs;
use crate::exit::{Exit, Failure};
use crate::lists::time;
use crate::out::{Look, one_line};

/// How much of an error is shown in the table, in characters; `follow` shows all of it.
const ERROR_CHARS: usize = 100;

pub(super) async fn activity(desk: &Desk, args: ActivityArgs) -> Result<Exit, Failure> {
    let machine = match &args.machine {
        Some(machine) => desk.api.machine(machine).await?,
        None => place::only(desk.machines().await?)?,
    };
    let is_all = args.all || desk.out.is_json();
    let mut rows = Vec::new();
    let mut before = None;
    loop {
        let page = page(desk, &machine, args.reads, before).await?;
        if desk.out.is_json() {
            page.commands
                .iter()
                .try_for_each(|command| desk.out.value(command))?;
        } else {
            rows.extend(page.commands.iter().map(row));
        }
        before = page.commands.last().map(|command| command.id.clone());
        let has_more = page.has_earlier && before.is_some();
        if has_more && is_all {
            continue;
        }
        if !desk.out.is_json() {
            desk.out
                .table(&["WHEN", "WHO", "WHAT", "TOOK", "ID", "OUTCOME"], &rows)?;
        }
        if has_more {
            desk.out.say(&format!(
                "{} there is more; --all shows all of it.",
                desk.out.talk(Look::Dim, "note:")
            ));
        }
        return Ok(Exit::Done);
    }
}

async fn page(
    desk: &Desk,
    machine: &MachineSummary,
    reads: bool,
    before: Option<protocol::ids::CommandId>,
) -> Result<Activity, Failure> {
    let args = PageArgs {
        machine_id: machine.id.clone(),
        reads,
        before,
    };
    desk.api.call::<ReadActivity>(&args).await
}

fn row(command: &CommandSummary) -> Vec<String> {
    let took = match (command.started_at, command.ended_at) {
        (Some(from), Some(to)) => text::duration(to.as_ms().saturating_sub(from.as_ms())),
        (_, _) => "-".to_owned(),
    };
    vec![
        time(command.created_at),
        command.requested_by.to_string(),
        text::what(&command.operation),
        took,
        command.id.to_string(),
        outcome(command),
    ]
}

fn outcome(command: &CommandSummary) -> String {
    let state = match command.state {
        CommandState::Queued => "waits",
        CommandState::Leased | CommandState::Running if command.cancel_requested => "is stopping",
        CommandState::Leased | CommandState::Running => "runs",
        CommandState::Succeeded
        | CommandState::Failed
        | CommandState::Cancelled
        | CommandState::Expired
        | CommandState::Unknown => command.state.as_str(),
    };
    let Some(error) = &command.error else {
        return state.to_owned();
    };
    let message = one_line(&error.message);
    let short: String = message.chars().take(ERROR_CHARS).collect();
    let dots = if short.len() < message.len() {
        "…"
    } else {
        ""
    };
    format!("{state}: {short}{dots}")
}
