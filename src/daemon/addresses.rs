//! Where the daemon really listens, written down for tools and tests.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::{ADDRESSES_FILE, Opened};
use crate::ops::state_directory::StateDirectory;

/// A convenience for tools; that it cannot be written is no reason not to relay.
pub(super) fn write_addresses(state: &StateDirectory, opened: &Opened) {
    let list = |addresses: &[SocketAddr]| {
        addresses.iter().fold(String::new(), |mut text, address| {
            let comma = if text.is_empty() { "" } else { "," };
            let _ = write!(text, "{comma}\"{address}\"");
            text
        })
    };
    let json = format!(
        "{{\"udp\":[{}],\"tcp\":[{}],\"tls\":[{}],\"http\":[{}],\"https\":[{}]}}\n",
        list(&opened.udp),
        list(&opened.tcp),
        list(&opened.tls),
        list(&opened.http),
        list(&opened.https)
    );
    let path = state.path().join(ADDRESSES_FILE);
    let part = state.path().join(format!("{ADDRESSES_FILE}.part"));
    // Renamed into place: whoever waits for the file never reads half of it.
    if let Err(error) = std::fs::write(&part, json).and_then(|()| std::fs::rename(&part, &path)) {
        tracing::warn!(%error, path = %path.display(), "addresses cannot be written down");
    }
}
