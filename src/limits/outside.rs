//! Bounds of what is asked outside, and of what `check-config` asks its own relay.

use std::time::Duration;

/// STUN servers that may be configured, and are asked at once from each relay address.
pub const STUN_SERVERS_MAX: usize = 4;
/// Pause before the first retransmission of a Binding request; it doubles (RFC 8489 §6.2.1).
pub const STUN_RTO: Duration = Duration::from_millis(500);
/// How often a Binding request is sent (Rc of RFC 8489 §6.2.1).
pub const STUN_SENDS: u32 = 7;
/// Waited for an answer after the last time, in first pauses (Rm of RFC 8489 §6.2.1); then the
/// server counts as silent.
pub const STUN_LAST_WAIT: u32 = 16;
/// Once one server has answered, the others have this long, from the beginning, to confirm it.
pub const STUN_GRACE: Duration = Duration::from_secs(2);
/// Pause between two rounds of asking while all goes well.
pub const OUTSIDE_INTERVAL: Duration = Duration::from_secs(600);
/// The same while an answer is missing.
pub const OUTSIDE_RETRY: Duration = Duration::from_secs(30);
/// Longest the start waits for what is asked outside; it goes on without, and keeps asking.
pub const OUTSIDE_START_PATIENCE: Duration = Duration::from_secs(3);
/// Longest wait for the system's resolver; then the name counts as not found.
pub const RESOLVE_PATIENCE: Duration = Duration::from_secs(5);
/// Questions to the resolver at once, each a thread while it lasts; the next fails at once.
pub const RESOLVERS_MAX: usize = 4;
/// Addresses taken from one answer of the resolver; the rest is not looked at.
pub const RESOLVED_MAX: usize = 64;
/// Public addresses of before that still lead to the allocations that were told them; the oldest
/// one above that is forgotten.
pub const FORMER_ADDRESSES_MAX: usize = 8;
/// NAT64 prefixes that are found and denied; more are not looked at.
pub const NAT64_PREFIXES_MAX: usize = 16;

// What `check-config` tries on itself.

/// Longest that one step of a trial may take; then it counts as not working.
pub const TRIAL_PATIENCE: Duration = Duration::from_secs(5);
/// Relay ports below which `check-config` says that they are few: a browser takes several.
pub const RELAY_PORTS_FEW: usize = 100;
