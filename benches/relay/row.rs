//! A row of the table: what is asked of a server, and what it cost it.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context, Result};
use turnbell::auth::secret::Secret;
use turnbell::load::relay::{
    self, Data, Direction, Login, Mark, Options, Pace, RelayReport, Scenario,
};

use crate::lab::{Cores, PASSWORD, Server, USERNAME, busy_s, own_cpu_s};

/// Over what clients come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    Udp,
    Udp6,
    Tcp,
}

/// What is measured.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) scenario: Scenario,
    pub(crate) carrier: Carrier,
    pub(crate) clients: u32,
    pub(crate) length: Duration,
}

/// What came of it.
#[derive(Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) per_s: f64,
    /// On-CPU time of all threads of the server for each.
    pub(crate) cpu_us: f64,
    /// Busy time of its cores for each: with what the kernel does there for anybody.
    pub(crate) core_us: f64,
    pub(crate) lost: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupt: u64,
    /// Answers that had to be asked for again, and refusals.
    pub(crate) troubles: u64,
    /// p50, p99 and p99.9, microseconds.
    pub(crate) latency_us: Option<(f64, f64, f64)>,
    /// Memory of its own at the end, kB.
    pub(crate) dirty_kb: f64,
    /// Whether this program used nearly all of its core and the server did not, though it should.
    pub(crate) is_generator_bound: bool,
    /// Cores that neither the server nor this program used.
    pub(crate) strangers: f64,
}

/// At one of the two marks.
struct Reading {
    server_s: f64,
    cores_s: f64,
    machine_s: f64,
    own_s: f64,
    dirty_kb: f64,
}

impl Row {
    /// Asks it of a server.
    pub(crate) fn ask(&self, server: &Server, cores: Cores) -> Result<Outcome> {
        let readings: RefCell<Vec<Result<Reading>>> = RefCell::default();
        let mark = |mark| {
            let memory = if mark == Mark::End { server.private_dirty_kb() } else { Ok(0) };
            let reading = memory.and_then(|kb| read(server, cores, kb as f64));
            readings.borrow_mut().push(reading);
        };
        let report = relay::run(self.scenario, &self.options(server)?, &|_| {}, &mark)
            .with_context(|| format!("it last said:\n{}", server.last_words()))?;
        let mut readings = readings.into_inner().into_iter();
        let (begin, end) = readings.next().zip(readings.next()).context("both marks")?;
        Ok(outcome(&report, &begin?, &end?))
    }

    fn options(&self, server: &Server) -> Result<Options> {
        let net = server.net;
        let (url, peer) = match self.carrier {
            Carrier::Udp => (format!("turn:{}", net.server()), net.peer()),
            Carrier::Udp6 => (format!("turn:{}", net.server6()), net.peer6()),
            Carrier::Tcp => (format!("turn:{}?transport=tcp", net.server()), net.peer()),
        };
        let (name, password) = (USERNAME.to_owned(), Secret::new(PASSWORD.to_owned()));
        Ok(Options {
            server: relay::Server::new(&url, false, None)?,
            login: Login::Account { name, password },
            clients: self.clients,
            length: self.length,
            peer: Some(peer),
            pid: None,
        })
    }
}

fn read(server: &Server, cores: Cores, dirty_kb: f64) -> Result<Reading> {
    let server_s = server.cpu()?.as_secs_f64();
    let (machine_s, cores_s) = busy_s(cores.server)?;
    Ok(Reading { server_s, cores_s, machine_s, own_s: own_cpu_s()?, dirty_kb })
}

