//! The whole relay under clients that know their passwords: a small language of steps.
//!
//! Each step is a byte that says which, then what it needs. The bytes of the messages are right
//! unless a step says where to change one, before signing or afterwards.

use std::net::SocketAddr;
use std::time::Duration;

use turnbell::turn::contract::Why;
use turnbell::turn::icmp::IcmpError;
use turnbell::turn::relayed_address::RelayPort;
use turnbell::wire::address::XorAddress;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Method, TransactionId, message_type};

use super::ledger::{FIRST_PORT, Mood};
use super::place::{Policy, RELAYS, Secrets, Setting, v4, v6};
use super::reader::Reader;
use super::repair::repaired;
use super::signer::{Form, Sent, append, begin, set_length};
use super::world::World;

/// Steps of one execution.
const STEPS_MAX: usize = 48;

/// One execution: options, then steps, then two hours in which everything must end.
pub(crate) fn run(data: &[u8]) {
    let mut reader = Reader::new(data);
    let mut world = World::new(Setting::read(&mut reader));
    for _ in 0..STEPS_MAX {
        if reader.is_at_end() {
            break;
        }
        step(&mut world, &mut reader);
        world.check();
    }
    world.finish();
}

fn step(world: &mut World, reader: &mut Reader<'_>) {
    match reader.u8() % 20 {
        0 | 1 => request(world, reader, Method::ALLOCATE),
        2 => request(world, reader, Method::REFRESH),
        3 | 4 => request(world, reader, Method::CREATE_PERMISSION),
        5 | 6 => request(world, reader, Method::CHANNEL_BIND),
        7 | 8 => send_indication(world, reader),
        9 => channel_data(world, reader),
        10 | 11 => {
            let relay = relay_port(reader.u8());
            let peer = peer(reader);
            let count = usize::from(reader.u8());
            world.peer_sends(relay, peer, reader.take(count));
        }
        12 => {
            let seconds = [0, 1, 60, 299, 300, 301, 599, 600, 3599, 3600];
            let by = Duration::from_secs(reader.pick(&seconds));
            let by = by + Duration::from_millis(reader.u8().into());
            world.advance(by, reader.u8() & 3 != 0);
        }
        13 => {
            let moods = [
                Mood::Opens,
                Mood::Waits,
                Mood::Refuses(Why::UserQuota),
                Mood::Refuses(Why::SourceQuota),
                Mood::Refuses(Why::TotalQuota),
                Mood::Refuses(Why::Ports),
                Mood::Refuses(Why::Bind),
                Mood::OpensV4Only,
                Mood::OpensV6Only,
            ];
            world.mood = reader.pick(&moods);
            world.answer_questions(reader.u8().into());
        }
        14 => match reader.u8() {
            client @ 0..128 => world.stream_closes(client.into()),
            which @ 128.. => world.late_close(which.into()),
        },
        15 => world.retransmit(reader.u8().into()),
        16 => match reader.u8() {
            0..100 => {
                let seconds = [-86_400, -3600, -31, 31, 271, 3600, 86_400, 1 << 40];
                world.now.unix_ms += reader.pick(&seconds) * 1000;
            }
            100..=254 => world.tick(),
            255 => world.stop(),
        },
        17 => {
            let client = reader.u8();
            let count = usize::from(reader.u8());
            let bytes = reader.take(count);
            let bytes = if client & 0x80 == 0 { repaired(bytes) } else { bytes.to_vec() };
            world.client_sends(client.into(), &bytes, None);
        }
        18 => {
            let relay = relay_port(reader.u8());
            let peer = peer(reader);
            let kind = reader.pick(&[3, 1, 2, 11, 0, 4]);
            let code = reader.u8();
            let error = IcmpError { kind, code: code & 7, mtu: reader.u16().into() };
            for _ in 0..=code >> 4 {
                world.icmp(relay, peer, error);
            }
        }
        _ => command(world, reader),
    }
}

fn command(world: &mut World, reader: &mut Reader<'_>) {
    let users = ["alice", "bob", "static"];
    match reader.u8() {
        0..80 => {
            let choices = reader.u8();
            let policy = if choices & 1 == 0 { Policy::Narrow } else { Policy::Wide };
            let secrets = if choices & 2 == 0 { Secrets::Both } else { Secrets::NextOnly };
            world.reload(policy, secrets, Setting::read(reader));
        }
        80..160 => {
            let for_s = [None, Some(60), Some(0), Some(3600)];
            world.revoke(reader.pick(&users), reader.pick(&for_s));
        }
        160..220 => world.restore(reader.pick(&users)),
        220..=255 => world.start_drain(reader.u8() & 1 == 0),
    }
}

