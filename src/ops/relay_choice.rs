//! Which addresses relay sockets are bound to, what clients are told, and the sentence why.

use std::fmt;
use std::net::IpAddr;

use super::external::Found;
use super::interfaces::InterfaceAddress;
use super::reach::{Family, Reach, is_container_bridge};
use crate::time::utc::utc;

/// An address translation the operator told us of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct External {
    /// What the world sends to.
    pub public: IpAddr,
    /// The address of this machine it arrives at; `None`: the relay address of that family.
    pub private: Option<IpAddr>,
}

/// What the operator wrote.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes<'a> {
    /// Addresses to relay on; empty: chosen here.
    pub relay_addresses: &'a [IpAddr],
    /// Translations in front of this machine.
    pub external: &'a [External],
    /// Translations that were found; those of the operator win.
    pub found: &'a [Found],
}

/// One address that is relayed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayAddress {
    /// What relay sockets are bound to.
    pub bind: IpAddr,
    /// What clients are told.
    pub advertised: IpAddr,
    /// Why this one, as the second half of a sentence.
    pub why: String,
    /// Who says what clients are told.
    pub told_by: ToldBy,
}

/// Who says what clients are told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ToldBy {
    /// Nobody: it is the address itself.
    #[default]
    Nobody,
    /// `external`.
    Operator,
    /// A STUN server.
    Stun(Found),
}

impl RelayAddress {
    /// Takes what was found about it, or that nothing is known any more; `external` wins.
    pub fn learn(&mut self, found: &[Found]) {
        if self.told_by == ToldBy::Operator {
            return;
        }
        let found = found.iter().find(|found| found.bind == self.bind);
        self.advertised = found.map_or(self.bind, |found| found.public);
        self.told_by = found.map_or(ToldBy::Nobody, |found| ToldBy::Stun(found.clone()));
    }

    /// Where the public side comes from, if there is one; the end of a sentence.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        match &self.told_by {
            ToldBy::Nobody => None,
            ToldBy::Operator => Some("`external` says so".to_owned()),
            ToldBy::Stun(Found { server, at_unix_ms, .. }) => {
                Some(format!("found by STUN from {server} at {} UTC", utc(*at_unix_ms)))
            }
        }
    }
}

/// The outcome of a choice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// Never empty; at most one per family when found by itself, IPv4 first.
    pub addresses: Vec<RelayAddress>,
    /// Sentences about what will not work.
    pub warnings: Vec<String>,
}

/// Chooses the relay addresses. Pure: the same interfaces and wishes give the same answer.
///
/// # Errors
/// Sentences, one for each wish that this machine cannot fulfil.
pub fn choose(here: &[InterfaceAddress], wishes: Wishes<'_>) -> Result<Choice, Vec<String>> {
    let mut errors = Vec::new();
    let mut addresses = if wishes.relay_addresses.is_empty() {
        [Family::V4, Family::V6]
            .into_iter()
            .filter_map(|family| found_by_itself(here, family, wishes.external, &mut errors))
            .collect()
    } else {
        explicit(here, wishes.relay_addresses, &mut errors)
    };
    for external in wishes.external {
        if let Err(error) = translate(&mut addresses, *external) {
            errors.push(error);
        }
    }
    for relay in &mut addresses {
        relay.learn(wishes.found);
    }
    if addresses.is_empty() && errors.is_empty() {
        errors.push(
            "this machine has no address to relay on; bring a network interface up \
             (at least `ip link set lo up`)"
                .to_owned(),
        );
    }
    // One cause, one sentence: a refused wish also misses its translation.
    errors.dedup();
    if !errors.is_empty() {
        return Err(errors);
    }
    let warnings = addresses.iter().filter_map(warning).collect();
    Ok(Choice { addresses, warnings })
}

impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relaying on {}", self.bind)?;
        if self.advertised != self.bind {
            write!(f, ", clients are told {}", self.advertised)?;
        }
        write!(f, ": {}", self.why)?;
        self.origin().map_or(Ok(()), |origin| write!(f, "; {origin}"))
    }
}

fn explicit(
    here: &[InterfaceAddress],
    wanted: &[IpAddr],
    errors: &mut Vec<String>,
) -> Vec<RelayAddress> {
    let mut chosen = Vec::new();
    for &address in wanted {
        match usable(here, address) {
            Ok(interface) => chosen.push(RelayAddress {
                bind: address,
                advertised: address,
                why: format!("`relay_addresses` names it ({interface})"),
                told_by: ToldBy::Nobody,
            }),
            Err(why) => errors.push(format!(
                "relay address {address} {why}; if it is the public side of a NAT, leave it out \
                 of `relay_addresses` and write external = [\"{address}/PRIVATE\"]"
            )),
        }
    }
    chosen
}

