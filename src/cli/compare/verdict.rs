//! What it means that two servers answer differently.

use std::fmt;
use std::net::IpAddr;

use super::probes::{Login, PUBLIC_PEER, Probe};

/// For whoever moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Something that clients or the operator had is not there, or something is open that was closed.
    Missing,
    /// A server did not come to answer the question itself.
    Unknown,
    /// Refused here, and better so.
    Safer,
    /// Granted here alone.
    More,
    /// Nobody notices.
    Same,
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "MISSING HERE",
            Self::Unknown => "not compared",
            Self::Safer => "safer here",
            Self::More => "only here",
            Self::Same => "same meaning",
        })
    }
}

type Answer = Result<String, String>;

/// The meaning and a sentence; `None` if the answers are alike.
pub(super) fn meaning(probe: Probe, old: &Answer, new: &Answer) -> Option<(Meaning, &'static str)> {
    let is_full = |answer: &Answer| answer.as_ref().is_err_and(|why| is_quota(why));
    if is_full(old) {
        return Some((Meaning::Unknown, FULL_THERE));
    } else if is_full(new) {
        return Some((Meaning::Missing, FULL_HERE));
    }
    if old == new {
        return None;
    }
    let must_be_refused = must_be_refused(probe);
    Some(match (old.is_ok(), new.is_ok()) {
        (false, false) => (Meaning::Same, "both refuse, each in its way"),
        (true, true) => both_grant(probe),
        (false, true) if matches!(probe, Probe::Peer(_)) => (Meaning::Missing, opened(probe)),
        (true, false) if must_be_refused => (Meaning::Safer, safer(probe)),
        (true, false) => (Meaning::Missing, missing(probe)),
        (false, true) if must_be_refused => (Meaning::Missing, opened(probe)),
        (false, true) => (Meaning::More, "clients that got nothing there are served here"),
    })
}

/// Whether an answer is about how many allocations there are (486 of a user, 508 of all).
pub(super) fn is_quota(why: &str) -> bool {
    why.ends_with(" 486") || why.ends_with(" 508")
}

const FULL_THERE: &str = "its quota is used up: ask again while fewer clients are on, with an account of \
                          its own, or with the shared secret, which makes a user for each question";
const FULL_HERE: &str = "the quota is used up here: look at [quota]";

/// Whether a grant is worse than a refusal.
fn must_be_refused(probe: Probe) -> bool {
    match probe {
        Probe::Binding(_) | Probe::Protocol(_) | Probe::RelayOverTcp | Probe::Challenge => false,
        Probe::Allocate(_, login, _) => match login {
            Login::Account | Login::TimeLimited => false,
            Login::WrongPassword | Login::Expired | Login::WrongSecret | Login::UnknownUser => true,
        },
        Probe::Permission(peer) => peer != PUBLIC_PEER,
        Probe::Peer(_) => false,
        // Outside of what ChannelData may have.
        Probe::Channel(number) => !(0x4000..=0x7fff).contains(&number),
    }
}

fn both_grant(probe: Probe) -> (Meaning, &'static str) {
    match probe {
        Probe::Challenge => (
            Meaning::Same,
            "clients take the realm they are told; keys of static accounts that were imported need \
             the same one: `realm`",
        ),
        Probe::Protocol(_) => {
            (Meaning::Same, "clients go on where none is chosen, as long as nothing is refused")
        }
        Probe::Allocate(..) => {
            (Meaning::Same, "another family where none was asked for: `default_relay_family`")
        }
        Probe::Binding(_)
        | Probe::RelayOverTcp
        | Probe::Permission(_)
        | Probe::Peer(_)
        | Probe::Channel(_) => (Meaning::Same, "granted by both"),
    }
}

fn safer(probe: Probe) -> &'static str {
    match probe {
        Probe::Permission(IpAddr::V4(peer)) if peer.is_multicast() || peer.is_broadcast() => {
            "nothing is ever relayed to such addresses"
        }
        Probe::Permission(_) | Probe::Peer(_) => {
            "nobody is relayed into such networks; if your clients must be, `allow_private_peers`"
        }
        Probe::Allocate(..) => "whoever should not get in got in there",
        Probe::Binding(_)
        | Probe::Protocol(_)
        | Probe::Challenge
        | Probe::RelayOverTcp
        | Probe::Channel(_) => "it should have been refused there",
    }
}

