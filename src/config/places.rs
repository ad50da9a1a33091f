//! Where a file says what: the line of every key and of every entry of a list.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

/// A key in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Line of its first mention, counted from 1.
    pub line: usize,
    /// Lines of the entries, if it is a list or repeated.
    pub items: Vec<usize>,
}

/// Places by key (`quota.per_user`); `[[ice.server]]` is one key, `ice.server`, repeated; so is `tenant`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places(BTreeMap<String, Place>);

impl Places {
    /// Finds all keys of a file that was accepted; none in one that is no TOML.
    pub(super) fn of(text: &str) -> Self {
        let mut places = Self::default();
        if let Ok(document) = DeTable::parse(text) {
            let ends =
                text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at);
            places.note(&Lines(ends.collect()), "", document.get_ref());
        }
        places
    }

    /// Where `key` stands; `None` if the file does not have it.
    #[must_use]
    pub fn of_key(&self, key: &str) -> Option<&Place> {
        self.0.get(key)
    }

    /// Has `key` stand where it stands in `other`, or nowhere.
    pub(super) fn take_from(&mut self, other: &Self, key: &str) {
        match other.0.get(key) {
            Some(place) => _ = self.0.insert(key.to_owned(), place.clone()),
            None => _ = self.0.remove(key),
        }
    }

    fn note(&mut self, lines: &Lines, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            if let DeValue::Table(inner) = value.get_ref() {
                if name == "tenant" {
                    let items: Vec<usize> =
                        inner.iter().map(|(id, _)| lines.line(id.span().start)).collect();
                    let line = items.iter().copied().min().unwrap_or(1);
                    self.0.insert(name.clone(), Place { line, items });
                }
                self.note(lines, &format!("{name}."), inner);
                continue;
            }
            let items = if let DeValue::Array(items) = value.get_ref() {
                items.iter().map(|item| lines.line(item.span().start)).collect()
            } else {
                Vec::new()
            };
            self.0.insert(name, Place { line: lines.line(key.span().start), items });
        }
    }
}

/// Where the lines of a text end, so that ten thousand entries are found without reading it as often.
struct Lines(Vec<usize>);

impl Lines {
    /// The line of a byte, counted from 1.
    fn line(&self, at: usize) -> usize {
        self.0.partition_point(|end| *end < at) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_every_entry_has_its_line() {
        let places = Places::of(
            "realm = \"x\"\ndeny_peers = [\n  \"10.0.0.0/8\",\n  \"11.0.0.0/8\", \"12.0.0.0/8\",\n]\n\
             quota.total = 5\n[http]\nlisten = []\n\n[[ice.server]]\nurls = [\"stun:a\"]\n\
             [[ice.server]]\nurls = [\"stun:b\"]\n",
        );
        let place = |key| places.of_key(key).map(|p| (p.line, p.items.clone()));
        assert_eq!(place("realm"), Some((1, vec![])));
        assert_eq!(place("deny_peers"), Some((2, vec![3, 4, 4])));
        assert_eq!(place("quota.total"), Some((6, vec![])));
        assert_eq!(place("http.listen"), Some((8, vec![])));
        assert_eq!(place("ice.server"), Some((10, vec![10, 12])));
        assert_eq!(place("ice.ttl"), None);
        assert_eq!(Places::of("= 5"), Places::default());
    }
}
