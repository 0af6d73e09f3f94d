//! From a request to the steps of its answer.

use std::time::Duration;

use serde_json::{Value, json};

use crate::markdown::{HELP, SLOW_WORDS, greeting, hostile, long};
use crate::request::{ChatRequest, SideJob};

/// The most words that `slow` says.
pub const SLOW_MAX_WORDS: usize = 10_000;
/// The most numbers that `count` counts.
const COUNT_MAX: u32 = 1_000_000;
/// The most tool calls that `steps` makes.
const STEPS_MAX: usize = 50;
/// The longest pause that a directive may ask for, in milliseconds.
const PAUSE_MAX_MS: u64 = 60_000;
/// The longest part of a tool's result that is quoted, in characters.
const QUOTE_MAX_CHARS: usize = 2_000;

/// What a summary of any conversation is.
const SUMMARY: &str = "The person tried the scripted demo model.";

/// One step of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Text, streamed word by word at the usual pace.
    Text(String),
    /// Thoughts, streamed word by word at the usual pace.
    Thought(String),
    /// `1 2 3 … n`, one number per delta; the usual pace if there is no pause.
    Count { to: u32, pause: Option<Duration> },
    /// Words that go on, one each pause.
    Slow { pause: Duration },
    /// A tool call.
    Call {
        tool: &'static str,
        arguments: Value,
    },
    /// The connection breaks off.
    Cut,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// Streams these steps; `finish` says whether the end is marked as one.
    Steps { steps: Vec<Step>, finish: bool },
    /// Refuses with an HTTP status.
    Refusal(u16),
    /// Says that the conversation is too long for it.
    TooLong,
}

/// Decides the answer. `seen` is how often the very same request came before.
pub(crate) fn answer(request: &ChatRequest, seen: u32) -> Answer {
    match request.side_job() {
        Some(SideJob::Title) => return text("Demo conversation"),
        Some(SideJob::Summary) => return text(SUMMARY),
        None => {}
    }
    let prompt = request.prompt();
    directive(request, prompt.trim(), seen).unwrap_or_else(|| text(greeting(prompt.trim())))
}

/// The answer to a directive; `None` when the message is not one.
fn directive(request: &ChatRequest, prompt: &str, seen: u32) -> Option<Answer> {
    let (name, rest) = prompt
        .split_once(char::is_whitespace)
        .unwrap_or((prompt, ""));
    let rest = rest.trim();
    match (name.to_ascii_lowercase().as_str(), rest) {
        ("say", said) if !said.is_empty() => Some(text(said)),
        ("count", numbers) => count(numbers),
        ("long", "") => Some(text(long())),
        ("think", about) => Some(think(about)),
        ("run", command) if !command.is_empty() => Some(run(request, command)),
        ("write", arguments) => write(request, arguments),
        ("read", file) => read(request, file),
        ("ask", "") => Some(ask(request)),
        ("todo", "") => Some(todo(request)),
        ("task", message) if !message.is_empty() => Some(task(request, message)),
        ("steps", number) => several(request, number),
        ("slow", pause) => Some(steps(vec![Step::Slow {
            pause: pause_of(pause)?,
        }])),
        ("recall", "") => Some(recall(request)),
        ("fail", how) => fail(how, seen),
        ("cut", "") => Some(cut(seen)),
        ("overflow", "") => Some(overflow(request)),
        // What opencode goes on with itself after it has summarised.
        ("the", rest) if rest.starts_with("previous request exceeded") => Some(overflow(request)),
        ("nofinish", "") => Some(Answer::Steps {
            steps: vec![Step::Text("This has no end.".to_owned())],
            finish: false,
        }),
        ("hostile", "") => Some(text(hostile())),
        ("help", "") => Some(text(HELP)),
        _ => None,
    }
}

fn steps(steps: Vec<Step>) -> Answer {
    Answer::Steps {
        steps,
        finish: true,
    }
}

fn text(text: impl Into<String>) -> Answer {
    steps(vec![Step::Text(text.into())])
}

fn pause_of(text: &str) -> Option<Duration> {
    text.parse()
        .ok()
        .map(|ms: u64| Duration::from_millis(ms.min(PAUSE_MAX_MS)))
}

fn count(numbers: &str) -> Option<Answer> {
    let mut words = numbers.split_whitespace();
    let to = words.next()?.parse::<u32>().ok()?.min(COUNT_MAX);
    let pause = words.next().map(pause_of);
    match (pause, words.next()) {
        (None, None) => Some(steps(vec![Step::Count { to, pause: None }])),
        (Some(Some(pause)), None) => Some(steps(vec![Step::Count {
            to,
            pause: Some(pause),
        }])),
        (Some(None), _) | (_, Some(_)) => None,
    }
}

