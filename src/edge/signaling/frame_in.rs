//! JSON frames from clients, read into the words of `call`.
//!
//! ```text
//! {"t":"call.invite","id":"c7","ack":412,"d":{"to":{"user":"bob"},"media":{"audio":true}}}
//! ```
//! `t` says what, `id` names a request (1 to 64 bytes), `ack` acknowledges events, `d` is the rest.
//! Unknown fields are ignored.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{body, body_media};
use crate::auth::identity::Identity;
use crate::call::refusal::{ErrorCode, Refusal};
use crate::call::request::{Capabilities, Device, Frame, Request, RequestId, Resume, Update};
use crate::edge::exact::Object;
use crate::limits::call::{CODEC_BYTES_MAX, FEEDBACK_BYTES_MAX};

/// The first frame of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloFrame {
    /// Its id; `welcome` carries it.
    pub id: Option<RequestId>,
    /// The token, not verified yet.
    pub token: String,
    /// On what.
    pub device: Device,
    /// What the client can do.
    pub capabilities: Capabilities,
    /// A session to go on with.
    pub resume: Option<Resume>,
}

/// A frame that says nothing in this protocol: the connection is closed with 4010.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAFrame(pub String);

/// What a frame wants before its token is verified.
#[derive(Debug, Clone, PartialEq)]
pub enum Read {
    /// The switchboard knows what to do with it.
    Frame(Frame),
    /// `auth.refresh`: verify the token, then it is a request of this name.
    Refresh {
        /// Its name.
        id: RequestId,
        /// Acknowledged events.
        ack: Option<u64>,
        /// The new token.
        token: String,
    },
}

