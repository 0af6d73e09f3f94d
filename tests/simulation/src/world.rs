//! One simulated world: a backend, a machine, the network between them, and a person with a page. Everything
//! that happens is an event at a moment of virtual time, and one follows the other.

use std::collections::BTreeMap;
use std::rc::Rc;

use protocol::Timestamp;
use protocol::agent::{Attempt, Input, WatchId};
use protocol::ids::{ChatSessionId, CommandId};

use crate::backend::Host;
use crate::broken::Broken;
use crate::commands::Disk;
use crate::faults::{Allowed, Fault, Faults, Occurrence};
use crate::machine::{Machine, ProcessId};
use crate::network::{Delivery, Network, Request, RequestId};
use crate::opencode::Opencode;
use crate::page::Page;
use crate::person::{Act, Person};
use crate::random::Random;
use crate::schedules::Schedules;
use crate::store::mix;

/// How a world is to be.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Decides everything.
    pub seed: u64,
    /// What may go wrong.
    pub allowed: Allowed,
    /// The safeguard that is taken out.
    pub broken: Option<Broken>,
    /// Whether to say what happens.
    pub trace: Trace,
}

/// What becomes of the account of what happens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trace {
    /// Nobody wants it.
    #[default]
    Off,
    /// To standard error.
    Print,
    /// Into the report.
    Keep,
}

/// What happened in a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Events.
    pub steps: u64,
    /// Virtual milliseconds.
    pub virtual_ms: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Turns by how they ended.
    pub turns: BTreeMap<&'static str, u64>,
    /// Commands by how they ended.
    pub commands: BTreeMap<&'static str, u64>,
    /// Runs of schedules by how they ended.
    pub runs: BTreeMap<&'static str, u64>,
    /// What a person did, by function and answer.
    pub acts: BTreeMap<String, u64>,
    /// A digest of every event and of every byte that the backend wrote, in order.
    pub digest: u64,
    /// The account of what happened, if it was to be kept.
    pub trace: String,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Which one, and how.
    pub what: String,
    /// When, in milliseconds from the beginning.
    pub at_ms: u64,
    /// What had gone wrong until then, and when.
    pub happened: Vec<(u64, Occurrence)>,
}

#[derive(Debug)]
pub(crate) enum Event {
    /// The service starts an agent.
    Start,
    /// Something on the machine tells its agent something.
    Input(ProcessId, Input),
    Wake(ProcessId, Timestamp),
    Resume,
    /// A request reaches the backend.
    Arrive(RequestId, Rc<Request>),
    /// The answer to a request, or its time-out: whichever comes first.
    Deliver(RequestId, Delivery),
    Resend(u64),
    Sync(u64),
    BackendUp,
    DiskFreed,
    /// The backend looks whether the inbox has changed for this watch.
    Push(ProcessId, WatchId),
    /// The backend sees that a watch's connection is gone.
    WatchGone(ProcessId, WatchId),
    /// opencode's next step in a chat session.
    Model(ProcessId, ChatSessionId, u64),
    /// The next step of the work on a command.
    Work(ProcessId, CommandId, Attempt, u64),
    Act(Act),
    Read(ChatSessionId),
    Look,
    Weather,
    /// Nothing goes wrong any more.
    Calm,
}

impl Event {
    /// The agent process that would take it in.
    fn process(&self) -> Option<ProcessId> {
        match self {
            Self::Input(process, _)
            | Self::Wake(process, _)
            | Self::Model(process, ..)
            | Self::Work(process, ..)
            | Self::Deliver(_, Delivery::Agent(process, _)) => Some(*process),
            Self::Start
            | Self::Resume
            | Self::Arrive(..)
            | Self::Deliver(_, Delivery::Person(..))
            | Self::Resend(_)
            | Self::Sync(_)
            | Self::BackendUp
            | Self::DiskFreed
            | Self::Push(..)
            | Self::WatchGone(..)
            | Self::Act(_)
            | Self::Read(_)
            | Self::Look
            | Self::Weather
            | Self::Calm => None,
        }
    }
}

