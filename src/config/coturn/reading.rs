//! The options one by one: which of several counts, what its value is, and a line in the report for
//! each of them.

use std::path::{Path, PathBuf};

use super::draft::{Draft, Value};
use super::options::{Kind, Rule};
use super::report::{Line, Origin, Report, Verdict, counted, hidden};
use super::syntax::{Place, Statement};
use crate::config::problem::Problem;

/// An import that goes on.
pub(super) struct Import {
    pub(super) statements: Vec<Statement>,
    /// Which of them have their line in the report.
    told: Vec<bool>,
    pub(super) report: Report,
    pub(super) draft: Draft,
    /// Options of our realm in the user database, name and value.
    pub(super) realm_options: Vec<(String, String)>,
    /// Where coturn's file stands.
    pub(super) directory: PathBuf,
    /// Its name, for comments.
    file: String,
}

/// Number of an option in [`Import::statements`].
pub(super) type At = usize;

impl Import {
    pub(super) fn new(statements: Vec<Statement>, file: Option<&Path>) -> Self {
        let name = file.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        Self {
            told: vec![false; statements.len()],
            statements,
            report: Report::default(),
            draft: Draft::default(),
            realm_options: Vec::new(),
            directory: file.and_then(Path::parent).unwrap_or_else(|| Path::new("")).to_owned(),
            file: name.unwrap_or_default(),
        }
    }

    /// Writes the line of an option.
    pub(super) fn tell(&mut self, at: At, verdict: Verdict, text: impl Into<String>) {
        let statement = &self.statements[at];
        let mut text = text.into();
        if let Some(odd) = statement.odd {
            text.push_str("; ");
            text.push_str(odd);
            let counts = matches!(verdict, Verdict::TakenOver | Verdict::Mapped);
            if counts && statement.row.is_some_and(|row| row.kind == Kind::Text) {
                let place = Origin::Typed(statement.place);
                let note = format!("look at {place}, {}: {odd}, here as there", statement.name);
                self.report.note(note);
            }
        }
        let line = Line {
            origin: Origin::Typed(statement.place),
            option: shown(statement),
            verdict,
            text,
        };
        self.told[at] = true;
        self.report.lines.push(line);
    }

    pub(super) fn taken(&mut self, at: At, key: &str) {
        self.tell(at, Verdict::TakenOver, format!("`{key}`"));
    }

    pub(super) fn tell_stray(&mut self, place: Place, word: &str) {
        self.report.lines.push(Line {
            origin: Origin::Typed(place),
            option: format!("a word of {} characters", word.chars().count()),
            verdict: Verdict::Broken,
            text: "is no option, coturn passes it over".to_owned(),
        });
    }

    pub(super) fn tell_database(&mut self, what: &str, verdict: Verdict, text: impl Into<String>) {
        self.report.lines.push(Line {
            origin: Origin::Database,
            option: what.to_owned(),
            verdict,
            text: text.into(),
        });
    }

    /// All mentions of an option that have no line yet.
    pub(super) fn all(&self, names: &[&str]) -> Vec<At> {
        let fits = |at: &At| !self.told[*at] && names.contains(&&*self.statements[*at].name);
        (0..self.statements.len()).filter(fits).collect()
    }

    /// The mention that counts: the last one. The others get their line.
    pub(super) fn last(&mut self, names: &[&str]) -> Option<At> {
        let mut found = self.all(names);
        let last = found.pop()?;
        let place = Origin::Typed(self.statements[last].place);
        for at in found {
            self.tell(at, Verdict::NotNeeded, format!("the last one counts: {place}"));
        }
        Some(last)
    }

    pub(super) fn value(&self, at: At) -> &str {
        &self.statements[at].value
    }

    /// A switch as coturn reads it; what coturn would stop at counts as absent.
    pub(super) fn switch(&mut self, name: &str) -> Option<(At, bool)> {
        let at = self.last(&[name])?;
        match switch(self.value(at)) {
            Some(on) => Some((at, on)),
            None => {
                self.tell(at, Verdict::Broken, "must be on or off; coturn does not start with it");
                None
            }
        }
    }

    /// The same where nothing is to be said about one that is off.
    pub(super) fn is_on(&mut self, name: &str) -> Option<At> {
        let (at, on) = self.switch(name)?;
        if !on {
            self.tell(at, Verdict::NotNeeded, "it is off, as here");
        }
        on.then_some(at)
    }

    /// A number as `atoi` reads it.
    pub(super) fn number(&mut self, name: &str) -> Option<(At, i64)> {
        let at = self.last(&[name])?;
        Some((at, number(self.value(at))))
    }