fn opened(probe: Probe) -> &'static str {
    match probe {
        Probe::Permission(_) | Probe::Peer(_) => {
            "it was refused there: take it out of `allow_private_peers`, or add it to `deny_peers`"
        }
        Probe::Allocate(..) => "it was refused there: look at [auth]",
        Probe::Binding(_)
        | Probe::Protocol(_)
        | Probe::Challenge
        | Probe::RelayOverTcp
        | Probe::Channel(_) => "it was refused there, and should be",
    }
}

fn missing(probe: Probe) -> &'static str {
    use crate::turn::fact::Transport::{Tcp, Tls, Udp};
    match probe {
        Probe::Binding(Udp) | Probe::Allocate(Udp, Login::Account | Login::TimeLimited, None) => {
            "look at `listen`, the firewall and [auth]; `turnbell log` says why a login was refused"
        }
        Probe::Binding(Tcp) | Probe::Allocate(Tcp, ..) => "look at `listen_tcp` and the firewall",
        Probe::Binding(Tls) | Probe::Allocate(Tls, ..) | Probe::Protocol(_) => {
            "look at [tls] and `listen_tls`; --new-tls names another port"
        }
        Probe::Allocate(..) => "look at `relay_addresses`: is there one of this family?",
        Probe::Challenge => "it is silent without a login, or not there: look at `listen`",
        Probe::RelayOverTcp => "nothing is relayed over TCP here; browsers do not ask for it",
        Probe::Permission(_) => "look at `deny_peers`",
        Probe::Peer(_) => "look at `deny_peers` and `allow_private_peers`: `turnbell explain peer`",
        Probe::Channel(_) => {
            "`channel_numbers = \"rfc5766\"` takes them, for clients from before 2020"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::fact::Transport;

    fn check(probe: Probe, old: bool, new: bool, expected: Meaning) {
        let answer = |ok: bool, word: &str| if ok { Ok(word.into()) } else { Err(word.into()) };
        let found = meaning(probe, &answer(old, "a"), &answer(new, "b"));
        assert_eq!(found.map(|(meaning, _)| meaning), Some(expected), "{probe}");
    }

    #[test]
    fn a_difference_means_what_it_means_to_who_moves() {
        let allocate = |login| Probe::Allocate(Transport::Udp, login, None);
        let inner = std::net::Ipv4Addr::new(10, 0, 0, 1).into();
        check(Probe::Permission(inner), true, false, Meaning::Safer);
        check(Probe::Permission(inner), false, true, Meaning::Missing);
        // Named by hand, it was meant to be as it is there.
        check(Probe::Peer(inner), true, false, Meaning::Missing);
        check(Probe::Peer(inner), false, true, Meaning::Missing);
        check(Probe::Permission(PUBLIC_PEER), true, false, Meaning::Missing);
        check(allocate(Login::WrongPassword), true, false, Meaning::Safer);
        check(allocate(Login::Expired), false, true, Meaning::Missing);
        check(allocate(Login::Account), true, false, Meaning::Missing);
        check(allocate(Login::Account), false, true, Meaning::More);
        check(Probe::Channel(0x5000), true, false, Meaning::Missing);
        check(Probe::Channel(0x8000), true, false, Meaning::Safer);
        check(Probe::Channel(0x8000), false, false, Meaning::Same);
        check(Probe::Challenge, true, true, Meaning::Same);
        let full = || Err("Allocate is answered with 486".to_owned());
        let said = |old: &Answer, new: &Answer| meaning(Probe::Channel(0x4000), old, new);
        let granted = Ok("bound".to_owned());
        assert_eq!(said(&full(), &granted).map(|(meaning, _)| meaning), Some(Meaning::Unknown));
        assert_eq!(said(&granted, &full()).map(|(meaning, _)| meaning), Some(Meaning::Missing));
        assert_eq!(said(&full(), &full()).map(|(meaning, _)| meaning), Some(Meaning::Unknown));
        let same = Ok("a".to_owned());
        assert_eq!(meaning(Probe::Challenge, &same, &same), None);
    }
}
