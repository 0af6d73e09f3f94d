//! What is promised holds in many bad worlds, and a seed is enough to see one again.

#[test]
fn the_promises_hold_in_many_worlds() {
    for seed in 0..200 {
        if let Err(broken) = simulation::run(seed, false) {
            panic!("seed {seed}: {broken}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [1, 77, 4_242] {
        assert_eq!(simulation::run(seed, false), simulation::run(seed, false));
    }
}
