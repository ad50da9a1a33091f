//! Green, yellow or red: pure judgements of what was measured, each with the sentence what to do.

mod load;
mod machine;
#[cfg(test)]
mod tests;

use super::json::{Diagnostics, Facts, Item, Light};
use crate::time::Now;

/// Judges everything.
#[must_use]
pub fn judge(now: Now, version: &str, started_at: i64, facts: Facts) -> Diagnostics {
    let mut items = Vec::new();
    machine::judge(now, &facts, &mut items);
    load::judge(&facts, &mut items);
    // Stable: what is equally bad stays in the order it was judged in.
    items.sort_by_key(|item| std::cmp::Reverse(item.state));
    let state = items.iter().map(|item| item.state).max().unwrap_or(Light::Green);
    Diagnostics {
        version: version.to_owned(),
        at: now.unix_ms,
        started_at,
        uptime_s: u64::try_from((now.unix_ms - started_at) / 1000).unwrap_or(0),
        state,
        verdict: verdict(state, &items),
        items,
        facts,
    }
}

fn verdict(state: Light, items: &[Item]) -> String {
    let count = items.iter().filter(|item| item.state == state).count();
    match (state, count, items.first()) {
        (Light::Red, 1, Some(item)) => format!("Something does not work: {}", item.says),
        (Light::Red, count, Some(item)) => {
            format!("{count} things do not work, first of all: {}", item.says)
        }
        (Light::Yellow, 1, Some(item)) => format!("It works; look at this: {}", item.says),
        (Light::Yellow, count, Some(item)) => {
            format!("It works; {count} things to look at, first of all: {}", item.says)
        }
        (Light::Green | Light::Yellow | Light::Red, _, _) => {
            "Everything that was looked at is well.".to_owned()
        }
    }
}

fn item(id: &str, title: &str, state: Light, says: String, cure: Option<String>) -> Item {
    debug_assert!(state == Light::Green || cure.is_some(), "{id}: what is to be done?");
    Item { id: id.to_owned(), title: title.to_owned(), state, says, cure }
}

fn green(id: &str, title: &str, says: impl Into<String>) -> Item {
    item(id, title, Light::Green, says.into(), None)
}

fn yellow(id: &str, title: &str, says: impl Into<String>, cure: impl Into<String>) -> Item {
    item(id, title, Light::Yellow, says.into(), Some(cure.into()))
}

fn red(id: &str, title: &str, says: impl Into<String>, cure: impl Into<String>) -> Item {
    item(id, title, Light::Red, says.into(), Some(cure.into()))
}

/// `1 port`, `2 ports`.
fn of(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The sentence without its cure, and the cure, of one that joins them by `; `.
fn split(sentence: &str, otherwise: &str) -> (String, String) {
    match sentence.split_once("; ") {
        Some((says, cure)) => (says.to_owned(), cure.to_owned()),
        None => (sentence.to_owned(), otherwise.to_owned()),
    }
}

/// For people: `1.5 GiB`.
fn bytes(count: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.iter().find(|(shift, _)| count >> shift > 0) {
        Some((shift, unit)) => format!("{:.1} {unit}", count as f64 / (1_u64 << shift) as f64),
        None => format!("{count} bytes"),
    }
}
