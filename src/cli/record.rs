//! How a command reaches the record: through the daemon if it runs, else the database itself (R9).

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::config::{self, Config};
use crate::ops::state_directory::{CONTROL_SOCKET, give_to_owner};
use crate::store::{
    AddressPrivacy, Entry, FILE_NAME, KeyRow, LogQuery, LogRow, Options, SessionQuery, SessionRow,
    Store, WriterHandle,
};
use crate::time::Now;

/// A way to the record.
pub(super) struct Record {
    way: Way,
    directory: PathBuf,
}

enum Way {
    Daemon(UnixStream),
    Database(Store, Option<WriterHandle>),
}

/// Whether a missing record is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfMissing {
    Make,
    Fail,
}

impl Record {
    /// Finds the way.
    pub(super) fn reach(config: &Config, missing: IfMissing) -> anyhow::Result<Self> {
        let directory = config.state_directory.clone();
        let socket = directory.join(CONTROL_SOCKET);
        let error = match UnixStream::connect(&socket) {
            Ok(stream) => return Ok(Self { way: Way::Daemon(stream), directory }),
            Err(error) => error,
        };
        if error.kind() == ErrorKind::PermissionDenied {
            bail!(
                "{} may not be used by this user: run the command as root, or as the user the \
                 daemon runs as",
                socket.display()
            );
        }
        if missing == IfMissing::Fail && !directory.join(FILE_NAME).exists() {
            bail!(
                "there is no record in {} yet: start turnbell first, or name its config with \
                 --config",
                directory.display()
            );
        }
        let (store, writer) = Store::open_for_commands(options(config))?;
        give_to_owner(&directory);
        Ok(Self { way: Way::Database(store, Some(writer)), directory })
    }

    pub(super) fn sessions(&self, query: &SessionQuery) -> anyhow::Result<Vec<SessionRow>> {
        match &self.way {
            Way::Daemon(daemon) => from_daemon(daemon),
            Way::Database(store, _) => Ok(store.sessions(query)?),
        }
    }

    pub(super) fn log(&self, query: &LogQuery) -> anyhow::Result<Vec<LogRow>> {
        match &self.way {
            Way::Daemon(daemon) => from_daemon(daemon),
            Way::Database(store, _) => Ok(store.log(query)?),
        }
    }

    pub(super) fn keys(&self) -> anyhow::Result<Vec<KeyRow>> {
        match &self.way {
            Way::Daemon(daemon) => from_daemon(daemon),
            Way::Database(store, _) => Ok(store.keys()?),
        }
    }

    pub(super) fn add_key(&self, key: KeyRow) -> anyhow::Result<()> {
        match &self.way {
            Way::Daemon(daemon) => from_daemon(daemon),
            Way::Database(store, _) => Ok(store.add_key(key)?),
        }
    }

    /// False if no active key has this id or name.
    pub(super) fn revoke_key(&self, id_or_name: &str) -> anyhow::Result<bool> {
        match &self.way {
            Way::Daemon(daemon) => from_daemon(daemon),
            Way::Database(store, _) => Ok(store.revoke_key(id_or_name, Now::read())?),
        }
    }

    /// Puts an issued credential on record; not durable, like the daemon's own (R8).
    pub(super) fn note(&self, entry: Entry) -> anyhow::Result<()> {
        match &self.way {
            Way::Daemon(daemon) => from_daemon(daemon),
            Way::Database(store, _) => {
                store.record(entry);
                Ok(())
            }
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Way::Database(_, writer) = &mut self.way {
            drop(writer.take());
            give_to_owner(&self.directory);
        }
    }
}

/// What the record is told by the config.
pub(crate) fn options(config: &Config) -> Options {
    Options {
        directory: config.state_directory.clone(),
        retention_days: config.record.retention_days,
        bytes_max: config.record.bytes_max,
        addresses: match config.record.addresses {
            config::AddressPrivacy::Full => AddressPrivacy::Full,
            config::AddressPrivacy::Prefix => AddressPrivacy::Prefix,
            config::AddressPrivacy::None => AddressPrivacy::None,
        },
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// Asks the daemon over its control socket.
fn from_daemon<T>(_daemon: &UnixStream) -> anyhow::Result<T> {
    Err(anyhow::anyhow!("this build does not speak with the daemon"))
        .context("the daemon runs, and only it may use the record")
}
