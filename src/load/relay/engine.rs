//! The clients, their peer, and the one loop that hears them all. It never waits for one of them.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::line::{Datagrams, Line, Reading, Sending};
use super::server::Server;
use super::session::{Heard, Overdue, Refusal, Session, Step};
use super::{Login, Progress};
use crate::auth::secret::random_bytes;
use crate::limits::load::{
    LOAD_EVENTS, LOAD_FIRST_PATIENCE, LOAD_MOVES_MAX, LOAD_PATIENCE, LOAD_PORTS, LOAD_READ_BYTES,
    LOAD_READS_MAX, LOAD_SPIN, LOAD_TICK,
};
use crate::load::{LoadError, own};
use crate::time::Now;
use crate::wire::message::Message;

/// Of the peer, among those of the clients.
const PEER: u64 = u64::MAX;

/// Everything that has a socket.
pub(super) struct Engine<'a> {
    pub(super) server: &'a Server,
    login: &'a Login,
    pub(super) clients: Vec<Client>,
    pub(super) peer: Option<Peer>,
    pub(super) counts: Counts,
    pub(super) progress: Progress<'a>,
    epoll: Epoll,
    events: Vec<EpollEvent>,
    buffer: Vec<u8>,
    outcomes: VecDeque<(usize, Outcome)>,
    /// Connections that have something left to send.
    blocked: Vec<usize>,
    next_tick: Instant,
    has_heard: bool,
    expires_at: i64,
    /// Whence the next client comes.
    next_port: u16,
}

/// One client.
pub(super) struct Client {
    pub(super) line: Line,
    pub(super) session: Session,
    is_broken: bool,
}

/// Where relayed datagrams go to and come from.
pub(super) struct Peer {
    pub(super) socket: Datagrams,
    pub(super) at: SocketAddr,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Done(Step),
    Refused(Refusal),
    Unanswered(Step),
    /// The connection has ended.
    Broken,
}

/// What should not be.
#[derive(Debug, Default, Clone)]
pub(super) struct Counts {
    /// Requests that were sent again.
    pub(super) repeated: u64,
    /// Answers that prove nothing.
    pub(super) unverified: u64,
    /// Messages that nobody asked for.
    pub(super) unasked: u64,
    /// Connections that ended.
    pub(super) broken: u64,
    /// Requests that were refused, by code.
    pub(super) refused: BTreeMap<String, u64>,
}

/// Hears what is not an answer to a session's request.
pub(super) trait Hears {
    /// From the server, to a client.
    fn client(&mut self, at: usize, message: &[u8], now: Instant);
    /// At the peer.
    fn peer(&mut self, from: SocketAddr, datagram: &[u8], now: Instant);
}

