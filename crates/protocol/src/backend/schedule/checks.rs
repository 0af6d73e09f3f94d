//! What a person may choose of a schedule.

use crate::backend::chat::{checked_agent, checked_model};
use crate::backend::machine::checked_name;
use crate::backend::turn::check_message;
use crate::error::{CallError, ErrorCode};
use crate::limits::{
    ALLOW_ENTRY_MAX_BYTES, ALLOW_MAX_ENTRIES, CATCH_UP_WINDOW_MAX_MS, JITTER_MAX_MS,
    PAUSE_AFTER_MAX, RUN_RETRIES_MAX, RUN_TIME_LIMIT_MAX_MS, RUN_TIME_LIMIT_MIN_MS, URL_MAX_BYTES,
};
use crate::schedule::{CatchUp, Overlap, Timing, check_prompt};
use crate::wire::{RunSession, ScheduleSpec, Unattended};

/// The schedule as it is kept, and when it fires.
pub(super) fn checked_spec(spec: ScheduleSpec) -> Result<(ScheduleSpec, Timing), CallError> {
    let timing = Timing::new(&spec.when)?;
    check_message(&spec.prompt)?;
    check_prompt(&spec.prompt).map_err(|error| invalid(error.to_string()))?;
    check_kinds(&spec)?;
    check_numbers(&spec)?;
    if let Unattended::Only { allow } = &spec.unattended {
        check_allowed(allow)?;
    }
    if let Some(webhook) = &spec.notify.webhook {
        check_webhook(webhook)?;
    }
    let spec = ScheduleSpec {
        name: checked_name(&spec.name)?,
        model: spec.model.map(checked_model).transpose()?,
        agent: spec.agent.map(checked_agent).transpose()?,
        ..spec
    };
    Ok((spec, timing))
}

fn check_kinds(spec: &ScheduleSpec) -> Result<(), CallError> {
    let unknown = [
        ("session", spec.session == RunSession::Unknown),
        ("overlap policy", spec.overlap == Overlap::Unknown),
        ("catch-up policy", spec.catch_up == CatchUp::Unknown),
        (
            "unattended policy",
            matches!(spec.unattended, Unattended::Unknown),
        ),
    ];
    match unknown.iter().find(|(_, is_unknown)| *is_unknown) {
        Some((what, _)) => Err(invalid(format!(
            "This backend does not know that kind of {what}. A newer client may need a newer backend."
        ))),
        None => Ok(()),
    }
}

fn check_numbers(spec: &ScheduleSpec) -> Result<(), CallError> {
    if spec.jitter_ms > JITTER_MAX_MS {
        return Err(invalid(format!(
            "A start can be spread over {JITTER_MAX_MS} ms at most."
        )));
    }
    if spec
        .time_limit_ms
        .is_some_and(|ms| !(RUN_TIME_LIMIT_MIN_MS..=RUN_TIME_LIMIT_MAX_MS).contains(&ms))
    {
        return Err(invalid(format!(
            "A time limit is from {RUN_TIME_LIMIT_MIN_MS} to {RUN_TIME_LIMIT_MAX_MS} ms."
        )));
    }
    if spec.retries.most > RUN_RETRIES_MAX {
        return Err(invalid(format!(
            "A run can be tried again {RUN_RETRIES_MAX} times at most."
        )));
    }
    if spec.pause_after > PAUSE_AFTER_MAX {
        return Err(invalid(format!(
            "A schedule can pause after {PAUSE_AFTER_MAX} failures at most, or never (0)."
        )));
    }
    match spec.catch_up {
        CatchUp::All { within_ms } if within_ms > CATCH_UP_WINDOW_MAX_MS => Err(invalid(format!(
            "What was missed can be caught up for {CATCH_UP_WINDOW_MAX_MS} ms at most."
        ))),
        CatchUp::All { .. } | CatchUp::Latest | CatchUp::Skip | CatchUp::Unknown => Ok(()),
    }
}

fn check_allowed(allow: &[String]) -> Result<(), CallError> {
    if allow.len() > ALLOW_MAX_ENTRIES {
        return Err(CallError::new(
            ErrorCode::TooLarge,
            format!("At most {ALLOW_MAX_ENTRIES} permissions can be allowed."),
        ));
    }
    let is_entry = |entry: &&String| {
        let name = entry
            .split_once(':')
            .map_or(entry.as_str(), |(name, _)| name);
        !name.trim().is_empty()
            && entry.len() <= ALLOW_ENTRY_MAX_BYTES
            && !entry.chars().any(char::is_control)
    };
    match allow.iter().find(|entry| !is_entry(entry)) {
        Some(_) => Err(invalid(format!(
            "A permission to allow is a name, or a name, a colon and a pattern, of at most {ALLOW_ENTRY_MAX_BYTES} bytes without control characters: bash:git *"
        ))),
        None => Ok(()),
    }
}

/// Nothing but the form: what the address leads to is found out when something is sent there.
fn check_webhook(url: &str) -> Result<(), CallError> {
    if url.len() > URL_MAX_BYTES {
        return Err(CallError::new(
            ErrorCode::TooLarge,
            format!(
                "The webhook's address has {} bytes; {URL_MAX_BYTES} is the limit.",
                url.len()
            ),
        ));
    }
    let is_plain = url.chars().all(|c| c.is_ascii_graphic() && c != '\\');
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let host = if authority.starts_with('[') {
        authority.split_inclusive(']').next().unwrap_or_default()
    } else {
        authority.split(':').next().unwrap_or_default()
    };
    let is_loopback = host == "localhost" || host == "[::1]" || is_loopback_v4(host);
    let is_allowed = match scheme {
        "https" => !host.is_empty(),
        "http" => is_loopback,
        _ => false,
    };
    if is_plain && is_allowed && !authority.contains('@') {
        return Ok(());
    }
    Err(invalid(
        "A webhook's address begins with https://, or with http:// on this computer itself, and has no user name.",
    ))
}

fn is_loopback_v4(host: &str) -> bool {
    host.parse::<std::net::Ipv4Addr>()
        .is_ok_and(|address| address.is_loopback())
}

fn invalid(message: impl Into<String>) -> CallError {
    CallError::new(ErrorCode::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_goes_over_tls_or_stays_on_the_computer() {
        for url in [
            "https://example.org/hook?x=1",
            "https://example.org:8443",
            "http://localhost:9000/",
            "http://127.0.0.1/x",
            "http://[::1]:80/x",
        ] {
            assert_eq!(check_webhook(url), Ok(()), "{url}");
        }
        for url in [
            "",
            "example.org",
            "https://",
            "https:///x",
            "http://example.org/",
            "http://localhost.example.org/",
            "http://127.0.0.1.example.org/",
            "http://localhost@example.org/",
            "https://a:b@example.org/",
            "ftp://example.org/",
            "https://example.org/a b",
            "https://example.org\\@localhost/",
        ] {
            assert!(check_webhook(url).is_err(), "{url}");
        }
    }
}
