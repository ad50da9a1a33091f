//! A shard: one thread, one `Relay`, its listening sockets and its relay sockets, one loop.
//!
//! A turn of the loop, in this order, each part bounded:
//! 1. wait for events, until the relay's deadline, a second at most; read the clocks once;
//! 2. expire what is due; 3. answer questions; 4. read each ready socket, one batch each, and
//!    decide every datagram; 5. send what was collected, many datagrams a call.

use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::handle::{Closed, Handle, Question};
use super::ledger::{Ledger, ShardIndex};
use super::relay_sockets::{RelaySockets, is_empty, relay_port_of};
use super::slots::Slots;
use super::sys::{self, BATCH_MAX, Received, Transmit};
use super::udp::Listener;
use crate::limits::{
    COMMANDS_QUEUED_MAX, EVENTS_PER_TURN, LISTENER_BATCH, RELAY_BATCH, TURN_IDLE_MAX,
};
use crate::time::Now;
use crate::turn::contract::{Command, Discard, Forward, Header, Input, Output};
use crate::turn::fact::{Fact, Transport};
use crate::turn::five_tuple::FiveTuple;
use crate::turn::relay::Relay;
use crate::turn::relayed_address::{PeerAddr, RelayPort};
use crate::wire::channel_data::{self, CHANNEL_DATA_HEADER_BYTES};
use crate::wire::data_indication;
use crate::wire::message::TransactionId;

/// Takes facts; must not wait.
pub type FactSink = Box<dyn FnMut(Fact) + Send>;

/// What a shard is made from. All sockets are bound before the first packet is read.
pub struct Options {
    /// Which one.
    pub index: ShardIndex,
    /// The machine.
    pub relay: Relay,
    /// Where clients reach it.
    pub listeners: Vec<Listener>,
    /// Addresses to bind relay sockets to, by index.
    pub relay_bind_addresses: Vec<IpAddr>,
    /// Ports and quotas, shared with the other shards.
    pub ledger: Arc<Ledger>,
    /// Where facts go.
    pub facts: FactSink,
}

/// Starts a shard on a thread of its own.
///
/// The thread ends after [`Handle::stop`], or with an error if the kernel takes the event queue
/// away; whoever joins it must end the process then.
///
/// # Errors
/// If the kernel refuses an event queue, a wake-up descriptor or a thread.
pub fn spawn(options: Options) -> io::Result<(Handle, JoinHandle<io::Result<()>>)> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
    epoll.add(wake.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, WAKE_TOKEN))?;
    for (at, listener) in options.listeners.iter().enumerate() {
        epoll.add(listener.fd(), EpollEvent::new(EpollFlags::EPOLLIN, at as u64))?;
    }
    let (questions, asked) = sync_channel(COMMANDS_QUEUED_MAX);
    let turns = Arc::new(AtomicU64::new(0));
    let handle = Handle {
        questions,
        wake: Arc::clone(&wake),
        turns: Arc::clone(&turns),
        ledger: Arc::clone(&options.ledger),
    };
    let to_clients = options.listeners.iter().map(|_| Vec::new()).collect();
    let name = format!("shard-{}", options.index.0);
    let mut shard = Shard {
        relay: options.relay,
        listeners: options.listeners,
        sockets: RelaySockets::new(options.index, options.relay_bind_addresses),
        index: options.index,
        ledger: options.ledger,
        facts: options.facts,
        epoll,
        wake,
        asked,
        turns,
        slots: Slots::new(),
        received: Vec::with_capacity(BATCH_MAX),
        to_clients,
        to_peers: Vec::with_capacity(BATCH_MAX),
        next_transaction: 0,
        stopped: None,
    };
    let thread = std::thread::Builder::new().name(name).spawn(move || shard.run())?;
    Ok((handle, thread))
}

const WAKE_TOKEN: u64 = u64::MAX >> 1;

struct Shard {
    index: ShardIndex,
    relay: Relay,
    listeners: Vec<Listener>,
    sockets: RelaySockets,
    ledger: Arc<Ledger>,
    facts: FactSink,
    epoll: Epoll,
    wake: Arc<EventFd>,
    asked: Receiver<Question>,
    turns: Arc<AtomicU64>,
    slots: Slots,
    received: Vec<Received>,
    /// Collected for clients, by listener.
    to_clients: Vec<Vec<Transmit>>,
    /// Collected for peers, in order of arrival, so that a flow's datagrams stand together.
    to_peers: Vec<(RelayPort, Transmit)>,
    next_transaction: u64,
    stopped: Option<std::sync::mpsc::SyncSender<()>>,
}

