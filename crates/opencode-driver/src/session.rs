//! One chat session's opencode: reads its events, keeps its turn, and speaks to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use protocol::driver::{DriverEvent, TurnRecall};
use protocol::ids::TurnId;
use protocol::wire::AskAnswer;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::answer::{finished, fitted, full_message};
use crate::driver::{AgentProcess, DriverError};
use crate::event_stream::{EventStream, StreamEnd};
use crate::process::Running;
use crate::sse::{SSE_SKIP_MAX_BYTES, SseItem};
use crate::turn::{Begun, LOOK_AGAIN, Next, Tracker};
use crate::wire::{Api, Event, Message, ModelRef};

/// The first wait before the event stream is opened again; it doubles up to [`RECONNECT_MAX`].
const RECONNECT_FIRST: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(2);
/// How long the event stream may stay away before opencode counts as broken.
const RECONNECT_LIMIT: Duration = Duration::from_secs(30);
/// During a turn, the longest time without an event before opencode is asked whether the turn is over.
const QUIET_LIMIT: Duration = Duration::from_secs(15);
/// The wait after a look that opencode did not answer, and how many such looks in a row are taken.
const LOOK_AFTER_SILENCE: Duration = Duration::from_secs(1);
const SILENT_LOOKS_MAX: u32 = 3;
/// The wait before a turn that goes on although it was stopped is stopped again.
const ABORT_AGAIN: Duration = Duration::from_secs(1);
/// How long what a dead process has said may take to be read.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);
/// How long opencode may take to end in order.
const DISPOSE_LIMIT: Duration = Duration::from_secs(2);

/// One chat session's opencode.
#[derive(Debug)]
pub(crate) struct OpencodeProcess {
    shared: Arc<Shared>,
}

/// What a session's turns use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Defaults {
    pub(crate) model: Option<ModelRef>,
    pub(crate) agent: Option<String>,
}

#[derive(Debug)]
struct Shared {
    api: Api,
    session: String,
    defaults: Defaults,
    running: Running,
    tracker: Mutex<Tracker>,
    /// No prompt has ever been handed over, so none can be there already.
    is_untouched: AtomicBool,
    stop: CancellationToken,
    look_now: Notify,
}

impl OpencodeProcess {
    /// Takes over a running opencode, its conversation and its open event stream.
    pub(crate) fn follow(
        api: Api,
        session: String,
        defaults: Defaults,
        running: Running,
        is_untouched: bool,
        stream: EventStream,
        events: mpsc::Sender<DriverEvent>,
    ) -> Self {
        let tracker = Mutex::new(Tracker::new(session.clone()));
        let is_untouched = AtomicBool::new(is_untouched);
        let shared = Arc::new(Shared {
            api,
            session,
            defaults,
            running,
            tracker,
            is_untouched,
            stop: CancellationToken::new(),
            look_now: Notify::new(),
        });
        tokio::spawn(Reader::new(Arc::clone(&shared), stream, events).run());
        Self { shared }
    }
}

impl Drop for OpencodeProcess {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

#[async_trait]
impl AgentProcess for OpencodeProcess {
    async fn prompt(&self, turn_id: &TurnId, text: &str) -> Result<(), DriverError> {
        let shared = &self.shared;
        shared.is_alive()?;
        match shared.tracker().begin(turn_id) {
            Begun::Same => return Ok(()),
            Begun::Busy => return Err(DriverError::Busy),
            Begun::New => {}
        }
        match shared.hand_over(turn_id, text).await {
            Ok(()) => Ok(()),
            Err(error) => {
                shared.tracker().forget(turn_id);
                Err(shared.is_alive().err().unwrap_or(error))
            }
        }
    }

    async fn recall(&self, turn_id: &TurnId) -> Result<TurnRecall, DriverError> {
        let shared = &self.shared;
        shared.is_alive()?;
        if !shared.api.has_prompt(&shared.session, turn_id).await? {
            return Ok(TurnRecall::Absent);
        }
        let messages = shared.api.turn_messages(&shared.session, turn_id).await?;
        Ok(finished(&messages).map_or_else(
            || TurnRecall::Unfinished(fitted(full_message(&messages))),
            TurnRecall::Finished,
        ))
    }

