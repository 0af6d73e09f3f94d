//! What goes wrong. Each place where something may go wrong asks here; the answer depends on the seed, the kind
//! and how often that kind was asked, and on nothing else, so that a fault can be left out and the others stay.

use std::collections::{BTreeMap, BTreeSet};

use crate::random::Random;

/// Chances are counted in this many.
const CHANCES: u64 = 100_000;
/// Of the kinds, this many in a thousand occur in a world: few kinds at once meet in more ways than all do.
const KINDS_PER_MILLE: u64 = 450;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $most:literal;)*) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// Every kind, with the largest chance that it gets in a world.
            const ALL: &[(Self, u64)] = &[$((Self::$name, $most)),*];

            /// How many kinds there are.
            pub const COUNT: usize = Self::ALL.len();

            /// What it is called in a report.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text),*
                }
            }
        }
    };
}

faults! {
    // Asked for each message.
    /// A request never arrives.
    RequestLost = "request lost", 6_000;
    /// A request is done, and its answer never arrives.
    AnswerLost = "answer lost", 6_000;
    /// A request arrives twice, the second time up to half a minute later.
    RequestDoubled = "request doubled", 8_000;
    /// A message takes seconds; those sent after it overtake it.
    Delayed = "message delayed", 8_000;
    /// A complete message arrives with another text.
    Damaged = "message damaged", 20_000;
    // Asked for each step of an agent.
    /// The agent is killed before it takes an input in.
    AgentCrash = "agent crash", 1_200;
    /// The agent is killed between two things that it does because of one input.
    AgentCrashMidway = "agent crash midway", 1_200;
    // Asked for each step of opencode.
    /// opencode is killed.
    OpencodeExit = "opencode exit", 2_000;
    /// opencode does not start.
    OpencodeNoStart = "opencode does not start", 6_000;
    /// opencode does not take a prompt, or takes it and does not say so.
    PromptLost = "prompt lost", 4_000;
    // Asked for each step of the backend.
    /// The backend is killed: what it has not synced is lost.
    BackendCrash = "backend crash", 700;
    // Asked every second.
    /// The inbox's connection breaks, and both ends see it.
    WatchCut = "watch cut", 6_000;
    /// Nothing goes through between machine and backend.
    Partition = "partition", 2_500;
    /// Nothing goes through from the machine to the backend.
    PartitionOut = "partition, one way out", 2_500;
    /// Nothing goes through from the backend to the machine.
    PartitionIn = "partition, one way in", 2_500;
    /// The machine's connections are dead, and nobody has told it.
    HalfOpen = "half-open connection", 3_000;
    /// Nothing goes through between person and backend.
    PersonCut = "person cut off", 2_000;
    /// The machine is suspended, for up to an hour.
    Suspend = "suspend", 700;
    /// The machine's clock jumps, up to two hours to either side.
    AgentClock = "agent's clock jumps", 1_500;
    /// The backend's clock jumps, up to two hours to either side.
    BackendClock = "backend's clock jumps", 1_500;
    /// The backend's disk is full for a while.
    DiskFull = "disk full", 1_500;
    /// A second agent starts with the same identity.
    Twin = "second agent", 1_000;
    /// The agent is told to finish what runs and leave.
    Drain = "drain", 1_000;
    /// The agent is told to stop at once.
    Stop = "stop", 700;
    // Asked each time that a reader reads.
    /// The reader does not read for up to a minute.
    SlowReader = "slow reader", 3_000;
    /// The page is loaded again: the reader begins at the beginning.
    Reload = "reload", 3_000;
    // Asked each time that the memory is measured.
    /// Memory is short on the machine for a while.
    MemoryShort = "memory short", 20_000;
}

/// A fault that happened: its kind, and how often that kind had been asked for before.
pub type Occurrence = (Fault, u64);

/// What may go wrong in a world.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Kinds that never happen.
    pub off: BTreeSet<Fault>,
    /// Nothing but these happens.
    pub only: Option<BTreeSet<Occurrence>>,
}

/// What goes wrong in a world.
#[derive(Debug)]
pub struct Faults {
    seed: u64,
    chances: BTreeMap<Fault, u64>,
    asked: BTreeMap<Fault, u64>,
    allowed: Allowed,
    is_calm: bool,
    /// What has gone wrong so far, and when, in milliseconds from the beginning.
    pub happened: Vec<(u64, Occurrence)>,
}

impl Faults {
    /// What goes wrong in the world of this seed.
    #[must_use]
    pub fn new(seed: u64, allowed: Allowed) -> Self {
        let mut random = Random::of(seed, 1, 0);
        let mut chances = BTreeMap::new();
        for (fault, most) in Fault::ALL {
            let chance = random.below(most + 1);
            if random.per_mille(KINDS_PER_MILLE) {
                chances.insert(*fault, chance);
            }
        }
        Self {
            seed,
            chances,
            asked: BTreeMap::new(),
            allowed,
            is_calm: false,
            happened: Vec::new(),
        }
    }

    /// From now on nothing goes wrong any more.
    pub fn calm_down(&mut self) {
        self.is_calm = true;
    }

    /// Whether it happens here and now; if so, the source of chance for how.
    pub fn happens(&mut self, fault: Fault, elapsed_ms: u64) -> Option<Random> {
        let chance = *self.chances.get(&fault)?;
        let asked = self.asked.entry(fault).or_default();
        let number = *asked;
        *asked += 1;
        if self.is_calm || self.allowed.off.contains(&fault) {
            return None;
        }
        let mut random = Random::of(self.seed, 2 + fault as u64, number);
        if random.below(CHANCES) >= chance {
            return None;
        }
        let occurrence = (fault, number);
        if let Some(only) = &self.allowed.only
            && !only.contains(&occurrence)
        {
            return None;
        }
        self.happened.push((elapsed_ms, occurrence));
        Some(random)
    }
}
