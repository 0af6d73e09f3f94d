//! Replays what the real opencode sent in short turns (`tests/fixtures`: one event a line, then the messages
//! that it has at the end).
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test that meets anything else fails"
)]

use protocol::Timestamp;
use protocol::limits::CHUNK_DELTA_MAX_BYTES;
use protocol::transcript::{Transcript, text_hash};
use protocol::wire::{AskBody, ChunkOp, Part, PartBody, ToolState};
use serde_json::{Value, json};

use super::*;
use crate::wire::Message;

const SESSION: &str = "ses_fixture";
const PLACEHOLDER: &str = "msg_000000000000TurnFIXTURE000";
const FIXTURES: &[&str] = &[
    "reasoning",
    "tool",
    "cut",
    "refused",
    "retried",
    "stopped",
    "sub-agent",
    "compacted",
    "rejected",
];

fn turn() -> TurnId {
    TurnId::generate(Timestamp::from_ms(1_795_000_000_000), [7; 10])
}

struct Fixture {
    events: Vec<Event>,
    messages: Vec<Message>,
}

fn fixture(name: &str) -> Fixture {
    let path = format!("{}/tests/fixtures/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path)
        .unwrap()
        .replace(PLACEHOLDER, &message_id(&turn()));
    let mut fixture = Fixture {
        events: Vec::new(),
        messages: Vec::new(),
    };
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        match line.get("event") {
            Some(event) => fixture
                .events
                .push(Event::parse(event.to_string().as_bytes()).unwrap()),
            None => fixture.messages = serde_json::from_value(line["final"].clone()).unwrap(),
        }
    }
    fixture
}

/// What a reader of the events has in the end.
#[derive(Debug, Default)]
struct Reader {
    shown: Transcript,
    ops: Vec<ChunkOp>,
    asked: Vec<AskBody>,
    closed: usize,
    end: Option<TurnEnd>,
}

impl Reader {
    fn read(&mut self, events: Vec<DriverEvent>) {
        for event in events {
            assert!(self.end.is_none(), "{event:?} comes after the end");
            match event {
                DriverEvent::Chunk { turn_id, op } => {
                    assert_eq!(turn_id, turn());
                    self.shown.apply_op(&op);
                    self.ops.push(op);
                }
                DriverEvent::AskOpened { body, .. } => self.asked.push(body),
                DriverEvent::AskClosed { .. } => self.closed += 1,
                DriverEvent::TurnEnded { end, .. } => self.end = Some(end),
                DriverEvent::Exited { reason } => panic!("{reason}"),
            }
        }
    }

    fn end(&self) -> &TurnEnd {
        self.end.as_ref().expect("the turn has ended")
    }

    fn text(&self) -> String {
        let text = |part: &Part| match &part.body {
            PartBody::Text { text } => Some(text.clone()),
            _ => None,
        };
        self.end().answer.parts.iter().filter_map(text).collect()
    }

    fn assert_shown_is_final(&self, what: &str) {
        let answer = &self.end().answer;
        assert_eq!(
            self.shown.hash(),
            text_hash(&answer.parts),
            "{what}: {:?} is not {:?}",
            self.shown.parts(),
            answer.parts
        );
        for part in &answer.parts {
            assert!(
                self.shown.parts().contains(part),
                "{what}: {part:?} is not shown"
            );
        }
    }
}

/// Plays a turn, without the events that `is_missed` names by their place.
fn play(fixture: &Fixture, is_missed: impl Fn(usize) -> bool) -> Reader {
    let mut tracker = Tracker::new(SESSION.to_owned());
    assert_eq!(tracker.begin(&turn()), Begun::New);
    let mut reader = Reader::default();
    for (_, event) in fixture
        .events
        .iter()
        .enumerate()
        .filter(|(place, _)| !is_missed(*place))
    {
        reader.read(tracker.take(event.clone()).events);
    }
    reader.read(tracker.look(false, &fixture.messages).expect("it is over"));
    assert!(tracker.current().is_none());
    assert_eq!(tracker.look(false, &fixture.messages), None);
    // Late events of a turn that is over say nothing.
    for event in &fixture.events {
        assert_eq!(tracker.take(event.clone()).events, Vec::new());
    }
    reader
}

#[test]
fn each_turn_ends_as_it_did() {
    let expected = [
        (
            "reasoning",
            TurnState::Completed,
            "I have thought about tea. My conclusion: it depends.",
        ),
        (
            "tool",
            TurnState::Completed,
            "I will run that.The command said:\n\n```\none\ntwo\n```\n",
        ),
        (
            "cut",
            TurnState::Completed,
            "The first try was cut off; this is the second one, and it is whole.",
        ),
        ("refused", TurnState::Failed, ""),
        ("retried", TurnState::Completed, "It worked in the end."),
        (
            "compacted",
            TurnState::Completed,
            "The summary made room for this.",
        ),
        ("rejected", TurnState::Completed, "I will run that."),
    ];
    for (name, outcome, text) in expected {
        let reader = play(&fixture(name), |_| false);
        reader.assert_shown_is_final(name);
        assert_eq!(
            (reader.end().outcome, reader.text().as_str()),
            (outcome, text),
            "{name}: {:?}",
            reader.end()
        );
    }
    assert_eq!(
        play(&fixture("refused"), |_| false).end().reason.as_deref(),
        Some("The script says to fail with 400.")
    );
    let below = play(&fixture("sub-agent"), |_| false);
    assert!(
        below
            .text()
            .starts_with("I will hand that to a sub-agent.The sub-agent said:"),
        "{}",
        below.text()
    );
    // Stopped by somebody who is not us, as far as this tracker knows.
    assert_eq!(
        play(&fixture("stopped"), |_| false).end().outcome,
        TurnState::Interrupted
    );
}

