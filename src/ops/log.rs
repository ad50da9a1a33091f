//! The log: one line per event, whatever the network put into a field: for people on stderr, for
//! programs as JSON there, or in the journal's own form.

mod journal;

use std::fmt::{self, Write as _};
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;

use crate::limits::LOG_FIELD_BYTES_MAX;
use journal::Journal;

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Lines for people on stderr.
    Text,
    /// An object a line on stderr.
    Json,
    /// The journal's own protocol; as text on stderr where no journal runs.
    Journald,
}

/// Starts logging for the rest of the process. Only the first call counts.
pub fn start(level: Level, format: Format) {
    let (filter, handle) = reload::Layer::new(LevelFilter::from_level(level));
    let (journal, no_journal) = match format {
        Format::Journald => {
            Journal::open().map_or_else(|why| (None, Some(why)), |it| (Some(it), None))
        }
        Format::Text | Format::Json => (None, None),
    };
    let audience = if format == Format::Json {
        Audience::Programs
    } else if goes_to_the_journal() {
        Audience::Journal
    } else if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        Audience::Terminal
    } else {
        Audience::File
    };
    let lines = journal.is_none().then(|| {
        tracing_subscriber::fmt::layer()
            // It would be said on stderr, which is what failed, and that panics.
            .log_internal_errors(false)
            .with_writer(std::io::stderr)
            .event_format(OneLine { audience })
            .boxed()
    });
    let subscriber = tracing_subscriber::registry().with(filter).with(lines).with(journal);
    // A second daemon in one process (tests) keeps the first one's log.
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        let _ = FILTER.set(handle);
        if let Some(why) = no_journal {
            tracing::warn!(%why, "no journal takes the log: it goes to stderr as text");
        }
    }
}

/// Logs from this level on; does nothing before [`start`].
pub fn set_level(level: Level) {
    if let Some(filter) = FILTER.get() {
        // Fails only where the log itself is gone.
        let _ = filter.modify(|filter| *filter = LevelFilter::from_level(level));
    }
}

static FILTER: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Who reads the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// Colours and times.
    Terminal,
    /// Times.
    File,
    /// Priorities for the journal, which keeps the time itself.
    Journal,
    /// JSON.
    Programs,
}

#[derive(Debug, Clone, Copy)]
struct OneLine {
    audience: Audience,
}

impl<S, N> FormatEvent<S, N> for OneLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        let (name, colour) = match level {
            Level::ERROR => ("ERROR", "31"),
            Level::WARN => ("WARN ", "33"),
            Level::INFO => ("INFO ", "32"),
            Level::DEBUG => ("DEBUG", "34"),
            Level::TRACE => ("TRACE", "35"),
        };
        let words = Words::of(event);
        match self.audience {
            Audience::Journal => write!(writer, "<{}>", priority(level))?,
            Audience::File => {
                SystemTime.format_time(&mut writer)?;
                write!(writer, " {name} ")?;
            }
            Audience::Terminal => {
                SystemTime.format_time(&mut writer)?;
                write!(writer, " \x1b[{colour}m{name}\x1b[0m ")?;
            }
            Audience::Programs => {
                writer.write_str("{\"time\":\"")?;
                SystemTime.format_time(&mut writer)?;
                let level = level.as_str().to_ascii_lowercase();
                return writeln!(writer, "\",\"level\":\"{level}\"{}}}", words.json());
            }
        }
        writeln!(writer, "{}", words.text())
    }
}

/// As syslog counts.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// The words of one event, safe to print.
#[derive(Default)]
struct Words {
    message: String,
    fields: Vec<(&'static str, Said)>,
}

enum Said {
    /// A text, escaped.
    Text(String),
    /// A number or a truth value, as JSON has it.
    Plain(String),
}

impl Words {
    fn of(event: &Event<'_>) -> Self {
        let mut words = Self::default();
        event.record(&mut words);
        words
    }

    /// Message and fields on one line.
    fn text(&self) -> String {
        let mut line = self.message.clone();
        for (name, said) in &self.fields {
            let (Said::Text(value) | Said::Plain(value)) = said;
            // Quotes keep a value that looks like further fields in one piece.
            let plain = |c: char| c.is_alphanumeric() || ".:/-_@+~<>[]{}\\%".contains(c);
            if !value.is_empty() && value.chars().all(plain) {
                let _ = write!(line, " {name}={value}");
            } else {
                let _ = write!(line, " {name}=\"{}\"", value.replace('"', "\\\""));
            }
        }
        line
    }

