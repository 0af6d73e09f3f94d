//! Holds schedules to `tests/vectors/next-fire/*.json`, as the page's tests hold their twin in TypeScript.
//! A new case is written without what it gives; `UPDATE_VECTORS=1 cargo test -p protocol --test
//! schedule_vectors` fills that in, and a person looks at it before it is committed.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use protocol::schedule::{
    Timing, VARIABLES, When, WhenError, phrase, read_phrase, sentence, start_of, zone_names,
};
use protocol::{Timestamp, limits};
use serde::{Deserialize, Serialize};

const SHARED: &str = "../../webapp/src/lib/schedule/shared.gen.ts";
const CASES_LEAST: usize = 300;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Vectors {
    about: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    firing: Vec<FiringCase>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused: Vec<RefusedCase>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    phrases: Vec<PhraseCase>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sentences: Vec<SentenceCase>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    starts: Vec<StartCase>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FiringCase {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    about: String,
    when: When,
    after: String,
    count: usize,
    #[serde(default)]
    fires: Vec<Fire>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fire {
    at: String,
    local: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusedCase {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<When>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phrase: Option<String>,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PhraseCase {
    phrase: String,
    zone: String,
    now: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<When>,
    /// The phrase that is read back.
    #[serde(default)]
    again: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SentenceCase {
    when: When,
    #[serde(default)]
    sentence: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct StartCase {
    schedule: String,
    due: String,
    next: Option<String>,
    jitter_ms: u64,
    #[serde(default)]
    delay_ms: u64,
}

#[test]
fn schedules_fire_the_same_as_in_the_page() {
    let mut cases = 0;
    let mut stale = Vec::new();
    for file in vector_files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let given: Vectors = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{} can't be read: {error}", file.display()));
        let found = worked_out(&given);
        cases += found.firing.len()
            + found.refused.len()
            + found.phrases.len()
            + found.sentences.len()
            + found.starts.len();
        if std::env::var_os("UPDATE_VECTORS").is_some() {
            std::fs::write(&file, written(&found)).unwrap();
        } else {
            compare(&file, &given, &found, &mut stale);
        }
    }
    assert!(stale.is_empty(), "\n{}\n", stale.join("\n"));
    println!("{cases} cases");
    assert!(cases >= CASES_LEAST, "only {cases} cases found");
}

#[test]
fn the_pages_list_of_zones_is_up_to_date() {
    let mut text = String::from(
        "// Made from crates/protocol by `UPDATE_VECTORS=1 cargo test -p protocol --test schedule_vectors`.\n\nexport const LIMITS = {\n",
    );
    for (name, value) in [
        ("expressionMaxBytes", limits::EXPRESSION_MAX_BYTES as u64),
        ("intervalMaxMinutes", limits::INTERVAL_MAX_MINUTES.into()),
        ("previewMaxFirings", limits::PREVIEW_MAX_FIRINGS as u64),
        ("parallelRunsMax", limits::PARALLEL_RUNS_MAX as u64),
        ("catchUpRunsMax", limits::CATCH_UP_RUNS_MAX as u64),
        ("missedRowsMax", limits::MISSED_ROWS_MAX as u64),
        ("lookBackFiringsMax", limits::LOOK_BACK_FIRINGS_MAX as u64),
        ("runRetriesMax", limits::RUN_RETRIES_MAX.into()),
        ("runTimeLimitMaxMs", limits::RUN_TIME_LIMIT_MAX_MS),
        ("pauseAfterMax", limits::PAUSE_AFTER_MAX.into()),
        ("allowMaxEntries", limits::ALLOW_MAX_ENTRIES as u64),
        ("allowEntryMaxBytes", limits::ALLOW_ENTRY_MAX_BYTES as u64),
        ("firingGraceMs", limits::FIRING_GRACE_MS),
        ("jitterMaxMs", limits::JITTER_MAX_MS),
        ("catchUpWindowMaxMs", limits::CATCH_UP_WINDOW_MAX_MS),
        ("runRetryFirstMs", limits::RUN_RETRY_FIRST_MS),
        ("runRetryMaxMs", limits::RUN_RETRY_MAX_MS),
    ] {
        writeln!(text, "  {name}: {value},").unwrap();
    }
    text.push_str("} as const;\n\n/** Every zone that a schedule may be in, in the order of the alphabet. */\nexport const ZONES: readonly string[] = (\n");
    let mut lines: Vec<String> = vec![String::new()];
    for name in zone_names() {
        if lines.last().unwrap().len() + name.len() > 100 {
            lines.push(String::new());
        }
        let line = lines.last_mut().unwrap();
        write!(line, "{name} ").unwrap();
    }
    let last = lines.len() - 1;
    for (place, line) in lines.iter().enumerate() {
        let (line, plus) = if place == last {
            (line.trim_end(), "")
        } else {
            (line.as_str(), " +")
        };
        writeln!(text, "  \"{line}\"{plus}").unwrap();
    }
    text.push_str(").split(\" \");\n");
    text.push_str("\n/** The variables of a schedule's prompt and what each stands for, for a person to read. One is written `{{name}}`. */\nexport const VARIABLES: readonly (readonly [name: string, about: string])[] = [\n");
    for variable in VARIABLES {
        writeln!(
            text,
            "  {},",
            serde_json::to_string(variable)
                .unwrap()
                .replace("\",\"", "\", \"")
        )
        .unwrap();
    }
    text.push_str("];\n");
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join(SHARED);
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(&target, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&target).unwrap_or_default();
    assert!(
        committed == text,
        "{SHARED} is stale: run UPDATE_VECTORS=1 cargo test -p protocol --test schedule_vectors"
    );
}

fn worked_out(given: &Vectors) -> Vectors {
    let mut found = given.clone();
    for case in &mut found.firing {
        let timing = Timing::new(&case.when)
            .unwrap_or_else(|error| panic!("{:?} is refused: {error}", case.when));
        case.fires = timing
            .next_fires(instant(&case.after), case.count)
            .into_iter()
            .map(|firing| Fire {
                at: shown(firing.at),
                local: firing.local,
                notes: firing
                    .notes
                    .iter()
                    .map(protocol::schedule::Note::text)
                    .collect(),
            })
            .collect();
    }
    for case in &mut found.refused {
        let error = refusal(case);
        case.code = code(&error);
        // The beginning of the message is what the vectors hold, if one was given.
        if case.message.is_empty() || !error.message.starts_with(&case.message) {
            case.message = error.message;
        }
    }
    for case in &mut found.phrases {
        let when = read_phrase(&case.phrase, &case.zone, instant(&case.now))
            .unwrap_or_else(|error| panic!("\"{}\" is refused: {error}", case.phrase));
        case.again = phrase(&when).unwrap_or_default();
        assert_eq!(
            read_phrase(&case.again, &case.zone, instant(&case.now)).as_ref(),
            Ok(&when),
            "\"{}\" reads back as \"{}\"",
            case.phrase,
            case.again
        );
        case.when = Some(when);
    }
    for case in &mut found.sentences {
        case.sentence = sentence(&case.when);
    }
    for case in &mut found.starts {
        let due = instant(&case.due);
        let next = case.next.as_deref().map(instant);
        case.delay_ms = start_of(&case.schedule, due, next, case.jitter_ms).ms_since(due);
    }
    found
}

fn refusal(case: &RefusedCase) -> WhenError {
    match (&case.when, &case.phrase) {
        (Some(when), None) => Timing::new(when).map(|_| ()),
        (None, Some(phrase)) => {
            read_phrase(phrase, "Europe/Berlin", Timestamp::from_ms(0)).map(|_| ())
        }
        _ => panic!("a refused case has either a when or a phrase: {case:?}"),
    }
    .expect_err(&format!("{case:?} is taken"))
}

fn code(error: &WhenError) -> String {
    serde_json::to_value(error.code)
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned()
}

fn compare(file: &Path, given: &Vectors, found: &Vectors, stale: &mut Vec<String>) {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    macro_rules! each {
        ($($list:ident),*) => {$(
            for (given, found) in given.$list.iter().zip(&found.$list) {
                if given != found {
                    stale.push(format!("{name}: expected {given:?}\n  but it is {found:?}"));
                }
            }
        )*};
    }
    each!(firing, refused, phrases, sentences, starts);
}

fn written(vectors: &Vectors) -> String {
    serde_json::to_string_pretty(vectors).unwrap() + "\n"
}

fn instant(text: &str) -> Timestamp {
    let at: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_ms(u64::try_from(at.as_millisecond()).unwrap())
}

fn shown(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(i64::try_from(at.as_ms()).unwrap())
        .unwrap()
        .to_string()
}

fn vector_files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/next-fire");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    files
}
