//! K16: a peer without permission floods relayed addresses as fast as it can.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::daemon::{Daemon, PASSWORD, USER};
use crate::flow::{Flow, config, lasting, pass};
use crate::turn_client::TurnClient;

/// Datagrams a second that make it a flood.
const RATE_MIN: f64 = 25_000.0;
/// Sent between two looks whether to go on.
const BATCH: u64 = 32;

/// Sends to `relayed` until told to stop; says how much.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Flood {
    fn start(relayed: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 3), 0)).unwrap();
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
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
    let (time, mut sent) = (lasting(Duration::from_secs(3)), 0);
    // On a call beside the flow, then on a call of the flow itself.
    for (what, relayed) in [("flood beside", client.relayed), ("flood", flow.relayed[0])] {
        flow.check_unharmed(what, || {
            let flood = Flood::start(relayed);
            pass(time);
            let more = flood.end();
            println!("{what}: {more} datagrams of it");
            assert!(more as f64 > RATE_MIN * time.as_secs_f64(), "{more} is no flood");
            sent += more;
        });
    }
    assert_eq!(client.receive(), None, "the client gets none of it");
    // The kernel drops it; a permission that is given meanwhile counts at once.
    let late = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 4), 0)).unwrap();
    client.permit([127, 0, 0, 4].into()).unwrap();
    late.send_to(b"late", client.relayed).unwrap();
    assert_eq!(client.receive(), Some((late.local_addr().unwrap(), b"late".to_vec())));
    let discarded = daemon.metric("turnbell_datagrams_discarded_total{reason=\"no_permission\"}");
    assert!((1.0..sent as f64 / 2.0).contains(&discarded), "{discarded} of {sent} arrived");
}
