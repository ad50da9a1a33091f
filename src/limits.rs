//! Every bound in the program, with its unit and what happens when it is reached.

use std::ops::RangeInclusive;
use std::time::Duration;

pub mod call;
pub mod coturn;
pub mod diagnose;
pub mod identity;
pub mod keys;
pub mod load;
pub mod outside;
pub mod plane;
pub mod probe;
pub mod quota;
pub mod record;
pub mod revocation;
mod stream;
pub mod watch;
pub mod why;
pub mod ws;

pub use stream::*;

// Lifetimes of RFC 8656 and RFC 8489.

/// Lifetime of an allocation whose client asked for nothing, or for less (RFC 8656 §7.2).
pub const ALLOCATION_LIFETIME_DEFAULT: Duration = Duration::from_secs(600);
/// Longest lifetime granted; more is cut to it (RFC 8656 §7.2 recommends at most an hour).
pub const ALLOCATION_LIFETIME_MAX: Duration = Duration::from_secs(3600);
/// Lifetime of a permission, not negotiable (RFC 8656 §9).
pub const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// Lifetime of a channel binding (RFC 8656 §12).
pub const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);
/// An expired channel number and its peer stay reserved for each other this long (RFC 8656 §12).
pub const CHANNEL_RESERVED: Duration = Duration::from_secs(300);
/// Age at which a nonce is answered with 438. An hour is the most RFC 8656 §5 allows.
pub const NONCE_LIFETIME: Duration = Duration::from_secs(3600);
/// Clock skew forgiven when the expiry in a username is checked, seconds.
pub const CREDENTIAL_SKEW_S: i64 = 30;

// The relay.

/// Permissions of one allocation; the next new address is 508.
pub const PERMISSIONS_PER_ALLOCATION_MAX: usize = 1024;
/// Channel bindings of one allocation, reserved ones included; the next new one is 508.
pub const CHANNELS_PER_ALLOCATION_MAX: usize = 1024;
/// XOR-PEER-ADDRESS attributes of one CreatePermission; a longer list is 508.
pub const PEERS_PER_REQUEST_MAX: usize = 128;
/// New peer addresses an allocation may name per second, after the burst; over it the request is
/// not answered, so that retransmission paces it (a 508 would end some browsers' TURN client).
pub const NEW_PEERS_PER_S: u32 = 20;
/// New peer addresses an allocation may name at once.
pub const NEW_PEERS_BURST: u32 = 200;
/// ICMP packets about peers that a client is told of per second, after the burst; the rest is
/// counted.
pub const ICMP_PER_S: u32 = 5;
/// ICMP packets about peers that a client is told of at once.
pub const ICMP_BURST: u32 = 5;
/// Unknown attribute types listed in one 420; the rest is left out.
pub const UNKNOWN_ATTRIBUTES_MAX: usize = 16;
/// Longest USERNAME that is looked at, bytes (RFC 8489 §14.3); longer is 401.
pub const USERNAME_BYTES_MAX: usize = 508;
/// Longest realm in the config, bytes. It is repeated in every 401; longer would let a spoofed
/// request be answered with more than three times its size on the wire.
pub const REALM_BYTES_MAX: usize = 24;
/// Wire bytes out per wire byte in for an unauthenticated request, IP and UDP headers counted.
pub const AMPLIFICATION_MAX: usize = 3;
/// Allocates whose relay socket is being opened; the next one is 508.
pub const PENDING_ALLOCATIONS_MAX: usize = 1024;
/// Secrets that verify credentials at the same time (rotation).
pub const SECRETS_MAX: usize = 8;
/// Static `user:password` accounts in the config.
pub const STATIC_USERS_MAX: usize = 10_000;
/// Issued usernames that are recognised by their hash (about 200 bytes each); beyond, the one that
/// expires first is recognised by its name only.
pub const ISSUED_NAMES_MAX: usize = 65_536;
/// Authentication failures turned into facts per second, after the burst; the rest is counted.
pub const AUTH_FAILURE_FACTS_PER_S: u32 = 10;
/// Authentication failures turned into facts at once.
pub const AUTH_FAILURE_FACTS_BURST: u32 = 100;

// Answers to those who have proven nothing (the shield).

