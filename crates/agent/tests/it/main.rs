//! The agent's loop with the real cores, a backend in memory and a driver that does what a test tells it.

#![allow(clippy::unwrap_used)]

mod commands;
mod double;

use double::{Double, Stage, Told, ask, ended, message, text};
use opencode_driver::DriverError;
use protocol::agent::ExitReason;
use protocol::driver::{DriverEvent, TurnRecall};
use protocol::functions::{AnswerAsk, CancelTurn, EndSession, ReadTranscript};
use protocol::state::{ChatState, TurnState};
use protocol::wire::{
    AnswerAskArgs, AskAnswer, AskBody, EndSessionArgs, Part, PartBody, TranscriptArgs, TurnArgs,
};
use tokio::sync::mpsc;

async fn prompt(
    heard: &mut mpsc::Receiver<Told>,
) -> (protocol::ids::TurnId, String, mpsc::Sender<DriverEvent>) {
    match heard.recv().await {
        Some(Told::Prompt(turn, text, events)) => (turn, text, events),
        other => panic!("a prompt was expected, not {other:?}"),
    }
}

async fn answer(stage: &Stage) -> Vec<Part> {
    let args = TranscriptArgs {
        chat_session_id: stage.chat.clone(),
        before_ordinal: None,
        turn_ids: None,
    };
    let page = ask::<ReadTranscript>(&stage.backend, args).await;
    page.turns
        .last()
        .and_then(|turn| turn.answer.clone())
        .map(|answer| answer.parts)
        .unwrap_or_default()
}

#[tokio::test]
async fn a_message_is_answered_and_what_was_queued_behind_it_follows_in_order() {
    let (stage, (double, mut heard)) = (Stage::new().await, Double::new());
    let _agent = stage.agent(&double);
    let (first, second) = (stage.send("one").await, stage.send("two").await);
    for (expected, said) in [(first, "one"), (second, "two")] {
        let (turn, asked, events) = prompt(&mut heard).await;
        assert_eq!((&turn, asked.as_str()), (&expected, said));
        events.send(text(&turn, "fine")).await.unwrap();
        events
            .send(ended(&turn, TurnState::Completed, "fine"))
            .await
            .unwrap();
    }
    let view = stage
        .until(|view| view.turns.iter().all(|turn| turn.state.is_terminal()))
        .await;
    assert!(
        view.turns
            .iter()
            .all(|turn| turn.state == TurnState::Completed),
        "{view:?}"
    );
    assert_eq!(view.chat.state, ChatState::Ready);
}

#[tokio::test]
async fn what_is_streamed_while_the_network_is_cut_arrives_afterwards_once() {
    let (stage, (double, mut heard)) = (Stage::new().await, Double::new());
    let _agent = stage.agent(&double);
    stage.send("count").await;
    let (turn, _, events) = prompt(&mut heard).await;
    events.send(text(&turn, "1 ")).await.unwrap();
    stage
        .until(|view| view.turns[0].state == TurnState::Streaming)
        .await;
    stage.backend.set_offline(true);
    for n in 2..40 {
        events.send(text(&turn, &format!("{n} "))).await.unwrap();
    }
    let whole: String = (1..40).map(|n| format!("{n} ")).collect();
    events
        .send(ended(&turn, TurnState::Completed, &whole))
        .await
        .unwrap();
    stage.backend.set_offline(false);
    let view = stage.until_ended().await;
    assert_eq!(view.turns[0].state, TurnState::Completed);
    let expected = Part {
        id: "p".to_owned(),
        body: PartBody::Text { text: whole },
    };
    assert_eq!(answer(&stage).await, std::slice::from_ref(&expected));
    assert_eq!(streamed(&stage, &turn).await, [expected]);
}

async fn streamed(stage: &Stage, turn: &protocol::ids::TurnId) -> Vec<Part> {
    use futures::StreamExt as _;
    use transport::Transport as _;
    let mut pages = stage
        .backend
        .read(turn, Some(stage.backend.owner_token()), false);
    let mut transcript = protocol::transcript::Transcript::default();
    while let Some(page) = pages.next().await {
        for chunk in page.unwrap() {
            assert_eq!(
                transcript.apply(&chunk),
                protocol::transcript::Applied::Yes,
                "{chunk:?}"
            );
        }
    }
    assert!(transcript.is_sealed());
    transcript.parts().to_vec()
}

