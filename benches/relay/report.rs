//! What a person reads: the machine, the settings, the table, the noise.

use std::fs;
use std::process::Command;

use crate::flow::Outcome;
use crate::lab::{Kind, Net};

/// Everything that one needs to repeat the run.
pub(crate) fn head(kinds: &[Kind], allocations: u32, window: u32) {
    let first = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or("unknown").to_owned();
        line.rsplit(": ").next().unwrap_or_default().to_owned()
    };
    let date = Command::new("date").arg("-uI").output().map(|o| o.stdout).unwrap_or_default();
    println!(
        "{}, Linux {}, {}, {allocations} allocations, window {window}",
        first("/proc/cpuinfo", "model name"),
        first("/proc/sys/kernel/osrelease", ""),
        String::from_utf8_lossy(&date).trim(),
    );
    for (at, kind) in kinds.iter().enumerate() {
        println!(
            "\n{} with:\n  {}",
            kind.name(),
            kind.settings(Net(at as u8)).trim().replace('\n', "\n  ")
        );
    }
}

/// A block per row: a line per server, and the ratio of CPU per datagram.
pub(crate) fn table(names: &[&str], kinds: &[Kind], outcomes: &[Vec<Vec<Outcome>>], margin: f64) {
    println!(
        "\n{:<44}{:<10}{:>9}{:>24}{:>7}{:>16}{:>14}",
        "", "", "per s", "us CPU each (min..max)", "busy", "p50 / p99 us", "lost, reord."
    );
    for (name, servers) in names.iter().zip(outcomes) {
        let cpu: Vec<Vec<f64>> = servers.iter().map(|s| column(s, |o| o.cpu_us)).collect();
        // Rounds are paired: what shook one server shook the other, too.
        let judged: Vec<f64> = match &cpu[..] {
            [ours, theirs] => theirs.iter().zip(ours).map(|(t, o)| t / o).collect(),
            _ => cpu[0].clone(),
        };
        let spread = Spread::of(&judged);
        let percent = (spread.max - spread.min) / spread.median * 100.0;
        if percent > margin {
            println!("{name:<44}not shown: {percent:.0} % apart between rounds");
            continue;
        }
        for (at, (kind, rounds)) in kinds.iter().zip(servers).enumerate() {
            println!("{:<44}{}", if at == 0 { name } else { "" }, line(kind.name(), rounds));
        }
        if let [ours, theirs] = kinds {
            let Spread { min, median, max } = spread;
            let ratio = format!("{} / {}", theirs.name(), ours.name());
            println!("{:<44}{ratio:<18}{median:>10.2}x ({min:.2}..{max:.2})", "");
        }
    }
    let mut strangers: Vec<f64> =
        outcomes[1..].iter().flatten().flatten().map(|o| o.strangers).collect();
    strangers.sort_by(f64::total_cmp);
    let at = |part: usize| strangers.get((strangers.len() * part / 10).min(strangers.len() - 1));
    if let (Some(low), Some(median), Some(high)) = (at(1), at(5), at(9)) {
        println!(
            "\nother programs of this machine used, in cores: median {median:.2}, 10 % of runs \
             under {low:.2}, 10 % over {high:.2}"
        );
    }
}

fn line(name: &str, rounds: &[Outcome]) -> String {
    let cpu = Spread::of(&column(rounds, |o| o.cpu_us));
    let median = |f: fn(&Outcome) -> f64| Spread::of(&column(rounds, f)).median;
    let latency = match rounds.iter().all(|o| o.latency_us.is_some()) {
        true => format!(
            "{:.0} / {:.0}",
            median(|o| o.latency_us.map_or(0.0, |(p50, _)| f64::from(p50))),
            median(|o| o.latency_us.map_or(0.0, |(_, p99)| f64::from(p99))),
        ),
        false => String::new(),
    };
    let lost: u64 = rounds.iter().map(|o| o.lost).sum();
    let reordered: u64 = rounds.iter().map(|o| o.reordered).sum();
    let corrupt: u64 = rounds.iter().map(|o| o.corrupt).sum();
    let range = format!("{:.2} ({:.2}..{:.2})", cpu.median, cpu.min, cpu.max);
    let shout = if corrupt > 0 { format!("  CORRUPT: {corrupt}") } else { String::new() };
    format!(
        "{name:<10}{:>9.0}{range:>24}{:>6.0}%{latency:>16}{:>14}{shout}",
        median(|o| o.per_s),
        median(|o| o.busy * 100.0),
        format!("{lost}, {reordered}"),
    )
}

fn column(rounds: &[Outcome], of: impl Fn(&Outcome) -> f64) -> Vec<f64> {
    rounds.iter().map(of).collect()
}

struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    /// `values`: one a round, at least one.
    fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        };
        Self { min: sorted[0], median, max: sorted[sorted.len() - 1] }
    }
}
