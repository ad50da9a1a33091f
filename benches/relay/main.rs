//! Measures the relay, and coturn beside it: `cargo bench --bench relay -- --help`.
//!
//! The real programs run with their own defaults, the record on, in network namespaces made for
//! the run; nothing leaves them. In each round both servers are started and given the same
//! allocations, and the rows are measured in turn A B, A B: a ratio compares neighbours in time.
//!
//! CPU is the on-CPU time of all threads of the server per datagram that arrived. It holds what a
//! veth makes the sender pay, the receiver's part of the network stack, for both servers alike.
//! All clients share one peer, as with an SFU; each has its own socket and relay port. A login is
//! 401, allocate, permission, channel; one after the other, so most of its CPU is waking up.
#![expect(clippy::print_stdout, reason = "a table is what this program is for")]

mod client;
mod flow;
mod lab;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use turnbell::time::Now;

use client::Client;
use flow::{Direction, Load, Outcome, Pace, Traffic};
use lab::{Kind, Net, Server};

#[derive(Parser)]
#[command(name = "relay", about = "Measures CPU, rate, latency and memory of turnbell's relay")]
struct Options {
    /// What to measure beside it: a coturn (/usr/bin/turnserver), or a file `turnbell*`, which is
    /// another build of turnbell. Absolute.
    #[arg(long, value_name = "PATH")]
    against: Option<PathBuf>,
    /// Rounds; each starts the servers anew.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// Seconds that a row is measured.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=6))]
    seconds: u64,
    /// Allocations, an even number.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=9000))]
    allocations: u32,
    /// Datagrams under way in rows without a fixed rate.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(2..=1024))]
    window: u32,
    /// Datagrams a second in rows with a fixed rate.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Spread between rounds above which a row is not shown, percent of its median.
    #[arg(long, default_value_t = 15.0)]
    margin: f64,
    /// Only rows whose name holds this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Seconds of rest before memory is read, up to 120; 0 leaves memory out.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=120))]
    memory_rest: u64,
    /// One round, one second a row, no memory: to see that it works.
    #[arg(long)]
    quick: bool,
    #[arg(long, hide = true)]
    inside: bool,
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    if !options.bench {
        println!("run it with: cargo bench --bench relay");
        return Ok(());
    }
    ensure!(options.allocations.is_multiple_of(2), "--allocations must be even, for the pairs");
    if !options.inside {
        return lab::enter();
    }
    if options.quick {
        (options.rounds, options.seconds, options.memory_rest) = (1, 1, 0);
    }
    // Every client has a descriptor here.
    let files = nix::sys::resource::Resource::RLIMIT_NOFILE;
    let (_, hard) = nix::sys::resource::getrlimit(files)?;
    nix::sys::resource::setrlimit(files, hard, hard)?;
    lab::run(&["ip", "link", "set", "lo", "up"])?;

    let kinds: Vec<Kind> =
        std::iter::once(Kind::Turnbell).chain(options.against.as_deref().map(Kind::of)).collect();
    report::head(&kinds, options.allocations, options.window);
    let rows: Vec<(String, Load)> =
        rows(&options).into_iter().filter(|(name, _)| name.contains(&options.only)).collect();
    // By row, by server, by round; the first row is the login.
    let mut outcomes = vec![vec![Vec::new(); kinds.len()]; rows.len() + 1];
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        measure_round(&options, &kinds, &rows, &mut outcomes)?;
    }
    let names: Vec<&str> = std::iter::once("login, one client after the other")
        .chain(rows.iter().map(|(name, _)| name.as_str()))
        .collect();
    report::table(&names, &kinds, &outcomes, options.margin);
    if options.memory_rest > 0 {
        for kind in &kinds {
            let bytes = memory_per_allocation(kind, options.memory_rest)?;
            println!("memory of an idle allocation, {}: {bytes:.0} bytes", kind.name());
        }
    }
    Ok(())
}

