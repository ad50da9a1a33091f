//! Warnings from samples, and one-way audio (signaling 4.11).

use turnbell::call::media::QualitySample;
use turnbell::call::refusal::ErrorCode;
use turnbell::call::request::{QualityReport, Request};

use super::board::who;
use super::setup::{Call, hangup, hold};

fn report(call: &Call, sample: QualitySample) -> Request {
    Request::QualityReport(Box::new(QualityReport { call: call.id, sample }))
}

/// Alice reports these, two seconds apart.
fn reports(call: &mut Call, samples: impl IntoIterator<Item = QualitySample>) {
    for sample in samples {
        let request = report(call, sample);
        call.board.does(&call.alice, request);
        call.board.wait_s(2);
    }
}

fn rtt(rtt_ms: f32) -> QualitySample {
    QualitySample { rtt_ms: Some(rtt_ms), ..Default::default() }
}

#[test]
fn three_bad_samples_of_five_are_a_warning_for_both() {
    let mut call = Call::active();
    reports(&mut call, [rtt(401.0), rtt(50.0), rtt(401.0), rtt(400.0)]);
    call.board.hears(&call.alice, &[]);
    reports(&mut call, [rtt(401.0)]);
    call.board.hears(&call.alice, &["warning rtt"]);
    call.board.hears(&call.laptop, &["warning rtt"]);
    reports(&mut call, [rtt(50.0), rtt(50.0)]);
    call.board.hears(&call.alice, &[]);
    reports(&mut call, [rtt(50.0), rtt(50.0), rtt(50.0)]);
    call.board.hears(&call.alice, &["warning rtt is over"]);
    assert_eq!(call.board.record.quality.len(), 10);
    call.ends();
}

#[test]
fn each_metric_has_its_threshold() {
    let sample = |jitter, loss, mos| QualitySample {
        jitter_ms: Some(jitter),
        loss_percent: Some(loss),
        mos: Some(mos),
        ..Default::default()
    };
    let mut call = Call::active();
    reports(&mut call, [sample(30.0, 1.0, 3.0), sample(30.0, 1.0, 3.0), sample(30.0, 1.0, 3.0)]);
    call.board.hears(&call.alice, &[]);
    reports(&mut call, [sample(30.1, 1.1, 2.9), sample(30.1, 1.1, 2.9), sample(30.1, 1.1, 2.9)]);
    call.board.hears(&call.alice, &["warning jitter", "warning loss", "warning mos"]);
    call.ends();
}

/// Bob's laptop says how loud he speaks.
fn bob_speaks(call: &mut Call, level: f32) {
    let sample = QualitySample { level_out: Some(level), ..Default::default() };
    let request = report(call, sample);
    call.board.does(&call.laptop, request);
}

fn heard(packets: u64) -> QualitySample {
    QualitySample { packets_in: Some(packets), ..Default::default() }
}

#[test]
fn who_hears_nothing_for_5_s_although_the_other_speaks_is_told() {
    let mut call = Call::active();
    bob_speaks(&mut call, 0.4);
    reports(&mut call, [heard(100), heard(100), heard(100)]);
    call.board.hears(&call.alice, &[]);
    reports(&mut call, [heard(100)]);
    call.board.hears(&call.alice, &["warning one_way_audio"]);
    call.board.hears(&call.laptop, &["warning one_way_audio"]);
    reports(&mut call, [heard(101)]);
    call.board.hears(&call.alice, &["warning one_way_audio is over"]);
    call.ends();
}

#[test]
fn silence_and_hold_are_no_one_way_audio() {
    let mut call = Call::active();
    bob_speaks(&mut call, 0.0);
    reports(&mut call, [heard(100), heard(100), heard(100), heard(100)]);
    call.board.hears(&call.alice, &[]);
    bob_speaks(&mut call, 0.4);
    call.board.does(&call.laptop, hold(call.id, true));
    call.board.events(&call.alice);
    reports(&mut call, [heard(100)]);
    call.board.hears(&call.alice, &[]);
    call.ends();
}

#[test]
fn reports_come_once_a_second_from_parties_of_answered_calls() {
    let mut call = Call::active();
    let fine = || QualitySample::default();
    let (first, second) = (report(&call, fine()), report(&call, fine()));
    call.board.does(&call.alice, first);
    assert_eq!(call.board.may_not(&call.alice, second), ErrorCode::RateLimited);
    let last = QualitySample { is_final: true, ..fine() };
    let last = report(&call, last);
    call.board.does(&call.alice, last);
    let carol = call.board.page(who("carol"));
    for (page, code) in [(&call.phone.clone(), ErrorCode::NotParty), (&carol, ErrorCode::NotParty)]
    {
        let request = report(&call, fine());
        assert_eq!(call.board.may_not(page, request), code);
    }
    let nonsense = report(&call, rtt(f32::NAN));
    call.board.wait_s(1);
    assert_eq!(call.board.may_not(&call.alice, nonsense), ErrorCode::BadRequest);
    call.ends();
    let mut call = Call::ringing();
    let early = report(&call, fine());
    assert_eq!(call.board.may_not(&call.alice, early), ErrorCode::BadRequest);
    call.ends();
}

#[test]
fn feedback_is_taken_also_after_the_end() {
    let mut call = Call::active();
    let of = |call: &Call, score, issue: &str| Request::Feedback {
        call: call.id,
        score,
        issue: issue.into(),
    };
    call.board.does(&call.alice, hangup(call.id));
    for (score, issue, code) in [
        (0, "", ErrorCode::BadRequest),
        (6, "", ErrorCode::BadRequest),
        (1, &*"x".repeat(1025), ErrorCode::TooLarge),
    ] {
        let request = of(&call, score, issue);
        assert_eq!(call.board.may_not(&call.alice, request), code);
    }
    let request = of(&call, 5, "clear");
    call.board.does(&call.alice, request);
    let carol = call.board.page(who("carol"));
    let request = of(&call, 5, "clear");
    assert_eq!(call.board.may_not(&carol, request), ErrorCode::NotFound);
    assert_eq!(call.board.record.feedback, 1);
    call.ends();
}