/// Answers a second of each kind to one source, by default; more are not sent.
pub const SHIELD_PER_SOURCE_DEFAULT: u32 = 200;
/// Most that can be asked for in the config.
pub const SHIELD_PER_SOURCE_MAX: u32 = 100_000;
/// Seconds of that rate which a source gets at once.
pub const SHIELD_BURST_S: u32 = 10;
/// Bits a second to all sources together, headers counted, by default; more are not sent.
pub const SHIELD_TOTAL_BITS_DEFAULT: u64 = 20_000_000;
/// Milliseconds of that rate which are sent at once.
pub const SHIELD_TOTAL_BURST_MS: u64 = 500;
/// Sets of the table of sources.
pub const SHIELD_SETS: usize = 8192;
/// Sources of one set; one more and the least used one is forgotten. 512 KiB in all.
pub const SHIELD_WAYS: usize = 4;

// Rates of what is relayed (only where the config sets some).

/// Length of the windows in which a total is shared out and leased to a shard (R1).
pub const RATE_WINDOW: Duration = Duration::from_millis(10);
/// Windows after his last datagram for which a user still counts among those who share.
pub const RATE_ACTIVE_WINDOWS: u64 = 25;
/// Windows of his share that a user can save up; what he sends faster than that counts as over it.
pub const RATE_SAVED_WINDOWS: u64 = 25;
/// Windows of the total that can be saved up while demand is below it.
pub const RATE_POOL_WINDOWS: u64 = 5;
/// What a user can save up however small his share is: two datagrams of full size, bytes.
pub const RATE_SAVED_BYTES_MIN: u64 = 3000;
/// The same in datagrams.
pub const RATE_SAVED_PACKETS_MIN: u64 = 4;
/// Milliseconds of its rate that an allocation or a user can save up.
pub const RATE_BURST_MS: u64 = 250;

// Peers.

/// Peer ports whose services answer a small request with more, or that nobody relays media to
/// (mail, DNS, NTP, SNMP, SSDP, mDNS, memcached ...); data for them is discarded, by default.
pub const REFLECTION_PORTS_DEFAULT: &[RangeInclusive<u16>] = &[
    0..=0,
    7..=7,
    17..=17,
    19..=19,
    25..=25,
    53..=53,
    69..=69,
    111..=111,
    123..=123,
    137..=139,
    161..=161,
    389..=389,
    427..=427,
    520..=520,
    623..=623,
    1900..=1900,
    3283..=3283,
    3702..=3702,
    5353..=5353,
    11_211..=11_211,
];
/// Ports and ranges of ports in that list.
pub const REFLECTION_PORTS_MAX: usize = 256;

// Ports and quotas (defaults; the config may say otherwise within these).

/// Allocations of one user; the next is 486.
pub const ALLOCATIONS_PER_USER_DEFAULT: u32 = 64;
/// Allocations of one source (an IPv4 address or IPv6 /64), percent of the relay range; the next
/// is 486.
pub const ALLOCATIONS_PER_SOURCE_PERCENT: u32 = 25;
/// Allocations of everybody, percent of the relay range; the next is 508.
pub const ALLOCATIONS_TOTAL_PERCENT: u32 = 90;
/// Ports that relayed transport addresses are taken from (RFC 8656 §7.2: the dynamic ports).
pub const RELAY_PORTS_DEFAULT: RangeInclusive<u16> = 49_152..=65_535;
/// Ports tried when a relay port turns out to be taken by another program; then 508.
pub const RELAY_PORT_TRIES: usize = 16;
/// How long a relay port that another program holds is left alone.
pub const RELAY_PORT_REST: Duration = Duration::from_secs(60);
/// How long a reserved port waits for whoever shows its token. RFC 8656 §7.2 asks for 30 s at
/// least; a client may retransmit the Allocate that redeems it for 39.5 s.
pub const RESERVATION_LIFETIME: Duration = Duration::from_secs(60);
/// Reserved ports, each an open socket; the next Allocate that wants one is 508.
pub const RESERVATIONS_MAX: usize = 256;
/// Relay addresses of the daemon (v4 and v6 together).
pub const RELAY_ADDRESSES_MAX: usize = 8;
/// Listening sockets of one shard.
pub const LISTENERS_MAX: usize = 64;

// The packet path.

