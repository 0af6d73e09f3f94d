//! Seeded simulation: the real agent core and backend core in a world where everything breaks. The same
//! seed gives the same run, to the last step.

pub mod model;
pub mod random;
pub mod world;

use world::{Faults, Report, World};

/// Runs the world of one seed, and says on standard error what happens if that is wanted. The seed also decides how bad the world is.
///
/// # Errors
/// The promise that was broken.
pub fn run(seed: u64, trace: bool) -> Result<Report, String> {
    let mut random = random::Random::new(seed ^ 0x5eed);
    let faults = Faults {
        lose: random.below(60),
        double: random.below(60),
        crash: random.below(12),
        cut: random.below(12),
        exit: random.below(30),
    };
    World::new(seed, faults).traced(trace).run()
}
