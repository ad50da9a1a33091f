//! A watched verification: what came from it and what it was answered, and nothing of anybody else.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turnbell::auth::credential::AuthFailure;
use turnbell::limits::watch::{WATCH_EVENTS_MAX, WATCH_TIME};
use turnbell::policy::watch::{Certainty, WatchId, Wish};
use turnbell::turn::contract::Discard;
use turnbell::turn::fact::{EndReason, Traffic};
use turnbell::turn::watch::{Watched, What};
use turnbell::wire::message::{Method, TransactionId};

use crate::support::event::{
    allocate, binding, bytes, channel_bind, create_permission, from_peer, refresh, send,
};
use crate::support::expectation::{
    allocates, discards, ends, maps, refreshes, refuses, rejects, sends_data_indication,
    sends_to_peer, succeeds,
};
use crate::support::request::Credential;
use crate::support::setup::{credential, credential_until};
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_B, PEER_A, PEER_PRIVATE, v4};

const ID: WatchId = WatchId(7);
/// Somebody else behind the NAT of `CLIENT`.
const NEIGHBOUR: SocketAddr = v4([203, 0, 113, 5], 40_777);

fn username_of(user: &str) -> String {
    String::from_utf8(credential(user).username).unwrap()
}

fn watch(t: &mut Turn, id: WatchId, username: &str, addresses: &[IpAddr]) {
    let wish = Wish { id, username: username.into(), addresses: addresses.to_vec() };
    t.relay.watch(t.now, wish).unwrap();
}

fn watching_alice() -> Turn {
    let mut t = Turn::new();
    watch(&mut t, ID, &username_of("alice"), &[CLIENT.ip()]);
    t
}

fn watched(t: &mut Turn) -> Watched {
    t.relay.watched(t.now, ID).unwrap()
}

/// Certainty and event, oldest first.
fn seen(t: &mut Turn) -> Vec<(Certainty, What)> {
    watched(t).trace.events.into_iter().map(|(how, event)| (how, event.what)).collect()
}

fn certain(t: &mut Turn) -> Vec<What> {
    let all = seen(t).into_iter();
    all.filter(|(how, _)| *how == Certainty::Certain).map(|(_, what)| what).collect()
}

#[test]
fn a_whole_run_is_told_from_the_first_packet_to_the_last_byte() {
    let mut t = watching_alice();
    t.check(binding(), maps());
    t.check(allocate(), allocates(600));
    let relayed = t.relayed(CLIENT);
    t.permit(PEER_A);
    t.check(create_permission(&[PEER_PRIVATE]), rejects(403));
    t.check(send(PEER_A, b"12345"), sends_to_peer(PEER_A, b"12345"));
    t.check(from_peer(PEER_A, b"1234567"), sends_data_indication(PEER_A, b"1234567"));
    let so_far = Traffic {
        packets_to_peers: 1,
        bytes_to_peers: 5,
        packets_to_client: 1,
        bytes_to_client: 7,
    };
    assert_eq!(watched(&mut t).live, so_far);
    t.check(refresh().lifetime(0), refreshes(0).and(ends(EndReason::Client)));
    let peers = vec![PEER_PRIVATE];
    assert_eq!(
        seen(&mut t),
        [
            (Certainty::Likely, What::Bound),
            // The harness asks for its nonce so.
            (Certainty::Likely, What::Challenged(Method::REFRESH)),
            (Certainty::Certain, What::Opened { relayed }),
            (Certainty::Certain, What::Done(Method::CREATE_PERMISSION)),
            (
                Certainty::Certain,
                What::Refused { method: Method::CREATE_PERMISSION, code: 403, peers }
            ),
            (Certainty::Certain, What::Ended { reason: EndReason::Client, traffic: so_far }),
            (Certainty::Certain, What::Done(Method::REFRESH)),
        ]
    );
    assert_eq!(watched(&mut t).live, Traffic::default());
}

