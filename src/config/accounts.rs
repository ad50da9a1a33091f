//! The file of accounts that `turnbell user` keeps: names with their keys, never a password.

use std::collections::HashSet;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::auth::key::{LongTermKey, PasswordAlgorithm};
use crate::auth::secret::hex;
use crate::limits::STATIC_USERS_MAX;
use crate::limits::coturn::ACCOUNTS_FILE_BYTES_MAX;

use super::{Config, secrets};

/// An account known by its keys, good for the realm they were made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// USERNAME.
    pub name: String,
    /// Realm of the keys.
    pub realm: String,
    /// By MD5, and by SHA-256 where the password was known.
    pub keys: Vec<LongTermKey>,
}

impl Account {
    /// Makes the keys of a password.
    ///
    /// # Errors
    /// A sentence, if name or password are none that `auth.users` would take.
    pub fn of_password(name: &str, realm: &str, password: &str) -> Result<Self, String> {
        secrets::static_user(&format!("{name}:{password}")).map_err(|why| why.0)?;
        let key = |algorithm| {
            LongTermKey::derive(algorithm, name.as_bytes(), realm.as_bytes(), password.as_bytes())
        };
        let keys = vec![key(PasswordAlgorithm::Md5), key(PasswordAlgorithm::Sha256)];
        Ok(Self { name: name.to_owned(), realm: realm.to_owned(), keys })
    }

    /// Takes the key that coturn keeps: 32 hex digits of md5(name:realm:password).
    ///
    /// # Errors
    /// A sentence, if it is none.
    pub fn of_key(name: &str, realm: &str, key: &str) -> Result<Self, String> {
        let user = secrets::user_key(&format!("{name}:{key}")).map_err(|why| why.0)?;
        let keys = vec![LongTermKey::of_md5(user.key.expose())];
        Ok(Self { name: user.name, realm: realm.to_owned(), keys })
    }

    /// Its line in the file.
    #[must_use]
    pub fn to_line(&self) -> String {
        let key = |algorithm| {
            let found = self.keys.iter().find(|key| key.algorithm() == algorithm);
            found.map_or_else(|| "-".to_owned(), |key| hex(key.as_bytes()))
        };
        let (md5, sha256) = (key(PasswordAlgorithm::Md5), key(PasswordAlgorithm::Sha256));
        format!("{}\t{}\t{md5}\t{sha256}", self.name, self.realm)
    }
}

/// Reads the file; none is an empty one.
///
/// # Errors
/// A sentence with the line, and never with a key.
pub fn read(path: &Path) -> Result<Vec<Account>, String> {
    let mut text = zeroize::Zeroizing::new(String::new());
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(ACCOUNTS_FILE_BYTES_MAX).read_to_string(&mut text));
    match read {
        Ok(_) => parse(path, &text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

/// Those of the file that are made for this realm and do not stand in the config, and a warning if
/// there are others.
///
/// # Errors
/// As [`read`].
pub fn of_realm(config: &Config, path: &Path) -> Result<(Vec<Account>, Option<String>), String> {
    let mut kept = read(path)?;
    let before = kept.len();
    kept.retain(|account| account.realm == config.realm);
    let others = before - kept.len();
    let warning = (others > 0).then(|| {
        format!(
            "{others} accounts of `turnbell user` were made for another realm than {:?} and are not \
             let in; add them again",
            config.realm
        )
    });
    let auth = &config.auth;
    let typed = auth.users.iter().map(|user| &user.name);
    let typed: HashSet<&String> =
        typed.chain(auth.user_keys.iter().map(|user| &user.name)).collect();
    kept.retain(|account| !typed.contains(&account.name));
    Ok((kept, warning))
}

/// Takes the accounts out of the text of the file.
///
/// # Errors
/// As [`read`].
pub fn parse(path: &Path, text: &str) -> Result<Vec<Account>, String> {
    let mut accounts: Vec<Account> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let refuse = |why: &str| {
            Err(format!(
                "{}:{}: {why}; `turnbell user add` writes a right line",
                path.display(),
                index + 1
            ))
        };
        if accounts.len() == STATIC_USERS_MAX {
            return refuse(&format!("there can be {STATIC_USERS_MAX} accounts"));
        }
        let Ok([name, realm, md5, sha256]) =
            <[&str; 4]>::try_from(line.split('\t').collect::<Vec<_>>())
        else {
            return refuse(
                "must be name, realm, MD5 key and SHA-256 key or -, with tabs between them",
            );
        };
        let mut account = match Account::of_key(name, realm, md5) {
            Ok(account) => account,
            Err(why) => return refuse(&why),
        };
        match bytes_of(sha256) {
            _ if sha256 == "-" => {}
            Some(hash) => account.keys.push(LongTermKey::of_sha256(&hash)),
            None => return refuse("the SHA-256 key must be 64 hex digits"),
        }
        accounts.push(account);
    }
    Ok(accounts)
}

fn bytes_of(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_read_as_it_was_written_and_its_password_is_nowhere() {
        let alice = Account::of_password("alice", "north gov", "looking-glass").unwrap();
        let bob = Account::of_key("bob", "r", "bc807ee29df3c9ffa736523fb2c4e8ee").unwrap();
        let text = format!("# kept by turnbell\n{}\n\n{}\n", alice.to_line(), bob.to_line());
        assert!(!text.contains("looking-glass"));
        assert!(text.ends_with("\tbc807ee29df3c9ffa736523fb2c4e8ee\t-\n"));
        assert_eq!(parse(Path::new("users"), &text), Ok(vec![alice, bob]));
        assert!(Account::of_password("alice", "r", "short").is_err());
        assert!(Account::of_password("a/b", "r", "looking-glass").is_err());
    }

    #[test]
    fn a_broken_line_is_named_and_not_shown() {
        let key = "bc807ee29df3c9ffa736523fb2c4e8ee";
        for line in [
            format!("alice:{key}"),
            format!("alice\tr\t{}\t-", &key[1..]),
            format!("alice\tr\t{key}\t{key}"),
            format!("alice\tr\t{key}\t"),
            format!("a/b\tr\t{key}\t-"),
        ] {
            let error = parse(Path::new("users"), &format!("#\n{line}\n")).unwrap_err();
            assert!(error.starts_with("users:2: ") && !error.contains(&key[2..]), "{error}");
        }
        assert_eq!(read(Path::new("/nonexistent/users")), Ok(vec![]));
    }
}
