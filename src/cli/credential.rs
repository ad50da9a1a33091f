//! `turnbell credential`: one time-limited credential, issued by hand.

use std::time::Duration;

use clap::Args;

use super::ask::{Format, Question};
use super::table;
use crate::auth::credential::User;
use crate::config::parse_ttl;
use crate::edge::control_json::Request;
use crate::edge::json::IceServer;

#[derive(Debug, Args)]
#[command(after_help = "\
The credential is made from the secret alone, as any coturn-style backend makes it: username
\"<expiry>:<user>\", password base64(HMAC-SHA1(secret, username)). The daemon need not run.
`turnbell log` has it under kind `credential`, without the password.

Examples:
  turnbell credential
  turnbell credential --user alice --ttl 1h")]
pub(super) struct Credential {
    /// Name after the expiry, 1 to 128 bytes without '/' and '~' [default: a random one]
    #[arg(long, value_parser = |text: &str| User::parse(text))]
    user: Option<User>,
    /// How long it is good: 60s to 24h [default: `ttl` in [ice]]
    #[arg(long, value_name = "TIME", value_parser = parse_ttl)]
    ttl: Option<Duration>,
    #[command(flatten)]
    format: Format,
}

impl Credential {
    pub(super) fn question(self) -> Question {
        let Self { user, ttl, format } = self;
        let user = user.map(|user| user.as_str().to_owned());
        let ttl = ttl.map(|ttl| ttl.as_secs());
        Question { request: Request::Credential { user, ttl }, format }
    }
}

pub(super) fn shown(
    urls: &[String],
    username: &str,
    credential: &str,
    ttl_s: u64,
    expires_at: i64,
) -> String {
    let mut text = format!(
        "username    {username}\ncredential  {credential}\nexpires     {} UTC, in {}\n",
        table::time(expires_at.saturating_mul(1000)),
        table::lasted(i64::try_from(ttl_s).unwrap_or(i64::MAX).saturating_mul(1000)),
    );
    let Some(url) = urls.first() else {
        text.push_str(
            "\nIts URL is not known here: no open port is reached from elsewhere, or the port is \
             chosen when\nturnbell starts.\n",
        );
        return text;
    };
    let server = IceServer {
        urls: urls.to_vec(),
        username: Some(username.to_owned()),
        credential: Some(credential.to_owned()),
    };
    // Three strings: nothing in it can fail to be JSON.
    let server = serde_json::to_string(&server).unwrap_or_default();
    text.push_str(&format!(
        "\nFor a page, as `new RTCPeerConnection(...)` takes it:\n\n  \
         {{\"iceServers\":[{server}]}}\n"
    ));
    if let Some((host, port)) = host_and_port(url) {
        text.push_str(&format!(
            "\nWith coturn's test client, which talks to itself through the relay (after \"error 420\" \
             run it\nagain: at random it asks for an even port, which turnbell does not \
             offer):\n\n  \
             turnutils_uclient -y -c -s -m 2 -u {} -w {} -p {port} {}\n",
            quoted(username),
            quoted(credential),
            quoted(host),
        ));
    }
    text
}

/// Bare host and port of a `turn:` URL.
fn host_and_port(url: &str) -> Option<(&str, &str)> {
    let place = url.strip_prefix("turn:")?.split('?').next()?;
    let (host, port) = place.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    Some((bare.unwrap_or(host), port))
}

/// A word for the shell, quoted where it must be.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:/=+@%,-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_comes_ready_to_be_used() {
        let urls = ["turn:turn.example.org:3478?transport=udp".to_owned()];
        let text = shown(&urls, "60:o'neil", "c2VjcmV0+/==", 3600, 60);
        assert!(text.contains("username    60:o'neil\ncredential  c2VjcmV0+/==\n"), "{text}");
        assert!(text.contains("expires     1970-01-01 00:01:00 UTC, in 1h00m\n"), "{text}");
        let json = text.lines().find_map(|line| line.strip_prefix("  {")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&format!("{{{json}")).unwrap();
        let server = &json["iceServers"][0];
        assert_eq!(server["urls"][0], urls[0]);
        assert_eq!(
            (&server["username"], &server["credential"]),
            (&"60:o'neil".into(), &"c2VjcmV0+/==".into())
        );
        assert!(
            text.contains(r"-u '60:o'\''neil' -w c2VjcmV0+/== -p 3478 turn.example.org"),
            "{text}"
        );
        let nowhere = shown(&[], "60:alice", "x", 3600, 60);
        assert!(
            nowhere.contains("URL is not known") && !nowhere.contains("iceServers"),
            "{nowhere}"
        );
    }

    #[test]
    fn host_and_port_stand_in_the_url() {
        assert_eq!(host_and_port("turn:a.b:1?transport=udp"), Some(("a.b", "1")));
        assert_eq!(host_and_port("turn:[2001:db8::7]:2"), Some(("2001:db8::7", "2")));
        assert_eq!(host_and_port("turns:a.b:1"), None);
    }

    #[test]
    fn a_shell_gets_one_word() {
        assert_eq!(quoted("a:b=+/"), "a:b=+/");
        assert_eq!(quoted("a b;$(c)"), "'a b;$(c)'");
        assert_eq!(quoted("'"), "''\\'''");
        assert_eq!(quoted(""), "''");
    }
}
