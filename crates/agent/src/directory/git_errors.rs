//! Why git failed, as what a person can act on. git is run in English for this.

use opencode_driver::supervisor::{EXIT_CANNOT_CONFINE, EXIT_CANNOT_START};
use protocol::git_url;
use protocol::limits::REASON_MAX_BYTES;
use protocol::wire::{CommandError, CommandErrorCode};

/// How much of git's own words a person is shown, in characters.
const QUOTED_CHARS: usize = 300;

/// What git says, the kind of failure, and what to do. The first that fits counts.
const CAUSES: &[(&[&str], CommandErrorCode, &str)] = &[
    (
        &["No space left on device", "Disk quota exceeded"],
        CommandErrorCode::NoSpace,
        "The disk is full, or a quota is used up. Free some space on the machine, then try again.",
    ),
    (
        &[
            "Host key verification failed",
            "HOST IDENTIFICATION HAS CHANGED",
        ],
        CommandErrorCode::HostUnknown,
        "The machine does not know the host's key, or it has changed. Connect to the host once with ssh as the \
         machine's user, check the key and accept it, then try again.",
    ),
    (
        &["Remote branch"],
        CommandErrorCode::NotFound,
        "The repository has no branch or tag of that name. Check the name, or leave it out for the \
         repository's own choice.",
    ),
    (
        &[
            "could not read Username",
            "could not read Password",
            "terminal prompts disabled",
            "unable to get password from user",
            "Authentication failed",
            "Permission denied (",
            "The requested URL returned error: 401",
            "The requested URL returned error: 403",
            "Invalid username or token",
        ],
        CommandErrorCode::AuthenticationNeeded,
        "The repository asks for credentials that the machine does not have. Set up a credential helper (git \
         config --global credential.helper) or an ssh key for the machine's user, then try again.",
    ),
    (
        &[
            "Repository not found",
            "not found",
            "does not appear to be a git repository",
            "The requested URL returned error: 404",
            "No such file or directory",
        ],
        CommandErrorCode::NotFound,
        "There is no repository at that address, or the machine's user may not see it. Check the address and \
         the credentials.",
    ),
    (
        &["not allowed"],
        CommandErrorCode::Invalid,
        "The address leads to a protocol that is not allowed here.",
    ),
    (
        &["Could not resolve host"],
        CommandErrorCode::Unreachable,
        "The host's name is not known to the machine. Check the address and the machine's network.",
    ),
    (
        &[
            "Connection refused",
            "Connection timed out",
            "Connection reset",
            "Network is unreachable",
            "No route to host",
            "Failed to connect",
            "Could not connect",
            "unable to access",
            "SSL",
            "certificate",
        ],
        CommandErrorCode::Unreachable,
        "The host can't be reached from the machine. Check the address, the machine's network and its proxy.",
    ),
    (
        &[
            "early EOF",
            "hung up",
            "Could not read from remote",
            "RPC failed",
            "fetch-pack",
        ],
        CommandErrorCode::Unreachable,
        "The connection to the host ended before everything was there. Try again.",
    ),
    (
        &[
            "Read-only file system",
            "Permission denied",
            "Operation not permitted",
        ],
        CommandErrorCode::PermissionDenied,
        "The machine's user may not write there, or git tried to write outside of the new folder.",
    ),
    // git does not say why when it writes files out; what is not permitted it says earlier.
    (
        &["unable to write file", "write error", "failed to write"],
        CommandErrorCode::NoSpace,
        "A file could not be written; most likely the disk is full. Free some space on the machine, then try again.",
    ),
];

/// Explains why git failed, from what it said last and its exit code.
pub(super) fn explain(said: &str, exit_code: Option<i32>, url: &str) -> CommandError {
    if exit_code == Some(i32::from(EXIT_CANNOT_START)) {
        return CommandError::new(
            CommandErrorCode::Other,
            "git can't be started on the machine. Install git there, then try again.",
        );
    }
    let quoted = quote(said, url);
    if exit_code == Some(i32::from(EXIT_CANNOT_CONFINE)) {
        return CommandError::new(
            CommandErrorCode::Other,
            format!("git could not be confined, so it was not started: {quoted}"),
        );
    }
    let cause = CAUSES
        .iter()
        .find(|(texts, ..)| texts.iter().any(|text| said.contains(text)));
    let (code, advice) = cause.map_or(
        (
            CommandErrorCode::Other,
            "git could not clone the repository.",
        ),
        |(_, code, advice)| (*code, *advice),
    );
    let mut message = if quoted.is_empty() {
        advice.to_owned()
    } else {
        format!("{advice} git said: {quoted}")
    };
    message.truncate(message.floor_char_boundary(REASON_MAX_BYTES));
    CommandError::new(code, message)
}

/// git's last words that name a failure, without control characters and secrets.
fn quote(said: &str, url: &str) -> String {
    let lines: Vec<_> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let is_failure = |line: &&&str| {
        [
            "fatal:",
            "error:",
            "ERROR:",
            "ssh:",
            "orchestrator supervise:",
        ]
        .iter()
        .any(|start| line.starts_with(start))
    };
    let line = lines
        .iter()
        .find(is_failure)
        .or(lines.last())
        .copied()
        .unwrap_or_default();
    line.replace(url, &git_url::without_credentials(url))
        .chars()
        .filter(|character| !character.is_control())
        .take(QUOTED_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_becomes_what_a_person_can_act_on() {
        use CommandErrorCode as Code;
        for (said, code) in [
            (
                "fatal: could not read Username for 'https://h': terminal prompts disabled",
                Code::AuthenticationNeeded,
            ),
            (
                "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
                Code::AuthenticationNeeded,
            ),
            (
                "Host key verification failed.\nfatal: Could not read from remote repository.",
                Code::HostUnknown,
            ),
            (
                "fatal: Remote branch x not found in upstream origin",
                Code::NotFound,
            ),
            ("fatal: repository 'https://h/a/' not found", Code::NotFound),
            (
                "fatal: unable to access 'https://h/': Could not resolve host: h",
                Code::Unreachable,
            ),
            (
                "ssh: connect to host h port 22: Connection refused",
                Code::Unreachable,
            ),
            ("fatal: write error: No space left on device", Code::NoSpace),
            ("fatal: transport 'ext' not allowed", Code::Invalid),
            (
                "fatal: could not create work tree dir 'x': Permission denied",
                Code::PermissionDenied,
            ),
            (
                "fatal: the remote end hung up unexpectedly\nfatal: early EOF",
                Code::Unreachable,
            ),
            ("fatal: something new", Code::Other),
            ("", Code::Other),
        ] {
            assert_eq!(explain(said, Some(128), "https://h/a").code, code, "{said}");
        }
        assert!(explain("", Some(127), "x").message.contains("Install git"));
    }

    #[test]
    fn control_characters_and_secrets_are_not_repeated() {
        let error = explain(
            "noise\nfatal: \u{1b}[31mbad 'https://me:hunter2@h/a'",
            Some(128),
            "https://me:hunter2@h/a",
        );
        assert!(!error.message.contains("hunter2") && !error.message.contains('\u{1b}'));
    }
}
