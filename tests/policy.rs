//! Policy as a stranger would check it: every row of the table, own addresses, order of the rules.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use turnbell::policy::peers::{Denied, PeerPolicy, PeerPolicyOptions, Route, fold};

// What a peer must not lie in, written down here a second time so that the table in the code is
// compared with something. NEVER: no configuration opens it.
const NEVER: &str = "\
    0.0.0.0/32 224.0.0.0/4 240.0.0.0/4 255.255.255.255/32 ::/128 ff00::/8";
const CLOSED: &str = "\
    0.0.0.0/8 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 127.0.0.0/8 \
    168.63.129.16/32 169.254.0.0/16 192.0.0.0/24 192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 \
    192.88.99.0/24 198.18.0.0/15 192.31.196.0/24 192.52.193.0/24 192.175.48.0/24 ::1/128 \
    ::/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/32 \
    2001::/23 2001:db8::/32 3fff::/20 2002::/16 2620:4f:8000::/48 5f00::/16 fc00::/7 \
    fe80::/10 fec0::/10";

const PUBLIC: &str = "192.0.2.10";
const PRIVATE: &str = "10.0.0.5";

#[test]
fn first_middle_and_last_address_of_every_row_are_denied_whatever_the_method() {
    let policy = PeerPolicy::new(PeerPolicyOptions::default());
    for row in rows() {
        for inside in samples(row) {
            for ip in spellings(inside) {
                assert!(matches!(address(&policy, ip), Err(Denied::Table(_))), "{ip} of {row}");
                assert!(
                    matches!(peer(&policy, ip, 50_000), Err(Denied::Table(_))),
                    "{ip} of {row}"
                );
            }
        }
    }
}

#[test]
fn neighbours_just_outside_each_row_pass_unless_another_row_holds_them() {
    let policy = PeerPolicy::new(PeerPolicyOptions::default());
    let mut passed = 0;
    for row in rows() {
        for outside in neighbours(row) {
            // Folding comes first, so a v4-mapped neighbour is judged as IPv4.
            let outside = fold(outside);
            let elsewhere = rows().any(|other| other.contains(&outside));
            for ip in spellings(outside) {
                let expected = if elsewhere { None } else { Some(Route::Kernel) };
                assert_eq!(address(&policy, ip).ok(), expected, "{ip} beside {row}");
                assert_eq!(peer(&policy, ip, 50_000).ok(), expected, "{ip} beside {row}");
            }
            passed += usize::from(!elsewhere);
        }
    }
    assert!(passed >= 2 * rows().count() - 24, "only {passed} neighbours were outside every row");
}

#[test]
fn encodings_of_a_loopback_or_private_address_are_denied() {
    let policy = PeerPolicy::new(PeerPolicyOptions::default());
    for text in [
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "::ffff:169.254.169.254",
        "::ffff:224.0.0.251",
        "::ffff:0.0.0.0",
        "::ffff:10.0.0.5",
        "fd00:ec2::254",
        "100.100.100.200",
        "192.0.0.192",
    ] {
        assert!(matches!(address(&policy, ip(text)), Err(Denied::Table(_))), "{text}");
    }
}

#[test]
fn what_is_allowed_is_never_v4_mapped() {
    let policy = PeerPolicy::new(PeerPolicyOptions::default());
    let mapped = "[::ffff:8.8.8.8]:50000".parse().unwrap();
    assert_eq!(policy.permit_address(ip("::ffff:8.8.8.8")).unwrap().ip(), ip("8.8.8.8"));
    let allowed = policy.permit_peer(mapped).unwrap();
    assert_eq!(allowed.addr(), "8.8.8.8:50000".parse().unwrap());
    assert_eq!(allowed.ip(), ip("8.8.8.8"));
    assert_eq!(allowed.address(), policy.permit_address(ip("8.8.8.8")).unwrap());
}

#[test]
fn allow_private_peers_opens_every_row_except_unspecified_multicast_and_reserved() {
    let open = PeerPolicy::new(PeerPolicyOptions {
        allow_private: nets(&["0.0.0.0/0", "::/0"]),
        ..PeerPolicyOptions::default()
    });
    for row in rows() {
        for inside in samples(row) {
            let never = NEVER.split(' ').any(|row| net(row).contains(&inside));
            for ip in spellings(inside) {
                assert_eq!(address(&open, ip).is_err(), never, "{ip} of {row}");
                assert_eq!(peer(&open, ip, 50_000).is_err(), never, "{ip} of {row}");
            }
        }
    }
}