    /// A port; 0 and what is none get their line and count as absent.
    pub(super) fn port(&mut self, name: &str) -> Option<(At, u16)> {
        let (at, number) = self.number(name)?;
        match u16::try_from(number) {
            Ok(port) if port != 0 => Some((at, port)),
            Ok(_) | Err(_) => {
                self.tell(at, Verdict::Broken, "is no port; its default counts");
                None
            }
        }
    }

    /// Where an option stands, for a comment: `turnserver.conf line 12, realm`.
    pub(super) fn from(&self, at: At) -> String {
        let statement = &self.statements[at];
        let file = match statement.place {
            Place::Line(_) => format!("{} ", self.file),
            Place::Word(_) => String::new(),
        };
        format!("{file}{}, {}", Origin::Typed(statement.place), statement.name)
    }

    /// The lines of those that need no looking at other options.
    pub(super) fn judge_fixed(&mut self) {
        for at in 0..self.statements.len() {
            let statement = &self.statements[at];
            let Some(row) = statement.row else {
                if is_foreign_comment(&statement.name) {
                    let why = "coturn passes it over; comments begin with # there";
                    self.tell(at, Verdict::NotNeeded, why);
                } else {
                    let why = "coturn knows no such option and passes it over";
                    self.tell(at, Verdict::Broken, why);
                }
                continue;
            };
            let off = row.kind == Kind::Switch && switch(&statement.value) == Some(false);
            match row.rule {
                Rule::Read => {}
                Rule::Idle(why) => self.tell(at, Verdict::NotNeeded, why),
                Rule::Missing(_) if off => self.tell(at, Verdict::NotNeeded, "it is off, as here"),
                Rule::Missing(cure) => self.tell(at, Verdict::NotSupported, cure),
            }
        }
    }

    /// Whatever has no line yet gets one.
    pub(super) fn judge_rest(&mut self) {
        for at in 0..self.statements.len() {
            if !self.told[at] {
                self.tell(at, Verdict::NotSupported, "has no effect here");
            }
        }
    }

    /// Takes back what our own check refuses; `false` if the key is none that was set.
    pub(super) fn take_back(&mut self, problem: &Problem) -> bool {
        let Some(key) = self.draft.remove(&problem.key) else { return false };
        let mut text = format!("`{}` was left out: {}", problem.key, problem.text);
        if matches!(key.value, Value::List(_)) {
            text.push_str(" (the whole list; write what of it is right)");
        }
        let origin = key.comments.first().cloned().unwrap_or_default();
        self.report.lines.push(Line {
            origin: Origin::Check,
            option: origin,
            verdict: Verdict::NotSupported,
            text,
        });
        true
    }
}

/// Name and value, the value only where it is no secret.
fn shown(statement: &Statement) -> String {
    let Statement { name, row, value, .. } = statement;
    match row {
        // Who knows what it is; a secret that stands alone in its line is not repeated either.
        None if is_foreign_comment(name) => {
            format!("a line that begins with {:?}", name.chars().take(1).collect::<String>())
        }
        None if is_name(name) && value.is_empty() => name.clone(),
        None if is_name(name) => format!("{name} ({})", hidden(value)),
        None => format!("something of {}", counted(name.chars().count(), "character")),
        Some(_) if value.is_empty() => name.clone(),
        // Which database was read is no secret, as long as it is a file.
        Some(_) if name.ends_with("db") && value.starts_with('/') && !value.contains('=') => {
            format!("{name}={value}")
        }
        Some(row) if row.is_secret => format!("{name} ({})", hidden(value)),
        Some(_) => format!("{name}={value}"),
    }
}

/// What other programs take for a comment.
fn is_foreign_comment(name: &str) -> bool {
    name.starts_with([';', '\'', '!']) || name.starts_with("//") || name.starts_with("--")
}

/// Whether it looks like the name of an option: words and hyphens, hardly a digit.
fn is_name(name: &str) -> bool {
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    (1..=40).contains(&name.len())
        && digits <= 4
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
        && (name.len() <= 16 || name.contains(['-', '_']))
}

/// coturn's words for yes and no.
pub(super) fn switch(value: &str) -> Option<bool> {
    match value.bytes().next() {
        None | Some(b'y' | b'Y' | b't' | b'T' | b'1'..=b'9') => Some(true),
        Some(b'0' | b'n' | b'N' | b'f' | b'F') => Some(false),
        Some(_) => match value {
            "on" | "ON" | "On" => Some(true),
            "off" | "OFF" | "Off" => Some(false),
            _ => None,
        },
    }
}

/// `atoi`: blanks, a sign, digits; what follows does not matter, and no digit is 0.
pub(super) fn number(value: &str) -> i64 {
    let text = value.trim_start();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let size = match digits[..end].parse::<i64>() {
        Ok(size) => size,
        Err(_) if end == 0 => 0,
        Err(_) => i64::MAX,
    };
    if negative { -size } else { size }
}
