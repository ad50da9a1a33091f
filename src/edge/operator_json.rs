//! What operators ask and hear over the control socket: reloads, rules, what is in effect.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// The files of a config as a command of root reads them. A daemon that was given copies at its
/// start (systemd's credentials) takes these; any other one reads its own files.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Handed {
    /// Whether only what the state directory keeps is read again: accounts and secrets.
    #[serde(default)]
    pub state_only: bool,
    /// Text of the config.
    #[serde(default)]
    pub config: String,
    /// Text of each secret file, by its path as the config has it.
    #[serde(default)]
    pub secret_files: BTreeMap<String, String>,
}

impl fmt::Debug for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reloaded {
    /// The file; absent where the built-in default counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its text came with the command.
    pub handed: bool,
    /// What counts from here on.
    pub applied: Vec<Changed>,
    /// What the file says and only a restart brings.
    pub needs_restart: Vec<Changed>,
    /// Live permissions that the new rules closed.
    pub permissions_closed: u64,
    /// Live channels that the new rules closed.
    pub channels_closed: u64,
    /// Sentences for a person, those that were not told before.
    pub warnings: Vec<String>,
}

/// A key of the config with another value; secrets are counted, not shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Its path, such as `quota.per_user`.
    pub key: String,
    /// What was in effect.
    pub old: String,
    /// What the file says.
    pub new: String,
}

/// `172.17.0.3`, `172.17.0.3:53`, `2001:db8::7`, `[2001:db8::7]:53`.
#[must_use]
pub fn parse_peer(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(ip) = text.parse() {
        return Some((ip, None));
    }
    let at: SocketAddr = text.parse().ok()?;
    Some((at.ip(), Some(at.port())))
}

/// What the rules say about a peer, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedPeer {
    /// As it was judged: IPv4 inside IPv6 is folded first.
    pub peer: String,
    /// What CreatePermission hears; ports do not count there.
    pub permission: Verdict,
    /// What ChannelBind and Send meet, if a port was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Verdict>,
}

/// Whether a client may, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// It may.
    pub allowed: bool,
    /// The sentence.
    pub why: String,
    /// The entry of the config that decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
}

/// An entry of the config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its key.
    pub key: String,
    /// The entry.
    pub value: String,
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its line there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

/// What is in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigWord {
    /// The file; absent where the built-in default counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Every key, in the order of the shipped file.
    pub settings: Vec<SettingWord>,
}

/// A key of the config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingWord {
    /// Its path, such as `quota.per_user`.
    pub key: String,
    /// Its value; secrets are counted, not shown.
    pub value: serde_json::Value,
    /// `default`, `file`, `environment`, `generated` (made at the first start) or `found` (on this
    /// machine).
    pub from: String,
    /// Its line in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// More about where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What the file says and a restart would bring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_restart: Option<String>,
}

/// A link to the page of `/diagnostics`, with a key in its fragment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DashboardLink {
    /// Opens the page once.
    pub url: String,
    /// Where its beginning comes from, for a person.
    pub url_from: String,
    /// When it opens nothing any more, Unix milliseconds.
    pub expires_at: i64,
}

/// A link to the page of `/ice-verify`, with a key in its fragment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyLink {
    /// Opens the page as often as wanted.
    pub url: String,
    /// Where its beginning comes from, for a person.
    pub url_from: String,
    /// Of its key: by it, it is taken back.
    pub id: String,
    /// When it opens nothing any more, Unix milliseconds.
    pub expires_at: i64,
}
