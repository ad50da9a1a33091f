//! coturn's file and command line, read as coturn reads them: what it cuts, skips and takes literally
//! is cut, skipped and taken literally here.

use super::options::{self, Kind, Row};
use crate::limits::coturn::{COTURN_LINE_BYTES, COTURN_STATEMENTS_MAX};

/// Where something was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A line of the file, counted from 1.
    Line(usize),
    /// A word of the command line, counted from 1.
    Word(usize),
}

/// An option as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) place: Place,
    /// Its long name; what was typed if coturn knows no such option.
    pub(super) name: String,
    pub(super) row: Option<&'static Row>,
    /// Empty if there is none.
    pub(super) value: String,
    /// What is odd about how it is written.
    pub(super) odd: Option<&'static str>,
}

/// What the command line holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CommandLine {
    pub(super) statements: Vec<Statement>,
    /// The file it names (`-c`).
    pub(super) file: Option<String>,
    /// That no file is read (`-n`).
    pub(super) no_file: bool,
    /// Words that are no option.
    pub(super) strays: Vec<(Place, String)>,
}

/// Reads the text of a file.
///
/// # Errors
/// A sentence, if it is no text or holds more options than anybody types.
pub(super) fn file(bytes: &[u8]) -> Result<Vec<Statement>, String> {
    if bytes.contains(&0) {
        return Err("is no text file: it holds zero bytes".to_owned());
    }
    let mut statements = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        // coturn reads so many bytes at once; what is longer goes on as a line of its own.
        let long = (line.len() > COTURN_LINE_BYTES).then_some(
            "the line is longer than coturn reads: the rest counts as a line of its own",
        );
        for piece in pieces(line) {
            let Some(statement) = line_of_file(Place::Line(index + 1), piece, long) else {
                continue;
            };
            if statements.len() == COTURN_STATEMENTS_MAX {
                return Err(format!("holds more than {COTURN_STATEMENTS_MAX} options"));
            }
            statements.push(statement);
        }
    }
    Ok(statements)
}

fn pieces(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.chunks(COTURN_LINE_BYTES)
}

fn line_of_file(place: Place, line: &[u8], long: Option<&'static str>) -> Option<Statement> {
    let text = String::from_utf8_lossy(line);
    let foreign = matches!(text, std::borrow::Cow::Owned(_))
        .then_some("the line is not UTF-8; what is not is shown as \u{fffd}");
    let text = text.trim_start_matches([' ', '\t']).trim_end_matches(is_space);
    if text.is_empty() || text.starts_with('#') {
        return None;
    }
    let separators = [' ', '=', '\t'];
    let (name, value) = match text.find(separators) {
        Some(at) => (&text[..at], text[at..].trim_start_matches(separators)),
        None => (text, ""),
    };
    // The opening quote goes, and the closing one if it ends the line.
    let value = match value.strip_prefix('"') {
        Some(value) => value.strip_suffix('"').unwrap_or(value),
        None => value,
    };
    let comment = (value.contains(" #") || value.contains("\t#")).then_some(
        "coturn knows comments only at the start of a line: what follows the # is part of the value",
    );
    let semicolon = text.ends_with(';').then_some("the line ends with a semicolon");
    Some(Statement {
        place,
        name: name.to_owned(),
        row: options::by_name(name),
        value: value.to_owned(),
        odd: foreign.or(long).or(comment).or(semicolon),
    })
}

