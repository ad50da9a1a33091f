//! Measures signaling against its bars: `scripts/bench ws`, or `cargo bench --bench ws -- --help`.
//!
//! `turnbell load ws` against a daemon with raised quotas and the record on, both in a network
//! namespace made for the run, each on a core of its own where there are two. Each row has a daemon
//! of its own. What a table says of latency holds what the generator was late itself.
#![expect(clippy::print_stdout, reason = "a table is what this program is for")]

mod daemon;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use nix::sys::signal::Signal;
use serde_json::Value;

use daemon::{Daemon, core_of};

#[derive(Parser)]
#[command(name = "ws", about = "Measures signaling: memory, latency, abuse, restarts")]
struct Options {
    /// Seconds that a row is measured.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Sessions of the rows `idle` and `restart`.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=20_000))]
    sessions: u32,
    /// Times that `abuse` is measured; the worst one counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    abuse_runs: u32,
    /// Only rows whose name holds this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Another build of turnbell as the daemon, to see what a change brings. Absolute.
    #[arg(long, value_name = "PATH")]
    daemon: Option<std::path::PathBuf>,
    /// Two thousand sessions, a few seconds a row: to see that it works, under a minute.
    #[arg(long)]
    quick: bool,
    #[arg(long, hide = true)]
    inside: bool,
    #[arg(long, hide = true)]
    bench: bool,
}

/// What must hold: a figure of the report, and the most it may be.
struct Bar {
    what: &'static str,
    pointer: &'static str,
    most: f64,
    unit: &'static str,
    /// The figure in units.
    scale: f64,
}

const MEMORY: Bar = bar("server memory a session", "/server/rss_bytes_per_session", 20.0, "KiB");
const LOST: Bar = bar("lost", "/lost", 0.0, "");
const SESSIONS_LOST: Bar = bar("sessions lost", "/sessions_lost", 0.0, "");

const fn bar(what: &'static str, pointer: &'static str, most: f64, unit: &'static str) -> Bar {
    // Memory is reported in bytes, everything else in the unit of its bar.
    let scale = if unit.len() == 3 { 1.0 / 1024.0 } else { 1.0 };
    Bar { what, pointer, most, unit, scale }
}

/// The 99th percentile of what a scenario measures, milliseconds.
const fn p99(most: f64) -> Bar {
    bar("p99", "/latency_ms/p99", most, "ms")
}

struct Row {
    name: &'static str,
    scenario: &'static str,
    is_encrypted: bool,
    more: &'static [&'static str],
    runs: u32,
    restart: Option<Signal>,
    bars: Vec<Bar>,
}

fn rows(abuse_runs: u32, is_quick: bool) -> Vec<Row> {
    let row = |name, scenario, bars| Row {
        name,
        scenario,
        is_encrypted: false,
        more: &[],
        runs: 1,
        restart: None,
        bars,
    };
    let back = || vec![bar("all back", "/all_back_s", 30.0, "s"), LOST];
    let mut rows = vec![
        row("a: idle", "idle", vec![MEMORY, SESSIONS_LOST]),
        // TLS has no bar: what it costs is known once it is printed.
        Row { is_encrypted: true, ..row("a: idle over TLS", "idle", vec![SESSIONS_LOST]) },
        row("b: signals", "signals", vec![p99(20.0), LOST, SESSIONS_LOST]),
        row("c: ring", "ring", vec![p99(300.0), LOST, SESSIONS_LOST]),
        // As the page at / does it: each of 1,100 pages hears of each. No bar says how much of that
        // a machine bears.
        Row {
            more: &["--everybody"],
            ..row("c: ring, everybody watches everybody", "ring", vec![SESSIONS_LOST])
        },
        Row { runs: abuse_runs, ..row("d: abuse", "abuse", vec![p99(50.0), LOST, SESSIONS_LOST]) },
        Row { restart: Some(Signal::SIGKILL), ..row("e: kill -9 and start", "restart", back()) },
    ];
    if !is_quick {
        let signal = Some(Signal::SIGTERM);
        rows.push(Row { restart: signal, ..row("e: stop and start", "restart", back()) });
    }
    rows
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    if !options.bench {
        println!("run it with: cargo bench --bench ws");
        return Ok(());
    }
    if !options.inside {
        return enter();
    }
    if options.quick {
        (options.seconds, options.sessions, options.abuse_runs) = (5, 2000, 1);
    }
    run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    head(&options);
    let mut missed = Vec::new();
    for row in rows(options.abuse_runs, options.quick) {
        if !row.name.contains(&options.only) {
            continue;
        }
        for _ in 0..row.runs {
            let report = measure(&options, &row)?;
            missed.extend(show(&row, &report));
        }
    }
    ensure!(missed.is_empty(), "missed: {}", missed.join(", "));
    Ok(())
}

