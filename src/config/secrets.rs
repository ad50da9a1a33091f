//! Shared secrets: where they are read from, and which ones are refused.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::StaticUser;
use super::value::Refusal;
use crate::auth::credential::User;
use crate::auth::secret::Secret;
use crate::limits::{SECRET_BYTES_MAX, SECRET_BYTES_MIN, SECRETS_MAX};

/// Secrets of one file, one a line; the first issues, all verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFile {
    /// Never empty, at most `SECRETS_MAX`.
    pub secrets: Vec<Secret<String>>,
    /// That everybody can read the file.
    pub warning: Option<String>,
}

/// A static account known by its long-term key, good for the realm it was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserKey {
    /// USERNAME.
    pub name: String,
    /// md5(name ":" realm ":" password).
    pub key: Secret<[u8; 16]>,
}

/// Reads a file of secrets. Blank lines and lines that start with `#` do not count.
///
/// # Errors
/// A sentence with the line, and never with the secret.
pub fn read_file(path: &Path) -> Result<SecretFile, String> {
    let shown = path.display();
    let mut text = Zeroizing::new(String::new());
    let mut read = || {
        let file = std::fs::File::open(path)?;
        let mode = file.metadata()?.permissions().mode();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        Ok::<u32, std::io::Error>(mode)
    };
    let mode = read().map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let warning = (mode & 0o007 != 0).then(|| {
        format!("{shown} can be read by everybody (mode {:04o}); chmod 600 {shown}", mode & 0o7777)
    });
    Ok(SecretFile { warning, ..parse_file(path, &text)? })
}

/// Takes the secrets out of the text of a file that was read already.
///
/// # Errors
/// As [`read_file`].
pub fn parse_file(path: &Path, text: &str) -> Result<SecretFile, String> {
    let shown = path.display();
    let mut secrets = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let secret = check(line).map_err(|why| format!("{shown}:{}: {}", index + 1, why.0))?;
        secrets.push(secret);
    }
    if secrets.is_empty() {
        return Err(format!("{shown} holds no secret; {CURE} > {shown}"));
    }
    if secrets.len() > SECRETS_MAX {
        return Err(format!("{shown} holds {} secrets, at most {SECRETS_MAX}", secrets.len()));
    }
    Ok(SecretFile { secrets, warning: None })
}

/// Refuses what can be guessed.
pub(super) fn check(secret: &str) -> Result<Secret<String>, Refusal> {
    let refuse = |why: String| Err(Refusal(format!("{why}; make a good one with: {CURE}")));
    if is_sample(secret) {
        return refuse(
            "is a well-known sample, everybody can issue credentials with it".to_owned(),
        );
    }
    if secret.len() < SECRET_BYTES_MIN {
        return refuse(format!(
            "must be at least {SECRET_BYTES_MIN} bytes long, found {}",
            secret.len()
        ));
    }
    if secret.len() > SECRET_BYTES_MAX {
        return refuse(format!(
            "must be at most {SECRET_BYTES_MAX} bytes long, found {}",
            secret.len()
        ));
    }
    if secret.trim() != secret || secret.chars().any(char::is_control) {
        return refuse("must not hold control characters, or blanks at its ends".to_owned());
    }
    let mut distinct: Vec<char> = secret.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 5 {
        return refuse("consists of fewer than 5 different characters".to_owned());
    }
    Ok(Secret::new(secret.to_owned()))
}

