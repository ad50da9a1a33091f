//! What passes through an allocation, and from where it comes.

use super::{Case, Code, Severity, Verdict};
use crate::limits::probe::VERIFY_LARGE_BYTES;
use crate::policy::public::not_public;
use crate::probe::observation::{Direct, Fault, TargetSeen, WaySeen};

const OPEN_RELAY_PORTS: &str = "open the relay ports (UDP; `relay_ports`, by itself 49152-65535; coturn: \
                                min-port to max-port) in its firewall and in the one of its \
                                provider; a network here that lets few UDP ports through looks the \
                                same";

impl Case<'_> {
    /// What passes through an allocation.
    pub(super) fn relayed(&self, target: &TargetSeen, way: &WaySeen, found: &mut Vec<Verdict>) {
        let Some(allocated) = way.allocate.value() else { return };
        let (host, server, relayed) = (&target.host, way.address.ip(), allocated.relayed.ip());
        let mut say = |code, severity, cause: String, cure: &str| {
            found.push(self.verdict(code, severity, target, cause, cure));
        };
        if let Some(range) = not_public(relayed).filter(|_| not_public(server).is_none()) {
            say(
                Code::RelayAddressPrivate,
                Severity::Error,
                format!(
                    "{host} is reached at {server}, but tells clients {relayed} ({range}), which \
                         nobody outside can send to"
                ),
                "write the public address into `external` (coturn: external-ip)",
            );
        }
        let is_elsewhere = server != relayed
            && server.is_ipv4() == relayed.is_ipv4()
            && not_public(relayed).is_none()
            && not_public(server).is_none();
        let direct = way.direct.value();
        let passes = direct.is_some_and(|direct| direct.inbound && direct.outbound);
        let is_shut = direct.is_some_and(|direct| !direct.inbound && !direct.outbound);
        // What it relays says from where: the one thing that tells an old address for certain.
        let comes_from = direct.filter(|direct| !direct.inbound).and_then(|d| d.came_from);
        let is_lost = matches!(way.relayed.fault(), Some(Fault::Silent | Fault::NotBack));
        if let Some(from) = comes_from {
            let is_near = not_public(from).is_some() && not_public(relayed).is_none();
            let (code, severity) = match is_near {
                true => (Code::HairpinMissing, Severity::Warning),
                false => (Code::ExternalAddressStale, Severity::Error),
            };
            let cure = if is_near {
                "nothing is to be done for clients elsewhere; for those in the network of the server \
                 switch on NAT loopback (hairpin) in its router"
                    .to_owned()
            } else {
                format!(
                    "write {from} into `external` (behind a NAT \"{from}/PRIVATE\"; coturn: \
                     external-ip), or external_stun to have it followed; without a NAT remove it"
                )
            };
            let cause = format!(
                "{host} tells clients to send to {relayed}, where nothing arrives, but what it \
                 relays comes from {from}"
            );
            say(code, severity, cause, &cure);
        } else if is_shut && is_elsewhere {
            say(
                Code::ExternalAddressStale,
                Severity::Error,
                format!(
                    "{host} is reached at {server}, but tells clients {relayed}, and nothing \
                         arrives there"
                ),
                "write the address that is right into `external` (coturn: external-ip), or \
                 external_stun to have it followed",
            );
        } else if is_lost && passes {
            say(
                Code::HairpinMissing,
                Severity::Warning,
                format!(
                    "{host} relays to others, but not between two of its own relayed addresses"
                ),
                "the NAT in front of it does not lead packets from inside back in (hairpin): tell the \
                 server its private address, too (coturn: external-ip=PUBLIC/PRIVATE)",
            );
        } else if is_lost {
            say(
                Code::RelayBlocked,
                Severity::Error,
                format!("{host} makes allocations, but what is sent through them does not arrive"),
                OPEN_RELAY_PORTS,
            );
        } else if let Some(Direct { inbound, outbound, came_from: _ }) = direct.filter(|_| !passes)
        {
            let what = match (inbound, outbound) {
                (false, false) => "no datagram passes between here and its relay ports",
                (false, true) => "no datagram from here arrives at its relay ports",
                (true, _) => "datagrams from its relay ports do not arrive here",
            };
            say(
                Code::RelayBlocked,
                Severity::Error,
                format!("{host} makes allocations, but {what}"),
                OPEN_RELAY_PORTS,
            );
        }
        if let Some(Fault::Silent | Fault::NotBack) = way.large.fault() {
            say(
                Code::LargeLost,
                Severity::Error,
                format!(
                    "{host} relays small packets over {}, but none of {VERIFY_LARGE_BYTES} bytes, as media \
                     has them: something on the way drops what is large",
                    target.carrier.code().to_uppercase()
                ),
                "look for a VPN, tunnel or PPPoE line between here and the server: give its interface \
                 a lower MTU (ip link set dev NAME mtu 1400), and let ICMP through firewalls",
            );
        }
        if let Some(Fault::Error { code: 403, .. }) = way.direct.fault() {
            say(
                Code::PeerRefused,
                Severity::Note,
                format!(
                    "{host} does not relay to the address of this machine; harmless, for \
                         clients with public addresses are not concerned"
                ),
                "nothing is to be done; `turnbell explain peer ADDRESS` says which rule decides",
            );
        }
    }
}