#[tokio::test]
async fn a_process_that_dies_leaves_an_interrupted_turn_with_what_was_streamed() {
    let (stage, (double, mut heard)) = (Stage::new().await, Double::new());
    let _agent = stage.agent(&double);
    stage.send("go").await;
    let (turn, _, events) = prompt(&mut heard).await;
    events.send(text(&turn, "half an ans")).await.unwrap();
    events
        .send(DriverEvent::Exited {
            reason: "killed by signal 9".to_owned(),
        })
        .await
        .unwrap();
    let view = stage.until_ended().await;
    assert_eq!(view.turns[0].state, TurnState::Interrupted);
    assert_eq!(view.turns[0].reason.as_deref(), Some("killed by signal 9"));
    assert_eq!(answer(&stage).await, message("half an ans").parts);

    // The next message starts a new process.
    stage
        .until(|view| view.chat.state == ChatState::Hibernated)
        .await;
    stage.send("again").await;
    let (turn, asked, events) = prompt(&mut heard).await;
    assert_eq!(asked, "again");
    events
        .send(ended(&turn, TurnState::Completed, "yes"))
        .await
        .unwrap();
    assert_eq!(
        stage.until_ended().await.turns[1].state,
        TurnState::Completed
    );
}

#[tokio::test]
async fn a_restarted_agent_reports_what_is_finished_and_interrupts_what_is_not() {
    for finished in [true, false] {
        let (stage, (double, mut heard)) = (Stage::new().await, Double::new());
        let mut agent = stage.agent(&double);
        stage.send("go").await;
        let (turn, _, events) = prompt(&mut heard).await;
        events.send(text(&turn, "so far")).await.unwrap();
        stage
            .until(|view| view.turns[0].state == TurnState::Streaming)
            .await;
        agent.stop().await;
        assert_eq!(agent.ended().await, ExitReason::Stopped);
        drop(heard);

        let (double, _heard) = Double::new();
        double.remember(
            &turn,
            if finished {
                TurnRecall::Finished(protocol::driver::TurnEnd {
                    outcome: TurnState::Completed,
                    reason: None,
                    failure: None,
                    answer: message("so far and further"),
                })
            } else {
                TurnRecall::Unfinished(message(""))
            },
        );
        let _agent = stage.agent(&double);
        let view = stage.until_ended().await;
        if finished {
            assert_eq!(view.turns[0].state, TurnState::Completed);
            assert_eq!(answer(&stage).await, message("so far and further").parts);
        } else {
            assert_eq!(view.turns[0].state, TurnState::Interrupted);
            assert!(
                view.turns[0]
                    .reason
                    .as_deref()
                    .unwrap()
                    .contains("restarted")
            );
            assert_eq!(answer(&stage).await, message("so far").parts);
        }
    }
}

#[tokio::test]
async fn of_two_agents_with_one_identity_the_newer_goes_on() {
    let (stage, (double, mut heard)) = (Stage::new().await, Double::new());
    let mut older = stage.agent(&double);
    stage
        .until(|view| view.chat.state == ChatState::Ready)
        .await;
    let (other, mut heard_by_other) = Double::new();
    let _newer = stage.agent(&other);
    let reason = older.ended().await;
    let ExitReason::Fenced(error) = &reason else {
        panic!("{reason:?}")
    };
    assert!(error.message.contains("newer one goes on"), "{error}");
    stage.send("who answers?").await;
    let (turn, _, events) = prompt(&mut heard_by_other).await;
    events
        .send(ended(&turn, TurnState::Completed, "the newer"))
        .await
        .unwrap();
    stage.until_ended().await;
    while let Ok(told) = heard.try_recv() {
        assert!(
            !matches!(told, Told::Prompt(..)),
            "the older one was prompted"
        );
    }
}

#[tokio::test]
async fn a_process_that_does_not_start_says_why_and_the_next_message_tries_again() {
    let (stage, (double, mut heard)) = (Stage::new().await, Double::new());
    double.refuse(Some(DriverError::Directory {
        directory: "repo".to_owned(),
        reason: "it is haunted".to_owned(),
    }));
    let _agent = stage.agent(&double);
    let view = stage
        .until(|view| view.chat.state == ChatState::Failed)
        .await;
    assert!(
        view.chat
            .reason
            .as_deref()
            .unwrap()
            .contains("it is haunted")
    );
    stage.send("hello?").await;
    let view = stage.until_ended().await;
    assert_eq!(view.turns[0].state, TurnState::Failed);
    double.refuse(None);
    stage.send("hello!").await;
    let (turn, _, events) = prompt(&mut heard).await;
    events
        .send(ended(&turn, TurnState::Completed, "hi"))
        .await
        .unwrap();
    assert_eq!(
        stage.until_ended().await.turns[1].state,
        TurnState::Completed
    );
}

