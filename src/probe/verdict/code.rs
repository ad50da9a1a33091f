//! The codes of verdicts: words that stay.

macro_rules! codes {
    ($($name:ident = $word:literal, $what:literal;)*) => {
        /// What a verdict is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $what] $name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word for programs.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// What it is about, in a few words.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self {
                    $(Self::$name => $what,)*
                }
            }
        }
    };
}

codes! {
    Works = "works", "Everything that was asked for works.";
    NotProvenOutside = "not_proven_outside", "Nobody outside has tried it.";
    NothingHandedOut = "nothing_handed_out", "There is no URL to verify.";
    ClockOff = "clock_off", "Two clocks disagree.";
    SecretRefused = "secret_refused", "A wrong or retired shared secret.";
    CredentialRefused = "credential_refused", "A wrong user name or password.";
    CredentialExpired = "credential_expired", "The credential has ended.";
    RealmUnknown = "realm_unknown", "The server names no realm, or asks for another one than it named.";
    OpenRelay = "open_relay", "The server asks nobody for a login.";
    OtherServer = "other_server", "Another server answers at our address.";
    QuotaReached = "quota_reached", "The user has as many allocations as allowed.";
    CapacityReached = "capacity_reached", "The server has no room.";
    NonceRejected = "nonce_rejected", "The server takes no nonce of its own.";
    RelayingOff = "relaying_off", "The server relays no UDP.";
    FamilyRefused = "family_refused", "The server relays no address of this family.";
    Redirected = "redirected", "The server sends clients to another one.";
    DnsMissing = "dns_missing", "A name has no address.";
    DnsNoAnswer = "dns_no_answer", "The name server does not answer.";
    DnsWrong = "dns_wrong", "A name leads to another machine.";
    Ipv6Broken = "ipv6_broken", "The IPv6 address of a name does not work.";
    Ipv4Broken = "ipv4_broken", "The IPv4 address of a name does not work.";
    FamilyNotTested = "family_not_tested", "This machine lacks an address family.";
    UrlRefused = "url_refused", "A browser does not take a URL.";
    UdpBlocked = "udp_blocked", "UDP does not pass, TCP does.";
    TcpBlocked = "tcp_blocked", "TCP does not pass, UDP does.";
    OutsideBlocked = "outside_blocked", "It works on the server, but not from outside.";
    PortClosed = "port_closed", "Nothing listens at a port.";
    ServerSilent = "server_silent", "Nothing comes back.";
    ServerUnreachable = "server_unreachable", "There is no way to the server.";
    PrivateAddress = "private_address", "A URL leads to an address that nobody outside reaches.";
    RelayPoor = "relay_poor", "What is relayed arrives late, or not all of it.";
    LargeLost = "large_lost", "Small packets pass, large ones do not.";
    RelayBlocked = "relay_blocked", "The relay ports are blocked.";
    RelayAddressPrivate = "relay_address_private", "Clients are told a private address.";
    RelayAddressGone = "relay_address_gone", "A relay address is no longer on this machine.";
    ExternalAddressStale = "external_address_stale", "Clients are told an old public address.";
    HairpinMissing = "hairpin_missing", "The public address is not reached from inside.";
    PeerRefused = "peer_refused", "The server refuses a peer.";
    CertificateExpired = "certificate_expired", "The certificate has ended.";
    CertificateNotYetValid = "certificate_not_yet_valid", "The certificate has not begun.";
    CertificateExpiresSoon = "certificate_expires_soon", "The certificate ends soon.";
    CertificateWrongName = "certificate_wrong_name", "The certificate is for another name.";
    CertificateIncomplete = "certificate_incomplete", "The certificate chain has a gap.";
    CertificateSelfSigned = "certificate_self_signed", "The certificate signed itself.";
    CertificateUntrusted = "certificate_untrusted", "The certificate leads to an unknown root.";
    CertificateUnreadable = "certificate_unreadable", "Our certificate is no use.";
    NoRootsHere = "no_roots_here", "This machine has no roots to judge certificates by.";
    NoTls = "no_tls", "TLS does not come about.";
    NotStun = "not_stun", "Something else than STUN answers.";
    Forged = "forged", "Answers that nobody with the secret wrote.";
    Flooded = "flooded", "The server sends more than anybody would.";
    AllocateUnanswered = "allocate_unanswered", "Binding is answered, Allocate is not.";
    UpgradesStripped = "upgrades_stripped", "A proxy passes no WebSocket upgrade.";
    ProxyBuffers = "proxy_buffers", "A proxy holds WebSocket frames back.";
    DiskFull = "disk_full", "The disk of the record is full.";
    RecordNotWritten = "record_not_written", "The record is not being written.";
    Unfinished = "unfinished", "There was not enough time.";
    Unknown = "unknown", "It does not work, and the reason is not known.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_word_of_its_own() {
        let mut words: Vec<_> = Code::ALL.iter().map(|code| code.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
    }
}