    async fn abort(&self, turn_id: &TurnId) -> Result<(), DriverError> {
        let shared = &self.shared;
        if !shared.tracker().abort(turn_id) {
            return Ok(());
        }
        let told = shared.api.abort(&shared.session).await;
        shared.look_now.notify_one();
        told
    }

    async fn reply(&self, agent_ask_id: &str, answer: AskAnswer) -> Result<(), DriverError> {
        let shared = &self.shared;
        let reply = shared.tracker().asks().answering(agent_ask_id, answer)?;
        match shared.api.reply(agent_ask_id, &reply).await {
            Ok(was_waited_for) => {
                shared.tracker().asks().answered(agent_ask_id);
                if was_waited_for {
                    Ok(())
                } else {
                    Err(DriverError::UnknownAsk)
                }
            }
            Err(error) => {
                shared.tracker().asks().not_answered(agent_ask_id);
                Err(error)
            }
        }
    }

    async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.end_in_order().await;
    }
}

impl Shared {
    fn tracker(&self) -> MutexGuard<'_, Tracker> {
        self.tracker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_alive(&self) -> Result<(), DriverError> {
        self.running
            .exit_status()
            .map_or(Ok(()), |reason| Err(DriverError::Gone { reason }))
    }

    /// Ends the process after it has written its state; returns when nothing of it is left.
    async fn end_in_order(&self) {
        if self.running.exit_status().is_none()
            && let Err(error) = self.api.dispose(DISPOSE_LIMIT).await
        {
            debug!(%error, "opencode did not end in order");
        }
        self.running.end().await;
    }

    async fn hand_over(&self, turn_id: &TurnId, text: &str) -> Result<(), DriverError> {
        let is_first = self.is_untouched.swap(false, Ordering::Relaxed);
        if !is_first && self.api.has_prompt(&self.session, turn_id).await? {
            // Answered already, or on its way: what there is of the answer is told as if it came now.
            self.look_now.notify_one();
            return Ok(());
        }
        let handed = self
            .api
            .prompt(
                &self.session,
                turn_id,
                text,
                self.defaults.model.as_ref(),
                self.defaults.agent.as_deref(),
            )
            .await;
        match handed {
            Err(error) if error.leaves_prompt_in_doubt() => {
                match self.api.has_prompt(&self.session, turn_id).await {
                    Ok(true) => Ok(()),
                    Ok(false) | Err(_) => Err(error),
                }
            }
            handed => handed,
        }
    }
}

/// Reads the stream until the process ends or is stopped.
struct Reader {
    shared: Arc<Shared>,
    events: mpsc::Sender<DriverEvent>,
    stream: Option<EventStream>,
    lost_since: Option<Instant>,
    reconnect_at: Instant,
    reconnect_wait: Duration,
    look_at: Option<Instant>,
    quiet_at: Instant,
    silent_looks: u32,
}

/// Why reading ended.
enum End {
    /// Somebody stops the process.
    Stopped,
    /// Nobody listens any more.
    Unheard,
    /// The process has ended by itself.
    Exited,
    /// The process is there but of no use.
    Broken(String),
}

/// What wakes the reader.
enum Wake {
    Stop,
    Unheard,
    Items(Result<Vec<SseItem>, StreamEnd>),
    Exited,
    Look,
    Reconnect,
}

impl Reader {
    fn new(shared: Arc<Shared>, stream: EventStream, events: mpsc::Sender<DriverEvent>) -> Self {
        let now = Instant::now();
        Self {
            shared,
            events,
            stream: Some(stream),
            lost_since: None,
            reconnect_at: now,
            reconnect_wait: RECONNECT_FIRST,
            look_at: None,
            quiet_at: now + QUIET_LIMIT,
            silent_looks: 0,
        }
    }

    async fn run(mut self) {
        let end = loop {
            if let Err(end) = self.step().await {
                break end;
            }
        };
        let reason = match end {
            // Whoever stops it ends it: in order, or by letting go of it.
            End::Stopped => return,
            End::Unheard => return self.shared.end_in_order().await,
            End::Exited => {
                self.drain().await;
                self.shared.running.exited().await
            }
            End::Broken(why) => {
                self.shared.running.end().await;
                why
            }
        };
        let mut last = self.shared.tracker().exited();
        last.push(DriverEvent::Exited {
            reason: self.with_last_words(reason),
        });
        let _ = self.tell(last).await;
    }

