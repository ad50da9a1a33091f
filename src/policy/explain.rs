//! Why a peer may be reached or not, in sentences for the operator.

use std::net::IpAddr;

use super::peers::{AllowedAddress, Denied, Route, fold};
use super::ranges;

impl Denied {
    /// Why `ip` is refused.
    #[must_use]
    pub fn sentence(self, ip: IpAddr) -> String {
        match self {
            Self::Table(row) if ranges::never(fold(ip)).is_some() => {
                format!("{row} addresses are never relayed to; no setting opens them")
            }
            Self::Table(row) => format!(
                "it lies in a range that is closed by default ({row}); `allow_private_peers` can \
                 open it"
            ),
            Self::Nat64 => "it lies in a prefix by which this network translates to IPv4 (NAT64), \
                            found through ipv4only.arpa; `allow_private_peers` can open it"
                .to_owned(),
            Self::LocalBroadcast => {
                "it is the broadcast or network address of a network this machine lies in; no \
                 setting opens it"
                    .to_owned()
            }
            Self::OwnAddress => {
                "it is this machine, by an address that relays nothing; `allow_private_peers` can \
                 open it"
                    .to_owned()
            }
            Self::OwnListener => {
                "turnbell itself listens there; no setting opens it to clients".to_owned()
            }
            Self::NotARelayPort => {
                "it is an address this daemon relays on, but the port lies outside of `relay_ports`"
                    .to_owned()
            }
            Self::ReflectionPort => {
                "the port is one of `reflection_ports`, whose services answer a small question with \
                 much; permissions are not refused for it"
                    .to_owned()
            }
            Self::OperatorDeny => "the config closes it".to_owned(),
            Self::PortZero => "nothing can be sent to port 0".to_owned(),
        }
    }
}

impl Route {
    /// Why a peer is reached this way.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Kernel => "no rule closes it: it is reached through the network",
            Self::InProcess => {
                "it is an address this daemon relays on: data goes, inside the process, to the \
                 allocation that has the port, and nowhere else"
            }
            Self::InProcessElseKernel => {
                "it is an address this daemon relays on, and the config opens it: data goes to the \
                 allocation that has the port, else through the network"
            }
        }
    }
}

impl AllowedAddress {
    /// Whether it would be refused if no setting had opened it.
    #[must_use]
    pub fn is_closed_by_default(self) -> bool {
        ranges::closed(self.ip()).is_some()
    }
}

#[cfg(test)]
mod tests {

    use crate::policy::peers::{PeerPolicy, PeerPolicyOptions};

    fn sentence(peer: &str) -> String {
        let policy = PeerPolicy::new(PeerPolicyOptions {
            advertised_relay: vec!["198.51.100.7".parse().unwrap()],
            own: vec!["9.9.9.9".parse().unwrap()],
            listeners: vec!["0.0.0.0:3478".parse().unwrap()],
            local_networks: vec!["8.8.8.8/24".parse().unwrap()],
            deny: vec!["1.2.3.0/24".parse().unwrap()],
            nat64: vec!["2600:64::/96".parse().unwrap()],
            ..PeerPolicyOptions::default()
        });
        let peer: std::net::SocketAddr = peer.parse().unwrap();
        policy.permit_peer(peer).map_or_else(
            |denied| denied.sentence(peer.ip()),
            |peer| peer.route().sentence().to_owned(),
        )
    }

    #[test]
    fn a_range_that_can_be_opened_is_told_apart_from_one_that_never_is() {
        assert!(sentence("172.17.0.3:53").contains("(private); `allow_private_peers` can open it"));
        assert!(sentence("224.0.0.1:53").starts_with("multicast addresses are never relayed to"));
        assert!(sentence("[::ffff:224.0.0.1]:53").starts_with("multicast addresses are never"));
    }

    #[test]
    fn every_ground_has_its_sentence() {
        for (peer, part) in [
            ("8.8.8.255:5000", "broadcast or network address"),
            ("9.9.9.9:5000", "this machine, by an address that relays nothing"),
            ("198.51.100.7:3478", "turnbell itself listens there"),
            ("198.51.100.7:80", "outside of `relay_ports`"),
            ("1.2.3.4:5000", "the config closes it"),
            ("[2600:64::1]:5000", "(NAT64), found through ipv4only.arpa"),
            ("1.1.1.1:0", "port 0"),
            ("1.1.1.1:53", "one of `reflection_ports`"),
            ("1.1.1.1:5000", "reached through the network"),
            ("198.51.100.7:50000", "inside the process"),
        ] {
            assert!(sentence(peer).contains(part), "{peer}: {}", sentence(peer));
        }
    }
}
