//! What a client believes, and what it does not.

use super::*;
use crate::time::Now;

const REALM: &[u8] = b"realm";
const PATIENCE: Duration = Duration::from_secs(20);

struct Talk {
    session: Session,
    now: Instant,
    asked: Vec<u8>,
}

impl Talk {
    fn new() -> Self {
        let password = Secret::new("pw".to_owned());
        let now = Now::read().mono;
        Self { session: Session::new("user".to_owned(), password), now, asked: Vec::new() }
    }

    fn begin(&mut self, step: Step) -> &mut Self {
        self.asked = self.session.begin(self.now, step, true).unwrap().to_vec();
        self
    }

    /// One that has been challenged, and asks for an allocation.
    fn allocating() -> Self {
        let mut talk = Self::new();
        let challenge = talk.begin(Step::Challenge).answer(Class::ErrorResponse, |m| {
            m.attribute(AttributeType::ERROR_CODE, &[0, 0, 4, 1])
                .attribute(AttributeType::REALM, REALM)
                .attribute(AttributeType::NONCE, b"one")
        });
        assert_eq!(talk.hear(&challenge.finish(None, false)), Heard::Done(Step::Challenge));
        talk.begin(Step::Allocate(Family::V4));
        talk
    }

    fn answer(
        &self,
        class: Class,
        fill: impl FnOnce(MessageWriter) -> MessageWriter,
    ) -> MessageWriter {
        let asked = Message::parse(&self.asked).unwrap();
        fill(MessageWriter::new(class, asked.method(), asked.transaction_id()))
    }

    fn relayed(&self, at: &str) -> MessageWriter {
        let at = at.parse().unwrap();
        let kind = AttributeType::XOR_RELAYED_ADDRESS;
        self.answer(Class::SuccessResponse, |m| m.xor_address(kind, at))
    }

    fn error(&self, code: [u8; 2], reason: &[u8]) -> MessageWriter {
        let value = [&[0, 0, code[0], code[1]], reason].concat();
        self.answer(Class::ErrorResponse, |m| m.attribute(AttributeType::ERROR_CODE, &value))
    }

    fn hear(&mut self, bytes: &[u8]) -> Heard {
        self.session.hear(&Message::parse(bytes).unwrap()).unwrap()
    }
}

fn key() -> LongTermKey {
    LongTermKey::derive(PasswordAlgorithm::Md5, b"user", REALM, b"pw")
}

#[test]
fn a_signed_success_is_believed_and_no_other() {
    let mut talk = Talk::allocating();
    let asked = talk.asked.clone();
    let request = Message::parse(&asked).unwrap();
    assert!(request.integrity_matches(key().as_bytes()));
    assert_eq!(request.attribute(AttributeType::NONCE), Some(&b"one"[..]));
    let good = talk.relayed("192.0.2.1:5000");
    for wrong in [good.clone().finish(None, false), good.clone().finish(Some(b"?"), false)] {
        assert_eq!(talk.hear(&wrong), Heard::Unverified);
    }
    let step = Step::Allocate(Family::V4);
    let good = good.finish(Some(key().as_bytes()), true);
    assert_eq!(talk.hear(&good), Heard::Done(step));
    assert_eq!(talk.session.relayed(), Some("192.0.2.1:5000".parse().unwrap()));
    assert_eq!(talk.hear(&good), Heard::Unasked, "a second time");
}

#[test]
fn a_relayed_address_that_is_none_is_refused() {
    for at in ["0.0.0.0:5", "192.0.2.1:0", "224.0.0.1:5", "[2001:db8::1]:5"] {
        let mut talk = Talk::allocating();
        let bytes = talk.relayed(at).finish(Some(key().as_bytes()), false);
        assert!(matches!(talk.hear(&bytes), Heard::Refused(_)), "{at}");
        assert_eq!(talk.session.relayed(), None);
    }
    let mut talk = Talk::allocating();
    let bare = talk.answer(Class::SuccessResponse, |m| m);
    let bare = bare.finish(Some(key().as_bytes()), false);
    assert!(matches!(talk.hear(&bare), Heard::Refused(_)));
}

