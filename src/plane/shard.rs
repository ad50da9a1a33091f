//! A shard: one thread, one `Relay`, its listening sockets and its relay sockets, one loop.
//!
//! A turn of the loop, in this order, each part bounded:
//! 1. wait for events, until the relay's deadline, a second at most; read the clocks once;
//! 2. expire what is due; 3. answer questions, take over streams; 4. read each ready socket, one
//!    batch each, then what other shards sent, and decide every datagram; 5. send what was
//!    collected, many datagrams a call;
//! 6. close streams; 7. rest, at medium load and where the operator wants it (`pace.rs`).

mod peers;
mod reading;
mod sending;
mod sieving;
mod streams;

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::prctl::set_timerslack;

use self::sending::{Bursts, ToPeers};
use super::crossing::{self, Crossings};
use super::datagram::{Received, Transmit};
use super::drops::Drops;
use super::handle::{Closed, FinishedStream, Handle, One, Question};
use super::ledger::{Ledger, ShardIndex};
use super::pace::Pace;
use super::relay_sockets::{RelaySocket, RelaySockets, relay_port_of};
use super::sieve::Sieves;
use super::slots::Slots;
use super::streams::{Streams, stream_of};
use super::sys::{self, BATCH_MAX};
use super::udp::Listener;
use crate::limits::plane::SHARDS_MAX;
use crate::limits::{
    COMMANDS_QUEUED_MAX, ERRORS_PER_TURN, EVENTS_PER_TURN, STREAMS_QUEUED_MAX, TURN_IDLE_MAX,
};
use crate::time::Now;
use crate::turn::contract::{Command, Input, Output};
use crate::turn::fact::Fact;
use crate::turn::relay::Relay;

/// Takes facts; must not wait.
pub type FactSink = Box<dyn FnMut(Fact) + Send>;

/// What a shard has for itself. All sockets are bound before the first packet is read.
pub struct Part {
    /// The machine.
    pub relay: Relay,
    /// Where clients reach it.
    pub listeners: Vec<Listener>,
    /// Where facts go.
    pub facts: FactSink,
}

/// What all shards of a daemon have.
#[derive(Clone)]
pub struct Options {
    /// Addresses to bind relay sockets to, by index.
    pub relay_bind_addresses: Vec<IpAddr>,
    /// Whether it rests between turns at medium load.
    pub has_batch_delay: bool,
    /// Whether DSCP and ECN of a datagram are kept on its way through (RFC 8656 §14).
    pub carry_tos: bool,
    /// Ports and quotas.
    pub ledger: Arc<Ledger>,
}

/// A thread that ends after [`Handle::stop`], or with an error if the kernel takes the event queue
/// away; whoever joins it must end the process then.
pub type Thread = JoinHandle<io::Result<()>>;

/// Starts shards, each on a thread of its own.
///
/// # Errors
/// If the kernel refuses an event queue, a wake-up descriptor or a thread, or there are more than
/// [`SHARDS_MAX`].
pub fn spawn(options: &Options, parts: Vec<Part>) -> io::Result<(Handle, Vec<Thread>)> {
    if parts.len() > SHARDS_MAX {
        return Err(io::Error::other(format!("there are at most {SHARDS_MAX} relay threads")));
    }
    let wake = || EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
    let wakes = parts.iter().map(|_| Ok(Arc::new(wake()?)));
    let wakes: Vec<_> = wakes.collect::<io::Result<_>>()?;
    let ends = crossing::between(&wakes).into_iter().zip(wakes);
    let mut shards = Vec::new();
    for (index, (part, (crossings, wake))) in (0..).zip(parts.into_iter().zip(ends)) {
        shards.push(Shard::new(ShardIndex(index), part, options.clone(), crossings, wake)?);
    }
    // What can fail has, but for threads; none has read a packet yet.
    let (mut all, mut threads) = (Vec::new(), Vec::new());
    for (one, mut shard) in shards {
        let name = format!("shard-{}", shard.index.0);
        threads.push(std::thread::Builder::new().name(name).spawn(move || shard.run())?);
        all.push(one);
    }
    Ok((Handle { shards: all.into(), ledger: Arc::clone(&options.ledger) }, threads))
}

const WAKE_TOKEN: u64 = u64::MAX >> 1;

