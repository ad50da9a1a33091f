//! The choice of relay addresses, by machine.

use super::*;

// 1.2.3.x and 2600::/16 stand for the ordinary Internet: nothing is ever sent to them.
fn at(interface: &str, address: &str) -> InterfaceAddress {
    InterfaceAddress::plain(interface, ip(address), 24)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn external(text: &str) -> External {
    let (public, private) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    External { public: ip(public), private: private.map(ip) }
}

fn by_itself(here: &[InterfaceAddress]) -> Choice {
    choose(here, Wishes::default()).unwrap()
}

/// Addresses chosen without a wish.
fn chosen(here: &[InterfaceAddress]) -> Vec<String> {
    by_itself(here).addresses.iter().map(|a| a.bind.to_string()).collect()
}

fn lo() -> InterfaceAddress {
    at("lo", "127.0.0.1")
}

#[test]
fn the_only_global_address_is_taken_and_says_so() {
    let choice = by_itself(&[lo(), at("eth1", "10.0.0.5"), at("eth0", "1.2.3.7")]);
    let shown: Vec<String> = choice.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["relaying on 1.2.3.7: the only global IPv4 address (eth0)"]);
    assert_eq!(choice.warnings, Vec::<String>::new());
}

#[test]
fn of_several_addresses_the_one_with_the_default_route_is_taken() {
    let routed = InterfaceAddress { has_default_route: true, ..at("eth1", "1.2.3.8") };
    let choice = by_itself(&[at("eth0", "1.2.3.7"), routed]);
    assert_eq!(choice.addresses[0].bind, ip("1.2.3.8"));
    assert!(choice.addresses[0].why.contains("of 2 global IPv4 addresses"), "{choice:?}");
    let choice = by_itself(&[at("eth0", "1.2.3.7"), at("eth1", "1.2.3.8")]);
    assert_eq!(choice.addresses[0].bind, ip("1.2.3.7"));
    assert!(choice.addresses[0].why.contains("`relay_addresses` can name another"));
}

#[test]
fn a_private_address_is_taken_with_the_line_to_write() {
    let choice = by_itself(&[lo(), at("eth0", "10.0.0.5")]);
    assert_eq!(choice.addresses[0].bind, ip("10.0.0.5"));
    assert_eq!(
        choice.warnings,
        ["relay address 10.0.0.5 is private and no `external` is set: calls from outside \
             will not work; if this machine is behind NAT, write external = \
             [\"PUBLIC/10.0.0.5\"] in turnbell.toml"]
    );
}

#[test]
fn every_kind_of_address_has_its_rank() {
    let ranked = [
        ("eth0", "1.2.3.7"),
        ("eth0", "203.0.113.7"),
        ("eth0", "100.64.0.1"),
        ("docker0", "172.17.0.1"),
        ("eth0", "169.254.1.1"),
        ("lo", "127.0.0.1"),
    ];
    for first in 0..ranked.len() {
        let mut here: Vec<InterfaceAddress> =
            ranked[first..].iter().map(|(interface, address)| at(interface, address)).collect();
        here.reverse();
        assert_eq!(chosen(&here), [ranked[first].1]);
    }
}

#[test]
fn a_machine_with_only_loopback_relays_for_itself() {
    let choice = by_itself(&[lo(), at("lo", "::1")]);
    assert_eq!(choice.addresses.len(), 1);
    assert_eq!(choice.addresses[0].bind, ip("127.0.0.1"));
    assert!(choice.addresses[0].why.contains("no IPv4 address but its loopback"));
    assert!(choice.warnings[0].contains("only programs on this machine"), "{choice:?}");
}

#[test]
fn a_machine_without_any_address_is_told_what_to_do() {
    let down = InterfaceAddress { is_up: false, ..lo() };
    let errors = choose(&[down], Wishes::default()).unwrap_err();
    assert!(errors[0].contains("ip link set lo up"), "{errors:?}");
}

#[test]
fn private_addresses_of_real_interfaces_come_before_those_of_container_bridges() {
    for bridge in ["docker0", "br-0a1b2c3d4e5f", "veth12", "virbr0"] {
        let here = [at(bridge, "172.17.0.1"), at("eth0", "192.168.1.5")];
        assert_eq!(chosen(&here), ["192.168.1.5"], "{bridge}");
    }
    // A bridge somebody made for the machine's own network is a real interface.
    let here = [at("br0", "192.168.1.5"), at("eth0", "192.168.2.5")];
    assert_eq!(chosen(&here), ["192.168.1.5"]);
}

