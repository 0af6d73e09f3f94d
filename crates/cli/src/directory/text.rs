//! Commands, sizes and durations in words.

use protocol::ids::CommandId;
use protocol::wire::{CommandSummary, MachineSummary, Operation, Presence};

use super::shown_at;
use crate::lists::time;
use crate::out::{name_text, one_line};

/// What a command is about: where it makes, moves to, takes away or reads.
pub(super) fn target(machine: &MachineSummary, command: &CommandSummary) -> String {
    let path = match &command.operation {
        Operation::List { directory, .. } => directory,
        Operation::ReadFile { path }
        | Operation::MakeDirectory { path }
        | Operation::Trash { path }
        | Operation::Restore { path, .. }
        | Operation::Clone { path, .. } => path,
        Operation::Rename { to, .. } => to,
        Operation::RemoveWorktree { directory, .. } => directory,
        Operation::InspectRepositories { .. } | Operation::Unknown => "",
    };
    shown_at(machine, path)
}

/// What was asked, in a line.
pub(super) fn what(operation: &Operation) -> String {
    let path = |path: &str| {
        if path.is_empty() {
            ".".to_owned()
        } else {
            name_text(path)
        }
    };
    match operation {
        Operation::List { directory, .. } => format!("ls {}", path(directory)),
        Operation::InspectRepositories { directories } => match directories.as_slice() {
            [one] => format!("git status {}", path(one)),
            several => format!("git status of {} directories", several.len()),
        },
        Operation::ReadFile { path: file } => format!("cat {}", path(file)),
        Operation::MakeDirectory { path: made } => format!("mkdir {}", path(made)),
        Operation::Rename { from, to } => format!("mv {} {}", path(from), path(to)),
        Operation::Trash { path: gone } => format!("rm {}", path(gone)),
        Operation::Restore { path: back, .. } => format!("restore {}", path(back)),
        Operation::Clone {
            url,
            branch,
            path: made,
        } => {
            let branch = branch
                .as_deref()
                .map(|branch| format!(" --branch {}", one_line(branch)))
                .unwrap_or_default();
            format!("clone {} {}{branch}", one_line(url), path(made))
        }
        Operation::RemoveWorktree { branch, force, .. } => {
            let force = if *force { " --discard" } else { "" };
            format!("remove worktree {}{force}", one_line(branch))
        }
        Operation::Unknown => "something that this version does not know".to_owned(),
    }
}

/// That a command was cancelled, with what is to be known of it where its machine was away.
pub(super) fn cancelled(command: &CommandSummary) -> String {
    let said = format!("{}: cancelled.", what(&command.operation));
    match &command.error {
        Some(error) => format!("{said} {}", error.message),
        None => said,
    }
}

/// Since when a machine is not there; `None` while it is.
pub(super) fn away(machine: &MachineSummary) -> Option<String> {
    let name = name_text(&machine.name);
    match machine.presence {
        Presence::Online { .. } => None,
        Presence::Never => Some(format!("{name} has never connected")),
        Presence::Draining { since } => Some(format!("{name} is stopping since {}", time(since))),
        Presence::Unknown { since } => Some(format!("{name} was last heard of at {}", time(since))),
        Presence::Offline { since } => Some(format!("{name} is away since {}", time(since))),
    }
}

pub(super) fn how_to_come_back(command: &CommandId) -> String {
    format!(
        "Look at it with `orchestrator follow {command}`; `orchestrator cancel {command}` stops it."
    )
}

/// A size as people write it.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    const STEP: u64 = 1024;
    if bytes < STEP {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    let mut size = bytes;
    // One place behind the point is kept, so the last step is done by hand.
    while size >= STEP * STEP && unit + 1 < UNITS.len() {
        size /= STEP;
        unit += 1;
    }
    let tenths = u128::from(size) * 10 / u128::from(STEP);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A number with its thousands apart.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How long something took.
pub(super) fn duration(ms: u64) -> String {
    const SECOND: u64 = 1_000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    if ms < MINUTE {
        format!("{}.{} s", ms / SECOND, ms % SECOND / 100)
    } else if ms < HOUR {
        format!("{} min {} s", ms / MINUTE, ms % MINUTE / SECOND)
    } else {
        format!("{} h {} min", ms / HOUR, ms % HOUR / MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_numbers_and_durations_are_short() {
        let sizes = [0, 1_023, 1_024, 1_536, 1 << 20, 5 << 30, 3 << 40, u64::MAX];
        let shown = sizes.map(bytes);
        assert_eq!(
            shown,
            [
                "0 B",
                "1023 B",
                "1.0 KiB",
                "1.5 KiB",
                "1.0 MiB",
                "5.0 GiB",
                "3.0 TiB",
                "16777215.9 TiB"
            ]
        );
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(number),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [90, 12_345, 200_000, 3_900_000].map(duration),
            ["0.0 s", "12.3 s", "3 min 20 s", "1 h 5 min"]
        );
    }
}