/// `isspace` of C.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// Reads what stands behind `turnserver` in a shell, in a unit's ExecStart or in a container's command.
///
/// # Errors
/// A sentence, if a quote is not closed or there are too many words.
pub(super) fn command_line(text: &str) -> Result<CommandLine, String> {
    let text = text.trim().strip_prefix("ExecStart=").unwrap_or(text);
    let mut words = words(text)?;
    if words.len() > COTURN_STATEMENTS_MAX {
        return Err(format!("holds more than {COTURN_STATEMENTS_MAX} words"));
    }
    let has_program = words.first().is_some_and(|first| !first.starts_with('-'));
    if has_program && words[0].rsplit('/').next() == Some("turnserver") {
        words[0] = String::new();
    }
    let mut line = CommandLine::default();
    let mut rest =
        words.into_iter().enumerate().map(|(index, word)| (Place::Word(index + 1), word));
    let mut options_end = false;
    while let Some((place, word)) = rest.next() {
        let mut next = || rest.next().map(|(_, word)| word);
        if word.is_empty() {
            continue;
        } else if options_end {
            line.strays.push((place, word));
        } else if word == "--" {
            options_end = true;
        } else if let Some(long) = word.strip_prefix("--") {
            line.statements.push(long_option(place, long, &mut next));
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            short_options(&mut line, place, letters, &mut next);
        } else {
            line.strays.push((place, word));
        }
    }
    Ok(line)
}

fn long_option(place: Place, word: &str, next: &mut dyn FnMut() -> Option<String>) -> Statement {
    let (name, value) =
        word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value.to_owned())));
    let row = options::by_name(name).or_else(|| options::by_beginning(name));
    let value = match (value, row.map(|row| row.kind)) {
        (Some(value), _) => value,
        (None, Some(Kind::Text | Kind::Number)) => next().unwrap_or_default(),
        (None, Some(Kind::Switch | Kind::Mark) | None) => String::new(),
    };
    let name = row.map_or(name, |row| row.name).to_owned();
    Statement { place, odd: expanded(&value), name, row, value }
}

fn short_options(
    line: &mut CommandLine,
    place: Place,
    letters: &str,
    next: &mut dyn FnMut() -> Option<String>,
) {
    for (at, letter) in letters.char_indices() {
        let behind = &letters[at + letter.len_utf8()..];
        if letter == 'n' {
            line.no_file = true;
            continue;
        }
        let row = options::by_letter(letter);
        let takes_value = row.is_some_and(|row| matches!(row.kind, Kind::Text | Kind::Number));
        if !takes_value && letter != 'c' {
            let name = row.map_or_else(|| format!("-{letter}"), |row| row.name.to_owned());
            line.statements.push(Statement { place, name, row, value: String::new(), odd: None });
            continue;
        }
        let value = if behind.is_empty() { next().unwrap_or_default() } else { behind.to_owned() };
        match row {
            Some(row) => line.statements.push(Statement {
                place,
                odd: expanded(&value),
                name: row.name.to_owned(),
                row: Some(row),
                value,
            }),
            None => line.file = Some(value),
        }
        return;
    }
}

/// What a shell or a container's start script would have put there is not known here.
fn expanded(value: &str) -> Option<&'static str> {
    (value.contains("$(") || value.contains("${") || value.contains('`'))
        .then_some("a shell or the container's start script would put something else there")
}

/// Words as a shell cuts them: quotes of both kinds, backslashes; nothing is expanded.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' | '"' => {
                let into = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        None => return Err(format!("ends inside quotes ({letter})")),
                        Some(end) if end == letter => break,
                        Some('\\') if letter == '"' => {
                            let escaped = letters.next_if(|next| matches!(next, '"' | '\\' | '$'));
                            into.push(escaped.unwrap_or('\\'));
                        }
                        Some(other) => into.push(other),
                    }
                }
            }
            '\\' => match letters.next() {
                // A line that goes on.
                Some('\n') => {}
                Some(other) => word.get_or_insert_default().push(other),
                None => word.get_or_insert_default().push('\\'),
            },
            // `$(detect-external-ip -4)` is one word for a shell.
            '$' if letters.next_if_eq(&'(').is_some() => {
                let into = word.get_or_insert_default();
                into.push_str("$(");
                for inner in letters.by_ref() {
                    into.push(inner);
                    if inner == ')' {
                        break;
                    }
                }
            }
            letter if letter.is_whitespace() => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests;
