//! `turnbell import-coturn`: a native config from coturn's file, and a report on every option.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use crate::config::coturn::{self, DatabaseChoice, Imported, Verdict, Wanted};

#[derive(Debug, Args)]
#[command(after_help = "\
Nothing of coturn's is changed. The file is read as coturn reads it, and its user database once: users
with their keys, shared secrets, peer lists, the realm's options. The config that is written passes
`turnbell check-config` as far as it goes by the file; an open relay is never made.

Examples:
  turnbell import-coturn --dry-run
  turnbell import-coturn /etc/turnserver.conf --out /etc/turnbell/turnbell.toml
  turnbell import-coturn --args \"$(systemctl show -p ExecStart --value coturn)\"
  turnbell import-coturn --args '-n --lt-cred-mech --realm example.org --user alice:wonderland-17'
  turnbell import-coturn --turndb 'psql:host=localhost dbname=coturn user=turn password=...'
  turnbell import-coturn --turndb redis://localhost/2

Back again: systemctl disable --now turnbell && systemctl enable --now coturn")]
pub(super) struct ImportCoturn {
    /// coturn's file [default: /etc/turnserver.conf, else /etc/coturn/turnserver.conf]
    file: Option<PathBuf>,
    /// What stands behind `turnserver` in its unit or container; it wins over the file, as in coturn
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    args: Option<String>,
    /// Its user database: a file, a URL, or "none" [default: the one its file names]
    #[arg(long, value_name = "FILE|URL")]
    turndb: Option<String>,
    /// Where the config is written; a file that exists is not touched
    #[arg(long, value_name = "FILE", default_value = "turnbell.toml")]
    out: PathBuf,
    /// Write nothing: show the config, secrets hidden
    #[arg(long)]
    dry_run: bool,
}

/// Where coturn's file usually is.
const PLACES: [&str; 2] = ["/etc/turnserver.conf", "/etc/coturn/turnserver.conf"];

impl ImportCoturn {
    pub(super) fn run(self) -> anyhow::Result<()> {
        if !self.dry_run && self.out.symlink_metadata().is_ok() {
            anyhow::bail!("{} exists already; name another file with --out", self.out.display());
        }
        let usual = || PLACES.into_iter().map(PathBuf::from).find(|path| path.is_file());
        let file = self.file.or_else(|| if self.args.is_none() { usual() } else { None });
        let wanted =
            Wanted { file, arguments: self.args, database: database(self.turndb.as_deref()) };
        let imported = coturn::import(&wanted, &self.out)?;
        super::print(&told(&imported))?;
        if self.dry_run {
            return super::print(&format!("\n{}", imported.text_without_secrets));
        }
        write(&self.out, &imported.text)
            .with_context(|| format!("{} cannot be written", self.out.display()))?;
        let out = self.out.display();
        super::print(&format!(
            "\nWrote {out}, for its owner alone: secrets stand in it.\n\
             Next: turnbell check-config --config {out}\n"
        ))
    }
}

/// What `--turndb` means.
pub(super) fn database(named: Option<&str>) -> DatabaseChoice {
    match named {
        None => DatabaseChoice::AsConfigured,
        Some("none") => DatabaseChoice::Never,
        Some(text) => DatabaseChoice::Named(text.to_owned()),
    }
}

fn told(imported: &Imported) -> String {
    let report = &imported.report;
    let counts = [
        Verdict::TakenOver,
        Verdict::Mapped,
        Verdict::NotNeeded,
        Verdict::NotSupported,
        Verdict::Broken,
    ]
    .map(|verdict| format!("{}: {}", verdict.to_string().to_lowercase(), report.count(verdict)));
    let mut text = format!("{report}\n{}\n", counts.join(", "));
    for warning in &imported.config.warnings {
        text.push_str(&format!("! {warning}\n"));
    }
    text
}

/// A new file that nobody else may read.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err()
        && let Err(error) = std::fs::remove_file(path)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error);
    }
    written
}