    /// Members of an object, each with a comma before it.
    fn json(&self) -> String {
        let mut members = format!(",\"message\":{}", quoted(&self.message));
        for (name, said) in &self.fields {
            // What every line has is not said twice.
            let ours = matches!(*name, "time" | "level" | "message");
            let mark = if ours { "field_" } else { "" };
            let _ = match said {
                Said::Text(text) => write!(members, ",\"{mark}{name}\":{}", quoted(text)),
                Said::Plain(value) => write!(members, ",\"{mark}{name}\":{value}"),
            };
        }
        members
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            push_safe(&mut self.message, value);
        } else {
            self.fields.push((field.name(), Said::Text(printable(value))));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), Said::Plain(value.to_string())));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), Said::Plain(value.to_string())));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), Said::Plain(value.to_string())));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_str(field, &value.to_string());
    }
}

/// `text` as it may be shown to a person: on one line, in the order of its letters, cut at
/// LOG_FIELD_BYTES_MAX. Everything that came from the network goes through here before it is
/// printed, in the log and by commands.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut safe = String::new();
    push_safe(&mut safe, text);
    safe
}

/// Appends `text` without anything that ends a line, moves a cursor, hides or reorders letters.
fn push_safe(line: &mut String, text: &str) {
    let end = text.floor_char_boundary(LOG_FIELD_BYTES_MAX);
    for c in text[..end].chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if c.is_control() || is_invisible(c) => {
                let _ = write!(line, "\\u{{{:x}}}", u32::from(c));
            }
            c => line.push(c),
        }
    }
    if end < text.len() {
        line.push_str("...");
    }
}

/// Separators, zero-width characters, and marks that change the direction of writing.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// Whether systemd reads our stderr (`$JOURNAL_STREAM` holds its device and inode).
#[must_use]
pub fn goes_to_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = std::io::stderr().as_fd().try_clone_to_owned() else { return false };
    let metadata = std::fs::File::from(stderr).metadata();
    metadata.is_ok_and(|m| stream == format!("{}:{}", m.dev(), m.ino()))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `log` writes for the journal.
    fn written(log: impl FnOnce()) -> String {
        written_for(Audience::Journal, log)
    }

    fn written_for(audience: Audience, log: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::INFO)
            .with_writer(move || writer.clone())
            .event_format(OneLine { audience })
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_has_priority_message_and_fields() {
        let text = written(|| tracing::warn!(port = 3478, who = "alice b", "port is taken"));
        assert_eq!(text, "<4>port is taken port=3478 who=\"alice b\"\n");
    }

    #[test]
    fn levels_below_the_wanted_one_are_silent() {
        let text = written(|| {
            tracing::debug!("hidden");
            tracing::info!("shown");
        });
        assert_eq!(text, "<6>shown\n");
    }

    #[test]
    fn nothing_from_the_network_makes_a_second_line_or_moves_the_cursor() {
        let nasty = "a\n2026-11-20 ERROR fake\r\x1b[2J\u{202e}\u{200b}\u{2028}\u{9b}\0";
        for text in [
            written(|| tracing::info!(username = nasty, "refused")),
            written(|| tracing::info!(username = %nasty, "refused")),
            written(|| tracing::info!(username = ?nasty, "refused")),
            written(|| tracing::info!("refused {nasty}")),
        ] {
            assert_eq!(text.lines().count(), 1, "{text:?}");
            let bad = |c: &char| (c.is_control() && *c != '\n') || is_invisible(*c);
            assert_eq!(text.chars().find(bad), None, "{text:?}");
            assert!(text.contains("\\u{202e}") && text.contains("fake"), "{text:?}");
        }
    }

    #[test]
    fn a_value_cannot_pose_as_further_fields() {
        let text = written(|| tracing::info!(username = "a\" admin=true x=\"", "refused"));
        assert_eq!(text, "<6>refused username=\"a\\\" admin=true x=\\\"\"\n");
    }

    #[test]
    fn a_program_reads_an_object_a_line_with_numbers_as_numbers() {
        let text = written_for(Audience::Programs, || {
            tracing::warn!(port = 3478, ok = false, who = "a\" \n\u{202e}", level = "x", "taken");
        });
        assert_eq!(text.lines().count(), 1, "{text:?}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["level"], &line["message"]), (&"warn".into(), &"taken".into()));
        assert_eq!((&line["port"], &line["ok"]), (&3478.into(), &false.into()));
        assert_eq!((&line["who"], &line["field_level"]), (&"a\" \\n\\u{202e}".into(), &"x".into()));
        let time = line["time"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.contains('T'), "{time}");
        assert!(text.starts_with("{\"time\":\""), "{text}");
    }

    #[test]
    fn a_field_is_cut_at_its_bound() {
        let of = |bytes: usize| written(|| tracing::info!(v = "x".repeat(bytes), "m"));
        let full = "x".repeat(LOG_FIELD_BYTES_MAX);
        assert_eq!(of(LOG_FIELD_BYTES_MAX), format!("<6>m v={full}\n"));
        assert_eq!(of(LOG_FIELD_BYTES_MAX + 1), format!("<6>m v={full}...\n"));
    }
}
