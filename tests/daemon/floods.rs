//! Garbage, spoofable requests and many sources: nothing is answered that should not be, nothing is
//! kept, and no answer is worth spoofing for.

use std::net::{SocketAddr, UdpSocket};

use turnbell::limits::{AMPLIFICATION_MAX, REALM_BYTES_MAX};
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, HEADER_BYTES, Message, Method, TransactionId, message_type};
use turnbell::wire::writer::MessageWriter;

use crate::daemon::{Daemon, PASSWORD, PATIENCE, USER};
use crate::turn_client::{TurnClient, first_allocate, receive};

/// All of these come from one address, and every one is to be looked at; tests/daemon/shield.rs
/// holds what floods get by default.
const CONFIG: &str = "shield.answers_per_source = 100000\nshield.answers_total = \"10Gbit\"\n";

const SEED: u64 = 0x7475_726e_6265_6c6c;
const MALFORMED: usize = 50_000;
/// Datagrams between two looks whether all were read; they fit the smallest receive buffer.
const BATCH: usize = 32;
const ALLOCATES: usize = 100_000;
/// Source ports that they come from.
const SOURCES: usize = 500;
const GROWTH_MAX_KIB: i64 = 5 * 1024;

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn id(&mut self) -> TransactionId {
        TransactionId(self.bytes(12).try_into().unwrap())
    }
}

const METHODS: [Method; 9] = [
    Method::BINDING,
    Method::ALLOCATE,
    Method::REFRESH,
    Method::SEND,
    Method::DATA,
    Method::CREATE_PERMISSION,
    Method::CHANNEL_BIND,
    Method::CONNECT,
    Method::CONNECTION_BIND,
];

/// A sound request with some attributes.
fn request(random: &mut Random) -> Vec<u8> {
    let mut writer = MessageWriter::new(Class::Request, random.one_of(&METHODS), random.id());
    for _ in 0..random.below(4) {
        let kind = AttributeType(random.next() as u16 & 0x80FF);
        let kind = if kind == AttributeType::FINGERPRINT { AttributeType::SOFTWARE } else { kind };
        let length = random.below(40);
        writer = writer.attribute(kind, &random.bytes(length));
    }
    writer.finish(random.one_of(&[None, Some(&b"key"[..])]), random.next() & 1 == 0)
}

/// Something that no server answers, whatever its state (issue: "What bad input gets").
fn unanswerable(random: &mut Random) -> Vec<u8> {
    let mut bytes = request(random);
    match random.below(9) {
        0 => {
            let length = random.below(1500);
            bytes = random.bytes(length);
        }
        // Cut off in the middle.
        1 => bytes.truncate(random.below(bytes.len())),
        // More than the length says.
        2 => bytes.extend(std::iter::repeat_n(0, 1 + random.below(8))),
        // Without the magic cookie.
        3 => bytes[4 + random.below(4)] ^= 1 << random.below(8),
        // A response.
        4 => {
            let class = random.one_of(&[Class::SuccessResponse, Class::ErrorResponse]);
            let kind = message_type(class, random.one_of(&METHODS));
            bytes[..2].copy_from_slice(&kind.to_be_bytes());
        }
        // An indication, of use to nobody without an allocation.
        5 => {
            let kind = message_type(Class::Indication, random.one_of(&METHODS));
            bytes[..2].copy_from_slice(&kind.to_be_bytes());
        }
        // An attribute that runs past the end.
        6 => {
            bytes.truncate(HEADER_BYTES);
            bytes.extend_from_slice(&[0x00, 0x06, 0x00, 200]);
            bytes.extend(random.bytes(random.0 as usize % 12 * 4));
            let length = (bytes.len() - HEADER_BYTES) as u16;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
        }
        // ChannelData without a channel.
        7 => {
            bytes[0] = 0x40 | random.next() as u8 & 0x3F;
        }
        // A fingerprint of something else.
        _ => {
            bytes =
                MessageWriter::new(Class::Request, Method::BINDING, random.id()).finish(None, true);
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        }
    }
    bytes
}

/// The answer to a Binding request comes, and before it came nothing at all.
#[track_caller]
fn check_alive_and_silent(socket: &UdpSocket, id: TransactionId, sent: &[Vec<u8>]) {
    let question = MessageWriter::new(Class::Request, Method::BINDING, id).finish(None, false);
    socket.send(&question).unwrap();
    let (_, answer) = receive(socket, PATIENCE).expect("the daemon answers");
    let answered = Message::parse(&answer).unwrap().transaction_id();
    if answered != id {
        let culprit = sent.iter().find(|bytes| bytes.get(8..HEADER_BYTES) == Some(&answered.0));
        panic!("{answer:02x?} answers {culprit:02x?}");
    }
}

fn config() -> String {
    format!("{CONFIG}{}", crate::daemon::CONFIG)
}

fn connected(server: SocketAddr) -> UdpSocket {
    let local = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(local).unwrap();
    socket.connect(server).unwrap();
    socket
}

