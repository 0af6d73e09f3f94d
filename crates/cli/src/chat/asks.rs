//! Asks in the terminal: permissions by a letter, questions by numbers or one's own words.

use protocol::ids::AskId;
use protocol::wire::{Ask, AskAnswer, AskBody, Question};

use crate::out::{Look, Out, one_line, printable};

/// How much of what is known about a permission is shown, in lines.
const DETAIL_MAX_LINES: usize = 12;

/// An ask that a person is answering.
#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) ask: AskId,
    body: AskBody,
    /// The answers so far, of the questions before the current one.
    answers: Vec<Vec<String>>,
}

/// What a line came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The ask is answered.
    Answer(AskAnswer),
    /// Something more is asked.
    More,
    /// The line was not understood; the text says why.
    Again(String),
}

impl Prompt {
    pub(super) fn new(ask: &Ask) -> Self {
        Self {
            ask: ask.id.clone(),
            body: ask.body.clone(),
            answers: Vec::new(),
        }
    }

    /// What a person reads, up to where they type.
    pub(super) fn show(&self, out: Out) -> String {
        match &self.body {
            AskBody::Permission { permission, patterns, detail, always } => {
                let mut text = format!("{} {}", out.talk(Look::Warn, "May it"), out.talk(Look::Bold, &one_line(permission)));
                for pattern in patterns {
                    text.push_str(&format!("\n    {}", one_line(pattern)));
                }
                for line in detail_lines(detail, patterns) {
                    text.push_str(&format!("\n    {}", out.talk(Look::Dim, &line)));
                }
                let always = if always.is_empty() { String::new() } else { format!(", a = always ({})", one_line(&always.join(", "))) };
                text.push_str(&format!("\n  y = once{always}, n = no, n REASON = no, and what to do instead: "));
                text
            }
            AskBody::Question { questions } => match questions.get(self.answers.len()) {
                Some(question) => show_question(question, out),
                None => String::new(),
            },
            AskBody::Unknown => "It asks something that this version does not know. Answer it on the page, or type n: ".to_owned(),
        }
    }

    /// Takes a line.
    pub(super) fn take(&mut self, line: &str) -> Step {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let reject = |reason: &str| AskAnswer::Reject {
            message: (!reason.trim().is_empty()).then(|| reason.trim().to_owned()),
        };
        match &self.body {
            AskBody::Permission { always, .. } => {
                match (word.to_ascii_lowercase().as_str(), rest) {
                    ("y" | "yes", "") => Step::Answer(AskAnswer::Once),
                    ("a" | "always", "") if !always.is_empty() => Step::Answer(AskAnswer::Always),
                    ("n" | "no", reason) => Step::Answer(reject(reason)),
                    _ => Step::Again("Type y, a or n.".to_owned()),
                }
            }
            AskBody::Question { questions } => {
                if line == "-" {
                    return Step::Answer(reject(""));
                }
                let Some(question) = questions.get(self.answers.len()) else {
                    return Step::Answer(AskAnswer::Answers {
                        answers: std::mem::take(&mut self.answers),
                    });
                };
                match choose(question, line) {
                    Ok(chosen) => self.answers.push(chosen),
                    Err(why) => return Step::Again(why),
                }
                if self.answers.len() < questions.len() {
                    Step::More
                } else {
                    Step::Answer(AskAnswer::Answers {
                        answers: std::mem::take(&mut self.answers),
                    })
                }
            }
            AskBody::Unknown if matches!(word, "n" | "no") => Step::Answer(reject(rest)),
            AskBody::Unknown => Step::Again("Type n to deny.".to_owned()),
        }
    }
}

fn show_question(question: &Question, out: Out) -> String {
    let mut text = out.talk(Look::Bold, &one_line(&question.question));
    for (index, option) in question.options.iter().enumerate() {
        let description = one_line(&option.description);
        let description = if description.is_empty() {
            String::new()
        } else {
            format!("  {}", out.talk(Look::Dim, &description))
        };
        text.push_str(&format!(
            "\n  {}. {}{description}",
            index + 1,
            one_line(&option.label)
        ));
    }
    let own = if takes_own_words(question) {
        ", or your own words"
    } else {
        ""
    };
    let how = match (question.options.is_empty(), question.multiple) {
        (true, _) => "Your answer".to_owned(),
        (false, true) => format!("Numbers with commas between them{own}"),
        (false, false) => format!("A number{own}"),
    };
    text.push_str(&format!("\n  {how} (- turns the question down): "));
    text
}

fn takes_own_words(question: &Question) -> bool {
    question.custom || question.options.is_empty()
}

