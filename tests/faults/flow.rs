//! A relayed flow that runs through a fault: clients, the relay, an echo, every datagram numbered.
//!
//! One thread sends and reads everything, so that the flow itself needs little of the machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use turnbell::time::Now;

use crate::daemon::{CONFIG, Daemon, PASSWORD, USER, eventually};
use crate::line::{Heard, Kind, Line};

/// What a fault may cost beyond what the same flow loses without it.
pub(crate) const LOSS_MAX: f64 = 0.001;

/// Datagrams a second each way, all lines together.
const RATE: f64 = 1_500.0;
/// Bytes of each, like audio.
const BYTES: usize = 160;
const KINDS: [Kind; 10] = [
    Kind::UdpChannel,
    Kind::UdpIndication,
    Kind::TcpChannel,
    Kind::UdpChannel,
    Kind::UdpIndication,
    Kind::UdpChannel,
    Kind::TcpChannel,
    Kind::UdpChannel,
    Kind::UdpIndication,
    Kind::UdpChannel,
];
/// Of these over TCP.
pub(crate) const FLOW_STREAMS: usize = 2;
/// Sent at once after a stall of this thread; the rest of the stall is left out.
const BURST_MAX: u32 = 200;
/// How long the flow runs without the fault, before it.
const BASELINE: Duration = Duration::from_secs(2);
/// After the last datagram, how long the others have to come back.
const LATE: Duration = Duration::from_secs(2);
/// A request is sent again after this time.
const RETRY: Duration = Duration::from_millis(500);
/// How often a comparison is made anew because the machine loses datagrams without the fault.
const TRIES: u32 = 3;
/// How often allocations, permissions and channels are refreshed.
const REFRESH_EVERY: Duration = Duration::from_secs(60);
/// Names the test's own datagrams.
const MARK: [u8; 4] = *b"flow";

/// [`CONFIG`] with the echo's addresses opened, and lines in front.
pub(crate) fn config(lines: &str) -> String {
    format!("{lines}\nallow_private_peers = [\"127.0.0.0/8\"]\n{CONFIG}")
}

/// How long a fault lasts: `ci` here, `TURNBELL_FAULT_SECONDS` where it is set (scripts/soak-faults).
pub(crate) fn lasting(ci: Duration) -> Duration {
    let set = std::env::var("TURNBELL_FAULT_SECONDS").ok();
    set.map_or(ci, |text| Duration::from_secs(text.parse().expect("whole seconds")))
}

