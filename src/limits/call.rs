//! Bounds of signaling: sessions, requests, queues, calls and their timers.

use std::time::Duration;

// What a tenant may have (defaults; the config may say otherwise).

/// Sessions of one tenant; the next is refused with `quota_exceeded`.
pub const SESSIONS_PER_TENANT_DEFAULT: usize = 1000;
/// Sessions of one user; the next takes the place of one whose socket is lost and that is in no
/// call, or is refused with `quota_exceeded`.
pub const SESSIONS_PER_USER_DEFAULT: usize = 10;
/// Calls of one tenant that are not over; the next invite is `quota_exceeded`.
pub const CALLS_PER_TENANT_DEFAULT: usize = 100;
/// Invites of one user a minute; the next is `rate_limited`.
pub const INVITES_PER_MINUTE_DEFAULT: u32 = 10;
/// Unanswered invites from one user to another within [`UNANSWERED_WINDOW`]; the next is
/// `rate_limited`.
pub const UNANSWERED_INVITES_DEFAULT: usize = 3;
/// Fresh ICE configs: 80 % of an hour.
pub const ICE_REFRESH_DEFAULT: Duration = Duration::from_secs(2880);
/// Shortest pause between two of them, whatever the config says.
pub const ICE_REFRESH_MIN: Duration = Duration::from_secs(1);

// Sessions.

/// How long a session in no call waits for its page to come back.
pub const RESUME_IDLE: Duration = Duration::from_secs(30);
/// The same for one in a call.
pub const RESUME_IN_CALL: Duration = Duration::from_secs(120);
/// Replies a session remembers; a request that is older is done again.
pub const REPLIES_MAX: usize = 256;
/// Events kept until they are acknowledged; the oldest goes, and a resume that needs it is told so.
pub const RESUME_EVENTS_MAX: usize = 256;
/// The same in bytes.
pub const RESUME_BYTES_MAX: usize = 256 * 1024;
/// Messages waiting for a slow client; one more closes it with 4013, to be resumed.
pub const OUTBOX_MESSAGES_MAX: usize = 512;
/// The same in bytes.
pub const OUTBOX_BYTES_MAX: usize = 1024 * 1024;
/// Percent of either at which presence and warnings wait for room, the latest state only.
pub const OUTBOX_COALESCE_PERCENT: usize = 50;
/// Messages handed to the edge and not reported as sent; more wait in the outbox.
pub const IN_FLIGHT_MESSAGES_MAX: usize = 32;
/// The same in bytes; one message may exceed it.
pub const IN_FLIGHT_BYTES_MAX: usize = 64 * 1024;
/// Notice given before a token expires.
pub const EXPIRY_NOTICE: Duration = Duration::from_secs(60);
/// Texts in `hello` about the device, bytes each; longer is cut.
pub const DEVICE_TEXT_BYTES_MAX: usize = 64;

// Rates of one session; over them `rate_limited`.

/// Requests a second, after the burst.
pub const REQUESTS_PER_S: u32 = 50;
/// Requests at once.
pub const REQUESTS_BURST: u32 = 100;
/// `presence.set` and `presence.subscribe` at once, and per [`PRESENCE_WINDOW_S`].
pub const PRESENCE_BURST: u32 = 5;
/// Seconds.
pub const PRESENCE_WINDOW_S: u32 = 30;
/// Candidates of one party in one generation of a negotiation.
pub const CANDIDATES_PER_GENERATION_MAX: u32 = 200;
/// Offers of one party in a call that nobody has answered in between.
pub const OFFERS_UNANSWERED_MAX: u32 = 64;
/// Quality reports of one party are stored and judged at most this often; others are `rate_limited`.
pub const QUALITY_REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Seconds in which a session was over a rate, within [`STRIKE_WINDOW`]: it is closed with 4029.
pub const STRIKES_MAX: usize = 3;
/// How long a strike counts.
pub const STRIKE_WINDOW: Duration = Duration::from_secs(60);
/// Two refusals within this time are one strike.
pub const STRIKE_INTERVAL: Duration = Duration::from_secs(1);

