//! The real agent, with a driver that does what the test says, on a deployment.

use std::sync::Arc;

use agent::Agent;
use futures::StreamExt;
use protocol::agent::ExitReason;
use protocol::driver::TurnRecall;
use protocol::functions::{
    CreateMachine, ReadTranscript, RegisterMachine, RegisterWorker, SendMessage, StartSession,
};
use protocol::ids::{ChatSessionId, TurnId};
use protocol::state::TurnState;
use protocol::transcript::{Applied, Transcript};
use protocol::wire::{
    ChatView, CreateMachineArgs, MachineCredentials, Part, RegisterMachineArgs, RegisterWorkerArgs,
    SendMessageArgs, StartSessionArgs, TranscriptArgs, WorkerSettings,
};
use serde_json::json;
use transport::{Transport, Values, new_secret};

use crate::double::{Double, completed, end, parts, text};
use crate::support::{Bridge, ask, until, within};

/// A deployment with one machine, one worker and one chat session, and a root directory.
struct Stage {
    bridge: Bridge,
    /// The person's.
    transport: Arc<dyn Transport>,
    credentials: MachineCredentials,
    chat: ChatSessionId,
    views: Values,
    root: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        let bridge = Bridge::start().await;
        let transport = bridge.transport();
        let owner = bridge.owner();
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("repo")).unwrap();
        let machine = CreateMachineArgs {
            name: "box".to_owned(),
        };
        let key = ask::<CreateMachine>(transport.as_ref(), machine, Some(&owner)).await;
        let register = RegisterMachineArgs {
            registration_key: key.registration_key,
            nonce: Some(new_secret("omn")),
            info: Default::default(),
        };
        let credentials = ask::<RegisterMachine>(transport.as_ref(), register, None).await;
        let worker = RegisterWorkerArgs {
            machine_id: key.machine_id,
            directory: "repo".to_owned(),
            name: None,
            settings: WorkerSettings::default(),
        };
        let worker = ask::<RegisterWorker>(transport.as_ref(), worker, Some(&owner)).await;
        let start = StartSessionArgs {
            worker_id: worker.id,
            title: None,
            model: None,
            agent: None,
            own_worktree: false,
            continues: None,
        };
        let chat = ask::<StartSession>(transport.as_ref(), start, Some(&owner))
            .await
            .chat_session_id;
        let views = transport.watch(
            "worker.chat.view",
            json!({ "chatSessionId": chat }),
            Some(owner),
        );
        Self {
            bridge,
            transport,
            credentials,
            chat,
            views,
            root,
        }
    }

    /// As a process of its own would have it: with its own connections.
    fn agent(&self, double: &Double) -> Agent {
        Agent::builder(self.credentials.clone(), self.root.path())
            .transport(self.bridge.transport())
            .driver(Arc::new(double.clone()))
            .start()
            .unwrap()
    }

    async fn send(&self, message: &str) -> TurnId {
        let args = SendMessageArgs {
            chat_session_id: self.chat.clone(),
            message: message.to_owned(),
        };
        let owner = self.bridge.owner();
        ask::<SendMessage>(self.transport.as_ref(), args, Some(&owner))
            .await
            .turn
            .id
    }

    async fn until(&mut self, holds: impl Fn(&ChatView) -> bool) -> ChatView {
        // The person's watch may be lost with the network; a person's program opens it again.
        until(&mut self.views, holds).await
    }

    async fn until_ended(&mut self) -> ChatView {
        self.until(|view| {
            view.turns
                .last()
                .is_some_and(|turn| turn.state.is_terminal())
        })
        .await
    }

    async fn answer(&self) -> Vec<Part> {
        let args = TranscriptArgs {
            chat_session_id: self.chat.clone(),
            before_ordinal: None,
            turn_ids: None,
        };
        let owner = self.bridge.owner();
        let page = ask::<ReadTranscript>(self.transport.as_ref(), args, Some(&owner)).await;
        let answer = page.turns.last().and_then(|turn| turn.answer.clone());
        answer.map(|answer| answer.parts).unwrap_or_default()
    }

    /// What was streamed of a turn, live or after it; each chunk is the next one, and nothing comes twice.
    async fn streamed(&self, turn: &TurnId, live: bool) -> Vec<Part> {
        let mut pages = self.transport.read(turn, Some(self.bridge.owner()), live);
        let mut transcript = Transcript::default();
        while let Some(page) = within(pages.next()).await {
            for chunk in page.unwrap() {
                assert_eq!(transcript.apply(&chunk), Applied::Yes, "{chunk:?}");
            }
        }
        assert!(transcript.is_sealed());
        transcript.parts().to_vec()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_answered() {
    let mut stage = Stage::new().await;
    let (double, mut prompts) = Double::new();
    let agent = stage.agent(&double);
    let sent = stage.send("What is 🦀?").await;
    let prompt = within(prompts.recv()).await.unwrap();
    assert_eq!((&prompt.turn, prompt.text.as_str()), (&sent, "What is 🦀?"));
    for word in ["A ", "🦀 ", "is a crab."] {
        prompt.events.send(text(&sent, word)).await.unwrap();
    }
    let live = stage.streamed(&sent, true);
    let (streamed, ()) = tokio::join!(live, async {
        prompt
            .events
            .send(completed(&sent, "A 🦀 is a crab."))
            .await
            .unwrap();
    });
    assert_eq!(streamed, parts("A 🦀 is a crab."));
    let view = stage.until_ended().await;
    assert_eq!(view.turns[0].state, TurnState::Completed);
    assert_eq!(stage.answer().await, parts("A 🦀 is a crab."));
    assert_eq!(stage.streamed(&sent, false).await, parts("A 🦀 is a crab."));
    agent.stop().await;
}

/// More appends than lie before a reader's cursor, so that it moves several times.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_is_read_live_and_whole() {
    let mut stage = Stage::new().await;
    let (double, mut prompts) = Double::new();
    let _agent = stage.agent(&double);
    let turn = stage.send("count").await;
    let prompt = within(prompts.recv()).await.unwrap();
    stage
        .until(|view| view.turns[0].state == TurnState::Delivered)
        .await;
    let whole: String = (0..60).map(|n| format!("{n:-^16000}\n")).collect();
    let events = async {
        for line in whole.split_inclusive('\n') {
            prompt.events.send(text(&turn, line)).await.unwrap();
        }
        prompt.events.send(completed(&turn, &whole)).await.unwrap();
    };
    let (streamed, ()) = tokio::join!(stage.streamed(&turn, true), events);
    assert_eq!(streamed, parts(&whole));
    stage.until_ended().await;
    assert_eq!(stage.streamed(&turn, false).await, parts(&whole));
    let appends = stage.bridge.table("chunks").await.len();
    assert!(appends > 32, "{appends} appends do not move a cursor");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_streamed_through_cuts_arrives_once() {
    let mut stage = Stage::new().await;
    let (double, mut prompts) = Double::new();
    let _agent = stage.agent(&double);
    let turn = stage.send("count").await;
    let prompt = within(prompts.recv()).await.unwrap();
    for when in ["after", "before"] {
        let fault = json!({ "when": when, "function": "worker/chat:writeChunk" });
        stage.bridge.control("drop", fault).await;
    }
    prompt.events.send(text(&turn, "1 ")).await.unwrap();
    stage
        .until(|view| view.turns[0].state == TurnState::Streaming)
        .await;
    stage.bridge.control("restart", json!({ "ms": 300 })).await;
    for n in 2..40 {
        prompt
            .events
            .send(text(&turn, &format!("{n} ")))
            .await
            .unwrap();
    }
    let whole: String = (1..40).map(|n| format!("{n} ")).collect();
    let fault = json!({ "when": "after", "function": "worker/chat:writeMessage" });
    stage.bridge.control("drop", fault).await;
    prompt.events.send(completed(&turn, &whole)).await.unwrap();
    let view = stage.until_ended().await;
    assert_eq!(view.turns[0].state, TurnState::Completed);
    assert_eq!(stage.answer().await, parts(&whole));
    assert_eq!(stage.streamed(&turn, false).await, parts(&whole));
    assert_eq!(stage.bridge.table("turns").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_and_restarted_agent_reports_what_is_finished_and_interrupts_what_is_not() {
    for finished in [true, false] {
        let mut stage = Stage::new().await;
        let (double, mut prompts) = Double::new();
        let mut killed = stage.agent(&double);
        let turn = stage.send("go").await;
        let prompt = within(prompts.recv()).await.unwrap();
        prompt.events.send(text(&turn, "so far")).await.unwrap();
        stage
            .until(|view| view.turns[0].state == TurnState::Streaming)
            .await;
        // Without a goodbye: the next one fences it.
        let (double, _prompts) = Double::new();
        double.remember(
            &turn,
            match finished {
                true => TurnRecall::Finished(end("so far and further")),
                false => TurnRecall::Unfinished(end("").answer),
            },
        );
        let _agent = stage.agent(&double);
        let reason = within(killed.ended()).await;
        assert!(matches!(reason, ExitReason::Fenced(_)), "{reason:?}");
        let view = stage.until_ended().await;
        if finished {
            assert_eq!(view.turns[0].state, TurnState::Completed);
            assert_eq!(stage.answer().await, parts("so far and further"));
        } else {
            assert_eq!(view.turns[0].state, TurnState::Interrupted);
            assert_eq!(stage.answer().await, parts("so far"));
        }
    }
}
