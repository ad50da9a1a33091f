use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::wire::attribute::AttributeType;
use crate::wire::error_code::ErrorCode;
use crate::wire::message::{Class, Message, Method};
use crate::wire::writer::MessageWriter;

const LOCAL: &str = "10.0.0.5:50000";
const PUBLIC: &str = "203.0.113.7:50000";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn server(place: u8) -> SocketAddr {
    SocketAddr::from(([9, 9, 9, place], 3478))
}

fn id(place: u8) -> TransactionId {
    TransactionId([place; 12])
}

/// A round on a virtual clock.
struct Round {
    now: Now,
    began: Now,
    mapping: Mapping,
    /// Milliseconds from the beginning, and to whom.
    sent: Vec<(u128, SocketAddr)>,
    done: Option<Answers>,
}

impl Round {
    fn of(servers: u8) -> Self {
        let now = Now::read();
        let servers: Vec<_> = (1..=servers).map(|place| (server(place), id(place))).collect();
        let mapping = Mapping::new(now, at(LOCAL), &servers);
        let mut round = Self { now, began: now, mapping, sent: Vec::new(), done: None };
        round.input(Input::Tick);
        round
    }

    fn input(&mut self, input: Input<'_>) {
        self.mapping.handle(self.now, input);
        while let Some(output) = self.mapping.poll() {
            match output {
                Output::Send { to, bytes } => {
                    let message = Message::parse(&bytes).unwrap();
                    assert_eq!(message.class(), Class::Request);
                    assert_eq!(message.method(), Method::BINDING);
                    self.sent.push(((self.now.mono - self.began.mono).as_millis(), to));
                }
                Output::Done(answers) => assert_eq!(self.done.replace(answers), None),
            }
        }
        assert!(self.mapping.deadline().is_none_or(|next| next > self.now.mono), "it would spin");
        assert_eq!(self.mapping.deadline().is_none(), self.done.is_some());
    }

    /// Lets time go by, with a tick whenever one is due.
    fn until_ms(&mut self, ms: u64) {
        let end = self.began.after(Duration::from_millis(ms));
        while let Some(next) = self.mapping.deadline().filter(|next| *next <= end.mono) {
            self.now = self.now.after(next - self.now.mono);
            self.input(Input::Tick);
        }
        self.now = end;
    }

    fn hear(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.input(Input::Datagram { from, bytes });
    }

    /// Server `place` sees us at `mapped`.
    fn answers(&mut self, place: u8, mapped: &str) {
        self.hear(server(place), &success(id(place), mapped));
    }

    fn outcomes(self) -> Vec<Outcome> {
        self.done.expect("it is over").outcomes
    }
}

fn success(id: TransactionId, mapped: &str) -> Vec<u8> {
    MessageWriter::new(Class::SuccessResponse, Method::BINDING, id)
        .xor_address(AttributeType::XOR_MAPPED_ADDRESS, at(mapped))
        .finish(None, true)
}

