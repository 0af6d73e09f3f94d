//! What happens in a round, decided beforehand by its seed. When exactly a fault meets a process is the
//! machine's doing.

use std::fmt;
use std::time::Duration;

use torture::proxy::{End, Weather};
use torture::random::Random;

/// The longest time from the first message to a fault: answers take about as long.
const STRIKE_LATEST_MS: u64 = 1_800;
/// How long something stands still: short enough for a round, long enough for what a process does meanwhile.
const PAUSE_MS: (u64, u64) = (50, 2_500);
/// How long a killed process stays away.
const DOWN_MS: (u64, u64) = (0, 700);
/// How long bad weather lasts.
const WEATHER_MS: (u64, u64) = (200, 2_500);
/// How long what a killed agent left stands still: about as long as the next opencode takes to start.
const ORPHAN_MS: (u64, u64) = (500, 6_000);
/// Longer than a machine's lease.
const SLEEP_MS: (u64, u64) = (46_000, 52_000);

/// How often a chat is replaced: that costs a start of opencode.
const REPLACED_PER_CENT: u64 = 6;
/// How often a fault is drawn for one that was asked for: the rarest is one in hundreds.
const TRIES: u32 = 100_000;
/// How often an interrupted turn is continued.
const CONTINUED_PER_CENT: u64 = 30;

/// What a fault is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Agent,
    Hub,
    Opencode,
    /// The small process between the agent and opencode.
    Supervisor,
    /// The agent and all that it runs, as when a laptop sleeps.
    Machine,
}

/// Whose way to the hub is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Agent,
    Person,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// kill -9; the agent and the hub are started again after a while.
    Kill { target: Target, down: Duration },
    /// SIGSTOP, and SIGCONT after a while.
    Pause { target: Target, time: Duration },
    /// Every connection meets this for a while; at the end those that were caught in it go on or end.
    Network {
        side: Side,
        weather: Weather,
        time: Duration,
        end: Option<End>,
    },
    /// Connections end in this way; new ones are fine.
    Cut { side: Side, end: End },
    /// The agent is killed and started again while what it left stands still, and that then goes on.
    Orphan { target: Target, time: Duration },
    /// A second agent with the same identity is started while the first one stands still; then that goes on.
    Twin { time: Duration },
}

impl Fault {
    /// Whether it may interrupt a turn. All else must leave every turn whole.
    pub(crate) fn may_interrupt(self) -> bool {
        match self {
            Self::Kill { target, .. } => target != Target::Hub,
            Self::Orphan { .. } | Self::Twin { .. } => true,
            Self::Pause { .. } | Self::Network { .. } | Self::Cut { .. } => false,
        }
    }

    /// Its name in the figures.
    pub(crate) fn kind(self) -> String {
        match self {
            Self::Kill { target, .. } => format!("kill {target:?}"),
            Self::Pause { target, time } if time.as_millis() >= u128::from(SLEEP_MS.0) => {
                format!("sleep {target:?}")
            }
            Self::Pause { target, .. } => format!("stop {target:?}"),
            Self::Network { side, weather, .. } => {
                let weather = match weather {
                    Weather::Clear => "clear",
                    Weather::Latency { .. } => "latency",
                    Weather::Slices { .. } => "slicing",
                    Weather::BlackHole => "black hole",
                    Weather::Refusing => "cut",
                };
                format!("{weather} {side:?}")
            }
            Self::Cut {
                side,
                end: End::Reset | End::Close,
            } => format!("drop {side:?}"),
            Self::Cut { side, .. } => format!("half-open {side:?}"),
            Self::Orphan { target, .. } => format!("orphan {target:?}"),
            Self::Twin { .. } => "twin Agent".to_owned(),
        }
        .to_lowercase()
    }
}

/// A fault and its time after the round's first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) at: Duration,
    pub(crate) fault: Fault,
    /// Which one, where there are several.
    pub(crate) which: usize,
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} ms: {:?}", self.at.as_millis(), self.fault)
    }
}

/// What a machine is asked besides chatting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    MakeDirectory,
    Clone,
}

/// What may be planned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice<'a> {
    pub(crate) chats: usize,
    /// Whether machines sleep for longer than their lease.
    pub(crate) is_long: bool,
    /// Every fault is of a kind that has this in its name.
    pub(crate) only: Option<&'a str>,
}

impl Choice<'_> {
    fn fault(&self, random: &mut Random) -> Fault {
        let Some(only) = self.only else {
            return fault(random, self.is_long);
        };
        let mut chosen = fault(random, true);
        for _ in 0..TRIES {
            if chosen.kind().contains(only) {
                break;
            }
            chosen = fault(random, true);
        }
        chosen
    }
}

/// A round.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) number: u64,
    /// For each chat the words of each message's answer; the later ones queue.
    pub(crate) messages: Vec<Vec<u64>>,
    pub(crate) errands: Vec<(Duration, Errand)>,
    pub(crate) strikes: Vec<Strike>,
    /// The chat that is ended and replaced by a new one as the round begins.
    pub(crate) replaced: Option<usize>,
    /// Whether a person continues what was interrupted.
    pub(crate) continues: bool,
}