/// Warnings that no relay socket can be had come no closer.
pub const RELAY_WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// Largest datagram payload that UDP can carry over IPv4, bytes.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;
/// Room kept in front of a received datagram for the header that is written in place, bytes.
pub const HEADROOM_BYTES: usize = 48;
/// Room kept behind a received datagram for padding, bytes.
pub const TAILROOM_BYTES: usize = 4;
/// Datagrams read from one listening socket before others get their turn.
pub const LISTENER_BATCH: usize = 64;
/// Datagrams read from one relay socket before others get their turn.
pub const RELAY_BATCH: usize = 16;
/// Buffers read at once from a socket whose datagrams come aggregated, up to 64 in each.
pub const AGGREGATE_BATCH: usize = 8;
/// Datagrams that leave as one message; the kernel takes no more.
pub const BURST_LEN_MAX: usize = 64;
/// Bytes of all of them.
pub const BURST_BYTES_MAX: usize = DATAGRAM_BYTES_MAX;
/// Bytes of each over IPv4: with its headers within an Ethernet frame.
pub const BURST_SEGMENT_V4_MAX: usize = 1_500 - 20 - 8;
/// The same over IPv6.
pub const BURST_SEGMENT_V6_MAX: usize = 1_500 - 40 - 8;
/// Room for parts of aggregated datagrams that need a header in front, bytes; used again after sending.
pub const PARTS_BYTES: usize = 256 * 1024;
/// How long a shard rests between two turns at medium load, where `batch_delay` allows it.
pub const PACE_REST: Duration = Duration::from_micros(150);
/// Datagrams a second of one shard that are medium load: from so many...
pub const PACED_PER_S_MIN: u64 = 5_000;
/// ...to so many.
pub const PACED_PER_S_MAX: u64 = 100_000;
/// Flooded relay sockets that the kernel filters; another one is read and discarded from.
pub const SIEVES_MAX: usize = 64;
/// Permitted addresses of such a socket; with more it is not filtered.
pub const SIEVE_PEERS_MAX: usize = 32;
/// Errors taken from the error queues of relay sockets per loop turn; the rest waits for the next.
pub const ERRORS_PER_TURN: usize = 16;
/// Readiness events taken from the kernel per loop turn.
pub const EVENTS_PER_TURN: usize = 256;
/// Receive slots of a shard: datagrams in hand before everything collected is sent.
pub const SLOTS: usize = 128;
/// Commands waiting for a shard; a sender waits for room.
pub const COMMANDS_QUEUED_MAX: usize = 64;
/// Longest a shard sleeps without an event; the watchdog is fed from finished turns.
pub const TURN_IDLE_MAX: Duration = Duration::from_secs(1);

/// Longest that a command waits for the relay to say what it holds.
pub const ANSWER_PATIENCE: Duration = Duration::from_secs(2);
/// Longest that each part is given to stop in order; then the process ends without it.
pub const STOP_PATIENCE: Duration = Duration::from_secs(5);

// The record.

/// Entries waiting for the writer; more are dropped and counted.
pub const RECORD_QUEUED_MAX: usize = 16_384;
/// Rows written in one transaction.
pub const RECORD_BATCH_ROWS: usize = 64;
/// Longest an entry waits for its transaction to fill.
pub const RECORD_BATCH_DELAY: Duration = Duration::from_millis(50);
/// Authentication failures stored per minute; the rest is counted in one row.
pub const AUTH_FAILURE_ROWS_PER_MINUTE: u32 = 600;
/// Longest text taken from the network into a row or a log line, bytes.
pub const TEXT_BYTES_MAX: usize = 128;
/// Rows a query returns at the most.
pub const QUERY_ROWS_MAX: usize = 10_000;
/// Key changes waiting for the writer; the next one is refused as busy.
pub const RECORD_ORDERS_MAX: usize = 64;
/// Longest a caller waits until its key change is committed; then it is told that it is not known.
pub const RECORD_ORDER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest SQLite waits for another connection's lock; then the record is degraded and retries.
pub const RECORD_LOCK_WAIT: Duration = Duration::from_millis(250);
/// First pause after a failed transaction; it doubles with each further failure.
pub const RECORD_RETRY_MIN: Duration = Duration::from_millis(100);
/// Longest pause between two tries to write to a broken database.
pub const RECORD_RETRY_MAX: Duration = Duration::from_secs(5);
/// Tries of one transaction whose failure is nothing that time can cure; then it is dropped.
pub const RECORD_BATCH_TRIES: u32 = 5;
/// Tries to write the rest when the record closes; what is left then is dropped and counted.
pub const RECORD_CLOSE_TRIES: u32 = 3;
/// Longest a stop waits for the writer; after it the thread is left alone.
pub const RECORD_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two looks at what has grown too old, and at most this long is a crash's time off.
pub const RECORD_TEND_INTERVAL: Duration = Duration::from_secs(60);
/// Rows deleted by one retention step, and pages given back to the file system after it.
pub const RETENTION_BATCH_ROWS: usize = 256;
/// Largest step forward of the wall clock by which rows grow old at once; a larger one is believed
/// after CLOCK_DOUBT only (a clock that is wrong for a minute must not empty the record).
pub const CLOCK_STEP_MAX: Duration = Duration::from_secs(3600);
/// How long a larger step must last to be believed.
pub const CLOCK_DOUBT: Duration = Duration::from_secs(24 * 3600);
/// Corrupt databases kept beside the live one; one more is not moved aside, the record stays
/// degraded (a failing disk must not be filled with copies).
pub const CORRUPT_FILES_MAX: usize = 5;
/// Largest database that is checked page by page when it is opened, bytes; a larger one is found
/// corrupt when the damage is met.
pub const RECORD_CHECK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Longest message or field of one log line, bytes; the rest is cut.
pub const LOG_FIELD_BYTES_MAX: usize = 1024;

