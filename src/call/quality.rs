//! `quality.report` and `feedback`: how a call sounds, when somebody is to be warned, and whether
//! one side hears nothing (signaling 4.11).

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use super::event::Event;
use super::live_call::Party;
use super::lookup::not_now;
use super::media::{PartyId, QualityMetric, QualitySample};
use super::record::About;
use super::refusal::{ErrorCode, Refusal};
use super::request::QualityReport;
use super::rows::{FeedbackRow, QualityRow, Row, TimelineKind};
use super::switchboard::{DONE, Outcome, Switchboard};
use super::ulid::{CallId, SessionId};
use crate::limits::call::{
    CODEC_BYTES_MAX, FEEDBACK_BYTES_MAX, LEVEL_FRESH, ONE_WAY_AFTER, QUALITY_BAD_SAMPLES,
    QUALITY_JITTER_MS, QUALITY_LOSS_PERCENT, QUALITY_MOS, QUALITY_REPORT_INTERVAL, QUALITY_RTT_MS,
    QUALITY_SAMPLES,
};
use crate::time::Now;

/// What a party's reports said lately.
#[derive(Debug, Default)]
pub(super) struct Quality {
    /// Per sample, which metrics were bad.
    bad: VecDeque<BTreeSet<QualityMetric>>,
    warned: BTreeSet<QualityMetric>,
    reported_at: Option<Instant>,
    /// When the microphone was last heard.
    spoke_at: Option<Instant>,
    packets_in: Option<u64>,
    /// When audio last came in, as far as is known.
    heard_at: Option<Instant>,
}

/// A warning that begins or is over.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Warning {
    metric: QualityMetric,
    value: f32,
    is_cleared: bool,
}

const METRICS: [QualityMetric; 4] =
    [QualityMetric::Rtt, QualityMetric::Jitter, QualityMetric::Loss, QualityMetric::Mos];

impl Quality {
    /// Judges a sample by the last few.
    fn judge(&mut self, sample: &QualitySample) -> Vec<Warning> {
        let bad = METRICS.into_iter().filter(|metric| is_bad(*metric, sample)).collect();
        self.bad.push_back(bad);
        if self.bad.len() > QUALITY_SAMPLES {
            self.bad.pop_front();
        }
        let mut warnings = Vec::new();
        for metric in METRICS {
            let Some(value) = value(metric, sample) else { continue };
            let count = self.bad.iter().filter(|bad| bad.contains(&metric)).count();
            let is_warned = self.warned.contains(&metric);
            if !is_warned && count >= QUALITY_BAD_SAMPLES {
                self.warned.insert(metric);
                warnings.push(Warning { metric, value, is_cleared: false });
            } else if is_warned && count <= QUALITY_BAD_SAMPLES / 2 {
                self.warned.remove(&metric);
                warnings.push(Warning { metric, value, is_cleared: true });
            }
        }
        warnings
    }

    /// Notes what was spoken and heard.
    fn listen(&mut self, now: Instant, sample: &QualitySample) {
        self.reported_at = Some(now);
        if sample.level_out.is_some_and(|level| level > 0.0) {
            self.spoke_at = Some(now);
        }
        if let Some(packets) = sample.packets_in {
            if self.packets_in.is_none_or(|before| packets > before) {
                self.heard_at = Some(now);
            }
            self.packets_in = Some(packets);
        }
    }

    /// Whether nothing came in although the other side speaks; `Some` if that has changed.
    fn judge_one_way(&mut self, now: Instant, other_speaks: bool) -> Option<Warning> {
        let metric = QualityMetric::OneWayAudio;
        let silence = now.saturating_duration_since(self.heard_at?);
        let is_deaf = other_speaks && silence >= ONE_WAY_AFTER;
        let is_warned = self.warned.contains(&metric);
        let value = silence.as_secs_f32();
        if is_deaf && !is_warned {
            self.warned.insert(metric);
            return Some(Warning { metric, value, is_cleared: false });
        }
        if is_warned && silence.is_zero() {
            self.warned.remove(&metric);
            return Some(Warning { metric, value, is_cleared: true });
        }
        None
    }

    fn speaks(&self, now: Instant) -> bool {
        self.spoke_at.is_some_and(|at| now < at + LEVEL_FRESH)
    }
}

