//! One round: load, faults, calm, checks.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use protocol::functions::{
    ContinueTurn, EndSession, RequestCommand, SendMessage, StartSession, ViewCommand,
};
use protocol::ids::{ChatSessionId, CommandId, TurnId};
use protocol::state::{ChatState, TurnState};
use protocol::wire::{
    CommandArgs, CommandView, EndSessionArgs, Operation, RequestCommandArgs, SendMessageArgs,
    StartSessionArgs, TurnArgs,
};

use crate::Failure;
use crate::checks;
use crate::figures::Recovery;
use crate::person::{ChatShown, Shown, in_short};
use crate::plan::{Errand, Plan};
use crate::product::Product;
use crate::reader::Reader;
use crate::strikes::strike;

/// How long everything may take to settle after a round's last fault: above what the product itself waits for at
/// most, twice the 90 s for a start of opencode, on a computer that others load.
const SETTLE_LIMIT: Duration = Duration::from_secs(300);
/// The pause between two looks at what settles.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The pause between two questions after a command.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// A chat session, and all that a person sent to it.
#[derive(Debug)]
pub(crate) struct Chat {
    pub(crate) id: ChatSessionId,
    pub(crate) shown: Shown<ChatShown>,
    pub(crate) sent: Vec<Sent>,
}

/// A message that was accepted.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) turn: TurnId,
    pub(crate) round: u64,
    /// None where a person had an interrupted turn continued: the backend writes that message.
    pub(crate) said: Option<Said>,
    pub(crate) reader: Reader,
    /// How it ended, once that is known: it must stay so.
    pub(crate) ended: Option<(TurnState, String)>,
}

/// A message and the answer that the model gives to it.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) message: String,
    pub(crate) answer: String,
}

/// A command that was accepted.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: CommandId,
    pub(crate) operation: Operation,
    pub(crate) place: PathBuf,
}

impl Chat {
    pub(crate) async fn start(product: &Product) -> Result<Self, Failure> {
        let args = StartSessionArgs {
            worker_id: product.worker.clone(),
            title: Some("Torture".to_owned()),
            model: None,
            agent: None,
            own_worktree: false,
            continues: None,
        };
        let id = product
            .person
            .call::<StartSession>(&args)
            .await?
            .chat_session_id;
        Ok(Self {
            shown: product.person.show_chat(&id)?,
            id,
            sent: Vec::new(),
        })
    }

    async fn send(&mut self, product: &Product, round: u64, said: Said) -> Result<(), Failure> {
        let args = SendMessageArgs {
            chat_session_id: self.id.clone(),
            message: said.message.clone(),
        };
        let turn = product.person.call::<SendMessage>(&args).await?.turn.id;
        self.note(product, round, turn, Some(said));
        Ok(())
    }

    fn note(&mut self, product: &Product, round: u64, turn: TurnId, said: Option<Said>) {
        let reader = Reader::start(product.person.clone(), self.shown.clone(), turn.clone());
        self.sent.push(Sent {
            turn,
            round,
            said,
            reader,
            ended: None,
        });
    }

    /// Whether nothing is under way any more, as far as the page shows.
    fn is_settled(&self) -> bool {
        let shown = self.shown.shown.borrow();
        let is_calm = shown
            .view
            .as_ref()
            .is_some_and(|view| match view.chat.state {
                ChatState::Ready
                | ChatState::Hibernated
                | ChatState::Failed
                | ChatState::Closed => true,
                ChatState::Requested
                | ChatState::Starting
                | ChatState::Busy
                | ChatState::Unknown => false,
            });
        is_calm
            && self
                .sent
                .iter()
                .all(|sent| shown.ended.contains_key(&sent.turn))
    }

    /// Whether it begins with this round.
    fn is_new(&self, plan: &Plan, index: usize) -> bool {
        plan.replaced == Some(index) || self.sent.iter().all(|sent| sent.round == plan.number)
    }

    /// When the first turn that had not ended at that time was shown as going on or ended.
    fn goes_on_at(&self, since: Instant) -> Option<Instant> {
        let shown = self.shown.shown.borrow();
        let head = self
            .sent
            .iter()
            .filter_map(|sent| Some((sent, *shown.ended.get(&sent.turn)?)))
            .find(|(_, ended)| *ended > since);
        let (sent, ended) = head?;
        let seen = sent.reader.seen();
        let word = seen.arrivals.iter().find(|arrival| **arrival > since);
        Some(word.map_or(ended, |word| ended.min(*word)))
    }
}