struct Shard {
    index: ShardIndex,
    relay: Relay,
    listeners: Vec<Listener>,
    sockets: RelaySockets,
    sieves: Sieves,
    carry_tos: bool,
    ledger: Arc<Ledger>,
    facts: FactSink,
    epoll: Epoll,
    wake: Arc<EventFd>,
    asked: Receiver<Question>,
    finished: Receiver<FinishedStream>,
    turns: Arc<AtomicU64>,
    drops: Arc<Drops>,
    stream_count: Arc<AtomicUsize>,
    crossings: Crossings,
    streams: Streams,
    /// Bytes of the stream that is being read.
    plain: Vec<u8>,
    slots: Slots,
    received: Vec<Received>,
    /// Collected for clients, by listener.
    to_clients: Vec<Vec<Transmit>>,
    to_peers: ToPeers,
    bursts: Bursts,
    next_transaction: u64,
    pace: Pace,
    /// Received in this turn.
    datagrams: usize,
    stopped: Option<std::sync::mpsc::SyncSender<()>>,
}

impl Shard {
    fn new(
        index: ShardIndex,
        part: Part,
        options: Options,
        crossings: Crossings,
        wake: Arc<EventFd>,
    ) -> io::Result<(One, Self)> {
        let Part { relay, listeners, facts } = part;
        let Options { relay_bind_addresses, has_batch_delay, carry_tos, ledger } = options;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(wake.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, WAKE_TOKEN))?;
        for (at, listener) in listeners.iter().enumerate() {
            if carry_tos {
                sys::report_tos(listener.fd(), listener.local().is_ipv6())?;
            }
            epoll.add(listener.fd(), EpollEvent::new(EpollFlags::EPOLLIN, at as u64))?;
        }
        let (questions, asked) = sync_channel(COMMANDS_QUEUED_MAX);
        let (streams, finished) = sync_channel(STREAMS_QUEUED_MAX);
        let (turns, stream_count) = (Arc::<AtomicU64>::default(), Arc::<AtomicUsize>::default());
        let drops = Arc::<Drops>::default();
        let one = One {
            questions,
            streams,
            wake: Arc::clone(&wake),
            turns: Arc::clone(&turns),
            drops: Arc::clone(&drops),
            stream_count: Arc::clone(&stream_count),
        };
        let does_kernel = listeners.iter().all(|listener| sys::knows_bursts(listener.fd()));
        let shard = Self {
            bursts: Bursts::new(does_kernel, listeners.len(), relay_bind_addresses.len()),
            to_clients: listeners.iter().map(|_| Vec::new()).collect(),
            relay,
            listeners,
            sockets: RelaySockets::new(index, relay_bind_addresses, carry_tos),
            sieves: Sieves::default(),
            carry_tos,
            index,
            ledger,
            facts,
            epoll,
            wake,
            asked,
            finished,
            turns,
            drops,
            stream_count,
            crossings,
            streams: Streams::default(),
            plain: Vec::new(),
            slots: Slots::new(),
            received: Vec::with_capacity(BATCH_MAX),
            to_peers: ToPeers::default(),
            next_transaction: 0,
            pace: Pace::new(has_batch_delay),
            datagrams: 0,
            stopped: None,
        };
        Ok((one, shard))
    }

    fn run(&mut self) -> io::Result<()> {
        // A rest of 150 us would else last 200.
        let _ = set_timerslack(1);
        let mut events = vec![EpollEvent::empty(); EVENTS_PER_TURN];
        loop {
            let is_silent = self.crossings.fall_asleep();
            let timeout = if is_silent { self.timeout() } else { EpollTimeout::ZERO };
            let ready = match self.epoll.wait(&mut events, timeout) {
                Ok(ready) => ready,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(error) => return Err(error.into()),
            };
            self.crossings.wake_up();
            let now = Now::read();
            if self.relay.deadline().is_some_and(|deadline| deadline <= now.mono) {
                self.relay.handle(now, Input::Tick);
                self.drain(now);
            }
            self.ledger.tend(now);
            self.end_sieves(now);
            self.answer_questions(now);
            self.take_streams(now);
            let mut errors_left = ERRORS_PER_TURN;
            for event in &events[..ready] {
                match event.data() {
                    WAKE_TOKEN => drop(self.wake.read()),
                    token => match (relay_port_of(token), stream_of(token)) {
                        (Some(relay), _) => {
                            self.serve_relay(now, relay, event.events(), &mut errors_left);
                        }
                        (None, Some(number)) => self.serve_stream(now, number),
                        (None, None) => self.read_listener(now, token as usize),
                    },
                }
            }
            self.take_crossings(now);
            self.send_collected(now);
            self.slots.reuse();
            self.crossings.announce();
            self.end_streams(now);
            self.stream_count.store(self.streams.len(), Ordering::Relaxed);
            self.turns.fetch_add(1, Ordering::Relaxed);
            if let Some(stopped) = self.stopped.take() {
                let _ = stopped.send(());
                return Ok(());
            }
            let datagrams = std::mem::take(&mut self.datagrams);
            if let Some(rest) = self.pace.turn(now.mono, datagrams) {
                self.rest(rest);
            }
        }
    }

    /// Its number, of this shard's.
    fn turn(&self) -> u32 {
        self.turns.load(Ordering::Relaxed) as u32
    }

    /// Does nothing for a while, unless somebody asks something.
    fn rest(&self, time: Duration) {
        let mut wake = [PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
        // Whatever ends it, the next turn looks.
        let _ = ppoll(&mut wake, Some(time.into()), None);
    }

    fn timeout(&self) -> EpollTimeout {
        let wait = self.relay.deadline().map_or(TURN_IDLE_MAX, |deadline| {
            deadline.saturating_duration_since(Now::read().mono).min(TURN_IDLE_MAX)
        });
        // Rounded up: waking a moment early would spin until the deadline has really come.
        let wait_ms = wait.as_micros().div_ceil(1000);
        EpollTimeout::try_from(wait_ms as i32).unwrap_or(EpollTimeout::ZERO)
    }

    fn answer_questions(&mut self, now: Now) {
        for _ in 0..COMMANDS_QUEUED_MAX {
            // Whoever asked may have given up waiting; then nobody hears the answer.
            match self.asked.try_recv() {
                Ok(Question::Allocations(answer)) => {
                    let _ = answer.try_send(self.relay.allocations(now));
                }
                Ok(Question::Statistics(answer)) => {
                    self.count_listeners_drops();
                    let _ = answer.try_send(self.relay.statistics());
                }
                Ok(Question::Command(command, answer)) => {
                    let before = self.relay.counters().clone();
                    self.relay.handle(now, Input::Command(command));
                    self.drain(now);
                    let _ = answer.try_send(Closed::between(&before, self.relay.counters()));
                }
                Ok(Question::Tell(command, answer)) => {
                    let _ = answer.try_send(self.relay.carry_out(now, command));
                    self.drain(now);
                }
                Ok(Question::Watch(wish, answer)) => {
                    let _ = answer.try_send(self.relay.watch(now, wish));
                }
                Ok(Question::Watched(id, answer)) => {
                    let _ = answer.try_send(self.relay.watched(now, id));
                }
                Ok(Question::Stop(answer)) => {
                    self.relay.handle(now, Input::Command(Command::Stop));
                    self.drain(now);
                    debug_assert_eq!(self.sockets.len(), 0);
                    self.stopped = Some(answer);
                }
                Err(_) => return,
            }
        }
    }

    fn count_listeners_drops(&mut self) {
        for listener in &mut self.listeners {
            listener.count_drops(&self.drops.listeners);
        }
    }

    /// Carries out what the machine wants, until it wants nothing.
    fn drain(&mut self, now: Now) {
        self.sieve_again(now);
        while let Some(output) = self.relay.poll() {
            match output {
                Output::Send { tuple, bytes } => self.send(tuple, &bytes),
                Output::OpenRelaySocket { token, user, source, wanted } => {
                    let (ledger, epoll) = (&self.ledger, &self.epoll);
                    let result = self.sockets.open(now, ledger, epoll, &user, source, wanted);
                    self.relay.handle(now, Input::RelaySocketOpened { token, result });
                }
                Output::CloseRelaySocket { relay, user, source, is_last } => {
                    // What its client sent just before must still leave through it.
                    self.send_collected(now);
                    self.count_drops_of(relay);
                    self.sockets.close(&self.ledger, relay);
                    self.sieves.forget(relay);
                    if is_last {
                        self.ledger.uncount(&user, source);
                    }
                }
                Output::CloseStream { tuple } => self.streams.end_later(tuple.connection),
                Output::Fact(fact) => (self.facts)(fact),
            }
        }
    }
}