    async fn step(&mut self) -> Result<(), End> {
        match self.wake().await {
            Wake::Stop => Err(End::Stopped),
            Wake::Unheard => Err(End::Unheard),
            Wake::Exited => Err(End::Exited),
            Wake::Items(Ok(items)) => self.take(items).await,
            Wake::Items(Err(StreamEnd::Lost(why))) => {
                debug!(why, "opencode's event stream is lost");
                self.stream = None;
                self.lost_since = Some(Instant::now());
                self.reconnect_at = Instant::now();
                self.reconnect_wait = RECONNECT_FIRST;
                Ok(())
            }
            Wake::Items(Err(StreamEnd::Endless)) => {
                let size = SSE_SKIP_MAX_BYTES / (1024 * 1024);
                Err(End::Broken(format!(
                    "opencode sent a line of more than {size} MiB and was stopped"
                )))
            }
            Wake::Look => self.look().await,
            Wake::Reconnect => self.reconnect().await,
        }
    }

    async fn wake(&mut self) -> Wake {
        let shared = &self.shared;
        let look_at = self.look_at.unwrap_or(self.quiet_at);
        let reconnect_at = self.reconnect_at;
        let stream = &mut self.stream;
        let is_lost = stream.is_none();
        let items = async {
            match stream {
                Some(stream) => stream.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => Wake::Stop,
            () = self.events.closed() => Wake::Unheard,
            // The end of the process is looked at last: what it has said before comes first.
            items = items => Wake::Items(items),
            () = shared.look_now.notified() => Wake::Look,
            () = tokio::time::sleep_until(look_at) => Wake::Look,
            _ = shared.running.exited() => Wake::Exited,
            () = tokio::time::sleep_until(reconnect_at), if is_lost => Wake::Reconnect,
        }
    }

    async fn take(&mut self, items: Vec<SseItem>) -> Result<(), End> {
        for item in items {
            let event = match item {
                SseItem::Data(data) => Event::parse(&data),
                SseItem::Skipped => Err("it is too long".to_owned()),
            };
            match event {
                Ok(Event::Other { kind }) => {
                    debug!(kind, "an event of opencode that means nothing here")
                }
                Ok(event) => self.handle(event).await?,
                // The turn's messages are read in full when it ends; what was missed is in there.
                Err(why) => warn!(why, "an event of opencode was left out"),
            }
        }
        Ok(())
    }

    async fn handle(&mut self, event: Event) -> Result<(), End> {
        let told = self.shared.tracker().take(event);
        self.quiet_at = Instant::now() + QUIET_LIMIT;
        self.tell(told.events).await?;
        match told.next {
            Next::Nothing => {}
            Next::Look(after) => self.look_within(after),
            Next::Abort => self.abort().await,
            Next::TurnDown { ask, reply } => {
                if let Err(error) = self.shared.api.reply(&ask, &reply).await {
                    warn!(%error, ask, "an ask outside a turn could not be turned down");
                }
            }
        }
        Ok(())
    }

    fn look_within(&mut self, after: Duration) {
        let at = Instant::now() + after;
        self.look_at = Some(self.look_at.map_or(at, |look_at| look_at.min(at)));
    }

    async fn abort(&mut self) {
        if let Err(error) = self.shared.api.abort(&self.shared.session).await {
            warn!(%error, "a turn could not be stopped; it is tried again");
        }
        self.look_within(ABORT_AGAIN);
    }

    /// Asks opencode whether the turn is over.
    async fn look(&mut self) -> Result<(), End> {
        self.look_at = None;
        self.quiet_at = Instant::now() + QUIET_LIMIT;
        let Some(turn_id) = self.shared.tracker().current().cloned() else {
            return Ok(());
        };
        let shared = Arc::clone(&self.shared);
        let is_busy = match shared.api.is_busy(&shared.session).await {
            Ok(is_busy) => is_busy,
            Err(error) => return self.silence(error),
        };
        let messages = if is_busy {
            Ok(Vec::new())
        } else {
            shared.api.turn_messages(&shared.session, &turn_id).await
        };
        let over = match messages {
            Ok(messages) => shared.tracker().look(is_busy, &messages),
            // It is there but its answer can't be had: what was streamed of it has to do.
            Err(DriverError::Malformed { detail, .. }) => Some(shared.tracker().give_up(&format!(
                "The complete answer could not be read from opencode: {detail}"
            ))),
            Err(error) => return self.silence(error),
        };
        self.silent_looks = 0;
        match over {
            Some(events) => self.tell(events).await,
            None if !is_busy => {
                self.look_within(LOOK_AGAIN);
                Ok(())
            }
            None => {
                if shared.tracker().is_aborted() {
                    self.abort().await;
                }
                Ok(())
            }
        }
    }

    /// opencode did not answer. Too often, and it is of no use.
    fn silence(&mut self, error: DriverError) -> Result<(), End> {
        self.silent_looks += 1;
        if self.silent_looks >= SILENT_LOOKS_MAX && self.shared.running.exit_status().is_none() {
            return Err(End::Broken(format!(
                "opencode does not answer any more and was stopped: {error}"
            )));
        }
        self.look_within(LOOK_AFTER_SILENCE);
        Ok(())
    }

    async fn reconnect(&mut self) -> Result<(), End> {
        let shared = Arc::clone(&self.shared);
        let opened = EventStream::open(&shared.api, RECONNECT_LIMIT).await;
        match opened {
            Ok(stream) => {
                self.stream = Some(stream);
                self.lost_since = None;
                self.repair().await
            }
            Err(error)
                if self
                    .lost_since
                    .is_some_and(|since| since.elapsed() >= RECONNECT_LIMIT) =>
            {
                Err(End::Broken(format!(
                    "opencode's event stream could not be opened again, and it was stopped: {error}"
                )))
            }
            Err(_) => {
                self.reconnect_at = Instant::now() + self.reconnect_wait;
                self.reconnect_wait = (self.reconnect_wait * 2).min(RECONNECT_MAX);
                Ok(())
            }
        }
    }

    /// Reads what may have been missed while the stream was away.
    async fn repair(&mut self) -> Result<(), End> {
        let shared = Arc::clone(&self.shared);
        let turn_id = shared.tracker().current().cloned();
        let read = async {
            let messages: Vec<Message> = match &turn_id {
                Some(turn_id) => shared.api.turn_messages(&shared.session, turn_id).await?,
                None => Vec::new(),
            };
            let (permissions, questions) = shared.api.open_asks().await?;
            Ok::<_, DriverError>((messages, permissions, questions))
        };
        match read.await {
            Ok((messages, permissions, questions)) => {
                let events = shared.tracker().repair(&messages, permissions, questions);
                self.tell(events).await?;
            }
            Err(error) => {
                warn!(%error, "what was missed could not be read; the turn's end will have it")
            }
        }
        self.look_within(Duration::ZERO);
        Ok(())
    }

    /// Reads what a process that has ended said before.
    async fn drain(&mut self) {
        let Some(mut stream) = self.stream.take() else {
            return;
        };
        let read = async {
            while let Ok(items) = stream.next().await {
                for item in items {
                    let SseItem::Data(data) = item else { continue };
                    let Ok(event) = Event::parse(&data) else {
                        continue;
                    };
                    let told = self.shared.tracker().take(event);
                    if self.tell(told.events).await.is_err() {
                        return;
                    }
                }
            }
        };
        let _ = tokio::time::timeout(DRAIN_LIMIT, read).await;
    }

    /// Passes events on; waits while nobody takes them.
    async fn tell(&self, events: Vec<DriverEvent>) -> Result<(), End> {
        for event in events {
            tokio::select! {
                biased;
                sent = self.events.send(event) => sent.map_err(|_| End::Unheard)?,
                () = self.shared.stop.cancelled() => return Err(End::Stopped),
            }
        }
        Ok(())
    }

    fn with_last_words(&self, reason: String) -> String {
        let last_words = self.shared.running.last_words();
        crate::answer::reason(&if last_words.is_empty() {
            reason
        } else {
            format!("{reason}; its last words: {last_words}")
        })
    }
}