/// Resident memory of a process, KiB.
fn resident_kib(daemon: &Daemon) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn fifty_thousand_malformed_datagrams_get_no_answer_and_do_no_harm() {
    let daemon = Daemon::start(&config());
    let bystander = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    let mut random = Random(SEED);
    for server in [daemon.udp(), daemon.udp6()] {
        let socket = connected(server);
        for _ in 0..(MALFORMED / 2).div_ceil(BATCH) {
            let sent: Vec<_> = (0..BATCH).map(|_| unanswerable(&mut random)).collect();
            for bytes in &sent {
                socket.send(bytes).unwrap();
            }
            check_alive_and_silent(&socket, random.id(), &sent);
        }
    }
    bystander.permit(bystander.relayed.ip()).unwrap();
    assert_eq!(daemon.get("/healthz").0, 200);
}

#[test]
fn one_allocation_survives_malformed_datagrams_on_its_own_five_tuple() {
    let daemon = Daemon::start(&config());
    let socket = connected(daemon.udp());
    let client =
        TurnClient::allocate_from(socket.try_clone().unwrap(), daemon.udp(), USER, PASSWORD);
    let client = client.unwrap();
    let mut random = Random(SEED + 1);
    for _ in 0..100 {
        let sent: Vec<_> = (0..BATCH).map(|_| unanswerable(&mut random)).collect();
        for bytes in &sent {
            socket.send(bytes).unwrap();
        }
        check_alive_and_silent(&socket, random.id(), &sent);
    }
    client.permit(client.relayed.ip()).unwrap();
    client.release().unwrap();
    let rows = daemon.wait_for_rows(|rows| rows.len() == 1 && rows[0].end_reason.is_some());
    assert_eq!(rows[0].to_peers, (0, 0));
}

#[test]
fn a_hundred_thousand_unauthenticated_allocates_leave_nothing_in_memory() {
    let daemon = Daemon::start(&config());
    let sources: Vec<_> = (0..SOURCES).map(|_| connected(daemon.udp())).collect();
    let ask_all = || {
        for batch in sources.chunks(BATCH) {
            for socket in batch {
                socket.send(&first_allocate(daemon.udp())).unwrap();
            }
            for socket in batch {
                let (_, answer) = receive(socket, PATIENCE).expect("a 401");
                let message = Message::parse(&answer).unwrap();
                assert_eq!(message.class(), Class::ErrorResponse);
            }
        }
    };
    // Buffers that are made once are there after the first rounds.
    (0..10).for_each(|_| ask_all());
    let before = resident_kib(&daemon);
    (0..ALLOCATES / SOURCES).for_each(|_| ask_all());
    let growth = resident_kib(&daemon) - before;
    assert!(growth < GROWTH_MAX_KIB, "{growth} KiB more");
    // The ordinary first 401 leaves no row (R23), and nothing was allocated.
    assert_eq!(daemon.rows(), []);
    let failures: i64 = crate::daemon::record(&daemon.state())
        .query_row("SELECT count(*) FROM auth_failures", [], |row| row.get(0))
        .unwrap();
    assert_eq!(failures, 0);
}

#[test]
fn no_unauthenticated_request_is_answered_with_more_than_three_times_its_bytes_on_the_wire() {
    let realm = "r".repeat(REALM_BYTES_MAX);
    let daemon = Daemon::start(&format!("realm = \"{realm}\"\n{}", config()));
    let mut random = Random(SEED + 2);
    let mut worst: f64 = 0.0;
    for server in [daemon.udp(), daemon.udp6()] {
        let headers = if server.is_ipv4() { 20 + 8 } else { 40 + 8 };
        let socket = connected(server);
        let bare = METHODS.iter().flat_map(|method| {
            [false, true].map(|fingerprint| {
                MessageWriter::new(Class::Request, *method, TransactionId([1; 12]))
                    .finish(None, fingerprint)
            })
        });
        // Each unknown attribute costs the asker 4 bytes and is repeated with 2.
        let unknown = (1..40_u16).map(|count| {
            let writer =
                MessageWriter::new(Class::Request, Method::BINDING, TransactionId([2; 12]));
            let add = |writer: MessageWriter, n| writer.attribute(AttributeType(0x7F00 + n), b"");
            (0..count).fold(writer, add).finish(None, false)
        });
        let half_signed =
            [MessageWriter::new(Class::Request, Method::ALLOCATE, TransactionId([3; 12]))
                .finish(Some(b"key"), false)];
        let mut others = Random(random.next());
        let various = (0..2_000).map(|_| request(&mut others));
        let mut answered = 0;
        for bytes in bare.chain(unknown).chain(half_signed).chain(various) {
            socket.send(&bytes).unwrap();
            let id = random.id();
            let question =
                MessageWriter::new(Class::Request, Method::BINDING, id).finish(None, false);
            socket.send(&question).unwrap();
            let mut out = 0;
            loop {
                let (_, answer) = receive(&socket, PATIENCE).expect("the daemon answers");
                if Message::parse(&answer).unwrap().transaction_id() == id {
                    break;
                }
                out += answer.len() + headers;
            }
            answered += usize::from(out > 0);
            let factor = out as f64 / (bytes.len() + headers) as f64;
            worst = worst.max(factor);
            assert!(factor <= AMPLIFICATION_MAX as f64, "{factor}: {bytes:02x?}");
        }
        assert!(answered > 1_000, "only {answered} requests were answered");
    }
    assert!(worst > 1.0, "this test looks at the right requests: {worst}");
}
