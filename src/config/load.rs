//! Finds and reads the file: `--config`, `./turnbell.toml`, `/etc/turnbell/turnbell.toml`, none.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::places::Places;
use super::problem::{ConfigError, Problem};
use super::{Config, Source, check, default_state_directory, raw};
use crate::limits::CONFIG_BYTES_MAX;

/// Where the config is looked for when none is named, in this order.
pub const PLACES: [&str; 2] = ["turnbell.toml", "/etc/turnbell/turnbell.toml"];

impl Source {
    /// The file, whoever's it is.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Embedded => None,
            Self::File(path) => Some(path),
            Self::Coturn(wanted) => wanted.file.as_deref(),
        }
    }
}

/// Text of secret files by their path as the config has it.
pub type HandedFiles = BTreeMap<String, String>;

impl Config {
    /// Reads `named`, or else the first file of [`PLACES`] that exists, or else the built-in
    /// default. Every command finds its configuration this way.
    ///
    /// # Errors
    /// Everything that is wrong with the file. A file that exists and cannot be read is an error:
    /// passing it over would start another relay than the one that was configured.
    pub fn find(named: Option<&Path>) -> Result<Self, ConfigError> {
        if let Some(path) = named {
            return Self::load(path);
        }
        for place in PLACES {
            let path = Path::new(place);
            match path.symlink_metadata() {
                Ok(_) => return Self::load(path),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(path, &error)),
            }
        }
        Ok(Self::embedded())
    }

    /// Reads one file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(path, &Self::read(path)?)
    }

    /// Reads the text of one file, to be checked later.
    ///
    /// # Errors
    /// If it cannot be read, is too large, or no text.
    pub fn read(path: &Path) -> Result<String, ConfigError> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(|error| unreadable(path, &error))?;
        if u64::try_from(bytes.len()).is_ok_and(|bytes| bytes > CONFIG_BYTES_MAX) {
            let text = format!("is larger than {CONFIG_BYTES_MAX} bytes; this is no config file");
            return Err(ConfigError::whole(path, text));
        }
        String::from_utf8(bytes)
            .map_err(|_| ConfigError::whole(path, "is not UTF-8 text".to_owned()))
    }

    /// Checks `text` as if it stood in the file `path`, which need not exist.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        Self::parse_handed(path, text, &HandedFiles::new())
    }

    /// The same, where the text of some secret files is known already.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse_handed(path: &Path, text: &str, files: &HandedFiles) -> Result<Self, ConfigError> {
        let (raw, mut problems) = raw::parse(text);
        let directory = path.parent().unwrap_or_else(|| Path::new(""));
        let checked = check::convert(Self::default_for(path), raw, text, directory, files);
        // A server that lost a misspelt key seems to lack what is only misspelt.
        let misspelt = problems.iter().any(|problem| problem.key.starts_with("ice.server."));
        let follows = |problem: &Problem| misspelt && problem.key == "ice.server";
        problems.extend(checked.problems.into_iter().filter(|problem| !follows(problem)));
        if problems.is_empty() {
            Ok(Self { places: Places::of(text), ..checked.config })
        } else {
            Err(ConfigError::several(path, problems))
        }
    }

    /// The defaults of a file at `path`: those built in, but a key is asked for even locally.
    fn default_for(path: &Path) -> Self {
        let mut config = Self { source: Source::File(path.to_owned()), ..Self::embedded() };
        config.http.local_without_key = false;
        if path.starts_with("/etc/turnbell") && std::env::var_os("STATE_DIRECTORY").is_none() {
            // Commands typed in a shell find the directory that systemd gave the service.
            config.state_directory = PathBuf::from("/var/lib/turnbell");
        } else {
            config.state_directory = default_state_directory();
        }
        config
    }

    /// Every key a file may hold, as paths: `realm`, `auth.secrets`, `ice.server.urls`.
    #[must_use]
    pub fn keys() -> Vec<String> {
        raw::known_keys()
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> ConfigError {
    let denied = error.kind() == ErrorKind::PermissionDenied;
    let cure = if denied { "; run as root, or as the user the daemon runs as" } else { "" };
    ConfigError::whole(path, format!("cannot be read: {error}{cure}"))
}