#[test]
fn allow_private_peers_opens_its_own_prefix_and_not_the_rest_of_the_row() {
    let policy = PeerPolicy::new(PeerPolicyOptions {
        allow_private: nets(&["10.1.0.0/16", "::ffff:192.168.7.9/120", "fd00:7::/32"]),
        ..PeerPolicyOptions::default()
    });
    for opened in ["10.1.0.0", "10.1.255.255", "192.168.7.0", "192.168.7.255", "fd00:7::1"] {
        assert_eq!(address(&policy, ip(opened)), Ok(Route::Kernel), "{opened}");
    }
    for closed in ["10.0.255.255", "10.2.0.0", "192.168.6.255", "192.168.8.0", "fd00:8::"] {
        assert!(matches!(address(&policy, ip(closed)), Err(Denied::Table(_))), "{closed}");
    }
}

#[test]
fn the_operators_deny_wins_over_his_allow_and_over_what_the_table_lets_pass() {
    let policy = PeerPolicy::new(PeerPolicyOptions {
        deny: nets(&["10.1.2.0/24", "8.8.8.0/24", "2a00:1::/32"]),
        allow_private: nets(&["10.1.0.0/16", "8.8.8.8/32"]),
        ..PeerPolicyOptions::default()
    });
    for denied in ["10.1.2.0", "10.1.2.255", "8.8.8.8", "::ffff:8.8.8.8", "2a00:1::"] {
        assert_eq!(address(&policy, ip(denied)), Err(Denied::OperatorDeny), "{denied}");
        assert_eq!(peer(&policy, ip(denied), 50_000), Err(Denied::OperatorDeny), "{denied}");
    }
    for open in ["10.1.1.255", "10.1.3.0", "8.8.7.255", "8.8.9.0", "2a00:2::"] {
        assert_eq!(address(&policy, ip(open)), Ok(Route::Kernel), "{open}");
    }
}

#[test]
fn broadcast_and_network_address_of_a_local_network_stay_closed_even_if_allowed() {
    let policy = PeerPolicy::new(PeerPolicyOptions {
        local_networks: nets(&[
            "10.9.0.77/24",
            "9.9.9.8/30",
            "9.9.8.0/31",
            "9.9.7.1/32",
            "2a00::1/64",
        ]),
        allow_private: nets(&["10.9.0.0/16", "9.9.9.8/32"]),
        ..PeerPolicyOptions::default()
    });
    for closed in ["10.9.0.0", "10.9.0.255", "9.9.9.8", "9.9.9.11", "::ffff:10.9.0.255"] {
        assert_eq!(address(&policy, ip(closed)), Err(Denied::LocalBroadcast), "{closed}");
        assert_eq!(peer(&policy, ip(closed), 50_000), Err(Denied::LocalBroadcast), "{closed}");
    }
    for open in ["10.9.0.1", "10.9.0.254", "10.9.1.0", "9.9.9.9", "9.9.8.0", "9.9.8.1", "9.9.7.1"] {
        assert_eq!(address(&policy, ip(open)), Ok(Route::Kernel), "{open}");
    }
    assert_eq!(address(&policy, ip("2a00::")), Ok(Route::Kernel));
}

#[test]
fn port_zero_is_no_peer() {
    let policy = behind_nat(&["127.0.0.0/8"]);
    for text in ["8.8.8.8", PUBLIC, "127.0.0.1"] {
        assert!(address(&policy, ip(text)).is_ok());
        assert_eq!(peer(&policy, ip(text), 0), Err(Denied::PortZero), "{text}");
    }
    assert_eq!(peer(&policy, ip("8.8.8.8"), 1), Ok(Route::Kernel));
}

#[test]
fn an_advertised_relay_address_is_permitted_and_reached_inside_only_on_relay_ports() {
    let policy = behind_nat(&[]);
    for public in spellings(ip(PUBLIC)) {
        assert_eq!(address(&policy, public), Ok(Route::InProcess));
        assert_eq!(peer(&policy, public, 50_000), Ok(Route::InProcess));
        assert_eq!(peer(&policy, public, 50_999), Ok(Route::InProcess));
        for outside in [1, 3478, 8080, 49_999, 51_000, 65_535] {
            let denied = peer(&policy, public, outside).unwrap_err();
            assert!(matches!(denied, Denied::NotARelayPort | Denied::OwnListener), "{outside}");
        }
    }
}

