//! `call.signal`: order, generations, bounds.

use turnbell::call::event::{Event, Reply};
use turnbell::call::media::{PartyId, Signal, SignalPayload};
use turnbell::call::refusal::ErrorCode;
use turnbell::call::request::Request;

use super::setup::{Call, answer, candidates, hangup, offer, sdp, signal};

fn is_delivered(reply: Reply) -> bool {
    let Reply::Signaled { is_delivered } = reply else { panic!("{reply:?}") };
    is_delivered
}

#[test]
fn signals_go_to_the_other_side_in_order_with_a_sender_from_the_server() {
    let mut call = Call::connecting();
    let Call { board, alice, laptop, id, .. } = &mut call;
    board.does(alice, offer(*id, 1));
    board.does(alice, candidates(*id, 1, 3));
    board.does(alice, signal(*id, 1, SignalPayload::EndOfCandidates));
    let events = board.events(laptop);
    let senders = events.iter().map(|event| {
        let Event::CallSignal { from, .. } = &**event else { panic!("{event:?}") };
        *from
    });
    assert_eq!(senders.collect::<Vec<_>>(), [PartyId(1); 3]);
    board.does(laptop, answer(*id, 1));
    board.hears(alice, &["answer 1"]);
    call.ends();
}

#[test]
fn a_signal_names_a_party_of_the_call_or_none() {
    let mut call = Call::connecting();
    let to = |call: &Call, party| {
        let payload = SignalPayload::Offer { sdp: sdp("x"), is_restart: false };
        let signal = Signal { call: call.id, to: Some(PartyId(party)), generation: 1, payload };
        Request::CallSignal(Box::new(signal))
    };
    for party in [1, 3] {
        let request = to(&call, party);
        assert_eq!(call.board.may_not(&call.alice, request), ErrorCode::NotParty, "{party}");
    }
    let request = to(&call, 2);
    call.board.does(&call.alice, request);
    call.board.hears(&call.laptop, &["offer 1"]);
    let stranger = offer(call.id, 2);
    assert_eq!(call.board.may_not(&call.phone, stranger), ErrorCode::NotParty);
    call.ends();
}

#[test]
fn each_offer_has_the_next_generation() {
    let mut call = Call::connecting();
    let Call { board, alice, laptop, id, .. } = &mut call;
    for wrong in [0, 2] {
        assert_eq!(board.may_not(alice, offer(*id, wrong)), ErrorCode::BadRequest);
    }
    assert!(is_delivered(board.does(alice, offer(*id, 1))));
    assert!(!is_delivered(board.does(alice, offer(*id, 1))), "the same one again");
    assert!(is_delivered(board.does(laptop, offer(*id, 1))), "both at once: the polite one yields");
    assert!(is_delivered(board.does(laptop, answer(*id, 1))));
    assert!(is_delivered(board.does(laptop, offer(*id, 2))));
    assert!(!is_delivered(board.does(laptop, answer(*id, 1))), "out of date");
    assert!(!is_delivered(board.does(alice, candidates(*id, 1, 1))), "out of date");
    assert!(is_delivered(board.does(alice, candidates(*id, 2, 1))));
    board.hears(laptop, &["offer 1", "candidates 2"]);
    board.hears(alice, &["offer 1", "answer 1", "offer 2"]);
    call.ends();
}

#[test]
fn two_hundred_candidates_a_generation() {
    let mut call = Call::connecting();
    let Call { board, alice, id, .. } = &mut call;
    board.does(alice, offer(*id, 1));
    for _ in 0..3 {
        board.does(alice, candidates(*id, 1, 64));
    }
    board.does(alice, candidates(*id, 1, 8));
    assert_eq!(board.may_not(alice, candidates(*id, 1, 1)), ErrorCode::RateLimited);
    board.does(alice, offer(*id, 2));
    board.does(alice, candidates(*id, 2, 64));
    call.ends();
}

#[test]
fn a_signal_is_as_large_as_allowed_and_no_larger() {
    let mut call = Call::connecting();
    let Call { board, alice, id, .. } = &mut call;
    let of = |bytes: usize| {
        let sdp = sdp(&"x".repeat(bytes));
        signal(*id, 1, SignalPayload::Offer { sdp, is_restart: false })
    };
    assert_eq!(board.may_not(alice, of(49_153)), ErrorCode::TooLarge);
    board.does(alice, of(49_152));
    assert_eq!(board.may_not(alice, candidates(*id, 1, 65)), ErrorCode::TooLarge);
    call.ends();
}

#[test]
fn a_signal_to_nobody_is_told_so_and_one_to_a_lost_page_waits() {
    let mut call = Call::active();
    call.board.lose(&call.alice);
    call.board.events(&call.laptop);
    assert!(is_delivered(call.board.does(&call.laptop, offer(call.id, 1))));
    call.alice = call.board.resume(&call.alice);
    call.board.hears(&call.alice, &["state active without alice", "offer 1", "state active"]);
    call.board.lose(&call.alice);
    call.board.wait_s(120);
    assert!(!is_delivered(call.board.does(&call.laptop, offer(call.id, 2))));
    call.board.does(&call.laptop, hangup(call.id));
    assert_eq!(call.board.may_not(&call.laptop, offer(call.id, 3)), ErrorCode::CallEnded);
    call.ends();
}

#[test]
fn a_caller_cannot_answer_before_anybody_has_accepted() {
    let mut call = Call::ringing();
    call.board.does(&call.alice, offer(call.id, 1));
    assert_eq!(call.board.may_not(&call.alice, answer(call.id, 1)), ErrorCode::BadRequest);
    assert_eq!(call.board.may_not(&call.laptop, offer(call.id, 1)), ErrorCode::NotParty);
    call.ends();
}
