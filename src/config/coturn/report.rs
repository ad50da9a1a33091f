//! What became of each option, for a person. No secret gets in: values are shown as their owner decides.

use std::collections::HashMap;
use std::fmt;

use super::syntax::Place;

/// What became of an option, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// coturn would not accept it either, or not as it was meant.
    Broken,
    /// There is nothing like it here; the text says what to do.
    NotSupported,
    /// It became something else here, or has another unit.
    Mapped,
    /// The same here.
    TakenOver,
    /// Nothing is lost without it; the text says why.
    NotNeeded,
}

/// Where something came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The file or the command line.
    Typed(Place),
    /// The user database.
    Database,
    /// The config that was made, by our own check.
    Check,
}

/// One option and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it stands.
    pub origin: Origin,
    /// Its name, and its value where that is no secret.
    pub option: String,
    /// What became of it.
    pub verdict: Verdict,
    /// How, why, or what to do.
    pub text: String,
}

/// Everything that an import has to say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Every option that was typed, and every kind of row of the database.
    pub lines: Vec<Line>,
    /// What a person should know beside them.
    pub notes: Vec<String>,
    /// Why the user database could not be read, if one was wanted.
    pub unread: Option<String>,
}

impl Report {
    /// How many options came to this.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.lines.iter().filter(|line| line.verdict == verdict).count()
    }

    pub(super) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken => "Broken",
            Self::NotSupported => "Not supported",
            Self::Mapped => "Mapped",
            Self::TakenOver => "Taken over",
            Self::NotNeeded => "Not needed any more",
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Typed(Place::Line(line)) => write!(f, "line {line}"),
            Self::Typed(Place::Word(word)) => write!(f, "argument {word}"),
            Self::Database => f.write_str("database"),
            Self::Check => f.write_str("check"),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.origin, printable(&self.option), printable(&self.text))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for verdict in [
            Verdict::Broken,
            Verdict::NotSupported,
            Verdict::Mapped,
            Verdict::TakenOver,
            Verdict::NotNeeded,
        ] {
            let mut lines: Vec<&Line> =
                self.lines.iter().filter(|line| line.verdict == verdict).collect();
            lines.sort_by_key(|line| line.origin);
            if lines.is_empty() {
                continue;
            }
            writeln!(f, "{verdict} ({}):", lines.len())?;
            // Options of which the same is to be said stand together.
            let mut by_text: HashMap<&str, Vec<&Line>> = HashMap::new();
            for line in &lines {
                by_text.entry(&line.text).or_default().push(line);
            }
            for line in lines {
                let Some(together) = by_text.remove(&*line.text) else { continue };
                let named = together
                    .iter()
                    .map(|line| format!("{} {}", line.origin, printable(&line.option)));
                let named: Vec<String> = named.collect();
                writeln!(f, "  {}: {}", named.join(", "), printable(&line.text))?;
            }
        }
        if !self.notes.is_empty() {
            writeln!(f, "Good to know:")?;
        }
        for note in &self.notes {
            writeln!(f, "  {}", printable(note))?;
        }
        Ok(())
    }
}

/// In place of a secret.
pub(super) fn hidden(secret: &str) -> String {
    format!("set, {} characters", secret.chars().count())
}

/// `1 user`, `2 users`.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Without anything that ends a line or moves a cursor, and not longer than a person reads.
pub(super) fn printable(text: &str) -> String {
    const CHARACTERS_MAX: usize = 400;
    let mut shown = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count == CHARACTERS_MAX {
            shown.push_str("...");
            break;
        }
        if letter.is_control() || ('\u{200b}'..='\u{202e}').contains(&letter) {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    shown
}