#[test]
fn refused_credentials_are_told_with_their_true_cause() {
    let mut t = Turn::new();
    let old = credential_until("alice", crate::support::setup::START_S - 100);
    let name = String::from_utf8(old.username.clone()).unwrap();
    watch(&mut t, ID, &name, &[]);
    t.check(allocate().signed_by(old), refuses(401, AuthFailure::Expired { ago_s: 100 }));
    let wrong = Credential::new(name, "guess");
    t.check(allocate().signed_by(wrong), refuses(401, AuthFailure::WrongIntegrity));
    let method = Method::ALLOCATE;
    let causes = [AuthFailure::Expired { ago_s: 100 }, AuthFailure::WrongIntegrity];
    let expected = causes.map(|cause| What::NotAuthenticated { method, cause });
    assert_eq!(certain(&mut t), expected);
}

#[test]
fn two_pages_behind_one_nat_never_get_each_others_certain_lines() {
    let mut t = watching_alice();
    let other = WatchId(8);
    watch(&mut t, other, &username_of("bob"), &[CLIENT.ip()]);
    t.check(allocate(), allocates(600));
    let bob = || credential("bob");
    t.check(allocate().signed_by(bob()).at(NEIGHBOUR), allocates(600).at(NEIGHBOUR));
    t.check(channel_bind(0x4000, PEER_A), succeeds());
    let opened = |t: &Turn, client| What::Opened { relayed: t.relayed(client) };
    let (mine, theirs) = (opened(&t, CLIENT), opened(&t, NEIGHBOUR));
    assert_eq!(certain(&mut t), [mine, What::Done(Method::CHANNEL_BIND)]);
    let bobs = t.relay.watched(t.now, other).unwrap().trace.events;
    let certain: Vec<_> = bobs.iter().filter(|(how, _)| *how == Certainty::Certain).collect();
    assert_eq!(certain.len(), 1);
    assert_eq!(certain[0].1.what, theirs);
    assert_eq!(certain[0].1.client, NEIGHBOUR);
}

#[test]
fn of_others_nothing_is_kept() {
    let mut t = watching_alice();
    t.check(binding().at(CLIENT_B), maps().at(CLIENT_B));
    t.check(allocate().signed_by(credential("bob")).at(CLIENT_B), allocates(600).at(CLIENT_B));
    assert_eq!(seen(&mut t), []);
}

#[test]
fn what_is_no_message_is_told_as_unanswered() {
    let mut t = watching_alice();
    let mut old = [0_u8; 20];
    old[1] = 1;
    t.check(bytes(&old), discards(Discard::NoCookie));
    assert_eq!(seen(&mut t), [(Certainty::Likely, What::Unanswered(Discard::NoCookie))]);
}

#[test]
fn a_flood_beside_a_watch_changes_nothing_but_a_count() {
    let mut t = watching_alice();
    let nonce = t.ask_for_nonce(CLIENT);
    let request = binding().encode(TransactionId([9; 12]), b"");
    for n in 0..10_000_u16 {
        let _ = t.exchange(v4([203, 0, 113, 5], 20_000 + n), &request);
    }
    t.check(allocate().nonce(nonce), allocates(600));
    assert_eq!(certain(&mut t).len(), 1);
    let trace = watched(&mut t).trace;
    assert!(trace.events.len() <= WATCH_EVENTS_MAX);
    assert!(trace.dropped > 1000, "{}", trace.dropped);
}

#[test]
fn a_watch_ends_by_itself_and_leaves_nothing() {
    let mut t = watching_alice();
    t.check(binding(), maps());
    t.advance_without_tick(WATCH_TIME - Duration::from_millis(1));
    assert_eq!(seen(&mut t).len(), 1);
    t.advance_without_tick(Duration::from_millis(1));
    assert_eq!(t.relay.watched(t.now, ID), None);
    t.check(binding(), maps());
    assert!(t.relay.is_empty());
}