#[tokio::test]
async fn a_running_turn_is_stopped_and_an_ended_session_ends_its_process() {
    let (stage, (double, mut heard)) = (Stage::new().await, Double::new());
    let _agent = stage.agent(&double);
    let sent = stage.send("work").await;
    let (turn, _, events) = prompt(&mut heard).await;
    assert_eq!(turn, sent);
    events.send(text(&turn, "working")).await.unwrap();
    ask::<CancelTurn>(
        &stage.backend,
        TurnArgs {
            turn_id: turn.clone(),
        },
    )
    .await;
    match heard.recv().await {
        Some(Told::Abort(stopped, events)) => {
            assert_eq!(stopped, turn);
            events
                .send(ended(&turn, TurnState::Cancelled, "working"))
                .await
                .unwrap();
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        stage.until_ended().await.turns[0].state,
        TurnState::Cancelled
    );
    ask::<EndSession>(
        &stage.backend,
        EndSessionArgs {
            chat_session_id: stage.chat.clone(),
            discard_worktree: false,
        },
    )
    .await;
    assert!(matches!(heard.recv().await, Some(Told::Stopped)));
}

#[tokio::test]
async fn an_ask_reaches_the_person_and_the_answer_the_process_once() {
    let (stage, (double, mut heard)) = (Stage::new().await, Double::new());
    let _agent = stage.agent(&double);
    stage.send("delete everything").await;
    let (turn, _, events) = prompt(&mut heard).await;
    let body = AskBody::Permission {
        permission: "bash".to_owned(),
        patterns: vec!["rm -rf".to_owned()],
        detail: String::new(),
        always: Vec::new(),
    };
    let opened = DriverEvent::AskOpened {
        turn_id: turn.clone(),
        agent_ask_id: "per_1".to_owned(),
        body: body.clone(),
    };
    events.send(opened).await.unwrap();
    let view = stage.until(|view| !view.asks.is_empty()).await;
    assert_eq!(view.asks[0].body, body);
    let answer = AskAnswer::Reject {
        message: Some("no".to_owned()),
    };
    let args = AnswerAskArgs {
        ask_id: view.asks[0].id.clone(),
        answer: answer.clone(),
    };
    ask::<AnswerAsk>(&stage.backend, args).await;
    match heard.recv().await {
        Some(Told::Reply(id, told)) => assert_eq!((id.as_str(), told), ("per_1", answer)),
        other => panic!("{other:?}"),
    }
    events
        .send(ended(&turn, TurnState::Completed, "as you wish"))
        .await
        .unwrap();
    stage.until_ended().await;
    assert!(heard.try_recv().is_err(), "the answer was passed on once");
}

#[tokio::test]
async fn a_backend_that_is_away_holds_the_process_back_and_nothing_is_lost() {
    const PIECE: usize = 8 * 1024;
    const PIECES: usize = 600;
    let (stage, (double, mut heard)) = (Stage::new().await, Double::new());
    let _agent = stage.agent(&double);
    stage.send("a lot").await;
    let (turn, _, events) = prompt(&mut heard).await;
    stage.backend.set_offline(true);
    let piece = "x".repeat(PIECE);
    // The spool holds a mebibyte and each queue 256 events: the rest has to wait.
    let mut accepted = 0;
    while accepted < PIECES {
        match events.try_send(text(&turn, &piece)) {
            Ok(()) => accepted += 1,
            Err(_) => {
                tokio::task::yield_now().await;
                if events.capacity() == 0 {
                    break;
                }
            }
        }
    }
    let feeder = tokio::spawn({
        let (events, turn, piece) = (events.clone(), turn.clone(), piece.clone());
        async move {
            for _ in accepted..PIECES {
                events.send(text(&turn, &piece)).await.unwrap();
            }
            let whole = piece.repeat(PIECES);
            events
                .send(ended(&turn, TurnState::Completed, &whole))
                .await
                .unwrap();
        }
    });
    stage.backend.set_offline(false);
    feeder.await.unwrap();
    assert_eq!(
        stage.until_ended().await.turns[0].state,
        TurnState::Completed
    );
    let expected = Part {
        id: "p".to_owned(),
        body: PartBody::Text {
            text: piece.repeat(PIECES),
        },
    };
    assert_eq!(streamed(&stage, &turn).await, [expected]);
}
