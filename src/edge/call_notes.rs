//! `PATCH /v1/calls/{id}`: what people write on a call (P30), during it or afterwards.
//!
//! Who names a field sets it, `null` empties it, the others stay. 200 means that it is on disk.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use hyper::{Request, StatusCode, Uri};
use serde_json::{Map, Value};

use super::Edge;
use super::calls::{Viewer, private};
use super::calls_json::CallItem;
use super::error::ApiError;
use super::ice;
use crate::auth::api_key::KeyScope;
use crate::limits::call::{DISPLAY_BYTES_MAX, INVITE_TEXT_BYTES_MAX, METADATA_BYTES_MAX};
use crate::limits::record::{NOTES_BODY_BYTES_MAX, RECORDING_URL_BYTES_MAX};
use crate::store::{Note, Notes};

const FIELDS: &str = "any of `contact_id`, `from_display`, `from_number`, `to_number`, \
                      `recording_url`, `external_id` (texts or null), `metadata` (an object or null)";

/// `PATCH /v1/calls/{id}`
pub(crate) async fn patch(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let calls = edge.calls().ok_or_else(ApiError::not_found)?;
    let (parts, body) = request.into_parts();
    let viewer = Viewer::of(&edge, &parts, KeyScope::Calls).await?;
    let asked: Map<String, Value> =
        ice::json_body_within(NOTES_BODY_BYTES_MAX, &parts.headers, body, FIELDS).await?;
    let record = match calls.visible(&viewer, &id).await {
        // A call that has just begun may be on its way to the record.
        Err(_) if calls.written().await => calls.visible(&viewer, &id).await?,
        other => other?,
    };
    if let Viewer::User(_) = viewer {
        return Err(ApiError::forbidden(
            "this token may read the call and not write on it",
            "owners and admins write on calls of their tenant; an API key on any",
        ));
    }
    let notes = notes(asked)?;
    let call = record.call.call;
    if !calls.ask(move |store| store.annotate(call, notes)).await? {
        return Err(ApiError::no_such_call());
    }
    let record = calls.visible(&viewer, &id).await?;
    Ok(private(StatusCode::OK, CallItem::whole(&record, viewer.eyes())))
}

fn notes(asked: Map<String, Value>) -> Result<Notes, ApiError> {
    let mut notes = Notes::new();
    for (name, value) in asked {
        let known = Note::ALL.into_iter().find(|note| note.name() == name);
        let note = known.ok_or_else(|| {
            let name: String = name.chars().take(40).collect();
            ApiError::bad_request(format!("{name:?} is not one of the fields: {FIELDS}"))
        })?;
        notes.push((note, text(note, value)?));
    }
    Ok(notes)
}

fn text(note: Note, value: Value) -> Result<Option<String>, ApiError> {
    let name = note.name();
    let text = match (note, value) {
        (_, Value::Null) => return Ok(None),
        (Note::Metadata, value @ Value::Object(_)) => value.to_string(),
        (Note::Metadata, _) => {
            return Err(ApiError::field(name, "metadata must be an object, or null"));
        }
        (_, Value::String(text)) => text,
        (_, _) => return Err(ApiError::field(name, format!("{name} must be a text, or null"))),
    };
    let most = match note {
        Note::FromDisplay => DISPLAY_BYTES_MAX,
        Note::Metadata => METADATA_BYTES_MAX,
        Note::RecordingUrl => RECORDING_URL_BYTES_MAX,
        Note::ContactId | Note::FromNumber | Note::ToNumber | Note::ExternalId => {
            INVITE_TEXT_BYTES_MAX
        }
    };
    if text.len() > most {
        return Err(ApiError::field(name, format!("{name} may have at most {most} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(ApiError::field(name, format!("{name} must have no control characters")));
    }
    if note == Note::RecordingUrl && !is_https(&text) {
        let message = "recording_url must be an https:// address without a user in it";
        return Err(ApiError::field(name, message));
    }
    Ok(Some(text))
}

/// A page shows it as a link: nothing else than https may be behind it.
fn is_https(text: &str) -> bool {
    text.starts_with("https://")
        && text.parse::<Uri>().is_ok_and(|uri| {
            let host = uri.host().is_some_and(|host| !host.is_empty());
            host && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_behind_https_and_nothing_else() {
        for good in ["https://a.example/r/1.ogg", "https://a.example", "https://[2001:db8::1]/x?y"]
        {
            assert!(is_https(good), "{good}");
        }
        for bad in [
            "http://a.example/r",
            "javascript:alert(1)",
            "https://",
            "https:///x",
            "https://user:pw@a.example/",
            "https://a.example/a b",
            "HTTPS//a",
            "",
        ] {
            assert!(!is_https(bad), "{bad}");
        }
    }

    #[test]
    fn each_text_has_its_bound_and_the_refusal_names_it() {
        for note in Note::ALL.into_iter().filter(|note| *note != Note::Metadata) {
            let most = match note {
                Note::FromDisplay => DISPLAY_BYTES_MAX,
                Note::RecordingUrl => RECORDING_URL_BYTES_MAX,
                Note::ContactId
                | Note::FromNumber
                | Note::ToNumber
                | Note::ExternalId
                | Note::Metadata => INVITE_TEXT_BYTES_MAX,
            };
            let long = |bytes: usize| {
                let head = if note == Note::RecordingUrl { "https://a/" } else { "" };
                Value::from(format!("{head}{}", "x".repeat(bytes - head.len())))
            };
            assert!(text(note, long(most)).is_ok(), "{note:?}");
            assert!(text(note, long(most + 1)).is_err(), "{note:?}");
            assert!(text(note, Value::from(7)).is_err(), "{note:?}");
            assert!(matches!(text(note, Value::Null), Ok(None)), "{note:?}");
        }
        let object = |bytes: usize| serde_json::json!({"a": "x".repeat(bytes - 8)});
        assert!(text(Note::Metadata, object(METADATA_BYTES_MAX)).is_ok());
        assert!(text(Note::Metadata, object(METADATA_BYTES_MAX + 1)).is_err());
        assert!(text(Note::Metadata, Value::from("{}")).is_err());
    }
}
