//! What a person reads: the machine, the settings, the table, the noise.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::lab::{Cores, Kind, Net, Tuning};
use crate::row::{Outcome, Row};

/// A start of a server.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    pub(crate) ready_after: Duration,
    pub(crate) resident_kb: u64,
}

/// Everything that one needs to repeat the run.
pub(crate) fn head(kinds: &[Kind], cores: Cores, tuning: Tuning, load: &str) {
    let first = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or("unknown").to_owned();
        line.rsplit(": ").next().unwrap_or_default().to_owned()
    };
    let date = Command::new("date").arg("-uI").output().map(|o| o.stdout).unwrap_or_default();
    println!(
        "{}, Linux {}, {}, {load}; servers on core {}, generator on core {}",
        first("/proc/cpuinfo", "model name"),
        first("/proc/sys/kernel/osrelease", ""),
        String::from_utf8_lossy(&date).trim(),
        if cores.server == 1 { "0".to_owned() } else { format!("0-{}", cores.server - 1) },
        cores.generator,
    );
    if cores.are_shared() {
        println!("the generator takes time from the servers: rates and latencies are too bad");
    }
    for (at, kind) in kinds.iter().enumerate() {
        println!(
            "\n{} with:\n  {}",
            kind.name(),
            kind.settings(Net(at as u8), tuning).trim().replace('\n', "\n  ")
        );
    }
}

/// A block per row: a line per server, and the ratio of CPU.
pub(crate) fn table(rows: &[Row], kinds: &[Kind], outcomes: &[Vec<Vec<Outcome>>], margin: f64) {
    println!(
        "\n{:<43}{:<9}{:>9}{:>24}{:>8}{:>20}{:>12}{:>9}",
        "",
        "",
        "per s",
        "us CPU each (min..max)",
        "core us",
        "p50/p99/p99.9 us",
        "lost, order",
        "MiB"
    );
    for (row, servers) in rows.iter().zip(outcomes) {
        let name = &row.name;
        let cpu: Vec<Vec<f64>> = servers.iter().map(|s| column(s, |o| o.cpu_us)).collect();
        // Rounds are paired: what shook one server shook the other, too.
        let judged: Vec<f64> = match &cpu[..] {
            [ours, theirs] => theirs.iter().zip(ours).map(|(t, o)| t / o).collect(),
            _ => cpu[0].clone(),
        };
        let spread = Spread::of(&judged);
        let percent = (spread.max - spread.min) / spread.median * 100.0;
        if percent > margin {
            println!("{name:<43}not shown: {percent:.0} % apart between rounds");
            continue;
        }
        for (at, (kind, rounds)) in kinds.iter().zip(servers).enumerate() {
            println!("{:<43}{}", if at == 0 { name } else { "" }, line(kind.name(), rounds));
        }
        if let [ours, theirs] = kinds {
            let Spread { min, median, max } = spread;
            let ratio = format!("{} / {}", theirs.name(), ours.name());
            println!("{:<43}{ratio:<18}{median:>9.2}x ({min:.2}..{max:.2})", "");
        }
    }
    let all = || outcomes.iter().flatten().flatten();
    let mut strangers: Vec<f64> = all().map(|o| o.strangers).collect();
    strangers.sort_by(f64::total_cmp);
    let at = |part: usize| {
        strangers.get((strangers.len() * part / 10).min(strangers.len().saturating_sub(1)))
    };
    if let (Some(low), Some(median), Some(high)) = (at(1), at(5), at(9)) {
        println!(
            "\nother programs of this machine used, in cores: median {median:.2}, 10 % of runs \
             under {low:.2}, 10 % over {high:.2}"
        );
    }
    if outcomes.iter().flatten().any(|rounds| rounds.len() < 3) {
        println!("fewer than three rounds: enough to see that it works, not to claim anything");
    }
}

/// How soon each was there, and what it had taken by then.
pub(crate) fn starts(kinds: &[Kind], starts: &[Vec<Start>]) {
    for (kind, starts) in kinds.iter().zip(starts) {
        let ms: Vec<f64> = starts.iter().map(|s| s.ready_after.as_secs_f64() * 1000.0).collect();
        let mib: Vec<f64> = starts.iter().map(|s| s.resident_kb as f64 / 1024.0).collect();
        let (ms, mib) = (Spread::of(&ms), Spread::of(&mib));
        println!(
            "{}: start to first answer {:.0} ms ({:.0}..{:.0}), resident at rest {:.1} MiB ({:.1}..{:.1})",
            kind.name(),
            ms.median,
            ms.min,
            ms.max,
            mib.median,
            mib.min,
            mib.max
        );
    }
}

fn line(name: &str, rounds: &[Outcome]) -> String {
    let cpu = Spread::of(&column(rounds, |o| o.cpu_us));
    let median = |f: fn(&Outcome) -> f64| Spread::of(&column(rounds, f)).median;
    let latency = match rounds.iter().all(|o| o.latency_us.is_some()) {
        true => format!(
            "{:.0}/{:.0}/{:.0}",
            median(|o| o.latency_us.map_or(0.0, |(p50, _, _)| p50)),
            median(|o| o.latency_us.map_or(0.0, |(_, p99, _)| p99)),
            median(|o| o.latency_us.map_or(0.0, |(_, _, p999)| p999)),
        ),
        false => String::new(),
    };
    let all = |of: fn(&Outcome) -> u64| rounds.iter().map(of).sum::<u64>();
    let (lost, order) = (all(|o| o.lost), all(|o| o.reordered));
    let range = format!("{:.2} ({:.2}..{:.2})", cpu.median, cpu.min, cpu.max);
    let mut remarks = String::new();
    let mut remark = |count: u64, what: &str| {
        if count > 0 {
            remarks.push_str(&format!("  {what}: {count}"));
        }
    };
    remark(all(|o| o.corrupt), "CORRUPT");
    remark(all(|o| o.troubles), "asked again or refused");
    if rounds.iter().any(|o| o.is_generator_bound) {
        remarks.push_str("  the generator was the limit");
    }
    format!(
        "{name:<9}{:>9.0}{range:>24}{:>8.2}{latency:>20}{:>12}{:>9.1}{remarks}",
        median(|o| o.per_s),
        median(|o| o.core_us),
        format!("{lost}, {order}"),
        median(|o| o.dirty_kb / 1024.0),
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
