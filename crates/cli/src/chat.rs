//! `orchestrator chat`: the chat of the page, in a terminal, over the same public API.

mod asks;
mod follow;
mod input;
mod screen;
mod target;

use std::collections::VecDeque;
use std::io::{IsTerminal as _, Read as _};

use protocol::functions::{EndSession, ReadTranscript, SendMessage, ViewChat};
use protocol::ids::{ChatSessionId, TurnId};
use protocol::limits::MESSAGE_MAX_BYTES;
use protocol::state::TurnState;
use protocol::wire::{
    ChatArgs as ChatSessionArgs, EndSessionArgs, SendMessageArgs, TranscriptArgs,
};

use crate::api::Api;
use crate::cli::{Asks, ChatArgs};
use crate::exit::{Exit, Failure};
use crate::out::{Look, Out};
use crate::settings::Settings;
use crate::signals::Signals;
use follow::{Followed, Follower};
use input::Input;
use screen::Screen;

/// How many earlier turns are shown when a conversation is taken up again.
const EARLIER_TURNS: usize = 3;
const HELP: &str = "\
Type a message and press Enter. A line that ends with \\ goes on in the next.
  /stop   stop the running turn (or Ctrl-C)
  /end    end this chat session
  /quit   leave; the chat session stays (or Ctrl-D)";

pub(crate) async fn run(settings: &Settings, args: ChatArgs, out: Out) -> Result<Exit, Failure> {
    let message = message(&args)?;
    let mut signals = Signals::listen()?;
    let api = Api::of(settings)?;
    let target = target::find(settings, &api, &args, out).await?;
    let can_ask = std::io::stdin().is_terminal();
    let asks = args
        .asks
        .unwrap_or(if can_ask { Asks::Prompt } else { Asks::Deny });
    let is_single = message.is_some();
    let screen = Screen::new(out, !is_single);
    screen.session(&target.chat)?;
    let mut input = if can_ask {
        Input::of_terminal()
    } else {
        Input::none()
    };
    let mut chat = Chat {
        api: &api,
        chat: target.chat.clone(),
        out,
        screen,
        asks,
    };
    let exit = match message {
        Some(message) => chat.once(message, &mut input, &mut signals).await?,
        None => {
            out.say(&format!(
                "Chat session {} with worker {} on {}. /help says what you can type.",
                target.chat, target.worker, target.machine
            ));
            chat.converse(&mut input, &mut signals).await?
        }
    };
    if args.end {
        chat.end().await?;
    } else if is_single && args.session.is_none() && !out.is_json() {
        let hint = format!("(Go on with: orchestrator chat --session {})", chat.chat);
        out.say(&out.talk(Look::Dim, &hint));
    }
    Ok(exit)
}

/// The message of the command line, with standard input where it is asked for; `None` for a conversation.
fn message(args: &ChatArgs) -> Result<Option<String>, Failure> {
    let (takes_stdin, words): (Vec<_>, Vec<_>) = args.message.iter().partition(|word| *word == "-");
    let mut message = words
        .iter()
        .map(|word| word.as_str())
        .collect::<Vec<_>>()
        .join(" ");
    let is_alone = words.is_empty() && !std::io::stdin().is_terminal();
    if !takes_stdin.is_empty() || is_alone {
        let mut piped = String::new();
        // One byte more than may be sent, to tell what is too long from what just fits.
        let limit = u64::try_from(MESSAGE_MAX_BYTES + 1).unwrap_or(u64::MAX);
        let read = std::io::stdin()
            .lock()
            .take(limit)
            .read_to_string(&mut piped);
        read.map_err(|error| {
            Failure::new(
                Exit::Usage,
                format!("Standard input can't be read as a message: {error}."),
            )
        })?;
        if !message.is_empty() {
            message.push_str("\n\n");
        }
        message.push_str(piped.trim_end());
    }
    if message.len() > MESSAGE_MAX_BYTES {
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "The message is longer than {} KiB. Put it into a file and name that.",
                MESSAGE_MAX_BYTES / 1_024
            ),
        ));
    }
    match (
        message.trim().is_empty(),
        is_alone || !args.message.is_empty(),
    ) {
        (true, true) => Err(Failure::new(
            Exit::Usage,
            "The message is empty. Give it as an argument, or pipe it in.",
        )),
        (true, false) => Ok(None),
        (false, _) => Ok(Some(message)),
    }
}

struct Chat<'a> {
    api: &'a Api,
    chat: ChatSessionId,
    out: Out,
    screen: Screen,
    asks: Asks,
}

