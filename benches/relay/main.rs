//! Measures the relay, and coturn beside it: `scripts/bench --help`.
//!
//! The real programs run with their own defaults, the record on, in network namespaces made for
//! the run; nothing leaves them. The load is that of `turnbell load`. In each round both servers
//! are started anew, and the rows are measured in turn, A B in one round and B A in the next: a ratio
//! compares neighbours in time. The one that is not measured stands still.
//!
//! CPU is the on-CPU time of all threads of the server for each datagram that arrived, answer or
//! login. It holds what a veth makes the sender pay, the receiver's part of the network stack, for
//! both servers alike. All clients share one peer, as with an SFU; each has its own socket and relay
//! port. 64 clients log in at the same time.
#![expect(clippy::print_stdout, reason = "a table is what this program is for")]

mod lab;
mod report;
mod row;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use turnbell::load::relay::Scenario;

use lab::{Cores, Kind, Net, Server, Tuning};
use report::Start;
use row::{Carrier, Common, Outcome, Row};

#[derive(Parser)]
#[command(
    name = "scripts/bench",
    about = "Measures CPU, rate, latency, loss and memory of turnbell's relay, and of coturn beside it"
)]
struct Options {
    /// What to measure beside it: a coturn (/usr/bin/turnserver), or a file `turnbell*`, which is
    /// another build of turnbell. Absolute.
    #[arg(long, value_name = "PATH")]
    against: Option<PathBuf>,
    /// Rounds; each starts the servers anew.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// Seconds that a row is measured.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Allocations, an even number.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    allocations: u32,
    /// Datagrams under way in rows without a fixed rate.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(16..=1024))]
    window: u32,
    /// Datagrams a second in rows with a fixed rate.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Spread between rounds above which a row is not shown, percent of its median.
    #[arg(long, default_value_t = 15.0)]
    margin: f64,
    /// Only rows whose name holds this; may be said several times.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Threads that relay, in both servers, each on a core of its own [default: one]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: Option<u32>,
    /// With `batch_delay = "auto"` in turnbell, which rests between turns at medium load.
    #[arg(long)]
    batch_delay: bool,
    /// Instead: the cost of a datagram and of a login, and memory, at 10 to 10,000 allocations.
    #[arg(long)]
    growth: bool,
    /// Seconds of rest before memory is read, up to 120; 0 leaves memory out.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=120))]
    memory_rest: u64,
    /// One round, half a second a row, no memory: to see that it works.
    #[arg(long)]
    quick: bool,
    /// In the namespace, of a machine with so many cores.
    #[arg(long, hide = true)]
    inside: Option<usize>,
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn tuning(&self) -> Tuning {
        Tuning { threads: self.threads, batch_delay: self.batch_delay }
    }
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    if !options.bench {
        println!("run it with: scripts/bench");
        return Ok(());
    }
    ensure!(options.allocations.is_multiple_of(2), "--allocations must be even, for the pairs");
    let Some(all) = options.inside else { return lab::enter() };
    let cores = Cores::of(all, options.threads);
    let mut length = Duration::from_secs(options.seconds);
    if options.quick {
        (options.rounds, options.memory_rest) = (1, 0);
        length = Duration::from_millis(500);
    }
    lab::run(&["ip", "link", "set", "lo", "up"])?;

    let kinds: Vec<Kind> =
        std::iter::once(Kind::Turnbell).chain(options.against.as_deref().map(Kind::of)).collect();
    let Options { allocations: clients, window, rate, .. } = options;
    report::head(
        &kinds,
        cores,
        options.tuning(),
        &format!("{clients} allocations, window {window}"),
    );
    let common = Common { clients, window, rate, length };
    let rows = if options.growth { row::growth(common) } else { row::table(common) };
    let is_asked =
        |name: &str| options.only.is_empty() || options.only.iter().any(|text| name.contains(text));
    let rows: Vec<Row> = rows.into_iter().filter(|row| is_asked(&row.name)).collect();
    ensure!(!rows.is_empty() || is_asked(MEMORY), "no row has a name like that");
    // By row, by server, by round.
    let mut outcomes = vec![vec![Vec::new(); kinds.len()]; rows.len()];
    let mut starts = vec![Vec::new(); kinds.len()];
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        let order = |at: usize| if round % 2 == 1 { at } else { kinds.len() - 1 - at };
        let order: Vec<usize> = (0..kinds.len()).map(order).collect();
        measure_round(&options, cores, &kinds, &order, &rows, &mut outcomes, &mut starts)?;
    }
    report::table(&rows, &kinds, &outcomes, options.margin);
    report::starts(&kinds, &starts);
    if options.memory_rest > 0 && !options.growth && is_asked(MEMORY) {
        for kind in &kinds {
            let bytes = memory_per_allocation(&options, cores, kind)?;
            println!("{MEMORY}, {}: {bytes:.0} bytes", kind.name());
        }
    }
    Ok(())
}

const MEMORY: &str = "memory of an idle allocation";

fn measure_round(
    options: &Options,
    cores: Cores,
    kinds: &[Kind],
    order: &[usize],
    rows: &[Row],
    outcomes: &mut [Vec<Vec<Outcome>>],
    starts: &mut [Vec<Start>],
) -> Result<()> {
    let mut servers = Vec::new();
    for (at, kind) in kinds.iter().enumerate() {
        let (server, ready_after) = Server::start(kind, Net(at as u8), cores, options.tuning())
            .with_context(|| kind.name())?;
        starts[at].push(Start { ready_after, resident_kb: server.resident_kb()? });
        server.freeze()?;
        servers.push(server);
    }
    for (row, outcomes) in rows.iter().zip(outcomes) {
        eprintln!("  {}", row.name);
        for at in order {
            let server = &servers[*at];
            let outcome = server.thaw().and_then(|()| row.ask(server, cores));
            let of = || format!("{}, {}", row.name, kinds[*at].name());
            outcomes[*at].push(outcome.with_context(of)?);
            server.freeze()?;
        }
    }
    Ok(())
}

/// R29: growth of Private_Dirty from 1,000 to 10,000 allocations, each after a rest, over 9,000.
fn memory_per_allocation(options: &Options, cores: Cores, kind: &Kind) -> Result<f64> {
    const FEW: u32 = 1_000;
    const MORE: u32 = 10_000;
    let mut dirty_kb = [0.0; 2];
    for (clients, dirty_kb) in [FEW, MORE].into_iter().zip(&mut dirty_kb) {
        eprintln!("  {MEMORY}: {clients}, {}", kind.name());
        let (server, _) = Server::start(kind, Net(0), cores, options.tuning())?;
        let row = Row {
            name: MEMORY.to_owned(),
            scenario: Scenario::Idle,
            carrier: Carrier::Udp,
            clients,
            length: Duration::from_secs(options.memory_rest),
        };
        *dirty_kb = row.ask(&server, cores)?.dirty_kb;
    }
    Ok((dirty_kb[1] - dirty_kb[0]) * 1024.0 / f64::from(MORE - FEW))
}
