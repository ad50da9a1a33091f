use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn relay(bind: &str) -> RelayAddress {
    RelayAddress {
        bind: ip(bind),
        advertised: ip(bind),
        why: String::new(),
        told_by: ToldBy::Nobody,
    }
}

fn found(bind: &str, public: &str, at_unix_ms: i64) -> Found {
    Found { bind: ip(bind), public: ip(public), server: "stun.example.org:3478".into(), at_unix_ms }
}

fn heard(found: Found) -> Heard {
    Heard { bind: found.bind, found: Some(found), problem: None }
}

fn answers(addresses: Vec<Heard>) -> Answers {
    Answers { addresses, nat64: None }
}

/// A resolver that knows these addresses of whatever it is asked for.
fn knows(addresses: &[&str]) -> Lookup {
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| ip(text)).collect();
    Arc::new(move |_, port| Ok(addresses.iter().map(|ip| (*ip, port).into()).collect()))
}

fn questions(text: &str) -> Questions {
    let config = Config::parse("turnbell.toml".as_ref(), text).unwrap();
    let mut named = relay("10.0.0.6");
    named.told_by = ToldBy::Operator;
    Questions::of(&config, &[relay("10.0.0.5"), named])
}

#[test] // R19
fn nothing_is_asked_unless_it_is_configured_and_never_about_what_the_operator_wrote() {
    assert!(questions("").is_empty());
    let asked = questions("external_stun = [\"2001:db8::1\"]");
    assert_eq!((asked.from, asked.nat64), (vec![ip("10.0.0.5")], true));
    assert_eq!(asked.servers[0].to_string(), "[2001:db8::1]:3478");
    let stun_alone = "external_stun = [\"192.0.2.1\"]\ndiscover_nat64 = false";
    assert!(!questions(stun_alone).nat64);
    let nat64_alone = questions("discover_nat64 = true");
    assert!(!nat64_alone.is_empty() && nat64_alone.servers.is_empty());
}

#[test]
fn what_nobody_knew_this_time_stays_and_what_is_confirmed_keeps_its_date() {
    let mut outside = Outside::default();
    outside.take(answers(vec![heard(found("10.0.0.5", "9.9.9.9", 1))]));
    outside.take(answers(vec![heard(found("10.0.0.5", "9.9.9.9", 2))]));
    assert_eq!(outside.found, [found("10.0.0.5", "9.9.9.9", 1)]);
    let silent = Heard { bind: ip("10.0.0.5"), found: None, problem: Some("silent".into()) };
    outside.take(answers(vec![silent]));
    assert_eq!(outside.found, [found("10.0.0.5", "9.9.9.9", 1)]);
    assert_eq!(outside.sentences().collect::<Vec<_>>(), ["silent"]);
    outside.take(answers(vec![heard(found("10.0.0.5", "9.9.9.8", 3))]));
    assert_eq!(outside.found, [found("10.0.0.5", "9.9.9.8", 3)]);
    assert!(outside.is_well());
}

#[test]
fn two_addresses_behind_one_public_one_are_told_apart_by_a_sentence() {
    let mut outside = Outside::default();
    let both = ["10.0.0.5", "10.0.0.6"].map(|bind| heard(found(bind, "9.9.9.9", 1)));
    outside.take(answers(both.into()));
    assert_eq!(outside.found, [found("10.0.0.5", "9.9.9.9", 1)]);
    assert!(outside.problems[0].1.contains("10.0.0.5 and 10.0.0.6 are both seen as 9.9.9.9"));
}

#[test]
fn former_addresses_are_kept_up_to_their_bound_and_never_beside_a_live_one() {
    let mut outside = Outside::default();
    let told = |n: usize| {
        let mut relay = relay("10.0.0.5");
        relay.learn(&[found("10.0.0.5", &format!("9.9.9.{n}"), 1)]);
        vec![relay]
    };
    for n in 0..=FORMER_ADDRESSES_MAX {
        outside.note_former(&told(n), &told(n + 1));
    }
    assert_eq!(outside.former.len(), FORMER_ADDRESSES_MAX);
    assert_eq!(outside.former[0], (ip("9.9.9.1"), 0), "the oldest is forgotten");
    // Back where it was: no address is both.
    outside.note_former(&told(9), &told(5));
    assert!(!outside.former.contains(&(ip("9.9.9.5"), 0)));
    assert_eq!(outside.former.last(), Some(&(ip("9.9.9.9"), 0)));
}

#[tokio::test]
async fn a_nat64_of_the_local_network_is_found_by_its_name() {
    let questions = questions("discover_nat64 = true");
    let patience = Duration::from_secs(60);
    let lookup = knows(&["192.0.0.170", "2001:db8:64::c000:aa", "2001:db8:64::c000:ab"]);
    let nat64 = questions.ask(&lookup, patience).await.nat64.unwrap();
    assert_eq!(nat64, ["2001:db8:64::/96".parse().unwrap()]);
    let none = questions.ask(&knows(&["192.0.0.170"]), patience).await.nat64;
    assert_eq!(none, Some(Vec::new()));
    let broken: Lookup = Arc::new(|_, _| Err(std::io::Error::other("no resolver")));
    assert_eq!(questions.ask(&broken, patience).await.nat64, None, "what was known stays");
}

#[tokio::test]
async fn a_resolver_that_hangs_does_not_hold_the_start_up() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let hangs: Lookup = Arc::new(move |_, _| {
        let _ = held.lock().unwrap().recv();
        Ok(Vec::new())
    });
    let questions = questions("external_stun = [\"stun.example.org\"]");
    let began = Now::read().mono;
    let outside = Outside::at_start(&questions, &hangs).await;
    // Twice as long as it may take, for a busy machine.
    assert!(Now::read().mono - began < OUTSIDE_START_PATIENCE * 2);
    let sentences: Vec<String> = outside.sentences().collect();
    assert_eq!(sentences.len(), 1);
    assert!(sentences[0].contains("stun.example.org:3478 did not answer so far"), "{sentences:?}");
    drop(release);
}
