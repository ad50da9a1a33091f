//! What happened in a run, in numbers: a simulation in which nothing happens proves nothing.

use std::collections::BTreeMap;

/// What happened in a run, in numbers.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) calls: usize,
    pub(super) won: usize,
    pub(super) glares: usize,
    pub(super) connected: usize,
    pub(super) resumed: usize,
    pub(super) gaps: usize,
    pub(super) new: usize,
    pub(super) predicted: usize,
    pub(super) silent: usize,
    pub(super) deaths: usize,
    pub(super) restored: usize,
    pub(super) closed: usize,
    pub(super) outcomes: BTreeMap<String, usize>,
}

pub(super) fn add(mut sum: Told, one: Told) -> Told {
    sum.calls += one.calls;
    sum.won += one.won;
    sum.glares += one.glares;
    sum.connected += one.connected;
    sum.resumed += one.resumed;
    sum.gaps += one.gaps;
    sum.new += one.new;
    sum.predicted += one.predicted;
    sum.silent += one.silent;
    sum.deaths += one.deaths;
    sum.restored += one.restored;
    sum.closed += one.closed;
    for (status, count) in one.outcomes {
        *sum.outcomes.entry(status).or_default() += count;
    }
    sum
}

/// A simulation in which nothing happens proves nothing.
pub(super) fn is_lively(told: &Told) -> bool {
    let ends = ["COMPLETED", "MISSED", "REJECTED", "BUSY", "FAILED"];
    ends.iter().all(|end| told.outcomes.get(*end).is_some_and(|count| *count > 50))
        && told.won > 500
        && told.connected > 200
        && told.glares > 20
        && told.resumed > 1000
        && told.new > 1000
        && told.gaps > 3
        && told.silent > 20
        && told.predicted > 10_000
        && told.deaths > 150
        && told.restored > 50
        && told.closed > 50
}