/// What happened, in order.
#[derive(Debug)]
pub(crate) struct Journal {
    begun: Instant,
    lines: Mutex<Vec<String>>,
    aloud: Option<usize>,
}

impl Journal {
    pub(crate) fn note(&self, what: &str) {
        let line = format!("{:>6} ms  {what}", self.begun.elapsed().as_millis());
        if let Some(lane) = self.aloud {
            println!("lane {lane}  {line}");
        }
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A round and what came of it.
#[derive(Debug)]
pub(crate) struct Round<'a> {
    pub(crate) product: &'a Product,
    pub(crate) plan: &'a Plan,
    pub(crate) journal: Journal,
    pub(crate) is_passed: bool,
    pub(crate) recovery: Option<Recovery>,
    /// How the turns of this round ended.
    pub(crate) turns: Vec<String>,
    /// Why some were not completed.
    pub(crate) reasons: Vec<String>,
    /// How the commands of this round ended.
    pub(crate) commands: Vec<String>,
}

impl<'a> Round<'a> {
    pub(crate) fn new(product: &'a Product, plan: &'a Plan, lane: usize, is_verbose: bool) -> Self {
        Self {
            product,
            plan,
            journal: Journal {
                begun: Instant::now(),
                lines: Mutex::default(),
                aloud: is_verbose.then_some(lane),
            },
            is_passed: false,
            recovery: None,
            turns: Vec::new(),
            reasons: Vec::new(),
            commands: Vec::new(),
        }
    }

    pub(crate) async fn run(&mut self, chats: &mut [Chat]) -> Result<(), Failure> {
        self.journal.note(&format!("round {}", self.plan.number));
        if let Some(index) = self.plan.replaced {
            self.replace(&mut chats[index]).await?;
        }
        let strikes = self.strike_all();
        let errands = self.run_errands();
        let messages = join_all(
            chats
                .iter_mut()
                .enumerate()
                .map(|(index, chat)| self.send_all(index, chat)),
        );
        let (calm, asked, sent) = tokio::join!(strikes, errands, messages);
        let (calm, asked) = (calm?, asked?);
        sent.into_iter().collect::<Result<(), Failure>>()?;

        self.settle(chats, &asked).await?;
        let settled = Instant::now();
        self.journal.note("settled");
        let machine = self.product.machine.shown.borrow().online;
        let online = machine.map_or(settled, |(_, since)| since).max(calm);
        // A chat that begins is not restored: its first start is another matter.
        let older = chats.iter().enumerate();
        let older = older.filter(|(index, chat)| !chat.is_new(self.plan, *index));
        let restored = older
            .filter_map(|(_, chat)| chat.goes_on_at(calm))
            .fold(online, Instant::max);
        self.recovery = Some(Recovery {
            online: online - calm,
            restored: restored - calm,
            settled: settled.saturating_duration_since(calm),
        });
        checks::check(self, chats, &asked).await?;
        if self.plan.continues {
            self.continue_one(chats).await?;
        }
        self.is_passed = true;
        Ok(())
    }

    /// Ends a chat session and begins another one in its place.
    async fn replace(&self, chat: &mut Chat) -> Result<(), Failure> {
        let args = EndSessionArgs {
            chat_session_id: chat.id.clone(),
            discard_worktree: false,
        };
        self.product.person.call::<EndSession>(&args).await?;
        *chat = Chat::start(self.product).await?;
        self.journal
            .note(&format!("{} in place of another", chat.id));
        Ok(())
    }

    /// Does what is planned, each at its time. Gives the end of the last one.
    async fn strike_all(&self) -> Result<Instant, Failure> {
        let begun = Instant::now();
        let all = self.plan.strikes.iter().map(async |planned| {
            tokio::time::sleep(planned.at.saturating_sub(begun.elapsed())).await;
            self.journal.note(&format!("begins: {:?}", planned.fault));
            let hit = strike(self.product, planned).await?;
            self.journal
                .note(&format!("is over: {:?} {hit}", planned.fault));
            Ok::<_, Failure>(Instant::now())
        });
        let ends = join_all(all).await;
        let ends: Vec<Instant> = ends.into_iter().collect::<Result<_, Failure>>()?;
        Ok(ends.into_iter().fold(begun, Instant::max))
    }

    async fn send_all(&self, index: usize, chat: &mut Chat) -> Result<(), Failure> {
        for (place, words) in self.plan.messages[index].iter().enumerate() {
            let name = format!("r{}c{index}m{place}", self.plan.number);
            let words = (0..*words).map(|word| format!(" {word}"));
            let answer: String = std::iter::once(name.clone()).chain(words).collect();
            let said = Said {
                message: format!("say {answer}"),
                answer,
            };
            chat.send(self.product, self.plan.number, said).await?;
            self.journal.note(&format!("{name} was accepted"));
        }
        Ok(())
    }

