//! How long recovery took, by kind of fault.

use std::collections::BTreeMap;
use std::time::Duration;

/// What one round measured, from the end of its last fault on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Recovery {
    /// Until the page shows the machine online.
    pub(crate) online: Duration,
    /// Until the page shows it online and each chat's turn going on, begun or ended.
    pub(crate) restored: Duration,
    /// Until every turn and command has ended.
    pub(crate) settled: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Recoveries {
    by_kind: BTreeMap<String, Vec<Recovery>>,
    all: Vec<Recovery>,
}

impl Recoveries {
    /// A round with several faults counts for each kind.
    pub(crate) fn note(&mut self, kinds: impl IntoIterator<Item = String>, recovery: Recovery) {
        for kind in kinds {
            self.by_kind.entry(kind).or_default().push(recovery);
        }
        self.all.push(recovery);
    }

    pub(crate) fn print(&self) {
        println!();
        println!("From the end of a round's last fault, in milliseconds: p50 / p95 / max");
        println!(
            "{:<22} {:>6}  {:>22}  {:>22}  {:>22}",
            "fault", "rounds", "online", "restored", "all settled"
        );
        for (kind, recoveries) in &self.by_kind {
            print_line(kind, recoveries);
        }
        print_line("all", &self.all);
    }
}

fn print_line(kind: &str, recoveries: &[Recovery]) {
    let column = |of: fn(&Recovery) -> Duration| {
        let mut times: Vec<u128> = recoveries.iter().map(|one| of(one).as_millis()).collect();
        times.sort_unstable();
        let at = |per_cent| percentile(&times, per_cent);
        format!("{} / {} / {}", at(50), at(95), at(100))
    };
    println!(
        "{kind:<22} {:>6}  {:>22}  {:>22}  {:>22}",
        recoveries.len(),
        column(|one| one.online),
        column(|one| one.restored),
        column(|one| one.settled),
    );
}

/// The value that so many of a hundred are not above.
fn percentile(sorted: &[u128], per_cent: usize) -> u128 {
    let rank = (sorted.len() * per_cent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_there() {
        let times: Vec<u128> = (1..=20).collect();
        assert_eq!(percentile(&times, 50), 10);
        assert_eq!(percentile(&times, 95), 19);
        assert_eq!(percentile(&times, 100), 20);
        assert_eq!(percentile(&[7], 50), 7);
        assert_eq!(percentile(&[], 95), 0);
    }
}
