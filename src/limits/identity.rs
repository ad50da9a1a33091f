//! Bounds of issuers, tenants, tokens made by hand, and invites.

use std::time::Duration;

/// Issuers of tokens in the config.
pub const ISSUERS_MAX: usize = 32;
/// Audiences of one issuer.
pub const AUDIENCES_MAX: usize = 16;
/// Tenants in the config.
pub const TENANTS_MAX: usize = 1000;
/// Pairs in a tenant's `allow`.
pub const ALLOW_RULES_MAX: usize = 64;
/// Longest file of a JWK set, bytes; a longer one is refused.
pub const JWKS_BYTES_MAX: u64 = 256 * 1024;
/// Shortest secret that verifies HS256 (RFC 7518 §3.2), bytes.
pub const TOKEN_SECRET_BYTES_MIN: usize = 32;
/// How long a token by `turnbell token` is good if nobody says.
pub const TOKEN_TTL_DEFAULT: Duration = Duration::from_secs(12 * 3600);
/// Longest that can be asked for.
pub const TOKEN_TTL_MAX: Duration = Duration::from_secs(365 * 86_400);
/// Invites that have not expired; one more is refused.
pub const INVITES_MAX: usize = 10_000;
/// How long an invite is good if nobody says.
pub const INVITE_TTL_DEFAULT: Duration = Duration::from_secs(24 * 3600);
/// Shortest life of an invite, and of a token made by hand.
pub const INVITE_TTL_MIN: Duration = Duration::from_secs(60);
/// Longest that can be asked for.
pub const INVITE_TTL_MAX: Duration = Duration::from_secs(30 * 86_400);
/// How often an invite may be used if nobody says: two people who get one link, or one with two
/// devices.
pub const INVITE_USES_DEFAULT: u32 = 2;
/// Most uses that can be asked for.
pub const INVITE_USES_MAX: u32 = 10_000;
/// The same for who does not govern his tenant.
pub const INVITE_USES_OF_MEMBERS_MAX: u32 = 10;
/// Longest life of an invite that he can ask for.
pub const INVITE_TTL_OF_MEMBERS_MAX: Duration = Duration::from_secs(7 * 86_400);
/// How long the daemon waits at its end for clients to hear that it goes.
pub const GOODBYE_PATIENCE: Duration = Duration::from_secs(3);
/// Clients that are sent away come back at a time within this one, each at another.
pub const DRAIN_SPREAD: Duration = Duration::from_secs(10);
/// Origins of one API key.
pub const KEY_ORIGINS_MAX: usize = 16;
/// Longest of them, bytes.
pub const KEY_ORIGIN_BYTES_MAX: usize = 300;