const CURE: &str = "openssl rand -hex 32";
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Secrets and passwords that stand in samples, images and tutorials.
fn is_sample(secret: &str) -> bool {
    const WHOLE: [&str; 28] = [
        "north",
        "south",
        "secret",
        "password",
        "passw0rd",
        "turnserver",
        "coturn",
        "turn",
        "turnpassword",
        "turnsecret",
        "test",
        "testtest",
        "guest",
        "admin",
        "username",
        "user",
        "logen",
        "youhavetoberealistic",
        "hieKedq",
        "0123456789abcdef",
        "1234567890abcdef",
        "12345678",
        "deadbeef",
        "abcdefghijklmnopqrstuvwxyz",
        "openrelayproject",
        "muazkh",
        "n0tarealpassw0rd",
        "letmein",
    ];
    // Nothing random holds one of these words.
    const INSIDE: [&str; 21] = [
        "changeme",
        "changeit",
        "changethis",
        "replaceme",
        "replacethis",
        "replacewith",
        "mysecret",
        "yoursecret",
        "yourauthsecret",
        "yourturnsecret",
        "yourstaticauthsecret",
        "yourshared",
        "supersecret",
        "staticauthsecret",
        "examplesecret",
        "secretkeyhere",
        "secretgoeshere",
        "yourchosen",
        "generatedsecret",
        "somesecret",
        "notasecret",
    ];
    let plain: String =
        secret.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let repeats = |word: &str| !word.is_empty() && plain.replace(word, "").is_empty();
    WHOLE.iter().any(|word| repeats(&word.to_lowercase()))
        || INSIDE.iter().any(|word| plain.contains(word))
}

/// `name:password`; the password may hold colons.
pub(super) fn static_user(text: &str) -> Result<StaticUser, Refusal> {
    let Some((name, password)) = text.split_once(':') else {
        return Err(Refusal("must be \"name:password\"".to_owned()));
    };
    let name = User::parse(name).map_err(|why| Refusal(format!("the name {why}")))?;
    let name = name.as_str().to_owned();
    let refuse = |why: String| Err(Refusal(format!("the password of {name:?} {why}")));
    if password.len() < PASSWORD_BYTES_MIN {
        return refuse(format!(
            "must be at least {PASSWORD_BYTES_MIN} bytes long, found {}: shorter ones are guessed \
             from one recorded request; openssl rand -hex 16 makes a good one",
            password.len()
        ));
    }
    if is_tried_first(&name, password) {
        return refuse("is a well-known one; openssl rand -hex 16 makes a good one".to_owned());
    }
    if password.chars().any(char::is_control) {
        return refuse("must not hold control characters".to_owned());
    }
    Ok(StaticUser { name, password: Secret::new(password.to_owned()) })
}

/// Whether nothing but its length keeps a password out.
pub(super) fn is_only_short(name: &str, password: &str) -> bool {
    let is_taken = |password: &str| static_user(&format!("{name}:{password}")).is_ok();
    let long = "\u{b7}".repeat(PASSWORD_BYTES_MIN);
    (1..PASSWORD_BYTES_MIN).contains(&password.len())
        && !is_tried_first(name, password)
        && is_taken(&format!("{password}{long}"))
}

/// Whether whoever scans the Internet for relays tries it.
pub(super) fn is_tried_first(name: &str, password: &str) -> bool {
    is_sample(password) || password == name
}

/// `name:key`: 32 hex digits of md5(name ":" realm ":" password), as coturn stores it.
pub(super) fn user_key(text: &str) -> Result<UserKey, Refusal> {
    let Some((name, key)) = text.rsplit_once(':') else {
        return Err(Refusal("must be \"name:key\"".to_owned()));
    };
    let name = User::parse(name).map_err(|why| Refusal(format!("the name {why}")))?;
    let name = name.as_str().to_owned();
    let key = key.strip_prefix("0x").unwrap_or(key);
    let digit = |at: usize| u8::from_str_radix(key.get(2 * at..2 * at + 2)?, 16).ok();
    let mut bytes = Zeroizing::new([0; 16]);
    for (at, byte) in bytes.iter_mut().enumerate() {
        let found =
            digit(at).filter(|_| key.len() == 32 && key.bytes().all(|c| c.is_ascii_hexdigit()));
        let Some(found) = found else {
            return Err(Refusal(format!(
                "the key of {name:?} must be the 32 hex digits of md5(name:realm:password); \
                 `turnbell user add` makes one of a password"
            )));
        };
        *byte = found;
    }
    Ok(UserKey { name, key: Secret::new(*bytes) })
}

