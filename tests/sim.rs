//! A seeded simulation: two relays over one ledger, clients, attackers, peers, a bad network.
//!
//! A model written from the RFC text says after every step what must have happened. Replay a seed:
//! `TURNBELL_SIM_SEED=17 cargo test --test sim replay -- --nocapture`. A soak of fresh seeds:
//! `TURNBELL_SIM_RUNS=10000 cargo test --test sim fresh`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, reason = "tests/conformance.rs uses the rest")]
mod support;

mod sim {
    pub(crate) mod actor;
    pub(crate) mod allocation;
    pub(crate) mod ask;
    pub(crate) mod attacker;
    pub(crate) mod checks;
    pub(crate) mod ledger;
    pub(crate) mod model;
    pub(crate) mod net;
    pub(crate) mod prng;
    pub(crate) mod probes;
    pub(crate) mod shards;
    pub(crate) mod told;
    pub(crate) mod world;
}

use sim::told::Told;
use sim::world::World;

/// Runs one seed to its end; on a failure its last steps and the line that replays it are printed.
fn run(seed: u64) -> Told {
    let mut world = World::new(seed);
    world.run();
    world.finish()
}

fn run_range(seeds: std::ops::Range<u64>) -> Told {
    seeds.map(run).fold(Told::default(), Told::and)
}

#[test]
fn the_first_hundred_seeds_agree_with_the_model() {
    let told = run_range(0..100);
    // A simulation in which nothing happens proves nothing.
    assert!(told.is_lively(), "{told:?}");
}

#[test]
fn the_second_hundred_seeds_agree_with_the_model() {
    let told = run_range(100..200);
    assert!(told.is_lively(), "{told:?}");
}

#[test]
fn fresh_seeds_agree_with_the_model() {
    // A soak sets more.
    let runs = std::env::var("TURNBELL_SIM_RUNS").map_or(5, |runs| runs.parse().unwrap());
    for _ in 0..runs {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).unwrap();
        run(u64::from_le_bytes(seed));
    }
}

#[test]
fn a_seed_always_tells_the_same_story() {
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn replay() {
    // Without the variable there is nothing to replay.
    if let Ok(seed) = std::env::var("TURNBELL_SIM_SEED") {
        let told = run(seed.parse().expect("TURNBELL_SIM_SEED is a decimal number"));
        eprintln!("{told:?}");
    }
}
