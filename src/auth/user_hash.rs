//! USERHASH: a username that nobody on the path can read, and the names that are known by it.
//!
//! A hash cannot be turned round, so only names that this process knows beforehand are recognised:
//! static accounts (see `credential`) and what it issued itself. A name made by another backend from
//! the shared secret is not; that is why the nonce's anonymity bit stays off.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::credential::Issued;
use crate::limits::ISSUED_NAMES_MAX;

/// SHA-256(username ":" realm), the value of USERHASH (RFC 8489 §14.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserHash([u8; 32]);

impl UserHash {
    /// Hashes a name. Bytes are taken as they are, as by `LongTermKey::derive`.
    #[must_use]
    pub fn of(username: &[u8], realm: &[u8]) -> Self {
        let parts = [username, b":", realm];
        let hash = parts.into_iter().fold(Sha256::new(), |hash, part| hash.chain_update(part));
        Self(hash.finalize().into())
    }

    /// Reads a USERHASH; `None` if it has not 32 bytes.
    #[must_use]
    pub fn from_value(value: &[u8]) -> Option<Self> {
        value.try_into().ok().map(Self)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The usernames this process issued, by their hash: whoever issues notes, the relay looks up.
///
/// At most [`ISSUED_NAMES_MAX`]: beyond, the one that expires first is forgotten, and its owner is
/// recognised by USERNAME only. The lock is taken at issue and for a request with USERHASH, never
/// for a packet.
#[derive(Debug)]
pub struct IssuedNames {
    realm: Box<str>,
    names: Mutex<Names>,
}

#[derive(Debug, Default)]
struct Names {
    name_by_hash: HashMap<UserHash, Box<str>>,
    /// With the Unix second of the expiry in front: the first goes first.
    by_expiry: BTreeSet<(i64, UserHash)>,
}

impl IssuedNames {
    /// None yet. `realm` is what clients hash with the name.
    #[must_use]
    pub fn new(realm: &str) -> Self {
        Self { realm: realm.into(), names: Mutex::default() }
    }

    /// Remembers the name of a credential that is handed out.
    pub fn note(&self, issued: &Issued) {
        let hash = UserHash::of(issued.username.as_bytes(), self.realm.as_bytes());
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.name_by_hash.insert(hash, issued.username.as_str().into());
        // The expiry is part of the name, so the same name is the same entry.
        names.by_expiry.insert((issued.expires_at, hash));
        if names.by_expiry.len() > ISSUED_NAMES_MAX
            && let Some((_, forgotten)) = names.by_expiry.pop_first()
        {
            names.name_by_hash.remove(&forgotten);
        }
    }

    /// The name that hashes to this, if it was issued here and is not forgotten.
    #[must_use]
    pub fn name(&self, hash: &UserHash) -> Option<Box<str>> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.name_by_hash.get(hash).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::credential::{User, issue};
    use super::super::secret::{Secret, hex};
    use super::*;

    const REALM: &str = "turnbell";

    fn issued(user: &str, expires_at: i64) -> Issued {
        issue(&Secret::new("north".to_owned()), &User::parse(user).unwrap(), expires_at)
    }

    fn hash(issued: &Issued) -> UserHash {
        UserHash::of(issued.username.as_bytes(), REALM.as_bytes())
    }

    #[test] // RFC 8489 §B.1
    fn the_userhash_of_the_rfc_comes_out() {
        let hash = UserHash::of("マトリックス".as_bytes(), b"example.org");
        let expected = "4a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704";
        assert_eq!(hex(hash.as_bytes()), expected);
        assert_eq!(UserHash::from_value(hash.as_bytes()), Some(hash));
        assert_eq!(UserHash::from_value(&[0; 31]), None);
        assert_eq!(UserHash::from_value(&[0; 33]), None);
    }

    #[test]
    fn a_name_is_found_by_its_hash_in_its_realm_and_no_other() {
        let names = IssuedNames::new(REALM);
        let bob = issued("bob", 1_800_000_000);
        assert_eq!(names.name(&hash(&bob)), None);
        names.note(&bob);
        names.note(&bob);
        assert_eq!(names.name(&hash(&bob)).as_deref(), Some("1800000000:bob"));
        let elsewhere = UserHash::of(bob.username.as_bytes(), b"elsewhere");
        assert_eq!(names.name(&elsewhere), None);
        assert_eq!(names.name(&hash(&issued("bob", 1_800_000_001))), None);
    }

    #[test]
    fn the_most_that_is_kept_is_kept_and_then_the_first_to_expire_is_forgotten() {
        let names = IssuedNames::new(REALM);
        let soon = issued("soon", 1_000_000_000);
        let later = issued("later", 1_000_000_001);
        names.note(&later);
        names.note(&soon);
        for n in 2..ISSUED_NAMES_MAX {
            names.note(&issued("crowd", 2_000_000_000 + n as i64));
        }
        assert!(names.name(&hash(&soon)).is_some() && names.name(&hash(&later)).is_some());
        names.note(&issued("one-more", 1_900_000_000));
        assert_eq!(names.name(&hash(&soon)), None);
        assert!(names.name(&hash(&later)).is_some());
        let kept = names.names.lock().unwrap();
        assert_eq!(kept.name_by_hash.len(), ISSUED_NAMES_MAX);
        assert_eq!(kept.by_expiry.len(), ISSUED_NAMES_MAX);
    }
}
