//! The person's client: repeats a request under its idempotency key until there is an answer, and remembers what
//! came of it.

use protocol::agent::Failure;
use protocol::ids::{ChatSessionId, IdempotencyKey, TurnId};
use protocol::wire::{CommandView, StartSessionReply, TurnReply, WorkerSummary};
use serde_json::Value;

use crate::network::Request;
use crate::person::{Act, Sent};
use crate::world::{Event, World};

/// A request of the client's that has no answer yet.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) key: IdempotencyKey,
    pub(crate) function: &'static str,
    pub(crate) args: Value,
    /// For the order of messages: how many answers had come when it was made.
    pub(crate) made_after: u64,
}

impl World {
    pub(crate) fn make_call(&mut self, function: &'static str, args: Value) {
        let number = self.next_number();
        let call = Call {
            key: IdempotencyKey::generate(self.now, self.random.bytes()),
            function,
            args,
            made_after: self.person.answers,
        };
        self.person.calls.insert(number, call);
        self.send_call(number);
    }

    pub(crate) fn send_call(&mut self, number: u64) {
        if let Some(call) = self.person.calls.get(&number).cloned() {
            self.request(Request::Person {
                call: number,
                key: call.key,
                function: call.function,
                args: call.args,
            });
        }
    }

    pub(crate) fn call_answered(&mut self, number: u64, result: Result<Value, Failure>) {
        let again = match &result {
            Err(Failure::Lost(_)) => true,
            Err(Failure::Refused(error)) => error.is_retryable(),
            Ok(_) => false,
        };
        if again {
            let wait = self.random.between(200, 3_000);
            return self.after(wait, Event::Resend(number));
        }
        let Some(call) = self.person.calls.remove(&number) else {
            return;
        };
        self.person.answers += 1;
        let kind = match &result {
            Ok(_) => "done".to_owned(),
            Err(Failure::Refused(error)) => format!("{:?}", error.code),
            Err(Failure::Lost(_)) => "lost".to_owned(),
        };
        let kind = format!("{} {kind}", call.function);
        *self.report.acts.entry(kind).or_default() += 1;
        if let Ok(reply) = result {
            self.call_done(&call, reply);
        }
    }

    pub(crate) fn call_done(&mut self, call: &Call, reply: Value) {
        match call.function {
            "worker.chat.sendMessage" => {
                let reply: TurnReply = serde_json::from_value(reply).expect("a reply");
                let chat = text_of(&call.args, "chatSessionId");
                let chat = ChatSessionId::parse(&chat).expect("an id");
                let text = text_of(&call.args, "message");
                self.message_sent(&chat, text, call.made_after, reply.turn.id);
            }
            "worker.chat.continueTurn" => {
                let reply: TurnReply = serde_json::from_value(reply).expect("a reply");
                let chat = self.page.chat_of(&text_of(&call.args, "turnId"));
                if let Some(chat) = chat {
                    *self.person.continued.entry(chat).or_default() += 1;
                }
                drop(reply);
            }
            "worker.chat.startSession" => {
                let reply: StartSessionReply = serde_json::from_value(reply).expect("a reply");
                self.knows_chat(reply.chat_session_id);
            }
            "worker.register" => {
                let reply: WorkerSummary = serde_json::from_value(reply).expect("a reply");
                if !self.person.workers.contains(&reply.id) {
                    self.person.workers.push(reply.id);
                }
            }
            "worker.remove" => {
                let removed = text_of(&call.args, "workerId");
                self.person
                    .workers
                    .retain(|worker| worker.as_str() != removed);
            }
            "schedule.create" => self.schedule_made(reply),
            "machine.command.request" => {
                let reply: CommandView = serde_json::from_value(reply).expect("a reply");
                let id = reply.command.id;
                self.disk.requested.insert(id.clone());
                if self.random.per_mille(300) && !self.is_calm {
                    let wait = self.random.below(15_000);
                    self.after(wait, Event::Act(Act::CancelCommand(id)));
                }
            }
            _ => {}
        }
    }

    pub(crate) fn message_sent(
        &mut self,
        chat: &ChatSessionId,
        text: String,
        made_after: u64,
        turn: TurnId,
    ) {
        self.person.answers += 1;
        let sent = Sent {
            chat: chat.clone(),
            made_after,
            acked_as: self.person.answers,
            turn,
        };
        self.person.sent.insert(text, sent);
    }

    pub(crate) fn knows_chat(&mut self, chat: ChatSessionId) {
        if self.person.chats.contains(&chat) {
            return;
        }
        self.page.add_chat(chat.clone());
        self.after(100, Event::Read(chat.clone()));
        self.person.chats.push(chat);
    }
}

fn text_of(args: &Value, field: &str) -> String {
    args[field].as_str().unwrap_or_default().to_owned()
}
