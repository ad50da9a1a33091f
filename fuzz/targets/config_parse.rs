//! Any text as a config file: it is refused with lines that exist, or means what the limits allow.

use std::path::Path;

use turnbell::config::Config;
use turnbell::limits::{REALM_BYTES_MAX, RELAY_ADDRESSES_MAX, SECRETS_MAX, STATIC_USERS_MAX};
use turnbell::limits::{TTL_MAX, TTL_MIN};

/// One execution: the text of a file.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Other files are not for a fuzzer to name.
    if text.contains("secret_files") {
        return;
    }
    let path = Path::new("/nowhere/turnbell.toml");
    let parsed = Config::parse(path, text);
    assert_eq!(parsed, Config::parse(path, text), "the same text means the same");
    match parsed {
        Ok(config) => check(&config),
        Err(error) => {
            assert!(!error.problems.is_empty());
            let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
            for problem in &error.problems {
                assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem:?}");
                assert!(!problem.text.is_empty(), "{problem:?}");
            }
            assert!(error.to_string().starts_with("/nowhere/turnbell.toml"));
        }
    }
}

fn check(config: &Config) {
    assert!((1..=REALM_BYTES_MAX).contains(&config.realm.len()));
    assert!(!config.listen.is_empty());
    assert!(config.relay_addresses.len() <= RELAY_ADDRESSES_MAX);
    assert!(config.relay_ports.start() <= config.relay_ports.end());
    assert!(config.auth.secrets.len() <= SECRETS_MAX);
    assert!(config.auth.users.len() <= STATIC_USERS_MAX);
    assert!((TTL_MIN..=TTL_MAX).contains(&config.ice.ttl));
    let quota = config.quota;
    assert!(quota.per_user > 0 && quota.per_source > 0 && quota.total > 0);
    let shown = format!("{config:?}");
    for secret in &config.auth.secrets {
        let secret = secret.expose();
        // A short one may stand there by chance.
        assert!(secret.len() < 16 || !shown.contains(secret.as_str()), "a secret is shown");
    }
}
