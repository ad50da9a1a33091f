//! A small STUN client: builds requests and indications, right ones and wrong ones.

use std::net::SocketAddr;

use turnbell::auth::key::{LongTermKey, PasswordAlgorithm};
use turnbell::auth::user_hash::UserHash;
use turnbell::wire::address::{Family, XorAddress};
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::integrity;
use turnbell::wire::message::{Class, MAGIC_COOKIE, Method, TransactionId, message_type};

use super::setup::REALM;

/// Username, realm and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) username: Vec<u8>,
    pub(crate) realm: Vec<u8>,
    pub(crate) password: Vec<u8>,
}

impl Credential {
    pub(crate) fn new(username: impl Into<Vec<u8>>, password: impl AsRef<[u8]>) -> Self {
        Self {
            username: username.into(),
            realm: REALM.into(),
            password: password.as_ref().to_vec(),
        }
    }

    pub(crate) fn in_realm(mut self, realm: &str) -> Self {
        self.realm = realm.into();
        self
    }

    pub(crate) fn key(&self, algorithm: PasswordAlgorithm) -> LongTermKey {
        LongTermKey::derive(algorithm, &self.username, &self.realm, &self.password)
    }
}

/// A message under construction; what is not set is filled in when it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) kind: u16,
    pub(crate) id: Option<TransactionId>,
    pub(crate) credential: Option<Credential>,
    pub(crate) nonce: Option<Vec<u8>>,
    attributes: Vec<Attribute>,
    after_integrity: Vec<Attribute>,
    left_out: Vec<AttributeType>,
    integrity: Integrity,
    key_algorithm: PasswordAlgorithm,
    is_integrity_garbled: bool,
    has_fingerprint: bool,
}

/// Which message integrity a signed request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Integrity {
    /// MESSAGE-INTEGRITY.
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256, cut to so many bytes.
    Sha256(usize),
    /// MESSAGE-INTEGRITY, then a whole MESSAGE-INTEGRITY-SHA256.
    Both,
}

#[derive(Debug, Clone)]
enum Attribute {
    Raw(AttributeType, Vec<u8>),
    Xor(AttributeType, SocketAddr),
}

impl Request {
    /// A message of any type, without attributes and unsigned.
    pub(crate) fn new(class: Class, method: Method) -> Self {
        Self::of_type(message_type(class, method))
    }

    /// A message of a type given as a number.
    pub(crate) fn of_type(kind: u16) -> Self {
        Self {
            kind,
            id: None,
            credential: None,
            nonce: None,
            attributes: Vec::new(),
            after_integrity: Vec::new(),
            left_out: Vec::new(),
            integrity: Integrity::Sha1,
            key_algorithm: PasswordAlgorithm::Md5,
            is_integrity_garbled: false,
            has_fingerprint: false,
        }
    }

    pub(crate) fn id(mut self, id: u8) -> Self {
        self.id = Some(TransactionId([id; 12]));
        self
    }

    pub(crate) fn signed_by(mut self, credential: Credential) -> Self {
        self.credential = Some(credential);
        self
    }

    pub(crate) fn unsigned(mut self) -> Self {
        self.credential = None;
        self
    }

    pub(crate) fn nonce(mut self, nonce: impl Into<Vec<u8>>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }

    /// Chooses a password algorithm as a client does that was offered ours.
    pub(crate) fn by(self, algorithm: PasswordAlgorithm) -> Self {
        self.raw(AttributeType::PASSWORD_ALGORITHMS, &PasswordAlgorithm::offer())
            .raw(AttributeType::PASSWORD_ALGORITHM, &algorithm.to_value())
            .with_key_by(algorithm)
    }

    /// Derives the key like this, and says nothing of it.
    pub(crate) fn with_key_by(mut self, algorithm: PasswordAlgorithm) -> Self {
        self.key_algorithm = algorithm;
        self
    }

