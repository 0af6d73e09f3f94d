//! opencode as the agent sees it: one process for each chat session, which dies with its agent, and a storage of
//! its own that survives everything. It knows prompts by their turn, answers each once, and forgets what it had
//! not written of an answer that was cut off.

use std::collections::{BTreeMap, VecDeque};

use protocol::agent::{Generation, Input, PromptFailure};
use protocol::driver::{DriverEvent, SessionSpec, TurnEnd, TurnRecall};
use protocol::ids::{ChatSessionId, TurnId};
use protocol::state::TurnState;
use protocol::transcript::Transcript;
use protocol::wire::{AskAnswer, FullMessage};

use crate::faults::Fault;
use crate::machine::ProcessId;
use crate::world::{Event, World};

/// What opencode's own storage has of a turn.
#[derive(Debug)]
pub(crate) struct Known {
    /// The answer as far as it has come.
    written: Transcript,
    /// How it ended, once it has.
    pub(crate) end: Option<TurnEnd>,
    /// How many times a model was asked.
    pub(crate) runs: u32,
}

#[derive(Debug)]
struct Run {
    turn: TurnId,
    script: VecDeque<DriverEvent>,
    /// The ask that a person has to answer first.
    waits_for: Option<String>,
    is_held: bool,
}

/// All opencodes of the machine, and their storage.
#[derive(Debug, Default)]
pub(crate) struct Opencode {
    pub(crate) turns: BTreeMap<(ChatSessionId, TurnId), Known>,
    alive: BTreeMap<(ProcessId, ChatSessionId), (Generation, Option<Run>)>,
    /// The most text that an answer has, in pieces, and how long a piece is.
    pub(crate) pieces: u64,
    pub(crate) piece_bytes: usize,
}

impl Opencode {
    /// They die with their agent.
    pub(crate) fn end_of(&mut self, process: ProcessId) {
        self.alive.retain(|(of, _), _| *of != process);
    }

    /// How the model ended a turn, if it did.
    pub(crate) fn end(&self, chat: &ChatSessionId, turn: &TurnId) -> Option<&TurnEnd> {
        self.turns.get(&(chat.clone(), turn.clone()))?.end.as_ref()
    }

    /// Something of this chat session runs, or waits for a person.
    pub(crate) fn is_at_work(&self, chat: &ChatSessionId) -> bool {
        let runs = self.alive.iter().filter(|((_, of), _)| of == chat);
        let mut runs = runs.filter_map(|(_, (_, run))| run.as_ref());
        runs.any(|run| !run.script.is_empty() || run.waits_for.is_some())
    }

    fn run(
        &mut self,
        process: ProcessId,
        chat: &ChatSessionId,
        generation: Generation,
    ) -> Option<&mut Option<Run>> {
        let (alive, run) = self.alive.get_mut(&(process, chat.clone()))?;
        (*alive == generation).then_some(run)
    }

    fn finish(&mut self, chat: &ChatSessionId, turn: &TurnId, mut end: TurnEnd) -> TurnEnd {
        if let Some(known) = self.turns.get_mut(&(chat.clone(), turn.clone())) {
            end.answer.parts = known.written.parts().to_vec();
            known.end.get_or_insert_with(|| end.clone());
        }
        end
    }
}

impl World {
    pub(crate) fn start_opencode(
        &mut self,
        process: ProcessId,
        generation: Generation,
        spec: SessionSpec,
    ) {
        let chat = spec.chat_session_id;
        let started = if self.happens(Fault::OpencodeNoStart).is_some() {
            Err("opencode did not start".to_owned())
        } else {
            self.opencode
                .alive
                .insert((process, chat.clone()), (generation, None));
            Ok(spec
                .agent_session_id
                .unwrap_or_else(|| format!("ses-{chat}")))
        };
        self.soon(process, Input::ProcessStarted(chat, generation, started));
    }

    pub(crate) fn stop_opencode(
        &mut self,
        process: ProcessId,
        chat: ChatSessionId,
        generation: Generation,
    ) {
        self.opencode.alive.remove(&(process, chat.clone()));
        self.soon(process, Input::ProcessStopped(chat, generation));
    }

    pub(crate) fn prompt(
        &mut self,
        process: ProcessId,
        chat: ChatSessionId,
        generation: Generation,
        turn: TurnId,
        text: &str,
    ) {
        if self.opencode.run(process, &chat, generation).is_none() {
            return;
        }
        let mut result = Ok(());
        if let Some(mut how) = self.happens(Fault::PromptLost) {
            let is_known = how.per_mille(200);
            result = Err(PromptFailure {
                reason: "opencode did not take the message".to_owned(),
                is_in_doubt: !is_known,
            });
            if is_known || how.per_mille(500) {
                return self.soon(process, Input::Prompted(chat, generation, result));
            }
        }
        let place = (chat.clone(), turn.clone());
        if let std::collections::btree_map::Entry::Vacant(vacant) = self.opencode.turns.entry(place)
        {
            vacant.insert(Known {
                written: Transcript::default(),
                end: None,
                runs: 1,
            });
            self.begin_run(process, &chat, generation, turn, text);
        }
        self.soon(process, Input::Prompted(chat, generation, result));
    }

    fn begin_run(
        &mut self,
        process: ProcessId,
        chat: &ChatSessionId,
        generation: Generation,
        turn: TurnId,
        text: &str,
    ) {
        let script = self.script(&turn, text);
        if let Some(run) = self.opencode.run(process, chat, generation) {
            *run = Some(Run {
                turn,
                script,
                waits_for: None,
                is_held: false,
            });
        }
        let wait = self.random.between(50, 400);
        self.after(wait, Event::Model(process, chat.clone(), generation));
    }