#[test] // RFC 8489 §6.2.1: the example's times
fn a_silent_server_is_asked_seven_times_and_given_up_after_39_5_seconds() {
    let mut round = Round::of(1);
    round.until_ms(39_499);
    let times: Vec<u128> = round.sent.iter().map(|(ms, _)| *ms).collect();
    assert_eq!(times, [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
    assert_eq!(round.done, None);
    round.until_ms(39_500);
    assert_eq!(round.outcomes(), [Outcome::Silent]);
}

#[test]
fn an_answer_ends_the_round_and_nothing_is_sent_any_more() {
    let mut round = Round::of(1);
    round.answers(1, PUBLIC);
    let answers = round.done.clone().unwrap();
    assert_eq!(answers.first(), Some((0, at(PUBLIC))));
    assert_eq!((answers.other_address(), answers.other_port()), (None, None));
    round.until_ms(60_000);
    round.answers(1, "203.0.113.8:50000");
    assert_eq!((round.sent.len(), round.outcomes()), (1, vec![Outcome::Mapped(at(PUBLIC))]));
}

#[test]
fn only_the_server_that_was_asked_with_the_id_it_was_sent_is_believed() {
    let mut round = Round::of(1);
    let right = success(id(1), PUBLIC);
    round.hear(server(2), &right);
    round.hear(SocketAddr::new(server(1).ip(), 3479), &right);
    round.answers(2, PUBLIC);
    round.hear(server(1), &success(id(2), PUBLIC));
    let mut no_cookie = right.clone();
    no_cookie[4] ^= 1;
    round.hear(server(1), &no_cookie);
    let mut bad_fingerprint = right.clone();
    *bad_fingerprint.last_mut().unwrap() ^= 1;
    round.hear(server(1), &bad_fingerprint);
    let request = MessageWriter::new(Class::Request, Method::BINDING, id(1)).finish(None, true);
    round.hear(server(1), &request);
    let other = MessageWriter::new(Class::SuccessResponse, Method::ALLOCATE, id(1))
        .xor_address(AttributeType::XOR_MAPPED_ADDRESS, at(PUBLIC));
    round.hear(server(1), &other.finish(None, true));
    for length in 0..right.len() {
        round.hear(server(1), &right[..length]);
    }
    assert_eq!(round.done, None);
    round.hear(server(1), &right);
    assert_eq!(round.outcomes(), [Outcome::Mapped(at(PUBLIC))]);
}

#[test]
fn an_answer_that_is_no_public_address_of_our_family_is_not_used() {
    for (mapped, outcome) in [
        ("10.0.0.5:50000", Outcome::NotPublic(at("10.0.0.5:50000"), "private")),
        ("100.64.0.9:50000", Outcome::NotPublic(at("100.64.0.9:50000"), "carrier-grade NAT")),
        ("127.0.0.1:50000", Outcome::NotPublic(at("127.0.0.1:50000"), "loopback")),
        ("224.0.0.1:50000", Outcome::NotPublic(at("224.0.0.1:50000"), "multicast")),
        ("[2600::7]:50000", Outcome::Useless),
        ("203.0.113.7:0", Outcome::Useless),
    ] {
        let mut round = Round::of(1);
        round.answers(1, mapped);
        let answers = round.done.clone().unwrap();
        assert_eq!((answers.first(), round.outcomes()), (None, vec![outcome]), "{mapped}");
    }
}

#[test]
fn errors_and_empty_answers_end_the_wait_for_that_server() {
    let start = |class| MessageWriter::new(class, Method::BINDING, id(1));
    let code = ErrorCode::BAD_REQUEST.to_value();
    let error = start(Class::ErrorResponse).attribute(AttributeType::ERROR_CODE, &code);
    let empty = start(Class::SuccessResponse);
    let unknown = start(Class::SuccessResponse)
        .attribute(AttributeType(0x7FF0), &[])
        .xor_address(AttributeType::XOR_MAPPED_ADDRESS, at(PUBLIC));
    // A server that serves RFC 3489, too.
    let old = start(Class::SuccessResponse)
        .attribute(AttributeType(0x0004), &[0; 8])
        .attribute(AttributeType(0x0005), &[0; 8])
        .xor_address(AttributeType::XOR_MAPPED_ADDRESS, at(PUBLIC));
    for (answer, outcome) in [
        (error, Outcome::Error(400)),
        (start(Class::ErrorResponse), Outcome::Error(0)),
        (empty, Outcome::Useless),
        (unknown, Outcome::Useless),
        (old, Outcome::Mapped(at(PUBLIC))),
    ] {
        let mut round = Round::of(1);
        round.hear(server(1), &answer.finish(None, false));
        assert_eq!(round.outcomes(), [outcome]);
    }
    let mut round = Round::of(1);
    round.input(Input::NotSent(server(1)));
    assert_eq!(round.outcomes(), [Outcome::NotSent]);
}

#[test]
fn once_one_has_answered_the_others_have_two_seconds_and_the_first_in_order_counts() {
    let mut round = Round::of(3);
    round.until_ms(1000);
    round.answers(3, "203.0.113.9:50000");
    round.until_ms(1999);
    assert_eq!(round.done, None);
    round.answers(2, PUBLIC);
    round.until_ms(2000);
    let answers = round.done.clone().unwrap();
    assert_eq!(answers.first(), Some((1, at(PUBLIC))));
    assert_eq!(answers.other_address(), Some((2, at("203.0.113.9:50000"))));
    assert_eq!(round.outcomes()[0], Outcome::Silent);
}

#[test]
fn a_late_answer_is_good_where_nobody_was_earlier() {
    let mut round = Round::of(2);
    round.until_ms(31_000);
    round.answers(2, PUBLIC);
    assert_eq!(round.outcomes(), [Outcome::Silent, Outcome::Mapped(at(PUBLIC))]);
}

#[test]
fn a_nat_that_changes_the_port_shows() {
    let mut round = Round::of(2);
    round.answers(1, PUBLIC);
    round.answers(2, "203.0.113.7:61000");
    let answers = round.done.unwrap();
    assert_eq!((answers.other_port(), answers.other_address()), (Some(61_000), None));
}
