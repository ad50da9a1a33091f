//! Requests as honest clients sign them, and as somebody on the path leaves them.

use std::sync::OnceLock;

use turnbell::auth::key::{LongTermKey, PasswordAlgorithm};
use turnbell::auth::user_hash::UserHash;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::integrity;
use turnbell::wire::message::{Class, Method, message_type};

use super::place::{self, REALM, START_S};
use super::reader::Reader;

/// A message as it left a client, and what must hold of its answer.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) bytes: Vec<u8>,
    /// What a success is signed with.
    pub(crate) key: LongTermKey,
    /// Wrong password, or altered under the integrity.
    pub(crate) must_fail: bool,
    /// Which account it is of, whose that is, and when it expires, Unix seconds.
    pub(crate) account: usize,
    pub(crate) user: &'static str,
    pub(crate) expires_at: Option<i64>,
}

/// How a request is signed: one byte of choices, and what follows from them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    account: usize,
    algorithm: Option<PasswordAlgorithm>,
    integrity: Integrity,
    is_hashed: bool,
    has_fingerprint: bool,
    has_wrong_password: bool,
    /// Where a byte is changed before signing, and by what.
    mutation_before: Option<(usize, u8)>,
    /// The same afterwards.
    mutation_after: Option<(usize, u8)>,
    has_extras: bool,
}

#[derive(Debug, Clone, Copy)]
enum Integrity {
    Sha1,
    Sha256,
    Both,
}

impl Form {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let choices = reader.u8();
        let (md5, sha256) = (Some(PasswordAlgorithm::Md5), Some(PasswordAlgorithm::Sha256));
        let (algorithm, integrity, is_hashed, has_fingerprint) = match choices & 7 {
            0 => (None, Integrity::Sha1, false, false),
            1 => (None, Integrity::Sha1, false, true),
            2 => (None, Integrity::Sha256, false, false),
            3 => (md5, Integrity::Sha1, false, false),
            4 => (sha256, Integrity::Sha256, false, true),
            5 => (None, Integrity::Both, false, true),
            6 => (sha256, Integrity::Sha256, true, false),
            _ => (sha256, Integrity::Sha1, false, false),
        };
        let mutation = (choices & 0x40 != 0).then(|| (reader.u8(), reader.u16(), reader.u8()));
        let mutation_at = |after| {
            let mutation = mutation.filter(|(when, _, by)| (when & 1 == after) && *by != 0);
            mutation.map(|(_, at, by)| (usize::from(at), by))
        };
        Self {
            account: usize::from(choices >> 3 & 3),
            algorithm,
            integrity,
            is_hashed,
            has_fingerprint,
            has_wrong_password: choices & 0x20 != 0,
            mutation_before: mutation_at(0),
            mutation_after: mutation_at(1),
            has_extras: choices & 0x80 != 0,
        }
    }

    /// Attributes that do not belong there.
    pub(crate) fn extras(self, reader: &mut Reader<'_>, message: &mut Vec<u8>) {
        if self.has_extras {
            let kinds = [
                AttributeType::EVEN_PORT,
                AttributeType::DONT_FRAGMENT,
                AttributeType::RESERVATION_TOKEN,
                AttributeType::SOFTWARE,
                AttributeType::LIFETIME,
                AttributeType::XOR_PEER_ADDRESS,
                AttributeType::CHANNEL_NUMBER,
                AttributeType::REQUESTED_TRANSPORT,
                AttributeType::REQUESTED_ADDRESS_FAMILY,
                AttributeType::USERNAME,
                AttributeType::FINGERPRINT,
                AttributeType(0x7F00),
            ];
            let kind = reader.pick(&kinds);
            let count = usize::from(reader.u8() % 40);
            append(message, kind, reader.take(count));
        }
    }

    /// Appends who asks, and signs.
    pub(crate) fn sign(self, mut message: Vec<u8>, nonce: &[u8]) -> Sent {
        let account = &accounts()[self.account];
        if let Some(algorithm) = self.algorithm {
            append(&mut message, AttributeType::PASSWORD_ALGORITHMS, &PasswordAlgorithm::offer());
            append(&mut message, AttributeType::PASSWORD_ALGORITHM, &algorithm.to_value());
        }
        let name = account.username.as_bytes();
        if self.is_hashed {
            let hash = UserHash::of(name, REALM.as_bytes());
            append(&mut message, AttributeType::USERHASH, hash.as_bytes());
        } else {
            append(&mut message, AttributeType::USERNAME, name);
        }
        append(&mut message, AttributeType::REALM, REALM.as_bytes());
        append(&mut message, AttributeType::NONCE, nonce);
        if let Some((at, by)) = self.mutation_before {
            let at = at % message.len();
            message[at] ^= by;
        }
        let key = account.key(self.algorithm, self.has_wrong_password);
        let protected_bytes = self.append_integrity(&mut message, key.as_bytes());
        if self.has_fingerprint {
            let value = integrity::fingerprint(&message, message.len());
            append(&mut message, AttributeType::FINGERPRINT, &value.to_be_bytes());
        }
        set_length(&mut message);
        let mut must_fail = self.has_wrong_password || nonce.is_empty();
        if let Some((at, by)) = self.mutation_after {
            let at = at % message.len();
            message[at] ^= by;
            must_fail |= at < protected_bytes;
        }
        account.sent(self.account, message, key, must_fail)
    }

    /// Returns how many bytes the first integrity covers, itself included: with both kinds the
    /// second one may be made unknown, and then the first one decides.
    fn append_integrity(self, message: &mut Vec<u8>, key: &[u8]) -> usize {
        if let Integrity::Sha1 | Integrity::Both = self.integrity {
            let value = integrity::message_integrity(key, message, message.len());
            append(message, AttributeType::MESSAGE_INTEGRITY, &value);
        }
        let covered = message.len();
        if let Integrity::Sha1 = self.integrity {
            return covered;
        }
        let value = integrity::message_integrity_sha256(key, message, message.len(), 32);
        append(message, AttributeType::MESSAGE_INTEGRITY_SHA256, &value);
        if let Integrity::Both = self.integrity { covered } else { message.len() }
    }
}

