//! Bounds of `turnbell load`, so that a slip of the finger asks for nothing absurd.

use std::time::Duration;

/// Sessions of one run.
pub const LOAD_SESSIONS_MAX: u32 = super::ws::WS_CONNECTIONS_MAX as u32;
/// Messages, or calls, a second.
pub const LOAD_RATE_MAX: u32 = 100_000;
/// Longest run.
pub const LOAD_SECONDS_MAX: u64 = 600;
/// Messages a second of one session: a little below what the server lets through.
pub const LOAD_SESSION_RATE_MAX: u32 = super::call::REQUESTS_PER_S * 4 / 5;
/// Bytes of one signal: what a candidate may have, less room for its names.
pub const LOAD_SIGNAL_BYTES_MAX: u32 = super::call::CANDIDATE_BYTES_MAX as u32 - 24;
/// Connections that are opened at the same time.
pub const LOAD_OPENING_MAX: usize = 64;
/// Descriptors beside those of the sessions.
pub const LOAD_FILES_SPARE: u64 = 64;
/// Longest that one answer, or one connection, is waited for.
pub const LOAD_PATIENCE: Duration = Duration::from_secs(20);
/// Events after which a client acknowledges.
pub const LOAD_ACK_EVENTS: u32 = 32;
/// Longest that one with nothing else to say waits to acknowledge.
pub const LOAD_ACK_PAUSE: Duration = Duration::from_secs(5);
/// How long the last messages are waited for.
pub const LOAD_GRACE: Duration = Duration::from_secs(5);
/// Between two lines that say how it goes.
pub const LOAD_PROGRESS: Duration = Duration::from_secs(5);
/// How long the tokens are good that the clients show.
pub const LOAD_TOKEN_TTL: Duration = Duration::from_secs(3600);

const _: () = assert!(LOAD_TOKEN_TTL.as_secs() > 2 * LOAD_SECONDS_MAX);
const _: () = assert!(LOAD_SESSION_RATE_MAX < super::call::REQUESTS_PER_S);

/// Clients of the relay in one run: what one address of this machine has ports for.
pub const LOAD_CLIENTS_MAX: u32 = 20_000;
/// Datagrams a second through the relay.
pub const LOAD_RELAY_RATE_MAX: u32 = 2_000_000;
/// Datagrams, or requests, under way at the same time.
pub const LOAD_WINDOW_MAX: u32 = 4096;
/// Least bytes of a datagram: its number, its time and a checksum.
pub const LOAD_DATAGRAM_BYTES_MIN: u32 = 32;
/// Most of them: a jumbo frame.
pub const LOAD_DATAGRAM_BYTES_MAX: u32 = 8900;
/// Datagrams of one flow that leave at once: what the kernel cuts one send into.
pub const LOAD_BURST_MAX: u32 = 64;
/// Bytes that leave in one send.
pub const LOAD_BURST_BYTES_MAX: usize = 65_000;
/// Events that one wait returns at most.
pub const LOAD_EVENTS: usize = 256;
/// Datagrams read from one socket before the others have their turn.
pub const LOAD_READS_MAX: usize = 64;
/// Bytes of one read: whatever the kernel has put together.
pub const LOAD_READ_BYTES: usize = 65_536;
/// Receive buffer of the peer, who hears all clients.
pub const LOAD_PEER_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that a connection did not take yet, above which it gets no more data.
pub const LOAD_UNSENT_BYTES_MAX: usize = 256 * 1024;
/// Longest that the first answer of all is waited for: where there is none, nobody is there.
pub const LOAD_FIRST_PATIENCE: Duration = Duration::from_secs(5);
/// First time after which a request over UDP is sent again; doubled each time (RFC 8489 §6.2.1).
pub const LOAD_RTO: Duration = Duration::from_millis(500);
/// Ports that clients and peers take in turn over UDP: outside of what relays take, and seldom the
/// same again.
pub const LOAD_PORTS: std::ops::RangeInclusive<u16> = 18_000..=48_999;
/// How often a client whose port the server remembers comes from another one.
pub const LOAD_MOVES_MAX: u8 = 8;
/// Nonces that are taken in a row before a server is said to refuse them all.
pub const LOAD_NONCES_MAX: u8 = 4;
/// What is under way for longer is lost: its place in the window is free again.
pub const LOAD_LOST_AFTER: Duration = Duration::from_millis(250);
/// Silence at the end after which nothing more is waited for.
pub const LOAD_SILENCE: Duration = Duration::from_secs(2);
/// How long data flows before it is counted.
pub const LOAD_WARM_UP: Duration = Duration::from_millis(300);
/// Between two looks at what is overdue.
pub const LOAD_TICK: Duration = Duration::from_millis(50);
/// How often each client refreshes allocation, permission (300 s, RFC 8656 §9) and channel.
pub const LOAD_REFRESH: Duration = Duration::from_secs(120);
/// A wait that is shorter is spent looking, because the kernel's timers would be late.
pub const LOAD_SPIN: Duration = Duration::from_millis(2);
/// How long the credentials are good that the clients make of a shared secret.
pub const LOAD_CREDENTIAL_TTL: Duration = Duration::from_secs(3600);
/// Requests under way while clients log in for something else.
pub const LOAD_LOGINS_AT_ONCE: u32 = 32;

const _: () = assert!(LOAD_REFRESH.as_secs() * 2 < 300);
const _: () = assert!((*LOAD_PORTS.end() - *LOAD_PORTS.start()) as u32 > LOAD_CLIENTS_MAX);
const _: () = assert!(LOAD_BURST_BYTES_MAX < LOAD_READ_BYTES);