#[test]
fn whatever_is_missed_the_end_is_whole() {
    for name in FIXTURES {
        let fixture = fixture(name);
        let whole = play(&fixture, |_| false);
        let count = fixture.events.len();
        for place in 0..count {
            for (what, reader) in [
                ("one", play(&fixture, |missed| missed == place)),
                ("the beginning", play(&fixture, |missed| missed < place)),
                ("the rest", play(&fixture, |missed| missed > place)),
            ] {
                let what = format!("{name} without {what} at {place}");
                reader.assert_shown_is_final(&what);
                assert_eq!(reader.text(), whole.text(), "{what}");
            }
        }
    }
}

#[test]
fn a_text_that_broke_off_is_void_before_the_next_begins() {
    let reader = play(&fixture("cut"), |_| false);
    let void = reader
        .ops
        .iter()
        .position(|op| matches!(op, ChunkOp::Supersede { .. }))
        .expect("something is superseded");
    let ChunkOp::Supersede { part: void_part } = &reader.ops[void] else {
        panic!()
    };
    let is_of = |op: &&ChunkOp| matches!(op, ChunkOp::Append { part, .. } if part == void_part);
    assert!(
        reader.ops[..void].iter().any(|op| is_of(&op))
            && !reader.ops[void..].iter().any(|op| is_of(&op))
    );
    let notices = |reader: &Reader| {
        reader
            .end()
            .answer
            .parts
            .iter()
            .filter(|part| matches!(part.body, PartBody::Notice { .. }))
            .count()
    };
    assert_eq!(notices(&reader), 1);
    assert_eq!(notices(&play(&fixture("retried"), |_| false)), 1);
    assert_eq!(notices(&play(&fixture("compacted"), |_| false)), 1);
}

