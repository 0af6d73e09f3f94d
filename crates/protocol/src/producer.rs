//! Fencing of a stream's producers: which append is new, which one is a repetition, which one must be refused.
//!
//! A producer numbers its appends from 0 within an epoch, and takes a higher epoch whenever it starts anew.
//! The rules are those of the Durable Streams protocol, section 5.2.1:
//!
//! | known state | epoch | seq | decision |
//! | --- | --- | --- | --- |
//! | none | any | 0 | accept |
//! | none | any | > 0 | gap, 0 expected |
//! | `(e, last)` | < e | any | stale epoch |
//! | `(e, last)` | > e | 0 | accept, the old epoch is fenced off |
//! | `(e, last)` | > e | > 0 | a new epoch starts at 0 |
//! | `(e, last)` | e | <= last | duplicate |
//! | `(e, last)` | e | last + 1 | accept |
//! | `(e, last)` | e | > last + 1 | gap |

/// Largest epoch or sequence number: what a JavaScript number holds exactly.
pub const PRODUCER_NUMBER_MAX: u64 = (1 << 53) - 1;

/// What a stream remembers of one producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerState {
    /// The highest epoch seen.
    pub epoch: u64,
    /// The last sequence number accepted within it.
    pub last_seq: u64,
}

/// What to do with an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// New: write it, together with this state.
    Accept(ProducerState),
    /// Already written: acknowledge it and write nothing.
    Duplicate {
        /// The last sequence number accepted, which may be beyond the one repeated.
        last_seq: u64,
    },
    /// An earlier append is missing: refuse.
    Gap {
        /// The sequence number that comes next.
        expected: u64,
    },
    /// A newer incarnation of the producer has taken over: refuse, and the sender stops.
    StaleEpoch {
        /// The epoch in force.
        current: u64,
    },
    /// The first append of a new epoch is not number 0: refuse.
    EpochMustStartAtZero,
}

/// Decides on the append `(epoch, seq)` of a producer of which `known` is remembered.
#[must_use]
pub fn decide(known: Option<ProducerState>, epoch: u64, seq: u64) -> Decision {
    let first = Decision::Accept(ProducerState { epoch, last_seq: 0 });
    let Some(known) = known else {
        return if seq == 0 {
            first
        } else {
            Decision::Gap { expected: 0 }
        };
    };
    if epoch < known.epoch {
        return Decision::StaleEpoch {
            current: known.epoch,
        };
    }
    if epoch > known.epoch {
        return if seq == 0 {
            first
        } else {
            Decision::EpochMustStartAtZero
        };
    }
    if seq <= known.last_seq {
        return Decision::Duplicate {
            last_seq: known.last_seq,
        };
    }
    let expected = known.last_seq + 1;
    if seq == expected {
        Decision::Accept(ProducerState {
            epoch,
            last_seq: seq,
        })
    } else {
        Decision::Gap { expected }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const KNOWN: ProducerState = ProducerState {
        epoch: 3,
        last_seq: 7,
    };

    #[test]
    fn each_row_of_the_table() {
        let accept = |epoch, last_seq| Decision::Accept(ProducerState { epoch, last_seq });
        assert_eq!(decide(None, 5, 0), accept(5, 0));
        assert_eq!(decide(None, 5, 1), Decision::Gap { expected: 0 });
        assert_eq!(
            decide(Some(KNOWN), 2, 8),
            Decision::StaleEpoch { current: 3 }
        );
        assert_eq!(decide(Some(KNOWN), 4, 0), accept(4, 0));
        assert_eq!(decide(Some(KNOWN), 4, 8), Decision::EpochMustStartAtZero);
        assert_eq!(
            decide(Some(KNOWN), 3, 0),
            Decision::Duplicate { last_seq: 7 }
        );
        assert_eq!(
            decide(Some(KNOWN), 3, 7),
            Decision::Duplicate { last_seq: 7 }
        );
        assert_eq!(decide(Some(KNOWN), 3, 8), accept(3, 8));
        assert_eq!(decide(Some(KNOWN), 3, 9), Decision::Gap { expected: 8 });
        assert_eq!(
            decide(
                Some(ProducerState {
                    epoch: PRODUCER_NUMBER_MAX,
                    last_seq: 0
                }),
                PRODUCER_NUMBER_MAX,
                PRODUCER_NUMBER_MAX
            ),
            Decision::Gap { expected: 1 }
        );
    }

    /// The rule said another way: all that was ever accepted, without any state of its own.
    fn reference(accepted: &BTreeMap<u64, Vec<u64>>, epoch: u64, seq: u64) -> &'static str {
        let newest = accepted.keys().next_back().copied();
        if newest.is_some_and(|newest| epoch < newest) {
            return "stale";
        }
        match accepted.get(&epoch) {
            Some(seqs) if seqs.contains(&seq) => "duplicate",
            Some(seqs) if u64::try_from(seqs.len()) == Ok(seq) => "accept",
            Some(_) => "gap",
            None if seq == 0 => "accept",
            None if newest.is_none() => "gap",
            None => "start at zero",
        }
    }

    proptest! {
        #[test]
        fn any_traffic_is_judged_as_by_the_reference(traffic in prop::collection::vec((0_u64..4, 0_u64..6), 0..200)) {
            let mut state = None;
            let mut accepted: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
            for (epoch, seq) in traffic {
                let decision = decide(state, epoch, seq);
                let said = match decision {
                    Decision::Accept(next) => {
                        prop_assert_eq!(next, ProducerState { epoch, last_seq: seq });
                        "accept"
                    }
                    Decision::Duplicate { last_seq } => {
                        prop_assert_eq!(accepted.get(&epoch).and_then(|seqs| seqs.last()), Some(&last_seq));
                        "duplicate"
                    }
                    Decision::Gap { expected } => {
                        prop_assert_eq!(u64::try_from(accepted.get(&epoch).map_or(0, Vec::len)).ok(), Some(expected));
                        "gap"
                    }
                    Decision::StaleEpoch { current } => {
                        prop_assert_eq!(accepted.keys().next_back(), Some(&current));
                        "stale"
                    }
                    Decision::EpochMustStartAtZero => "start at zero",
                };
                prop_assert_eq!(said, reference(&accepted, epoch, seq));
                if let Decision::Accept(next) = decision {
                    state = Some(next);
                    accepted.entry(epoch).or_default().push(seq);
                }
            }
            // Nothing twice, nothing missing, in order.
            for seqs in accepted.values() {
                prop_assert!(seqs.iter().copied().eq(0..u64::try_from(seqs.len()).expect("few")));
            }
        }
    }
}
