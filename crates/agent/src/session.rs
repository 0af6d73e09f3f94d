//! One chat session's process, as a task: takes orders one after the other, passes events on.

use std::path::Path;
use std::sync::Arc;

use opencode_driver::{AgentProcess, Driver};
use protocol::agent::{Generation, Input, PromptFailure};
use protocol::driver::{DriverEvent, SessionSpec};
use protocol::ids::{ChatSessionId, TurnId};
use protocol::wire::{AskAnswer, Worktree};
use tokio::sync::{mpsc, watch};

use crate::directory::{Directories, Root};

/// Events of the process that wait to be passed on; when it is full the process's output is not read.
const EVENT_QUEUE: usize = 256;
/// Orders that wait for the process. The core gives one at a time but for answers to asks, which are few.
const ORDER_QUEUE: usize = 256;

pub(crate) enum Order {
    Prompt(TurnId, String),
    Recall(TurnId),
    Abort(TurnId),
    Reply(String, AskAnswer),
    Stop,
}

pub(crate) struct Session {
    generation: Generation,
    orders: mpsc::Sender<Order>,
    held_back: watch::Sender<bool>,
}

impl Session {
    pub(crate) fn start(
        generation: Generation,
        spec: SessionSpec,
        place: Place,
        driver: Arc<dyn Driver>,
        inputs: mpsc::Sender<Input>,
    ) -> Self {
        let (orders, taken) = mpsc::channel(ORDER_QUEUE);
        let held_back = watch::Sender::new(false);
        let teller = Teller {
            chat: spec.chat_session_id.clone(),
            generation,
            inputs,
        };
        tokio::spawn(live(
            spec,
            place,
            driver,
            teller,
            taken,
            held_back.subscribe(),
        ));
        Self {
            generation,
            orders,
            held_back,
        }
    }

    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    pub(crate) fn hold_back(&self, held: bool) {
        self.held_back.send_replace(held);
    }

    pub(crate) fn tell(&self, order: Order) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.orders.try_send(order) {
            tracing::error!("a chat session's process takes no orders any more; it is given up");
        }
    }
}

/// Where a process is to work.
pub(crate) struct Place {
    pub(crate) root: Root,
    pub(crate) directories: Option<Directories>,
    pub(crate) worktree: Option<Worktree>,
}

impl Place {
    /// Puts the real path of the directory into the spec: the worker's, or the same one in a worktree, which is
    /// made if need be.
    async fn enter(&self, spec: &mut SessionSpec) -> Result<(), String> {
        match (&self.worktree, &self.directories) {
            (None, _) => {}
            (Some(worktree), Some(directories)) => {
                let workplace = directories.worktree(&spec.directory, worktree).await?;
                spec.directory = workplace.directory;
                spec.also_writes.push(text(&workplace.repository)?);
            }
            (Some(_), None) => {
                return Err("The program that runs on this machine makes no worktrees.".to_owned());
            }
        }
        spec.directory = text(&self.root.directory(&spec.directory)?)?;
        Ok(())
    }
}

fn text(path: &Path) -> Result<String, String> {
    let text = path.to_str();
    Ok(text.ok_or("The directory's name is not UTF-8.")?.to_owned())
}

struct Teller {
    chat: ChatSessionId,
    generation: Generation,
    inputs: mpsc::Sender<Input>,
}

impl Teller {
    async fn tell(&self, make: impl FnOnce(ChatSessionId, Generation) -> Input) {
        // Nobody listens only when the agent has ended.
        let _ = self
            .inputs
            .send(make(self.chat.clone(), self.generation))
            .await;
    }
}

async fn live(
    mut spec: SessionSpec,
    place: Place,
    driver: Arc<dyn Driver>,
    teller: Teller,
    mut orders: mpsc::Receiver<Order>,
    held_back: watch::Receiver<bool>,
) {
    let (events, told) = mpsc::channel(EVENT_QUEUE);
    let started = async {
        place.enter(&mut spec).await?;
        driver
            .start(spec, events)
            .await
            .map_err(|error| error.to_string())
    };
    let started = tokio::select! {
        started = started => started,
        // Dropping a start that is under way stops it; any order but a stop would be out of turn here.
        () = stop_ordered(&mut orders) => {
            teller.tell(Input::ProcessStopped).await;
            return;
        }
    };
    let process = match started {
        Ok(session) => {
            teller
                .tell(|chat, generation| {
                    Input::ProcessStarted(chat, generation, Ok(session.agent_session_id))
                })
                .await;
            session.process
        }
        Err(reason) => {
            teller
                .tell(|chat, generation| Input::ProcessStarted(chat, generation, Err(reason)))
                .await;
            return;
        }
    };
    tokio::select! {
        () = pass_events_on(told, held_back, &teller) => {}
        () = obey(process.as_ref(), &mut orders, &teller) => {
            process.stop().await;
            teller.tell(Input::ProcessStopped).await;
        }
    }
}

async fn stop_ordered(orders: &mut mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        if matches!(order, Order::Stop) {
            return;
        }
    }
}

/// Passes events on until the process has exited by itself.
async fn pass_events_on(
    mut told: mpsc::Receiver<DriverEvent>,
    mut held_back: watch::Receiver<bool>,
    teller: &Teller,
) {
    loop {
        if held_back.wait_for(|held| !held).await.is_err() {
            return;
        }
        let event = told.recv().await.unwrap_or_else(|| DriverEvent::Exited {
            reason: "The process is gone.".to_owned(),
        });
        let exited = matches!(event, DriverEvent::Exited { .. });
        teller
            .tell(|chat, generation| Input::Driver(chat, generation, event))
            .await;
        if exited {
            return;
        }
    }
}

/// Carries orders out until one says stop or nobody gives any more.
async fn obey(process: &dyn AgentProcess, orders: &mut mpsc::Receiver<Order>, teller: &Teller) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Stop => return,
            Order::Prompt(turn, text) => {
                let result = process
                    .prompt(&turn, &text)
                    .await
                    .map_err(|error| PromptFailure {
                        is_in_doubt: error.leaves_prompt_in_doubt(),
                        reason: error.to_string(),
                    });
                teller
                    .tell(|chat, generation| Input::Prompted(chat, generation, result))
                    .await;
            }
            Order::Recall(turn) => {
                let result = process
                    .recall(&turn)
                    .await
                    .map_err(|error| error.to_string());
                teller
                    .tell(|chat, generation| Input::Recalled(chat, generation, turn, result))
                    .await;
            }
            Order::Abort(turn) => {
                if let Err(error) = process.abort(&turn).await {
                    tracing::warn!(chat = %teller.chat, %error, "a turn could not be stopped");
                }
            }
            Order::Reply(ask, answer) => {
                if let Err(error) = process.reply(&ask, answer).await {
                    tracing::warn!(chat = %teller.chat, %error, "an answer did not reach the process");
                }
            }
        }
    }
}