    pub(crate) fn recall(
        &mut self,
        process: ProcessId,
        chat: ChatSessionId,
        generation: Generation,
        turn: TurnId,
    ) {
        if self.opencode.run(process, &chat, generation).is_none() {
            return;
        }
        let known = match self.opencode.turns.get(&(chat.clone(), turn.clone())) {
            None => TurnRecall::Absent,
            Some(Known { end: Some(end), .. }) => TurnRecall::Finished(end.clone()),
            Some(Known { written, .. }) => {
                // The last of it may not have been written down.
                let keeps = self.random.per_mille(500);
                let parts = if keeps {
                    written.parts().to_vec()
                } else {
                    Vec::new()
                };
                TurnRecall::Unfinished(FullMessage {
                    parts,
                    ..FullMessage::default()
                })
            }
        };
        self.soon(process, Input::Recalled(chat, generation, turn, Ok(known)));
    }

    pub(crate) fn abort(
        &mut self,
        process: ProcessId,
        chat: ChatSessionId,
        generation: Generation,
        turn: &TurnId,
    ) {
        let run = self
            .opencode
            .run(process, &chat, generation)
            .and_then(Option::as_mut);
        if let Some(run) = run.filter(|run| run.turn == *turn) {
            let end = DriverEvent::TurnEnded {
                turn_id: turn.clone(),
                end: ended(TurnState::Cancelled),
            };
            run.script = VecDeque::from([end]);
            run.waits_for = None;
            let wait = self.random.between(1, 100);
            self.after(wait, Event::Model(process, chat, generation));
        }
    }

    pub(crate) fn reply(
        &mut self,
        process: ProcessId,
        chat: ChatSessionId,
        generation: Generation,
        ask: &str,
        answer: &AskAnswer,
    ) {
        let run = self
            .opencode
            .run(process, &chat, generation)
            .and_then(Option::as_mut);
        let Some(run) = run.filter(|run| run.waits_for.as_deref() == Some(ask)) else {
            return;
        };
        run.waits_for = None;
        let turn_id = run.turn.clone();
        match answer {
            AskAnswer::Once | AskAnswer::Always | AskAnswer::Answers { .. } => {}
            AskAnswer::Reject { .. } | AskAnswer::Unknown => {
                let end = ended(TurnState::Completed);
                let turn_id = turn_id.clone();
                run.script = VecDeque::from([DriverEvent::TurnEnded { turn_id, end }]);
            }
        }
        run.script.push_front(DriverEvent::AskClosed {
            turn_id,
            agent_ask_id: ask.to_owned(),
        });
        self.after(1, Event::Model(process, chat, generation));
    }

    /// Nobody holds the events of this chat session back any more.
    pub(crate) fn model_goes_on(&mut self, process: ProcessId, chat: ChatSessionId) {
        if let Some((generation, Some(run))) = self.opencode.alive.get_mut(&(process, chat.clone()))
            && std::mem::take(&mut run.is_held)
        {
            let generation = *generation;
            self.after(1, Event::Model(process, chat, generation));
        }
    }

    /// The next step of a chat session's opencode.
    pub(crate) fn model(
        &mut self,
        process: ProcessId,
        chat: ChatSessionId,
        generation: Generation,
    ) {
        if self.opencode.run(process, &chat, generation).is_none() {
            return;
        }
        if self.happens(Fault::OpencodeExit).is_some() {
            self.opencode.alive.remove(&(process, chat.clone()));
            let reason = "opencode was killed".to_owned();
            let event = DriverEvent::Exited { reason };
            return self.tell_agent(process, Input::Driver(chat, generation, event));
        }
        let is_held = self.machine.is_held_back(process, &chat);
        let run = self
            .opencode
            .run(process, &chat, generation)
            .and_then(Option::as_mut);
        let Some(run) = run.filter(|run| run.waits_for.is_none()) else {
            return;
        };
        run.is_held = is_held;
        if is_held {
            return;
        }
        let (Some(mut event), turn) = (run.script.pop_front(), run.turn.clone()) else {
            return;
        };
        match &mut event {
            DriverEvent::Chunk { op, .. } => {
                let known = self.opencode.turns.get_mut(&(chat.clone(), turn));
                known.expect("prompted").written.apply_op(op);
            }
            DriverEvent::AskOpened { agent_ask_id, .. } => {
                run.waits_for = Some(agent_ask_id.clone());
            }
            DriverEvent::TurnEnded { end, .. } => {
                *end = self.opencode.finish(&chat, &turn, end.clone());
            }
            DriverEvent::AskClosed { .. } | DriverEvent::Exited { .. } => {}
        }
        let wait = match &event {
            DriverEvent::TurnEnded { .. } => None,
            _ if self.opencode.piece_bytes > 1_000 => Some(self.random.between(1, 30)),
            DriverEvent::Chunk { .. }
            | DriverEvent::AskOpened { .. }
            | DriverEvent::AskClosed { .. }
            | DriverEvent::Exited { .. } => Some(self.random.between(1, 700)),
        };
        if let Some(wait) = wait {
            self.after(wait, Event::Model(process, chat.clone(), generation));
        }
        self.tell_agent(process, Input::Driver(chat, generation, event));
    }
}

pub(crate) fn ended(outcome: TurnState) -> TurnEnd {
    TurnEnd {
        outcome,
        reason: None,
        failure: None,
        answer: FullMessage::default(),
    }
}
