//! A person's side of the product: what the page does.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use protocol::functions::{EndSession, Function, Kind, SendMessage, StartSession, ViewChat};
use protocol::ids::{ChatSessionId, TurnId, WorkerId};
use protocol::secret::Secret;
use protocol::state::{ChatState, TurnState};
use protocol::wire::{
    ChatArgs, ChatView, ChunkOp, DeltaKind, EndSessionArgs, SendMessageArgs, StartSessionArgs,
};
use transport::{Call, Chunks, Transport as _, Values, new_key};
use transport_http::HttpTransport;

use crate::Failure;

/// How long any one step may take.
const LIMIT: Duration = Duration::from_secs(120);

/// A signed-in person.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    http: HttpTransport,
    token: Secret,
}

impl Person {
    pub(crate) fn new(backend: &str, token: Secret) -> Result<Self, Failure> {
        Ok(Self {
            http: HttpTransport::new(backend)?,
            token,
        })
    }

    /// The same person over another connection.
    pub(crate) fn elsewhere(&self, backend: &str) -> Result<Self, Failure> {
        Self::new(backend, self.token.clone())
    }

    pub(crate) async fn call<F: Function>(&self, args: &F::Args) -> Result<F::Reply, Failure> {
        let key = match F::KIND {
            Kind::Mutation => Some(new_key()),
            Kind::Query => None,
        };
        let args = serde_json::to_value(args)?;
        let call = Call {
            function: F::NAME.to_owned(),
            args,
            key,
            credential: Some(self.token.clone()),
        };
        Ok(serde_json::from_value(self.http.call(call).await?)?)
    }

    pub(crate) fn watch<F: Function>(&self, args: &F::Args) -> Result<Values, Failure> {
        Ok(self.http.watch(
            F::NAME,
            serde_json::to_value(args)?,
            Some(self.token.clone()),
        ))
    }

    /// Starts a chat session and watches it, as the page does that shows it.
    pub(crate) async fn start_chat(&self, worker: &WorkerId) -> Result<Chat, Failure> {
        let args = StartSessionArgs {
            worker_id: worker.clone(),
            title: None,
            model: None,
            agent: None,
            own_worktree: false,
            continues: None,
        };
        let chat_session_id = self.call::<StartSession>(&args).await?.chat_session_id;
        let views = self.watch::<ViewChat>(&ChatArgs {
            chat_session_id: chat_session_id.clone(),
        })?;
        Ok(Chat {
            person: self.clone(),
            id: chat_session_id,
            views,
            latest: None,
        })
    }
}

/// A chat session that is shown.
pub(crate) struct Chat {
    person: Person,
    id: ChatSessionId,
    views: Values,
    latest: Option<ChatView>,
}

impl Chat {
    /// Sends a message.
    pub(crate) async fn send(&self, message: &str) -> Result<TurnId, Failure> {
        let args = SendMessageArgs {
            chat_session_id: self.id.clone(),
            message: message.to_owned(),
        };
        Ok(self.person.call::<SendMessage>(&args).await?.turn.id)
    }

    /// Subscribes to a turn's text as soon as it is under way.
    pub(crate) async fn subscribe(&mut self, turn: &TurnId) -> Result<Text, Failure> {
        self.until_turn(turn, |state| state != TurnState::Queued)
            .await?;
        Ok(Text {
            chunks: self
                .person
                .http
                .read(turn, Some(self.person.token.clone()), true),
        })
    }

    /// Waits until a turn has ended; says how.
    pub(crate) async fn ended(&mut self, turn: &TurnId) -> Result<TurnState, Failure> {
        self.until_turn(turn, TurnState::is_terminal).await
    }

    /// Waits until a turn is complete.
    pub(crate) async fn complete(&mut self, turn: &TurnId) -> Result<(), Failure> {
        let state = self.ended(turn).await?;
        if state == TurnState::Completed {
            return Ok(());
        }
        Err(format!("the turn ended as {}", state.as_str()).into())
    }

    /// Sends a message and waits for its whole answer.
    pub(crate) async fn turn(&mut self, message: &str) -> Result<(), Failure> {
        let turn = self.send(message).await?;
        self.complete(&turn).await
    }

    /// Ends the chat session.
    pub(crate) async fn end(self) -> Result<(), Failure> {
        self.person
            .call::<EndSession>(&EndSessionArgs {
                chat_session_id: self.id,
                discard_worktree: false,
            })
            .await?;
        Ok(())
    }

    async fn until_turn(
        &mut self,
        turn: &TurnId,
        is_so: impl Fn(TurnState) -> bool,
    ) -> Result<TurnState, Failure> {
        loop {
            if let Some(view) = &self.latest {
                if view.chat.state == ChatState::Failed {
                    return Err(format!("the chat session failed: {:?}", view.chat.reason).into());
                }
                let known = view.turns.iter().find(|known| &known.id == turn);
                if let Some(state) = known.map(|known| known.state).filter(|state| is_so(*state)) {
                    return Ok(state);
                }
            }
            let value = tokio::time::timeout(LIMIT, self.views.next())
                .await?
                .ok_or("the watch ended")??;
            self.latest = Some(serde_json::from_value(value)?);
        }
    }
}

/// A turn's text as it comes.
pub(crate) struct Text {
    chunks: Chunks,
}

impl Text {
    /// What came next, and when; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<(Instant, String)>, Failure> {
        loop {
            let Some(chunks) = tokio::time::timeout(LIMIT, self.chunks.next()).await? else {
                return Ok(None);
            };
            let arrived = Instant::now();
            let mut text = String::new();
            for chunk in chunks? {
                if let ChunkOp::Append {
                    kind: DeltaKind::Text,
                    delta,
                    ..
                } = chunk.op
                {
                    text.push_str(&delta);
                }
            }
            if !text.is_empty() {
                return Ok(Some((arrived, text)));
            }
        }
    }

    /// When the first word arrives.
    pub(crate) async fn first_word(&mut self) -> Result<Instant, Failure> {
        let (arrived, _) = self.next().await?.ok_or("the turn has no text")?;
        Ok(arrived)
    }
}