fn think(about: &str) -> Answer {
    let about = if about.is_empty() {
        "nothing in particular"
    } else {
        about
    };
    steps(vec![
        Step::Thought(format!(
            "The person wants me to think {about}. I am a script, so this is a pretence of thinking. Let me write it down."
        )),
        Step::Text(format!(
            "I have thought {about}. My conclusion: it depends."
        )),
    ])
}

/// Calls a tool, then tells what came of it.
fn call(
    request: &ChatRequest,
    before: &str,
    tool: &'static str,
    arguments: Value,
    after: impl Fn(&str) -> String,
) -> Answer {
    match request.tool_results().last() {
        Some(result) => text(after(result)),
        None if request.offers(tool) => steps(vec![
            Step::Text(before.to_owned()),
            Step::Call { tool, arguments },
        ]),
        None => text(format!(
            "I would call the tool `{tool}` now, but it is not offered to me."
        )),
    }
}

fn run(request: &ChatRequest, command: &str) -> Answer {
    let arguments =
        json!({ "command": command, "description": "Runs the command that was asked for" });
    call(request, "I will run that.", "bash", arguments, |result| {
        format!("The command said:\n\n{}", fenced(result))
    })
}

fn write(request: &ChatRequest, arguments: &str) -> Option<Answer> {
    let (file, content) = arguments.split_once(char::is_whitespace)?;
    let arguments =
        json!({ "filePath": absolute(request, file), "content": format!("{}\n", content.trim()) });
    Some(call(
        request,
        "I will write that file.",
        "write",
        arguments,
        |result| format!("The file tool said:\n\n{}", fenced(result)),
    ))
}

fn read(request: &ChatRequest, file: &str) -> Option<Answer> {
    if file.is_empty() || file.contains(char::is_whitespace) {
        return None;
    }
    let arguments = json!({ "filePath": absolute(request, file) });
    Some(call(
        request,
        "I will read that file.",
        "read",
        arguments,
        |result| format!("It says:\n\n{}", fenced(result)),
    ))
}

fn ask(request: &ChatRequest) -> Answer {
    let option =
        |label: &str, description: &str| json!({ "label": label, "description": description });
    let arguments = json!({ "questions": [
        { "question": "Which colour should it have?", "header": "Colour",
          "options": [option("Red", "Like a poppy"), option("Green", "Like moss"), option("Blue", "Like the sea")] },
        { "question": "What should be on it?", "header": "Toppings", "multiple": true,
          "options": [option("Stars", "Many of them"), option("Stripes", "A few of them")] },
    ] });
    call(
        request,
        "I have two questions.",
        "question",
        arguments,
        |result| format!("Thank you. You answered:\n\n{}", fenced(result)),
    )
}

fn todo(request: &ChatRequest) -> Answer {
    let entry = |content: &str, status: &str| json!({ "content": content, "status": status, "priority": "medium" });
    let arguments = json!({ "todos": [entry("Wake up", "completed"), entry("Make tea", "in_progress"), entry("Drink it", "pending")] });
    call(
        request,
        "I will make a list.",
        "todowrite",
        arguments,
        |_| "The list is made.".to_owned(),
    )
}

fn task(request: &ChatRequest, message: &str) -> Answer {
    let arguments = json!({ "description": "Does what was asked for", "prompt": message, "subagent_type": "general" });
    call(
        request,
        "I will hand that to a sub-agent.",
        "task",
        arguments,
        |result| format!("The sub-agent said:\n\n{}", fenced(result)),
    )
}

fn several(request: &ChatRequest, number: &str) -> Option<Answer> {
    let wanted = number.parse::<usize>().ok()?.min(STEPS_MAX);
    let done = request.tool_results().len();
    if done >= wanted {
        return Some(text(format!("All {wanted} steps are done.")));
    }
    let step = done + 1;
    let arguments =
        json!({ "command": format!("echo step {step}"), "description": format!("Step {step}") });
    Some(steps(vec![
        Step::Text(format!("Step {step} of {wanted}.")),
        Step::Call {
            tool: "bash",
            arguments,
        },
    ]))
}

fn recall(request: &ChatRequest) -> Answer {
    let earlier = request.earlier_prompts();
    if earlier.is_empty() {
        return text("This is your first message in this conversation.");
    }
    let mut answer = String::from("Before this, you wrote:\n\n");
    for (index, message) in earlier.iter().enumerate() {
        answer.push_str(&format!(
            "{}. {}\n",
            index + 1,
            message.lines().next().unwrap_or_default()
        ));
    }
    text(answer)
}