// Presence.

/// Users named in one subscription; more is `too_large`.
pub const SUBSCRIBED_USERS_MAX: usize = 500;
/// Subscribed users of all sessions of a tenant; more is `quota_exceeded`.
pub const SUBSCRIPTIONS_PER_TENANT_MAX: usize = 100_000;
/// Users in one snapshot or diff; a snapshot of a role says that it is cut, a diff goes on in the
/// next.
pub const PRESENCE_ENTRIES_MAX: usize = 500;
/// Changed users noted for a subscriber that is slow or lost; more and it gets a snapshot.
pub const PRESENCE_DIRTY_MAX: usize = 2000;
/// Bytes of the words beside a presence; more is `too_large`.
pub const PRESENCE_NOTE_BYTES_MAX: usize = 256;
/// Diffs of one subscriber come no closer.
pub const PRESENCE_DIFF_INTERVAL: Duration = Duration::from_secs(1);
/// From the last lost socket to `offline`.
pub const PRESENCE_OFFLINE_AFTER: Duration = Duration::from_secs(5);
/// Users remembered after they left, so that leaving resets no rate; one more and none is.
pub const USERS_REMEMBERED_MAX: usize = 65_536;

// Who has blocked whom.

/// Users that one may block; one more is `quota_exceeded`.
pub const BLOCKS_PER_USER_MAX: usize = 200;
/// Blocks of everybody; one more is `quota_exceeded`.
pub const BLOCKS_MAX: usize = 100_000;
/// Blocks of guests among them, which end with their tokens; one more is `quota_exceeded`.
pub const BLOCKS_OF_GUESTS_MAX: usize = 10_000;
/// A blocked caller hears it ring after this at the earliest, as if a device had said so.
pub const BLOCKED_RING_MIN: Duration = Duration::from_millis(80);
/// And at the latest.
pub const BLOCKED_RING_MAX: Duration = Duration::from_millis(400);

// Calls.

/// Calls of one user that are not over; the next is `quota_exceeded`, or `callee_busy` for who calls
/// him.
pub const CALLS_PER_USER_MAX: usize = 8;
/// Devices one call rings on; further ones stay silent.
pub const RINGS_MAX: usize = 32;
/// Bytes of a session description; more is `too_large`.
pub const SDP_BYTES_MAX: usize = 48 * 1024;
/// Candidates in one signal; more is `too_large`.
pub const CANDIDATES_PER_SIGNAL_MAX: usize = 64;
/// Bytes of one candidate with its names; more is `too_large`.
pub const CANDIDATE_BYTES_MAX: usize = 1024;
/// Signals of the caller kept until somebody answers; more is `quota_exceeded`.
pub const SIGNALS_BUFFERED_MAX: usize = 64;
/// Bytes of the caller's own words; more is `too_large`.
pub const DISPLAY_BYTES_MAX: usize = 1024;
/// Bytes of an invite's metadata; more is `too_large`.
pub const METADATA_BYTES_MAX: usize = 4096;
/// Bytes of the other texts of an invite; more is `too_large`.
pub const INVITE_TEXT_BYTES_MAX: usize = 128;
/// Bytes of a user's words about a call; more is `too_large`.
pub const FEEDBACK_BYTES_MAX: usize = 1024;
/// Bytes of a codec's name; more is `too_large`.
pub const CODEC_BYTES_MAX: usize = 32;
/// Timeline rows of one call, the last one not counted; more are left out.
pub const TIMELINE_ROWS_MAX: u32 = 1000;
/// Calls remembered after their end, so that late requests hear `call_ended`; the oldest goes.
pub const ENDED_CALLS_MAX: usize = 4096;
/// Rows on their way to the record; one more is lost and counted.
pub const STORES_PENDING_MAX: usize = 65_536;
/// Calls named in one heartbeat row.
pub const HEARTBEAT_CALLS_MAX: usize = 500;
/// Calls taken from the record at the start; more are closed.
pub const RESTORED_CALLS_MAX: usize = 100_000;

