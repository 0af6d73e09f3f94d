//! Following one turn from its sending to its end.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{Either, pending};
use futures::stream::{self, BoxStream};
use protocol::ErrorCode;
use protocol::functions::{AnswerAsk, CancelTurn, ReadTranscript, ViewChat};
use protocol::ids::{AskId, ChatSessionId, TurnId};
use protocol::state::{ChatState, TurnState};
use protocol::wire::{
    AnswerAskArgs, Ask, AskAnswer, AskBody, ChatArgs, ChatView, Chunk, ProcessWait, TranscriptArgs,
    TurnArgs,
};
use serde_json::Value;
use transport::TransportError;

use super::asks::{Prompt, Step};
use super::input::Input;
use super::screen::Screen;
use crate::api::Api;
use crate::cli::Asks;
use crate::exit::{Exit, Failure};
use crate::out::{Look, Out, one_line};
use crate::signals::Signals;

/// The pause before a lost connection is opened again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the last chunks of a turn that is over are waited for; the complete message has them all.
const LAST_CHUNKS_WAIT: Duration = Duration::from_secs(3);

/// How following a turn ended.
#[derive(Debug)]
pub(super) enum Followed {
    /// The turn is over. `typed` are the lines that were typed meanwhile.
    Ended {
        state: TurnState,
        typed: Vec<String>,
    },
    /// The person left.
    Left,
}

/// What is needed to follow a turn.
pub(super) struct Follower<'a> {
    pub(super) api: &'a Api,
    pub(super) chat: &'a ChatSessionId,
    pub(super) turn: &'a TurnId,
    pub(super) out: Out,
    pub(super) asks: Asks,
}

/// What has come of the turn so far.
#[derive(Default)]
struct Progress {
    state: Option<TurnState>,
    chat: Option<ChatState>,
    prompt: Option<Prompt>,
    /// Asks that were answered here, or that a person was told of.
    handled: BTreeSet<AskId>,
    typed: Vec<String>,
    cancel_asked: bool,
    wait: Option<ProcessWait>,
    is_lost: bool,
}

type Read = BoxStream<'static, Result<Vec<Chunk>, TransportError>>;

