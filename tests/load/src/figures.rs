//! Samples, and what is printed of them.

use std::time::Duration;

/// Durations of one kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    ms: Vec<f64>,
}

impl Samples {
    pub(crate) fn add(&mut self, duration: Duration) {
        self.add_ms(duration.as_secs_f64() * 1e3);
    }

    /// Differences may be below zero.
    pub(crate) fn add_ms(&mut self, ms: f64) {
        self.ms.push(ms);
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.ms.extend_from_slice(&other.ms);
    }

    pub(crate) fn count(&self) -> usize {
        self.ms.len()
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The sample below which that share of all is; not a number when there are none.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.ms.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted
            .get(rank.saturating_sub(1).min(last))
            .copied()
            .unwrap_or(f64::NAN)
    }
}

/// A figure beside its target.
pub(crate) fn print_target(what: &str, figure: f64, target: f64, unit: &str) {
    let verdict = if figure <= target { "met" } else { "MISSED" };
    println!("{what}: {figure:.2}{unit} (target at most {target}{unit}: {verdict})");
}

/// What it runs on, and how busy that is already: a busy machine's figures are worth less.
pub(crate) fn print_machine() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total_kib = memory
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()
        })
        .unwrap_or_default();
    println!(
        "{cores} cores, {} GiB; load average before: {}",
        total_kib.div_ceil(1 << 20),
        load_average()
    );
}

/// How long ago a program was built, for a person: an old one is easily measured by mistake.
pub(crate) fn age(program: &std::path::Path) -> String {
    let modified = program.metadata().and_then(|known| known.modified()).ok();
    let age = modified.and_then(|at| std::time::SystemTime::now().duration_since(at).ok());
    age.map_or_else(
        || "at an unknown time".to_owned(),
        |age| format!("{} minutes ago", age.as_secs() / 60),
    )
}

/// The load averages of 1, 5 and 15 minutes.
pub(crate) fn load_average() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let mut samples = Samples::default();
        assert!(samples.median().is_nan());
        for ms in (1..=100_u32).rev() {
            samples.add_ms(f64::from(ms));
        }
        assert_eq!(
            (
                samples.median(),
                samples.quantile(0.99),
                samples.quantile(1.0)
            ),
            (50.0, 99.0, 100.0)
        );
    }
}
