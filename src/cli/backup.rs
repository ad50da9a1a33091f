//! `turnbell backup`: a copy of the record while the daemon writes it.
//!
//! The command reads the record itself, whether a daemon runs or not: reading keeps no writer
//! waiting, and the daemon may write nowhere but in its own directory.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use super::table;
use crate::config::Config;
use crate::ops::state_directory::give_to_owner;
use crate::store::{self, FILE_NAME};

#[derive(Debug, Args)]
#[command(after_help = "\
The daemon goes on writing; the copy is the record as it was when the command began, checked and on
disk when the command ends. It holds names and addresses: only its owner may read it. Of the state
directory keep `secret` and `signing_key`, too: without them credentials and invites that are out are
good no longer.

To go back: stop turnbell, delete turnbell.db-wal and turnbell.db-shm in the state directory, copy FILE
over turnbell.db there, give it to turnbell's user, start.

Examples:
  turnbell backup /var/backups/turnbell-2026-11-20.db")]
pub(super) struct Backup {
    /// A file that does not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the answer as one line of JSON, for scripts
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let Self { file, json } = self;
        let directory = &config.state_directory;
        if matches!(directory.join(FILE_NAME).try_exists(), Ok(false)) {
            bail!("there is no record in {} yet", directory.display());
        }
        let done = store::backup(directory, &file, &mut |_, _| {});
        // Reading as root may have made files that the daemon must be able to write.
        give_to_owner(directory);
        let bytes = done?;
        let shown = file.display().to_string();
        if json {
            let answer = serde_json::json!({"backup": {"file": shown, "bytes": bytes}});
            return super::print(&format!("{answer}\n"));
        }
        super::print(&format!("{shown}: {}, checked\n", table::bytes(bytes)))
    }
}