/// The interface `address` can be bound on, or what is wrong with it.
fn usable(here: &[InterfaceAddress], address: IpAddr) -> Result<&str, String> {
    let Some(found) = here.iter().find(|a| a.address == address) else {
        let mut known: Vec<String> = here.iter().map(|a| a.address.to_string()).collect();
        known.dedup();
        return Err(format!("is not an address of this machine (it has {})", known.join(", ")));
    };
    if !found.is_up {
        return Err(format!("is on {}, which is down", found.interface));
    }
    if found.is_tentative {
        return Err(format!("is not ready on {} (duplicate address detection)", found.interface));
    }
    Ok(&found.interface)
}

fn found_by_itself(
    here: &[InterfaceAddress],
    family: Family,
    external: &[External],
    errors: &mut Vec<String>,
) -> Option<RelayAddress> {
    let private = external.iter().find(|e| Family::of(e.public) == family).and_then(|e| e.private);
    if let Some(address) = private {
        return match usable(here, address) {
            Ok(interface) => Some(RelayAddress {
                bind: address,
                advertised: address,
                why: format!("`external` names it ({interface})"),
                told_by: ToldBy::Nobody,
            }),
            Err(why) => {
                errors.push(format!("address {address} in `external` {why}"));
                None
            }
        };
    }
    let mut candidates: Vec<&InterfaceAddress> = here
        .iter()
        .filter(|a| Family::of(a.address) == family && a.is_up)
        .filter(|a| !a.is_temporary && !a.is_deprecated && !a.is_tentative)
        .filter(|a| Reach::of(a.address).is_candidate(family))
        .collect();
    candidates.sort_by_key(|a| {
        (Reach::of(a.address), is_container_bridge(&a.interface), !a.has_default_route)
    });
    let best = *candidates.first()?;
    let reach = Reach::of(best.address);
    let alike = candidates.iter().filter(|a| Reach::of(a.address) == reach).count();
    Some(RelayAddress {
        bind: best.address,
        advertised: best.address,
        why: why(best, reach, alike, family),
        told_by: ToldBy::Nobody,
    })
}

fn why(best: &InterfaceAddress, reach: Reach, alike: usize, family: Family) -> String {
    let interface = &best.interface;
    let kind = match reach {
        Reach::Global => "global",
        Reach::Documentation => "documentation",
        Reach::Private => "private",
        Reach::LinkLocal => "link-local",
        Reach::Loopback | Reach::Unusable => {
            return format!("this machine has no {family} address but its loopback ({interface})");
        }
    };
    match alike {
        1 if reach == Reach::Global => format!("the only global {family} address ({interface})"),
        1 if reach == Reach::Documentation => format!(
            "no {family} address is global, the best one is reserved for documentation ({interface})"
        ),
        1 => format!("no {family} address is global, the best one is {kind} ({interface})"),
        _ if best.has_default_route => {
            format!(
                "of {alike} {kind} {family} addresses the one with the default route ({interface})"
            )
        }
        _ => format!(
            "the first of {alike} {kind} {family} addresses ({interface}); \
             `relay_addresses` can name another"
        ),
    }
}

/// Applies one `external` to the address it belongs to.
fn translate(addresses: &mut [RelayAddress], external: External) -> Result<(), String> {
    let External { public, private } = external;
    let family = Family::of(public);
    let of_family = addresses.iter_mut().filter(|a| Family::of(a.bind) == family);
    let mut matching: Vec<&mut RelayAddress> =
        of_family.filter(|a| private.is_none_or(|private| private == a.bind)).collect();
    match (matching.as_mut_slice(), private) {
        ([one], _) => {
            one.advertised = public;
            one.told_by = ToldBy::Operator;
            Ok(())
        }
        ([], Some(private)) => Err(format!(
            "`external` says that {public} arrives at {private}, but {private} is not relayed on; \
             add it to `relay_addresses` or leave `relay_addresses` empty"
        )),
        ([], None) => Err(format!(
            "`external` names {public}, but this machine has no {family} address to relay on; \
             remove it, or name the address it arrives at: external = [\"{public}/PRIVATE\"]"
        )),
        (several, _) => Err(format!(
            "`external` names {public}, but {} {family} addresses are relayed on; \
             say which one it arrives at: external = [\"{public}/{}\"]",
            several.len(),
            several[0].bind
        )),
    }
}

/// What will not work with an address.
fn warning(relay: &RelayAddress) -> Option<String> {
    if relay.told_by == ToldBy::Operator && relay.advertised != relay.bind {
        return None;
    }
    let address = relay.advertised;
    match Reach::of(address) {
        Reach::Global | Reach::Unusable => None,
        Reach::Documentation => Some(format!(
            "relay address {address} is in a range reserved for documentation: it works in test \
             networks only"
        )),
        Reach::Private | Reach::LinkLocal => Some(format!(
            "relay address {address} is private and no `external` is set: calls from outside will \
             not work; if this machine is behind NAT, write external = [\"PUBLIC/{address}\"] in \
             turnbell.toml"
        )),
        Reach::Loopback => Some(format!(
            "relay address {address} is loopback: only programs on this machine can be relayed"
        )),
    }
}

#[cfg(test)]
mod tests;