fn fail(how: &str, seen: u32) -> Option<Answer> {
    let mut words = how.split_whitespace();
    let status = words
        .next()?
        .parse::<u16>()
        .ok()
        .filter(|status| (400..=599).contains(status))?;
    let times = words
        .next()
        .map_or(Some(u32::MAX), |times| times.parse().ok())?;
    Some(if seen < times {
        Answer::Refusal(status)
    } else {
        text("It worked in the end.")
    })
}

fn cut(seen: u32) -> Answer {
    if seen == 0 {
        steps(vec![
            Step::Text("This part of the answer will be cut off before it".to_owned()),
            Step::Cut,
        ])
    } else {
        text("The first try was cut off; this is the second one, and it is whole.")
    }
}

fn overflow(request: &ChatRequest) -> Answer {
    if request.mentions(SUMMARY) {
        text("The summary made room for this.")
    } else {
        Answer::TooLong
    }
}

fn absolute(request: &ChatRequest, file: &str) -> String {
    match request.directory() {
        Some(directory) if !file.starts_with('/') => {
            format!("{}/{file}", directory.trim_end_matches('/'))
        }
        Some(_) | None => file.to_owned(),
    }
}

fn fenced(result: &str) -> String {
    let mut quoted: String = result.trim_end().chars().take(QUOTE_MAX_CHARS).collect();
    if quoted.len() < result.trim_end().len() {
        quoted.push('…');
    }
    format!("```\n{}\n```\n", quoted.replace("```", "'''"))
}

/// The words of a text, each with the white space that follows it, so that joined they are the text again.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut in_space = false;
    for character in text.chars() {
        if in_space && !character.is_whitespace() {
            words.push(std::mem::take(&mut word));
        }
        in_space = character.is_whitespace();
        word.push(character);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The word at a place of an answer without an end.
pub(crate) fn slow_word(index: usize) -> String {
    format!("{} ", SLOW_WORDS[index % SLOW_WORDS.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(messages: Value, tools: &[&str]) -> ChatRequest {
        let tools: Vec<Value> = tools
            .iter()
            .map(|name| json!({ "type": "function", "function": { "name": name } }))
            .collect();
        serde_json::from_value(json!({ "messages": messages, "tools": tools })).unwrap()
    }

    fn says(prompt: &str) -> Answer {
        answer(
            &request(json!([{ "role": "user", "content": prompt }]), &["bash"]),
            0,
        )
    }

    #[test]
    fn words_joined_are_the_text() {
        for sample in ["", "a", " a  b\n\nc ", "né\u{a0}ü x"] {
            assert_eq!(words(sample).concat(), sample);
        }
        assert_eq!(words("a b").len(), 2);
    }

    #[test]
    fn what_is_not_a_directive_gets_the_greeting() {
        for prompt in [
            "hello",
            "count the stars",
            "read me a story",
            "fail",
            "fail 200",
            "slow down",
            "ask me later",
            "long ago",
        ] {
            let Answer::Steps { steps, .. } = says(prompt) else {
                panic!("{prompt}")
            };
            let [Step::Text(said)] = steps.as_slice() else {
                panic!("{prompt}: {steps:?}")
            };
            assert!(
                said.contains("scripted demo model") && said.contains(prompt),
                "{said}"
            );
        }
    }

    #[test]
    fn a_command_is_called_once_and_then_reported() {
        let Answer::Steps {
            steps,
            finish: true,
        } = says("run ls -l")
        else {
            panic!()
        };
        assert!(
            matches!(&steps[1], Step::Call { tool: "bash", arguments } if arguments["command"] == "ls -l")
        );
        let told = answer(
            &request(
                json!([{ "role": "user", "content": [{ "type": "text", "text": "run ls" }] }, { "role": "assistant", "content": null }, { "role": "tool", "content": "a.txt" }]),
                &["bash"],
            ),
            0,
        );
        assert_eq!(told, text("The command said:\n\n```\na.txt\n```\n"));
    }

    #[test]
    fn recall_tells_the_earlier_messages() {
        let told = answer(
            &request(
                json!([{ "role": "user", "content": "say a" }, { "role": "assistant", "content": "a" }, { "role": "user", "content": "recall" }]),
                &[],
            ),
            0,
        );
        assert_eq!(told, text("Before this, you wrote:\n\n1. say a\n"));
    }

    #[test]
    fn a_retry_is_told_from_the_first_try() {
        let request = request(json!([{ "role": "user", "content": "fail 500 1" }]), &[]);
        assert_eq!(answer(&request, 0), Answer::Refusal(500));
        assert_eq!(answer(&request, 1), text("It worked in the end."));
    }

    #[test]
    fn a_title_is_short_whatever_the_message() {
        let messages = json!([{ "role": "system", "content": "You are a title generator. You output ONLY a thread title." }, { "role": "user", "content": "slow 1000" }]);
        assert_eq!(
            answer(&request(messages, &[]), 0),
            text("Demo conversation")
        );
    }
}