#[test]
fn an_advertised_relay_address_in_a_denied_range_is_still_permitted() {
    for relay in ["127.0.0.1", "10.0.0.5", "192.168.1.2", "fd00::5", "::1", "169.254.1.1"] {
        let policy = PeerPolicy::new(PeerPolicyOptions {
            advertised_relay: vec![ip(relay)],
            own: vec![ip(relay)],
            local_networks: nets(&["192.168.1.0/24"]),
            deny: nets(&["0.0.0.0/0", "::/0"]),
            relay_ports: 50_000..=50_999,
            ..PeerPolicyOptions::default()
        });
        assert_eq!(address(&policy, ip(relay)), Ok(Route::InProcess), "{relay}");
        assert_eq!(peer(&policy, ip(relay), 50_000), Ok(Route::InProcess), "{relay}");
        assert_eq!(peer(&policy, ip(relay), 49_999), Err(Denied::NotARelayPort), "{relay}");
    }
}

#[test]
fn every_other_own_address_is_denied_where_the_table_would_let_it_pass() {
    let policy = behind_nat(&[]);
    // An interface beside the relay and a listener's address, both public.
    for own in ["9.9.9.1", "9.9.9.2", "2a00:9::1"] {
        for ip in spellings(ip(own)) {
            assert_eq!(address(&policy, ip), Err(Denied::OwnAddress), "{own}");
            assert_eq!(peer(&policy, ip, 50_000), Err(Denied::OwnAddress), "{own}");
        }
    }
    // The private side of the relay and loopback: the table has them.
    for own in [PRIVATE, "127.0.0.1", "127.8.8.8", "::1"] {
        assert!(matches!(address(&policy, ip(own)), Err(Denied::Table(_))), "{own}");
        assert!(matches!(peer(&policy, ip(own), 50_000), Err(Denied::Table(_))), "{own}");
    }
    for neighbour in ["9.9.9.0", "9.9.9.3", "2a00:9::2"] {
        assert_eq!(address(&policy, ip(neighbour)), Ok(Route::Kernel), "{neighbour}");
    }
}

#[test]
fn an_own_address_named_in_allow_private_peers_is_reached_through_the_kernel() {
    let policy = behind_nat(&["127.0.0.0/8", "9.9.9.1/32", "10.0.0.0/8"]);
    for own in ["127.0.0.1", "127.8.8.8", "9.9.9.1", PRIVATE] {
        assert_eq!(address(&policy, ip(own)), Ok(Route::Kernel), "{own}");
        assert_eq!(peer(&policy, ip(own), 9), Ok(Route::Kernel), "{own}");
        assert_eq!(peer(&policy, ip(own), 50_000), Ok(Route::Kernel), "{own}");
    }
    assert_eq!(address(&policy, ip("9.9.9.2")), Err(Denied::OwnAddress));
}

#[test]
fn own_listening_ports_stay_closed_where_allow_private_peers_opens_the_address() {
    let policy =
        behind_nat(&["127.0.0.0/8", "::1/128", "9.9.9.0/24", "10.0.0.0/8", "192.0.2.0/24"]);
    // 3478 is open on every address of the machine, 8080 on loopback, 3479 on 9.9.9.2.
    for own in ["127.0.0.1", "127.8.8.8", "::1", "9.9.9.1", "9.9.9.2", PRIVATE, PUBLIC] {
        for ip in spellings(ip(own)) {
            assert_eq!(peer(&policy, ip, 3478), Err(Denied::OwnListener), "{own}");
            assert_eq!(peer(&policy, ip, 3477), Ok(Route::Kernel), "{own}");
        }
    }
    for (own, port) in [("127.0.0.1", 8080), ("9.9.9.2", 3479), ("::ffff:127.0.0.1", 8080)] {
        assert_eq!(peer(&policy, ip(own), port), Err(Denied::OwnListener), "{own}:{port}");
    }
    assert_eq!(
        peer(&policy, ip("9.9.9.1"), 8080),
        Ok(Route::Kernel),
        "a listener of loopback only"
    );
    assert_eq!(peer(&policy, ip("10.0.0.6"), 3478), Ok(Route::Kernel), "another machine's port");
    assert_eq!(peer(&policy, ip("8.8.8.8"), 3478), Ok(Route::Kernel), "another machine's port");
}

