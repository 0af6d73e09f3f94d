//! The asks of one opencode process that wait for a person, and what may be answered to them.

use std::collections::BTreeMap;

use protocol::driver::DriverEvent;
use protocol::ids::TurnId;
use protocol::limits::{ASK_MAX_BYTES, ASKS_MAX};
use protocol::wire::{AskAnswer, AskBody, Question, QuestionOption};

use crate::answer::clipped;
use crate::driver::DriverError;
use crate::wire::{PermissionAsk, QuestionAsk, Reply};

/// The most of an ask's texts that is kept when the whole is too large, in bytes.
const DETAIL_KEPT_BYTES: usize = ASK_MAX_BYTES / 4;
/// The most of each single text that is kept then, in bytes, and of how many.
const TEXT_KEPT_BYTES: usize = 512;
const TEXTS_KEPT: usize = 16;

/// The asks that wait.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    open: BTreeMap<String, OpenAsk>,
}

#[derive(Debug)]
struct OpenAsk {
    turn_id: TurnId,
    is_question: bool,
    question_count: usize,
    /// Our own answer is on its way: the event that tells of it is no news.
    is_being_answered: bool,
}

/// An ask that nobody waits for any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) turn_id: TurnId,
    pub(crate) id: String,
}

impl Asks {
    pub(crate) fn of_permission(ask: PermissionAsk) -> AskBody {
        let detail = if ask.metadata.is_null() {
            String::new()
        } else {
            ask.metadata.to_string()
        };
        let whole = AskBody::Permission {
            permission: ask.permission,
            patterns: ask.patterns,
            detail,
            always: ask.always,
        };
        within_limit(whole)
    }

    pub(crate) fn of_question(ask: QuestionAsk) -> AskBody {
        let questions = ask.questions.into_iter().map(|asked| Question {
            header: asked.header,
            question: asked.question,
            options: asked
                .options
                .into_iter()
                .map(|option| QuestionOption {
                    label: option.label,
                    description: option.description,
                })
                .collect(),
            multiple: asked.multiple,
            custom: asked.custom.unwrap_or(true),
        });
        within_limit(AskBody::Question {
            questions: questions.collect(),
        })
    }

    /// No more can wait.
    pub(crate) fn is_full(&self) -> bool {
        self.open.len() >= ASKS_MAX
    }

    /// An ask has come; nothing when it is known already.
    pub(crate) fn opened(
        &mut self,
        turn_id: &TurnId,
        id: &str,
        body: AskBody,
    ) -> Option<DriverEvent> {
        if self.open.contains_key(id) {
            return None;
        }
        let question_count = match &body {
            AskBody::Question { questions } => questions.len(),
            AskBody::Permission { .. } | AskBody::Unknown => 0,
        };
        let is_question = matches!(body, AskBody::Question { .. });
        self.open.insert(
            id.to_owned(),
            OpenAsk {
                turn_id: turn_id.clone(),
                is_question,
                question_count,
                is_being_answered: false,
            },
        );
        Some(DriverEvent::AskOpened {
            turn_id: turn_id.clone(),
            agent_ask_id: id.to_owned(),
            body,
        })
    }

    /// opencode says that an ask is settled; nothing when we did it ourselves.
    pub(crate) fn settled_elsewhere(&mut self, id: &str) -> Option<DriverEvent> {
        let ask = self.open.remove(id)?;
        (!ask.is_being_answered).then(|| {
            Settled {
                turn_id: ask.turn_id,
                id: id.to_owned(),
            }
            .into()
        })
    }

    /// Closes every ask that is not said to wait still.
    pub(crate) fn close_unless(&mut self, waits: impl Fn(&str) -> bool) -> Vec<DriverEvent> {
        let gone: Vec<String> = self.open.keys().filter(|id| !waits(id)).cloned().collect();
        gone.iter()
            .filter_map(|id| self.settled_elsewhere(id))
            .collect()
    }

    /// Checks an answer and notes that it is on its way.
    pub(crate) fn answering(&mut self, id: &str, answer: AskAnswer) -> Result<Reply, DriverError> {
        let ask = self.open.get_mut(id).ok_or(DriverError::UnknownAsk)?;
        let reply = ask.reply(answer)?;
        ask.is_being_answered = true;
        Ok(reply)
    }

    /// The answer did not arrive: the ask waits still.
    pub(crate) fn not_answered(&mut self, id: &str) {
        if let Some(ask) = self.open.get_mut(id) {
            ask.is_being_answered = false;
        }
    }

    /// The answer has arrived, or it came too late.
    pub(crate) fn answered(&mut self, id: &str) {
        self.open.remove(id);
    }
}

