//! A STUN server on loopback that says what a test wants it to say.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Message, Method};
use turnbell::wire::writer::MessageWriter;

/// It ends with this value.
pub(crate) struct StunServer {
    at: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// What everybody hears; `None`: nothing at all.
    public: Mutex<Option<IpAddr>>,
    asked: AtomicUsize,
}

impl StunServer {
    /// Tells everybody that he is seen at `public`, on his own port.
    pub(crate) fn saying(public: Option<&str>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap();
        let public = Mutex::new(public.map(|ip| ip.parse().unwrap()));
        let shared = Arc::new(Shared { public, asked: AtomicUsize::new(0) });
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serve(&socket, &serving));
        Self { at, shared, thread: Some(thread) }
    }

    /// For `external_stun`.
    pub(crate) fn at(&self) -> SocketAddr {
        self.at
    }

    /// From here on.
    pub(crate) fn say(&self, public: Option<&str>) {
        *self.shared.public.lock().unwrap() = public.map(|ip| ip.parse().unwrap());
    }

    /// Requests so far.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::Relaxed)
    }
}

impl Drop for StunServer {
    fn drop(&mut self) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(END, self.at).unwrap();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

const END: &[u8] = b"end";

fn serve(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0; 2048];
    loop {
        let (count, from) = socket.recv_from(&mut buffer).unwrap();
        if &buffer[..count] == END {
            return;
        }
        shared.asked.fetch_add(1, Ordering::Relaxed);
        let request = Message::parse(&buffer[..count]).unwrap();
        let Some(public) = *shared.public.lock().unwrap() else { continue };
        let answer =
            MessageWriter::new(Class::SuccessResponse, Method::BINDING, request.transaction_id())
                .xor_address(
                    AttributeType::XOR_MAPPED_ADDRESS,
                    SocketAddr::new(public, from.port()),
                );
        socket.send_to(&answer.finish(None, true), from).unwrap();
    }
}
