//! From a broken promise to the fewest faults that still break one: kinds are switched off first, then single
//! faults, by running the world again.

use std::collections::BTreeSet;

use crate::faults::{Allowed, Fault, Occurrence};
use crate::world::{Breach, Setup, Trace, World};

/// How many worlds are run for it at the most.
const RUNS_MAX: u32 = 400;

/// Looks for the shortest list of faults with which this world still breaks a promise.
#[must_use]
pub fn minimise(setup: &Setup, breach: Breach) -> (Setup, Breach) {
    let mut search = Search {
        setup: Setup {
            trace: Trace::Off,
            ..setup.clone()
        },
        breach,
        runs: 0,
    };
    search.leave_out_kinds();
    search.leave_out_single_ones();
    (search.setup, search.breach)
}

struct Search {
    setup: Setup,
    breach: Breach,
    runs: u32,
}

impl Search {
    /// Whether a promise is still broken with fewer faults; if so, that is where the search goes on.
    fn still_breaks(&mut self, allowed: Allowed) -> bool {
        if self.runs >= RUNS_MAX {
            return false;
        }
        self.runs += 1;
        let setup = Setup {
            allowed,
            ..self.setup.clone()
        };
        match World::new(setup.clone()).run() {
            Err(breach) if breach.happened.len() <= self.breach.happened.len() => {
                self.setup = setup;
                self.breach = breach;
                true
            }
            Err(_) | Ok(_) => false,
        }
    }

    fn leave_out_kinds(&mut self) {
        let kinds: BTreeSet<Fault> = self
            .breach
            .happened
            .iter()
            .map(|(_, (fault, _))| *fault)
            .collect();
        for kind in kinds {
            let mut allowed = self.setup.allowed.clone();
            allowed.off.insert(kind);
            self.still_breaks(allowed);
        }
    }

    fn leave_out_single_ones(&mut self) {
        let mut piece = self.breach.happened.len().div_ceil(2);
        while piece > 0 {
            let mut from = 0;
            while from < self.breach.happened.len() {
                let kept: BTreeSet<Occurrence> = self
                    .breach
                    .happened
                    .iter()
                    .enumerate()
                    .filter(|(n, _)| *n < from || *n >= from + piece)
                    .map(|(_, (_, occurrence))| *occurrence)
                    .collect();
                let allowed = Allowed {
                    only: Some(kept),
                    ..self.setup.allowed.clone()
                };
                if !self.still_breaks(allowed) {
                    from += piece;
                }
            }
            piece = if piece == 1 { 0 } else { piece.div_ceil(2) };
        }
    }
}

impl std::fmt::Display for Breach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "after {} ms: {}", self.at_ms, self.what)?;
        if self.happened.is_empty() {
            return writeln!(f, "  without any fault");
        }
        for (at_ms, (fault, number)) in &self.happened {
            writeln!(f, "  {at_ms:>8} ms  {} (number {number})", fault.name())?;
        }
        Ok(())
    }
}
