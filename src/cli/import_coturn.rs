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
  turnbell import-coturn --out /etc/turnbell/turnbell.toml --replace
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
    /// Put it in the place of a config that is there, which is kept as FILE.old
    #[arg(long)]
    replace: bool,
    /// Write nothing: show the config, secrets hidden
    #[arg(long)]
    dry_run: bool,
}

/// Where coturn's file usually is.
const PLACES: [&str; 2] = ["/etc/turnserver.conf", "/etc/coturn/turnserver.conf"];

impl ImportCoturn {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let kept = if self.dry_run { None } else { self.to_be_kept()? };
        let usual = || PLACES.into_iter().map(PathBuf::from).find(|path| path.is_file());
        let file = self.file.or_else(|| if self.args.is_none() { usual() } else { None });
        let wanted =
            Wanted { file, arguments: self.args, database: database(self.turndb.as_deref()) };
        let imported = coturn::import(&wanted, &self.out)?;
        super::print(&told(&imported))?;
        if self.dry_run {
            return super::print(&format!("\n{}", imported.text_without_secrets));
        }
        let out = self.out.display();
        if let Some(kept) = &kept {
            std::fs::rename(&self.out, kept)
                .with_context(|| format!("{out} cannot be renamed to {}", kept.display()))?;
        }
        if let Err(error) = write(&self.out, &imported.text) {
            let back = kept.is_none_or(|kept| std::fs::rename(kept, &self.out).is_ok());
            let where_it_is =
                if back { "" } else { "; what was there is in the file ending in .old" };
            return Err(error).with_context(|| format!("{out} cannot be written{where_it_is}"));
        }
        let kept = kept.map_or_else(String::new, |kept| {
            format!("What was there is kept in {}.\n", kept.display())
        });
        super::print(&format!(
            "\nWrote {out}, for its owner alone: secrets stand in it.\n{kept}\
             Next: turnbell check-config --config {out}\n"
        ))
    }

    /// Where a config that is there goes, before anything is read.
    fn to_be_kept(&self) -> anyhow::Result<Option<PathBuf>> {
        let out = self.out.display();
        if self.out.symlink_metadata().is_err() {
            return Ok(None);
        } else if !self.replace {
            anyhow::bail!(
                "{out} exists already; --replace keeps it as {out}.old, --out names another file"
            );
        }
        let mut kept = self.out.clone().into_os_string();
        kept.push(".old");
        let kept = PathBuf::from(kept);
        if kept.symlink_metadata().is_ok() {
            anyhow::bail!("{} exists already; move it away first", kept.display());
        }
        Ok(Some(kept))
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

/// A new file that nobody else may read; its folder is made if only that one is missing.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty())
        && !folder.is_dir()
    {
        std::fs::create_dir(folder)?;
    }
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