/// Lets time go by: for faults that are a state, not an event.
pub(crate) fn pass(time: Duration) {
    let end = Now::read().mono + time;
    while let Some(left) = end.checked_duration_since(Now::read().mono).filter(|l| !l.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// Both measure a share that is lost: without the fault, right before, and with it. Where the machine
/// loses datagrams without the fault, the comparison is made anew; the bar stays.
#[track_caller]
pub(crate) fn compare(what: &str, mut without: impl FnMut() -> f64, mut with: impl FnMut() -> f64) {
    for attempt in 1..=TRIES {
        let before = without();
        if before > LOSS_MAX && attempt < TRIES {
            println!("{what}: {before} is lost without it, once more");
            continue;
        }
        let during = with();
        if during <= before + LOSS_MAX {
            return;
        }
        let after = without();
        let is_lossy = before > LOSS_MAX || after > LOSS_MAX;
        let said = format!("{what}: {during} is lost, {before} before, {after} after");
        assert!(is_lossy && attempt < TRIES, "{said}");
        println!("{said}, once more");
    }
}

/// `during` lost at most 0.1 % more than `before`; for faults that begin before the flow.
#[track_caller]
pub(crate) fn check_loss(what: &str, before: &Counts, during: &Counts) {
    println!("{what}: {} of {} lost, {} without", during.lost, during.sent, before.lost);
    assert_eq!((during.duplicates, during.strays), (0, 0), "{what}");
    assert!(during.loss() <= before.loss() + LOSS_MAX, "{what}: {} lost", during.lost);
}

/// A running flow; it ends with this value.
pub(crate) struct Flow {
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
    /// The relayed transport addresses of its clients.
    pub(crate) relayed: Vec<SocketAddr>,
}

/// What became of the datagrams of one measurement.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u32,
    pub(crate) lost: u32,
    pub(crate) duplicates: u32,
    /// Came to a client that had not sent them.
    pub(crate) strays: u32,
    /// The longest way there and back.
    pub(crate) slowest: Duration,
    returned: Vec<bool>,
}

impl Counts {
    pub(crate) fn loss(&self) -> f64 {
        f64::from(self.lost) / f64::from(self.sent.max(1))
    }
}

#[derive(Default)]
struct Shared {
    is_over: bool,
    is_sending: bool,
    /// Datagrams of another measurement are late ones, and not counted.
    measurement: u32,
    counts: Counts,
    /// Requests without answer.
    unanswered: usize,
    /// Set to ask for everything that keeps the lines alive.
    must_refresh: bool,
    refused: Vec<u16>,
}

impl Flow {
    /// Ten clients with a static account. Nothing is sent yet.
    pub(crate) fn start(daemon: &Daemon) -> Self {
        Self::start_as(daemon, (USER, PASSWORD))
    }

    /// The same for another user.
    pub(crate) fn start_as(daemon: &Daemon, (username, password): (&str, &str)) -> Self {
        let line = |kind| {
            let server = if kind == Kind::TcpChannel { daemon.tcp() } else { daemon.udp() };
            Line::open(server, kind, username, password)
        };
        Self::over(KINDS.map(line).into(), REFRESH_EVERY)
    }

    /// One client over UDP to each of `servers`; they refresh that often.
    pub(crate) fn start_at(servers: &[SocketAddr], refresh_every: Duration) -> Self {
        // All at once: where the way is bad, each takes its time.
        let lines = std::thread::scope(|scope| {
            let open = |at| scope.spawn(move || Line::open(at, Kind::UdpChannel, USER, PASSWORD));
            let opening: Vec<_> = servers.iter().copied().map(open).collect();
            opening.into_iter().map(|line| line.join().unwrap()).collect()
        });
        Self::over(lines, refresh_every)
    }

    fn over(lines: Vec<Line>, refresh_every: Duration) -> Self {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        for (at, line) in lines.iter().enumerate() {
            let event = |token| EpollEvent::new(EpollFlags::EPOLLIN, token as u64);
            epoll.add(line.fd(), event(at)).unwrap();
            epoll.add(&line.echo, event(lines.len() + at)).unwrap();
        }
        let relayed = lines.iter().map(|line| line.relayed).collect();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let engine = Engine {
            lines,
            epoll,
            shared: Arc::clone(&shared),
            began: Now::read().mono,
            sending_since: None,
            unanswered: BTreeMap::new(),
            refresh_every,
            refreshed: Now::read().mono,
        };
        let thread = std::thread::spawn(move || engine.run());
        Self { shared, thread: Some(thread), relayed }
    }

    /// Counts what is sent while `body` runs.
    pub(crate) fn measure(&self, body: impl FnOnce()) -> Counts {
        {
            let mut shared = self.lock();
            shared.measurement += 1;
            shared.counts = Counts::default();
            shared.is_sending = true;
        }
        body();
        self.lock().is_sending = false;
        let end = Now::read().mono + LATE;
        let mut counts = Counts::default();
        let _ = eventually(|| {
            counts = self.lock().counts.clone();
            counts.lost = counts.returned.iter().filter(|back| !**back).count() as u32;
            (counts.lost == 0 || Now::read().mono > end).then_some(())
        });
        assert!(counts.sent > 0, "the flow did not run");
        counts
    }

    /// Runs `fault` under the flow and compares with the flow right before.
    #[track_caller]
    pub(crate) fn check_unharmed(&self, what: &str, mut fault: impl FnMut()) {
        let baseline = || self.measure(|| pass(BASELINE)).loss();
        let during = || {
            let during = self.measure(&mut fault);
            println!(
                "{what}: {} of {} lost, slowest {:?}",
                during.lost, during.sent, during.slowest
            );
            assert_eq!((during.duplicates, during.strays), (0, 0), "{what}");
            during.loss()
        };
        compare(what, baseline, during);
        self.check_alive();
    }

    /// Every allocation, permission and channel of the flow can be refreshed.
    #[track_caller]
    pub(crate) fn check_alive(&self) {
        self.lock().must_refresh = true;
        let answered = eventually(|| {
            let shared = self.lock();
            (!shared.must_refresh && shared.unanswered == 0).then_some(())
        });
        assert!(answered.is_some(), "requests of the flow are not answered");
        assert_eq!(self.lock().refused, Vec::<u16>::new());
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        let thread = self.thread.as_ref().expect("it is there until the drop");
        assert!(!thread.is_finished(), "the flow ended by itself");
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.expect("it is there until here").expect("the flow's thread is well");
        }
    }
}