    /// Signs with MESSAGE-INTEGRITY-SHA256 instead.
    pub(crate) fn sha256(self) -> Self {
        self.sha256_cut_to(32)
    }

    /// The same, cut.
    pub(crate) fn sha256_cut_to(mut self, bytes: usize) -> Self {
        self.integrity = Integrity::Sha256(bytes);
        self
    }

    /// Signs with MESSAGE-INTEGRITY and then with MESSAGE-INTEGRITY-SHA256. Garbled, the first one
    /// is.
    pub(crate) fn both_integrities(mut self) -> Self {
        self.integrity = Integrity::Both;
        self
    }

    /// What RFC 8489 wants of a client that was offered our algorithms.
    pub(crate) fn by_sha256(self) -> Self {
        self.by(PasswordAlgorithm::Sha256).sha256()
    }

    /// Sends USERHASH in place of USERNAME.
    pub(crate) fn hashed(self) -> Self {
        let credential = self.credential.as_ref().expect("a name to hash");
        let hash = UserHash::of(&credential.username, &credential.realm);
        self.without(AttributeType::USERNAME).raw(AttributeType::USERHASH, hash.as_bytes())
    }

    /// Leaves USERNAME, REALM or NONCE out, though the integrity stays.
    pub(crate) fn without(mut self, kind: AttributeType) -> Self {
        self.left_out.push(kind);
        self
    }

    /// Flips a bit of the integrity.
    pub(crate) fn with_garbled_integrity(mut self) -> Self {
        self.is_integrity_garbled = true;
        self
    }

    pub(crate) fn fingerprint(mut self) -> Self {
        self.has_fingerprint = true;
        self
    }

    pub(crate) fn raw(mut self, kind: AttributeType, value: &[u8]) -> Self {
        self.attributes.push(Attribute::Raw(kind, value.to_vec()));
        self
    }

    pub(crate) fn peer(mut self, peer: SocketAddr) -> Self {
        self.attributes.push(Attribute::Xor(AttributeType::XOR_PEER_ADDRESS, peer));
        self
    }

    pub(crate) fn lifetime(self, lifetime_s: u32) -> Self {
        self.raw(AttributeType::LIFETIME, &lifetime_s.to_be_bytes())
    }

    pub(crate) fn family(self, family: Family) -> Self {
        self.raw(AttributeType::REQUESTED_ADDRESS_FAMILY, &[family.to_byte(), 0, 0, 0])
    }

    /// Appends an attribute behind MESSAGE-INTEGRITY, as somebody on the path could.
    pub(crate) fn raw_after_integrity(mut self, kind: AttributeType, value: &[u8]) -> Self {
        self.after_integrity.push(Attribute::Raw(kind, value.to_vec()));
        self
    }

    /// The same for a peer.
    pub(crate) fn peer_after_integrity(mut self, peer: SocketAddr) -> Self {
        self.after_integrity.push(Attribute::Xor(AttributeType::XOR_PEER_ADDRESS, peer));
        self
    }

    /// Whether it carries everything that a signed answer needs.
    pub(crate) fn is_authenticated(&self) -> bool {
        let has_name = !self.left_out.contains(&AttributeType::USERNAME)
            || self.raw_value(AttributeType::USERHASH).is_some();
        let has_rest = self.left_out.iter().all(|kind| *kind == AttributeType::USERNAME);
        let is_sound = !self.is_integrity_garbled || self.integrity == Integrity::Both;
        let list = self.raw_value(AttributeType::PASSWORD_ALGORITHMS);
        let chosen = self.raw_value(AttributeType::PASSWORD_ALGORITHM);
        let is_chosen_well = match (list, chosen) {
            (None, None) => true,
            (Some(list), Some(chosen)) => {
                list == PasswordAlgorithm::offer()
                    && PasswordAlgorithm::from_value(chosen).is_some()
            }
            (Some(_), None) | (None, Some(_)) => false,
        };
        self.credential.is_some() && has_name && has_rest && is_sound && is_chosen_well
    }

