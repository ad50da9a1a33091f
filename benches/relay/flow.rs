//! Traffic through open channels: numbered datagrams, checked where they arrive.
//!
//! ```text
//! |row 4|flow 4|number 4|sent at, ns 8|letters ...   a payload; the channel header goes before it
//! ```

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use turnbell::time::Now;

use crate::client::Client;
use crate::lab::{Server, machine_busy_s, own_cpu_s};

/// Channel of every client to the peer.
pub(crate) const PEER_CHANNEL: u16 = 0x4000;
/// Channel of every client to its neighbour's relayed address.
pub(crate) const PAIR_CHANNEL: u16 = 0x4001;
const HEADER_BYTES: usize = 20;
const PEER_TOKEN: u64 = u64::MAX;
const WARM_UP: Duration = Duration::from_millis(300);
const SILENCE_MS: u8 = 250;

/// Which way it goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ToPeer,
    ToClient,
    Both,
    Pair,
}

/// How fast it goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// So many datagrams under way, all directions together.
    Window(u32),
    /// So many datagrams a second.
    Rate(u32),
}

/// One row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) direction: Direction,
    pub(crate) bytes: usize,
    pub(crate) pace: Pace,
}

/// What came of it.
#[derive(Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) per_s: f64,
    pub(crate) cpu_us: f64,
    /// Part of a core that the server used.
    pub(crate) busy: f64,
    pub(crate) lost: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupt: u64,
    /// p50 and p99, microseconds; with a fixed rate only.
    pub(crate) latency_us: Option<(u32, u32)>,
    /// Cores that neither the server nor this program used.
    pub(crate) strangers: f64,
}

/// Clients that are logged in, and the one peer of all of them.
pub(crate) struct Traffic {
    clients: Vec<Client>,
    peer: UdpSocket,
    epoll: Epoll,
    row: u32,
    begin: Instant,
}

/// One way of a row: who sends next, and what each flow has sent and received.
struct Lane {
    to_client: bool,
    next: usize,
    sent: Vec<u32>,
    received: Vec<u32>,
    under_way: u32,
}

impl Traffic {
    pub(crate) fn new(mut clients: Vec<Client>, peer: UdpSocket) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        for (at, client) in clients.iter_mut().enumerate() {
            client.socket.set_nonblocking(true)?;
            epoll.add(&client.socket, EpollEvent::new(EpollFlags::EPOLLIN, at as u64))?;
        }
        peer.set_nonblocking(true)?;
        epoll.add(&peer, EpollEvent::new(EpollFlags::EPOLLIN, PEER_TOKEN))?;
        Ok(Self { clients, peer, epoll, row: 0, begin: Now::read().mono })
    }

    /// Gives every client a channel to its neighbour.
    pub(crate) fn open_pairs(&mut self) -> Result<()> {
        for at in 0..self.clients.len() {
            let neighbour = self.clients[at ^ 1].relayed;
            let client = &mut self.clients[at];
            client.socket.set_nonblocking(false)?;
            client.open(neighbour, PAIR_CHANNEL)?;
            client.socket.set_nonblocking(true)?;
        }
        Ok(())
    }

    /// Sends for [`WARM_UP`] and `measured`, then waits for the rest.
    pub(crate) fn run(
        &mut self,
        server: &Server,
        load: Load,
        measured: Duration,
    ) -> Result<Outcome> {
        self.row += 1;
        let mut row = Row::new(self, load);
        let begin = Now::read().mono;
        row.pump(begin, begin + WARM_UP)?;
        let (delivered, cpu, own, busy) =
            (row.delivered, server.cpu()?, own_cpu_s()?, machine_busy_s()?);
        row.latencies_us.clear();
        let from = Now::read().mono;
        row.pump(begin, from + measured)?;
        let seconds = (Now::read().mono - from).as_secs_f64();
        let cpu_s = (server.cpu()? - cpu).as_secs_f64();
        let others = (machine_busy_s()? - busy) - (own_cpu_s()? - own) - cpu_s;
        let delivered = row.delivered - delivered;
        row.drain()?;
        let mut outcome = row.outcome();
        outcome.per_s = delivered as f64 / seconds;
        outcome.cpu_us = cpu_s * 1e6 / delivered.max(1) as f64;
        outcome.busy = cpu_s / seconds;
        outcome.strangers = (others / seconds).max(0.0);
        Ok(outcome)
    }
}