impl Plan {
    /// The round of a seed.
    pub(crate) fn new(seed: u64, number: u64, options: &Choice<'_>) -> Self {
        let mut random = Random::new(seed, number);
        let chats = options.chats;
        let messages = (0..chats)
            .map(|_| {
                let count = random.between(1, 2);
                (0..count).map(|_| random.between(5, 60)).collect()
            })
            .collect();
        let errands = (0..random.below(3))
            .map(|_| {
                let errand = if random.per_cent(40) {
                    Errand::Clone
                } else {
                    Errand::MakeDirectory
                };
                (random.time(0, STRIKE_LATEST_MS), errand)
            })
            .collect();
        let count = if random.per_cent(45) { 2 } else { 1 };
        let mut strikes: Vec<Strike> = (0..count)
            .map(|_| Strike {
                at: random.time(0, STRIKE_LATEST_MS),
                fault: options.fault(&mut random),
                which: usize::try_from(random.below(64)).unwrap_or(0),
            })
            .collect();
        strikes.sort_by_key(|strike| strike.at);
        let replaced = random
            .per_cent(REPLACED_PER_CENT)
            .then(|| usize::try_from(random.below(chats as u64)).unwrap_or(0));
        Self {
            number,
            messages,
            errands,
            strikes,
            replaced,
            continues: random.per_cent(CONTINUED_PER_CENT),
        }
    }

    pub(crate) fn may_interrupt(&self) -> bool {
        self.strikes
            .iter()
            .any(|strike| strike.fault.may_interrupt())
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Kill(Target),
    Pause(Target),
    Weather,
    Drop,
    HalfOpen,
    Orphan(Target),
    Twin,
    Sleep,
}

fn fault(random: &mut Random, is_long: bool) -> Fault {
    // What costs a start of opencode, or the time until a silent connection is given up, is rarer.
    let kind = random.choose(&[
        (110, Kill(Target::Opencode)),
        (80, Kill(Target::Agent)),
        (120, Kill(Target::Hub)),
        (20, Kill(Target::Supervisor)),
        (90, Pause(Target::Agent)),
        (90, Pause(Target::Opencode)),
        (80, Pause(Target::Hub)),
        (20, Pause(Target::Supervisor)),
        (30, Pause(Target::Machine)),
        (280, Kind::Weather),
        (70, Kind::Drop),
        (12, Kind::HalfOpen),
        (8, Kind::Orphan(Target::Opencode)),
        (8, Kind::Orphan(Target::Supervisor)),
        (12, Kind::Twin),
        (if is_long { 6 } else { 0 }, Kind::Sleep),
    ]);
    let side = if random.per_cent(75) {
        Side::Agent
    } else {
        Side::Person
    };
    use Kind::{Kill, Pause};
    match kind.unwrap_or(Kind::Drop) {
        Kill(target) => Fault::Kill {
            target,
            down: random.time(DOWN_MS.0, DOWN_MS.1),
        },
        Pause(target) => Fault::Pause {
            target,
            time: random.time(PAUSE_MS.0, PAUSE_MS.1),
        },
        Kind::Sleep => Fault::Pause {
            target: Target::Machine,
            time: random.time(SLEEP_MS.0, SLEEP_MS.1),
        },
        Kind::Orphan(target) => Fault::Orphan {
            target,
            time: random.time(ORPHAN_MS.0, ORPHAN_MS.1),
        },
        Kind::Twin => Fault::Twin {
            time: random.time(0, 3_000),
        },
        Kind::Drop => Fault::Cut {
            side,
            end: ending(random),
        },
        Kind::HalfOpen => {
            let end = if random.per_cent(50) {
                End::SilentToCaller
            } else {
                End::SilentToHub
            };
            Fault::Cut { side, end }
        }
        Kind::Weather => weather(random, side),
    }
}

fn weather(random: &mut Random, side: Side) -> Fault {
    let (most_ms, most_bytes) = (random.between(5, 250), random.between(1, 64));
    let weather = random
        .choose(&[
            (3, Weather::Latency { most_ms }),
            (3, Weather::Slices { most_bytes }),
            (4, Weather::BlackHole),
            (4, Weather::Refusing),
        ])
        .unwrap_or(Weather::BlackHole);
    let end = match weather {
        Weather::Refusing => Some(ending(random)),
        // After a black hole, what was held back arrives late, or never.
        Weather::BlackHole if random.per_cent(50) => Some(End::Reset),
        Weather::BlackHole | Weather::Clear | Weather::Latency { .. } | Weather::Slices { .. } => {
            None
        }
    };
    Fault::Network {
        side,
        weather,
        time: random.time(WEATHER_MS.0, WEATHER_MS.1),
        end,
    }
}

fn ending(random: &mut Random) -> End {
    if random.per_cent(50) {
        End::Reset
    } else {
        End::Close
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ALL: Choice<'_> = Choice {
        chats: 3,
        is_long: true,
        only: None,
    };

    #[test]
    fn what_is_asked_for_is_planned() {
        let choice = Choice {
            only: Some("sleep"),
            ..ALL
        };
        let strikes = (0..20).flat_map(|number| Plan::new(1, number, &choice).strikes);
        for strike in strikes {
            assert_eq!(strike.fault.kind(), "sleep machine");
        }
    }

    #[test]
    fn a_seed_and_a_round_give_one_plan() {
        let text = |seed, number| format!("{:?}", Plan::new(seed, number, &ALL));
        assert_eq!(text(1, 7), text(1, 7));
        assert_ne!(text(1, 7), text(1, 8));
        assert_ne!(text(1, 7), text(2, 7));
    }

    #[test]
    fn chances_are_what_they_are_called() {
        let replaced = (0..2_000).filter(|number| Plan::new(1, *number, &ALL).replaced.is_some());
        let per_cent = replaced.count() as u64 / 20;
        assert!(per_cent.abs_diff(REPLACED_PER_CENT) <= 2, "{per_cent}");
    }

    #[test]
    fn every_kind_of_fault_comes() {
        let kinds: BTreeSet<String> = (0..2_000)
            .flat_map(|number| Plan::new(1, number, &ALL).strikes)
            .map(|strike| strike.fault.kind())
            .collect();
        assert_eq!(kinds.len(), 25, "{kinds:#?}");
    }
}
