//! General behaviour (RFC 8656 §5): what is answered, what is not, and to whom.

use turnbell::turn::contract::Discard;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Method, message_type};

use crate::support::event::{
    allocate, allocate_bare, binding, bytes, channel_data, create_permission, refresh, send,
};
use crate::support::expectation::{
    allocates, discards, maps, refreshes, rejects_unknown, sends_to_peer, succeeds,
};
use crate::support::request::Request;
use crate::support::turn::Turn;
use crate::support::{CLIENT, PEER_A, SERVER, SERVER_V6, v4};

#[test] // RFC 8656 §5: without an allocation, indications and ChannelData are silently ignored
fn data_on_a_five_tuple_without_an_allocation_is_dropped() {
    let mut t = Turn::new();
    t.check(send(PEER_A, b"x"), discards(Discard::NoAllocation));
    t.check(channel_data(0x4000, b"x"), discards(Discard::NoAllocation));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8489 §6.3: the method value must be a supported one, or silence
fn requests_of_unknown_methods_are_silent() {
    let known = [1, 3, 4, 8, 9, 0xA, 0xB];
    let mut t = Turn::allocated();
    for method in (0..=0xFFF_u16).filter(|method| !known.contains(method)) {
        let kind = (method & 0xF) | (method & 0x70) << 1 | (method & 0xF80) << 2;
        t.check(Request::of_type(kind), discards(Discard::UnknownMethod));
    }
    // Send and Data are indications only.
    t.check(Request::of_type(0x0006), discards(Discard::UnknownMethod));
    t.check(Request::of_type(0x0007), discards(Discard::UnknownMethod));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8489 §6.3.3 and §6.3.4: a server asks nothing, so nothing can answer it
fn responses_are_never_answered() {
    let mut t = Turn::allocated();
    for class in [Class::SuccessResponse, Class::ErrorResponse] {
        for method in [Method::BINDING, Method::ALLOCATE, Method::REFRESH, Method::CHANNEL_BIND] {
            let response = Request::new(class, method);
            t.check(response.clone(), discards(Discard::Response));
            let error = response.raw(AttributeType::ERROR_CODE, &[0, 0, 4, 1]);
            t.check(error, discards(Discard::Response));
        }
    }
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8489 §6.3.2, RFC 8656 §5
fn indications_are_never_answered() {
    let mut t = Turn::allocated();
    for method in [
        Method::BINDING,
        Method::ALLOCATE,
        Method::REFRESH,
        Method::DATA,
        Method::CREATE_PERMISSION,
        Method::CHANNEL_BIND,
        Method::CONNECT,
    ] {
        let indication = Request::new(Class::Indication, method);
        t.check(indication.clone(), discards(Discard::UselessIndication));
        let odd = indication.raw(AttributeType(0x7FF0), &[]).peer(PEER_A);
        t.check(odd, discards(Discard::UselessIndication));
    }
    t.check_nothing_left_after_s(600);
}

#[test] // security.md D3: nobody is behind port 0
fn datagrams_from_port_0_are_dropped_whatever_they_are() {
    let mut t = Turn::allocated();
    let nobody = v4([203, 0, 113, 5], 0);
    t.check(binding().at(nobody), discards(Discard::BadSource));
    t.check(allocate_bare().unsigned().at(nobody), discards(Discard::BadSource));
    t.check(channel_data(0x4000, b"x").at(nobody), discards(Discard::BadSource));
    t.check(send(PEER_A, b"x").at(nobody), discards(Discard::BadSource));
    t.check(bytes(b"").at(nobody), discards(Discard::BadSource));
    t.check_nothing_left_after_s(600);
}

#[test] // security.md D3: a spoofed source must not make us talk to ourselves
fn datagrams_from_our_own_listening_address_are_dropped() {
    let mut t = Turn::new();
    for server in [SERVER, SERVER_V6] {
        t.check(binding().at(server), discards(Discard::BadSource));
        t.check(allocate().unsigned().at(server), discards(Discard::BadSource));
    }
    // The same address with another port may be anybody behind the same NAT.
    let neighbour = v4([198, 51, 100, 1], 40_000);
    t.check(binding().at(neighbour), maps().at(neighbour));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8489 §6.3.1: 420 lists what was not understood; security.md C8: bounded
fn unknown_required_attributes_are_listed_once_each_and_16_at_most() {
    let mut t = Turn::new();
    let many =
        (0..300_u16).fold(allocate(), |request, n| request.raw(AttributeType(0x7000 + n), &[]));
    let listed: Vec<u16> = (0x7000..0x7010).collect();
    t.check(many, rejects_unknown(&listed));
    let sixteen =
        (0..16_u16).fold(binding(), |request, n| request.raw(AttributeType(0x7000 + n), &[]));
    t.check(sixteen, rejects_unknown(&listed));
    let repeated = (0..300).fold(binding(), |request, _| request.raw(AttributeType(0x7FF0), &[]));
    t.check(repeated, rejects_unknown(&[0x7FF0]));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8489 §15.1: comprehension-required ends at 0x7FFF
fn attributes_from_0x8000_on_are_ignored_when_unknown() {
    let mut t = Turn::new();
    t.check(binding().raw(AttributeType(0x7FFF), &[]), rejects_unknown(&[0x7FFF]));
    t.check(binding().raw(AttributeType(0x8000), &[]), maps());
    // ICE's own, in a check that came to the wrong door.
    t.check(binding().raw(AttributeType(0x0025), &[]), rejects_unknown(&[0x0025]));
    t.check(binding().raw(AttributeType(0x802A), &[1; 8]), maps());
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8489 §6.3: known but unexpected attributes should be ignored
fn known_attributes_without_use_are_ignored() {
    let odd = |request: Request| {
        request
            .raw(AttributeType::CHANNEL_NUMBER, &[1])
            .raw(AttributeType::DATA, b"?")
            .raw(AttributeType::XOR_MAPPED_ADDRESS, &[])
            .raw(AttributeType::ERROR_CODE, &[0, 0, 4, 1])
            .raw(AttributeType::UNKNOWN_ATTRIBUTES, &[0x7F, 0xF0])
    };
    let mut t = Turn::new();
    t.check(odd(binding()), maps());
    t.check(odd(allocate()), allocates(600));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 3489's attributes that move an answer elsewhere: security.md C9
fn change_request_and_response_address_are_420() {
    let mut t = Turn::new();
    for kind in [0x0002, 0x0003, 0x0004, 0x0005, 0x0027] {
        let request = binding().raw(AttributeType(kind), &[0, 0, 0, 6]);
        t.check(request, rejects_unknown(&[kind]));
    }
    // MOBILITY-TICKET is optional to understand and has no effect.
    t.check(allocate().raw(AttributeType(0x8030), b"ticket"), allocates(600));
    t.check_nothing_left_after_s(600);
}

#[test] // security.md C2: RFC 7635 is not offered
fn third_party_tokens_are_420() {
    let mut t = Turn::new();
    for length in [0, 8, 735] {
        let request = allocate().raw(AttributeType(0x001B), &vec![0xFF; length]);
        t.check(request, rejects_unknown(&[0x001B]));
    }
    t.check_nothing_left_after_s(0);
}

#[test] // contract: what is counted adds up
fn every_datagram_of_a_client_is_counted_once() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    t.bind(0x4000, PEER_A);
    let before = t.relay.counters().clone();
    t.check(send(PEER_A, b"x"), sends_to_peer(PEER_A, b"x"));
    t.check(channel_data(0x4000, b"x"), sends_to_peer(PEER_A, b"x"));
    t.check(binding(), maps());
    t.check(create_permission(&[PEER_A]), succeeds());
    t.check(refresh(), refreshes(600));
    t.check(bytes(b"GET / HTTP/1.1\r\n"), discards(Discard::MalformedChannelData));
    let after = t.relay.counters();
    assert_eq!(after.datagrams_from_clients - before.datagrams_from_clients, 6);
    assert_eq!(after.forwarded_to_peers - before.forwarded_to_peers, 2);
    assert_eq!(after.successes - before.successes, 2);
    assert_eq!(after.bindings - before.bindings, 1);
    assert_eq!(after.discarded_total() - before.discarded_total(), 1);
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8489 §5, figure 3
fn the_types_on_the_wire_are_those_of_the_registry() {
    for (class, method, kind) in [
        (Class::Request, Method::BINDING, 0x0001),
        (Class::SuccessResponse, Method::BINDING, 0x0101),
        (Class::Request, Method::ALLOCATE, 0x0003),
        (Class::ErrorResponse, Method::ALLOCATE, 0x0113),
        (Class::Indication, Method::SEND, 0x0016),
        (Class::Indication, Method::DATA, 0x0017),
        (Class::SuccessResponse, Method::CREATE_PERMISSION, 0x0108),
        (Class::ErrorResponse, Method::CHANNEL_BIND, 0x0119),
    ] {
        assert_eq!(message_type(class, method), kind);
    }
    assert_eq!(CLIENT.port(), 40_000);
}
