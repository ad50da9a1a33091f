//! What is wrong with a configuration, said so that it can be cured.

use std::fmt;
use std::path::PathBuf;

use crate::limits::CONFIG_PROBLEMS_MAX;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, counted from 1; `None` where no line is to blame.
    pub line: Option<usize>,
    /// Path of the key, such as `quota.per_user`; empty where no key is to blame.
    pub key: String,
    /// What was found, what is allowed, what to do.
    pub text: String,
}

/// Everything that is wrong with one configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// In the order of the file; never empty.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// An error about the file as a whole.
    pub(super) fn whole(file: impl Into<PathBuf>, text: String) -> Self {
        Self { file: file.into(), problems: vec![Problem { line: None, key: String::new(), text }] }
    }

    /// An error about several places, sorted by line.
    pub(super) fn several(file: impl Into<PathBuf>, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.line);
        Self { file: file.into(), problems }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        for (index, problem) in self.problems.iter().take(CONFIG_PROBLEMS_MAX).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match problem.line {
                Some(line) => write!(f, "{file}:{line}: ")?,
                None => write!(f, "{file}: ")?,
            }
            if !problem.key.is_empty() {
                write!(f, "`{}`: ", problem.key)?;
            }
            f.write_str(&problem.text)?;
        }
        match self.problems.len().checked_sub(CONFIG_PROBLEMS_MAX) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\n{file}: and {more} more problems"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The line that byte `at` of `text` stands in, counted from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
