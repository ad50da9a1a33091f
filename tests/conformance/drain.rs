//! Drain: no new allocation, everything else as before (R25).

use std::net::SocketAddr;

use turnbell::turn::contract::{Command, Input, Output, Wanted, Why};
use turnbell::turn::drain::Alternate;
use turnbell::turn::fact::Transport;
use turnbell::turn::five_tuple::{ConnectionNumber, FiveTuple};
use turnbell::turn::reservation::ReservationToken;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::Message;

use crate::support::event::{
    allocate, allocate_bare, binding, channel_bind, channel_data, create_permission, from_peer,
    refresh, socket_opened,
};
use crate::support::expectation::{
    allocates, asks_for, asks_for_socket, begins, maps, refreshes, rejects, repeats,
    sends_channel_data, sends_to_peer, succeeds,
};
use crate::support::ledger::Mood;
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_B, CLIENT_V6, PEER_A, PEER_B, server_for};
use turnbell::wire::address::Family;

fn alternate(server: &str, domain: Option<&str>) -> Alternate {
    Alternate { server: server.parse().unwrap(), domain: domain.map(Into::into) }
}

fn drain(t: &mut Turn, alternates: &[Alternate]) {
    t.relay.handle(t.now, Input::Command(Command::Drain(alternates.into())));
    assert_eq!(t.relay.poll(), None);
}

/// The attributes of the answer to a fresh Allocate.
fn answer(t: &mut Turn, client: SocketAddr) -> Vec<(AttributeType, Vec<u8>)> {
    answer_over(t, FiveTuple::udp(client, server_for(client)))
}

fn answer_over(t: &mut Turn, tuple: FiveTuple) -> Vec<(AttributeType, Vec<u8>)> {
    let bytes = t.encoded_over(tuple, allocate());
    t.relay.handle(t.now, Input::Datagram { tuple, bytes: &bytes });
    let mut output = t.relay.poll().unwrap();
    if let Output::OpenRelaySocket { token, .. } = output {
        let result = Err(Why::TotalQuota);
        t.relay.handle(t.now, Input::RelaySocketOpened { token, result });
        output = t.relay.poll().unwrap();
    }
    let Output::Send { bytes, .. } = output else { panic!("{output:?}") };
    let message = Message::parse(&bytes).unwrap();
    assert!(message.has_integrity());
    message.attributes().map(|(kind, value)| (kind, value.to_vec())).collect()
}