impl Read {
    /// The frame of an `auth.refresh` whose token was verified, or was not.
    #[must_use]
    pub fn refreshed(id: RequestId, ack: Option<u64>, who: Result<Identity, Refusal>) -> Frame {
        match who {
            Ok(identity) => {
                Frame::Request { id, ack, request: Request::AuthRefresh(Box::new(identity)) }
            }
            Err(refusal) => Frame::Unreadable { id: Some(id), refusal },
        }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    t: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    ack: Option<u64>,
    #[serde(borrow, default)]
    d: Option<&'a RawValue>,
}

/// Reads the first frame.
///
/// # Errors
/// If it is no frame, or another one than `hello`.
pub fn hello(text: &str) -> Result<HelloFrame, NotAFrame> {
    let envelope: Envelope<'_> = envelope(text)?;
    if envelope.t != "hello" {
        return Err(NotAFrame(format!("the first frame must be hello, not {:?}", envelope.t)));
    }
    let hello: body::Hello =
        content(envelope.d).map_err(|refusal| NotAFrame(refusal.message.into()))?;
    Ok(HelloFrame {
        id: envelope.id.as_deref().and_then(RequestId::new),
        token: hello.token,
        device: hello.device.unwrap_or_default().0.into(),
        capabilities: Capabilities {
            media_reports: hello.caps.iter().any(|cap| cap == "media_reports"),
        },
        resume: hello.resume.map(|Object(body::Resume { token, last_seq })| Resume {
            token: token.into(),
            last_seq,
        }),
    })
}

/// Reads any other frame.
///
/// # Errors
/// If it is no JSON object with a `t`. Everything else that is wrong is a refusal inside.
pub fn frame(text: &str) -> Result<Read, NotAFrame> {
    let Envelope { t, id, ack, d } = envelope(text)?;
    if t == "ack" {
        return Ok(Read::Frame(match content::<body::Ack>(d) {
            // `{"t":"ack","ack":7}` says it beside, `d.n` inside.
            Ok(body::Ack { n }) if n.or(ack).is_some() => Frame::Ack(n.or(ack).unwrap_or(0)),
            Ok(_) => unreadable(None, Refusal::bad("ack", "an ack names the last event's seq")),
            Err(refusal) => unreadable(None, refusal),
        }));
    }
    let Some(id) = id.as_deref().and_then(RequestId::new) else {
        let refusal = Refusal::bad("id", "a request has an id of 1 to 64 bytes");
        return Ok(Read::Frame(unreadable(None, refusal)));
    };
    if t == "auth.refresh" {
        return Ok(match content::<body::Refresh>(d) {
            Ok(body::Refresh { token }) => Read::Refresh { id, ack, token },
            Err(refusal) => Read::Frame(unreadable(Some(id), refusal)),
        });
    }
    Ok(Read::Frame(match request(&t, d) {
        Ok(request) => Frame::Request { id, ack, request },
        Err(refusal) => unreadable(Some(id), refusal),
    }))
}

fn unreadable(id: Option<RequestId>, refusal: Refusal) -> Frame {
    Frame::Unreadable { id, refusal }
}

fn request(t: &str, d: Option<&RawValue>) -> Result<Request, Refusal> {
    Ok(match t {
        "ping" => nothing(d, Request::Ping)?,
        "bye" => nothing(d, Request::Bye)?,
        "presence.set" => Request::PresenceSet(content::<body::PresenceSet>(d)?.read()?),
        "presence.subscribe" => {
            Request::PresenceSubscribe(content::<body::PresenceSubscribe>(d)?.read()?)
        }
        "call.invite" => Request::CallInvite(Box::new(content::<body::Invite>(d)?.read()?)),
        "call.ringing" => Request::CallRinging { call: content::<body::OfCall>(d)?.read()? },
        "call.accept" => {
            let accept: body::Accept = content(d)?;
            let answer = accept.answer.map(body::Description::read).transpose()?;
            Request::CallAccept { call: body::call(&accept.call)?, answer }
        }
        "call.reject" => content::<body::Reject>(d)?.read()?,
        "call.cancel" => Request::CallCancel { call: content::<body::OfCall>(d)?.read()? },
        "call.signal" => Request::CallSignal(Box::new(content::<body_media::Signal>(d)?.read()?)),
        "call.media" => content::<body_media::MediaReport>(d)?.read()?,
        "call.update" => {
            let update: body::Update = content(d)?;
            let body::Update { call, muted, video_muted, hold, screen } = update;
            let update = Update { muted, video_muted, hold, screen };
            Request::CallUpdate { call: body::call(&call)?, update }
        }
        "call.hangup" => content::<body::Hangup>(d)?.read()?,
        "call.rejoin" => content::<body::Rejoin>(d)?.read()?,
        "quality.report" => Request::QualityReport(Box::new(
            content::<body_media::Quality>(d)?.read(CODEC_BYTES_MAX)?,
        )),
        "feedback" => {
            let body::Feedback { call, score, issue } = content(d)?;
            let issue = body::text("issue", issue, FEEDBACK_BYTES_MAX)?.unwrap_or_default();
            Request::Feedback { call: body::call(&call)?, score, issue }
        }
        "hello" => return Err(Refusal::new(ErrorCode::BadRequest, "hello was said already")),
        unknown => {
            let end = unknown.floor_char_boundary(64);
            let message = format!("nobody knows requests of type {:?}", &unknown[..end]);
            return Err(Refusal::new(ErrorCode::UnknownType, &message));
        }
    })
}

fn envelope(text: &str) -> Result<Envelope<'_>, NotAFrame> {
    serde_json::from_str(text)
        .map(|Object(envelope)| envelope)
        .map_err(|error| NotAFrame(error.to_string()))
}

/// `d`; without one, an empty object.
fn content<T: DeserializeOwned>(d: Option<&RawValue>) -> Result<T, Refusal> {
    let read = serde_json::from_str(d.map_or("{}", RawValue::get));
    read.map(|Object(content)| content).map_err(|error| {
        // "missing field `call` at line 1 column 2": where it stands helps nobody.
        let error = error.to_string();
        let what = error.split(" at line ").next().unwrap_or(&error);
        Refusal::bad("d", what)
    })
}

/// A request that says nothing more; whatever `d` holds is ignored, but it is an object.
fn nothing(d: Option<&RawValue>, request: Request) -> Result<Request, Refusal> {
    content::<body::Nothing>(d).map(|_| request)
}

/// Milliseconds as clients write them.
pub(super) fn milliseconds(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[cfg(test)]
mod tests;
