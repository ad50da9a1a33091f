//! The stateless nonce: a time and a MAC over it and the client's transport address.
//!
//! ```text
//! obMatJos2 gAAA base64( seconds since start: 3 bytes | HMAC-SHA256(key, ...)[..8] )
//!           |             the MAC is over seconds | transport | ip | port
//!           24 security features, the bit for password algorithms set
//! ```
//! 28 characters: with the default realm the 401 to the shortest Allocate has three times its bytes
//! even where IP and UDP headers are not counted. Nothing is kept per client: a flood of first requests costs no memory, and a
//! nonce that somebody overheard is useless from another address or port (RFC 8489 §9.2.4). The
//! first 13 characters are the "nonce cookie" (§9.2): a client whose challenge was stripped of what
//! it offers echoes them, or altered ones, and both come to light.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::constant_time::equal_constant_time;
use crate::limits::NONCE_LIFETIME;
use crate::time::Now;

/// What the nonce of a server of RFC 8489 begins with (§9.2).
const COOKIE_START: &[u8] = b"obMatJos2";
/// The nonce cookie of this server: bit 0 (password algorithms) set, bit 1 (username anonymity) and
/// the unassigned ones clear (§18.1).
const COOKIE: &str = "obMatJos2gAAA";
const AGE_BYTES: usize = 3;
const MAC_BYTES: usize = 8;
const INNER_BYTES: usize = AGE_BYTES + MAC_BYTES;
/// Characters of a nonce.
pub const NONCE_BYTES: usize = COOKIE.len() + (INNER_BYTES * 8).div_ceil(6);

/// Whether a presented nonce says that its challenge offered password algorithms: it begins with a
/// nonce cookie, anybody's, in which bit 0 is set (§9.2.4).
#[must_use]
pub fn says_password_algorithms(nonce: &[u8]) -> bool {
    let features = nonce.strip_prefix(COOKIE_START).and_then(|rest| rest.first_chunk::<4>());
    let mut bits = [0; 3];
    features.is_some_and(|features| STANDARD.decode_slice(features, &mut bits) == Ok(3))
        && bits[0] & 0x80 != 0
}

/// Makes and checks nonces; one key for all shards, made new at each start.
#[derive(Clone)]
pub struct NonceKey {
    keyed: Hmac<Sha256>,
    started: Instant,
}

/// What a presented nonce is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceVerdict {
    /// Ours, for this client, young enough.
    Fresh,
    /// Ours, for this client, but older than its lifetime.
    Stale,
    /// Never made by this process for this client: altered, invented, or from before a restart.
    Foreign,
}

impl NonceKey {
    /// `started` is the instant ages are counted from; `key` must be random.
    #[must_use]
    pub fn new(key: [u8; 32], started: Now) -> Self {
        let keyed = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
        Self { keyed, started: started.mono }
    }

    /// A nonce for `client`, good for [`NONCE_LIFETIME`] from `now`.
    ///
    /// `transport` keeps the nonces of UDP, TCP and TLS clients apart (IANA protocol number).
    #[must_use]
    pub fn issue(&self, now: Now, transport: u8, client: SocketAddr) -> String {
        let age = self.age(now);
        let mut bytes = [0; INNER_BYTES];
        bytes[..AGE_BYTES].copy_from_slice(&age);
        bytes[AGE_BYTES..].copy_from_slice(&self.mac(age, transport, client));
        let mut nonce = String::with_capacity(NONCE_BYTES);
        nonce.push_str(COOKIE);
        STANDARD_NO_PAD.encode_string(bytes, &mut nonce);
        nonce
    }

    /// Judges a nonce that `client` presents.
    #[must_use]
    pub fn check(&self, now: Now, transport: u8, client: SocketAddr, nonce: &[u8]) -> NonceVerdict {
        let Some(bytes) = inner(nonce) else { return NonceVerdict::Foreign };
        let (age, mac) = bytes.split_at(AGE_BYTES);
        let age: [u8; AGE_BYTES] = age.try_into().expect("split there");
        if !equal_constant_time(&self.mac(age, transport, client), mac) {
            return NonceVerdict::Foreign;
        }
        // The clock of 3 bytes comes round after 194 days: a nonce of exactly then, for this very
        // address and port, would count once more.
        let made_at = seconds(age);
        let age_s = seconds(self.age(now)).wrapping_sub(made_at) & AGE_MASK;
        if u64::from(age_s) < NONCE_LIFETIME.as_secs() {
            NonceVerdict::Fresh
        } else {
            NonceVerdict::Stale
        }
    }

    fn age(&self, now: Now) -> [u8; AGE_BYTES] {
        let age_s = now.mono.saturating_duration_since(self.started).as_secs() as u32;
        let [_, age @ ..] = age_s.to_be_bytes();
        age
    }

    fn mac(&self, age: [u8; AGE_BYTES], transport: u8, client: SocketAddr) -> [u8; MAC_BYTES] {
        let mut mac = self.keyed.clone();
        mac.update(&age);
        mac.update(&[transport]);
        match client.ip() {
            IpAddr::V4(ip) => mac.update(&ip.octets()),
            IpAddr::V6(ip) => mac.update(&ip.octets()),
        }
        mac.update(&client.port().to_be_bytes());
        let full = mac.finalize().into_bytes();
        let mut short = [0; MAC_BYTES];
        short.copy_from_slice(&full[..MAC_BYTES]);
        short
    }
}