/// How long things go wrong, at the least. A suspended machine makes it longer.
const STORM_MS: std::ops::Range<u64> = 60_000..240_000;
/// After the storm everything has to come to rest within this.
const REST_WITHIN_MS: u64 = 15 * 60 * 1_000;
/// How long the world is still watched once it is at rest: long enough for everything to hibernate.
const WATCHED_AT_REST_MS: u64 = 150_000;
/// More events than any world has: one that never rests.
const STEPS_MAX: u64 = 2_000_000;

/// A world.
#[derive(Debug)]
pub struct World {
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    pub(crate) broken: Option<Broken>,
    pub(crate) now: Timestamp,
    pub(crate) host: Host,
    pub(crate) machine: Machine,
    pub(crate) network: Network,
    pub(crate) opencode: Opencode,
    pub(crate) disk: Disk,
    pub(crate) person: Person,
    pub(crate) page: Page,
    pub(crate) schedules: Schedules,
    pub(crate) report: Report,
    pub(crate) is_calm: bool,
    pub(crate) storm_until: Timestamp,
    start: Timestamp,
    queue: BTreeMap<(Timestamp, u64), Event>,
    last_event: u64,
    rests_since: Option<Timestamp>,
    breach: Option<String>,
    trace: Trace,
}

impl World {
    /// A world at its beginning.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let mut random = Random::of(setup.seed, 0, 0);
        let start = Timestamp::from_ms(1_700_000_000_000);
        let storm_ms = random.between(STORM_MS.start, STORM_MS.end);
        let mut world = Self {
            faults: Faults::new(setup.seed, setup.allowed),
            broken: setup.broken,
            now: start,
            host: Host::new(setup.broken),
            machine: Machine::default(),
            network: Network::default(),
            opencode: Opencode::default(),
            disk: Disk::default(),
            person: Person::new(start, &mut random),
            page: Page::default(),
            schedules: Schedules::default(),
            report: Report::default(),
            is_calm: false,
            storm_until: start.plus_ms(storm_ms),
            start,
            queue: BTreeMap::new(),
            last_event: 0,
            rests_since: None,
            breach: None,
            trace: setup.trace,
            random,
        };
        world.set_up(storm_ms);
        world.set_limits(setup.seed);
        world.set_schedules(setup.seed, storm_ms * 7 / 10);
        world.after(0, Event::Start);
        world.after(500, Event::Look);
        world.after(1_000, Event::Weather);
        world.after(storm_ms, Event::Calm);
        world
    }

    /// Lets the world run until it is at rest, and checks every promise.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub fn run(mut self) -> Result<Report, Breach> {
        while self.breach.is_none() && !self.is_over() {
            let Some(((at, _), event)) = self.queue.pop_first() else {
                break;
            };
            self.now = at;
            self.report.steps += 1;
            mix(&mut self.report.digest, &at.as_ms().to_le_bytes());
            self.tell("", &event);
            self.handle(event);
            self.tick_backend();
            if self.report.steps > STEPS_MAX {
                self.fail("the world never comes to rest".to_owned());
            }
        }
        if self.breach.is_none() {
            self.check_end();
        }
        self.report.virtual_ms = self.elapsed_ms();
        for (_, (fault, _)) in &self.faults.happened {
            *self.report.faults.entry(fault.name()).or_default() += 1;
        }
        mix(
            &mut self.report.digest,
            &self.host.store.digest.to_le_bytes(),
        );
        match self.breach {
            None => Ok(self.report),
            Some(what) => Err(Breach {
                what,
                at_ms: self.report.virtual_ms,
                happened: self.faults.happened,
            }),
        }
    }

    fn handle(&mut self, event: Event) {
        if let Some(process) = event.process()
            && self.machine.is_suspended()
        {
            self.machine.keep_for_later(process, event);
            return;
        }
        match event {
            Event::Start => self.start_agent(),
            Event::Input(process, input) => self.tell_agent(process, input),
            Event::Wake(process, at) => self.wake(process, at),
            Event::Resume => self.resume(),
            Event::Arrive(id, request) => self.arrive(id, &request),
            Event::Deliver(id, delivery) => self.deliver(id, delivery),
            Event::Resend(call) => self.send_call(call),
            Event::Sync(incarnation) => self.sync(incarnation),
            Event::BackendUp => self.backend_up(),
            Event::DiskFreed => self.host.store.is_full = false,
            Event::Push(process, watch) => self.push_inbox(process, watch),
            Event::WatchGone(process, watch) => self.watch_gone(process, watch),
            Event::Model(process, chat, generation) => self.model(process, chat, generation),
            Event::Work(process, id, attempt, left) => self.work(process, &id, attempt, left),
            Event::Act(act) => self.act(act),
            Event::Read(chat) => self.read(chat),
            Event::Look => self.look(),
            Event::Weather => self.weather(),
            Event::Calm => self.calm(),
        }
    }

    /// The storm is over, unless something that began in it lasts longer.
    fn calm(&mut self) {
        if self.storm_until > self.now {
            let left = self.storm_until.ms_since(self.now);
            return self.after(left, Event::Calm);
        }
        self.is_calm = true;
        self.faults.calm_down();
        self.delete_schedules();
        self.tell("calm", &"");
    }

    /// At rest for long enough. Not at rest for too long is a promise broken.
    fn is_over(&mut self) -> bool {
        let Some(since) = self.rests_since else {
            return false;
        };
        self.now.ms_since(since) > WATCHED_AT_REST_MS
    }

    /// Looks, now and then, whether everything that was begun has ended.
    pub(crate) fn note_rest(&mut self) {
        if !self.is_calm {
            return;
        }
        let unfinished = self.unfinished();
        match (unfinished, self.rests_since) {
            (None, None) => self.rests_since = Some(self.now),
            (None, Some(_)) => {}
            (Some(what), None) if self.now.ms_since(self.storm_until) > REST_WITHIN_MS => {
                self.fail(format!("long after the storm there is still: {what}"));
            }
            (Some(_), None) => {}
            (Some(_), Some(_)) => self.rests_since = None,
        }
    }

    /// Whether it goes wrong here and now; if so, the source of chance for how.
    pub(crate) fn happens(&mut self, fault: Fault) -> Option<Random> {
        let elapsed = self.elapsed_ms();
        let how = self.faults.happens(fault, elapsed)?;
        self.tell("FAULT", &fault);
        Some(how)
    }

    /// Something that goes wrong lasts until then; the storm does, too.
    pub(crate) fn lasts_until(&mut self, until: Timestamp) {
        self.storm_until = self.storm_until.max(until);
    }

    pub(crate) fn after(&mut self, wait_ms: u64, event: Event) {
        self.at(self.now.plus_ms(wait_ms), event);
    }

    pub(crate) fn at(&mut self, at: Timestamp, event: Event) {
        let number = self.next_number();
        self.queue.insert((at, number), event);
    }

    pub(crate) fn next_number(&mut self) -> u64 {
        self.last_event += 1;
        self.last_event
    }

    pub(crate) fn elapsed_ms(&self) -> u64 {
        self.now.ms_since(self.start)
    }

    /// A promise is broken; the first one counts.
    pub(crate) fn fail(&mut self, what: String) {
        self.tell("BROKEN", &what);
        self.breach.get_or_insert(what);
    }

    pub(crate) fn tell(&mut self, what: &str, which: &dyn std::fmt::Debug) {
        if self.trace == Trace::Off {
            return;
        }
        let text = format!("{which:?}");
        let text: String = text.chars().take(700).collect();
        let line = format!("{:>9} {what} {text}\n", self.elapsed_ms());
        self.write(&line);
    }

    #[allow(clippy::print_stderr)]
    fn write(&mut self, line: &str) {
        match self.trace {
            Trace::Off => {}
            Trace::Print => eprint!("{line}"),
            Trace::Keep => self.report.trace.push_str(line),
        }
    }
}