    async fn run_errands(&self) -> Result<Vec<Asked>, Failure> {
        let begun = Instant::now();
        let all = self.plan.errands.iter().enumerate();
        let all = all.map(async |(index, (at, errand))| {
            tokio::time::sleep(at.saturating_sub(begun.elapsed())).await;
            let path = format!("made/r{}e{index}", self.plan.number);
            let place = self.product.place(&path);
            let operation = match errand {
                Errand::MakeDirectory => Operation::MakeDirectory { path },
                Errand::Clone => Operation::Clone {
                    url: self.product.repository(),
                    branch: None,
                    path,
                },
            };
            let args = RequestCommandArgs {
                machine_id: self.product.machine_id.clone(),
                operation: operation.clone(),
            };
            let id = self
                .product
                .person
                .call::<RequestCommand>(&args)
                .await?
                .command
                .id;
            self.journal
                .note(&format!("{} was accepted as {id}", operation.kind()));
            Ok(Asked {
                id,
                operation,
                place,
            })
        });
        join_all(all).await.into_iter().collect()
    }

    pub(crate) async fn command(&self, id: &CommandId) -> Result<CommandView, Failure> {
        let args = CommandArgs {
            command_id: id.clone(),
        };
        self.product.person.call::<ViewCommand>(&args).await
    }

    /// Waits until nothing is under way, for a bounded time.
    async fn settle(&self, chats: &[Chat], asked: &[Asked]) -> Result<(), Failure> {
        let commands = async {
            for command in asked {
                while !self.command(&command.id).await?.command.state.is_terminal() {
                    tokio::time::sleep(ASK_AGAIN).await;
                }
            }
            Ok::<(), Failure>(())
        };
        let everything = async {
            commands.await?;
            loop {
                self.product.runs().await?;
                let is_online = self.product.machine.shown.borrow().online.is_some();
                if is_online && chats.iter().all(Chat::is_settled) {
                    return Ok(());
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        match tokio::time::timeout(SETTLE_LIMIT, everything).await {
            Ok(settled) => settled,
            Err(_) => Err(self.stuck(chats, asked).await.into()),
        }
    }

    /// What does not settle.
    async fn stuck(&self, chats: &[Chat], asked: &[Asked]) -> String {
        let mut text = format!("not settled after {} s:", SETTLE_LIMIT.as_secs());
        if let Some(view) = &self.product.machine.shown.borrow().view {
            text.push_str(&format!(" machine {}", in_short(&view.machine.presence)));
        }
        for chat in chats.iter().filter(|chat| !chat.is_settled()) {
            let shown = chat.shown.shown.borrow();
            let Some(view) = &shown.view else {
                text.push_str(&format!("\n  {}: not shown", chat.id));
                continue;
            };
            text.push_str(&format!("\n  {} is {}", chat.id, in_short(&view.chat)));
            for turn in view.turns.iter().filter(|turn| !turn.state.is_terminal()) {
                text.push_str(&format!("\n    {}", in_short(turn)));
            }
        }
        for command in asked {
            let args = CommandArgs {
                command_id: command.id.clone(),
            };
            let view = self.product.person.call::<ViewCommand>(&args);
            if let Ok(Ok(view)) = tokio::time::timeout(Duration::from_secs(20), view).await {
                text.push_str(&format!("\n  command {}", in_short(&view.command)));
            }
        }
        text
    }

    /// A person asks for an interrupted turn to be continued.
    async fn continue_one(&mut self, chats: &mut [Chat]) -> Result<(), Failure> {
        let is_interrupted = |sent: &&Sent| {
            sent.round == self.plan.number
                && matches!(sent.ended, Some((TurnState::Interrupted, _)))
        };
        let interrupted = chats.iter_mut().find_map(|chat| {
            let turn = chat.sent.iter().find(is_interrupted)?.turn.clone();
            Some((chat, turn))
        });
        let Some((chat, turn_id)) = interrupted else {
            return Ok(());
        };
        let args = TurnArgs { turn_id };
        let turn = self.product.person.call::<ContinueTurn>(&args).await?.turn;
        self.journal.note("a person continues");
        chat.note(self.product, self.plan.number, turn.id.clone(), None);
        self.settle(chats, &[]).await?;
        checks::continued(self, chats, &turn.id).await
    }
}
