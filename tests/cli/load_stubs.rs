//! Servers that put `turnbell load` to the test: one that loses and changes datagrams, one that lies.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Message};
use turnbell::wire::writer::MessageWriter;

/// Stands between one client and a relay, and does to its ChannelData what a bad line does.
pub(crate) struct BadLine {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    ours: UdpSocket,
    upstream: UdpSocket,
    client: Mutex<Option<SocketAddr>>,
    is_over: AtomicBool,
    done: Done,
}

/// How often it did what.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) dropped: AtomicU64,
    pub(crate) doubled: AtomicU64,
    pub(crate) delayed: AtomicU64,
    pub(crate) changed: AtomicU64,
    pub(crate) made_up: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl BadLine {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let [ours, upstream] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        upstream.connect(server).unwrap();
        let (client, is_over) = (Mutex::new(None), AtomicBool::new(false));
        let done = Done::default();
        let shared = Arc::new(Shared { ours, upstream, client, is_over, done });
        let (up, down) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads =
            vec![std::thread::spawn(move || up.up()), std::thread::spawn(move || down.down())];
        Self { shared, threads }
    }

    pub(crate) fn at(&self) -> SocketAddr {
        self.shared.ours.local_addr().unwrap()
    }

    /// Of what, how often.
    pub(crate) fn done(&self, what: impl Fn(&Done) -> &AtomicU64) -> u64 {
        what(&self.shared.done).load(Ordering::Relaxed)
    }
}

impl Drop for BadLine {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let waker = UdpSocket::bind("127.0.0.1:0").unwrap();
        waker.send_to(&[], self.at()).unwrap();
        // The other socket hears its server only, which answers this.
        let binding = [&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], &[0; 12]].concat();
        let _ = self.shared.upstream.send(&binding);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Of ten: one is lost, one comes twice, one comes after the next.
    fn up(&self) {
        let mut buffer = [0; 2048];
        let (mut nth, mut held) = (0, None::<Vec<u8>>);
        loop {
            let (len, from) = self.ours.recv_from(&mut buffer).unwrap();
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            *self.client.lock().unwrap() = Some(from);
            let datagram = &buffer[..len];
            if !is_data(datagram) {
                let _ = self.upstream.send(datagram);
                continue;
            }
            nth += 1;
            match nth % 10 {
                3 => count(&self.done.dropped),
                6 => {
                    count(&self.done.doubled);
                    self.upstream.send(datagram).unwrap();
                    self.upstream.send(datagram).unwrap();
                }
                8 => held = Some(datagram.to_vec()),
                _ => drop(self.upstream.send(datagram)),
            }
            if let (9, Some(late)) = (nth % 10, held.take_if(|_| nth % 10 == 9)) {
                count(&self.done.delayed);
                self.upstream.send(&late).unwrap();
            }
        }
    }

    /// Of ten: one is changed, one has company that nobody sent.
    fn down(&self) {
        let mut buffer = [0; 2048];
        let mut nth = 0;
        loop {
            let Ok(len) = self.upstream.recv(&mut buffer) else { continue };
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let Some(client) = *self.client.lock().unwrap() else { continue };
            let datagram = &mut buffer[..len];
            if is_data(datagram) {
                nth += 1;
                match nth % 10 {
                    4 => {
                        count(&self.done.changed);
                        datagram[len - 5] ^= 8;
                    }
                    7 => {
                        count(&self.done.made_up);
                        let lies: [&[u8]; 5] =
                            [b"\x40\x00\xff\xff", b"\x4f\xff\x00\x04abcd", b"\x80", b"", &[0; 30]];
                        self.ours.send_to(lies[nth / 10 % 5], client).unwrap();
                    }
                    _ => {}
                }
            }
            let _ = self.ours.send_to(datagram, client);
        }
    }
}

fn is_data(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & 0xC0 == 0x40)
}

/// Answers every request of one client with nonsense, and then with an error whose reason is for
/// terminals.
pub(crate) fn liar() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        // It ends with the test's process.
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let Ok(request) = Message::parse(&buffer[..len]) else { continue };
            let (id, method) = (request.transaction_id(), request.method());
            let answer = |class| MessageWriter::new(class, method, id);
            let relayed = "192.0.2.1:9".parse().unwrap();
            let unsigned = answer(Class::SuccessResponse)
                .xor_address(AttributeType::XOR_RELAYED_ADDRESS, relayed)
                .finish(Some(b"another key"), false);
            let error = |code: &[u8]| {
                answer(Class::ErrorResponse).attribute(AttributeType::ERROR_CODE, code)
            };
            let challenge = error(&[0, 0, 4, 1])
                .attribute(AttributeType::REALM, &[0xFF; 300])
                .attribute(AttributeType::NONCE, b"")
                .finish(None, false);
            let refusal = error(b"\0\0\x05\0\x1b[31mNo\r\nway").finish(None, false);
            let first = !request.has_integrity();
            let mut cut = unsigned.clone();
            cut.truncate(21);
            let nonsense: [&[u8]; 6] = [b"", b"\x01", &[1; 1400], &cut, &buffer[..len], b"\x40\0"];
            for datagram in nonsense {
                let _ = socket.send_to(datagram, from);
            }
            let last = if first { &challenge } else { &unsigned };
            let _ = socket.send_to(last, from);
            if !first {
                let _ = socket.send_to(&refusal, from);
            }
        }
    });
    at
}

/// Takes connections and says `words` on each.
pub(crate) fn talker(words: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        // It ends with the test's process.
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 512]);
            let _ = connection.write_all(words);
        }
    });
    at
}
