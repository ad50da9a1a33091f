//! K16: a peer without permission floods relayed addresses as fast as it can.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use turnbell::time::Now;

use crate::daemon::{Daemon, PASSWORD, USER};
use crate::flow::{Flow, config, lasting, pass};
use crate::turn_client::TurnClient;

/// What security.md asks for, datagrams a second.
const RATE: f64 = 100_000.0;
/// Sent between two looks at the clock.
const BATCH: u64 = 32;

/// Sends to `relayed` until told to stop; says how much.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Flood {
    /// `rate`: datagrams a second, or as many as this thread can.
    fn start(relayed: SocketAddr, rate: Option<f64>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 3), 0)).unwrap();
            let (began, mut sent) = (Now::read().mono, 0);
            while !stopped.load(Ordering::Relaxed) {
                let due = |rate: f64| began.elapsed().as_secs_f64() * rate;
                if rate.is_some_and(|rate| sent as f64 > due(rate)) {
                    std::thread::park_timeout(Duration::from_micros(100));
                    continue;
                }
                for _ in 0..BATCH {
                    socket.send_to(&[0x66; 160], relayed).unwrap();
                }
                sent += BATCH;
            }
            sent
        });
        Self { stop, thread: Some(thread) }
    }

    fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it is there until here").join().unwrap()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[test] // K16
fn a_flood_from_a_peer_without_permission_reaches_no_client_and_harms_no_flow() {
    let daemon = Daemon::start(&config(""));
    let flow = Flow::start(&daemon);
    let client = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    client.permit([127, 0, 0, 2].into()).unwrap();
    let time = lasting(Duration::from_secs(3));
    // As fast as a thread can, on a call beside the flow; then on a call of the flow itself.
    for (what, relayed, rate) in
        [("flood beside", client.relayed, None), ("flood", flow.relayed[0], Some(RATE))]
    {
        flow.check_unharmed(what, || {
            let flood = Flood::start(relayed, rate);
            pass(time);
            let sent = flood.end();
            println!("{what}: {sent} datagrams of it");
            assert!(sent as f64 > RATE / 4.0 * time.as_secs_f64(), "{sent} is no flood");
        });
    }
    assert_eq!(client.receive(), None, "the client gets none of it");
    let discarded = daemon.metric("turnbell_datagrams_discarded_total{reason=\"no_permission\"}");
    assert!(discarded > 0.0, "it arrived");
}
