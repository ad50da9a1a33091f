//! A seeded simulation: two relays over one ledger, clients over UDP, TCP and TLS, attackers,
//! peers, a bad network, an operator, a clock that is set.
//!
//! A model written from the RFC text says after every step what must have happened. Replay a seed:
//! `TURNBELL_SIM_SEED=17 cargo test --test sim replay -- --nocapture`. A soak of fresh seeds:
//! `TURNBELL_SIM_SEEDS=10000 cargo test --test sim fresh -- --nocapture`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, reason = "tests/conformance.rs uses the rest")]
mod support;

mod sim {
    pub(crate) mod actor;
    pub(crate) mod allocation;
    pub(crate) mod ask;
    pub(crate) mod attacker;
    pub(crate) mod checks;
    pub(crate) mod delivery;
    pub(crate) mod ledger;
    pub(crate) mod ledgers;
    pub(crate) mod model;
    pub(crate) mod net;
    pub(crate) mod operator;
    pub(crate) mod origin;
    pub(crate) mod prng;
    pub(crate) mod probes;
    pub(crate) mod rules;
    pub(crate) mod server;
    pub(crate) mod settling;
    pub(crate) mod shards;
    pub(crate) mod streams;
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

/// Ten tests of a hundred seeds each, so that they run beside each other.
fn run_hundred(nth: u64) {
    let told = (nth * 100..nth * 100 + 100).map(run).fold(Told::default(), Told::and);
    // A simulation in which nothing happens proves nothing.
    told.check_lively();
}

macro_rules! hundreds {
    ($($name:ident = $nth:literal;)*) => {
        $(#[test]
        fn $name() {
            run_hundred($nth);
        })*
    };
}

hundreds! {
    the_first_hundred_seeds_agree_with_the_model = 0;
    the_second_hundred_seeds_agree_with_the_model = 1;
    the_third_hundred_seeds_agree_with_the_model = 2;
    the_fourth_hundred_seeds_agree_with_the_model = 3;
    the_fifth_hundred_seeds_agree_with_the_model = 4;
    the_sixth_hundred_seeds_agree_with_the_model = 5;
    the_seventh_hundred_seeds_agree_with_the_model = 6;
    the_eighth_hundred_seeds_agree_with_the_model = 7;
    the_ninth_hundred_seeds_agree_with_the_model = 8;
    the_tenth_hundred_seeds_agree_with_the_model = 9;
}

#[test]
fn fresh_seeds_agree_with_the_model() {
    // A soak sets more.
    let seeds = std::env::var("TURNBELL_SIM_SEEDS").map_or(5, |seeds| seeds.parse().unwrap());
    for n in 1..=seeds {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).unwrap();
        let seed = u64::from_le_bytes(seed);
        if seeds < 100 || n % 100 == 0 {
            eprintln!("fresh seed {n} of {seeds}: {seed}");
        }
        run(seed);
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
        eprintln!("{told:#?}");
    }
}
