//! A person's side: calls that are repeated until they are answered, and what the page would show.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use protocol::functions::{Function, Kind, ReadTranscript, ViewChat, ViewMachine};
use protocol::ids::{ChatSessionId, MachineId, TurnId};
use protocol::secret::Secret;
use protocol::wire::{
    ChatArgs, ChatView, MachineArgs, MachineView, Presence, TranscriptArgs, TurnRecord,
};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use transport::{Call, Chunks, Transport, TransportError, new_key};

use crate::Failure;

/// The pause between two tries, as the page makes one.
const TRY_AGAIN: Duration = Duration::from_millis(100);
/// How long a call is repeated.
const CALL_LIMIT: Duration = Duration::from_secs(120);

/// A signed-in person.
#[derive(Clone)]
pub(crate) struct Person {
    way: Arc<dyn Transport>,
    token: Secret,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Person").finish_non_exhaustive()
    }
}

impl Person {
    pub(crate) fn new(way: Arc<dyn Transport>, token: Secret) -> Self {
        Self { way, token }
    }

    /// Calls until there is an answer, each time with the same key.
    pub(crate) async fn call<F: Function>(&self, args: &F::Args) -> Result<F::Reply, Failure> {
        let call = Call {
            function: F::NAME.to_owned(),
            args: serde_json::to_value(args)?,
            key: match F::KIND {
                Kind::Mutation => Some(new_key()),
                Kind::Query => None,
            },
            credential: Some(self.token.clone()),
        };
        let deadline = Instant::now() + CALL_LIMIT;
        loop {
            match self.way.call(call.clone()).await {
                Ok(reply) => return Ok(serde_json::from_value(reply)?),
                Err(TransportError::Refused(error)) if !error.is_retryable() => {
                    return Err(format!("{} was refused: {error}", F::NAME).into());
                }
                Err(error) if Instant::now() > deadline => {
                    return Err(format!("{} has no answer: {error}", F::NAME).into());
                }
                Err(_) => tokio::time::sleep(TRY_AGAIN).await,
            }
        }
    }

    /// All turns of a chat session.
    pub(crate) async fn transcript(
        &self,
        chat: &ChatSessionId,
    ) -> Result<Vec<TurnRecord>, Failure> {
        let mut turns: Vec<TurnRecord> = Vec::new();
        loop {
            let args = TranscriptArgs {
                chat_session_id: chat.clone(),
                before_ordinal: turns.first().map(|record| record.turn.ordinal),
                turn_ids: None,
            };
            let mut page = self.call::<ReadTranscript>(&args).await?;
            page.turns.append(&mut turns);
            turns = page.turns;
            if !page.has_earlier || turns.is_empty() {
                return Ok(turns);
            }
        }
    }

    /// A turn's chunks.
    pub(crate) fn chunks(&self, turn: &TurnId, live: bool) -> Chunks {
        self.way.read(turn, Some(self.token.clone()), live)
    }

    /// Shows a value for as long as the handle lives; `None` while it can't be known.
    fn show<F: Function, T: Default + Send + Sync + 'static>(
        &self,
        args: &F::Args,
        note: impl Fn(&mut T, Option<F::Reply>) + Send + 'static,
    ) -> Result<Shown<T>, Failure> {
        let args = serde_json::to_value(args)?;
        let (show, shown) = watch::channel(T::default());
        let person = self.clone();
        let task = tokio::spawn(async move {
            loop {
                let token = Some(person.token.clone());
                let mut values = person.way.watch(F::NAME, args.clone(), token);
                while let Some(Ok(value)) = values.next().await {
                    let value: Result<F::Reply, _> = serde_json::from_value::<F::Reply>(value);
                    show.send_modify(|shown| note(shown, value.ok()));
                }
                show.send_modify(|shown| note(shown, None));
                tokio::time::sleep(TRY_AGAIN).await;
            }
        });
        Ok(Shown {
            shown,
            task: Arc::new(Ended(task)),
        })
    }

    pub(crate) fn show_machine(&self, machine: &MachineId) -> Result<Shown<MachineShown>, Failure> {
        let args = MachineArgs {
            machine_id: machine.clone(),
        };
        self.show::<ViewMachine, MachineShown>(&args, MachineShown::note)
    }

    pub(crate) fn show_chat(&self, chat: &ChatSessionId) -> Result<Shown<ChatShown>, Failure> {
        let args = ChatArgs {
            chat_session_id: chat.clone(),
        };
        self.show::<ViewChat, ChatShown>(&args, ChatShown::note)
    }
}

/// A value that is shown.
#[derive(Debug)]
pub(crate) struct Shown<T> {
    pub(crate) shown: watch::Receiver<T>,
    /// Ends the watch with the last handle.
    task: Arc<Ended>,
}

impl<T> Clone for Shown<T> {
    fn clone(&self) -> Self {
        Self {
            shown: self.shown.clone(),
            task: Arc::clone(&self.task),
        }
    }
}

#[derive(Debug)]
struct Ended(JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A machine as it was shown.
#[derive(Debug, Default)]
pub(crate) struct MachineShown {
    pub(crate) view: Option<MachineView>,
    /// The epoch, while it is shown as online, and since when it is.
    pub(crate) online: Option<(u64, Instant)>,
}

impl MachineShown {
    fn note(&mut self, view: Option<MachineView>) {
        let epoch = view.as_ref().and_then(|view| match view.machine.presence {
            Presence::Online { epoch, .. } => Some(epoch),
            Presence::Never
            | Presence::Draining { .. }
            | Presence::Unknown { .. }
            | Presence::Offline { .. } => None,
        });
        match (epoch, self.online) {
            (Some(now), Some((before, _))) if now == before => {}
            (Some(now), _) => self.online = Some((now, Instant::now())),
            (None, _) => self.online = None,
        }
        self.view = view;
    }
}

/// A chat session as it was shown.
#[derive(Debug, Default)]
pub(crate) struct ChatShown {
    pub(crate) view: Option<ChatView>,
    /// When each turn was first shown as ended.
    pub(crate) ended: BTreeMap<TurnId, Instant>,
}

impl ChatShown {
    fn note(&mut self, view: Option<ChatView>) {
        for turn in view.iter().flat_map(|view| &view.turns) {
            if turn.state.is_terminal() {
                self.ended
                    .entry(turn.id.clone())
                    .or_insert_with(Instant::now);
            }
        }
        self.view = view;
    }
}

/// What a value is in a few words, for the account of a failed round.
pub(crate) fn in_short(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .map_or_else(|error| error.to_string(), |value: Value| value.to_string())
}
