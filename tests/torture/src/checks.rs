//! What must hold when a round has settled.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use protocol::functions::ReadActivity;
use protocol::ids::TurnId;
use protocol::state::{ChatState, CommandState, TurnState};
use protocol::transcript::text_hash;
use protocol::wire::{ActivityArgs, Operation, TurnRecord};

use crate::Failure;
use crate::processes::{Process, of_home, tree};
use crate::reader::{read_again, text};
use crate::round::{Asked, Chat, Round, Said, Sent};

/// How long processes may take to end after everything has settled.
const QUIET_LIMIT: Duration = Duration::from_secs(30);
/// The pause between two looks at the processes.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Checks everything; fails with all that is wrong.
pub(crate) async fn check(
    round: &mut Round<'_>,
    chats: &mut [Chat],
    asked: &[Asked],
) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for chat in chats.iter_mut() {
        transcript(round, chat, &mut wrong).await?;
    }
    model(round, chats, &mut wrong);
    commands(round, asked, &mut wrong).await?;
    wrong.extend(processes(round, chats).await);
    said(wrong)
}

/// A turn that a person continued has an answer.
pub(crate) async fn continued(
    round: &mut Round<'_>,
    chats: &mut [Chat],
    turn: &TurnId,
) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for chat in chats.iter_mut() {
        transcript(round, chat, &mut wrong).await?;
        let ended = chat.sent.iter().find(|sent| sent.turn == *turn);
        if let Some((state, _)) = ended.and_then(|sent| sent.ended.as_ref())
            && *state != TurnState::Completed
        {
            wrong.push(format!("what was continued ended as {}", state.as_str()));
        }
    }
    let asked = round.product.model.take_asked();
    if asked.len() != 1 {
        wrong.push(format!(
            "the model was asked {} times to continue: {asked:?}",
            asked.len()
        ));
    }
    said(wrong)
}

fn said(wrong: Vec<String>) -> Result<(), Failure> {
    if wrong.is_empty() {
        return Ok(());
    }
    Err(wrong.join("\n  ").into())
}

/// Every message has one turn, in the order of sending; each ended, with the model's text or, where something
/// was killed, with its beginning; and what was seen of it is still there.
async fn transcript(
    round: &mut Round<'_>,
    chat: &mut Chat,
    wrong: &mut Vec<String>,
) -> Result<(), Failure> {
    let person = &round.product.person;
    let records = person.transcript(&chat.id).await?;
    let ids: Vec<&TurnId> = records.iter().map(|record| &record.turn.id).collect();
    let sent: Vec<&TurnId> = chat.sent.iter().map(|sent| &sent.turn).collect();
    if ids != sent {
        wrong.push(format!(
            "{} has the turns {ids:?}, sent were {sent:?}",
            chat.id
        ));
        return Ok(());
    }
    let may_interrupt = round.plan.may_interrupt();
    for (sent, record) in chat.sent.iter_mut().zip(&records) {
        let name = sent.said.as_ref().map_or("continued", |said| &said.message);
        let name = name.chars().take(16).collect::<String>();
        let answer = record.answer.as_ref();
        let full = answer.map(|answer| text(&answer.parts)).unwrap_or_default();
        let state = record.turn.state;
        if let Some(known) = &sent.ended {
            if *known != (state, full.clone()) {
                wrong.push(format!(
                    "{name} was {known:?} and became {state:?} {full:?}"
                ));
            }
            continue;
        }
        sent.ended = Some((state, full.clone()));
        round.turns.push(state.as_str().to_owned());
        let reason = record.turn.reason.clone().unwrap_or_default();
        if state != TurnState::Completed {
            round.reasons.push(format!("{}: {reason}", state.as_str()));
        }
        let mut here = Vec::new();
        state_fits(state, &reason, may_interrupt, &mut here);
        text_fits(sent.said.as_ref(), record, &full, &mut here);
        let again = read_again(person, &sent.turn).await?;
        stream_fits(sent, &again, &full, state, may_interrupt, &mut here);
        if !here.is_empty() {
            wrong.extend(here.into_iter().map(|what| format!("{name}: {what}")));
            wrong.push(format!("{name} ended {state:?} ({reason}): {full:?}"));
        }
    }
    Ok(())
}

