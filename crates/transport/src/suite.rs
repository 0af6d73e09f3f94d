//! The suite that every transport passes: one story of a machine and a person, and what must be refused.
//! Call [`run`] from a test, with a transport to an empty backend.

use std::sync::Arc;

use futures::StreamExt;
use protocol::ErrorCode;
use protocol::functions::{
    Connect, CreateMachine, EndSession, Function, Kind, ListMachines, ReadInbox, ReadTranscript,
    RegisterMachine, RegisterWorker, ReportSession, SendMessage, StartSession, TakeTurn, ViewChat,
    WriteMessage,
};
use protocol::ids::TurnId;
use protocol::secret::Secret;
use protocol::state::{ChatState, TurnState};
use protocol::transcript::Transcript;
use protocol::wire::{
    ChatArgs, ChatView, Chunk, ChunkOp, ConnectArgs, ConnectReply, CreateMachineArgs, DeltaKind,
    EndSessionArgs, FullMessage, Inbox, MachineCredentials, NoArgs, Part, PartBody, Presence,
    RegisterMachineArgs, RegisterWorkerArgs, ReportSessionArgs, SendMessageArgs, StartSessionArgs,
    TranscriptArgs, TurnArgs, WIRE_VERSION, WorkerSettings, WriteMessageArgs,
};

use crate::{Append, Call, Transport, TransportError, Values, new_key, new_secret};

/// Tells the story to a transport. `owner` is the credential of the backend's owner.
///
/// # Panics
/// When the transport or the backend behind it does something else than the contract says.
pub async fn run(transport: Arc<dyn Transport>, owner: Secret) {
    let cast = Cast { transport, owner };
    cast.refuses_what_it_should().await;
    cast.repeats_replies().await;
    let machine = cast.register().await;
    let first = cast.connect(&machine, new_secret("omn")).await;
    cast.tells_one_turn(&machine, &first).await;
    cast.fences(&machine, &first).await;
}

struct Cast {
    transport: Arc<dyn Transport>,
    owner: Secret,
}

impl Cast {
    async fn call<F: Function>(
        &self,
        args: F::Args,
        credential: Option<&Secret>,
    ) -> Result<F::Reply, TransportError> {
        let key = (F::KIND == Kind::Mutation).then(new_key);
        let args = serde_json::to_value(args).expect("wire types are JSON");
        let call = Call {
            function: F::NAME.to_owned(),
            args,
            key,
            credential: credential.cloned(),
        };
        let reply = self.transport.call(call).await?;
        Ok(serde_json::from_value(reply).expect("the reply's type"))
    }

    async fn person<F: Function>(&self, args: F::Args) -> F::Reply {
        self.call::<F>(args, Some(&self.owner))
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", F::NAME))
    }

    async fn refuses_what_it_should(&self) {
        assert_eq!(
            code(self.call::<ListMachines>(NoArgs {}, None).await),
            ErrorCode::Unauthenticated
        );
        assert_eq!(
            code(self.call::<ReadInbox>(NoArgs {}, Some(&self.owner)).await),
            ErrorCode::Forbidden
        );
        let unknown = Secret::new("ork_0000");
        let register = RegisterMachineArgs {
            registration_key: unknown,
            nonce: None,
            info: Default::default(),
        };
        assert_eq!(
            code(self.call::<RegisterMachine>(register, None).await),
            ErrorCode::Unauthenticated
        );
        let call = Call {
            function: "no.such".to_owned(),
            args: serde_json::json!({}),
            key: None,
            credential: None,
        };
        assert_eq!(code(self.transport.call(call).await), ErrorCode::NotFound);
        let mut refused = self
            .transport
            .watch("machine.list", serde_json::json!({}), None);
        assert_eq!(
            code(refused.next().await.expect("an end")),
            ErrorCode::Unauthenticated
        );
        assert!(
            refused.next().await.is_none(),
            "a watch ends with its first error"
        );
    }

    async fn repeats_replies(&self) {
        let key = Some(new_key());
        let create = |name: &str, key: &Option<_>| Call {
            function: CreateMachine::NAME.to_owned(),
            args: serde_json::json!({ "name": name }),
            key: key.clone(),
            credential: Some(self.owner.clone()),
        };
        let first = self
            .transport
            .call(create("box", &key))
            .await
            .expect("a machine");
        assert_eq!(
            self.transport
                .call(create("box", &key))
                .await
                .expect("the same"),
            first
        );
        assert_eq!(
            code(self.transport.call(create("other", &key)).await),
            ErrorCode::Conflict
        );
        assert_eq!(
            self.person::<ListMachines>(NoArgs {}).await.machines.len(),
            1
        );
    }