/// A row in progress.
struct Row<'a> {
    traffic: &'a mut Traffic,
    load: Load,
    lanes: Vec<Lane>,
    letters: Vec<u8>,
    buffer: Vec<u8>,
    sent: u64,
    delivered: u64,
    reordered: u64,
    corrupt: u64,
    latencies_us: Vec<u32>,
}

impl<'a> Row<'a> {
    fn new(traffic: &'a mut Traffic, load: Load) -> Self {
        let ways: &[bool] = match load.direction {
            Direction::ToPeer | Direction::Pair => &[false],
            Direction::ToClient => &[true],
            Direction::Both => &[false, true],
        };
        let flows = traffic.clients.len();
        let lane = |to_client: &bool| Lane {
            to_client: *to_client,
            next: 0,
            sent: vec![0; flows],
            received: vec![0; flows],
            under_way: 0,
        };
        Self {
            lanes: ways.iter().map(lane).collect(),
            letters: (0..load.bytes).map(|at| b'a' + (at % 23) as u8).collect(),
            buffer: vec![0; 2048],
            traffic,
            load,
            sent: 0,
            delivered: 0,
            reordered: 0,
            corrupt: 0,
            latencies_us: Vec::new(),
        }
    }

    /// Keeps the pace until `end`.
    fn pump(&mut self, begin: Instant, end: Instant) -> Result<()> {
        loop {
            let now = Now::read().mono;
            if now >= end {
                return Ok(());
            }
            match self.load.pace {
                Pace::Window(window) => {
                    let each = window / self.lanes.len() as u32;
                    for lane in 0..self.lanes.len() {
                        while self.lanes[lane].under_way < each {
                            self.send(lane, now)?;
                        }
                    }
                    if self.receive(EpollTimeout::from(SILENCE_MS))? == 0 {
                        // Lost; the window would stay smaller.
                        self.lanes.iter_mut().for_each(|lane| lane.under_way = 0);
                    }
                }
                Pace::Rate(per_s) => {
                    let due = ((now - begin).as_secs_f64() * f64::from(per_s)) as u64;
                    while self.sent < due {
                        self.send(self.sent as usize % self.lanes.len(), Now::read().mono)?;
                    }
                    self.receive(EpollTimeout::ZERO)?;
                }
            }
        }
    }

    /// Takes in what is still under way.
    fn drain(&mut self) -> Result<()> {
        while self.delivered + self.corrupt < self.sent
            && self.receive(EpollTimeout::from(SILENCE_MS))? > 0
        {}
        Ok(())
    }

    fn send(&mut self, lane: usize, now: Instant) -> io::Result<()> {
        let clients = &self.traffic.clients;
        let lane = &mut self.lanes[lane];
        let flow = lane.next;
        lane.next = (flow + 1) % clients.len();
        let number = lane.sent[flow];
        lane.sent[flow] += 1;
        lane.under_way += 1;
        self.sent += 1;
        let channel =
            if self.load.direction == Direction::Pair { PAIR_CHANNEL } else { PEER_CHANNEL };
        let at_ns = (now - self.traffic.begin).as_nanos() as u64;
        let out = &mut self.buffer[..4 + self.load.bytes];
        out[..2].copy_from_slice(&channel.to_be_bytes());
        out[2..4].copy_from_slice(&(self.load.bytes as u16).to_be_bytes());
        out[4..].copy_from_slice(&self.letters);
        out[4..8].copy_from_slice(&self.traffic.row.to_be_bytes());
        out[8..12].copy_from_slice(&(flow as u32).to_be_bytes());
        out[12..16].copy_from_slice(&number.to_be_bytes());
        out[16..24].copy_from_slice(&at_ns.to_be_bytes());
        let sent = if lane.to_client {
            self.traffic.peer.send_to(&out[4..], clients[flow].relayed)
        } else {
            clients[flow].socket.send(out)
        };
        match sent {
            // Not sent is lost: the numbers will show it.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            other => other.map(drop),
        }
    }

