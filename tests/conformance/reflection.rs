//! Reflection ports (decisions R16): no data goes there, and a permission has nothing to do with it.

use turnbell::turn::contract::Discard;

use crate::support::event::{channel_bind, channel_data, create_permission, send};
use crate::support::expectation::{discards, rejects, sends_to_peer, succeeds};
use crate::support::turn::Turn;
use crate::support::v4;

const PORTS: [u16; 22] = [
    0, 7, 17, 19, 25, 53, 69, 111, 123, 137, 138, 139, 161, 389, 427, 520, 623, 1900, 3283, 3702,
    5353, 11_211,
];

#[test]
fn a_channel_to_a_reflection_port_is_403_and_a_send_is_dropped() {
    let mut t = Turn::allocated();
    for port in PORTS {
        let peer = v4([192, 0, 2, 10], port);
        t.check(create_permission(&[peer]), succeeds());
        t.check(channel_bind(0x4000, peer), rejects(403));
        t.check(send(peer, b"x"), discards(Discard::PeerForbidden));
    }
    // What was refused left the number free.
    let peer = v4([192, 0, 2, 10], 54);
    t.check(channel_bind(0x4000, peer), succeeds());
    t.check(channel_data(0x4000, b"x"), sends_to_peer(peer, b"x"));
    for port in [1, 52, 54, 443, 1023, 1899, 1901, 3478, 11_210, 11_212] {
        let peer = v4([192, 0, 2, 10], port);
        t.check(send(peer, b"x"), sends_to_peer(peer, b"x"));
    }
    t.check_nothing_left_after_s(600);
}

#[test]
fn the_operator_says_which_ports_they_are() {
    let mut t = Turn::with(|setup| setup.policy.reflection_ports = vec![443..=444]);
    t.check(crate::support::event::allocate(), crate::support::expectation::allocates(600));
    for (port, refused) in [(442, false), (443, true), (444, true), (445, false), (53, false)] {
        let peer = v4([192, 0, 2, 10], port);
        t.permit(peer);
        let seen =
            if refused { discards(Discard::PeerForbidden) } else { sends_to_peer(peer, b"x") };
        t.check(send(peer, b"x"), seen);
    }
    t.check_nothing_left_after_s(600);
}