    async fn register(&self) -> MachineCredentials {
        let key = self
            .person::<CreateMachine>(CreateMachineArgs {
                name: "box".to_owned(),
            })
            .await
            .registration_key;
        let args = RegisterMachineArgs {
            registration_key: key,
            nonce: None,
            info: Default::default(),
        };
        let machine = self
            .call::<RegisterMachine>(args.clone(), None)
            .await
            .expect("a fresh key registers");
        assert_eq!(
            code(self.call::<RegisterMachine>(args, None).await),
            ErrorCode::Expired,
            "a key works once"
        );
        machine
    }

    async fn connect(&self, machine: &MachineCredentials, nonce: Secret) -> ConnectReply {
        let args = ConnectArgs {
            machine_id: machine.machine_id.clone(),
            secret: machine.secret.clone(),
            wire_version: WIRE_VERSION,
            nonce: Some(nonce),
            info: Default::default(),
        };
        let reply = self
            .call::<Connect>(args.clone(), None)
            .await
            .expect("a machine connects");
        let again = self
            .call::<Connect>(args.clone(), None)
            .await
            .expect("the same connection");
        assert_eq!(
            (again.epoch, &again.connection_token),
            (reply.epoch, &reply.connection_token)
        );
        let wrong = ConnectArgs {
            secret: Secret::new("wrong"),
            ..args
        };
        assert_eq!(
            code(self.call::<Connect>(wrong, None).await),
            ErrorCode::Unauthenticated
        );
        reply
    }

    async fn tells_one_turn(&self, machine: &MachineCredentials, connection: &ConnectReply) {
        let token = &connection.connection_token;
        let mut inboxes =
            self.transport
                .watch("machine.inbox", serde_json::json!({}), Some(token.clone()));
        let directory = RegisterWorkerArgs {
            machine_id: machine.machine_id.clone(),
            directory: "repo".to_owned(),
            name: None,
            settings: WorkerSettings::default(),
        };
        let worker = self.person::<RegisterWorker>(directory).await;
        let start = StartSessionArgs {
            worker_id: worker.id,
            title: None,
            model: None,
            agent: None,
            own_worktree: false,
            continues: None,
        };
        let chat = self.person::<StartSession>(start).await.chat_session_id;
        let mut views = self.transport.watch(
            "worker.chat.view",
            serde_json::json!({ "chatSessionId": chat }),
            Some(self.owner.clone()),
        );

        for (seq, state) in [(1, ChatState::Starting), (2, ChatState::Ready)] {
            let report = ReportSessionArgs {
                chat_session_id: chat.clone(),
                state,
                reason: None,
                agent_session_id: None,
                seq,
            };
            self.call::<ReportSession>(report, Some(token))
                .await
                .expect("a report");
        }
        let message = "What is \u{1F980}?".to_owned();
        let sent = SendMessageArgs {
            chat_session_id: chat.clone(),
            message: message.clone(),
        };
        let turn = self.person::<SendMessage>(sent).await.turn.id;
        until(&mut inboxes, |inbox: &Inbox| {
            inbox
                .chats
                .iter()
                .any(|chat| chat.turn.as_ref().is_some_and(|next| next.id == turn))
        })
        .await;

        let taken = self
            .call::<TakeTurn>(
                TurnArgs {
                    turn_id: turn.clone(),
                },
                Some(token),
            )
            .await
            .expect("the turn");
        assert_eq!(
            (taken.state, taken.message),
            (TurnState::Delivered, message)
        );
        let whole = self.streams(&turn, connection).await;
        let answer = FullMessage {
            parts: whole.parts().to_vec(),
            hash: whole.hash(),
            usage: None,
            model: None,
        };
        let done = WriteMessageArgs {
            turn_id: turn.clone(),
            outcome: TurnState::Completed,
            reason: None,
            failure: None,
            answer,
        };
        self.call::<WriteMessage>(done.clone(), Some(token))
            .await
            .expect("the answer");
        self.call::<WriteMessage>(done, Some(token))
            .await
            .expect("the same answer again");
        let view = until(&mut views, |view: &ChatView| {
            view.turns
                .iter()
                .all(|turn| turn.state == TurnState::Completed)
        })
        .await;
        assert_eq!(view.turns[0].hash.as_deref(), Some(whole.hash().as_str()));

        let page = TranscriptArgs {
            chat_session_id: chat.clone(),
            before_ordinal: None,
            turn_ids: None,
        };
        let page = self.person::<ReadTranscript>(page).await;
        assert_eq!(
            page.turns[0]
                .answer
                .as_ref()
                .map(|answer| &answer.parts[..]),
            Some(whole.parts())
        );
        self.person::<EndSession>(EndSessionArgs {
            chat_session_id: chat.clone(),
            discard_worktree: false,
        })
        .await;
        assert_eq!(
            self.person::<ViewChat>(ChatArgs {
                chat_session_id: chat
            })
            .await
            .chat
            .state,
            ChatState::Closed
        );
    }

