//! The way over from coturn: its file, its command line and its user database become a native config
//! and a report on every option. Nothing is dropped without a line in the report.

mod accounts;
mod draft;
mod listeners;
mod logins;
mod operation;
mod options;
mod peers;
mod quotas;
mod reading;
mod realm;
mod report;
mod syntax;
mod turndb;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use self::reading::Import;
use super::{Config, ConfigError, Places, Source};
use crate::limits::CONFIG_BYTES_MAX;
use crate::limits::coturn::COTURN_FILE_BYTES_MAX;

pub use report::{Line, Origin, Report, Verdict};
pub use syntax::Place;

/// What is to be imported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// coturn's file; without one, the one that `arguments` name.
    pub file: Option<PathBuf>,
    /// What stands behind `turnserver` in a unit or a container's command.
    pub arguments: Option<String>,
    /// Which user database is read.
    pub database: DatabaseChoice,
}

/// Which user database is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DatabaseChoice {
    /// The one that the file names, else coturn's own if it is at its usual place.
    #[default]
    AsConfigured,
    /// This one: a path, a URL or coturn's words for a connection.
    Named(String),
    /// None.
    Never,
}

/// A config, and what became of every option.
#[derive(Debug)]
pub struct Imported {
    /// What to write, secrets included.
    pub text: String,
    /// The same with every secret as its length.
    pub text_without_secrets: String,
    /// What it means.
    pub config: Config,
    /// What became of every option.
    pub report: Report,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read, or is none of coturn's.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// A sentence, with the cure.
        why: String,
    },
    /// The command line cannot be cut into words.
    #[error("the command line {0}")]
    Arguments(String),
    /// Neither a file nor a command line was given.
    #[error("name coturn's file, such as /etc/turnserver.conf, or its command line with --args")]
    Nothing,
    /// More accounts than a config has room for.
    #[error(
        "the config would be larger than {CONFIG_BYTES_MAX} bytes: so many accounts do not fit; import \
         without them (--turndb none), and add those you need with `turnbell user add NAME --key KEY`"
    )]
    TooLarge,
    /// The config that was made is not one; a bug.
    #[error("the config that came out does not pass its own check, please report this:\n{0}")]
    Check(#[from] ConfigError),
}

/// Reads everything that is wanted and makes a config of it.
///
/// `into`: where the config will stand; its relative paths start there.
///
/// # Errors
/// If there is nothing to read or it is none of coturn's; a database that cannot be read is a line in
/// the report.
pub fn import(wanted: &Wanted, into: &Path) -> Result<Imported, ImportError> {
    let line = match &wanted.arguments {
        Some(text) => syntax::command_line(text).map_err(ImportError::Arguments)?,
        None => syntax::CommandLine::default(),
    };
    let named = line.file.as_ref().filter(|_| !line.no_file).map(PathBuf::from);
    let file = wanted.file.clone().or_else(|| named.clone());
    let mut statements = match &file {
        Some(path) => {
            let failed = |why| ImportError::File { path: path.clone(), why };
            syntax::file(&bytes(path).map_err(failed)?).map_err(failed)?
        }
        None if wanted.arguments.is_none() => return Err(ImportError::Nothing),
        None => Vec::new(),
    };
    statements.extend(line.statements);
    let mut import = Import::new(statements, file.as_deref());
    for (place, word) in line.strays {
        import.tell_stray(place, &word);
    }
    if let (Some(named), Some(read)) = (named, &file)
        && named != *read
    {
        let (named, read) = (named.display(), read.display());
        import.report.note(format!("the command line names {named}; {read} was read"));
    }
    import.judge_fixed();
    import.listeners();
    import.peers_and_accounts(&wanted.database);
    import.quotas();
    import.operation();
    import.judge_rest();
    let source =
        file.as_ref().map_or_else(|| "a command line".to_owned(), |p| p.display().to_string());
    finish(import, &source, into)
}

impl Config {
    /// What coturn's file means, for a daemon that runs straight from it.
    ///
    /// # Errors
    /// As [`import`].
    pub fn of_coturn(wanted: &Wanted) -> Result<(Self, Report), ImportError> {
        let file = wanted.file.clone().unwrap_or_else(|| PathBuf::from("turnserver.conf"));
        let Imported { config, report, .. } = import(wanted, &file)?;
        let source = Source::Coturn(Box::new(wanted.clone()));
        // Its lines are those of a text that nobody sees.
        Ok((Self { source, places: Places::default(), ..config }, report))
    }
}

/// Takes out what our own check refuses, so that what is written always passes it.
fn finish(mut import: Import, source: &str, into: &Path) -> Result<Imported, ImportError> {
    let heading = format!(
        "Made by `turnbell import-coturn` from {source}.\n\
         What is not here has its default: conf/turnbell.toml shows every key."
    );
    loop {
        let mut text = import.draft.to_toml(&heading, true);
        if is_too_large(&text) {
            import.draft.shorten();
            text = import.draft.to_toml(&heading, true);
        }
        if is_too_large(&text) {
            return Err(ImportError::TooLarge);
        }
        let error = match Config::parse(into, &text) {
            Ok(config) => {
                let Import { report, draft, .. } = import;
                let text_without_secrets = draft.to_toml(&heading, false);
                return Ok(Imported { text, text_without_secrets, config, report });
            }
            Err(error) => error,
        };
        let mut removed = false;
        for problem in &error.problems {
            removed |= import.take_back(problem);
        }
        if !removed {
            return Err(error.into());
        }
    }
}

/// Whether no config of this length is read.
fn is_too_large(text: &str) -> bool {
    u64::try_from(text.len()).is_ok_and(|bytes| bytes > CONFIG_BYTES_MAX)
}

/// The whole file. What is no regular file may have no end.
fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {}", with_cure(&error));
    let metadata = path.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err("is no file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(COTURN_FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|bytes| bytes > COTURN_FILE_BYTES_MAX) {
        return Err(format!(
            "is larger than {COTURN_FILE_BYTES_MAX} bytes; this is no config file"
        ));
    }
    Ok(bytes)
}

/// Debian's coturn keeps its files to itself.
fn with_cure(error: &std::io::Error) -> String {
    let is_denied = error.kind() == std::io::ErrorKind::PermissionDenied;
    format!("{error}{}", if is_denied { "; run it as root" } else { "" })
}

#[cfg(test)]
mod tests;