#[test]
fn another_nonce_is_taken_a_few_times_and_not_for_ever() {
    let mut talk = Talk::allocating();
    for nth in 0..=LOAD_NONCES_MAX {
        let stale = talk.error([4, 38], b"").attribute(AttributeType::NONCE, &[b'a' + nth]);
        let heard = talk.hear(&stale.finish(None, false));
        if nth == LOAD_NONCES_MAX {
            assert!(matches!(heard, Heard::Refused(Refusal { code: 438, .. })), "{heard:?}");
            return;
        }
        let Heard::Again(bytes) = heard else { panic!("{heard:?}") };
        let again = Message::parse(&bytes).unwrap();
        assert_eq!(again.attribute(AttributeType::NONCE), Some(&[b'a' + nth][..]));
        talk.asked = bytes;
    }
}

#[test]
fn a_refusal_keeps_its_code_and_what_can_be_shown_of_its_reason() {
    let mut talk = Talk::allocating();
    let reason = [b"No\x1b[2J \xFFway".as_slice(), &[b'x'; 200]].concat();
    let refused = talk.error([4, 86], &reason).finish(None, false);
    let Heard::Refused(refusal) = talk.hear(&refused) else { panic!("it is refused") };
    assert_eq!((refusal.step.name(), refusal.code), ("Allocate", 486));
    assert!(refusal.reason.starts_with("No[2J wayxxx"), "{}", refusal.reason);
    assert_eq!(refusal.reason.len(), REASON_CHARS_MAX);
    let forged = talk.error([4, 86], b"").finish(Some(b"?"), false);
    assert_eq!(talk.hear(&forged), Heard::Unverified);
    let login = talk.error([4, 1], b"").attribute(AttributeType::NONCE, b"x");
    let heard = talk.hear(&login.finish(None, false));
    assert!(matches!(heard, Heard::Refused(Refusal { code: 401, .. })), "{heard:?}");
}

#[test]
fn who_lets_anybody_in_or_answers_something_else_is_not_taken_for_a_server() {
    let mut talk = Talk::new();
    let open = talk.begin(Step::Challenge).relayed("192.0.2.1:5000").finish(None, false);
    assert!(matches!(talk.hear(&open), Heard::Refused(_)));
    let mut talk = Talk::allocating();
    let other =
        MessageWriter::new(Class::SuccessResponse, Method::ALLOCATE, TransactionId([7; 12]));
    assert_eq!(talk.hear(&other.finish(Some(key().as_bytes()), false)), Heard::Unasked);
    let asked = talk.asked.clone();
    assert_eq!(talk.hear(&asked), Heard::Unasked, "its own request");
}

#[test] // RFC 8489 §6.2.1
fn a_request_is_sent_again_after_a_growing_while_and_given_up() {
    let mut talk = Talk::allocating();
    let (begun, asked) = (talk.now, talk.asked.clone());
    let mut at = |ms: u64| match talk.session.overdue(begun + Duration::from_millis(ms), PATIENCE) {
        Some(Overdue::Repeat(bytes)) => {
            assert_eq!(bytes, asked);
            "again"
        }
        Some(Overdue::Unanswered(_)) => "given up",
        None => "",
    };
    let found = [499, 500, 501, 1499, 1500, 3499, 3500, 19_999, 20_000, 30_000].map(&mut at);
    assert_eq!(found, ["", "again", "", "", "again", "", "again", "again", "given up", ""]);
    let mut talk = Talk::new();
    talk.session.begin(begun, Step::Challenge, false).unwrap();
    let late = talk.session.overdue(begun + Duration::from_secs(10), PATIENCE);
    assert_eq!(late, None, "nothing is lost on a connection");
}
