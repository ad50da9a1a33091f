//! `threads`: how many threads relay.

use std::fmt;

use toml::Spanned;

use super::checker::Checker;
use super::raw::RawThreads;
use crate::limits::plane::SHARDS_MAX;

/// `threads`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Threads {
    /// One for each processor that the process may use.
    #[default]
    Auto,
    /// So many, 1 to 64.
    Count(u8),
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

impl Checker<'_> {
    pub(super) fn threads(&mut self, raw: Option<Spanned<RawThreads>>) -> Threads {
        let Some(raw) = raw else { return Threads::Auto };
        let (found, count) = match raw.get_ref() {
            RawThreads::Word(word) if word == "auto" => return Threads::Auto,
            RawThreads::Word(word) => (format!("\"{word}\""), word.parse::<u8>().ok()),
            RawThreads::Count(count) => (count.to_string(), u8::try_from(*count).ok()),
        };
        match count {
            Some(count) if (1..=SHARDS_MAX).contains(&count.into()) => Threads::Count(count),
            Some(_) | None => {
                let text = format!("must be \"auto\" or from 1 to {SHARDS_MAX}, found {found}");
                self.refuse(raw.span(), "threads", &text);
                Threads::Auto
            }
        }
    }
}