    /// Reads what is there; returns how many datagrams of this row.
    fn receive(&mut self, wait: EpollTimeout) -> Result<u64> {
        const PER_SOCKET_MAX: usize = 64;
        let before = self.delivered + self.corrupt;
        let mut events = [EpollEvent::empty(); 128];
        let ready = self.traffic.epoll.wait(&mut events, wait)?;
        let now = Now::read().mono;
        for event in &events[..ready] {
            if event.data() != PEER_TOKEN {
                let at = event.data() as usize;
                if let Ok(len) = self.traffic.clients[at].socket.recv(&mut self.buffer) {
                    self.arrived_at_client(at, len, now);
                }
                continue;
            }
            for _ in 0..PER_SOCKET_MAX {
                let Ok((len, from)) = self.traffic.peer.recv_from(&mut self.buffer) else { break };
                self.arrived(0, 0..len, now, |traffic, flow| {
                    traffic.clients.get(flow).is_some_and(|client| client.relayed == from)
                });
            }
        }
        Ok(self.delivered + self.corrupt - before)
    }

    fn arrived_at_client(&mut self, at: usize, len: usize, now: Instant) {
        let pair = self.load.direction == Direction::Pair;
        let channel = if pair { PAIR_CHANNEL } else { PEER_CHANNEL };
        let lane = self.lanes.len() - 1;
        let right = self.buffer[..2] == channel.to_be_bytes()
            && self.buffer[2..4] == ((len.max(4) - 4) as u16).to_be_bytes();
        let sender = if pair { at ^ 1 } else { at };
        self.arrived(lane, 4..len.max(4), now, |_, flow| right && flow == sender);
    }

    fn arrived(
        &mut self,
        lane: usize,
        range: std::ops::Range<usize>,
        now: Instant,
        is_right: impl FnOnce(&Traffic, usize) -> bool,
    ) {
        let data = &self.buffer[range];
        let word = |at: usize| {
            data.get(at..at + 4).and_then(|w| w.try_into().ok()).map_or(0, u32::from_be_bytes)
        };
        let (row, flow, number) = (word(0), word(4) as usize, word(8));
        if row < self.traffic.row && data.len() >= HEADER_BYTES {
            return; // a straggler of an earlier row, counted as lost there
        }
        if data.get(HEADER_BYTES..) != self.letters.get(HEADER_BYTES..)
            || !is_right(self.traffic, flow)
        {
            self.corrupt += 1;
            return;
        }
        let lane = &mut self.lanes[lane];
        lane.under_way = lane.under_way.saturating_sub(1);
        self.delivered += 1;
        self.reordered += u64::from(number < lane.received[flow]);
        lane.received[flow] = lane.received[flow].max(number + 1);
        if let Pace::Rate(_) = self.load.pace {
            let sent_ns = u64::from(word(12)) << 32 | u64::from(word(16));
            let took = (now - self.traffic.begin).saturating_sub(Duration::from_nanos(sent_ns));
            self.latencies_us.push(took.as_micros() as u32);
        }
    }

    fn outcome(mut self) -> Outcome {
        self.latencies_us.sort_unstable();
        let percentile = |p: usize| self.latencies_us.get(self.latencies_us.len() * p / 100);
        Outcome {
            lost: self.sent.saturating_sub(self.delivered + self.corrupt),
            reordered: self.reordered,
            corrupt: self.corrupt,
            latency_us: percentile(50).copied().zip(percentile(99).copied()),
            ..Outcome::default()
        }
    }
}

/// The peer's socket, with room for a whole window.
pub(crate) fn peer_socket(server: &Server) -> Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(server.net.peer(), 0))?;
    socket2::SockRef::from(&socket).set_recv_buffer_size(4 * 1024 * 1024)?;
    Ok(socket)
}