    /// Appends chunks in three batches, repeats one, leaves one out, and reads them back both ways.
    async fn streams(&self, turn: &TurnId, connection: &ConnectReply) -> Transcript {
        let mut live = self.transport.read(turn, Some(self.owner.clone()), true);
        let texts = ["The crab ", "\u{1F980} is ", "Ferris."];
        let mut whole = Transcript::default();
        for (seq, text) in (0..).zip(texts) {
            let op = ChunkOp::Append {
                part: "p".to_owned(),
                kind: DeltaKind::Text,
                delta: text.to_owned(),
            };
            whole.apply_op(&op);
            let append = self.append(turn, connection, connection.epoch, seq, op);
            self.transport
                .append(append.clone())
                .await
                .expect("an append");
            self.transport
                .append(append)
                .await
                .expect("a repeated append is acked");
        }
        let hash = whole.hash();
        let late = ChunkOp::Seal {
            outcome: TurnState::Completed,
            hash: hash.clone(),
        };
        let gap = self.append(turn, connection, connection.epoch, 9, late.clone());
        assert_eq!(
            code(self.transport.append(gap).await),
            ErrorCode::Conflict,
            "a gap is refused"
        );
        let stale = self.append(turn, connection, connection.epoch - 1, 0, late.clone());
        assert_eq!(
            code(self.transport.append(stale).await),
            ErrorCode::StaleEpoch
        );
        self.transport
            .append(self.append(turn, connection, connection.epoch, 3, late))
            .await
            .expect("the seal");

        let mut read = Transcript::default();
        while !read.is_sealed() {
            for chunk in live.next().await.expect("more chunks").expect("no error") {
                read.apply(&chunk);
            }
        }
        assert_eq!(read.hash(), hash, "live");
        let mut again = Transcript::default();
        let mut pages = self.transport.read(turn, Some(self.owner.clone()), false);
        while let Some(page) = pages.next().await {
            for chunk in page.expect("no error") {
                again.apply(&chunk);
            }
        }
        assert_eq!(again, read, "caught up");
        let expected = Part {
            id: "p".to_owned(),
            body: PartBody::Text {
                text: texts.concat(),
            },
        };
        assert_eq!(read.parts(), [expected]);
        read
    }

    fn append(
        &self,
        turn: &TurnId,
        connection: &ConnectReply,
        epoch: u64,
        seq: u64,
        op: ChunkOp,
    ) -> Append {
        let chunks = vec![Chunk {
            turn: turn.clone(),
            seq,
            op,
        }];
        Append {
            turn_id: turn.clone(),
            credential: connection.connection_token.clone(),
            epoch,
            seq,
            chunks,
        }
    }

    /// A second process takes over: the first one's calls are refused and its watch ends.
    async fn fences(&self, machine: &MachineCredentials, first: &ConnectReply) {
        let token = Some(first.connection_token.clone());
        let mut watched =
            self.transport
                .watch("machine.inbox", serde_json::json!({}), token.clone());
        let _: Inbox = until(&mut watched, |_| true).await;
        let second = self.connect(machine, new_secret("omn")).await;
        assert!(second.epoch > first.epoch);
        assert_eq!(
            code(self.call::<ReadInbox>(NoArgs {}, token.as_ref()).await),
            ErrorCode::StaleEpoch
        );
        loop {
            match watched.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    break assert_eq!(
                        error.refusal().map(|error| error.code),
                        Some(ErrorCode::StaleEpoch)
                    );
                }
                None => panic!("the watch of a fenced connection ends with an error"),
            }
        }
        let machines = self.person::<ListMachines>(NoArgs {}).await.machines;
        let online = machines.iter().any(|machine| matches!(machine.presence, Presence::Online { epoch, .. } if epoch == second.epoch));
        assert!(online, "{machines:?}");
    }
}

/// The first value of a watch for which the condition holds.
async fn until<T: serde::de::DeserializeOwned>(
    values: &mut Values,
    holds: impl Fn(&T) -> bool,
) -> T {
    loop {
        let value = values
            .next()
            .await
            .expect("the watch goes on")
            .expect("no error");
        let value = serde_json::from_value(value).expect("the watch's type");
        if holds(&value) {
            return value;
        }
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, TransportError>) -> ErrorCode {
    match result {
        Err(TransportError::Refused(error)) => error.code,
        other => panic!("a refusal was expected, not {other:?}"),
    }
}