fn request(world: &mut World, reader: &mut Reader<'_>, method: Method) {
    let client = usize::from(reader.u8());
    let form = Form::read(reader);
    let kind = message_type(Class::Request, method);
    let nonce = world.nonce(client);
    let mut message = begin(kind, world.fresh_id());
    if method == Method::CREATE_PERMISSION {
        // A list that is too long, or a few.
        let count = match reader.u8() {
            251 => 129,
            count => count % 4,
        };
        for _ in 0..count {
            append_peer(&mut message, peer(reader));
        }
    } else if method == Method::CHANNEL_BIND {
        append_number(&mut message, reader);
        append_peer(&mut message, peer(reader));
    } else {
        let choices = reader.u8();
        if method == Method::ALLOCATE {
            let protocol = if choices & 0x40 == 0 { 17 } else { reader.u8() };
            append(&mut message, AttributeType::REQUESTED_TRANSPORT, &[protocol, 0, 0, 0]);
            append_wishes(world, reader, &mut message, choices);
        }
        if choices & 1 != 0 {
            let seconds = reader.pick(&[0, 1, 599, 601, 3599, 3601, u32::MAX]);
            append(&mut message, AttributeType::LIFETIME, &seconds.to_be_bytes());
        }
        if choices & 2 != 0 {
            let family = reader.pick(&[1, 2, 2, 3]);
            let kind = AttributeType::REQUESTED_ADDRESS_FAMILY;
            append(&mut message, kind, &[family, 0, 0, 0]);
        }
    }
    form.extras(reader, &mut message);
    let sent: Sent = form.sign(message, &nonce);
    world.client_asks(client, sent);
}

/// Which ports and families an Allocate asks for.
fn append_wishes(world: &World, reader: &mut Reader<'_>, message: &mut Vec<u8>, choices: u8) {
    if choices & 4 != 0 {
        append(message, AttributeType::EVEN_PORT, &[reader.pick(&[0x80, 0, 0x7F, 0xFF])]);
    }
    if choices & 8 != 0 {
        let family = reader.pick(&[2, 2, 2, 1]);
        append(message, AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[family, 0, 0, 0]);
    }
    if choices & 0x10 != 0 {
        append(message, AttributeType::RESERVATION_TOKEN, &world.reservation(reader.u8()));
    }
    if choices & 0x20 != 0 {
        append(message, AttributeType::DONT_FRAGMENT, &[]);
    }
}

fn send_indication(world: &mut World, reader: &mut Reader<'_>) {
    let client = usize::from(reader.u8());
    let mut message = begin(message_type(Class::Indication, Method::SEND), world.fresh_id());
    append_peer(&mut message, peer(reader));
    if client & 0x80 != 0 {
        append(&mut message, AttributeType::DONT_FRAGMENT, &[]);
    }
    let count = usize::from(reader.u8());
    append(&mut message, AttributeType::DATA, reader.take(count));
    set_length(&mut message);
    world.client_sends(client, &message, None);
}

fn channel_data(world: &mut World, reader: &mut Reader<'_>) {
    let client = usize::from(reader.u8());
    let number = channel_number(reader);
    let data = {
        let count = usize::from(reader.u8());
        reader.take(count)
    };
    // Shorter than it says, as it says, or with something behind.
    let length = reader.pick(&[data.len(), data.len(), data.len() + 1, data.len() / 2]);
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend_from_slice(&(length as u16).to_be_bytes());
    bytes.extend_from_slice(data);
    world.client_sends(client, &bytes, None);
}

fn channel_number(reader: &mut Reader<'_>) -> u16 {
    reader.pick(&[0x4000, 0x4001, 0x4002, 0x4FFF, 0x5000, 0x7FFF, 0x3FFF, 0x8000])
}

fn append_number(message: &mut Vec<u8>, reader: &mut Reader<'_>) {
    let [high, low] = channel_number(reader).to_be_bytes();
    append(message, AttributeType::CHANNEL_NUMBER, &[high, low, 0, 0]);
}

fn append_peer(message: &mut Vec<u8>, peer: SocketAddr) {
    let id = TransactionId(message[8..20].try_into().expect("twelve bytes"));
    append(message, AttributeType::XOR_PEER_ADDRESS, XorAddress::encode(peer, &id).as_bytes());
}

/// An outside address, allowed or not, or a relayed one, live or not.
fn peer(reader: &mut Reader<'_>) -> SocketAddr {
    let outside = [
        v4([192, 0, 2, 10], 5000),
        v4([192, 0, 2, 10], 5001),
        v4([192, 0, 2, 20], 5000),
        v6([0x2001, 0xdb8, 2, 0, 0, 0, 0, 10], 5000),
        v4([192, 0, 2, 10], 0),
        v4([10, 0, 0, 5], 5000),
        v4([127, 0, 0, 1], 3478),
        v4([0, 0, 0, 0], 5000),
        v6([0, 0, 0, 0, 0, 0xFFFF, 0xC000, 0x020A], 5000),
        SocketAddr::new(RELAYS[0], 3478),
        SocketAddr::new(RELAYS[2], 80),
        v4([192, 0, 2, 20], 53),
        v6([0x2001, 0xdb8, 2, 0, 0, 0, 0, 20], 5000),
    ];
    match reader.u8() {
        choice @ 0..0x80 => outside[usize::from(choice) % outside.len()],
        choice @ 0x80.. => {
            let relay = relay_port(choice);
            SocketAddr::new(RELAYS[usize::from(relay.address)], relay.number)
        }
    }
}

fn relay_port(choice: u8) -> RelayPort {
    let number = FIRST_PORT + u16::from(choice >> 2 & 7);
    RelayPort { address: (choice & 3) % RELAYS.len() as u8, number }
}
