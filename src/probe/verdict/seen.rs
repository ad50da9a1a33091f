//! What was seen, in words: short, the same for all verdicts, and nothing but facts.

use std::time::Duration;

use crate::probe::observation::{DnsFault, Fault, Resolution, Step, TargetSeen, TlsFault, WaySeen};

/// One URL, way by way.
pub(super) fn told(target: &TargetSeen) -> String {
    let ways: Vec<String> = target.ways.iter().map(way).collect();
    match &target.resolution {
        Resolution::Failed(fault) => format!("{}: {}", target.host, dns(fault)),
        Resolution::Pending => format!("{}: the name server had not answered", target.host),
        Resolution::Literal | Resolution::Found { .. } => {
            format!("{} over {}: {}", target.host, target.carrier.code(), ways.join("; "))
        }
    }
}

/// Whether the time ran out on it.
pub(super) fn is_unfinished(way: &WaySeen) -> bool {
    let WaySeen {
        open,
        tls,
        binding,
        allocate,
        later,
        permit,
        relayed,
        large,
        direct,
        release,
        ..
    } = way;
    let is = |unfinished: bool, any: bool| unfinished || any;
    let steps = [
        matches!(open, Step::Unfinished),
        matches!(tls, Step::Unfinished),
        matches!(binding, Step::Unfinished),
        matches!(allocate, Step::Unfinished),
        matches!(later, Step::Unfinished),
        matches!(permit, Step::Unfinished),
        matches!(relayed, Step::Unfinished),
        matches!(large, Step::Unfinished),
        matches!(direct, Step::Unfinished),
        matches!(release, Step::Unfinished),
    ];
    steps.into_iter().fold(matches!(open, Step::NotTried), is)
}

fn way(way: &WaySeen) -> String {
    let mut words = Vec::new();
    let mut say = |name: &str, step: Option<String>| {
        words.extend(step.map(|step| format!("{name} {step}")));
    };
    say("connect", in_words(&way.open, |()| String::new()));
    say("TLS", in_words(&way.tls, |facts| format!("for {}", facts.names.join(", "))));
    say("Binding", in_words(&way.binding, |at| format!("sees {at}")));
    say("Allocate", in_words(&way.allocate, |got| format!("gives {}", got.relayed)));
    say("Allocate with a later end", in_words(&way.later, |_| String::new()));
    say("permission", in_words(&way.permit, |()| String::new()));
    say("relayed datagram", in_words(&way.relayed, |_| String::new()));
    say("large one", in_words(&way.large, |()| String::new()));
    say(
        "straight datagram",
        in_words(&way.direct, |direct| {
            let word = |came| if came { "arrives" } else { "does not arrive" };
            let from = direct.came_from.map_or_else(String::new, |ip| format!(" from {ip}"));
            format!("in {}, out {}{from}", word(direct.inbound), word(direct.outbound))
        }),
    );
    let inside = if way.is_inside { " (inside)" } else { "" };
    format!("{}{inside}: {}", way.address, words.join(", "))
}

fn in_words<T>(step: &Step<T>, value: impl Fn(&T) -> String) -> Option<String> {
    match step {
        Step::NotTried => None,
        Step::Unfinished => Some("not finished".to_owned()),
        Step::Done { value: got, took } => {
            Some(format!("ok {} ({})", value(got), ms(*took)).replace("ok  (", "ok ("))
        }
        Step::Failed { fault, took } => {
            Some(format!("fails: {} ({})", self::fault(fault), ms(*took)))
        }
    }
}

fn ms(took: Duration) -> String {
    format!("{} ms", took.as_millis())
}

/// Why a name has no address, in words.
#[must_use]
pub fn dns(fault: &DnsFault) -> String {
    match fault {
        DnsFault::NoSuchName => "no such name, or no address for it".to_owned(),
        DnsFault::NoAnswer => "no name server has an answer".to_owned(),
        DnsFault::Other(why) => why.clone(),
    }
}

/// Why a step failed, in words.
#[must_use]
pub fn fault(fault: &Fault) -> String {
    match fault {
        Fault::Silent => "no answer".to_owned(),
        Fault::NotBack => "arrived there, its answer did not come back".to_owned(),
        Fault::Refused => "refused, nothing listens there".to_owned(),
        Fault::Unreachable => "unreachable".to_owned(),
        Fault::NoFamily => "this machine has no such address family".to_owned(),
        Fault::Forbidden => "this machine lets nothing out there".to_owned(),
        Fault::NotPublic(range) => format!("not tried, the address is {range}"),
        Fault::Closed => "closed by the other end".to_owned(),
        Fault::NotStun => "what came is no STUN".to_owned(),
        Fault::Error { code, realm } if realm.is_empty() => format!("error {code}"),
        Fault::Error { code, realm } => format!("error {code}, realm {realm}"),
        Fault::OtherRealm(realm) => format!("error 401 for another realm, {realm}"),
        Fault::Redirected(Some(to)) => format!("redirected to {to}"),
        Fault::Redirected(None) => "redirected to nowhere".to_owned(),
        Fault::NoChallenge => "a challenge without realm or nonce".to_owned(),
        Fault::OpenRelay => "an allocation without a login".to_owned(),
        Fault::Forged => "answers without a right signature only".to_owned(),
        Fault::Empty => "a success that says nothing".to_owned(),
        Fault::Flooded => "too much came".to_owned(),
        Fault::StrangeAddress(at) => format!("not tried, the relayed address is {at}"),
        Fault::Tls(TlsFault::NotTls) => "what came is no TLS".to_owned(),
        Fault::Tls(TlsFault::Alert(alert)) => format!("the server says {alert}"),
        Fault::Tls(TlsFault::Other(why)) | Fault::Other(why) => why.clone(),
    }
}