impl std::fmt::Debug for NonceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

fn seconds([a, b, c]: [u8; AGE_BYTES]) -> u32 {
    u32::from_be_bytes([0, a, b, c])
}

const AGE_MASK: u32 = (1 << (8 * AGE_BYTES)) - 1;

/// What is behind the cookie, if the cookie is ours to the last bit.
fn inner(nonce: &[u8]) -> Option<[u8; INNER_BYTES]> {
    let text = nonce.strip_prefix(COOKIE.as_bytes())?;
    // Room for the most that the decoder may estimate; it refuses padding, foreign characters and
    // stray bits at the end, so a nonce has one spelling.
    let mut bytes = [0; INNER_BYTES + 3];
    let is_whole = nonce.len() == NONCE_BYTES
        && STANDARD_NO_PAD.decode_slice(text, &mut bytes) == Ok(INNER_BYTES);
    is_whole.then(|| *bytes.first_chunk().expect("it is longer"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const UDP: u8 = 17;

    fn client() -> SocketAddr {
        "192.0.2.1:5000".parse().unwrap()
    }

    #[test]
    fn a_nonce_is_good_for_its_whole_life_and_stale_from_then_on() {
        let start = Now::read();
        let key = NonceKey::new([7; 32], start);
        let nonce = key.issue(start.after(Duration::from_millis(5_000)), UDP, client());
        assert_eq!(nonce.len(), NONCE_BYTES);
        let check =
            |s| key.check(start.after(Duration::from_secs(s)), UDP, client(), nonce.as_bytes());
        assert_eq!(check(5), NonceVerdict::Fresh);
        assert_eq!(check(5 + 3599), NonceVerdict::Fresh);
        assert_eq!(check(5 + 3600), NonceVerdict::Stale);
    }

    #[test]
    fn a_nonce_is_foreign_from_another_address_port_transport_or_key() {
        let now = Now::read();
        let key = NonceKey::new([7; 32], now);
        let nonce = key.issue(now, UDP, client());
        let check =
            |k: &NonceKey, t, c: &str| k.check(now, t, c.parse().unwrap(), nonce.as_bytes());
        assert_eq!(check(&key, UDP, "192.0.2.1:5000"), NonceVerdict::Fresh);
        assert_eq!(check(&key, UDP, "192.0.2.1:5001"), NonceVerdict::Foreign);
        assert_eq!(check(&key, UDP, "192.0.2.2:5000"), NonceVerdict::Foreign);
        assert_eq!(check(&key, 6, "192.0.2.1:5000"), NonceVerdict::Foreign);
        assert_eq!(
            check(&NonceKey::new([8; 32], now), UDP, "192.0.2.1:5000"),
            NonceVerdict::Foreign
        );
    }

    #[test]
    fn every_altered_character_makes_a_nonce_foreign() {
        let now = Now::read();
        let key = NonceKey::new([7; 32], now);
        let nonce = key.issue(now, UDP, client()).into_bytes();
        let check = |nonce: &[u8]| key.check(now, UDP, client(), nonce);
        for at in 0..nonce.len() {
            for other in (0..=0xFF).filter(|other| *other != nonce[at]) {
                let mut altered = nonce.clone();
                altered[at] = other;
                assert_eq!(check(&altered), NonceVerdict::Foreign, "{other:#04x} at {at}");
            }
        }
        let longer = [&nonce[..], b"A"].concat();
        let padded = [&nonce[..], b"="].concat();
        let bare = &nonce[COOKIE.len()..];
        let bad: [&[u8]; 7] = [b"", &[b'a'; 24], &nonce[1..], bare, &longer, &padded, &[0xFF; 32]];
        for bad in bad {
            assert_eq!(check(bad), NonceVerdict::Foreign, "{bad:?}");
        }
        assert_eq!(check(&nonce), NonceVerdict::Fresh);
    }

    #[test] // RFC 8489 §9.2, §18.1: 24 bits, the first for password algorithms, the second for names
    fn the_cookie_says_password_algorithms_and_nothing_else() {
        let features = STANDARD.decode(&COOKIE[COOKIE_START.len()..]).unwrap();
        assert_eq!(features, [0x80, 0, 0]);
        let key = NonceKey::new([7; 32], Now::read());
        assert!(says_password_algorithms(key.issue(Now::read(), UDP, client()).as_bytes()));
        for (nonce, says) in [
            (&b"obMatJos2gAAA"[..], true),
            (b"obMatJos2wAAAx", true),
            (b"obMatJos2////", true),
            (b"obMatJos2AAAA", false),
            (b"obMatJos2QAAA", false),
            // The one in the example of RFC 8489 §B.1.
            (b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA", false),
            (b"obMatJos2gAA", false),
            (b"obMatJos2gA==", false),
            (b"obMatJos2g AA", false),
            (b"obMatJos1gAAA", false),
            (b"", false),
        ] {
            let text = String::from_utf8_lossy(nonce);
            assert_eq!(says_password_algorithms(nonce), says, "{text}");
        }
    }
}
