//! The `d` of frames about media: signals, states of peer connections, quality.

use serde::Deserialize;

use super::body::{Description, call, text};
use crate::call::media::{
    Candidate, CandidateType, MediaPath, MediaStatus, PartyId, PathTransport, QualitySample,
    Signal as SignalOf, SignalPayload,
};
use crate::call::refusal::Refusal;
use crate::call::request::{QualityReport, Request};
use crate::edge::exact::{Object, Word};
use crate::limits::call::{CANDIDATE_BYTES_MAX, CANDIDATES_PER_SIGNAL_MAX};

#[derive(Deserialize)]
pub(super) struct Signal {
    call: String,
    #[serde(default)]
    to: Option<u32>,
    kind: Word<SignalKind>,
    #[serde(rename = "gen")]
    generation: u32,
    #[serde(default)]
    sdp: Option<Description>,
    #[serde(default)]
    cands: Option<Vec<Object<CandidateOf>>>,
    #[serde(default)]
    cand: Option<Object<CandidateOf>>,
    #[serde(default)]
    restart: bool,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum SignalKind {
    Offer,
    Answer,
    Candidate,
    Candidates,
    EndOfCandidates,
    Rollback,
}

/// As `RTCIceCandidate.toJSON()` writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CandidateOf {
    candidate: String,
    #[serde(default)]
    sdp_mid: Option<String>,
    #[serde(default, rename = "sdpMLineIndex")]
    sdp_m_line_index: Option<u16>,
    #[serde(default)]
    username_fragment: Option<String>,
}

impl Signal {
    pub(super) fn read(self) -> Result<SignalOf, Refusal> {
        let description = |sdp: Option<Description>| {
            sdp.ok_or_else(|| Refusal::bad("sdp", "missing field `sdp`"))?.read()
        };
        let payload = match self.kind.0 {
            SignalKind::Offer => {
                SignalPayload::Offer { sdp: description(self.sdp)?, is_restart: self.restart }
            }
            SignalKind::Answer => SignalPayload::Answer { sdp: description(self.sdp)? },
            SignalKind::Candidate | SignalKind::Candidates => {
                let all = self.cands.into_iter().flatten().chain(self.cand);
                candidates(all.map(|Object(candidate)| candidate).collect())?
            }
            SignalKind::EndOfCandidates => SignalPayload::EndOfCandidates,
            SignalKind::Rollback => SignalPayload::Rollback,
        };
        Ok(SignalOf {
            call: call(&self.call)?,
            to: self.to.map(PartyId),
            generation: self.generation,
            payload,
        })
    }
}

fn candidates(all: Vec<CandidateOf>) -> Result<SignalPayload, Refusal> {
    if all.is_empty() {
        return Err(Refusal::bad("cands", "at least one candidate"));
    }
    if all.len() > CANDIDATES_PER_SIGNAL_MAX {
        return Err(Refusal::too_large("cands"));
    }
    let read = |candidate: CandidateOf| {
        let CandidateOf { candidate, sdp_mid, sdp_m_line_index, username_fragment } = candidate;
        let names = [&sdp_mid, &username_fragment];
        let bytes: usize = names.into_iter().flatten().map(String::len).sum();
        if candidate.len() + bytes > CANDIDATE_BYTES_MAX {
            return Err(Refusal::too_large("candidate"));
        }
        Ok(Candidate {
            candidate: candidate.into(),
            sdp_mid: sdp_mid.map(Into::into),
            sdp_m_line_index,
            username_fragment: username_fragment.map(Into::into),
        })
    };
    all.into_iter().map(read).collect::<Result<_, _>>().map(SignalPayload::Candidates)
}

#[derive(Deserialize)]
pub(super) struct MediaReport {
    call: String,
    status: Word<StatusOfMedia>,
    #[serde(default)]
    pair: Option<Object<Pair>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum StatusOfMedia {
    Connecting,
    Connected,
    Disconnected,
    Failed,
}

#[derive(Deserialize, Clone, Copy)]
pub(super) struct Pair {
    local: Word<Kind>,
    remote: Word<Kind>,
    #[serde(default)]
    proto: Word<Proto>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Host,
    Srflx,
    Prflx,
    Relay,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "snake_case")]
enum Proto {
    #[default]
    Udp,
    Tcp,
    Tls,
}

impl From<Pair> for MediaPath {
    fn from(pair: Pair) -> Self {
        let kind = |Word(kind)| match kind {
            Kind::Host => CandidateType::Host,
            Kind::Srflx => CandidateType::ServerReflexive,
            Kind::Prflx => CandidateType::PeerReflexive,
            Kind::Relay => CandidateType::Relay,
        };
        Self {
            local: kind(pair.local),
            remote: kind(pair.remote),
            transport: match pair.proto.0 {
                Proto::Udp => PathTransport::Udp,
                Proto::Tcp => PathTransport::Tcp,
                Proto::Tls => PathTransport::Tls,
            },
        }
    }
}

impl MediaReport {
    pub(super) fn read(self) -> Result<Request, Refusal> {
        Ok(Request::CallMedia {
            call: call(&self.call)?,
            status: match self.status.0 {
                StatusOfMedia::Connecting => MediaStatus::Connecting,
                StatusOfMedia::Connected => MediaStatus::Connected,
                StatusOfMedia::Disconnected => MediaStatus::Disconnected,
                StatusOfMedia::Failed => MediaStatus::Failed,
            },
            path: self.pair.map(|Object(pair)| pair.into()),
        })
    }
}

/// The fields are named like those of `call`'s sample, without units where there is one only.
#[derive(Deserialize)]
pub(super) struct Quality {
    call: String,
    window_ms: u32,
    #[serde(default)]
    rtt_ms: Option<f32>,
    #[serde(default)]
    jitter_ms: Option<f32>,
    #[serde(default)]
    loss_percent: Option<f32>,
    #[serde(default)]
    mos: Option<f32>,
    #[serde(default)]
    bitrate_in: Option<u32>,
    #[serde(default)]
    bitrate_out: Option<u32>,
    #[serde(default)]
    concealed_percent: Option<f32>,
    #[serde(default)]
    level_in: Option<f32>,
    #[serde(default)]
    level_out: Option<f32>,
    #[serde(default)]
    packets_in: Option<u64>,
    #[serde(default)]
    pair: Option<Object<Pair>>,
    #[serde(default)]
    codec: Option<String>,
    #[serde(default, rename = "final")]
    is_final: bool,
}

impl Quality {
    pub(super) fn read(self, codec_bytes_max: usize) -> Result<QualityReport, Refusal> {
        Ok(QualityReport {
            call: call(&self.call)?,
            sample: QualitySample {
                window_ms: self.window_ms,
                rtt_ms: self.rtt_ms,
                jitter_ms: self.jitter_ms,
                loss_percent: self.loss_percent,
                mos: self.mos,
                bitrate_in: self.bitrate_in,
                bitrate_out: self.bitrate_out,
                concealed_percent: self.concealed_percent,
                level_in: self.level_in,
                level_out: self.level_out,
                packets_in: self.packets_in,
                path: self.pair.map(|Object(pair)| pair.into()),
                codec: text("codec", self.codec, codec_bytes_max)?,
                is_final: self.is_final,
            },
        })
    }
}