impl Shard {
    fn run(&mut self) -> io::Result<()> {
        let mut events = vec![EpollEvent::empty(); EVENTS_PER_TURN];
        loop {
            let timeout = self.timeout();
            let ready = match self.epoll.wait(&mut events, timeout) {
                Ok(ready) => ready,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(error) => return Err(error.into()),
            };
            let now = Now::read();
            if self.relay.deadline().is_some_and(|deadline| deadline <= now.mono) {
                self.relay.handle(now, Input::Tick);
                self.drain(now);
            }
            self.answer_questions(now);
            for event in &events[..ready] {
                match event.data() {
                    WAKE_TOKEN => drop(self.wake.read()),
                    token => match relay_port_of(token) {
                        Some(relay) => self.read_relay(now, relay),
                        None => self.read_listener(now, token as usize),
                    },
                }
            }
            self.send_collected();
            self.slots.reuse();
            self.turns.fetch_add(1, Ordering::Relaxed);
            if let Some(stopped) = self.stopped.take() {
                let _ = stopped.send(());
                return Ok(());
            }
        }
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
                Ok(Question::Counters(answer)) => {
                    let _ = answer.try_send(self.relay.counters().clone());
                }
                Ok(Question::Command(command, answer)) => {
                    let before = self.relay.counters().clone();
                    self.relay.handle(now, Input::Command(command));
                    self.drain(now);
                    let _ = answer.try_send(Closed::between(&before, self.relay.counters()));
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

    fn read_listener(&mut self, now: Now, at: usize) {
        self.make_room(LISTENER_BATCH);
        let Some(listener) = self.listeners.get(at) else { return };
        let buffers = self.slots.receive_into().take(LISTENER_BATCH);
        if let Err(error) =
            sys::recv_batch(listener.fd(), listener.is_wildcard(), buffers, &mut self.received)
        {
            if !is_empty(&error) {
                tracing::trace!(%error, "receiving on a listener failed");
            }
            return;
        }
        let received = std::mem::take(&mut self.received);
        for datagram in &received {
            let whole = self.slots.take(datagram.len);
            let tuple = FiveTuple {
                transport: Transport::Udp,
                client: datagram.from,
                server: self.listeners[at].server_address(datagram.to),
            };
            self.route_client(now, tuple, whole);
        }
        self.received = received;
    }

    fn route_client(&mut self, now: Now, tuple: FiveTuple, whole: Range<usize>) {
        let datagram = &self.slots.bytes()[whole.clone()];
        let within = |range: Range<usize>| whole.start + range.start..whole.start + range.end;
        match self.relay.forward_client(now, tuple, datagram) {
            Forward::ToPeer { relay, peer, range } => {
                let transmit = Transmit { range: within(range), to: peer, from: None };
                self.to_peers.push((relay, transmit));
            }
            Forward::ToRelay { relay, to, from, peer, range, else_kernel } => {
                let range = within(range);
                if self.ledger.owner(to) == Some(self.index) {
                    let forward = self.relay.forward_relay(now, to, PeerAddr(from), range);
                    if let Forward::ToClient { tuple, header, range } = forward {
                        self.toward_client(tuple, header, range);
                    }
                } else if else_kernel {
                    self.to_peers.push((relay, Transmit { range, to: peer, from: None }));
                } else {
                    self.relay.discard(Discard::NoSuchRelay);
                }
            }
            Forward::Handle => {
                let input = Input::Datagram { tuple, bytes: datagram };
                self.relay.handle(now, input);
                self.drain(now);
            }
            Forward::ToClient { .. } | Forward::Discard(_) => {}
        }
    }

    fn read_relay(&mut self, now: Now, relay: RelayPort) {
        self.make_room(RELAY_BATCH);
        let Some(socket) = self.sockets.socket(relay) else { return };
        let buffers = self.slots.receive_into().take(RELAY_BATCH);
        if let Err(error) = sys::recv_batch(socket.as_fd(), false, buffers, &mut self.received) {
            if !is_empty(&error) {
                tracing::trace!(%error, port = relay.number, "receiving on a relay socket failed");
            }
            return;
        }
        let received = std::mem::take(&mut self.received);
        for datagram in &received {
            let whole = self.slots.take(datagram.len);
            let bytes = &self.slots.bytes()[whole.clone()];
            let forward = self.relay.forward_peer(now, relay, PeerAddr(datagram.from), bytes);
            if let Forward::ToClient { tuple, header, range: _ } = forward {
                self.toward_client(tuple, header, whole);
            }
        }
        self.received = received;
    }

    /// Writes the header in place and collects the datagram; the range is one of `slots`.
    fn toward_client(&mut self, tuple: FiveTuple, header: Header, range: Range<usize>) {
        let Some(at) = self.listeners.iter().position(|l| l.serves(tuple.server)) else {
            return self.relay.discard(Discard::NotSent);
        };
        let Some(range) = self.write_header(header, range) else {
            return self.relay.discard(Discard::TooLong);
        };
        let from = self.listeners[at].source(tuple.server);
        self.to_clients[at].push(Transmit { range, to: tuple.client, from });
    }

    fn write_header(&mut self, header: Header, data: Range<usize>) -> Option<Range<usize>> {
        match header {
            Header::Channel(number) => {
                let length = u16::try_from(data.len()).ok()?;
                let start = data.start - CHANNEL_DATA_HEADER_BYTES;
                self.slots.bytes_mut()[start..data.start]
                    .copy_from_slice(&channel_data::header(number, length));
                Some(start..data.end)
            }
            Header::DataIndication(peer) => {
                let id = self.next_transaction_id();
                data_indication::write(self.slots.bytes_mut(), data, peer, id)
            }
        }
    }

    // Nobody answers an indication, so its id has to be different, not secret.
    fn next_transaction_id(&mut self) -> TransactionId {
        self.next_transaction += 1;
        let mut id = [0; 12];
        id[4..].copy_from_slice(&self.next_transaction.to_be_bytes());
        TransactionId(id)
    }

    /// Carries out what the machine wants, until it wants nothing.
    fn drain(&mut self, now: Now) {
        while let Some(output) = self.relay.poll() {
            match output {
                Output::Send { tuple, bytes } => self.send(tuple, &bytes),
                Output::OpenRelaySocket { token, user, source, family } => {
                    let (ledger, epoll) = (&self.ledger, &self.epoll);
                    let result = self.sockets.open(now, ledger, epoll, &user, source, family);
                    self.relay.handle(now, Input::RelaySocketOpened { token, result });
                }
                Output::CloseRelaySocket { relay, user, source } => {
                    // What its client sent just before must still leave through it.
                    self.send_collected();
                    self.sockets.close(&self.ledger, relay, &user, source);
                }
                Output::Fact(fact) => (self.facts)(fact),
            }
        }
    }

    /// Answers are few; they go at once.
    fn send(&mut self, tuple: FiveTuple, bytes: &[u8]) {
        let Some(listener) = self.listeners.iter().find(|l| l.serves(tuple.server)) else {
            return self.relay.discard(Discard::NotSent);
        };
        let from = listener.source(tuple.server);
        let transmit = Transmit { range: 0..bytes.len(), to: tuple.client, from };
        if sys::send_batch(listener.fd(), bytes, &[transmit]).is_err() {
            self.relay.discard(Discard::NotSent);
        }
    }

    /// Sends first what the slots hold if fewer than `needed` are free.
    fn make_room(&mut self, needed: usize) {
        if self.slots.free() < needed {
            self.send_collected();
            self.slots.reuse();
        }
    }

    /// Leaves the slots alone: datagrams of the same batch may still be to be decided.
    fn send_collected(&mut self) {
        let Self { listeners, sockets, slots, to_clients, to_peers, relay, .. } = self;
        for (listener, transmits) in listeners.iter().zip(to_clients) {
            send_all(listener.fd(), slots.bytes(), transmits, relay);
            transmits.clear();
        }
        let mut run = Vec::new();
        let mut rest = to_peers.drain(..).peekable();
        while let Some((port, transmit)) = rest.next() {
            run.push(transmit);
            if rest.peek().is_none_or(|(next, _)| *next != port) {
                match sockets.socket(port) {
                    Some(socket) => send_all(socket.as_fd(), slots.bytes(), &run, relay),
                    None => run.iter().for_each(|_| relay.discard(Discard::NotSent)),
                }
                run.clear();
            }
        }
    }
}

/// Sends everything; what the kernel does not take is discarded and counted, never waited for.
fn send_all(
    fd: std::os::fd::BorrowedFd<'_>,
    bytes: &[u8],
    transmits: &[Transmit],
    relay: &mut Relay,
) {
    let mut rest = transmits;
    while !rest.is_empty() {
        let sent = match sys::send_batch(fd, bytes, rest) {
            Ok(sent) => sent.max(1),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            // It concerns the first one: a full buffer, no route, a firewall, too long.
            Err(_) => {
                relay.discard(Discard::NotSent);
                1
            }
        };
        rest = &rest[sent..];
    }
}
