//! The stateless nonce: a time and a MAC over it and the client's transport address.
//!
//! ```text
//! hex( seconds since start: 4 bytes | HMAC-SHA256(key, seconds | transport | ip | port)[..10] )
//! ```
//! 28 characters. Nothing is kept per client: a flood of first requests costs no memory, and a
//! nonce that somebody overheard is useless from another address or port (RFC 8489 §9.2.4).

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::secret::hex;
use crate::constant_time::equal_constant_time;
use crate::limits::NONCE_LIFETIME;
use crate::time::Now;

/// Characters of a nonce.
pub const NONCE_BYTES: usize = 2 * (4 + MAC_BYTES);
const MAC_BYTES: usize = 10;

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
        let age = self.seconds(now).to_be_bytes();
        let mut bytes = [0; 4 + MAC_BYTES];
        bytes[..4].copy_from_slice(&age);
        bytes[4..].copy_from_slice(&self.mac(age, transport, client));
        hex(&bytes)
    }

    /// Judges a nonce that `client` presents.
    #[must_use]
    pub fn check(&self, now: Now, transport: u8, client: SocketAddr, nonce: &[u8]) -> NonceVerdict {
        let Some(bytes) = unhex(nonce) else { return NonceVerdict::Foreign };
        let (age, mac) = bytes.split_at(4);
        let age: [u8; 4] = age.try_into().expect("split at 4");
        if !equal_constant_time(&self.mac(age, transport, client), mac) {
            return NonceVerdict::Foreign;
        }
        let age_s = u64::from(self.seconds(now).wrapping_sub(u32::from_be_bytes(age)));
        if age_s < NONCE_LIFETIME.as_secs() { NonceVerdict::Fresh } else { NonceVerdict::Stale }
    }

    fn seconds(&self, now: Now) -> u32 {
        // Wraps after 136 years of uptime; ages are differences, so even that is harmless.
        now.mono.saturating_duration_since(self.started).as_secs() as u32
    }

    fn mac(&self, age: [u8; 4], transport: u8, client: SocketAddr) -> [u8; MAC_BYTES] {
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

fn unhex(text: &[u8]) -> Option<[u8; 4 + MAC_BYTES]> {
    let mut bytes = [0; 4 + MAC_BYTES];
    if text.len() != NONCE_BYTES {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

// Lowercase only: one nonce has one spelling.
fn digit(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    }
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
        for at in 0..nonce.len() {
            let mut altered = nonce.clone();
            altered[at] = if altered[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(key.check(now, UDP, client(), &altered), NonceVerdict::Foreign, "at {at}");
        }
        for bad in [&b""[..], b"aaaaaaaaaaaaaaaaaaaaaaaa", &nonce[1..], &[0xFF; NONCE_BYTES]] {
            assert_eq!(key.check(now, UDP, client(), bad), NonceVerdict::Foreign);
        }
        let upper = String::from_utf8(nonce).unwrap().to_uppercase();
        assert!(upper.bytes().any(|c| c.is_ascii_uppercase()), "a nonce without letters: unlucky");
        assert_eq!(key.check(now, UDP, client(), upper.as_bytes()), NonceVerdict::Foreign);
    }
}