// Timers of a call.

/// From the invite to the first device that says it rings; then `callee_offline`.
pub const ROUTE_TIMEOUT: Duration = Duration::from_secs(3);
/// The same while a device has lost its socket and may come back (P14 b).
pub const ROUTE_TIMEOUT_LOST: Duration = Duration::from_secs(10);
/// How long a call rings, unless the invite says otherwise.
pub const RING_DEFAULT: Duration = Duration::from_secs(60);
/// Shortest an invite may ask for; less is raised to it.
pub const RING_MIN: Duration = Duration::from_secs(10);
/// Longest an invite may ask for; more is cut to it.
pub const RING_MAX: Duration = Duration::from_secs(180);
/// How long an unanswered call outlives the caller's socket (P14 d).
pub const CALLER_GRACE: Duration = Duration::from_secs(10);
/// From the answer to media; then one ICE restart, then the end.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// One side reports media, the other nothing: active after this.
pub const CONNECTED_ALONE: Duration = Duration::from_secs(3);
/// How long media may be lost.
pub const RECONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The same after a restart of the server (P4).
pub const RESTORED_TIMEOUT: Duration = Duration::from_secs(45);
/// Longest call.
pub const CALL_MAX: Duration = Duration::from_secs(12 * 3600);
/// ICE restarts that are asked for before a call, or a connection that was lost, is given up.
pub const ICE_RESTARTS: u8 = 1;
/// A backend that does not answer within this has not answered.
pub const AUTHORIZE_TIMEOUT: Duration = Duration::from_secs(2);
/// Invites waiting for a backend; the next counts as not answered at once.
pub const AUTHORIZE_PENDING_MAX: usize = 1024;
/// Live calls are noted this often.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);
/// How long an unanswered invite counts.
pub const UNANSWERED_WINDOW: Duration = Duration::from_secs(600);

// Quality.

/// Samples that are looked at.
pub const QUALITY_SAMPLES: usize = 5;
/// Bad ones among them that make a warning; it is over at half of that.
pub const QUALITY_BAD_SAMPLES: usize = 3;
/// Round trip above which a sample is bad, milliseconds.
pub const QUALITY_RTT_MS: f32 = 400.0;
/// Jitter above which a sample is bad, milliseconds.
pub const QUALITY_JITTER_MS: f32 = 30.0;
/// Loss above which a sample is bad, percent.
pub const QUALITY_LOSS_PERCENT: f32 = 1.0;
/// Mean opinion score below which a sample is bad.
pub const QUALITY_MOS: f32 = 3.0;
/// One side speaks and the other's packets do not grow for this long: one-way audio.
pub const ONE_WAY_AFTER: Duration = Duration::from_secs(5);
/// How long a side counts as speaking after it said so.
pub const LEVEL_FRESH: Duration = Duration::from_secs(15);

const _: () = assert!(BLOCKED_RING_MIN.as_millis() < BLOCKED_RING_MAX.as_millis());
const _: () = assert!(BLOCKED_RING_MAX.as_millis() < ROUTE_TIMEOUT.as_millis());
const _: () = assert!(BLOCKS_OF_GUESTS_MAX < BLOCKS_MAX);
const _: () = assert!(OUTBOX_COALESCE_PERCENT < 100);
const _: () = assert!(IN_FLIGHT_MESSAGES_MAX < OUTBOX_MESSAGES_MAX);
const _: () = assert!(IN_FLIGHT_BYTES_MAX < OUTBOX_BYTES_MAX);
const _: () = assert!(SDP_BYTES_MAX < RESUME_BYTES_MAX);
const _: () = assert!(CALLER_GRACE.as_secs() < RESUME_IDLE.as_secs());
const _: () = assert!(QUALITY_BAD_SAMPLES <= QUALITY_SAMPLES);