impl Switchboard {
    /// `quality.report`.
    pub(super) fn quality_report(
        &mut self,
        now: Now,
        session: SessionId,
        report: QualityReport,
    ) -> Outcome {
        let QualityReport { call: id, sample } = report;
        let (call, index) = self.seat(session, id)?;
        if !call.is_answered() {
            return Err(not_now("a quality report", call));
        }
        check(&sample)?;
        let last = call.parties[index].quality.reported_at;
        let next = last.map(|at| at + QUALITY_REPORT_INTERVAL);
        if let Some(wait) = next.and_then(|next| next.checked_duration_since(now.mono))
            && !wait.is_zero()
            && !sample.is_final
        {
            return Err(Refusal::too_often("quality reports", wait));
        }
        let Some(call) = self.calls.get_mut(id) else { return DONE };
        let is_held = call.parties.iter().any(|party| party.holds);
        let others = call.parties.iter().enumerate().filter(|(i, _)| *i != index);
        let is_heard = |other: &Party| !other.muted && other.quality.speaks(now.mono);
        let other_speaks = !is_held && others.into_iter().any(|(_, other)| is_heard(other));
        let party = &mut call.parties[index];
        party.path = sample.path.or(party.path);
        let quality = &mut party.quality;
        quality.listen(now.mono, &sample);
        let mut warnings = quality.judge(&sample);
        warnings.extend(quality.judge_one_way(now.mono, other_speaks));
        let (party, tenant) = (party.id, call.tenant.clone());
        let row = QualityRow { call: id, tenant, party, at: now.unix_ms, sample };
        self.store(Some(id), Row::Quality(Box::new(row)));
        for warning in warnings {
            self.warn(now, id, party, warning);
        }
        DONE
    }

    /// Everybody in the call is told; who reads too slowly is not, the record knows.
    fn warn(&mut self, now: Now, id: CallId, party: PartyId, warning: Warning) {
        let Warning { metric, value, is_cleared } = warning;
        let (kind, detail) = match is_cleared {
            false => (TimelineKind::Warning, format!("{} {value:.1}", metric.code())),
            true => (TimelineKind::WarningCleared, metric.code().to_owned()),
        };
        self.note(now, id, kind, About::Party(party), &detail);
        let Some(call) = self.calls.get(id) else { return };
        for seat in call.seats_but(None) {
            let has_room = |one: &super::session::Session| !one.outbox.is_half_full();
            if self.sessions.get(seat).is_some_and(has_room) {
                let event = Event::QualityWarning { call: id, party, metric, value, is_cleared };
                self.tell(now, seat, event);
            }
        }
    }

    /// `feedback`, also after the end.
    pub(super) fn feedback(
        &mut self,
        now: Now,
        session: SessionId,
        id: CallId,
        score: u8,
        issue: Box<str>,
    ) -> Outcome {
        if let Err(refusal) = self.call_of(session, id)
            && refusal.code != ErrorCode::CallEnded
        {
            return Err(refusal);
        }
        if !(1..=5).contains(&score) {
            return Err(Refusal::bad("score", "1 (bad) to 5"));
        }
        if issue.len() > FEEDBACK_BYTES_MAX {
            return Err(Refusal::too_large("issue"));
        }
        let Some(key) = self.sessions.get(session).map(|session| session.key.clone()) else {
            return DONE;
        };
        let (tenant, user) = (key.tenant, key.user);
        let row = FeedbackRow { call: id, tenant, user, at: now.unix_ms, score, issue };
        self.store(Some(id), Row::Feedback(Box::new(row)));
        DONE
    }
}

fn value(metric: QualityMetric, sample: &QualitySample) -> Option<f32> {
    match metric {
        QualityMetric::Rtt => sample.rtt_ms,
        QualityMetric::Jitter => sample.jitter_ms,
        QualityMetric::Loss => sample.loss_percent,
        QualityMetric::Mos => sample.mos,
        QualityMetric::OneWayAudio => None,
    }
}

fn is_bad(metric: QualityMetric, sample: &QualitySample) -> bool {
    let Some(value) = value(metric, sample) else { return false };
    match metric {
        QualityMetric::Rtt => value > QUALITY_RTT_MS,
        QualityMetric::Jitter => value > QUALITY_JITTER_MS,
        QualityMetric::Loss => value > QUALITY_LOSS_PERCENT,
        QualityMetric::Mos => value < QUALITY_MOS,
        QualityMetric::OneWayAudio => false,
    }
}

/// # Errors
/// `bad_request` for a number that no getStats makes.
fn check(sample: &QualitySample) -> Result<(), Refusal> {
    let numbers = [
        ("rtt_ms", sample.rtt_ms),
        ("jitter_ms", sample.jitter_ms),
        ("loss_percent", sample.loss_percent),
        ("mos", sample.mos),
        ("concealed_percent", sample.concealed_percent),
        ("level_in", sample.level_in),
        ("level_out", sample.level_out),
    ];
    for (field, number) in numbers {
        if number.is_some_and(|number| !number.is_finite() || number < 0.0) {
            return Err(Refusal::bad(field, "a number from 0 on"));
        }
    }
    if sample.codec.as_ref().is_some_and(|codec| codec.len() > CODEC_BYTES_MAX) {
        return Err(Refusal::too_large("codec"));
    }
    Ok(())
}