fn state_fits(state: TurnState, reason: &str, may_interrupt: bool, wrong: &mut Vec<String>) {
    match state {
        TurnState::Completed => {}
        TurnState::Interrupted | TurnState::Failed if may_interrupt => {
            if reason.is_empty() {
                wrong.push("does not say why".to_owned());
            }
        }
        TurnState::Interrupted
        | TurnState::Failed
        | TurnState::Cancelled
        | TurnState::Queued
        | TurnState::Delivered
        | TurnState::Streaming
        | TurnState::Unknown => {
            wrong.push("nothing was killed that could have ended it so".to_owned());
        }
    }
}

fn text_fits(said: Option<&Said>, record: &TurnRecord, full: &str, wrong: &mut Vec<String>) {
    if let Some(said) = said {
        if record.message != said.message {
            wrong.push(format!("the message became {:?}", record.message));
        }
        let is_whole = record.turn.state == TurnState::Completed;
        if is_whole && full != said.answer {
            wrong.push(format!("the model said {:?}", said.answer));
        }
        if !said.answer.starts_with(full) {
            wrong.push(format!("is no beginning of {:?}", said.answer));
        }
    }
    let parts = record.answer.as_ref().map(|answer| answer.parts.as_slice());
    if let Some(hash) = &record.turn.hash
        && *hash != text_hash(parts.unwrap_or_default())
    {
        wrong.push("the hash is of another text".to_owned());
    }
}

/// Every chunk that a reader has seen is there, and shows no more than the final text.
fn stream_fits(
    sent: &Sent,
    again: &crate::reader::Seen,
    full: &str,
    state: TurnState,
    may_interrupt: bool,
    wrong: &mut Vec<String>,
) {
    let seen = sent.reader.seen();
    wrong.extend(seen.wrong.iter().chain(&again.wrong).cloned());
    for (seq, chunk) in &seen.chunks {
        if again.chunks.get(seq) != Some(chunk) {
            wrong.push(format!("chunk {seq} was seen and is not there any more"));
        }
    }
    if !full.starts_with(&seen.text()) {
        wrong.push(format!("was shown {:?}", seen.text()));
    }
    let streamed = again.text();
    if !full.starts_with(&streamed) {
        wrong.push(format!("its stream says {streamed:?}"));
    }
    if state == TurnState::Completed && !may_interrupt && streamed != full {
        wrong.push(format!("its stream says only {streamed:?}"));
    }
}

/// The model got each message once, and never one twice in one conversation.
fn model(round: &Round<'_>, chats: &[Chat], wrong: &mut Vec<String>) {
    let asked = round.product.model.take_asked();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for request in &asked {
        *times.entry(&request.prompt).or_default() += 1;
        let mut earlier = request.earlier.clone();
        earlier.retain(|message| message.starts_with("say "));
        earlier.push(request.prompt.clone());
        let count = earlier.len();
        earlier.sort();
        earlier.dedup();
        if earlier.len() != count {
            wrong.push(format!(
                "a message stands twice in a conversation: {:?}, {:?}",
                request.earlier, request.prompt
            ));
        }
    }
    let of_round = |sent: &&Sent| sent.round == round.plan.number;
    for sent in chats.iter().flat_map(|chat| &chat.sent).filter(of_round) {
        let (Some(said), Some((state, _))) = (&sent.said, &sent.ended) else {
            continue;
        };
        let count = times.remove(said.message.as_str()).unwrap_or_default();
        if count > 1 || (count == 0 && *state == TurnState::Completed) {
            wrong.push(format!(
                "the model was asked {count} times: {}",
                said.message
            ));
        }
    }
    for (prompt, count) in times {
        wrong.push(format!("the model was asked {count} times, late: {prompt}"));
    }
}