impl Chat<'_> {
    /// One message and its answer.
    async fn once(
        &mut self,
        message: String,
        input: &mut Input,
        signals: &mut Signals,
    ) -> Result<Exit, Failure> {
        let turn = self.send(message).await?;
        let followed = self.follow(&turn, input, signals).await?;
        Ok(match followed {
            Followed::Left => Exit::Aborted,
            Followed::Ended { state, .. } => exit_of(state),
        })
    }

    /// Messages and answers, until the person leaves.
    async fn converse(
        &mut self,
        input: &mut Input,
        signals: &mut Signals,
    ) -> Result<Exit, Failure> {
        let mut waiting = self.catch_up().await?;
        loop {
            while let Some(turn) = waiting.pop_front() {
                match self.follow(&turn, input, signals).await? {
                    Followed::Left => return Ok(Exit::Aborted),
                    Followed::Ended { typed, .. } => {
                        for line in typed {
                            if let Some(exit) = self.take(line, &mut waiting).await? {
                                return Ok(exit);
                            }
                        }
                    }
                }
            }
            self.out.say_piece(&self.out.talk(Look::Bold, "> "));
            let line = tokio::select! {
                line = input.message() => line,
                () = signals.next() => None,
            };
            let Some(line) = line else {
                self.out.say("");
                return Ok(Exit::Done);
            };
            if let Some(exit) = self.take(line, &mut waiting).await? {
                return Ok(exit);
            }
        }
    }

    /// Does what a line says; gives the exit if it says to leave.
    async fn take(
        &mut self,
        line: String,
        waiting: &mut VecDeque<TurnId>,
    ) -> Result<Option<Exit>, Failure> {
        match line.trim() {
            "" => {}
            "/help" | "/?" => self.out.say(HELP),
            "/quit" | "/exit" => return Ok(Some(Exit::Done)),
            "/end" => {
                self.end().await?;
                return Ok(Some(Exit::Done));
            }
            "/stop" => self.out.say("No turn is running."),
            _ => match self.send(line).await {
                Ok(turn) => waiting.push_back(turn),
                // The conversation goes on: the message was refused, nothing else.
                Err(failure) if failure.exit == Exit::Refused => self.out.fail(&failure),
                Err(failure) => return Err(failure),
            },
        }
        Ok(None)
    }

    async fn send(&self, message: String) -> Result<TurnId, Failure> {
        let args = SendMessageArgs {
            chat_session_id: self.chat.clone(),
            message,
        };
        Ok(self.api.call::<SendMessage>(&args).await?.turn.id)
    }

    async fn follow(
        &mut self,
        turn: &TurnId,
        input: &mut Input,
        signals: &mut Signals,
    ) -> Result<Followed, Failure> {
        let follower = Follower {
            api: self.api,
            chat: &self.chat,
            turn,
            out: self.out,
            asks: self.asks,
        };
        follower.run(&mut self.screen, input, signals).await
    }

    async fn end(&self) -> Result<(), Failure> {
        self.api
            .call::<EndSession>(&EndSessionArgs {
                chat_session_id: self.chat.clone(),
                discard_worktree: false,
            })
            .await?;
        self.out
            .say("The chat session is ended; what was said stays.");
        Ok(())
    }

    /// Shows the end of what was said so far, and gives the turns that are not over.
    async fn catch_up(&mut self) -> Result<VecDeque<TurnId>, Failure> {
        let view = self
            .api
            .call::<ViewChat>(&ChatSessionArgs {
                chat_session_id: self.chat.clone(),
            })
            .await?;
        if view.turns.is_empty() {
            return Ok(VecDeque::new());
        }
        let args = TranscriptArgs {
            chat_session_id: self.chat.clone(),
            before_ordinal: None,
            turn_ids: None,
        };
        let page = self.api.call::<ReadTranscript>(&args).await?;
        let over: Vec<_> = page
            .turns
            .iter()
            .filter(|record| record.turn.state.is_terminal())
            .collect();
        for record in over.iter().skip(over.len().saturating_sub(EARLIER_TURNS)) {
            self.screen.earlier(record)?;
        }
        Ok(view
            .turns
            .into_iter()
            .filter(|turn| !turn.state.is_terminal())
            .map(|turn| turn.id)
            .collect())
    }
}

/// The exit code for how a turn ended.
fn exit_of(state: TurnState) -> Exit {
    match state {
        TurnState::Completed => Exit::Done,
        TurnState::Failed => Exit::TurnFailed,
        TurnState::Interrupted => Exit::TurnInterrupted,
        TurnState::Cancelled => Exit::TurnCancelled,
        TurnState::Queued | TurnState::Delivered | TurnState::Streaming | TurnState::Unknown => {
            Exit::Failed
        }
    }
}