#[test] // R25
fn while_draining_what_is_live_goes_on_and_nothing_new_begins() {
    let mut t = Turn::allocated();
    t.bind(0x4000, PEER_A);
    drain(&mut t, &[]);
    t.check(allocate().at(CLIENT_B), rejects(508).at(CLIENT_B));
    t.check(refresh(), refreshes(600));
    t.check(create_permission(&[PEER_B]), succeeds());
    t.check(channel_bind(0x4001, PEER_B), succeeds());
    t.check(channel_data(0x4001, b"x"), sends_to_peer(PEER_B, b"x"));
    t.check(from_peer(PEER_A, b"x"), sends_channel_data(0x4000, b"x"));
    t.check(binding().at(CLIENT_B), maps().at(CLIENT_B));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §7.2: a retransmission gets its answer again; what is malformed stays malformed
fn an_allocate_that_was_answered_before_is_answered_again_and_an_open_one_is_finished() {
    let mut t = Turn::new();
    t.check(allocate().id(3), asks_for_socket(Family::V4).and(begins(600)));
    t.ledger.mood = Mood::Waits;
    t.check(allocate().at(CLIENT_B), asks_for_socket(Family::V4));
    drain(&mut t, &[]);
    t.check(allocate().id(3), repeats(600));
    t.check(socket_opened(Ok(())), begins(600).at(CLIENT_B));
    t.check(allocate_bare().at(CLIENT_V6), rejects(400).at(CLIENT_V6));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8489 §10 and §14.15: of the request's family, signed
fn a_client_is_sent_to_the_server_of_its_own_family_and_hears_508_where_there_is_none() {
    let mut t = Turn::new();
    drain(&mut t, &[alternate("192.0.2.99:3479", None), alternate("192.0.2.98:3479", None)]);
    t.check(allocate(), rejects(300));
    let attributes = answer(&mut t, CLIENT);
    let server = (AttributeType::ALTERNATE_SERVER, vec![0, 1, 13, 151, 192, 0, 2, 99]);
    assert!(attributes.contains(&server), "{attributes:?}");
    t.check(allocate().at(CLIENT_V6), rejects(508).at(CLIENT_V6));
    drain(&mut t, &[alternate("[2001:db8::99]:5349", Some("turn2.example.org"))]);
    t.check(allocate().at(CLIENT_V6), rejects(300).at(CLIENT_V6));
    t.check(allocate(), rejects(508));
    let attributes = answer(&mut t, CLIENT_V6);
    let domain = (AttributeType::ALTERNATE_DOMAIN, b"turn2.example.org".to_vec());
    assert!(attributes.contains(&domain), "{attributes:?}");
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8489 §10: the client asks the other server over the transport it has
fn a_client_over_tls_is_sent_to_the_server_with_a_name_and_others_to_one_without() {
    let mut t = Turn::new();
    let (plain, named) = ("192.0.2.99:3478", "192.0.2.98:5349");
    let over = |transport| FiveTuple {
        transport,
        connection: ConnectionNumber(7),
        ..FiveTuple::udp(CLIENT, server_for(CLIENT))
    };
    let sent_to = |port: [u8; 2], host| {
        let value = [&[0, 1][..], &port, &[192, 0, 2, host]].concat();
        (AttributeType::ALTERNATE_SERVER, value)
    };
    let name = (AttributeType::ALTERNATE_DOMAIN, b"turn2.example.org".to_vec());
    for swapped in [false, true] {
        let mut both = [alternate(plain, None), alternate(named, Some("turn2.example.org"))];
        if swapped {
            both.reverse();
        }
        drain(&mut t, &both);
        let attributes = answer_over(&mut t, over(Transport::Tls));
        assert!(attributes.contains(&sent_to([0x14, 0xE5], 98)), "{attributes:?}");
        assert!(attributes.contains(&name), "{attributes:?}");
        for tuple in [over(Transport::Tcp), FiveTuple::udp(CLIENT, server_for(CLIENT))] {
            let attributes = answer_over(&mut t, tuple);
            assert!(attributes.contains(&sent_to([0x0D, 0x96], 99)), "{attributes:?}");
            assert!(!attributes.contains(&name), "{attributes:?}");
        }
    }
    // One is better than none.
    drain(&mut t, &[alternate(plain, None)]);
    let attributes = answer_over(&mut t, over(Transport::Tls));
    assert!(attributes.contains(&sent_to([0x0D, 0x96], 99)), "{attributes:?}");
}

/// A relay that names other servers of both families.
fn with_alternates() -> Turn {
    Turn::with(|setup| {
        setup.alternates =
            vec![alternate("192.0.2.99:3479", None), alternate("[2001:db8::99]:3479", None)];
    })
}

#[test] // R25
fn a_full_server_sends_new_clients_to_another_one_of_their_family_and_without_one_says_508() {
    for why in [Why::TotalQuota, Why::Ports, Why::Bind] {
        let mut t = with_alternates();
        t.ledger.mood = Mood::Refuses(why);
        t.check(allocate(), asks_for_socket(Family::V4).and(rejects(300)));
        let attributes = answer(&mut t, CLIENT);
        let server = (AttributeType::ALTERNATE_SERVER, vec![0, 1, 13, 151, 192, 0, 2, 99]);
        assert!(attributes.contains(&server), "{attributes:?}");
        t.check(
            allocate().at(CLIENT_V6),
            asks_for_socket(Family::V4).and(rejects(300)).at(CLIENT_V6),
        );
        t.replace(|setup| setup.alternates.truncate(1));
        t.check(
            allocate().at(CLIENT_V6),
            asks_for_socket(Family::V4).and(rejects(508)).at(CLIENT_V6),
        );
        t.check_nothing_left_after_s(0);
    }
}

#[test] // R18, R25: elsewhere the same user would only start again
fn whoever_has_enough_is_told_so_and_sent_nowhere() {
    for why in [Why::UserQuota, Why::SourceQuota] {
        let mut t = with_alternates();
        t.ledger.mood = Mood::Refuses(why);
        t.check(allocate(), asks_for_socket(Family::V4).and(rejects(486)));
        t.check_nothing_left_after_s(0);
    }
}

#[test] // RFC 8656 §7.2 step 5: 508; the reserved port is here and nowhere else
fn who_shows_a_token_is_sent_nowhere() {
    for why in [Why::Reservation, Why::TotalQuota] {
        let mut t = with_alternates();
        t.ledger.mood = Mood::Refuses(why);
        let wanted = Wanted::Reserved(ReservationToken([7; 8]));
        let request = allocate().raw(AttributeType::RESERVATION_TOKEN, &[7; 8]);
        t.check(request, asks_for(wanted).and(rejects(508)));
        t.check_nothing_left_after_s(0);
    }
}

#[test]
fn a_server_with_room_keeps_its_clients() {
    let mut t = with_alternates();
    t.check(allocate(), allocates(600));
    t.check_nothing_left_after_s(600);
}