const PASSWORD_BYTES_MIN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_refused_however_they_are_spelt() {
        for sample in [
            "north",
            "changeme",
            "CHANGE_ME",
            "change-me-change-me",
            "mysecret",
            "<your-secret-goes-here>",
            "replace-this-secret",
            "my-super-secret-key-1234",
            "secret secret secret",
            "0123456789abcdef0123456789abcdef",
            "your_static_auth_secret",
            "deadbeefdeadbeefdeadbeef",
            "abcdefghijklmnopqrstuvwxyz",
            "<yourChosen/GeneratedSecret>",
            "put-some-secret-in-here",
        ] {
            let refusal = check(sample).expect_err(sample).0;
            assert!(refusal.contains("well-known sample"), "{sample}: {refusal}");
            assert!(refusal.contains("openssl rand -hex 32"), "{sample}: {refusal}");
        }
    }

    #[test]
    fn a_secret_has_16_to_512_bytes() {
        let of = |bytes: usize| "k7Q2z".repeat(103)[..bytes].to_owned();
        assert!(check(&of(15)).expect_err("15").0.contains("at least 16 bytes long, found 15"));
        assert!(check(&of(16)).is_ok());
        assert!(check(&of(512)).is_ok());
        assert!(check(&of(513)).expect_err("513").0.contains("at most 512 bytes long, found 513"));
    }

    #[test]
    fn a_secret_has_5_different_characters_and_no_hidden_ones() {
        assert!(check(&"abcd".repeat(8)).expect_err("4").0.contains("fewer than 5"));
        assert!(check(&"abcde".repeat(8)).is_ok());
        for hidden in [" 0f1e2d3c4b5a69788796", "0f1e2d3c4b5a69788796\n", "0f1e2d3c\t4b5a69788796"]
        {
            assert!(check(hidden).expect_err(hidden).0.contains("control characters"));
        }
        assert!(check("0f1e2d3c 4b5a69788796").is_ok());
    }

    #[test]
    fn a_generated_secret_passes() {
        for _ in 0..100 {
            let secret = crate::auth::secret::generate_shared_secret().unwrap();
            assert_eq!(check(secret.expose()), Ok(secret));
        }
    }

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    const A: &str = "0f1e2d3c4b5a69788796";
    const B: &str = "a5b4c3d2e1f001234567";

    #[test]
    fn a_file_holds_one_secret_a_line() {
        let (_directory, path) = file(&format!("# made in May\n{A}\n\n  {B}\r\n"), 0o600);
        let found = read_file(&path).unwrap();
        let texts: Vec<&str> = found.secrets.iter().map(|s| s.expose().as_str()).collect();
        assert_eq!(texts, [A, B]);
        assert_eq!(found.warning, None);
    }

    #[test]
    fn a_file_that_everybody_can_read_is_warned_about() {
        let (_directory, path) = file(A, 0o640);
        assert_eq!(read_file(&path).unwrap().warning, None);
        let (_directory, path) = file(A, 0o644);
        let warning = read_file(&path).unwrap().warning.unwrap();
        assert!(warning.contains("mode 0644") && warning.contains("chmod 600"), "{warning}");
    }

    #[test]
    fn a_file_with_a_bad_line_is_refused_without_showing_it() {
        let (_directory, path) = file(&format!("{A}\nhunter2\n"), 0o600);
        let error = read_file(&path).unwrap_err();
        assert!(error.contains("secret:2: must be at least 16 bytes"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        let (_directory, path) = file("\n# nothing\n", 0o600);
        assert!(read_file(&path).unwrap_err().contains("holds no secret"));
        let (_directory, path) = file(&format!("{A}\n").repeat(SECRETS_MAX), 0o600);
        assert!(read_file(&path).is_ok());
        let (_directory, path) = file(&format!("{A}\n").repeat(SECRETS_MAX + 1), 0o600);
        assert!(read_file(&path).unwrap_err().contains("holds 9 secrets, at most 8"));
        assert!(read_file(Path::new("/nonexistent")).unwrap_err().contains("cannot be read"));
    }
}