impl Follower<'_> {
    pub(super) async fn run(
        self,
        screen: &mut Screen,
        input: &mut Input,
        signals: &mut Signals,
    ) -> Result<Followed, Failure> {
        screen.begin();
        let mut progress = Progress::default();
        let mut views = self.views();
        let mut chunks: Option<Read> = None;
        let mut has_all_chunks = false;
        loop {
            if progress.state.is_some_and(TurnState::is_terminal) {
                if !has_all_chunks {
                    self.last_chunks(chunks.take(), screen).await?;
                }
                return self.finish(progress, screen).await;
            }
            tokio::select! {
                value = views.next() => match value {
                    Some(Ok(value)) => {
                        let view: ChatView = serde_json::from_value(value)
                            .map_err(|error| Failure::new(Exit::Upgrade, format!("The backend's answer can't be read ({error}).")))?;
                        progress.is_lost = false;
                        self.on_view(&view, &mut progress, screen).await?;
                        let is_answering = matches!(progress.state, Some(TurnState::Delivered | TurnState::Streaming));
                        if is_answering && chunks.is_none() && !has_all_chunks {
                            chunks = Some(self.api.chunks(self.turn));
                        }
                    }
                    Some(Err(error)) => {
                        self.on_lost(error, &mut progress, screen)?;
                        views = self.views_after_pause();
                    }
                    None => views = self.views_after_pause(),
                },
                read = next_chunks(&mut chunks) => match read {
                    Some(Ok(read)) => {
                        screen.is_covered();
                        read.iter().try_for_each(|chunk| screen.chunk(chunk))?;
                        if let Some(prompt) = progress.prompt.as_ref().filter(|_| screen.is_covered()) {
                            screen.say("")?;
                            self.out.say_piece(&prompt.show(self.out));
                        }
                    }
                    Some(Err(error)) => {
                        // From the beginning again: what has been shown is known by its number.
                        let is_there = !matches!(error.refusal(), Some(refused) if refused.code == ErrorCode::NotFound);
                        chunks = is_there.then(|| after_pause(self.api.chunks(self.turn)));
                        has_all_chunks = !is_there;
                    }
                    None => {
                        chunks = None;
                        has_all_chunks = true;
                    }
                },
                line = input.line_while_open() => self.on_line(line, &mut progress, screen).await?,
                () = signals.next() => {
                    if progress.cancel_asked {
                        return Ok(Followed::Left);
                    }
                    self.cancel(&mut progress, screen).await?;
                }
            }
        }
    }

    fn views(&self) -> BoxStream<'static, Result<Value, TransportError>> {
        self.api.watch::<ViewChat>(&ChatArgs {
            chat_session_id: self.chat.clone(),
        })
    }

    fn views_after_pause(&self) -> BoxStream<'static, Result<Value, TransportError>> {
        after_pause(self.views())
    }

    fn on_lost(
        &self,
        error: TransportError,
        progress: &mut Progress,
        screen: &mut Screen,
    ) -> Result<(), Failure> {
        match &error {
            TransportError::Lost(why) => {
                if !std::mem::replace(&mut progress.is_lost, true) {
                    screen.say(&format!(
                        "{} the backend can't be reached ({why}); trying again.",
                        self.out.talk(Look::Warn, "lost:")
                    ))?;
                }
                Ok(())
            }
            TransportError::Refused(refused) if refused.is_retryable() => Ok(()),
            TransportError::Refused(_) => Err(self.api.failure(error)),
        }
    }

    async fn on_view(
        &self,
        view: &ChatView,
        progress: &mut Progress,
        screen: &mut Screen,
    ) -> Result<(), Failure> {
        // A turn too far back for the view has ended long ago.
        let turn = view.turns.iter().find(|turn| &turn.id == self.turn);
        let state = turn.map_or(TurnState::Completed, |turn| turn.state);
        if progress.state != Some(state) {
            screen.state(self.turn, state)?;
            progress.state = Some(state);
        }
        if progress.chat != Some(view.chat.state) {
            progress.chat = Some(view.chat.state);
            if view.chat.state == ChatState::Starting
                && state == TurnState::Queued
                && !self.out.is_json()
            {
                screen.say(&self.out.talk(Look::Dim, "(opencode starts)"))?;
            }
        }
        if progress.wait != view.wait {
            progress.wait = view.wait;
            if let Some(wait) = view.wait.filter(|_| !self.out.is_json()) {
                screen.say(&self.out.talk(Look::Dim, &wait_text(wait)))?;
            }
        }
        if let Some(prompt) = &progress.prompt
            && !view.asks.iter().any(|ask| ask.id == prompt.ask)
        {
            progress.prompt = None;
            screen.say("\n(It was answered elsewhere.)")?;
        }
        for ask in view.asks.iter().filter(|ask| &ask.turn_id == self.turn) {
            if progress.prompt.is_none() && progress.handled.insert(ask.id.clone()) {
                self.on_ask(ask, progress, screen).await?;
            }
        }
        Ok(())
    }

    async fn on_ask(
        &self,
        ask: &Ask,
        progress: &mut Progress,
        screen: &mut Screen,
    ) -> Result<(), Failure> {
        screen.ask(ask)?;
        let what = match &ask.body {
            AskBody::Permission {
                permission,
                patterns,
                ..
            } => format!(
                "{} {}",
                one_line(permission),
                one_line(&patterns.join(", "))
            ),
            AskBody::Question { questions } => questions
                .iter()
                .map(|question| one_line(&question.question))
                .collect::<Vec<_>>()
                .join(" "),
            AskBody::Unknown => "something that this version does not know".to_owned(),
        };
        let is_permission = matches!(ask.body, AskBody::Permission { .. });
        match self.asks {
            Asks::Prompt => {
                let prompt = Prompt::new(ask);
                screen.say("")?;
                self.out.say_piece(&prompt.show(self.out));
                progress.prompt = Some(prompt);
            }
            Asks::Wait => screen.say(&format!("It asks: {what}. Answer it on the page."))?,
            Asks::Allow if is_permission => {
                screen.say(&format!("Allowed: {what}"))?;
                self.answer(&ask.id, AskAnswer::Once, screen).await?;
            }
            Asks::Allow | Asks::Deny => {
                screen.say(&format!(
                    "Denied, since nobody is here to answer: {what}. (--asks says what to do.)"
                ))?;
                self.answer(&ask.id, AskAnswer::Reject { message: None }, screen)
                    .await?;
            }
        }
        Ok(())
    }

    async fn answer(
        &self,
        ask: &AskId,
        answer: AskAnswer,
        screen: &mut Screen,
    ) -> Result<(), Failure> {
        match self
            .api
            .call::<AnswerAsk>(&AnswerAskArgs {
                ask_id: ask.clone(),
                answer,
            })
            .await
        {
            Ok(_) => Ok(()),
            // Somebody else was quicker, or the turn is over.
            Err(failure) if matches!(failure.exit, Exit::Refused | Exit::NotFound) => {
                screen.say(&failure.message)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn on_line(
        &self,
        line: String,
        progress: &mut Progress,
        screen: &mut Screen,
    ) -> Result<(), Failure> {
        let Some(prompt) = &mut progress.prompt else {
            match line.trim() {
                "" => {}
                "/stop" => self.cancel(progress, screen).await?,
                _ => progress.typed.push(line),
            }
            return Ok(());
        };
        match prompt.take(&line) {
            Step::Answer(answer) => {
                let ask = prompt.ask.clone();
                progress.prompt = None;
                self.answer(&ask, answer, screen).await
            }
            Step::More => {
                self.out.say_piece(&prompt.show(self.out));
                Ok(())
            }
            Step::Again(why) => {
                self.out.say_piece(&format!("  {why} "));
                Ok(())
            }
        }
    }

    async fn cancel(&self, progress: &mut Progress, screen: &mut Screen) -> Result<(), Failure> {
        progress.cancel_asked = true;
        progress.prompt = None;
        screen.say("Stopping the turn; Ctrl-C again leaves.")?;
        match self
            .api
            .call::<CancelTurn>(&TurnArgs {
                turn_id: self.turn.clone(),
            })
            .await
        {
            Ok(_) => Ok(()),
            // It was over already, which the view will tell.
            Err(failure) if failure.exit == Exit::Refused => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    async fn last_chunks(&self, open: Option<Read>, screen: &mut Screen) -> Result<(), Failure> {
        let mut chunks = open.unwrap_or_else(|| self.api.chunks(self.turn));
        let read_on = async {
            while let Some(Ok(read)) = chunks.next().await {
                read.iter().try_for_each(|chunk| screen.chunk(chunk))?;
            }
            Ok(())
        };
        tokio::time::timeout(LAST_CHUNKS_WAIT, read_on)
            .await
            .unwrap_or(Ok(()))
    }

    async fn finish(&self, progress: Progress, screen: &mut Screen) -> Result<Followed, Failure> {
        let args = TranscriptArgs {
            chat_session_id: self.chat.clone(),
            before_ordinal: None,
            turn_ids: Some(vec![self.turn.clone()]),
        };
        let page = self.api.call::<ReadTranscript>(&args).await?;
        let record = page.turns.into_iter().next();
        let gone = || Failure::new(Exit::NotFound, "The turn is gone from the transcript.");
        let record = record.ok_or_else(gone)?;
        let state = record.turn.state;
        screen.end(
            self.turn,
            state,
            record.turn.reason.as_deref(),
            record.answer.as_ref(),
        )?;
        Ok(Followed::Ended {
            state,
            typed: progress.typed,
        })
    }
}

/// Why a message waits although its machine is there.
fn wait_text(wait: ProcessWait) -> String {
    let why = if wait.for_memory {
        "memory is short".to_owned()
    } else {
        format!("{} of {} run", wait.processes, wait.process_limit)
    };
    format!("(waiting for a process: {} ahead; {why})", wait.ahead)
}

async fn next_chunks(chunks: &mut Option<Read>) -> Option<Result<Vec<Chunk>, TransportError>> {
    match chunks {
        Some(chunks) => Either::Left(chunks.next()),
        None => Either::Right(pending()),
    }
    .await
}

fn after_pause<T: Send + 'static>(later: BoxStream<'static, T>) -> BoxStream<'static, T> {
    stream::once(tokio::time::sleep(PAUSE))
        .filter_map(|()| async { None })
        .chain(later)
        .boxed()
}