#[test]
fn a_listener_on_the_private_side_is_closed_on_the_public_side_too() {
    let policy = PeerPolicy::new(PeerPolicyOptions {
        advertised_relay: vec![ip(PUBLIC)],
        own: vec![ip(PRIVATE)],
        listeners: vec![at(PRIVATE, 50_100)],
        relay_ports: 50_000..=50_999,
        allow_private: nets(&["192.0.2.10/32"]),
        ..PeerPolicyOptions::default()
    });
    assert_eq!(peer(&policy, ip(PUBLIC), 50_100), Err(Denied::OwnListener));
    assert_eq!(peer(&policy, ip(PUBLIC), 50_101), Ok(Route::InProcessElseKernel));
}

#[test]
fn an_advertised_address_that_is_also_opened_is_reached_inside_first_and_then_by_the_kernel() {
    let policy = behind_nat(&["192.0.2.10/32"]);
    assert_eq!(address(&policy, ip(PUBLIC)), Ok(Route::InProcessElseKernel));
    for (port, route) in [
        (49_999, Route::Kernel),
        (50_000, Route::InProcessElseKernel),
        (50_999, Route::InProcessElseKernel),
        (51_000, Route::Kernel),
    ] {
        assert_eq!(peer(&policy, ip(PUBLIC), port), Ok(route), "{port}");
    }
    // The operator's deny takes the kernel away again, never the inside.
    let denied = PeerPolicy::new(PeerPolicyOptions {
        advertised_relay: vec![ip(PUBLIC)],
        relay_ports: 50_000..=50_999,
        deny: nets(&["192.0.2.0/24"]),
        allow_private: nets(&["192.0.2.10/32"]),
        ..PeerPolicyOptions::default()
    });
    assert_eq!(address(&denied, ip(PUBLIC)), Ok(Route::InProcess));
    assert_eq!(peer(&denied, ip(PUBLIC), 49_999), Err(Denied::NotARelayPort));
}

/// A VPS behind NAT: relays as PUBLIC, sits on PRIVATE, has more addresses and listeners.
fn behind_nat(allow_private: &[&str]) -> PeerPolicy {
    PeerPolicy::new(PeerPolicyOptions {
        advertised_relay: vec![ip(PUBLIC)],
        own: [PRIVATE, "9.9.9.1", "::ffff:9.9.9.1", "2a00:9::1"].map(ip).into(),
        listeners: vec![
            at("0.0.0.0", 3478),
            at("::", 3478),
            at("127.0.0.1", 8080),
            at("9.9.9.2", 3479),
        ],
        relay_ports: 50_000..=50_999,
        allow_private: nets(allow_private),
        ..PeerPolicyOptions::default()
    })
}

fn address(policy: &PeerPolicy, ip: IpAddr) -> Result<Route, Denied> {
    policy.permit_address(ip).map(|allowed| {
        assert_eq!(allowed.ip(), ip.to_canonical());
        allowed.route()
    })
}

fn peer(policy: &PeerPolicy, ip: IpAddr, port: u16) -> Result<Route, Denied> {
    policy.permit_peer(SocketAddr::new(ip, port)).map(|allowed| {
        assert_eq!(allowed.addr(), SocketAddr::new(ip.to_canonical(), port));
        allowed.route()
    })
}

/// First, middle and last address.
fn samples(net: IpNet) -> [IpAddr; 3] {
    let (first, last) = ends(net);
    [first, first + (last - first) / 2, last].map(|bits| with_bits(net, bits))
}

/// The address before the first and the one after the last, where there is one.
fn neighbours(net: IpNet) -> Vec<IpAddr> {
    let (first, last) = ends(net);
    let most = if net.addr().is_ipv4() { u32::MAX.into() } else { u128::MAX };
    let outside = [first.checked_sub(1), last.checked_add(1).filter(|bits| *bits <= most)];
    outside.into_iter().flatten().map(|bits| with_bits(net, bits)).collect()
}

fn ends(net: IpNet) -> (u128, u128) {
    match net {
        IpNet::V4(net) => (net.network().to_bits().into(), net.broadcast().to_bits().into()),
        IpNet::V6(net) => (net.network().to_bits(), net.broadcast().to_bits()),
    }
}

fn with_bits(like: IpNet, bits: u128) -> IpAddr {
    match like {
        IpNet::V4(_) => Ipv4Addr::from_bits(bits.try_into().unwrap()).into(),
        IpNet::V6(_) => Ipv6Addr::from_bits(bits).into(),
    }
}

