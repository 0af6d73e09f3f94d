//! What a run may do when nobody is there to ask.

use crate::backend::Backend;
use crate::backend::machine::bounded_reason;
use crate::backend::rows::Rows;
use crate::error::CallError;
use crate::ids::{ChatSessionId, TurnId};
use crate::limits::DENIED_MAX_ENTRIES;
use crate::state::AskState;
use crate::wire::{AskAnswer, AskBody, Unattended};

const NOT_ALLOWED: &str = "Nobody is there to allow this: the schedule does not list it.";
const NOT_ANSWERED: &str =
    "Nobody is there to answer this. Go on without an answer, as seems best to you.";

impl<R: Rows> Backend<'_, R> {
    /// The answer to an ask of a run for which nobody is there; none where a person is asked. What is denied is
    /// noted with the run.
    pub(in crate::backend) fn unattended_answer(
        &mut self,
        turn: &TurnId,
        body: &AskBody,
    ) -> Result<Option<AskAnswer>, CallError> {
        let Some(mut run) = self.run_of_turn(turn)? else {
            return Ok(None);
        };
        let allow = match run.terms.as_ref().map(|terms| &terms.unattended) {
            None | Some(Unattended::Ask) => return Ok(None),
            Some(Unattended::Only { allow }) => allow.as_slice(),
            Some(Unattended::Unknown) => &[],
        };
        let message = match body {
            AskBody::Permission {
                permission,
                patterns,
                ..
            } => {
                if allow
                    .iter()
                    .any(|entry| allows(entry, permission, patterns))
                {
                    return Ok(Some(AskAnswer::Once));
                }
                if run.denied.len() < DENIED_MAX_ENTRIES {
                    let denied = match patterns.first() {
                        Some(pattern) => format!("{permission}: {pattern}"),
                        None => permission.clone(),
                    };
                    run.denied.push(bounded_reason(denied));
                    self.save_run(&run)?;
                }
                NOT_ALLOWED
            }
            AskBody::Question { .. } => NOT_ANSWERED,
            AskBody::Unknown => NOT_ALLOWED,
        };
        Ok(Some(AskAnswer::Reject {
            message: Some(message.to_owned()),
        }))
    }

    /// An ask of this turn was opened or has ended: its run shows whether it waits for a person.
    pub(in crate::backend) fn run_asks(
        &mut self,
        chat: &ChatSessionId,
        turn: &TurnId,
    ) -> Result<(), CallError> {
        let Some(mut run) = self.run_of_turn(turn)? else {
            return Ok(());
        };
        let is_asking = self
            .open_asks(chat)?
            .iter()
            .any(|ask| ask.turn == *turn && ask.state == AskState::Pending);
        if run.is_asking != is_asking {
            run.is_asking = is_asking;
            self.save_run(&run)?;
        }
        Ok(())
    }
}

/// Whether an entry of the list allows this: `name`, or `name:pattern` where all that it is about fits.
fn allows(entry: &str, permission: &str, patterns: &[String]) -> bool {
    match entry.split_once(':') {
        None => entry == permission,
        Some((name, pattern)) => {
            name == permission
                && !patterns.is_empty()
                && patterns.iter().all(|text| fits(pattern, text))
        }
    }
}

/// Whether a text fits a pattern, in which `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        // No `*` in it.
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_nothing_else_does() {
        for (pattern, text, expected) in [
            ("git *", "git status", true),
            ("git *", "git ", true),
            ("git *", "git", false),
            ("git *", "agit x", false),
            ("*", "", true),
            ("*", "a\nb", true),
            ("", "", true),
            ("", "a", false),
            ("ls", "ls", true),
            ("ls", "ls -l", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("xy*yx", "xyx", false),
            ("*.rs", "src/a.rs", true),
            ("*.rs", "a.rs.txt", false),
            ("a?c", "abc", false),
            ("**", "anything", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn all_that_an_ask_is_about_has_to_fit() {
        let patterns = |texts: &[&str]| -> Vec<String> {
            texts.iter().map(|text| (*text).to_owned()).collect()
        };
        assert!(allows("edit", "edit", &patterns(&[])));
        assert!(!allows("edit", "editor", &patterns(&[])));
        assert!(allows("bash:git *", "bash", &patterns(&["git a", "git b"])));
        assert!(!allows("bash:git *", "bash", &patterns(&["git a", "rm b"])));
        assert!(!allows("bash:git *", "bash", &patterns(&[])));
        assert!(!allows("bash:git *", "edit", &patterns(&["git a"])));
        assert!(allows(
            "webfetch:https://a:1/*",
            "webfetch",
            &patterns(&["https://a:1/x"])
        ));
    }
}