fn choose(question: &Question, line: &str) -> Result<Vec<String>, String> {
    let count = question.options.len();
    let numbers: Option<Vec<usize>> = line
        .split(',')
        .map(|number| number.trim().parse().ok())
        .collect();
    match numbers {
        Some(numbers) if count > 0 => {
            if numbers.len() > 1 && !question.multiple {
                return Err("Choose one only.".to_owned());
            }
            let label = |number: &usize| {
                number
                    .checked_sub(1)
                    .and_then(|index| question.options.get(index))
                    .map(|option| option.label.clone())
            };
            numbers
                .iter()
                .map(label)
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| format!("Choose from 1 to {count}."))
        }
        _ if line.is_empty() => Err("Type an answer.".to_owned()),
        _ if takes_own_words(question) => Ok(vec![line.to_owned()]),
        _ => Err(format!("Choose from 1 to {count}.")),
    }
}

/// The telling values of what is known about a permission, as lines; not what the patterns say already.
fn detail_lines(detail: &str, patterns: &[String]) -> Vec<String> {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(detail) else {
        return Vec::new();
    };
    let telling = ["command", "description", "filepath", "filePath", "diff"];
    let values = telling
        .iter()
        .filter_map(|name| fields.get(*name)?.as_str())
        .filter(|value| !patterns.iter().any(|pattern| pattern == value));
    let lines: Vec<String> = values
        .flat_map(|value| {
            printable(value)
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    let rest = lines.len().saturating_sub(DETAIL_MAX_LINES);
    let more = (rest > 0).then(|| format!("... {rest} more lines"));
    lines
        .into_iter()
        .take(DETAIL_MAX_LINES)
        .chain(more)
        .collect()
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;
    use protocol::ids::{ChatSessionId, TurnId};
    use protocol::state::AskState;
    use protocol::wire::QuestionOption;

    use super::*;

    fn prompt(body: AskBody) -> Prompt {
        let now = Timestamp::from_ms(1);
        Prompt::new(&Ask {
            id: AskId::generate(now, [0; 10]),
            chat_session_id: ChatSessionId::generate(now, [0; 10]),
            turn_id: TurnId::generate(now, [0; 10]),
            body,
            state: AskState::Pending,
            answer: None,
            created_at: now,
            deadline: now,
        })
    }

    fn question(options: &[&str], multiple: bool, custom: bool) -> Question {
        let option = |label: &&str| QuestionOption {
            label: (*label).to_owned(),
            description: String::new(),
        };
        Question {
            header: String::new(),
            question: "Which?".to_owned(),
            options: options.iter().map(option).collect(),
            multiple,
            custom,
        }
    }

    #[test]
    fn a_permission_is_answered_by_a_letter() {
        let body = |always: &[&str]| AskBody::Permission {
            permission: "bash".to_owned(),
            patterns: vec!["ls\u{1b}[2J".to_owned()],
            detail: r#"{"command":"ls","other":1}"#.to_owned(),
            always: always.iter().map(|text| (*text).to_owned()).collect(),
        };
        let mut ask = prompt(body(&["ls *"]));
        assert_eq!(ask.take(" Y "), Step::Answer(AskAnswer::Once));
        assert_eq!(ask.take("a"), Step::Answer(AskAnswer::Always));
        assert_eq!(
            ask.take("n"),
            Step::Answer(AskAnswer::Reject { message: None })
        );
        assert_eq!(
            ask.take("n use git  "),
            Step::Answer(AskAnswer::Reject {
                message: Some("use git".to_owned())
            })
        );
        assert!(matches!(ask.take(""), Step::Again(_)));
        assert!(
            matches!(ask.take("yes please"), Step::Again(_)),
            "nothing is allowed by a sentence"
        );
        assert!(
            matches!(prompt(body(&[])).take("a"), Step::Again(_)),
            "always needs something to allow"
        );
        insta::assert_snapshot!(ask.show(Out::new(true)));
    }

    #[test]
    fn questions_are_answered_one_after_the_other() {
        let questions = vec![
            question(&["Red", "Blue"], false, false),
            question(&["A", "B", "C"], true, true),
            question(&[], false, false),
        ];
        let mut ask = prompt(AskBody::Question { questions });
        assert!(matches!(ask.take("3"), Step::Again(_)));
        assert!(matches!(ask.take("1,2"), Step::Again(_)));
        assert!(matches!(ask.take("green"), Step::Again(_)));
        assert_eq!(ask.take("2"), Step::More);
        insta::assert_snapshot!(ask.show(Out::new(true)));
        assert_eq!(ask.take("1, 3"), Step::More);
        let answers = [vec!["Blue"], vec!["A", "C"], vec!["7"]];
        let answers = answers
            .iter()
            .map(|row| row.iter().map(|text| (*text).to_owned()).collect())
            .collect();
        assert_eq!(ask.take("7"), Step::Answer(AskAnswer::Answers { answers }));
    }

    #[test]
    fn a_question_can_be_turned_down() {
        let mut ask = prompt(AskBody::Question {
            questions: vec![question(&["Red"], false, true)],
        });
        assert_eq!(
            ask.take("-"),
            Step::Answer(AskAnswer::Reject { message: None })
        );
    }
}
