//! The machine alone: a virtual clock and servers that are played.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::auth::key::{LongTermKey, PasswordAlgorithm};
use crate::auth::secret::Secret;
use crate::limits::probe::{VERIFY_BYTES_MAX, VERIFY_STREAM_PATIENCE};
use crate::probe::observation::{Step, Trust, WaySeen};
use crate::probe::target::{Login, Place};
use crate::wire::address::XorAddress;
use crate::wire::attribute::AttributeType;
use crate::wire::message::{Class, Message, Method, TransactionId};
use crate::wire::writer::MessageWriter;

const SERVER: &str = "203.0.113.9:3478";
const REALM: &[u8] = b"example.org";
/// Password algorithms are offered.
const NONCE: &[u8] = b"obMatJos2gAAAnonce";

/// A server that does as told.
struct Server {
    /// Answers with this code, and does nothing.
    binding_code: u16,
    allocate_code: u16,
    permit_code: u16,
    is_md5: bool,
    password: &'static str,
    /// Whatever it says is garbled by this before it is sent.
    garble: fn(Vec<u8>) -> Vec<Vec<u8>>,
    relays: bool,
    is_silent: bool,
    relayed: BTreeMap<Link, SocketAddr>,
    /// What other clients of it hear.
    others: Vec<(Link, Vec<u8>)>,
}

impl Server {
    fn good() -> Self {
        Self {
            binding_code: 0,
            allocate_code: 0,
            permit_code: 0,
            is_md5: false,
            password: "password",
            garble: |bytes| vec![bytes],
            relays: true,
            is_silent: false,
            relayed: BTreeMap::new(),
            others: Vec::new(),
        }
    }

    fn hear(&mut self, link: Link, to: SocketAddr, bytes: &[u8]) -> Vec<(Link, Vec<u8>)> {
        self.others.clear();
        if self.is_silent {
            return Vec::new();
        }
        let answer = match Message::parse(bytes) {
            Ok(message) => self.message(link, &message),
            Err(_) => {
                // From a bare socket to a relayed address.
                let owner = self.relayed.iter().find(|(_, at)| **at == to);
                if let (Some((owner, _)), true) = (owner, self.relays) {
                    self.others.push((*owner, data(addr("192.0.2.1:999"), bytes)));
                }
                None
            }
        };
        let answers = answer.into_iter().flat_map(self.garble).map(|bytes| (link, bytes));
        answers.chain(self.others.drain(..)).collect()
    }

    fn message(&mut self, link: Link, message: &Message<'_>) -> Option<Vec<u8>> {
        let (method, id) = (message.method(), message.transaction_id());
        if message.class() == Class::Indication {
            self.relay(link, message);
            return None;
        }
        let success = || MessageWriter::new(Class::SuccessResponse, method, id);
        if method == Method::BINDING {
            return Some(if self.binding_code == 0 {
                let at = addr("192.0.2.1:999");
                success().xor_address(AttributeType::XOR_MAPPED_ADDRESS, at).finish(None, true)
            } else {
                error(method, id, self.binding_code).finish(None, true)
            });
        }
        let algorithm =
            if self.is_md5 { PasswordAlgorithm::Md5 } else { PasswordAlgorithm::Sha256 };
        let name = message.attribute(AttributeType::USERNAME).unwrap_or_default();
        let key = LongTermKey::derive(algorithm, name, REALM, self.password.as_bytes());
        if !message.integrity_matches(key.as_bytes()) {
            return Some(self.challenge(method, id, 401));
        }
        let sign = |writer: MessageWriter| match algorithm {
            PasswordAlgorithm::Md5 => writer.finish(Some(key.as_bytes()), false),
            PasswordAlgorithm::Sha256 => {
                writer.integrity_sha256(key.as_bytes()).finish(None, false)
            }
        };
        let code = match method {
            Method::ALLOCATE => self.allocate_code,
            Method::CREATE_PERMISSION => self.permit_code,
            _ => 0,
        };
        if code == 438 {
            return Some(self.challenge(method, id, 438));
        }
        if code != 0 {
            return Some(sign(error(method, id, code)));
        }
        let mut writer = success();
        if method == Method::ALLOCATE {
            let port = 50_000 + self.relayed.len() as u16;
            let relayed = SocketAddr::new(addr(SERVER).ip(), port);
            self.relayed.insert(link, relayed);
            writer = writer.xor_address(AttributeType::XOR_RELAYED_ADDRESS, relayed);
        }
        Some(sign(writer))
    }

