//! Which address counts, header by header.

use hyper::header::HeaderValue;

use super::*;

const PROXY: &str = "127.0.0.1";

/// `headers` come from [`PROXY`]; trusted are 127.0.0.0/8, 10.0.0.0/8 and 2001:db8:1::/48.
fn of(headers: &[(&'static str, &str)]) -> HttpClient {
    from(PROXY, headers)
}

fn from(peer: &str, headers: &[(&'static str, &str)]) -> HttpClient {
    let trusted = ["127.0.0.0/8", "10.0.0.0/8", "2001:db8:1::/48"].map(|net| net.parse().unwrap());
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    HttpClient::of(peer.parse().unwrap(), &map, &trusted)
}

fn client(address: &str, told: Told) -> HttpClient {
    HttpClient { address: address.parse().unwrap(), told }
}

const X: &str = "x-forwarded-for";
const STANDARD: &str = "forwarded";

#[track_caller]
fn check_x(value: &str, address: &str, told: Told) {
    assert_eq!(of(&[(X, value)]), client(address, told), "{value:?}");
}

#[track_caller]
fn check_standard(value: &str, address: &str, told: Told) {
    assert_eq!(of(&[(STANDARD, value)]), client(address, told), "{value:?}");
}

#[test]
fn what_anybody_but_a_trusted_proxy_says_does_not_count() {
    for peer in ["203.0.113.9", "126.255.255.255", "11.0.0.0", "2001:db8:2::1"] {
        for headers in [&[][..], &[(X, "127.0.0.1")], &[(STANDARD, "for=127.0.0.1")]] {
            assert_eq!(from(peer, headers), client(peer, Told::Direct));
        }
    }
    for peer in ["127.255.255.255", "10.0.0.0", "2001:db8:1::1", "::ffff:10.1.2.3"] {
        let found = from(peer, &[(X, "203.0.113.5")]);
        assert_eq!(found, client("203.0.113.5", Told::Forwarded), "{peer}");
    }
}

#[test]
fn the_right_most_address_that_is_no_proxy_of_ours_is_the_client() {
    use Told::{Forwarded, Nothing, Unknown};
    for (value, address, told) in [
        ("203.0.113.5", "203.0.113.5", Forwarded),
        ("127.0.0.1, 203.0.113.5", "203.0.113.5", Forwarded),
        ("198.51.100.1, 203.0.113.5, 10.0.0.2,10.0.0.1", "203.0.113.5", Forwarded),
        ("nonsense, 203.0.113.5 \t, 10.0.0.1", "203.0.113.5", Forwarded),
        // All of them are proxies of ours: the first speaks for itself.
        ("10.0.0.3, 10.0.0.2", "10.0.0.3", Forwarded),
        ("127.0.0.1", "127.0.0.1", Forwarded),
        // What stands next to the last trusted proxy cannot be read, and nothing left of it counts.
        ("203.0.113.5, unknown", PROXY, Unknown),
        ("203.0.113.5, unknown, 10.0.0.1", "10.0.0.1", Unknown),
        ("203.0.113.5, _hidden", PROXY, Unknown),
        ("203.0.113.5, unix:", PROXY, Unknown),
        ("203.0.113.5, 203.0.113", PROXY, Unknown),
        ("203.0.113.5, 010.0.0.1", PROXY, Unknown),
        ("203.0.113.5, fe80::1%eth0", PROXY, Unknown),
        ("203.0.113.5, 0.0.0.0", PROXY, Unknown),
        ("203.0.113.5, localhost", PROXY, Unknown),
        ("for=203.0.113.5", PROXY, Unknown),
        // Nothing at all.
        ("", PROXY, Nothing),
        (" , ,", PROXY, Nothing),
        (", 203.0.113.5,", "203.0.113.5", Forwarded),
    ] {
        check_x(value, address, told);
    }
    assert_eq!(of(&[]), client(PROXY, Nothing));
    assert_eq!(of(&[("x-real-ip", "203.0.113.5")]), client(PROXY, Nothing));
}

#[test]
fn ports_and_brackets_are_taken_off_and_ipv4_inside_ipv6_is_ipv4() {
    for (value, address) in [
        ("203.0.113.5:41000", "203.0.113.5"),
        ("2001:db8::5", "2001:db8::5"),
        ("[2001:db8::5]", "2001:db8::5"),
        ("[2001:db8::5]:41000", "2001:db8::5"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("[::ffff:203.0.113.5]:41000", "203.0.113.5"),
        ("2001:db8::5, 2001:db8:1::9", "2001:db8::5"),
    ] {
        check_x(value, address, Told::Forwarded);
        let quoted = value.split(", ").map(|node| format!("for=\"{node}\"")).collect::<Vec<_>>();
        check_standard(&quoted.join(", "), address, Told::Forwarded);
    }
    for bad in
        ["203.0.113.5:", "203.0.113.5:x", "203.0.113.5:65536", "[2001:db8::5", "[203.0.113.5]"]
    {
        check_x(bad, PROXY, Told::Unknown);
    }
}

#[test]
fn lines_of_a_header_are_one_list_in_their_order() {
    let lines = [(X, "198.51.100.1, 203.0.113.5"), (X, "10.0.0.2"), (X, "10.0.0.1")];
    assert_eq!(of(&lines), client("203.0.113.5", Told::Forwarded));
    let lines = [(X, "10.0.0.2"), (X, "198.51.100.1, 203.0.113.5")];
    assert_eq!(of(&lines), client("203.0.113.5", Told::Forwarded));
    let lines = [(STANDARD, "for=\"open"), (STANDARD, "for=203.0.113.5")];
    assert_eq!(of(&lines), client("203.0.113.5", Told::Forwarded), "the client's own line");
    let lines = [(STANDARD, "for=203.0.113.5"), (STANDARD, "for=\"open")];
    assert_eq!(of(&lines), client(PROXY, Told::Unknown));
    let binary = [(X, "203.0.113.5"), (X, "\u{e9}")];
    assert_eq!(of(&binary), client(PROXY, Told::Unknown));
}

#[test]
fn forwarded_is_read_by_its_grammar() {
    use Told::{Forwarded, Nothing, Unknown};
    for (value, address, told) in [
        ("for=203.0.113.5", "203.0.113.5", Forwarded),
        ("FOR=203.0.113.5;proto=https;by=_x, for=10.0.0.2", "203.0.113.5", Forwarded),
        ("proto=https ; For=\"203.0.113.5:1\" ;; by=\"a;b,c\\\"d\"", "203.0.113.5", Forwarded),
        ("for=198.51.100.1,, , for=203.0.113.5 ,", "203.0.113.5", Forwarded),
        ("for=203.0.113.5, for=unknown", PROXY, Unknown),
        ("for=203.0.113.5, for=\"_SEVKISEK\", for=10.0.0.1", "10.0.0.1", Unknown),
        ("for=203.0.113.5, proto=https", PROXY, Unknown),
        ("for=203.0.113.5;for=198.51.100.1", PROXY, Unknown),
        ("for=203.0.113.5 for=198.51.100.1", PROXY, Unknown),
        ("for=2001:db8::5", PROXY, Unknown),
        ("for=", PROXY, Unknown),
        ("=x", PROXY, Unknown),
        ("203.0.113.5", PROXY, Unknown),
        ("for = 203.0.113.5", PROXY, Unknown),
        ("for=\"203.0.113.5", PROXY, Unknown),
        ("for=\"203.0.113.5\\", PROXY, Unknown),
        ("", PROXY, Nothing),
        (",;,", PROXY, Nothing),
    ] {
        check_standard(value, address, told);
    }
}

#[test]
fn a_quote_that_the_client_left_open_does_not_swallow_the_proxys_word_unnoticed() {
    for forged in ["for=1.1.1.1;a=\"", "for=\"1.1.1.1", "for=1.1.1.1;a=\"\\"] {
        for word in ["for=203.0.113.5", "for=\"203.0.113.5\"", "for=\"[2001:db8::5]:1\";by=\"x\""] {
            let found = of(&[(STANDARD, &format!("{forged}, {word}"))]);
            assert_ne!(found.address, IpAddr::from([1, 1, 1, 1]), "{forged}, {word}");
        }
    }
}

#[test]
fn both_headers_must_name_the_same_client() {
    let both = |x: &str, standard: &str| of(&[(X, x), (STANDARD, standard)]);
    let agreed = client("203.0.113.5", Told::Forwarded);
    assert_eq!(both("198.51.100.1, 203.0.113.5", "for=203.0.113.5"), agreed);
    assert_eq!(both("203.0.113.5", ""), agreed);
    assert_eq!(both("", "for=203.0.113.5"), agreed);
    let unknown = client(PROXY, Told::Unknown);
    assert_eq!(both("203.0.113.5", "for=127.0.0.1"), unknown);
    assert_eq!(both("127.0.0.1", "for=203.0.113.5"), unknown);
    assert_eq!(both("203.0.113.5", "for=unknown"), unknown);
    assert_eq!(both("nonsense", "for=203.0.113.5"), unknown);
}

#[test]
fn an_address_counts_as_the_clients_unless_only_a_proxys_is_known() {
    let known = |address, told| client(address, told).known().map(|ip| ip.to_string());
    for told in [Told::Direct, Told::Forwarded, Told::Nothing] {
        assert_eq!(known("203.0.113.5", told).as_deref(), Some("203.0.113.5"));
    }
    assert_eq!(known("10.0.0.1", Told::Unknown), None);
}