impl OpenAsk {
    fn reply(&self, answer: AskAnswer) -> Result<Reply, DriverError> {
        let wrong = |detail: &str| {
            Err(DriverError::WrongAnswer {
                detail: detail.to_owned(),
            })
        };
        match (answer, self.is_question) {
            (AskAnswer::Once, false) => Ok(Reply::Once),
            (AskAnswer::Always, false) => Ok(Reply::Always),
            (AskAnswer::Reject { message }, false) => Ok(Reply::Reject {
                message: message.filter(|message| !message.trim().is_empty()),
            }),
            (AskAnswer::Unknown, false) => Ok(Reply::Reject { message: None }),
            (AskAnswer::Answers { answers }, true) if answers.len() == self.question_count => {
                Ok(Reply::Answers(answers))
            }
            (AskAnswer::Answers { answers }, true) => wrong(&format!(
                "{} answers to {} questions",
                answers.len(),
                self.question_count
            )),
            (AskAnswer::Reject { .. } | AskAnswer::Unknown, true) => Ok(Reply::Dismiss),
            (AskAnswer::Once | AskAnswer::Always, true) => wrong("a question is answered in words"),
            (AskAnswer::Answers { .. }, false) => wrong("a permission is allowed or denied"),
        }
    }
}

fn within_limit(body: AskBody) -> AskBody {
    if serde_json::to_vec(&body).is_ok_and(|json| json.len() <= ASK_MAX_BYTES) {
        return body;
    }
    let short = |text: String| clipped(&text, TEXT_KEPT_BYTES).0;
    let list = |texts: Vec<String>| -> Vec<String> {
        texts.into_iter().take(TEXTS_KEPT).map(short).collect()
    };
    match body {
        AskBody::Permission {
            permission,
            patterns,
            detail,
            always,
        } => AskBody::Permission {
            permission: short(permission),
            patterns: list(patterns),
            // A sixth of it is safe: a control byte takes six characters in JSON.
            detail: clipped(&detail, DETAIL_KEPT_BYTES / 6).0,
            always: list(always),
        },
        // Every question must stay: the answer has one entry for each.
        AskBody::Question { questions } => {
            let each = ASK_MAX_BYTES / 24 / questions.len().max(1);
            let cut = |text: &str, share: usize| clipped(text, each / share).0;
            AskBody::Question {
                questions: questions
                    .into_iter()
                    .map(|question| Question {
                        header: cut(&question.header, 8),
                        question: cut(&question.question, 2),
                        options: question
                            .options
                            .into_iter()
                            .take(4)
                            .map(|option| QuestionOption {
                                label: option.label.chars().take(64).collect(),
                                description: String::new(),
                            })
                            .collect(),
                        ..question
                    })
                    .collect(),
            }
        }
        AskBody::Unknown => AskBody::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;

    use super::*;

    fn turn() -> TurnId {
        TurnId::generate(Timestamp::from_ms(1), [1; 10])
    }

    fn permission(text: &str) -> AskBody {
        AskBody::Permission {
            permission: "bash".to_owned(),
            patterns: vec![text.to_owned()],
            detail: text.to_owned(),
            always: Vec::new(),
        }
    }

    #[test]
    fn an_ask_is_told_once_and_its_own_answer_is_no_news() {
        let mut asks = Asks::default();
        assert!(asks.opened(&turn(), "per_1", permission("ls")).is_some());
        assert!(asks.opened(&turn(), "per_1", permission("ls")).is_none());
        assert_eq!(asks.answering("per_1", AskAnswer::Once), Ok(Reply::Once));
        assert_eq!(asks.settled_elsewhere("per_1"), None);
        assert_eq!(
            asks.answering("per_1", AskAnswer::Once),
            Err(DriverError::UnknownAsk)
        );
    }

    #[test]
    fn an_answer_must_fit_what_was_asked() {
        let mut asks = Asks::default();
        asks.opened(&turn(), "per_1", permission("ls"));
        assert!(matches!(
            asks.answering(
                "per_1",
                AskAnswer::Answers {
                    answers: Vec::new()
                }
            ),
            Err(DriverError::WrongAnswer { .. })
        ));
        let question = Question {
            question: "?".to_owned(),
            header: String::new(),
            options: Vec::new(),
            multiple: false,
            custom: true,
        };
        asks.opened(
            &turn(),
            "que_1",
            AskBody::Question {
                questions: vec![question],
            },
        );
        for wrong in [
            AskAnswer::Once,
            AskAnswer::Answers {
                answers: Vec::new(),
            },
        ] {
            assert!(matches!(
                asks.answering("que_1", wrong),
                Err(DriverError::WrongAnswer { .. })
            ));
        }
        assert_eq!(
            asks.answering("que_1", AskAnswer::Reject { message: None }),
            Ok(Reply::Dismiss)
        );
    }

    #[test]
    fn an_ask_over_the_limit_is_cut() {
        let size = |body: &AskBody| serde_json::to_vec(body).unwrap().len();
        assert!(size(&within_limit(permission(&"\u{1}".repeat(ASK_MAX_BYTES)))) <= ASK_MAX_BYTES);
        let question = Question {
            question: "\u{1}".repeat(ASK_MAX_BYTES),
            header: "h".repeat(9_000),
            options: Vec::new(),
            multiple: false,
            custom: true,
        };
        let body = within_limit(AskBody::Question {
            questions: vec![question; 5],
        });
        assert!(size(&body) <= ASK_MAX_BYTES);
    }
}