    fn challenge(&self, method: Method, id: TransactionId, code: u16) -> Vec<u8> {
        let mut writer = error(method, id, code)
            .attribute(AttributeType::REALM, REALM)
            .attribute(AttributeType::NONCE, NONCE);
        if !self.is_md5 {
            let offer = PasswordAlgorithm::offer();
            writer = writer.attribute(AttributeType::PASSWORD_ALGORITHMS, &offer);
        }
        writer.finish(None, false)
    }

    fn relay(&mut self, from: Link, message: &Message<'_>) {
        let (Some(peer), Some(bytes), true) = (
            message.attribute(AttributeType::XOR_PEER_ADDRESS),
            message.attribute(AttributeType::DATA),
            self.relays,
        ) else {
            return;
        };
        let peer = XorAddress::decode(peer, &message.transaction_id()).unwrap();
        let from = self.relayed[&from];
        match self.relayed.iter().find(|(_, at)| **at == peer) {
            Some((owner, _)) => self.others.push((*owner, data(from, bytes))),
            // The bare socket of the first way.
            None => self.others.push((Link(3), bytes.to_vec())),
        }
    }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn error(method: Method, id: TransactionId, code: u16) -> MessageWriter {
    let value = [0, 0, (code / 100) as u8, (code % 100) as u8];
    MessageWriter::new(Class::ErrorResponse, method, id)
        .attribute(AttributeType::ERROR_CODE, &value)
}

fn data(from: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    MessageWriter::new(Class::Indication, Method::DATA, TransactionId([5; 12]))
        .xor_address(AttributeType::XOR_PEER_ADDRESS, from)
        .attribute(AttributeType::DATA, bytes)
        .finish(None, false)
}

fn target(url: &str) -> Target {
    let login = |name: &str| Login {
        username: name.to_owned(),
        password: Secret::new("password".to_owned()),
    };
    Target {
        url: url.to_owned(),
        place: Place::parse(url).unwrap(),
        is_ours: false,
        login: Some(login("2000000000:verify")),
        later_login: None,
        inside: Vec::new(),
        is_tried_directly: true,
    }
}

fn plan(targets: Vec<Target>) -> Plan {
    Plan { vantage: Vantage::AnotherMachine, targets, guard: Guard::Configured }
}

fn facts() -> CertificateFacts {
    CertificateFacts {
        names: vec!["a.example".to_owned()],
        last_issuer: "root".to_owned(),
        not_before: 0,
        not_after: 4_000_000_000,
        chain_length: 2,
        covers_name: true,
        is_self_signed: false,
        trust: Trust::Root,
    }
}

/// The world around a run.
struct World {
    now: Now,
    run: Verification,
    /// Links that are open, and every address one was opened to.
    open: Vec<Link>,
    opened: Vec<SocketAddr>,
    names: BTreeMap<&'static str, Vec<IpAddr>>,
}

impl World {
    fn new(plan: Plan) -> Self {
        let now = Now::read();
        let run = Verification::new(now, plan, [7; 32]);
        Self { now, run, open: Vec::new(), opened: Vec::new(), names: BTreeMap::new() }
    }

