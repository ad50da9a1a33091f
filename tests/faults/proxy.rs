//! A bad network between clients and daemon: loss, reordering, duplicates, delay, and none at all.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use turnbell::time::Now;

const SEED: u64 = 0x6b39_6b31_306b_3131;
const DATAGRAM_BYTES: usize = 2048;

/// What becomes of each datagram, each way.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    pub(crate) loss_percent: u32,
    /// Overtake the ones before them: they are not delayed.
    pub(crate) reorder_percent: u32,
    pub(crate) duplicate_percent: u32,
    /// From, to.
    pub(crate) delay: [Duration; 2],
}

/// One way through it per client, so that the daemon sees as many clients.
pub(crate) struct Proxy {
    /// Where each client finds its server.
    pub(crate) fronts: Vec<SocketAddr>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    weather: Mutex<Weather>,
    /// By way: nothing passes.
    cut: Vec<AtomicBool>,
    to_server: AtomicU32,
    from_server: AtomicU32,
}

impl Proxy {
    /// `count` ways to `server`, in fine weather.
    pub(crate) fn start(server: SocketAddr, count: usize) -> Self {
        let socket = |_| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let ways: Vec<_> =
            (0..count).map(|_| Way { front: socket(()), back: socket(()), client: None }).collect();
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        for (at, way) in ways.iter().enumerate() {
            let event = |token: usize| EpollEvent::new(EpollFlags::EPOLLIN, token as u64);
            epoll.add(&way.front, event(2 * at)).unwrap();
            epoll.add(&way.back, event(2 * at + 1)).unwrap();
        }
        let fronts = ways.iter().map(|way| way.front.local_addr().unwrap()).collect();
        let cut = ways.iter().map(|_| AtomicBool::new(false)).collect();
        let shared = Arc::new(Shared { cut, ..Shared::default() });
        let carrier = Carrier {
            server,
            ways,
            epoll,
            shared: Arc::clone(&shared),
            on_the_way: BinaryHeap::new(),
            count: 0,
            random: SEED,
        };
        Self { fronts, shared, thread: Some(std::thread::spawn(move || carrier.run())) }
    }

    pub(crate) fn set(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap() = weather;
    }

    /// Nothing passes on this way any more, or again.
    pub(crate) fn cut(&self, way: usize, is_cut: bool) {
        self.shared.cut[way].store(is_cut, Ordering::Relaxed);
    }

    /// ChannelData handed to the server and come from it since the last time.
    pub(crate) fn take_counts(&self) -> (u32, u32) {
        let take = |count: &AtomicU32| count.swap(0, Ordering::Relaxed);
        (take(&self.shared.to_server), take(&self.shared.from_server))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.expect("it is there until here").expect("the proxy's thread is well");
        }
    }
}

struct Way {
    front: UdpSocket,
    back: UdpSocket,
    client: Option<SocketAddr>,
}

struct Carrier {
    server: SocketAddr,
    ways: Vec<Way>,
    epoll: Epoll,
    shared: Arc<Shared>,
    on_the_way: BinaryHeap<Reverse<Carried>>,
    count: u64,
    random: u64,
}

/// When it is due, in what order it came, to which socket, what.
type Carried = (Instant, u64, usize, Vec<u8>);

impl Carrier {
    fn run(mut self) {
        let mut events = [EpollEvent::empty(); 64];
        while !self.shared.is_over.load(Ordering::Relaxed) {
            let ready = self.epoll.wait(&mut events, EpollTimeout::from(2_u8)).unwrap_or(0);
            let now = Now::read().mono;
            let weather = *self.shared.weather.lock().unwrap();
            for event in &events[..ready] {
                self.take(now, weather, event.data() as usize);
            }
            while let Some(Reverse((due, ..))) = self.on_the_way.peek()
                && *due <= now
            {
                let Some(Reverse((_, _, token, bytes))) = self.on_the_way.pop() else { break };
                self.hand_over(token, &bytes);
            }
        }
    }

    /// Reads one socket, and decides about each datagram.
    fn take(&mut self, now: Instant, weather: Weather, token: usize) {
        let mut buffer = [0; DATAGRAM_BYTES];
        let is_front = token.is_multiple_of(2);
        let socket = |way: &Way| if is_front { &way.front } else { &way.back }.try_clone().unwrap();
        let socket = socket(&self.ways[token / 2]);
        while let Ok((count, from)) = socket.recv_from(&mut buffer) {
            let bytes = &buffer[..count];
            if is_front {
                self.ways[token / 2].client = Some(from);
            } else if is_channel_data(bytes) {
                self.shared.from_server.fetch_add(1, Ordering::Relaxed);
            }
            let is_cut = self.shared.cut[token / 2].load(Ordering::Relaxed);
            if is_cut || self.happens(weather.loss_percent) {
                continue;
            }
            let copies = if self.happens(weather.duplicate_percent) { 2 } else { 1 };
            for _ in 0..copies {
                let [least, most] = weather.delay;
                let range_us = (most - least).as_micros() as u64 + 1;
                let delay = least + Duration::from_micros(self.next() % range_us);
                let overtakes = self.happens(weather.reorder_percent);
                let due = if overtakes { now } else { now + delay };
                self.count += 1;
                self.on_the_way.push(Reverse((due, self.count, token, bytes.to_vec())));
            }
        }
    }

    fn hand_over(&self, token: usize, bytes: &[u8]) {
        let way = &self.ways[token / 2];
        if token.is_multiple_of(2) {
            if way.back.send_to(bytes, self.server).is_ok() && is_channel_data(bytes) {
                self.shared.to_server.fetch_add(1, Ordering::Relaxed);
            }
        } else if let Some(client) = way.client {
            let _ = way.front.send_to(bytes, client);
        }
    }

    fn happens(&mut self, percent: u32) -> bool {
        self.next() % 100 < u64::from(percent)
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn is_channel_data(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first & 0xC0 == 0x40)
}
