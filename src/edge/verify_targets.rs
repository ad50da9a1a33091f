//! From what `/ice` hands out to what is verified: the same URLs, each with a login of its own.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::ice::{ForeignAuth, ForeignServer, IceOptions, Place as IcePlace};
use super::ice_urls::{RelayListener, UrlTransport, Vantage};
use crate::auth::credential::{Issued, User, issue};
use crate::auth::secret::Secret;
use crate::limits::probe::{VERIFY_LATER, VERIFY_TTL};
use crate::probe::target::{Carrier, Login, Place, Target};
use crate::time::Now;

impl IceOptions {
    /// Those of the URLs that are this daemon's.
    #[must_use]
    pub fn own_urls(&self, now: Now, vantage: Vantage) -> Vec<String> {
        let stun = self.urls.stun_url(vantage).filter(|_| self.stun);
        self.urls.turn_urls(now, vantage).into_iter().chain(stun).collect()
    }

    /// Everything that somebody elsewhere is handed out. `user`: whom the logins are for; `here`:
    /// addresses of this machine.
    #[must_use]
    pub fn targets(&self, now: Now, user: &User, here: &[IpAddr], draining: bool) -> Vec<Target> {
        let mut targets = Vec::new();
        targets.extend(self.foreign_targets(now, user, IcePlace::Before));
        if !draining {
            let stun = self.urls.stun_url(Vantage::Elsewhere).filter(|_| self.stun);
            targets.extend(stun.and_then(|url| self.own(now, user, here, &url)));
            let urls = self.urls.turn_urls(now, Vantage::Elsewhere);
            targets.extend(urls.iter().filter_map(|url| self.own(now, user, here, url)));
        }
        targets.extend(self.foreign_targets(now, user, IcePlace::After));
        targets
    }

    fn own(&self, now: Now, user: &User, here: &[IpAddr], url: &str) -> Option<Target> {
        let place = Place::parse(url)?;
        let login = |ttl| place.is_turn.then(|| issued(&self.secret, user, now, ttl));
        Some(Target {
            url: url.to_owned(),
            is_ours: true,
            login: login(VERIFY_TTL),
            // Our own clock is the one by which it was made.
            later_login: None,
            inside: inside(&self.urls.listeners, place.carrier, here),
            // Our own addresses are no peers for anybody.
            is_tried_directly: false,
            place,
        })
    }

    fn foreign_targets(&self, now: Now, user: &User, at: IcePlace) -> Vec<Target> {
        let servers = self.foreign.iter().filter(|server| server.place == at);
        let targets = |server: &ForeignServer| {
            let (login, later_login) = match &server.auth {
                ForeignAuth::None => (None, None),
                ForeignAuth::Fixed { username, credential } => {
                    let (username, password) = (username.clone(), credential.clone());
                    (Some(Login { username, password }), None)
                }
                ForeignAuth::Secret(secret) => (
                    Some(issued(secret, user, now, VERIFY_TTL)),
                    Some(issued(secret, user, now, VERIFY_LATER)),
                ),
            };
            let target = |url: &String| {
                let place = Place::parse(url)?;
                Some(Target {
                    url: url.clone(),
                    is_ours: false,
                    login: login.clone().filter(|_| place.is_turn),
                    later_login: later_login.clone().filter(|_| place.is_turn),
                    inside: Vec::new(),
                    is_tried_directly: place.is_turn,
                    place,
                })
            };
            server.urls.iter().filter_map(target).collect::<Vec<_>>()
        };
        servers.flat_map(targets).collect()
    }
}

fn issued(secret: &Secret<String>, user: &User, now: Now, ttl: Duration) -> Login {
    let ends = now.unix_s().saturating_add_unsigned(ttl.as_secs());
    let Issued { username, credential, expires_at: _ } = issue(secret, user, ends);
    Login { username, password: credential }
}

/// Where our own listeners of this kind are reached without a public address.
fn inside(listeners: &[RelayListener], carrier: Carrier, here: &[IpAddr]) -> Vec<SocketAddr> {
    let kind = match carrier {
        Carrier::Udp => UrlTransport::Udp,
        Carrier::Tcp => UrlTransport::Tcp,
        Carrier::Tls => UrlTransport::Tls,
    };
    let of_kind = listeners.iter().filter(|listener| listener.transport == kind);
    let reached = |listener: &RelayListener| {
        let at = listener.addr;
        if !at.ip().is_unspecified() {
            return Some(at);
        }
        let same = |ip: &&IpAddr| ip.is_ipv4() == at.is_ipv4() && !ip.is_loopback();
        here.iter().find(same).map(|ip| SocketAddr::new(*ip, at.port()))
    };
    of_kind.filter_map(reached).collect()
}