    /// Runs to the end; whatever is sent is heard by `server` a millisecond later.
    fn end(
        &mut self,
        mut server: impl FnMut(Link, SocketAddr, &[u8]) -> Vec<(Link, Vec<u8>)>,
    ) -> Observations {
        let start = self.now;
        loop {
            let mut inputs = Vec::new();
            while let Some(output) = self.run.poll() {
                match output {
                    Output::Resolve(host) => {
                        let found = self.names.get(host.as_str()).cloned();
                        let result = found.ok_or(DnsFault::NoSuchName);
                        self.run.handle(self.now, Input::Resolved { host: &host, result });
                    }
                    Output::Open { link, kind, address } => {
                        self.open.push(link);
                        self.opened.push(address);
                        self.run.handle(self.now, Input::Opened { link, result: Ok(()) });
                        if let LinkKind::Tls(_) = kind {
                            let result = Ok(facts());
                            self.run.handle(self.now, Input::Secured { link, result });
                        }
                    }
                    Output::Send { link, to, bytes } => inputs.extend(server(link, to, &bytes)),
                    Output::Close(link) => self.open.retain(|open| *open != link),
                    Output::Done(seen) => {
                        assert_eq!(self.run.deadline(), None);
                        assert_eq!(self.open, [], "every link is closed");
                        return *seen;
                    }
                }
            }
            if inputs.is_empty() {
                let next = self.run.deadline().expect("it goes on");
                let wait = next.saturating_duration_since(self.now.mono);
                self.now = self.now.after(wait);
                self.run.handle(self.now, Input::Tick);
            } else {
                self.now = self.now.after(Duration::from_millis(1));
                for (link, bytes) in inputs {
                    self.run.handle(self.now, Input::Received { link, from: None, bytes: &bytes });
                }
            }
            let took = self.now.mono.saturating_duration_since(start.mono);
            assert!(took <= VERIFY_PATIENCE, "{took:?}");
        }
    }
}

/// The one way to a server that does as told.
fn way(url: &str, mut server: Server) -> WaySeen {
    let mut world = World::new(plan(vec![target(url)]));
    let mut seen = world.end(|link, to, bytes| server.hear(link, to, bytes));
    assert_eq!(world.opened.iter().filter(|at| **at != addr(SERVER)).count(), 0);
    seen.targets.remove(0).ways.remove(0)
}

fn udp(server: Server) -> WaySeen {
    way("turn:203.0.113.9:3478?transport=udp", server)
}

fn tcp(server: Server) -> WaySeen {
    way("turn:203.0.113.9:3478?transport=tcp", server)
}

#[test]
fn at_a_good_server_every_step_works_over_every_transport() {
    for is_md5 in [false, true] {
        let seen = udp(Server { is_md5, ..Server::good() });
        assert_eq!(seen.first_fault(), None, "{seen:#?}");
        assert_eq!(seen.allocate.value().map(|got| got.is_sha256), Some(!is_md5));
        assert_eq!(seen.relayed.value(), Some(&Duration::from_millis(2)), "there and back");
        let direct = seen.direct.value().unwrap();
        assert!(direct.inbound && direct.outbound);
        assert!(seen.release.is_done() && seen.tls == Step::NotTried);
    }
    let seen = way("turns:203.0.113.9:3478", Server::good());
    assert!(seen.tls.is_done() && seen.relayed.is_done() && seen.release.is_done(), "{seen:#?}");
    let seen = tcp(Server::good());
    assert!(seen.relayed.is_done() && seen.direct == Step::NotTried, "{seen:#?}");
}

#[test]
fn stun_alone_is_asked_where_there_is_no_login() {
    let mut stun = target("stun:203.0.113.9");
    stun.login = None;
    let mut world = World::new(plan(vec![stun]));
    let mut server = Server::good();
    let seen = world.end(|link, to, bytes| server.hear(link, to, bytes));
    let way = &seen.targets[0].ways[0];
    assert_eq!(way.binding.value(), Some(&addr("192.0.2.1:999")));
    assert_eq!(way.allocate, Step::NotTried);
    assert!(seen.targets[0].works());
}

#[test]
fn a_silent_server_costs_a_few_seconds() {
    let silent = |took| Step::<SocketAddr>::Failed { fault: Fault::Silent, took };
    let seen = udp(Server { is_silent: true, ..Server::good() });
    assert_eq!(seen.binding, silent(Duration::from_millis(1500)));
    let took = Duration::from_millis(3500);
    assert_eq!(seen.allocate, Step::Failed { fault: Fault::Silent, took });
    let seen = tcp(Server { is_silent: true, ..Server::good() });
    assert_eq!(seen.binding, silent(VERIFY_STREAM_PATIENCE / 2));
    let stun = way("stun:203.0.113.9:3478", Server { is_silent: true, ..Server::good() });
    assert_eq!(stun.binding, silent(Duration::from_millis(3500)));
}

#[test]
fn a_way_that_drops_what_is_large_is_told_from_one_that_drops_all() {
    let mut server = Server::good();
    let mut world = World::new(plan(vec![target("turn:203.0.113.9:3478?transport=udp")]));
    let seen =
        world.end(
            |link, to, bytes| {
                if bytes.len() > 1000 { Vec::new() } else { server.hear(link, to, bytes) }
            },
        );
    let way = &seen.targets[0].ways[0];
    assert!(way.relayed.is_done() && way.release.is_done(), "{way:#?}");
    assert_eq!(way.large.fault(), Some(&Fault::Silent));
    assert!(udp(Server::good()).large.is_done());
}

#[test] // coturn: no-stun
fn a_relay_that_answers_no_binding_is_used_as_browsers_use_it() {
    for url in ["turn:203.0.113.9:3478?transport=udp", "turn:203.0.113.9:3478?transport=tcp"] {
        let mut server = Server::good();
        let mut world = World::new(plan(vec![target(url)]));
        let seen = world.end(|link, to, bytes| {
            let is_binding = Message::parse(bytes).is_ok_and(|m| m.method() == Method::BINDING);
            if is_binding { Vec::new() } else { server.hear(link, to, bytes) }
        });
        assert!(seen.targets[0].works(), "{seen:#?}");
    }
}

#[test]
fn a_server_that_refuses_is_quoted() {
    let error = |code, realm: &str| Some(Fault::Error { code, realm: realm.to_owned() });
    for code in [403, 437, 440, 486, 508] {
        let seen = udp(Server { allocate_code: code, ..Server::good() });
        assert_eq!(seen.allocate.fault().cloned(), error(code, ""));
    }
    let seen = udp(Server { allocate_code: 438, ..Server::good() });
    assert_eq!(seen.allocate.fault().cloned(), error(438, "example.org"), "one fresh nonce");
    let seen = udp(Server { password: "another", ..Server::good() });
    assert_eq!(seen.allocate.fault().cloned(), error(401, "example.org"));
    let seen = udp(Server { binding_code: 401, ..Server::good() });
    assert!(seen.binding.fault().is_some() && seen.relayed.is_done(), "Binding is for users");
    let seen = udp(Server { permit_code: 403, ..Server::good() });
    assert_eq!(seen.permit.fault().cloned(), error(403, ""));
    assert_eq!(seen.direct.fault().cloned(), error(403, ""));
    assert!(seen.release.is_done(), "the allocations are given back: {seen:#?}");
}

#[test]
fn where_nothing_is_relayed_that_is_seen_and_the_allocations_are_given_back() {
    let seen = udp(Server { relays: false, ..Server::good() });
    assert_eq!(seen.relayed.fault(), Some(&Fault::Silent));
    let direct = seen.direct.value().unwrap();
    assert!(!direct.inbound && !direct.outbound && seen.release.is_done());
}

#[test]
fn a_refused_login_is_tried_once_with_a_later_end() {
    let mut target = target("turn:203.0.113.9");
    target.later_login = target.login.clone().map(|mut login| {
        login.password = Secret::new("later".to_owned());
        login
    });
    for (password, works) in [("later", true), ("other", false)] {
        let mut server = Server { password, ..Server::good() };
        let mut world = World::new(plan(vec![target.clone()]));
        let seen = world.end(|link, to, bytes| server.hear(link, to, bytes));
        let way = &seen.targets[0].ways[0];
        assert!(matches!(way.allocate.fault(), Some(Fault::Error { code: 401, .. })));
        assert_eq!(way.later.is_done(), works, "{way:#?}");
        assert!(!seen.targets[0].works());
    }
}

#[test]
fn a_success_without_a_right_signature_is_not_believed() {
    // Both signatures are cut off; the length says so.
    let unsigned = |bytes: Vec<u8>| {
        let message = Message::parse(&bytes).unwrap();
        if message.class() != Class::SuccessResponse || !message.has_integrity() {
            return vec![bytes];
        }
        let mut writer =
            MessageWriter::new(message.class(), message.method(), message.transaction_id());
        for (kind, value) in message.attributes() {
            writer = writer.attribute(kind, value);
        }
        vec![writer.finish(None, false)]
    };
    let seen = udp(Server { garble: unsigned, ..Server::good() });
    assert_eq!(seen.allocate.fault(), Some(&Fault::Forged));
}

#[test]
fn an_answer_to_another_question_is_none() {
    // Sound in itself: only the id is another one.
    let other = |bytes: Vec<u8>| {
        let message = Message::parse(&bytes).unwrap();
        let mut writer =
            MessageWriter::new(message.class(), message.method(), TransactionId([1; 12]));
        for (kind, value) in message.attributes().filter(|(k, _)| *k != AttributeType::FINGERPRINT)
        {
            writer = writer.attribute(kind, value);
        }
        vec![writer.finish(None, true)]
    };
    let seen = udp(Server { garble: other, ..Server::good() });
    assert_eq!(seen.binding.fault(), Some(&Fault::Silent));
}

#[test]
fn a_redirect_is_told_and_not_followed() {
    let away = |bytes: Vec<u8>| {
        let message = Message::parse(&bytes).unwrap();
        if message.class() != Class::ErrorResponse {
            return vec![bytes];
        }
        let to = XorAddress::encode_plain(addr("127.0.0.1:22"));
        let writer = error(message.method(), message.transaction_id(), 300);
        vec![writer.attribute(AttributeType::ALTERNATE_SERVER, to.as_bytes()).finish(None, false)]
    };
    // `way` checks that no link was opened to anybody else.
    let seen = udp(Server { garble: away, ..Server::good() });
    assert_eq!(seen.allocate.fault(), Some(&Fault::Redirected(Some(addr("127.0.0.1:22")))));
}

#[test]
fn reasons_and_realms_may_be_any_bytes() {
    let odd = |bytes: Vec<u8>| {
        let message = Message::parse(&bytes).unwrap();
        if message.class() != Class::ErrorResponse {
            return vec![bytes];
        }
        let writer =
            MessageWriter::new(message.class(), message.method(), message.transaction_id());
        let writer = writer
            .attribute(AttributeType::ERROR_CODE, b"\0\0\x04\x01\xff\xfe\xc0\x80")
            .attribute(AttributeType::REALM, b"\xff\x1b[2J\xc0")
            .attribute(AttributeType::NONCE, b"\xff");
        vec![writer.finish(None, false)]
    };
    let seen = udp(Server { garble: odd, ..Server::good() });
    let Some(Fault::Error { code: 401, realm }) = seen.allocate.fault() else {
        panic!("{seen:#?}");
    };
    assert!(!realm.contains('\u{1b}'), "{realm:?}");
}

#[test]
fn a_stream_without_end_is_cut_off() {
    let endless = |_: Vec<u8>| {
        let noise =
            MessageWriter::new(Class::SuccessResponse, Method::BINDING, TransactionId([1; 12]))
                .attribute(AttributeType::SOFTWARE, &[b'x'; 4000])
                .finish(None, false);
        vec![noise; VERIFY_BYTES_MAX / 4000 + 2]
    };
    let seen = tcp(Server { garble: endless, ..Server::good() });
    assert_eq!(seen.binding.fault(), Some(&Fault::Flooded));
    let seen = udp(Server { garble: endless, ..Server::good() });
    assert_eq!(seen.binding.fault(), Some(&Fault::Flooded));
    let garbage = |_: Vec<u8>| vec![vec![0xFF; 4096]; 256];
    let seen = tcp(Server { garble: garbage, ..Server::good() });
    assert_eq!(seen.binding.fault(), Some(&Fault::NotStun));
}

#[test] // security.md H1
fn what_a_stranger_told_is_tried_at_public_addresses_only() {
    let urls = ["turn:127.0.0.1:22?transport=tcp", "turn:a.example", "turn:b.example"];
    let mut plan = plan(urls.map(target).to_vec());
    plan.guard = Guard::ToldBy(addr(SERVER).ip());
    let mut world = World::new(plan);
    let ips = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
    world.names.insert("a.example", ips(&["203.0.113.9", "::ffff:127.0.0.1"]));
    world.names.insert("b.example", ips(&["169.254.169.254", "fd00::1"]));
    let mut server = Server::good();
    let seen = world.end(|link, to, bytes| server.hear(link, to, bytes));
    assert_eq!(world.opened.iter().find(|at| at.ip() != addr(SERVER).ip()), None);
    let refused = seen.targets[2].ways.iter().map(|way| way.open.fault().cloned());
    let ranges = [Some(Fault::NotPublic("link-local")), Some(Fault::NotPublic("unique local"))];
    assert_eq!(refused.collect::<Vec<_>>(), ranges);
}

#[test]
fn a_listener_inside_is_tried_only_where_the_public_address_is_silent() {
    let mut ours = target("turn:203.0.113.9");
    ours.inside = vec![addr("10.0.0.5:3478")];
    for is_silent in [true, false] {
        let mut world = World::new(plan(vec![ours.clone()]));
        let mut server = Server::good();
        let seen = world.end(|link, to, bytes| {
            let is_outer = link.0 >> ROLE_BITS == 0;
            if is_outer && is_silent { Vec::new() } else { server.hear(link, to, bytes) }
        });
        let inside: Vec<_> = seen.targets[0].ways.iter().filter(|way| way.is_inside).collect();
        assert_eq!(inside.len(), usize::from(is_silent));
        assert!(inside.iter().all(|way| way.is_answered()));
        assert_eq!(seen.targets[0].works(), !is_silent);
    }
}

#[test]
fn more_ways_than_may_be_tried_at_once_wait_and_are_all_tried() {
    let urls = (1..=9).map(|port| target(&format!("turn:203.0.113.9:{port}")));
    let mut world = World::new(plan(urls.collect()));
    let mut servers: BTreeMap<u32, Server> = BTreeMap::new();
    let mut most = 0;
    let seen = world.end(|link, to, bytes| {
        let server = servers.entry(link.0 >> ROLE_BITS).or_insert_with(Server::good);
        let answers = server.hear(link, to, bytes);
        most = most.max(link.0 >> ROLE_BITS);
        // The bare socket of each way is its fourth link.
        answers
            .into_iter()
            .map(|(to, b)| (if to == Link(3) { Link(link.0 | 3) } else { to }, b))
            .collect()
    });
    assert_eq!(most, 8);
    assert!(seen.targets.iter().all(TargetSeen::works), "{seen:#?}");
}

#[test]
fn a_name_that_is_never_resolved_ends_with_the_run() {
    let mut run = Verification::new(Now::read(), plan(vec![target("turn:a.example")]), [1; 32]);
    assert_eq!(run.poll(), Some(Output::Resolve("a.example".to_owned())));
    let end = run.deadline().unwrap();
    let now = Now { mono: end, ..Now::read() };
    run.handle(now, Input::Tick);
    let Some(Output::Done(seen)) = run.poll() else { panic!("it is over") };
    assert_eq!(seen.targets[0].resolution, Resolution::Pending);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_comes_back_the_run_ends_in_time(
        junk in prop::collection::vec((0..4u8, prop::collection::vec(any::<u8>(), 0..80)), 1..40),
        is_stream in any::<bool>(),
    ) {
        let url = if is_stream { "turn:203.0.113.9?transport=tcp" } else { "turn:203.0.113.9" };
        let mut world = World::new(plan(vec![target(url)]));
        let mut server = Server::good();
        let mut at = 0;
        let seen = world.end(|link, to, bytes| {
            let mut answers = server.hear(link, to, bytes);
            let (how, noise) = &junk[at % junk.len()];
            at += 1;
            for (_, answer) in &mut answers {
                match how {
                    0 => answer.clone_from(noise),
                    1 => answer.extend_from_slice(noise),
                    2 => for (byte, noise) in answer.iter_mut().zip(noise) { *byte ^= noise & 1; },
                    _ => {}
                }
            }
            answers
        });
        prop_assert_eq!(seen.targets[0].ways.len(), 1);
    }
}