fn rows(options: &Options) -> Vec<(String, Load)> {
    let directions = [
        ("client to peer", Direction::ToPeer),
        ("peer to client", Direction::ToClient),
        ("both", Direction::Both),
        // Last: its second channel is opened for it.
        ("pair", Direction::Pair),
    ];
    let window = Pace::Window(options.window);
    let rate = Pace::Rate(options.rate);
    let mut rows = Vec::new();
    for (way, direction) in directions {
        for (bytes, pace) in [(160, window), (1200, window), (160, rate)] {
            let speed = match pace {
                Pace::Window(_) => String::new(),
                Pace::Rate(per_s) => format!(" at {per_s}/s"),
            };
            rows.push((format!("{way}, {bytes} B{speed}"), Load { direction, bytes, pace }));
        }
    }
    rows
}

fn measure_round(
    options: &Options,
    kinds: &[Kind],
    rows: &[(String, Load)],
    outcomes: &mut [Vec<Vec<Outcome>>],
) -> Result<()> {
    let mut labs = Vec::new();
    for (at, kind) in kinds.iter().enumerate() {
        let server = Server::start(kind, Net(at as u8))?;
        client::wait_until_it_answers(&server).context(kind.name())?;
        let peer = flow::peer_socket(&server)?;
        let (clients, login) = log_in(&server, options.allocations, peer.local_addr()?)?;
        outcomes[0][at].push(login);
        labs.push((server, Traffic::new(clients, peer)?));
    }
    let mut is_paired = false;
    for ((name, load), outcomes) in rows.iter().zip(&mut outcomes[1..]) {
        eprintln!("  {name}");
        if load.direction == Direction::Pair && !is_paired {
            labs.iter_mut().try_for_each(|(_, traffic)| traffic.open_pairs())?;
            is_paired = true;
        }
        for ((server, traffic), outcomes) in labs.iter_mut().zip(outcomes) {
            outcomes.push(traffic.run(server, *load, Duration::from_secs(options.seconds))?);
        }
    }
    Ok(())
}

fn log_in(
    server: &Server,
    count: u32,
    peer: std::net::SocketAddr,
) -> Result<(Vec<Client>, Outcome)> {
    let (from, cpu) = (Now::read().mono, server.cpu()?);
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = Client::allocate(server.net.client(), server.net.server())?;
        client.open(peer, flow::PEER_CHANNEL)?;
        clients.push(client);
    }
    let seconds = (Now::read().mono - from).as_secs_f64();
    let cpu_s = (server.cpu()? - cpu).as_secs_f64();
    let each = f64::from(count);
    let outcome = Outcome {
        per_s: each / seconds,
        cpu_us: cpu_s * 1e6 / each,
        busy: cpu_s / seconds,
        ..Outcome::default()
    };
    Ok((clients, outcome))
}

/// R29: growth of Private_Dirty from 1,000 to 10,000 allocations, each after a rest, over 9,000.
fn memory_per_allocation(kind: &Kind, rest_s: u64) -> Result<f64> {
    const FEW: u32 = 1_000;
    const MORE: u32 = 9_000;
    let server = Server::start(kind, Net(0))?;
    client::wait_until_it_answers(&server).context(kind.name())?;
    let peer = flow::peer_socket(&server)?;
    let mut clients = Vec::new();
    let mut dirty_kb = [0.0; 2];
    for (count, dirty_kb) in [FEW, MORE].into_iter().zip(&mut dirty_kb) {
        clients.extend(log_in(&server, count, peer.local_addr()?)?.0);
        // Nothing arrives at the peer; the time limit is the rest.
        peer.set_read_timeout(Some(Duration::from_secs(rest_s)))?;
        let _ = peer.recv(&mut [0]);
        *dirty_kb = server.private_dirty_kb()? as f64;
    }
    Ok((dirty_kb[1] - dirty_kb[0]) * 1024.0 / f64::from(MORE))
}