#[test]
fn a_tools_output_travels_as_differences() {
    let reader = play(&fixture("tool"), |_| false);
    let outputs: Vec<&str> = reader
        .ops
        .iter()
        .filter_map(|op| match op {
            ChunkOp::Append {
                kind: DeltaKind::ToolOutput,
                delta,
                ..
            } => Some(delta.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(outputs, ["one\n", "two\n"]);
    let call = reader
        .end()
        .answer
        .parts
        .iter()
        .find_map(|part| match &part.body {
            PartBody::Tool(call) => Some(call),
            _ => None,
        });
    let call = call.expect("there is a tool call");
    assert_eq!(
        (call.state, call.output.as_deref(), call.truncated),
        (ToolState::Completed, Some("one\ntwo\n"), false)
    );
    assert!(call.started_at <= call.ended_at && call.input.contains("echo one"));
}

#[test]
fn an_ask_settled_elsewhere_is_closed() {
    let reader = play(&fixture("tool"), |_| false);
    assert!(
        matches!(&reader.asked[..], [AskBody::Permission { permission, patterns, .. }] if permission == "bash" && patterns.len() == 3)
    );
    assert_eq!(reader.closed, 1);
    // When the event that says so is missed, the turn's end closes it.
    let fixture = fixture("tool");
    let settled = fixture
        .events
        .iter()
        .position(|event| matches!(event, Event::AskSettled { .. }))
        .unwrap();
    assert_eq!(play(&fixture, |place| place == settled).closed, 1);
}

#[test]
fn an_ask_outside_a_turn_is_turned_down() {
    let mut tracker = Tracker::new(SESSION.to_owned());
    let asked = fixture("tool")
        .events
        .into_iter()
        .find(|event| matches!(event, Event::PermissionAsked(_)))
        .unwrap();
    assert!(matches!(
        tracker.take(asked).next,
        Next::TurnDown {
            reply: Reply::Reject { .. },
            ..
        }
    ));
}

#[test]
fn the_first_idle_after_a_failure_does_not_end_the_turn() {
    let fixture = fixture("refused");
    let mut tracker = Tracker::new(SESSION.to_owned());
    tracker.begin(&turn());
    let nexts: Vec<Next> = fixture
        .events
        .iter()
        .map(|event| tracker.take(event.clone()).next)
        .collect();
    assert!(
        nexts.contains(&Next::Look(LOOK_AFTER_FAILURE))
            && nexts.contains(&Next::Look(Duration::ZERO))
    );
    let mut unfinished = fixture.messages.clone();
    unfinished.last_mut().unwrap().info.time = wire::MessageTime::default();
    assert_eq!(tracker.look(false, &unfinished), None);
    assert_eq!(tracker.look(true, &fixture.messages), None);
    assert!(tracker.look(false, &fixture.messages).is_some());
}

#[test]
fn a_failure_that_has_no_answer_and_no_idle_ends_the_turn() {
    let mut tracker = Tracker::new(SESSION.to_owned());
    tracker.begin(&turn());
    let failed = json!({ "type": "session.error", "properties": { "sessionID": SESSION, "error": { "name": "UnknownError", "data": { "message": "Agent not found" } } } });
    tracker.take(Event::parse(failed.to_string().as_bytes()).unwrap());
    assert_eq!(tracker.look(false, &[]), None);
    let events = tracker.look(false, &[]).expect("the second look ends it");
    assert!(
        matches!(&events[..], [DriverEvent::TurnEnded { end: TurnEnd { outcome: TurnState::Failed, reason: Some(reason), .. }, .. }] if reason == "Agent not found")
    );
}

#[test]
fn a_stopped_turn_is_cancelled_and_keeps_what_was_said() {
    let fixture = fixture("stopped");
    let mut tracker = Tracker::new(SESSION.to_owned());
    tracker.begin(&turn());
    let mut reader = Reader::default();
    for event in &fixture.events {
        reader.read(tracker.take(event.clone()).events);
    }
    assert!(tracker.abort(&turn()) && tracker.is_aborted());
    reader.read(tracker.look(false, &fixture.messages).expect("it is over"));
    reader.assert_shown_is_final("stopped");
    assert_eq!(
        (
            reader.end().outcome,
            reader.text().starts_with("still here")
        ),
        (TurnState::Cancelled, true)
    );
    assert!(!tracker.abort(&turn()));
}

#[test]
fn repair_fills_in_what_was_missed_and_leaves_what_is_being_written() {
    let fixture = fixture("tool");
    let cut = fixture.events.len() / 2;
    let mut tracker = Tracker::new(SESSION.to_owned());
    tracker.begin(&turn());
    let mut reader = Reader::default();
    for event in &fixture.events[..cut] {
        reader.read(tracker.take(event.clone()).events);
    }
    // While text is being written, opencode's storage has an empty one.
    let mut stored = fixture.messages.clone();
    for part in stored.iter_mut().flat_map(|message| &mut message.parts) {
        if let Body::Text(prose) = &mut part.body {
            *prose = wire::Prose {
                text: String::new(),
                time: wire::ProseTime::default(),
            };
        }
    }
    let before = reader.shown.hash();
    reader.read(tracker.repair(&stored, Vec::new(), Vec::new()));
    assert_eq!(reader.shown.hash(), before);
    reader.read(tracker.repair(&fixture.messages, Vec::new(), Vec::new()));
    let whole = reader.shown.hash();
    reader.read(tracker.look(false, &fixture.messages).expect("it is over"));
    assert_eq!(reader.shown.hash(), whole);
    reader.assert_shown_is_final("repaired");
}

#[test]
fn a_turn_whose_end_can_not_be_read_keeps_what_was_shown() {
    let fixture = fixture("reasoning");
    let mut tracker = Tracker::new(SESSION.to_owned());
    tracker.begin(&turn());
    let mut reader = Reader::default();
    for event in &fixture.events {
        reader.read(tracker.take(event.clone()).events);
    }
    reader.read(tracker.give_up("it can't be read"));
    reader.assert_shown_is_final("given up");
    assert_eq!(
        (reader.end().outcome, reader.text().is_empty()),
        (TurnState::Interrupted, false)
    );
}

#[test]
fn one_turn_at_a_time() {
    let mut tracker = Tracker::new(SESSION.to_owned());
    let other = TurnId::generate(Timestamp::from_ms(1), [8; 10]);
    assert_eq!(
        (
            tracker.begin(&turn()),
            tracker.begin(&turn()),
            tracker.begin(&other)
        ),
        (Begun::New, Begun::Same, Begun::Busy)
    );
    tracker.forget(&other);
    assert_eq!(tracker.begin(&other), Begun::Busy);
    tracker.forget(&turn());
    assert_eq!(tracker.begin(&other), Begun::New);
}

#[test]
fn a_long_delta_is_split_and_whole() {
    let fixture = fixture("reasoning");
    let mut tracker = Tracker::new(SESSION.to_owned());
    tracker.begin(&turn());
    let text = "é€😀".repeat(10_000);
    let mut reader = Reader::default();
    for event in fixture.events {
        let event = match event {
            Event::Delta { part, .. } => Event::Delta {
                part,
                delta: text.clone(),
            },
            other => other,
        };
        let is_delta = matches!(event, Event::Delta { .. });
        let events = tracker.take(event).events;
        if is_delta {
            let pieces: String = events
                .iter()
                .map(|event| match event {
                    DriverEvent::Chunk {
                        op: ChunkOp::Append { delta, .. },
                        ..
                    } if delta.len() <= CHUNK_DELTA_MAX_BYTES => delta.as_str(),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(pieces, text);
        }
        reader.read(events);
    }
}