// The edge.

/// HTTP connections at once; one more cuts the one that has been silent for longest, or waits in the
/// kernel's queue while all are at a request.
pub const HTTP_CONNECTIONS_MAX: usize = 1024;
/// HTTP connections that there may always be while memory is short; one more than there were then
/// cuts a silent one, or is closed.
pub const HTTP_CONNECTIONS_SHORT: usize = 64;
/// Longest a client may take to send its request head.
pub const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest a request may take from its head to its answer.
pub const HTTP_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest request head, bytes; larger is 431.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Largest request body, bytes; larger is 413.
pub const HTTP_BODY_BYTES_MAX: usize = 4 * 1024;
/// Largest body of a refused request that is read and forgotten, so that its sender can hear why; a
/// larger one is refused at once. As much as nginx takes by default.
pub const HTTP_SWALLOW_BYTES_MAX: usize = 1 << 20;
/// How long a browser keeps the answer to a preflight.
pub const CORS_PREFLIGHT_AGE: Duration = Duration::from_secs(600);
/// Longest a client may leave an answer unread; then the kernel ends the connection.
pub const HTTP_STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Connections from ports shared with TURN that wait for the HTTP side; the next one is closed.
pub const HTTP_HANDED_MAX: usize = 64;
/// Longest pause after an `accept` that failed for want of descriptors or memory.
pub const HTTP_ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Longest a stopping daemon waits for requests in flight; then they are cut.
pub const HTTP_SHUTDOWN_GRACE: Duration = Duration::from_secs(3);
/// ICE configs a second for one API key, twice as many at once; more is 429.
pub const ICE_PER_KEY_S_DEFAULT: u32 = 50;
/// Configs and guest tokens a second for the pages of one address, ten seconds' worth at once; then 429.
pub const HTTP_PAGES_PER_SOURCE_S: u32 = 5;
/// Refusals (401) a second to one address, ten seconds' worth at once; more are 429.
pub const HTTP_REFUSALS_PER_SOURCE_S: u32 = 20;
/// Addresses whose forwarding headers are ignored and that are named for it; others only count.
pub const PROXIES_NAMED_MAX: usize = 8;
/// Seconds named in `Retry-After`: at one or more a second a token is there after one.
pub const RETRY_AFTER_S: u64 = 1;
/// API keys that may exist.
pub const API_KEYS_MAX: usize = 10_000;
/// Connections to the control socket at once.
pub const CONTROL_CONNECTIONS_MAX: usize = 16;
/// Longest one request on the control socket may take, its answer included; then it is cut.
pub const CONTROL_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest answer on the control socket, bytes; a client that is sent more gives up.
pub const CONTROL_REPLY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Rows in an answer on the control socket where the request names no limit.
pub const CONTROL_ROWS_DEFAULT: usize = 100;
/// Longest request line on the control socket, bytes: a config with its secret files fits.
pub const CONTROL_REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Shortest lifetime of an issued credential.
pub const TTL_MIN: Duration = Duration::from_secs(60);
/// Longest lifetime of an issued credential.
pub const TTL_MAX: Duration = Duration::from_secs(24 * 3600);
/// Longest `user` in a request for credentials, bytes.
pub const USER_BYTES_MAX: usize = 128;
/// How often it is looked whether the certificate's files have changed.
pub const CERTIFICATE_LOOK: Duration = Duration::from_secs(3);
/// Largest certificate or key file that is read, bytes; larger is refused as a wrong file.
pub const CERTIFICATE_BYTES_MAX: u64 = 256 * 1024;
/// Largest config file that is read, bytes; larger is refused.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// Problems of a config file shown at once; the rest waits until these are cured.
pub const CONFIG_PROBLEMS_MAX: usize = 50;
/// Shortest shared secret, bytes; shorter can be guessed from one recorded request.
pub const SECRET_BYTES_MIN: usize = 16;
/// Longest shared secret, bytes; longer is refused as a wrong file.
pub const SECRET_BYTES_MAX: usize = 512;
/// Hosts `/ice` URLs may name.
pub const ADVERTISE_MAX: usize = 8;
/// Servers that clients may be sent to while this one drains or has no room.
pub const ALTERNATES_MAX: usize = 8;
/// How long a drain lasts where nobody says; what is on then is ended.
pub const DRAIN_LIMIT_DEFAULT: Duration = Duration::from_secs(3600);
/// Longest a drain may last.
pub const DRAIN_LIMIT_MAX: Duration = Duration::from_secs(24 * 3600);
/// Seconds named in `Retry-After` while draining: by then another node, or this one, may answer.
pub const DRAIN_RETRY_AFTER_S: u64 = 30;
/// Foreign servers in `/ice`.
pub const ICE_SERVERS_MAX: usize = 16;
/// URLs one client is handed before start-up warns that gathering gets slow.
pub const ICE_URLS_WARN: usize = 4;

