//! The promises about processes and memory: never more processes than allowed, none beyond the first while memory is
//! short, and whoever waits for one gets it in its turn.

use std::collections::BTreeMap;

use protocol::Timestamp;
use protocol::agent::{Generation, Input};
use protocol::driver::DriverEvent;
use protocol::ids::ChatSessionId;

use crate::broken::Broken;
use crate::faults::Fault;
use crate::machine::ProcessId;
use crate::random::Random;
use crate::world::World;

/// How much memory all opencodes of the machine may take.
pub(crate) const MEMORY_LIMIT_BYTES: u64 = 16 * 1024 * 1024 * 1024;
/// How much one takes.
const OPENCODE_BYTES: u64 = 350 * 1024 * 1024;
/// In so many worlds of a thousand there are only a few processes.
const NARROW_PER_MILLE: u64 = 400;
/// In so many of those nothing hibernates by itself: all room there is, is made by the governor.
const SLEEPLESS_PER_MILLE: u64 = 400;
/// Long enough to be never.
const NEVER_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// What the machine of a world may do at once.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    pub(crate) processes: usize,
    /// Processes stay until somebody needs their place.
    pub(crate) is_sleepless: bool,
    /// Something else on the machine takes the memory until then.
    memory_short_until: Timestamp,
}

/// What an agent's opencodes are, seen from outside of its core.
#[derive(Debug, Default)]
pub(crate) struct Governed {
    /// From the order to start until the agent knows that nothing is left.
    there: BTreeMap<ChatSessionId, Generation>,
    /// Who waited before the input that is being taken in, the next one first.
    waited: Vec<ChatSessionId>,
    /// What the agent was last told is more than allowed.
    is_memory_short: bool,
}

impl World {
    pub(crate) fn set_limits(&mut self, seed: u64) {
        // A source of its own: everything else in the world stays as it is.
        let mut random = Random::of(seed, 3, u64::MAX);
        let is_narrow = random.per_mille(NARROW_PER_MILLE);
        self.machine.limits.processes = if is_narrow {
            usize::try_from(random.between(1, 3)).unwrap_or(1)
        } else {
            1_000
        };
        if is_narrow && random.per_mille(SLEEPLESS_PER_MILLE) {
            self.machine.limits.is_sleepless = true;
            self.machine.hibernate_after_ms = NEVER_MS;
        }
    }

    /// What the agent is told of its limit.
    pub(crate) fn process_limit_told(&self) -> usize {
        match self.broken {
            Some(Broken::Governor) => usize::MAX,
            Some(_) | None => self.machine.limits.processes,
        }
    }

    /// How many processes may be left once the world is at rest.
    pub(crate) fn processes_at_rest(&self) -> usize {
        if self.machine.limits.is_sleepless {
            self.machine.limits.processes
        } else {
            0
        }
    }

    pub(crate) fn begin_governed(&mut self, id: ProcessId, input: &Input) {
        let Some(process) = self.machine.processes.get_mut(&id) else {
            return;
        };
        let governed = &mut process.governed;
        governed.waited = process.core.waiting().cloned().collect();
        if let Input::Memory(Some(bytes)) = input {
            governed.is_memory_short = *bytes > MEMORY_LIMIT_BYTES;
        }
        let ended = match input {
            Input::ProcessStopped(chat, generation)
            | Input::ProcessStarted(chat, generation, Err(_))
            | Input::Driver(chat, generation, DriverEvent::Exited { .. }) => {
                Some((chat, generation))
            }
            Input::ProcessStarted(_, _, Ok(_))
            | Input::Driver(..)
            | Input::Time
            | Input::Info(_)
            | Input::Connected(_)
            | Input::Inbox(..)
            | Input::InboxEnded(..)
            | Input::CallDone(..)
            | Input::AppendDone(..)
            | Input::ChunksRead(..)
            | Input::WorkerChecked(..)
            | Input::Prompted(..)
            | Input::Recalled(..)
            | Input::CommandProgress(..)
            | Input::CommandEnded(..)
            | Input::Memory(_)
            | Input::Drain
            | Input::Stop => None,
        };
        if let Some((chat, generation)) = ended
            && governed.there.get(chat) == Some(generation)
        {
            governed.there.remove(chat);
        }
        if governed.there.is_empty() {
            governed.is_memory_short = false;
        }
    }

    pub(crate) fn check_start(
        &mut self,
        id: ProcessId,
        chat: &ChatSessionId,
        generation: Generation,
    ) {
        let limit = self.machine.limits.processes;
        let Some(process) = self.machine.processes.get_mut(&id) else {
            return;
        };
        let governed = &mut process.governed;
        governed.there.insert(chat.clone(), generation);
        let there = governed.there.len();
        let mut broken = Vec::new();
        if there > limit {
            broken.push(format!("{there} processes run, and {limit} may"));
        }
        if governed.is_memory_short && there > 1 {
            broken.push(format!(
                "{chat}: a process was started while memory was short"
            ));
        }
        let place = governed.waited.iter().position(|waited| waited == chat);
        let earlier = &governed.waited[..place.unwrap_or(governed.waited.len())];
        let overtaken = process
            .core
            .waiting()
            .find(|waiting| earlier.contains(waiting));
        if let Some(overtaken) = overtaken {
            broken.push(format!(
                "{chat} got a process before {overtaken}, which waited longer"
            ));
        }
        if place.is_some() {
            *self
                .report
                .acts
                .entry("waited for a process".to_owned())
                .or_default() += 1;
        }
        for what in broken {
            self.fail(what);
        }
    }

    /// Spares only take places that nobody has.
    pub(crate) fn check_spares(&mut self, id: ProcessId, most: usize) {
        let limit = self.process_limit_told();
        let Some(process) = self.machine.processes.get(&id) else {
            return;
        };
        let there = process.core.process_count();
        if there + most > limit.max(there) {
            self.fail(format!("{most} spares besides {there} processes"));
        }
    }

    pub(crate) fn measure_memory(&mut self, id: ProcessId) {
        if let Some(mut how) = self.happens(Fault::MemoryShort) {
            let wait = how.between(1_000, 40_000);
            let until = self.now.plus_ms(wait);
            self.machine.limits.memory_short_until = until;
            self.lasts_until(until);
        }
        let Some(process) = self.machine.processes.get(&id) else {
            return;
        };
        let there = u64::try_from(process.governed.there.len()).unwrap_or(u64::MAX);
        let mut bytes = there.saturating_mul(OPENCODE_BYTES);
        if self.machine.limits.memory_short_until > self.now {
            bytes = bytes.saturating_add(MEMORY_LIMIT_BYTES);
        }
        self.soon(id, Input::Memory(Some(bytes)));
    }
}
