//! Takes typed values out of the raw configuration; what does not fit becomes a problem with its
//! line, and the default stands in so that checking can go on.

use std::ops::{Range, RangeInclusive};
use std::path::Path;

use toml::Spanned;

use super::load::HandedFiles;
use super::problem::{Problem, line_of};
use super::raw::{List, Number, Switch, Text, is_secret};
use super::suggest;
use super::value::Refusal;

/// Collects what is wrong while values are taken out one by one.
pub(super) struct Checker<'a> {
    /// The file, for line numbers.
    pub(super) text: &'a str,
    /// Where relative paths of the file start.
    pub(super) directory: &'a Path,
    /// Files of secrets whose text is known, by their path as written.
    pub(super) handed: &'a HandedFiles,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

impl Checker<'_> {
    pub(super) fn text<T>(
        &mut self,
        key: &str,
        raw: Text,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> T {
        let Some(raw) = raw else { return default };
        match parse(raw.get_ref()) {
            Ok(value) => value,
            Err(refusal) => {
                self.refuse_text(raw.span(), key, raw.get_ref(), &refusal);
                default
            }
        }
    }

    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &str,
        raw: Text,
        default: T,
        words: &[(&str, T)],
    ) -> T {
        self.text(key, raw, default, |text| {
            let found = words.iter().find(|(word, _)| *word == text);
            found.map(|(_, value)| *value).ok_or_else(|| {
                let words: Vec<String> =
                    words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                Refusal(format!("must be {}", words.join(" or ")))
            })
        })
    }

    /// All values of a list; `None` if the key is absent or one of them is refused.
    pub(super) fn list<T: PartialEq>(
        &mut self,
        key: &str,
        raw: List,
        count: RangeInclusive<usize>,
        mut parse: impl FnMut(&str) -> Result<T, Refusal>,
    ) -> Option<Vec<T>> {
        let raw = raw?;
        let found = raw.get_ref().len();
        if !count.contains(&found) {
            let text =
                format!("must have {} to {} entries, found {found}", count.start(), count.end());
            self.refuse(raw.span(), key, &text);
            return None;
        }
        let before = self.problems.len();
        let mut values = Vec::with_capacity(found);
        for item in raw.get_ref() {
            match parse(item.get_ref()) {
                Ok(value) if found <= UNIQUE_MAX && values.contains(&value) => {
                    let refusal = Refusal("stands there twice".to_owned());
                    self.refuse_text(item.span(), key, item.get_ref(), &refusal);
                }
                Ok(value) => values.push(value),
                Err(refusal) => self.refuse_text(item.span(), key, item.get_ref(), &refusal),
            }
        }
        (self.problems.len() == before).then_some(values)
    }

    pub(super) fn number(
        &mut self,
        key: &str,
        raw: Number,
        default: u32,
        allowed: RangeInclusive<u32>,
    ) -> u32 {
        let Some(raw) = raw else { return default };
        match u32::try_from(*raw.get_ref()) {
            Ok(value) if allowed.contains(&value) => value,
            Ok(_) | Err(_) => {
                let (low, high) = (allowed.start(), allowed.end());
                let text = format!("must be from {low} to {high}, found {}", raw.get_ref());
                self.refuse(raw.span(), key, &text);
                default
            }
        }
    }

    pub(super) fn switch(&self, raw: Switch, default: bool) -> bool {
        raw.map_or(default, Spanned::into_inner)
    }

    fn refuse_text(&mut self, span: Range<usize>, key: &str, found: &str, refusal: &Refusal) {
        if is_secret(key) && key != "auth.secret_files" {
            self.refuse(span, key, &refusal.0);
        } else {
            self.refuse(span, key, &format!("\"{}\": {}", suggest::shortened(found), refusal.0));
        }
    }

    pub(super) fn refuse(&mut self, span: Range<usize>, key: &str, text: &str) {
        let line = Some(line_of(self.text, span.start));
        self.problems.push(Problem { line, key: key.to_owned(), text: text.to_owned() });
    }
}

/// Lists up to this long are searched for doubles (static users have their own search).
const UNIQUE_MAX: usize = 1024;
