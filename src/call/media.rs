//! What two pages tell each other and us about their media: descriptions, candidates, states, paths,
//! measurements. Nothing here is looked into; it is bounded and passed on.

use std::sync::Arc;

use super::ulid::CallId;

/// What a call is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Media {
    /// Voice.
    pub audio: bool,
    /// Camera.
    pub video: bool,
}

/// A session description, at most 48 KiB; nobody here reads it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sdp(pub Arc<str>);

/// `call.signal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// Which call.
    pub call: CallId,
    /// To which party; `None`: to the other one.
    pub to: Option<PartyId>,
    /// Generation of the negotiation: 1 for the first offer, one more for each offer after. Answers
    /// and candidates carry that of their offer; old ones are dropped.
    pub generation: u32,
    /// What.
    pub payload: SignalPayload,
}

/// Number of a party, unique in its call. Who rejoins gets a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartyId(pub u32);

/// What a signal carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalPayload {
    /// An offer.
    Offer {
        /// Its text.
        sdp: Sdp,
        /// Whether it restarts ICE.
        is_restart: bool,
    },
    /// An answer.
    Answer {
        /// Its text.
        sdp: Sdp,
    },
    /// One candidate or several, at most 64.
    Candidates(Vec<Candidate>),
    /// There will be no more candidates.
    EndOfCandidates,
    /// The sender took its offer back.
    Rollback,
}

/// An ICE candidate as `RTCIceCandidate` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The candidate attribute, at most 1 KiB.
    pub candidate: Box<str>,
    /// Media section by name.
    pub sdp_mid: Option<Box<str>>,
    /// Media section by number.
    pub sdp_m_line_index: Option<u16>,
    /// Which ICE session it belongs to.
    pub username_fragment: Option<Box<str>>,
}

/// State of a peer connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaStatus {
    /// ICE is looking for a way.
    Connecting,
    /// Media flows.
    Connected,
    /// It stopped; ICE may find it again by itself.
    Disconnected,
    /// ICE gave up.
    Failed,
}

/// The way that media goes, by the nominated pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MediaPath {
    /// Type of this side's candidate.
    pub local: CandidateType,
    /// Type of the other side's.
    pub remote: CandidateType,
    /// How this side reaches its relay, or its peer.
    pub transport: PathTransport,
}

/// Where a candidate came from (RFC 8445).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CandidateType {
    /// An address of the device's own.
    Host,
    /// As STUN saw it.
    ServerReflexive,
    /// As the peer saw it.
    PeerReflexive,
    /// At a TURN server.
    Relay,
}

/// Transport below a media path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathTransport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

/// What getStats said over one window.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QualitySample {
    /// How long the window was, milliseconds.
    pub window_ms: u32,
    /// Round trip, milliseconds.
    pub rtt_ms: Option<f32>,
    /// Jitter of what comes in, milliseconds.
    pub jitter_ms: Option<f32>,
    /// Share of packets lost in the window, percent.
    pub loss_percent: Option<f32>,
    /// Mean opinion score, 1 to 5, if the client estimates one.
    pub mos: Option<f32>,
    /// Bits a second in.
    pub bitrate_in: Option<u32>,
    /// Bits a second out.
    pub bitrate_out: Option<u32>,
    /// Share of concealed samples, percent.
    pub concealed_percent: Option<f32>,
    /// Loudness of what comes in, 0 to 1.
    pub level_in: Option<f32>,
    /// Loudness of the microphone, 0 to 1.
    pub level_out: Option<f32>,
    /// Audio packets received since the call began.
    pub packets_in: Option<u64>,
    /// By which way.
    pub path: Option<MediaPath>,
    /// Name of the audio codec; at most 32 bytes.
    pub codec: Option<Box<str>>,
    /// The last one of this call.
    pub is_final: bool,
}

/// What can be bad about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QualityMetric {
    /// Round trip, milliseconds; over 400 is bad.
    Rtt,
    /// Jitter, milliseconds; over 30 is bad.
    Jitter,
    /// Loss, percent; over 1 is bad.
    Loss,
    /// Mean opinion score, 1 to 5; under 3 is bad.
    Mos,
    /// The other side speaks, and nothing of it arrives here; the value is the seconds without a
    /// packet.
    OneWayAudio,
}

impl QualityMetric {
    /// Its stable word.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Rtt => "rtt",
            Self::Jitter => "jitter",
            Self::Loss => "loss",
            Self::Mos => "mos",
            Self::OneWayAudio => "one_way_audio",
        }
    }
}

impl MediaPath {
    /// Whether a TURN server is on the way.
    #[must_use]
    pub fn is_relayed(self) -> bool {
        self.local == CandidateType::Relay || self.remote == CandidateType::Relay
    }

    /// Its stable words, such as `relay/srflx/udp`.
    #[must_use]
    pub fn code(self) -> String {
        format!("{}/{}/{}", self.local.code(), self.remote.code(), self.transport.code())
    }

    /// Reads its words.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        let mut words = code.split('/');
        let mut kind = || {
            let word = words.next()?;
            CandidateType::ALL.into_iter().find(|kind| kind.code() == word)
        };
        let (local, remote) = (kind()?, kind()?);
        let word = words.next()?;
        let transport = PathTransport::ALL.into_iter().find(|kind| kind.code() == word)?;
        words.next().is_none().then_some(Self { local, remote, transport })
    }
}

impl CandidateType {
    const ALL: [Self; 4] = [Self::Host, Self::ServerReflexive, Self::PeerReflexive, Self::Relay];

    /// Its word in SDP.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relay => "relay",
        }
    }
}

impl PathTransport {
    const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    /// Its stable word.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}
