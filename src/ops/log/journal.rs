//! The log in the journal's own protocol: a datagram per event, a line `NAME=value` per field. No
//! value holds a line end, for all were escaped, so the simple form of the protocol does.

use std::fmt::Write;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::{Said, Words, priority};
use crate::limits::diagnose::JOURNAL_PATIENCE;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

pub(super) struct Journal(UnixDatagram);

impl Journal {
    pub(super) fn open() -> io::Result<Self> {
        Self::at(Path::new(SOCKET))
    }

    fn at(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        // A journal that hangs must not hang us.
        socket.set_write_timeout(Some(JOURNAL_PATIENCE))?;
        Ok(Self(socket))
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // Nobody is left to tell if it fails.
        let _ = self.0.send(datagram(*event.metadata().level(), &Words::of(event)).as_bytes());
    }
}

fn datagram(level: Level, words: &Words) -> String {
    let mut text = format!(
        "MESSAGE={}\nPRIORITY={}\nSYSLOG_IDENTIFIER=turnbell\n",
        words.text(),
        priority(level)
    );
    for (name, said) in &words.fields {
        let (Said::Text(value) | Said::Plain(value)) = said;
        let _ = writeln!(text, "TURNBELL_{}={value}", name.to_ascii_uppercase().replace('.', "_"));
    }
    text
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn the_journal_gets_a_datagram_with_a_line_for_each_field() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listening = UnixDatagram::bind(&path).unwrap();
        let subscriber = tracing_subscriber::registry().with(Journal::at(&path).unwrap());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(port = 3478, who = "x\nPRIORITY=0", "taken");
        });
        let mut bytes = [0; 4096];
        let length = listening.recv(&mut bytes).unwrap();
        assert_eq!(
            std::str::from_utf8(&bytes[..length]).unwrap(),
            "MESSAGE=taken port=3478 who=\"x\\nPRIORITY=0\"\nPRIORITY=4\n\
             SYSLOG_IDENTIFIER=turnbell\nTURNBELL_PORT=3478\nTURNBELL_WHO=x\\nPRIORITY=0\n"
        );
        assert!(Journal::at(&directory.path().join("nobody")).is_err());
    }
}