#[test]
fn an_ipv6_address_is_global_and_here_to_stay() {
    let global = at("eth0", "2600::7");
    let v4 = at("eth0", "1.2.3.7");
    assert_eq!(chosen(&[v4.clone(), global.clone()]), ["1.2.3.7", "2600::7"]);
    for other in [
        InterfaceAddress { is_temporary: true, ..global.clone() },
        InterfaceAddress { is_deprecated: true, ..global.clone() },
        InterfaceAddress { is_tentative: true, ..global.clone() },
        InterfaceAddress { is_up: false, ..global.clone() },
        at("eth0", "fd00::2"),
        at("eth0", "fe80::1"),
        at("lo", "::1"),
        at("eth0", "2002:102:307::1"),
    ] {
        assert_eq!(chosen(&[v4.clone(), other.clone()]), ["1.2.3.7"], "{other:?}");
        assert_eq!(chosen(&[other.clone(), v4.clone(), global.clone()])[1], "2600::7");
    }
    assert_eq!(chosen(&[global]), ["2600::7"]);
}

#[test]
fn an_external_address_is_what_clients_are_told() {
    let here = [lo(), at("eth0", "10.0.0.5"), at("eth1", "10.1.0.5"), at("eth0", "fd00::5")];
    for (written, bind) in [("203.0.113.7", "10.0.0.5"), ("203.0.113.7/10.1.0.5", "10.1.0.5")] {
        let wishes = Wishes { external: &[external(written)], ..Wishes::default() };
        let choice = choose(&here, wishes).unwrap();
        assert_eq!(choice.addresses.len(), 1);
        assert_eq!(choice.addresses[0].bind, ip(bind));
        assert_eq!(choice.addresses[0].advertised, ip("203.0.113.7"));
        assert_eq!(choice.warnings, Vec::<String>::new());
        let shown = choice.addresses[0].to_string();
        let start = format!("relaying on {bind}, clients are told 203.0.113.7: ");
        assert!(shown.starts_with(&start), "{shown}");
    }
    let wishes = Wishes { external: &[external("2600::7/fd00::5")], ..Wishes::default() };
    assert_eq!(choose(&here, wishes).unwrap().addresses[1].advertised, ip("2600::7"));
}

#[test]
fn an_external_address_that_fits_nothing_is_refused_with_what_to_write() {
    let here = [at("eth0", "10.0.0.5"), at("eth1", "10.0.0.6")];
    let refused = |relay: &[&str], written: &str| {
        let relay: Vec<IpAddr> = relay.iter().map(|a| ip(a)).collect();
        let wishes = Wishes { relay_addresses: &relay, external: &[external(written)], found: &[] };
        choose(&here, wishes).unwrap_err().remove(0)
    };
    assert!(refused(&[], "1.2.3.7/10.0.0.9").contains("10.0.0.9 in `external` is not an"));
    assert!(refused(&[], "2600::7").contains("no IPv6 address to relay on"));
    assert!(refused(&["10.0.0.5"], "1.2.3.7/10.0.0.6").contains("10.0.0.6 is not relayed on"));
    let several = refused(&["10.0.0.5", "10.0.0.6"], "1.2.3.7");
    assert!(several.contains("external = [\"1.2.3.7/10.0.0.5\"]"), "{several}");
}

#[test]
fn named_addresses_are_taken_as_named_or_refused() {
    let down = InterfaceAddress { is_up: false, ..at("eth2", "10.0.0.7") };
    let tentative = InterfaceAddress { is_tentative: true, ..at("eth0", "2600::7") };
    let here = [lo(), at("lo", "::1"), at("eth0", "10.0.0.5"), down, tentative];
    let named = |list: &[&str]| {
        let relay_addresses: Vec<IpAddr> = list.iter().map(|a| ip(a)).collect();
        choose(&here, Wishes { relay_addresses: &relay_addresses, ..Wishes::default() })
    };
    let both = named(&["127.0.0.1", "::1"]).unwrap();
    assert_eq!(both.addresses.len(), 2);
    assert_eq!(both.addresses[1].bind, ip("::1"));
    assert_eq!(both.warnings.len(), 2);
    let errors = named(&["10.0.0.5", "10.0.0.7", "2600::7", "203.0.113.7"]).unwrap_err();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors[0].contains("10.0.0.7 is on eth2, which is down"), "{errors:?}");
    assert!(errors[1].contains("2600::7 is not ready on eth0"), "{errors:?}");
    assert!(errors[2].contains("203.0.113.7 is not an address of this machine (it has"));
    assert!(errors[2].contains("external = [\"203.0.113.7/PRIVATE\"]"), "{errors:?}");
}