const _: () = assert!(CHANNELS_PER_ALLOCATION_MAX <= 0x1000, "0x4000..=0x4FFF are 4096 numbers");
const _: () = assert!(SHIELD_SETS.is_power_of_two());
const _: () = assert!(
    SHIELD_PER_SOURCE_MAX as u64 * SHIELD_BURST_S as u64 * 1000 <= u32::MAX as u64,
    "thousandths of answers are counted in 32 bits"
);
const _: () = assert!(PEERS_PER_REQUEST_MAX <= PERMISSIONS_PER_ALLOCATION_MAX);
const _: () =
    assert!(NEW_PEERS_BURST as usize >= PEERS_PER_REQUEST_MAX, "one request fits a burst");
const _: () = assert!(HEADROOM_BYTES >= 20 + 4 + 20 + 4, "a Data indication for an IPv6 peer");
const _: () = assert!(ICMP_PER_S + ICMP_BURST <= 10, "10 in any second for one allocation");
const _: () = assert!(RESERVATION_LIFETIME.as_secs() >= 30, "RFC 8656 §7.2");
const _: () = assert!(SLOTS >= LISTENER_BATCH && SLOTS >= RELAY_BATCH);
const _: () = assert!(AGGREGATE_BATCH <= RELAY_BATCH && RELAY_BATCH <= LISTENER_BATCH);
const _: () = assert!(PARTS_BYTES >= HEADROOM_BYTES + DATAGRAM_BYTES_MAX + TAILROOM_BYTES);
const _: () = assert!(TAILROOM_BYTES >= 3, "padding of a frame on a stream");
const _: () = assert!(RECORD_QUEUED_MAX >= RECORD_BATCH_ROWS);
const _: () = assert!(
    RETENTION_BATCH_ROWS > RECORD_BATCH_ROWS,
    "a step after each transaction deletes faster than rows come"
);
const _: () = assert!(
    CONTROL_REQUEST_BYTES_MAX as u64 > 3 * CONFIG_BYTES_MAX,
    "a config is handed over whole; a control character takes six bytes in JSON, text about one"
);
const _: () = assert!(USER_BYTES_MAX <= TEXT_BYTES_MAX, "a user's name is stored whole");
const _: () = assert!(
    CONTROL_TIMEOUT.as_secs() > RECORD_ORDER_TIMEOUT.as_secs(),
    "who waits for the record hears its answer"
);
