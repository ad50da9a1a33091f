//! STUN framing (RFC 8489 §5, §6.3, §14): bytes that are not a message get no answer.

use turnbell::turn::contract::Discard;

use crate::support::CLIENT;
use crate::support::event::{Event, allocate, binding, bytes, hex, unhex};
use crate::support::expectation::{discards, maps, rejects, rejects_unknown};
use crate::support::setup::REALM;
use crate::support::turn::Turn;

/// The transaction id of the examples.
const TID: &str = "000102030405060708090a0b";

fn binding_of(length: &str, attributes: &str) -> Event {
    hex(&format!("0001 {length} 2112a442 {TID} {attributes}"))
}

#[test] // RFC 8489 §5: cookie, length, first two bits
fn broken_headers_are_silent() {
    let mut t = Turn::new();
    t.check(bytes(b""), discards(Discard::NotStun));
    t.check(bytes(&[0]), discards(Discard::NotStun));
    t.check(hex("0001 0000 2112a442 000102030405060708090a"), discards(Discard::NotStun));
    for bit in 0..32 {
        let cookie = 0x2112_A442_u32 ^ (1 << bit);
        let odd = hex(&format!("0001 0000 {cookie:08x} {TID}"));
        t.check(odd, discards(Discard::NoCookie));
    }
    t.check(binding_of("0003", "616263"), discards(Discard::BadLength));
    t.check(binding_of("0004", ""), discards(Discard::BadLength));
    t.check(binding_of("0000", "00000000"), discards(Discard::BadLength));
    t.check(binding_of("fffc", ""), discards(Discard::BadLength));
    t.check(binding_of("0000", ""), maps());
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8489 §5 and RFC 7983: the first byte says what it is
fn only_first_bytes_of_stun_and_channel_data_are_looked_at() {
    let mut t = Turn::new();
    for first in 0..=255_u8 {
        let mut datagram = unhex(&format!("0001 0000 2112a442 {TID}"));
        datagram[0] = first;
        let expected = match first {
            0 => maps(),
            // Methods that do not exist, or responses.
            0x01 => discards(Discard::Response),
            0x02..=0x3F if first & 1 == 1 => discards(Discard::Response),
            0x02..=0x3F => discards(Discard::UnknownMethod),
            0x40..=0x4F => discards(Discard::NoAllocation),
            0x50..=0xFF => discards(Discard::NotStun),
        };
        // ChannelData of length 0 and a number in range: padding behind it is allowed.
        if first & 0xF0 == 0x40 {
            datagram[2..4].fill(0);
        }
        t.check(bytes(&datagram), expected);
    }
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8489 §14; security.md C7
fn attributes_that_overrun_or_lack_their_padding_are_silent() {
    let mut t = Turn::new();
    t.check(binding_of("0008", "0006ffff 41414141"), discards(Discard::AttributeOverrun));
    t.check(binding_of("0008", "00060005 41414141"), discards(Discard::AttributeOverrun));
    t.check(binding_of("0004", "00060001"), discards(Discard::AttributeOverrun));
    // The last value is 3 bytes long and its padding is missing: the length is no multiple of 4.
    t.check(binding_of("0007", "00060003 414141"), discards(Discard::BadLength));
    t.check(binding_of("0008", "00060003 414141ff"), maps());
    t.check(binding_of("0004", "00060000"), maps());
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8489 §14.7
fn a_fingerprint_that_is_wrong_or_not_last_is_silent() {
    let mut t = Turn::new();
    let good = t.encoded(CLIENT, binding().fingerprint().id(3));
    t.check(bytes(&good), maps());
    for bit in 0..32 {
        let mut wrong = good.clone();
        wrong[24 + bit / 8] ^= 1 << (bit % 8);
        t.check(bytes(&wrong), discards(Discard::BadFingerprint));
    }
    let mut behind = good;
    behind[3] += 4;
    behind.extend_from_slice(&[0x80, 0x22, 0, 0]);
    t.check(bytes(&behind), discards(Discard::BadFingerprint));
    t.check(binding_of("0004", "80280000"), discards(Discard::BadFingerprint));
    t.check_nothing_left_after_s(0);
}

#[test] // security.md C8, in its own hex
fn an_unknown_required_attribute_is_420_and_an_optional_one_is_ignored() {
    let mut t = Turn::new();
    t.check(binding_of("0008", "7ff00004 01020304"), rejects_unknown(&[0x7FF0]));
    t.check(binding_of("0008", "fff00004 01020304"), maps());
    let allocate = format!("0003 0008 2112a442 {TID} 7ff00004 01020304");
    t.check(hex(&allocate), rejects(401));
    assert_eq!(REALM, "turnbell");
    t.check_nothing_left_after_s(0);
}

#[test] // security.md C7: traps with sound framing reach authentication and no further
fn attributes_of_no_length_and_of_great_number_are_challenged() {
    let mut t = Turn::new();
    let empty = ["0006", "0014", "0015", "0012", "000d", "0019", "0017", "0013", "000c"];
    let attributes: String = empty.iter().map(|kind| format!("{kind}0000")).collect();
    t.check(hex(&format!("0003 0024 2112a442 {TID} {attributes}")), rejects(401));
    let many = "00060000".repeat(500);
    t.check(hex(&format!("0003 07d0 2112a442 {TID} {many}")), rejects(401));
    // Empty USERNAME, REALM, NONCE and an integrity of the right length.
    let integrity = format!("00080014 {}", "00".repeat(20));
    let signed = format!("0003 0024 2112a442 {TID} 00060000 00140000 00150000 {integrity}");
    let seen = t.act(hex(&signed));
    assert_eq!(seen.len(), 2, "a 401 and a fact: {seen:?}");
    t.check_nothing_left_after_s(0);
}

#[test] // security.md D3: other protocols that find our port
fn datagrams_of_other_protocols_are_silent() {
    let mut t = Turn::new();
    for (other, reason) in [
        (&b"\x16\xfe\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x36\x01"[..], Discard::NotStun),
        (b"\x80\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00", Discard::NotStun),
        (b"\xab\xcd\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00", Discard::NotStun),
        (b"\x24\x01\x06\xec\x00\x00\x00\x00\x00\x00\x00\x00", Discard::NotStun),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Discard::MalformedChannelData),
        (b"\xFF\xFF\xFF\xFF getstatus", Discard::NotStun),
    ] {
        t.check(bytes(other), discards(reason));
    }
    t.check_nothing_left_after_s(0);
}

#[test] // security.md C1, C7: every length and every truncation of a real request
fn no_prefix_and_no_extension_of_a_request_is_answered() {
    let mut t = Turn::new();
    let whole = t.encoded(CLIENT, allocate().fingerprint());
    for cut in 0..whole.len() {
        assert!(t.exchange(CLIENT, &whole[..cut]).is_empty(), "cut at {cut}");
    }
    for more in 1..64 {
        let longer = [&whole[..], &vec![0; more]].concat();
        assert!(t.exchange(CLIENT, &longer).is_empty(), "{more} bytes more");
    }
    t.check_nothing_left_after_s(0);
}
