//! `[ice]`: what `GET /ice` hands out, as it is meant and as it is checked.

use std::time::Duration;

use toml::Spanned;

use super::checker::Checker;
use super::ice_url;
use super::raw::{RawIce, RawIceServer};
use super::value;
use crate::auth::secret::Secret;
use crate::limits::{ICE_SERVERS_MAX, ICE_URLS_WARN, TTL_MAX, TTL_MIN};

/// `[ice]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ice {
    /// Lifetime of a credential whose request names none.
    pub ttl: Duration,
    /// `iceTransportPolicy`.
    pub policy: IcePolicy,
    /// Whether our own `stun:` URL is handed out, too.
    pub stun: bool,
    /// Other people's servers, in the order written.
    pub servers: Vec<IceServer>,
}

/// `iceTransportPolicy` of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IcePolicy {
    /// Every candidate.
    All,
    /// Relayed candidates only.
    Relay,
}

/// `[[ice.server]]`: somebody else's STUN or TURN server (P12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:`, `turn:` and `turns:` URLs, syntax checked.
    pub urls: Vec<String>,
    /// How its credential is made.
    pub login: IceLogin,
    /// Where it stands in the answer.
    pub position: IcePosition,
}

/// How the credential of a foreign server is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IceLogin {
    /// None: plain STUN.
    None,
    /// The same for everybody.
    Fixed {
        /// As it is handed out.
        username: String,
        /// As it is handed out.
        credential: Secret<String>,
    },
    /// Issued for each request from a shared secret, `"<expiry>:<user>"` and HMAC-SHA1.
    Shared(Secret<String>),
}

/// Where a foreign server stands in `iceServers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IcePosition {
    /// Before ours.
    Before,
    /// After ours.
    After,
}

impl Checker<'_> {
    pub(super) fn ice(&mut self, default: Ice, raw: RawIce) -> Ice {
        if raw.server.len() > ICE_SERVERS_MAX {
            let text =
                format!("there are {}, at most {ICE_SERVERS_MAX} make sense", raw.server.len());
            self.refuse(raw.server[ICE_SERVERS_MAX].span(), "ice.server", &text);
        }
        let ice = Ice {
            ttl: self.text("ice.ttl", raw.ttl, default.ttl, |t| {
                value::duration(t, &(TTL_MIN..=TTL_MAX))
            }),
            policy: self.choice(
                "ice.policy",
                raw.policy,
                default.policy,
                &[("all", IcePolicy::All), ("relay", IcePolicy::Relay)],
            ),
            stun: self.switch(raw.stun, default.stun),
            servers: raw.server.into_iter().filter_map(|server| self.ice_server(server)).collect(),
        };
        let foreign: usize = ice.servers.iter().map(|server| server.urls.len()).sum();
        let all = foreign + 1 + usize::from(ice.stun);
        if foreign > 0 && all > ICE_URLS_WARN {
            self.warnings.push(format!(
                "ice.server: a client is handed {all} URLs; with more than {ICE_URLS_WARN} \
                 browsers take long to gather candidates"
            ));
        }
        ice
    }

    fn ice_server(&mut self, raw: Spanned<RawIceServer>) -> Option<IceServer> {
        let place = raw.span();
        let raw = raw.into_inner();
        let before = self.problems.len();
        let urls = self.list("ice.server.urls", raw.urls, 1..=ICE_URLS_WARN, ice_url::parse);
        let username = raw.username.map(Spanned::into_inner);
        let credential = raw.credential.map(|text| Secret::new(text.into_inner()));
        let secret = raw.secret.map(|text| Secret::new(text.into_inner()));
        let position = self.choice(
            "ice.server.position",
            raw.position,
            IcePosition::After,
            &[("before", IcePosition::Before), ("after", IcePosition::After)],
        );
        let login = match (username, credential, secret) {
            (None, None, None) => Ok(IceLogin::None),
            (Some(username), Some(credential), None) => {
                Ok(IceLogin::Fixed { username, credential })
            }
            (None, None, Some(secret)) => Ok(IceLogin::Shared(secret)),
            (_, _, Some(_)) => {
                Err("has `secret` and also `username` or `credential`; keep one way")
            }
            (Some(_), None, None) => Err("has `username` but no `credential`"),
            (None, Some(_), None) => Err("has `credential` but no `username`"),
        };
        let login = match login {
            Ok(login) => login,
            Err(why) => {
                self.refuse(place, "ice.server", why);
                return None;
            }
        };
        let Some(urls) = urls else {
            if self.problems.len() == before {
                self.refuse(
                    place,
                    "ice.server",
                    "needs `urls`, such as [\"stun:stun.example.org\"]",
                );
            }
            return None;
        };
        let has_turn = urls.iter().any(|url| url.is_turn);
        if has_turn && login == IceLogin::None {
            self.refuse(
                place.clone(),
                "ice.server",
                "turn: and turns: need `username` and `credential`, or `secret`; browsers throw \
                 the whole configuration away without",
            );
        }
        if !has_turn && login != IceLogin::None {
            self.refuse(place, "ice.server", "stun: takes no credential; remove it");
        }
        Some(IceServer { urls: urls.into_iter().map(|url| url.url).collect(), login, position })
    }
}