/// Every command ended well, was done, and was one.
async fn commands(
    round: &mut Round<'_>,
    asked: &[Asked],
    wrong: &mut Vec<String>,
) -> Result<(), Failure> {
    for command in asked {
        let view = round.command(&command.id).await?.command;
        let kind = command.operation.kind();
        round.commands.push(format!(
            "{kind} {} in {} tries",
            view.state.as_str(),
            view.attempt
        ));
        if view.state != CommandState::Succeeded {
            wrong.push(format!("{kind} ended {:?}: {:?}", view.state, view.error));
        } else if !is_done(&command.operation, &command.place) {
            wrong.push(format!("{kind} says that it is done, and is not"));
        }
        let _ = std::fs::remove_dir_all(&command.place);
    }
    let args = ActivityArgs {
        machine_id: round.product.machine_id.clone(),
        reads: false,
        before: None,
    };
    let activity = round.product.person.call::<ReadActivity>(&args).await?;
    for command in asked {
        let same = activity.commands.iter();
        let count = same
            .filter(|known| known.operation == command.operation)
            .count();
        if count != 1 {
            wrong.push(format!("{:?} stands {count} times", command.operation));
        }
    }
    for place in ["", "made"] {
        let entries = std::fs::read_dir(round.product.place(place))?;
        for name in entries.flatten().map(|entry| entry.file_name()) {
            if name.to_string_lossy().starts_with(".orchestrator-clone") {
                wrong.push(format!("{} is left in {place:?}", name.display()));
            }
        }
    }
    Ok(())
}

fn is_done(operation: &Operation, place: &Path) -> bool {
    if matches!(operation, Operation::Clone { .. }) {
        place.join("data.bin").is_file() && place.join(".git/HEAD").is_file()
    } else {
        place.is_dir()
    }
}

/// The hub, the agent, and a supervisor with its opencode for each chat session that has one: no others, and no
/// zombies.
async fn processes(round: &Round<'_>, chats: &[Chat]) -> Vec<String> {
    let product = round.product;
    let hub = product.pid(&product.hub).await;
    let agent = product.pid(&product.agent).await;
    let ready = |chat: &&Chat| {
        let shown = chat.shown.shown.borrow();
        shown
            .view
            .as_ref()
            .is_some_and(|view| view.chat.state == ChatState::Ready)
    };
    let wanted = chats.iter().filter(ready).count();
    let look = || unexpected(&of_home(product.home()), hub, agent, wanted);
    until_none(look).await
}

/// Waits until no process of a home is left; says which are.
pub(crate) async fn nothing_left(home: &Path) -> Vec<String> {
    until_none(|| of_home(home).values().map(ToString::to_string).collect()).await
}

async fn until_none(look: impl Fn() -> Vec<String>) -> Vec<String> {
    let deadline = Instant::now() + QUIET_LIMIT;
    loop {
        let left = look();
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn unexpected(
    processes: &BTreeMap<u32, Process>,
    hub: Option<u32>,
    agent: Option<u32>,
    wanted: usize,
) -> Vec<String> {
    let mut expected: Vec<u32> = hub.into_iter().chain(agent).collect();
    let supervisors: Vec<u32> = processes
        .values()
        .filter(|process| process.is_supervisor() && Some(process.parent) == agent)
        .map(|process| process.pid)
        .collect();
    for supervisor in &supervisors {
        expected.extend(tree(processes, *supervisor));
    }
    let others = processes
        .values()
        .filter(|process| process.is_zombie || !expected.contains(&process.pid));
    let mut wrong: Vec<String> = others
        .map(|process| format!("should not be there: {process}"))
        .collect();
    let opencodes = processes.values().filter(|process| process.is_opencode());
    let opencodes = opencodes.count();
    if supervisors.len() != wanted || opencodes != wanted {
        wrong.push(format!(
            "{wanted} chat sessions have a process, and there are {} supervisors and {opencodes} opencodes",
            supervisors.len()
        ));
    }
    wrong
}
