//! The driver with the real opencode and the scripted model.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests may panic"
)]

mod support;

use opencode_driver::{LocateConfig, PINNED_VERSION, locate};
use protocol::driver::{DriverEvent, SessionSpec, TurnRecall};
use protocol::state::TurnState;
use protocol::wire::{AskAnswer, AskBody, ChunkOp, PartBody, Sandbox, ToolState};
use support::{Bench, Chat, turn_id};

#[tokio::test]
async fn the_pinned_opencode_is_found_where_the_product_installs_it() {
    let pinned = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/opencode");
    let config = LocateConfig {
        pinned: Some(pinned),
        ..LocateConfig::default()
    };
    let found = locate(&config)
        .await
        .expect("run tests/opencode/scripts/ensure-opencode");
    assert_eq!(found.version, PINNED_VERSION);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_conversation() {
    let bench = Bench::new().await;
    let mut chat = bench.start(1).await;
    assert_eq!(
        (chat.session.model.as_deref(), chat.session.agent.as_deref()),
        (Some("demo/scripted"), Some("build"))
    );

    // Text: nothing lost, nothing doubled, each delta passed on by itself.
    let seen = chat.turn(1, "count 300", &[]).await;
    seen.assert_streamed_is_final();
    let expected: String = (1..=300).map(|number| format!("{number} ")).collect();
    assert_eq!(seen.texts().concat().trim_end(), expected.trim_end());
    assert_eq!(seen.end().outcome, TurnState::Completed);
    assert!(seen.ops.len() >= 300, "{}", seen.ops.len());
    assert!(seen.end().answer.usage.is_some());

    let seen = chat.turn(2, "think about tea", &[]).await;
    seen.assert_streamed_is_final();
    assert!(
        matches!(&seen.end().answer.parts[0].body, PartBody::Reasoning { text } if text.contains("pretence"))
    );

    for (number, text) in [(3, "hostile"), (4, "long")] {
        let seen = chat.turn(number, text, &[]).await;
        seen.assert_streamed_is_final();
        assert_eq!(seen.end().outcome, TurnState::Completed);
    }

    // Permission: denied with advice, denied, allowed once, allowed always.
    let advice = AskAnswer::Reject {
        message: Some("use another way".to_owned()),
    };
    let seen = chat.turn(5, "run echo one", &[advice]).await;
    seen.assert_streamed_is_final();
    assert_eq!(seen.tools()[0].state, ToolState::Failed);
    assert!(
        seen.texts().last().unwrap().contains("use another way"),
        "{:?}",
        seen.texts()
    );

    let seen = chat
        .turn(6, "run echo two", &[AskAnswer::Reject { message: None }])
        .await;
    assert_eq!(
        (seen.end().outcome, seen.tools()[0].state),
        (TurnState::Completed, ToolState::Failed)
    );
    assert!(
        matches!(chat.session.process.recall(&turn_id(6)).await.unwrap(), TurnRecall::Finished(end) if end.outcome == TurnState::Completed)
    );

    let seen = chat
        .turn(
            7,
            "run echo three; sleep 0.3; echo four",
            &[AskAnswer::Once],
        )
        .await;
    seen.assert_streamed_is_final();
    let AskBody::Permission {
        permission,
        patterns,
        always,
        ..
    } = seen.asked.values().next().unwrap()
    else {
        panic!()
    };
    assert_eq!(
        (permission.as_str(), patterns.len(), always.is_empty()),
        ("bash", 3, false)
    );
    assert_eq!(seen.tools()[0].output.as_deref(), Some("three\nfour\n"));
    assert!(seen.closed.is_empty());

    let seen = chat.turn(8, "steps 3", &[AskAnswer::Always]).await;
    seen.assert_streamed_is_final();
    assert_eq!((seen.asked.len(), seen.tools().len()), (1, 3));

    let seen = chat
        .turn(
            9,
            "ask",
            &[AskAnswer::Answers {
                answers: vec![
                    vec!["Green".to_owned()],
                    vec!["Stars".to_owned(), "my own".to_owned()],
                ],
            }],
        )
        .await;
    seen.assert_streamed_is_final();
    let said = seen.texts().concat();
    assert!(said.contains("Green") && said.contains("my own"), "{said}");

    let seen = chat
        .turn(10, "write hello.txt Hello there", &[AskAnswer::Once])
        .await;
    seen.assert_streamed_is_final();
    assert_eq!(
        std::fs::read_to_string(bench.work().join("hello.txt")).unwrap(),
        "Hello there\n"
    );
    let seen = chat.turn(11, "read hello.txt", &[]).await;
    assert!(seen.texts().concat().contains("Hello there"));

    // A sub-agent's ask comes up; its text does not mix in.
    let seen = chat
        .turn(12, "task run touch from-below", &[AskAnswer::Once])
        .await;
    seen.assert_streamed_is_final();
    assert!(bench.work().join("from-below").exists());
    assert_eq!(
        seen.tools()
            .iter()
            .map(|call| call.tool.as_str())
            .collect::<Vec<_>>(),
        ["task"]
    );

    chat.session.process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_and_stops() {
    let bench = Bench::new().await;
    let mut chat = bench.start(1).await;

    let seen = chat.turn(1, "fail 400", &[]).await;
    assert_eq!(seen.end().outcome, TurnState::Failed);
    assert!(
        seen.end()
            .reason
            .as_ref()
            .unwrap()
            .contains("The script says to fail"),
        "{:?}",
        seen.end()
    );

    let seen = chat.turn(2, "fail 503 1", &[]).await;
    seen.assert_streamed_is_final();
    assert_eq!(
        (seen.end().outcome, seen.texts()),
        (TurnState::Completed, vec!["It worked in the end."])
    );
    assert!(seen.end().answer.parts.iter().any(
        |part| matches!(&part.body, PartBody::Notice { text } if text.contains("Trying again"))
    ));

    let seen = chat.turn(3, "cut", &[]).await;
    seen.assert_streamed_is_final();
    assert!(
        seen.ops
            .iter()
            .any(|op| matches!(op, ChunkOp::Supersede { .. })),
        "{:?}",
        seen.ops
    );
    assert_eq!(
        seen.texts(),
        ["The first try was cut off; this is the second one, and it is whole."]
    );

    let seen = chat.turn(4, "nofinish", &[]).await;
    assert_eq!(seen.end().outcome, TurnState::Failed);
    assert!(
        seen.end()
            .reason
            .as_ref()
            .unwrap()
            .contains("without saying why"),
        "{:?}",
        seen.end()
    );

    // Stopped while it speaks, while it waits for a person, and while a tool runs.
    chat.session
        .process
        .prompt(&turn_id(5), "slow 20")
        .await
        .unwrap();
    let begun = chat.until(5, |seen| seen.ops.len() > 5).await;
    assert_eq!(
        chat.session.process.prompt(&turn_id(6), "say no").await,
        Err(opencode_driver::DriverError::Busy)
    );
    chat.session.process.abort(&turn_id(5)).await.unwrap();
    let seen = chat.follow(5, &[]).await;
    assert_eq!(seen.end().outcome, TurnState::Cancelled);
    assert!(!support::texts(begun.shown.parts()).is_empty());
    assert!(
        seen.texts()
            .concat()
            .starts_with(&support::texts(begun.shown.parts()).concat()),
        "what was said before the stop is kept"
    );

    chat.session
        .process
        .prompt(&turn_id(6), "run sleep 100")
        .await
        .unwrap();
    let asked = chat.until(6, |seen| !seen.asked.is_empty()).await;
    chat.session.process.abort(&turn_id(6)).await.unwrap();
    let seen = chat.follow(6, &[]).await;
    assert_eq!(
        (seen.end().outcome, &seen.closed),
        (TurnState::Cancelled, &asked.asked.into_keys().collect())
    );

    chat.session
        .process
        .prompt(&turn_id(7), "run echo begun; sleep 100")
        .await
        .unwrap();
    let asked = chat.until(7, |seen| !seen.asked.is_empty()).await;
    chat.session
        .process
        .reply(asked.asked.keys().next().unwrap(), AskAnswer::Once)
        .await
        .unwrap();
    chat.until(7, |seen| {
        seen.ops
            .iter()
            .any(|op| matches!(op, ChunkOp::Append { delta, .. } if delta.contains("begun")))
    })
    .await;
    chat.session.process.abort(&turn_id(7)).await.unwrap();
    assert_eq!(
        chat.follow(7, &[]).await.end().outcome,
        TurnState::Cancelled
    );

    // Stopping what is over changes nothing, and the conversation goes on.
    chat.session.process.abort(&turn_id(7)).await.unwrap();
    let seen = chat.turn(8, "say still here", &[]).await;
    assert_eq!(seen.texts(), ["still here"]);

    // The same turn again is not answered again.
    let answered = bench.model.answered();
    let again = chat.turn(8, "say still here", &[]).await;
    assert_eq!(
        (again.texts(), again.end().outcome),
        (vec!["still here"], TurnState::Completed)
    );
    again.assert_streamed_is_final();
    assert_eq!(bench.model.answered(), answered);

    // A conversation that got too long is summarised; the answer to the message still comes, in one turn.
    let seen = chat.turn(9, "overflow", &[]).await;
    seen.assert_streamed_is_final();
    assert_eq!(
        (seen.end().outcome, seen.texts()),
        (
            TurnState::Completed,
            vec!["The summary made room for this."]
        )
    );
    assert!(seen.end().answer.parts.iter().any(
        |part| matches!(&part.body, PartBody::Notice { text } if text.contains("summarised"))
    ));
    chat.session.process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_a_turn_and_started_again() {
    let bench = Bench::new().await;
    let (mut first, mut other) = tokio::join!(bench.start(1), bench.start(2));

    // Two sessions at once do not mix.
    let (one, two) = tokio::join!(
        first.turn(1, "count 200 1", &[]),
        other.turn(2, "say I am the other one", &[])
    );
    one.assert_streamed_is_final();
    two.assert_streamed_is_final();
    assert_eq!(one.texts().concat().split_whitespace().count(), 200);
    assert_eq!(two.texts(), ["I am the other one"]);

    // Nothing is running: a clean stop, and later the conversation goes on.
    other.session.process.stop().await;
    assert!(other.events.recv().await.is_none(), "a stop is not an exit");

    // kill -9 of opencode in the middle of an answer.
    first
        .session
        .process
        .prompt(&turn_id(3), "slow 20")
        .await
        .unwrap();
    first.until(3, |seen| seen.ops.len() > 5).await;
    support::kill(support::process_called(
        &bench.home.path().join("work"),
        "/opencode",
    ));
    let reason = loop {
        match first.next().await {
            DriverEvent::Exited { reason } => break reason,
            DriverEvent::Chunk { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(reason.starts_with("ended by signal 9"), "{reason}");
    let id = first.session.agent_session_id.clone();
    drop(first);

    let again = |chat, id| SessionSpec {
        agent_session_id: Some(id),
        ..bench.spec(chat)
    };
    let mut chat = Chat::start(&bench.driver, again(1, id.clone())).await;
    assert_eq!(chat.session.agent_session_id, id);
    let process = &chat.session.process;
    assert!(
        matches!(process.recall(&turn_id(1)).await.unwrap(), TurnRecall::Finished(end) if end.answer == one.end().answer)
    );
    assert!(matches!(
        process.recall(&turn_id(3)).await.unwrap(),
        TurnRecall::Unfinished(_)
    ));
    assert_eq!(
        process.recall(&turn_id(4)).await.unwrap(),
        TurnRecall::Absent
    );
    let seen = chat.turn(4, "recall", &[]).await;
    seen.assert_streamed_is_final();
    assert!(
        seen.texts().concat().contains("1. count 200 1\n2. slow 20"),
        "{:?}",
        seen.texts()
    );
    chat.session.process.stop().await;

    // A conversation that opencode has lost begins anew, under another name.
    let lost_id = "ses_000000000000Lost000000000".to_owned();
    let spec = SessionSpec {
        model: Some("demo/no-such-model".to_owned()),
        ..again(3, lost_id.clone())
    };
    let mut lost = Chat::start(&bench.driver, spec).await;
    assert_ne!(lost.session.agent_session_id, lost_id);

    // A model that is not there fails the turn and says which.
    let seen = lost.turn(5, "say anything", &[]).await;
    assert_eq!(seen.end().outcome, TurnState::Failed);
    assert!(
        seen.end()
            .reason
            .as_ref()
            .unwrap()
            .contains("no-such-model"),
        "{:?}",
        seen.end()
    );
    lost.session.process.stop().await;
    assert_eq!(support::processes_of(bench.home.path()), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confined_opencode_writes_where_it_works_and_nowhere_else() {
    let bench = Bench::new().await;
    let outside = tempfile::tempdir().unwrap();
    let spec = SessionSpec {
        sandbox: Sandbox::Workspace,
        ask_first: false,
        ..bench.spec(1)
    };
    let mut chat = Chat::start(&bench.driver, spec).await;
    let seen = chat
        .turn(1, "run echo mine > inside.txt", &[AskAnswer::Once])
        .await;
    assert_eq!(seen.tools()[0].state, ToolState::Completed, "{seen:?}");
    let inside = std::fs::read_to_string(bench.work().join("inside.txt"));
    assert_eq!(inside.unwrap(), "mine\n");

    let forbidden = outside.path().join("outside.txt");
    let command = format!("run echo theirs > {}", forbidden.display());
    let seen = chat
        .turn(2, &command, &[AskAnswer::Once, AskAnswer::Once])
        .await;
    let output = seen.tools()[0].output.clone().unwrap_or_default();
    assert!(output.contains("Permission denied"), "{seen:?}");
    assert!(!forbidden.exists());

    // Temporary files have a place of their own, and reading is free.
    let seen = chat
        .turn(
            3,
            "run cat $(mktemp) /etc/hostname && echo fine",
            &[AskAnswer::Once, AskAnswer::Once],
        )
        .await;
    let output = seen.tools()[0].output.clone().unwrap_or_default();
    assert!(output.contains("fine"), "{seen:?}");
    chat.session.process.stop().await;
    assert_eq!(support::processes_of(bench.home.path()), Vec::<u32>::new());
}