    /// The key of both sides, if it is signed at all.
    pub(crate) fn key(&self) -> Option<LongTermKey> {
        self.credential.as_ref().map(|credential| credential.key(self.key_algorithm))
    }

    /// Whether it names a password algorithm.
    pub(crate) fn names_algorithm(&self) -> bool {
        self.raw_value(AttributeType::PASSWORD_ALGORITHM).is_some()
    }

    /// Whether it carries MESSAGE-INTEGRITY-SHA256.
    pub(crate) fn is_signed_by_sha256(&self) -> bool {
        self.integrity != Integrity::Sha1
    }

    /// The first value of a kind that was given as bytes.
    fn raw_value(&self, wanted: AttributeType) -> Option<&[u8]> {
        self.attributes.iter().find_map(|attribute| match attribute {
            Attribute::Raw(kind, value) => (*kind == wanted).then_some(&value[..]),
            Attribute::Xor(..) => None,
        })
    }

    pub(crate) fn has_fingerprint(&self) -> bool {
        self.has_fingerprint
    }

    /// The bytes on the wire.
    pub(crate) fn encode(&self, id: TransactionId, nonce: &[u8]) -> Vec<u8> {
        let mut bytes = self.kind.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
        bytes.extend_from_slice(&id.0);
        for attribute in &self.attributes {
            attribute.append(&mut bytes, &id);
        }
        if let Some(credential) = &self.credential {
            for (kind, value) in [
                (AttributeType::USERNAME, &credential.username[..]),
                (AttributeType::REALM, &credential.realm),
                (AttributeType::NONCE, self.nonce.as_deref().unwrap_or(nonce)),
            ] {
                if !self.left_out.contains(&kind) {
                    append(&mut bytes, kind, value);
                }
            }
            self.sign(&mut bytes, credential.key(self.key_algorithm).as_bytes());
        }
        for attribute in &self.after_integrity {
            attribute.append(&mut bytes, &id);
        }
        if self.has_fingerprint {
            let value = integrity::fingerprint(&bytes, bytes.len()).to_be_bytes();
            append(&mut bytes, AttributeType::FINGERPRINT, &value);
        }
        let length = (bytes.len() - 20) as u16;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes
    }
}

impl Request {
    fn sign(&self, bytes: &mut Vec<u8>, key: &[u8]) {
        let garble = u8::from(self.is_integrity_garbled);
        if matches!(self.integrity, Integrity::Sha1 | Integrity::Both) {
            let mut value = integrity::message_integrity(key, bytes, bytes.len());
            value[0] ^= garble;
            append(bytes, AttributeType::MESSAGE_INTEGRITY, &value);
        }
        let cut_to = match self.integrity {
            Integrity::Sha1 => return,
            Integrity::Sha256(cut_to) => cut_to,
            Integrity::Both => 32,
        };
        let right = integrity::message_integrity_sha256(key, bytes, bytes.len(), cut_to);
        // More than there is gets zeros.
        let mut value: Vec<u8> = right.iter().copied().chain([0; 32]).take(cut_to).collect();
        if self.integrity != Integrity::Both
            && let Some(first) = value.first_mut()
        {
            *first ^= garble;
        }
        append(bytes, AttributeType::MESSAGE_INTEGRITY_SHA256, &value);
    }
}

impl Attribute {
    fn append(&self, bytes: &mut Vec<u8>, id: &TransactionId) {
        match self {
            Self::Raw(kind, value) => append(bytes, *kind, value),
            Self::Xor(kind, address) => {
                append(bytes, *kind, XorAddress::encode(*address, id).as_bytes());
            }
        }
    }
}

fn append(bytes: &mut Vec<u8>, kind: AttributeType, value: &[u8]) {
    bytes.extend_from_slice(&kind.0.to_be_bytes());
    bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}