/// The first bytes of a request; [`Form::sign`] appends and ends.
pub(crate) fn begin(kind: u16, id: u64) -> Vec<u8> {
    let mut bytes = kind.to_be_bytes().to_vec();
    bytes.extend_from_slice(&[0, 0, 0x21, 0x12, 0xA4, 0x42, 0, 0, 0, 0]);
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes
}

/// An Allocate without credentials, which every client begins with.
pub(crate) fn challenge(id: u64) -> Sent {
    let kind = message_type(Class::Request, Method::ALLOCATE);
    let account = &accounts()[0];
    account.sent(0, begin(kind, id), account.key(None, false), true)
}

pub(crate) fn append(bytes: &mut Vec<u8>, kind: AttributeType, value: &[u8]) {
    bytes.extend_from_slice(&kind.0.to_be_bytes());
    bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

pub(crate) fn set_length(bytes: &mut [u8]) {
    let length = (bytes.len() - 20) as u16;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
}

struct Account {
    username: String,
    user: &'static str,
    expires_at: Option<i64>,
    /// By the algorithm and whether the password is right.
    keys: [LongTermKey; 4],
}

impl Account {
    fn new(user: &'static str, expires_at: Option<i64>, username: &str, password: &str) -> Self {
        let key = |algorithm, password: &str| {
            let (name, realm) = (username.as_bytes(), REALM.as_bytes());
            LongTermKey::derive(algorithm, name, realm, password.as_bytes())
        };
        let keys = [
            key(PasswordAlgorithm::Md5, password),
            key(PasswordAlgorithm::Md5, "wrong"),
            key(PasswordAlgorithm::Sha256, password),
            key(PasswordAlgorithm::Sha256, "wrong"),
        ];
        Self { username: username.to_owned(), user, expires_at, keys }
    }

    fn sent(&self, account: usize, bytes: Vec<u8>, key: LongTermKey, must_fail: bool) -> Sent {
        Sent { bytes, key, must_fail, account, user: self.user, expires_at: self.expires_at }
    }

    fn key(&self, algorithm: Option<PasswordAlgorithm>, is_wrong: bool) -> LongTermKey {
        let by_sha256 = match algorithm {
            None | Some(PasswordAlgorithm::Md5) => 0,
            Some(PasswordAlgorithm::Sha256) => 2,
        };
        self.keys[by_sha256 + usize::from(is_wrong)].clone()
    }
}

/// Two credentials of one user, one that soon expires, and a static account.
fn accounts() -> &'static [Account; 4] {
    static ACCOUNTS: OnceLock<[Account; 4]> = OnceLock::new();
    ACCOUNTS.get_or_init(|| {
        let issued = |user, lifetime_s| {
            let issued = place::issued(user, START_S + lifetime_s);
            let expires_at = Some(issued.expires_at);
            Account::new(user, expires_at, &issued.username, issued.credential.expose())
        };
        [
            issued("alice", 86_400),
            issued("bob", 300),
            Account::new("static", None, "static", "account"),
            issued("alice", 90_000),
        ]
    })
}