impl<'a> Engine<'a> {
    /// # Errors
    /// If the kernel has no epoll left, or `peer` is not an address of this machine.
    pub(super) fn new(
        server: &'a Server,
        login: &'a Login,
        peer: Option<IpAddr>,
        expires_at: i64,
        progress: Progress<'a>,
    ) -> Result<Self, LoadError> {
        let system = |what| move |source: io::Error| LoadError::System { what, source };
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC);
        let epoll = epoll.map_err(|why| system("opening an epoll")(why.into()))?;
        let mut engine = Self {
            server,
            login,
            clients: Vec::new(),
            peer: None,
            counts: Counts::default(),
            progress,
            epoll,
            events: vec![EpollEvent::empty(); LOAD_EVENTS],
            buffer: vec![0; LOAD_READ_BYTES],
            outcomes: VecDeque::new(),
            blocked: Vec::new(),
            next_tick: Now::read().mono,
            has_heard: false,
            expires_at,
            next_port: next_port()?,
        };
        if let Some(ip) = peer {
            let mut open = || {
                let socket = Datagrams::of_peer(ip, &mut engine.next_port)?;
                let event = EpollEvent::new(EpollFlags::EPOLLIN, PEER);
                engine.epoll.add(socket.fd(), event)?;
                Ok((socket.local()?, socket))
            };
            let opened: io::Result<_> = open();
            let (at, socket) = opened.map_err(system("opening the peer's socket (--peer)"))?;
            engine.peer = Some(Peer { socket, at });
        }
        Ok(engine)
    }

    /// Opens the socket or the connection of client `at`, in place of the one that it had.
    ///
    /// # Errors
    /// If the server takes no connection, or the machine has no more sockets.
    pub(super) fn open(&mut self, at: usize) -> Result<(), LoadError> {
        let (username, password) = self.login.of(at, self.expires_at);
        let mut open = || {
            let line = Line::open(self.server, &mut self.next_port)?;
            let event = EpollEvent::new(EpollFlags::EPOLLIN, at as u64);
            self.epoll.add(line.fd(), event)?;
            Ok(line)
        };
        let opened: io::Result<Line> = open();
        let line = opened.map_err(|why| {
            let cure = "is it running, and does a firewall let this in?";
            LoadError::NotLetIn { address: self.server.address, why: why.to_string(), cure }
        })?;
        let client = Client { line, session: Session::new(username, password), is_broken: false };
        match self.clients.get_mut(at) {
            Some(old) => *old = client,
            None => self.clients.push(client),
        }
        Ok(())
    }

    /// Opens the socket of client `at` anew, from far away: a server that remembers one port often
    /// remembers its neighbours.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn open_elsewhere(&mut self, at: usize) -> Result<(), LoadError> {
        let (first, last) = (*LOAD_PORTS.start(), *LOAD_PORTS.end());
        let ports = last - first + 1;
        self.next_port =
            first + (self.next_port - first + ports / u16::from(LOAD_MOVES_MAX)) % ports;
        self.open(at)
    }

    /// Asks for something in a client's name.
    ///
    /// # Errors
    /// If the kernel has no entropy.
    pub(super) fn ask(&mut self, at: usize, step: Step) -> Result<(), LoadError> {
        let Client { line, session, .. } = &mut self.clients[at];
        let request = session.begin(Now::read().mono, step, line.may_lose()).map_err(entropy)?;
        // What a socket refuses is asked again; a broken connection is seen when it is read.
        let _ = line.ask(request);
        self.note_unsent(at);
        Ok(())
    }

    /// Sends a client's data.
    pub(super) fn send(&mut self, at: usize, bytes: &[u8], each: usize) -> Sending {
        let client = &mut self.clients[at];
        if client.is_broken {
            return Sending::Taken;
        }
        // What nobody listens to is lost, and counted where it should arrive.
        let sent = client.line.send(bytes, each).unwrap_or(Sending::Taken);
        self.note_unsent(at);
        sent
    }

    fn note_unsent(&mut self, at: usize) {
        if self.clients[at].line.has_unsent() && !self.blocked.contains(&at) {
            self.blocked.push(at);
        }
    }

    /// What became of requests, oldest first.
    pub(super) fn next_outcome(&mut self) -> Option<(usize, Outcome)> {
        self.outcomes.pop_front()
    }

    /// Connections that are still there, and all sockets.
    pub(super) fn is_anybody_left(&self) -> bool {
        self.clients.iter().any(|client| !client.is_broken)
    }

    /// Waits until something is there or `until`, but at most a tick, and reads it.
    ///
    /// # Errors
    /// If the kernel has no entropy.
    pub(super) fn turn(&mut self, until: Instant, hears: &mut impl Hears) -> Result<(), LoadError> {
        let now = Now::read().mono;
        let mut wait = until.saturating_duration_since(now).min(LOAD_TICK);
        if wait < LOAD_SPIN {
            wait = Duration::ZERO;
        }
        if !self.blocked.is_empty() {
            wait = wait.min(Duration::from_millis(1));
        }
        let wait = EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::ZERO);
        let mut events = std::mem::take(&mut self.events);
        let mut buffer = std::mem::take(&mut self.buffer);
        let ready = self.epoll.wait(&mut events, wait).unwrap_or(0);
        let mut result = Ok(());
        for event in &events[..ready] {
            if result.is_ok() {
                result = self.read(event.data(), &mut buffer, hears);
            }
        }
        (self.events, self.buffer) = (events, buffer);
        self.flush();
        let now = Now::read().mono;
        if now >= self.next_tick {
            self.next_tick = now + LOAD_TICK;
            self.look_at_what_is_overdue(now);
        }
        result
    }

    fn read(
        &mut self,
        whose: u64,
        buffer: &mut [u8],
        hears: &mut impl Hears,
    ) -> Result<(), LoadError> {
        let now = Now::read().mono;
        if whose == PEER {
            let Some(peer) = &mut self.peer else { return Ok(()) };
            for _ in 0..LOAD_READS_MAX {
                if peer.socket.read(buffer, |bytes, from| hears.peer(from, bytes, now)).is_err() {
                    break;
                }
            }
            return Ok(());
        }
        let at = whose as usize;
        // Where there are many, each has its turn soon again, and a read that finds nothing costs.
        let reads = (4 * LOAD_READS_MAX / self.clients.len().max(1)).clamp(1, LOAD_READS_MAX);
        for _ in 0..reads {
            match self.read_client(at, buffer, hears, now)? {
                Reading::Open => {}
                Reading::Empty => break,
                Reading::Ended => {
                    self.end(at);
                    break;
                }
            }
        }
        Ok(())
    }

    fn read_client(
        &mut self,
        at: usize,
        buffer: &mut [u8],
        hears: &mut impl Hears,
        now: Instant,
    ) -> Result<Reading, LoadError> {
        let Some(Client { line, session, .. }) = self.clients.get_mut(at) else {
            return Ok(Reading::Empty);
        };
        let mut heard = Vec::new();
        let reading = line.read(buffer, |bytes| {
            if session.is_waiting() && is_answer(bytes) {
                // What is no message answers nothing.
                heard.push(Message::parse(bytes).map_or(Ok(Heard::Unasked), |m| session.hear(&m)));
            } else {
                hears.client(at, bytes, now);
            }
        });
        for heard in heard {
            self.has_heard = true;
            let outcome = match heard.map_err(entropy)? {
                Heard::Done(step) => Outcome::Done(step),
                Heard::Refused(refusal) => Outcome::Refused(refusal),
                Heard::Again(request) => {
                    let _ = self.clients[at].line.ask(&request);
                    continue;
                }
                Heard::Unverified => {
                    self.counts.unverified += 1;
                    continue;
                }
                Heard::Unasked => {
                    self.counts.unasked += 1;
                    continue;
                }
            };
            self.outcomes.push_back((at, outcome));
        }
        Ok(reading)
    }

    fn end(&mut self, at: usize) {
        let client = &mut self.clients[at];
        if !std::mem::replace(&mut client.is_broken, true) {
            // It cannot fail for a descriptor that is open; if it does, it is read again.
            let _ = self.epoll.delete(client.line.fd());
            self.counts.broken += 1;
            self.outcomes.push_back((at, Outcome::Broken));
        }
    }

    fn flush(&mut self) {
        let clients = &mut self.clients;
        self.blocked.retain(|at| !clients[*at].is_broken && clients[*at].line.flush());
    }

    fn look_at_what_is_overdue(&mut self, now: Instant) {
        // Where nobody was ever heard, nobody is there.
        let patience = if self.has_heard { LOAD_PATIENCE } else { LOAD_FIRST_PATIENCE };
        for (at, Client { line, session, .. }) in self.clients.iter_mut().enumerate() {
            match session.overdue(now, patience) {
                Some(Overdue::Repeat(request)) => {
                    let _ = line.ask(request);
                    self.counts.repeated += 1;
                }
                Some(Overdue::Unanswered(step)) => {
                    self.outcomes.push_back((at, Outcome::Unanswered(step)));
                }
                None => {}
            }
        }
    }

    /// Counts a refusal.
    pub(super) fn count_refused(&mut self, outcome: &Outcome) {
        let why = match outcome {
            Outcome::Done(_) => return,
            Outcome::Refused(refusal) => refusal.code.to_string(),
            Outcome::Unanswered(_) => "no answer".to_owned(),
            Outcome::Broken => "connection closed".to_owned(),
        };
        *self.counts.refused.entry(why).or_default() += 1;
    }

    /// Whether a relayed address may be sent to: a server that was not vouched for names no other
    /// machine.
    pub(super) fn may_send_to(&self, relayed: SocketAddr) -> bool {
        self.server.is_own || own::is_ours(relayed.ip().to_canonical())
    }
}

/// Where the ports of the last run in this process ended; 0 before the first.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// Behind those of the last run, else somewhere: a server may remember earlier clients.
fn next_port() -> Result<u16, LoadError> {
    let last = NEXT_PORT.load(Ordering::Relaxed);
    if LOAD_PORTS.contains(&last) {
        return Ok(last);
    }
    let drawn = random_bytes::<2>().map(u16::from_be_bytes).map_err(entropy)?;
    Ok(LOAD_PORTS.start() + drawn % (LOAD_PORTS.end() - LOAD_PORTS.start()))
}

impl Drop for Engine<'_> {
    fn drop(&mut self) {
        NEXT_PORT.store(self.next_port, Ordering::Relaxed);
    }
}

/// A response; requests and indications from a server are somebody else's to judge.
fn is_answer(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first & 0xC1 == 0x01)
}

pub(super) fn entropy(why: getrandom::Error) -> LoadError {
    LoadError::System { what: "drawing a transaction id", source: io::Error::other(why) }
}
