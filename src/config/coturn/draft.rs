//! The native config while it is made: keys in the order they are set, each with where it came from.

use std::fmt::Write as _;

/// A value to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Flag(bool),
    List(Vec<Item>),
}

/// An entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) text: String,
    /// Where it came from, if the list as a whole does not say it.
    pub(super) from: Option<String>,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// Its path, such as `quota.per_user`.
    pub(super) path: &'static str,
    pub(super) value: Value,
    /// Lines of comment above it.
    pub(super) comments: Vec<String>,
}

/// What will be written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Draft {
    keys: Vec<Key>,
}

impl Draft {
    /// Sets a key; one that is set already is replaced.
    pub(super) fn set(&mut self, path: &'static str, value: Value, comment: impl Into<String>) {
        self.keys.retain(|key| key.path != path);
        self.keys.push(Key { path, value, comments: vec![comment.into()] });
    }

    /// The key, if it is set.
    pub(super) fn key(&self, path: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.path == path)
    }

    /// Takes a key out.
    pub(super) fn remove(&mut self, path: &str) -> Option<Key> {
        let at = self.keys.iter().position(|key| key.path == path)?;
        Some(self.keys.remove(at))
    }

    /// Leaves out where entries of lists came from, which may be more than they themselves.
    pub(super) fn shorten(&mut self) {
        for key in &mut self.keys {
            if let Value::List(items) = &mut key.value {
                items.iter_mut().for_each(|item| item.from = None);
            }
        }
    }

    /// The file: keys without a section first, then one section after the other.
    ///
    /// `shows_secrets`: without it a secret is written as its length, for a person to look at.
    pub(super) fn to_toml(&self, heading: &str, shows_secrets: bool) -> String {
        let mut text = String::new();
        for line in heading.lines() {
            let _ = writeln!(text, "# {}", comment(line));
        }
        let mut sections = vec![""];
        for key in &self.keys {
            let (section, _) = split(key.path);
            if !sections.contains(&section) {
                sections.push(section);
            }
        }
        for section in sections {
            if !section.is_empty() {
                let _ = write!(text, "\n[{section}]\n");
            }
            for key in self.keys.iter().filter(|key| split(key.path).0 == section) {
                write_key(&mut text, key, shows_secrets);
            }
        }
        text
    }
}

impl Key {
    /// Where several entries of a list came from together.
    fn common_origin(&self) -> Option<&str> {
        let Value::List(items) = &self.value else { return None };
        let (first, rest) = items.split_first()?;
        let is_common = !rest.is_empty() && rest.iter().all(|item| item.from == first.from);
        first.from.as_deref().filter(|_| is_common)
    }
}

fn split(path: &str) -> (&str, &str) {
    path.split_once('.').unwrap_or(("", path))
}

fn write_key(text: &mut String, key: &Key, shows_secrets: bool) {
    let hides = !shows_secrets && crate::config::raw::is_secret(key.path);
    let shown = |value: &str| if hides { super::report::hidden(value) } else { value.to_owned() };
    text.push('\n');
    let common = key.common_origin();
    for line in key.comments.iter().map(String::as_str).chain(common) {
        let _ = writeln!(text, "# {}", comment(line));
    }
    let name = split(key.path).1;
    match &key.value {
        Value::Text(value) => {
            let _ = writeln!(text, "{name} = {}", quoted(&shown(value)));
        }
        Value::Number(value) => {
            let _ = writeln!(text, "{name} = {value}");
        }
        Value::Flag(value) => {
            let _ = writeln!(text, "{name} = {value}");
        }
        Value::List(items) if items.is_empty() => {
            let _ = writeln!(text, "{name} = []");
        }
        Value::List(items) => {
            let _ = writeln!(text, "{name} = [");
            for Item { text: value, from } in items {
                let _ = write!(text, "    {},", quoted(&shown(value)));
                if let Some(from) = from.as_ref().filter(|_| common.is_none()) {
                    let _ = write!(text, " # {}", comment(from));
                }
                text.push('\n');
            }
            let _ = writeln!(text, "]");
        }
    }
}

/// A text as TOML has it, on one line.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A comment ends at the line's end, and so does nothing else.
fn comment(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
