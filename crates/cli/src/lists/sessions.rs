//! `sessions`.

use protocol::functions::{EndSession, ReadTranscript, RequestCommand, ViewChat};
use protocol::ids::ChatSessionId;
use protocol::state::ChatState;
use protocol::wire::{
    ChatArgs, ChatSummary, EndSessionArgs, MachineView, Operation, PartBody, RequestCommandArgs,
    TranscriptArgs, TurnRecord, Worktree, WorktreeState,
};
use serde_json::json;

use super::{done, time, views};
use crate::api::Api;
use crate::cli::{SessionsArgs, SessionsCommand};
use crate::exit::{Exit, Failure};
use crate::out::{Look, Out, one_line, printable};
use crate::settings::Settings;

pub(crate) async fn sessions(
    settings: &Settings,
    args: SessionsArgs,
    out: Out,
) -> Result<Exit, Failure> {
    let api = Api::of(settings)?;
    match args.command.unwrap_or(SessionsCommand::List { all: false }) {
        SessionsCommand::List { all } => {
            let views = views(&api, None).await?;
            let chats = views
                .iter()
                .flat_map(|view| view.chats.iter().map(move |chat| (view, chat)));
            let chats = chats.filter(|(_, chat)| all || chat.state != ChatState::Closed);
            if out.is_json() {
                chats
                    .into_iter()
                    .try_for_each(|(_, chat)| out.value(chat))?;
            } else {
                let rows: Vec<_> = chats.map(|(view, chat)| chat_row(view, chat)).collect();
                out.table(
                    &[
                        "TITLE", "WORKER", "MACHINE", "STATE", "ACTIVE", "WORKTREE", "ID",
                    ],
                    &rows,
                )?;
            }
        }
        SessionsCommand::End {
            session,
            discard_worktree,
        } => end(&api, &chat_id(&session)?, discard_worktree, out).await?,
        SessionsCommand::Transcript { session } => {
            transcript(&api, &chat_id(&session)?, out).await?
        }
    }
    Ok(Exit::Done)
}

async fn end(api: &Api, chat: &ChatSessionId, discard: bool, out: Out) -> Result<(), Failure> {
    let args = ChatArgs {
        chat_session_id: chat.clone(),
    };
    let before = api.call::<ViewChat>(&args).await?.chat;
    api.call::<EndSession>(&EndSessionArgs {
        chat_session_id: chat.clone(),
        discard_worktree: discard,
    })
    .await?;
    let text = match before
        .worktree
        .filter(|tree| tree.state != WorktreeState::Removed)
    {
        None => "The chat session is ended; what was said stays.".to_owned(),
        Some(tree) if discard => {
            if before.state == ChatState::Closed {
                // Ending it again changes nothing, so its machine is asked for the worktree alone.
                api.call::<RequestCommand>(&RequestCommandArgs {
                    machine_id: before.machine_id,
                    operation: Operation::RemoveWorktree {
                        chat_session_id: chat.clone(),
                        force: true,
                        repository: String::new(),
                        directory: String::new(),
                        branch: String::new(),
                    },
                })
                .await?;
            }
            format!(
                "The chat session is ended; what was said stays. Its worktree {} is removed with all that is in it.",
                one_line(&tree.branch)
            )
        }
        Some(tree) => format!(
            "The chat session is ended; what was said stays. Its worktree {} goes too, unless there is work in it that is nowhere else: `orchestrator sessions list --all` shows it, `orchestrator sessions end {chat} --discard-worktree` removes it anyway.",
            one_line(&tree.branch)
        ),
    };
    done(out, &text, &json!({ "chatSessionId": chat }))
}

async fn transcript(api: &Api, chat: &ChatSessionId, out: Out) -> Result<(), Failure> {
    // The pages come latest first, and are wanted from the beginning.
    let mut pages = Vec::new();
    let mut before_ordinal = None;
    loop {
        let args = TranscriptArgs {
            chat_session_id: chat.clone(),
            before_ordinal,
            turn_ids: None,
        };
        let page = api.call::<ReadTranscript>(&args).await?;
        before_ordinal = page.turns.first().map(|record| record.turn.ordinal);
        let has_earlier = page.has_earlier && before_ordinal.is_some();
        pages.push(page.turns);
        if !has_earlier {
            break;
        }
    }
    pages.iter().rev().flatten().try_for_each(|record| {
        if out.is_json() {
            out.value(record)
        } else {
            show_turn(record, out)
        }
    })
}

fn show_turn(record: &TurnRecord, out: Out) -> Result<(), Failure> {
    out.line(&out.paint(
        Look::Bold,
        &format!("> {}", printable(&record.message).replace('\n', "\n> ")),
    ))?;
    for part in record.answer.iter().flat_map(|answer| &answer.parts) {
        match &part.body {
            PartBody::Text { text } => out.line(&printable(text))?,
            PartBody::Tool(call) => {
                let title = call.title.as_deref().map(one_line).unwrap_or_default();
                out.line(
                    &out.paint(
                        Look::Dim,
                        format!("[{} {title}]", one_line(&call.tool))
                            .replace(" ]", "]")
                            .as_str(),
                    ),
                )?;
            }
            PartBody::Reasoning { .. } | PartBody::Notice { .. } | PartBody::Unknown => {}
        }
    }
    let reason = record
        .turn
        .reason
        .as_deref()
        .map(|reason| format!(": {}", one_line(reason)))
        .unwrap_or_default();
    if record.turn.state != protocol::state::TurnState::Completed {
        out.line(&out.paint(
            Look::Warn,
            &format!("({}{reason})", record.turn.state.as_str()),
        ))?;
    }
    out.line("")
}

fn chat_id(text: &str) -> Result<ChatSessionId, Failure> {
    text.parse().map_err(|error| {
        Failure::new(
            Exit::Usage,
            format!("{error}. `orchestrator sessions` lists them."),
        )
    })
}

fn chat_row(view: &MachineView, chat: &ChatSummary) -> Vec<String> {
    let worker = view
        .workers
        .iter()
        .find(|worker| worker.id == chat.worker_id)
        .map_or("(removed)", |worker| &worker.name);
    vec![
        one_line(&chat.title),
        one_line(worker),
        one_line(&view.machine.name),
        chat.state.as_str().to_owned(),
        time(chat.active_at),
        chat.worktree
            .as_ref()
            .map_or_else(|| "-".to_owned(), worktree),
        chat.id.to_string(),
    ]
}

fn worktree(worktree: &Worktree) -> String {
    let state = match worktree.state {
        WorktreeState::Wanted => " (being made)",
        WorktreeState::Present => "",
        WorktreeState::Kept => " (kept)",
        WorktreeState::Removed => " (removed)",
        WorktreeState::Unknown => " (in an unknown state)",
    };
    format!("{}{state}", one_line(&worktree.branch))
}