/// Becomes the same program in a network namespace of its own.
fn enter() -> Result<()> {
    let is_root = fs::metadata("/proc/self")?.uid() == 0;
    let user: &[&str] = if is_root { &[] } else { &["--user", "--map-root-user"] };
    let error = Command::new("unshare")
        .args(user)
        .arg("--net")
        .arg(std::env::current_exe()?)
        .arg("--inside")
        .args(std::env::args_os().skip(1))
        .exec();
    Err(error).context("`unshare` (Debian: util-linux) is needed")
}

fn head(options: &Options) {
    let first = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or("unknown").to_owned();
        line.rsplit(": ").next().unwrap_or_default().to_owned()
    };
    let date = Command::new("date").arg("-uI").output().map(|o| o.stdout).unwrap_or_default();
    println!(
        "{}, {} cores, Linux {}, {}, {} s a row\n\nthe daemon's config:\n  {}",
        first("/proc/cpuinfo", "model name"),
        std::thread::available_parallelism().map_or(1, usize::from),
        first("/proc/sys/kernel/osrelease", ""),
        String::from_utf8_lossy(&date).trim(),
        options.seconds,
        daemon::CONFIG.trim().replace('\n', "\n  "),
    );
}

fn measure(options: &Options, row: &Row) -> Result<Value> {
    let mut daemon = Daemon::start(options.daemon.as_deref())?;
    let sessions = options.sessions.to_string();
    let seconds = match row.restart {
        Some(_) => 120,
        None => options.seconds,
    };
    let mut load = Command::new("taskset");
    load.args(["-c", core_of(1), env!("CARGO_BIN_EXE_turnbell"), "load", "ws", row.scenario]);
    load.args([
        "--json",
        "--url",
        &daemon.url(row.is_encrypted),
        "--seconds",
        &seconds.to_string(),
    ]);
    load.args(["--pid", &daemon.pid().to_string()]).args(row.more);
    if row.is_encrypted {
        load.args(["--ca", daemon::CERTIFICATE]);
    }
    if matches!(row.scenario, "idle" | "restart") {
        load.args(["--sessions", &sessions]);
    }
    load.current_dir(daemon.folder()).stdin(Stdio::null());
    let mut load = load
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("`taskset` (Debian: util-linux) is needed")?;
    let mut said = String::new();
    for line in BufReader::new(load.stderr.take().context("piped above")?).lines() {
        let line = line?;
        if let Some(signal) = row.restart
            && line.contains("restart the server")
        {
            daemon.restart(signal)?;
        }
        said.push_str(&line);
        said.push('\n');
    }
    let mut answer = String::new();
    load.stdout.take().context("piped above")?.read_to_string(&mut answer)?;
    ensure!(load.wait()?.success(), "{}:\n{said}{}", row.name, daemon.last_words());
    let answer: Value = serde_json::from_str(&answer)?;
    Ok(answer["load"].clone())
}

/// Prints a row; says which bars it missed.
fn show(row: &Row, report: &Value) -> Vec<String> {
    let figure = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64);
    let mut missed = Vec::new();
    println!("\n{} ({} sessions)", row.name, report["sessions"]);
    for Bar { what, pointer, most, unit, scale } in &row.bars {
        let found = figure(pointer).map(|found| found * scale);
        let verdict = if found.is_some_and(|found| found <= *most) { "ok" } else { "MISSED" };
        if verdict == "MISSED" {
            missed.push(format!("{}, {what}", row.name));
        }
        let found = found.map_or_else(|| "nothing".to_owned(), |found| format!("{found:.1}"));
        println!("  {what:<36}{found:>10} {unit:<4} at most {most} {unit:<4} {verdict}");
    }
    for (what, pointer, scale, unit) in [
        ("server memory a session", "/server/rss_bytes_per_session", 1.0 / 1024.0, "KiB"),
        ("kernel memory, both ends", "/server/kernel_bytes_per_session", 1.0 / 1024.0, "KiB"),
        ("sent a second", "/sent", 1.0 / figure("/seconds").unwrap_or(1.0), ""),
        ("p50", "/latency_ms/p50", 1.0, "ms"),
        ("p99", "/latency_ms/p99", 1.0, "ms"),
        ("longest", "/latency_ms/max", 1.0, "ms"),
        ("invite to ring, p99", "/ring_ms/p99", 1.0, "ms"),
        ("of it the generator, p99", "/generator_late_ms/p99", 1.0, "ms"),
        ("server CPU, cores", "/server/cores", 1.0, ""),
        ("server CPU a message", "/server/cpu_us_per_message", 1.0, "us"),
        ("load average", "/load_average", 1.0, ""),
    ] {
        let is_bar = row.bars.iter().any(|bar| bar.pointer == pointer);
        if let Some(found) = figure(pointer).filter(|found| !is_bar && *found != 0.0) {
            println!("  {what:<36}{:>10.2} {unit}", found * scale);
        }
    }
    for group in ["refused", "closed"] {
        for (code, count) in report[group].as_object().into_iter().flatten() {
            println!("  {:<36}{count:>10}", format!("{group}, {code}"));
        }
    }
    missed
}

/// Runs a command that must succeed.
fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
