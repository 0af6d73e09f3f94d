//! How each machine of the person's is, by what it told the backend.

use protocol::functions::ListMachines;
use protocol::wire::{MachineArgs, MachineHealth, MachineStatus, MachineSummary, NoArgs, Presence};

use super::{Finding, Verdict};
use crate::api::Api;
use crate::exit::{Exit, Failure};
use crate::lists::time;
use crate::out::one_line;

const CHECK: &str = "health";
/// Asked by its name: a backend may be older than it.
const FUNCTION: &str = "machine.health";
/// How many of the latest errors are shown.
const ERRORS_SHOWN: usize = 3;

/// What the backend knows of this machine, or of all.
///
/// # Errors
/// When the machine that was named is none.
pub(super) async fn findings(api: &Api, wanted: Option<&str>) -> Result<Vec<Finding>, Failure> {
    let machines = match wanted {
        Some(wanted) => vec![api.machine(wanted).await?],
        None => match api.call::<ListMachines>(&NoArgs {}).await {
            Ok(list) => list.machines,
            Err(failure) => return Ok(vec![Finding::bad(CHECK, failure.message)]),
        },
    };
    let mut findings = Vec::new();
    for machine in machines {
        let args = MachineArgs {
            machine_id: machine.id.clone(),
        };
        match api.post::<MachineHealth>(FUNCTION, &args).await {
            Ok(health) => findings.push(finding(&machine, health)),
            // The machine is in the list, so it is the function that is not there: one line says it for all.
            Err(failure) if failure.exit == Exit::NotFound => {
                findings.push(Finding::note(
                    CHECK,
                    "the backend is too old to say how machines are; with this version it does",
                ));
                break;
            }
            Err(failure) => findings.push(Finding::bad(
                CHECK,
                format!("{}: {}", one_line(&machine.name), failure.message),
            )),
        }
    }
    Ok(findings)
}

fn finding(machine: &MachineSummary, health: MachineHealth) -> Finding {
    let has_errors = health
        .status
        .as_ref()
        .is_some_and(|status| !status.errors.is_empty());
    let verdict = match health.presence {
        Presence::Online { .. } if !has_errors => Verdict::Good,
        Presence::Online { .. }
        | Presence::Never
        | Presence::Draining { .. }
        | Presence::Unknown { .. }
        | Presence::Offline { .. } => Verdict::Note,
    };
    let lines = text(&machine.name, &health);
    Finding {
        check: CHECK,
        verdict,
        message: lines.join("\n            "),
        machine: Some(machine.id.clone()),
        health: Some(health),
    }
}

/// What a person reads, in lines.
fn text(name: &str, health: &MachineHealth) -> Vec<String> {
    let presence = match health.presence {
        Presence::Never => "has never connected".to_owned(),
        Presence::Online { .. } => "online".to_owned(),
        Presence::Draining { .. } => "stopping".to_owned(),
        Presence::Unknown { since } => format!("unknown since {}", time(since)),
        Presence::Offline { since } => format!("offline since {}", time(since)),
    };
    let mut first = format!("{}: {presence}, epoch {}", one_line(name), health.epoch);
    if let Some(seen_at) = health.seen_at {
        first.push_str(&format!(", seen at {}", time(seen_at)));
    }
    if let Some(until) = health.lease_until {
        first.push_str(&format!(", lease until {}", time(until)));
    }
    let open = format!(
        "{}, {} and {} open",
        count(health.open_turn_count, "turn"),
        count(health.open_command_count, "command"),
        count(health.pending_ask_count, "ask")
    );
    let mut lines = vec![first, open];
    match (&health.status, health.status_at) {
        (Some(status), at) => {
            lines.extend(of_status(status));
            lines.extend(at.map(|at| format!("by what it told at {}", time(at))));
        }
        (None, _) => lines.push("it has not told more on this connection".to_owned()),
    }
    lines
}

fn of_status(status: &MachineStatus) -> Vec<String> {
    let mut processes = format!("{} of {} processes", status.processes, status.process_limit);
    match (status.memory_bytes, status.memory_limit_bytes) {
        (Some(bytes), Some(limit)) => {
            processes.push_str(&format!(" with {} of {}", size(bytes), size(limit)));
        }
        (Some(bytes), None) => processes.push_str(&format!(" with {}", size(bytes))),
        (None, _) => {}
    }
    let waiting = u32::try_from(status.waiting.len()).unwrap_or(u32::MAX);
    processes.push_str(&format!(
        "; {} for one",
        match waiting {
            1 => "1 session waits".to_owned(),
            more => format!("{more} sessions wait"),
        }
    ));
    let queues = format!(
        "{} of answers and {} not taken by the backend; {} since its start at {}",
        size(status.spooled_bytes),
        count(status.pending_calls, "call"),
        count(status.reconnects, "reconnect"),
        time(status.started_at)
    );
    let errors = status.errors.iter().rev().take(ERRORS_SHOWN);
    let errors =
        errors.map(|error| format!("error at {}: {}", time(error.at), one_line(&error.message)));
    [processes, queues].into_iter().chain(errors).collect()
}

fn count(number: u32, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}

/// A number of bytes, in units of 1,024 and tenths.
fn size(bytes: u64) -> String {
    const UNITS: &[&str] = &["KiB", "MiB", "GiB", "TiB"];
    const STEP: u64 = 1_024;
    let mut tenths = bytes;
    let mut shown = None;
    for unit in UNITS {
        if tenths < STEP * if shown.is_none() { 1 } else { 10 } {
            break;
        }
        tenths = if shown.is_none() {
            tenths.saturating_mul(10) / STEP
        } else {
            tenths / STEP
        };
        shown = Some(*unit);
    }
    match shown {
        None => format!("{bytes} B"),
        Some(unit) => format!("{}.{} {unit}", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;
    use protocol::wire::MachineError;

    use super::*;

    #[test]
    fn sizes_are_in_the_unit_that_fits() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536 * 1_024, "1.5 MiB"),
            (300 * 1_024 * 1_024, "300.0 MiB"),
            (3 * 1_024 * 1_024 * 1_024, "3.0 GiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn everything_a_machine_told_is_shown() {
        let health = MachineHealth {
            presence: Presence::Never,
            epoch: 3,
            seen_at: Some(Timestamp::from_ms(1_000)),
            lease_until: Some(Timestamp::from_ms(46_000)),
            open_turn_count: 2,
            open_command_count: 0,
            pending_ask_count: 1,
            status: Some(MachineStatus {
                reconnects: 1,
                processes: 4,
                process_limit: 8,
                memory_bytes: Some(1_024 * 1_024),
                spooled_bytes: 10,
                errors: vec![MachineError {
                    at: Timestamp::from_ms(2_000),
                    message: "the disk\nis \u{1b}[2Jfull".to_owned(),
                }],
                ..MachineStatus::default()
            }),
            status_at: Some(Timestamp::from_ms(3_000)),
        };
        let lines = text("build-2", &health);
        assert!(
            lines[0].starts_with("build-2: has never connected, epoch 3, seen at "),
            "{lines:?}"
        );
        assert_eq!(lines[1], "2 turns, 0 commands and 1 ask open");
        assert_eq!(
            lines[2],
            "4 of 8 processes with 1.0 MiB; 0 sessions wait for one"
        );
        assert!(
            lines[3].starts_with(
                "10 B of answers and 0 calls not taken by the backend; 1 reconnect since"
            ),
            "{lines:?}"
        );
        assert!(lines[4].ends_with(": the disk is [2Jfull"), "{lines:?}");
    }
}