/// An address as itself and, if it is IPv4, v4-mapped.
fn spellings(ip: IpAddr) -> Vec<IpAddr> {
    match ip {
        IpAddr::V4(v4) => vec![ip, v4.to_ipv6_mapped().into()],
        IpAddr::V6(_) => vec![ip],
    }
}

fn rows() -> impl Iterator<Item = IpNet> {
    NEVER.split(' ').chain(CLOSED.split(' ')).map(net)
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| net(text)).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(text: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip(text), port)
}

#[test] // decisions R16
fn data_for_a_reflection_port_is_refused_and_a_permission_is_not() {
    let policy = PeerPolicy::new(PeerPolicyOptions::default());
    let refused: Vec<u16> =
        (0..=u16::MAX).filter(|port| peer(&policy, outside(), *port).is_err()).collect();
    assert_eq!(
        refused,
        [
            0, 7, 17, 19, 25, 53, 69, 111, 123, 137, 138, 139, 161, 389, 427, 520, 623, 1900, 3283,
            3702, 5353, 11211
        ]
    );
    assert_eq!(peer(&policy, outside(), 53), Err(Denied::ReflectionPort));
    assert_eq!(peer(&policy, outside(), 0), Err(Denied::PortZero));
    assert!(address(&policy, outside()).is_ok());
}

#[test]
fn reflection_ports_are_what_the_operator_says() {
    let of = |ports: &[std::ops::RangeInclusive<u16>]| {
        let policy = PeerPolicy::new(PeerPolicyOptions {
            reflection_ports: ports.to_vec(),
            ..PeerPolicyOptions::default()
        });
        (1..=u16::MAX).filter(|port| peer(&policy, outside(), *port).is_err()).collect::<Vec<_>>()
    };
    assert!(of(&[]).is_empty());
    assert_eq!(of(&[65_535..=65_535, 8..=9, 1..=2, 2..=3, 9..=9]), [1, 2, 3, 8, 9, 65_535]);
}

#[test]
fn a_relayed_address_of_ours_reflects_nothing_whatever_its_port() {
    let advertised = ip("192.88.100.1");
    let policy = PeerPolicy::new(PeerPolicyOptions {
        advertised_relay: vec![advertised],
        relay_ports: 1024..=65_535,
        ..PeerPolicyOptions::default()
    });
    assert_eq!(peer(&policy, advertised, 11_211), Ok(Route::InProcess));
    assert_eq!(peer(&policy, advertised, 53), Err(Denied::NotARelayPort));
    // Where the operator opened the way through the kernel beside it, that one stays closed.
    let policy = PeerPolicy::new(PeerPolicyOptions {
        advertised_relay: vec![advertised],
        relay_ports: 1024..=65_535,
        allow_private: vec![advertised.into()],
        ..PeerPolicyOptions::default()
    });
    assert_eq!(peer(&policy, advertised, 11_211), Ok(Route::InProcess));
    assert_eq!(peer(&policy, advertised, 11_212), Ok(Route::InProcessElseKernel));
    assert_eq!(peer(&policy, advertised, 53), Err(Denied::ReflectionPort));
}

/// An address that no rule is about.
fn outside() -> IpAddr {
    ip("11.0.0.1")
}

#[test] // security.md section 2: any NAT64 prefix found through ipv4only.arpa
fn a_discovered_nat64_prefix_is_closed_to_its_last_address_unless_the_operator_opens_it() {
    let options = |allow: &[&str]| PeerPolicyOptions {
        nat64: nets(&["2001:470:64::/96"]),
        allow_private: nets(allow),
        ..PeerPolicyOptions::default()
    };
    let policy = PeerPolicy::new(options(&[]));
    for inside in ["2001:470:64::", "2001:470:64::10.0.0.1", "2001:470:64::ffff:ffff"] {
        assert_eq!(address(&policy, ip(inside)), Err(Denied::Nat64), "{inside}");
        assert_eq!(peer(&policy, ip(inside), 50_000), Err(Denied::Nat64), "{inside}");
    }
    for outside in ["2001:470:63:ffff:ffff:ffff:ffff:ffff", "2001:470:64::1:0:0"] {
        assert_eq!(address(&policy, ip(outside)), Ok(Route::Kernel), "{outside}");
    }
    let opened = PeerPolicy::new(options(&["2001:470:64::/96"]));
    assert_eq!(address(&opened, ip("2001:470:64::10.0.0.1")), Ok(Route::Kernel));
}