fn outcome(report: &RelayReport, begin: &Reading, end: &Reading) -> Outcome {
    let server_s = end.server_s - begin.server_s;
    let own_s = end.own_s - begin.own_s;
    let each = |seconds: f64| seconds * 1e6 / report.measured.max(1) as f64;
    let others = (end.machine_s - begin.machine_s) - server_s - own_s;
    Outcome {
        per_s: report.per_second,
        cpu_us: each(server_s),
        core_us: each(end.cores_s - begin.cores_s),
        lost: report.lost,
        reordered: report.reordered + report.duplicated,
        corrupt: report.corrupted,
        troubles: report.repeated + report.unverified + report.refused.values().sum::<u64>(),
        latency_us: report.latency_us.map(|spread| (spread.p50, spread.p99, spread.p999)),
        dirty_kb: end.dirty_kb,
        // With a rate it looks at the clock all the time.
        is_generator_bound: report.generator_late_us.is_none()
            && own_s / report.seconds > GENERATOR_MAX
            && server_s / report.seconds < SERVER_MIN,
        strangers: (others / report.seconds).max(0.0),
    }
}

/// Part of a core above which the generator has little left to give.
const GENERATOR_MAX: f64 = 0.93;
/// Part of a core below which a server has much left to give.
const SERVER_MIN: f64 = 0.8;

/// What all rows have in common.
#[derive(Clone, Copy)]
pub(crate) struct Common {
    pub(crate) clients: u32,
    pub(crate) window: u32,
    pub(crate) rate: u32,
    pub(crate) length: Duration,
}

/// The rows of the table, in order.
pub(crate) fn table(common: Common) -> Vec<Row> {
    let Common { clients, window, rate, length } = common;
    let window = Pace::Window(window);
    let row = |name: &str, carrier, scenario| {
        let name = name.to_owned();
        Row { name, scenario, carrier, clients, length }
    };
    let plain = Data {
        direction: Direction::ToPeer,
        indications: false,
        is_pair: false,
        bytes: 160,
        burst: 1,
        pace: window,
    };
    let both = Data { direction: Direction::Both, ..plain };
    let data = |name: &str, data| row(name, Carrier::Udp, Scenario::Data(data));
    let logins = Pace::Window(64);
    let few = Row {
        clients: clients.min(100),
        ..row("STUN binding", Carrier::Udp, Scenario::Stun(window))
    };
    let churn = Row {
        // More would come back to ports that coturn remembers.
        length: length.min(Duration::from_secs(1)),
        ..row("churn: 401, allocate, refresh 0", Carrier::Udp, Scenario::Churn(logins))
    };
    let allocate = Row {
        clients: (4 * clients).min(4000),
        ..row("allocate: 401, allocate", Carrier::Udp, Scenario::Allocate(logins))
    };
    vec![
        data("client to peer, 160 B", plain),
        data("peer to client, 160 B", Data { direction: Direction::ToClient, ..plain }),
        data("both, 1200 B", Data { bytes: 1200, ..both }),
        data("Send and Data indications, 160 B", Data { indications: true, ..both }),
        data(&format!("both, 160 B at {rate}/s"), Data { pace: Pace::Rate(rate), ..both }),
        data("bursts of 8 x 1200 B, aggregated", Data { bytes: 1200, burst: 8, ..both }),
        data("relay to relay, 160 B", Data { is_pair: true, ..plain }),
        row("TCP client to UDP peer, 160 B", Carrier::Tcp, Scenario::Data(plain)),
        row("IPv6 client to IPv6 peer, 160 B", Carrier::Udp6, Scenario::Data(plain)),
        few,
        row("login: 401, allocate, permission, channel", Carrier::Udp, Scenario::Login(logins)),
        allocate,
        churn,
    ]
}

/// Cost of a datagram, of a login, and memory, at more and more allocations.
pub(crate) fn growth(common: Common) -> Vec<Row> {
    let at = |clients: u32| {
        let rows = table(Common { clients, ..common }).into_iter();
        let wanted =
            rows.filter(|row| row.name.starts_with("client to") || row.name.starts_with("login"));
        let name = move |row: &Row| {
            let what = row.name.split([',', ':']).next().unwrap_or_default();
            format!("{what}, {clients} allocations")
        };
        wanted.map(move |row| Row { name: name(&row), ..row })
    };
    [10, 100, 1_000, 10_000].into_iter().flat_map(at).collect()
}