struct Engine {
    lines: Vec<Line>,
    epoll: Epoll,
    shared: Arc<Mutex<Shared>>,
    began: Instant,
    /// When this burst began and what of it was sent.
    sending_since: Option<(Instant, u32)>,
    /// Line and request by transaction id, and when it was sent.
    unanswered: BTreeMap<[u8; 12], (usize, Vec<u8>, Instant)>,
    refresh_every: Duration,
    refreshed: Instant,
}

impl Engine {
    fn run(mut self) {
        let mut events = [EpollEvent::empty(); 64];
        let shared = Arc::clone(&self.shared);
        loop {
            let ready = match self.epoll.wait(&mut events, EpollTimeout::from(2_u8)) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => 0,
                Err(error) => panic!("epoll: {error}"),
            };
            let mut shared = shared.lock().unwrap();
            if shared.is_over {
                return;
            }
            let now = Now::read().mono;
            for event in &events[..ready] {
                let token = event.data() as usize;
                match token.checked_sub(self.lines.len()) {
                    Some(at) => self.lines[at].echo(),
                    None => self.hear(&mut shared, now, token),
                }
            }
            self.send_due(&mut shared, now);
            self.refresh(&mut shared, now);
        }
    }

    fn hear(&mut self, shared: &mut Shared, now: Instant, at: usize) {
        for heard in self.lines[at].hear() {
            match heard {
                Heard::Answer(id, code) => {
                    if self.unanswered.remove(&id).is_some() {
                        shared.refused.extend(code);
                    }
                }
                Heard::Data(data) => match Label::read(&data) {
                    Some(label) if label.line == at as u32 => {
                        if label.measurement == shared.measurement {
                            let age = Duration::from_nanos(label.sent_ns);
                            let age = (now - self.began).saturating_sub(age);
                            shared.counts.returned(label.number, age);
                        }
                    }
                    Some(_) | None => shared.counts.strays += 1,
                },
            }
        }
    }

    fn send_due(&mut self, shared: &mut Shared, now: Instant) {
        if !shared.is_sending {
            self.sending_since = None;
            return;
        }
        let (since, mut sent) = self.sending_since.unwrap_or((now, 0));
        let due = ((now - since).as_secs_f64() * RATE) as u32;
        sent = sent.max(due.saturating_sub(BURST_MAX));
        for _ in sent..due {
            let number = shared.counts.sent;
            let line = number as usize % self.lines.len();
            let sent_ns = (now - self.began).as_nanos() as u64;
            let measurement = shared.measurement;
            let label = Label { measurement, line: line as u32, number, sent_ns };
            shared.counts.sent += 1;
            shared.counts.returned.push(false);
            self.lines[line].send(&label.bytes());
        }
        self.sending_since = Some((since, due));
    }

    /// Asks for what is due, and again for what was not answered.
    fn refresh(&mut self, shared: &mut Shared, now: Instant) {
        if shared.must_refresh || now - self.refreshed >= self.refresh_every {
            shared.must_refresh = false;
            self.refreshed = now;
            for (at, line) in self.lines.iter_mut().enumerate() {
                for (id, bytes) in line.keep_alive() {
                    line.write(&bytes);
                    self.unanswered.insert(id, (at, bytes, now));
                }
            }
        }
        for (at, bytes, sent) in self.unanswered.values_mut() {
            if now - *sent >= RETRY {
                *sent = now;
                self.lines[*at].write(bytes);
            }
        }
        shared.unanswered = self.unanswered.len();
    }
}

impl Counts {
    fn returned(&mut self, number: u32, age: Duration) {
        match self.returned.get_mut(number as usize) {
            Some(back) if *back => self.duplicates += 1,
            Some(back) => *back = true,
            None => self.strays += 1,
        }
        self.slowest = self.slowest.max(age);
    }
}

/// What stands in a datagram of the flow.
struct Label {
    measurement: u32,
    line: u32,
    number: u32,
    sent_ns: u64,
}

impl Label {
    fn bytes(&self) -> Vec<u8> {
        let words = [self.measurement, self.line, self.number].map(u32::to_be_bytes).concat();
        let mut bytes = [&MARK[..], &words, &self.sent_ns.to_be_bytes()].concat();
        bytes.resize(BYTES, 0);
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MARK)?;
        let word = |at: usize| Some(u32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?));
        let sent_ns = u64::from_be_bytes(rest.get(12..20)?.try_into().ok()?);
        Some(Self { measurement: word(0)?, line: word(4)?, number: word(8)?, sent_ns })
    }
}
