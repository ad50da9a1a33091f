//! `turnbell reload`: the daemon reads its config again.

use std::fmt::Write as _;

use clap::Args;

use super::ask::{Format, Question};
use crate::config::{Config, Source};
use crate::edge::control_json::Request;
use crate::edge::operator_json::{Changed, Handed, Reloaded};
use crate::ops::log::printable;

#[derive(Debug, Args)]
#[command(after_help = "\
The config counts as a whole or not at all: if anything is wrong with it, the daemon goes on as before
and this says what. Live calls do not notice, but for a peer that `deny_peers` newly names: its
permissions and channels are closed. What needs a restart is listed and left as it is.

A daemon under systemd is given a copy of the config at its start, so SIGHUP would show it nothing
new; this command, as root (systemctl reload turnbell), reads the file itself and hands it over.

Exit code 1 if nothing was changed because of an error.")]
pub(super) struct Reload {
    #[command(flatten)]
    format: Format,
}

impl Reload {
    /// The config was checked already; here its text is taken along.
    pub(super) fn question(self, config: &Config) -> anyhow::Result<Question> {
        let handed = match &config.source {
            Source::Embedded | Source::Coturn(_) => None,
            Source::File(path) => {
                let directory = path.parent().unwrap_or(path);
                let mut handed = Handed { config: Config::read(path)?, ..Handed::default() };
                let secrets = config.auth.secret_files.iter().map(String::as_str);
                for file in secrets.chain(config.identity.files()) {
                    let text = std::fs::read_to_string(directory.join(file))?;
                    handed.secret_files.insert(file.to_owned(), text);
                }
                Some(handed)
            }
        };
        Ok(Question { request: Request::Reload { handed }, format: self.format })
    }
}

pub(super) fn shown(config: &Config, reloaded: &Reloaded) -> String {
    let Reloaded {
        file,
        handed,
        applied,
        needs_restart,
        permissions_closed,
        channels_closed,
        warnings,
    } = reloaded;
    let file = match (&config.source, file) {
        // The daemon knows a copy of it, by another name.
        (Source::File(ours), _) if *handed => &ours.display().to_string(),
        (_, Some(theirs)) => theirs,
        (_, None) => "the built-in default",
    };
    let mut text = String::new();
    if applied.is_empty() && needs_restart.is_empty() {
        let _ = writeln!(text, "{} says what is in effect.", printable(file));
    } else {
        let _ = writeln!(text, "Read {}.", printable(file));
    }
    list(&mut text, "Applied:", applied);
    if permissions_closed + channels_closed > 0 {
        let _ = writeln!(
            text,
            "Closed, because their peer is denied: {permissions_closed} permissions, \
             {channels_closed} channels"
        );
    }
    list(&mut text, "Needs a restart:", needs_restart);
    for warning in warnings {
        let _ = writeln!(text, "! {}", printable(warning));
    }
    text
}

fn list(text: &mut String, title: &str, changes: &[Changed]) {
    if changes.is_empty() {
        return;
    }
    let _ = writeln!(text, "{title}");
    for Changed { key, old, new } in changes {
        let _ = writeln!(text, "  {key}: {} -> {}", printable(old), printable(new));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(key: &str) -> Changed {
        Changed { key: key.into(), old: "1".into(), new: "2".into() }
    }

    #[test]
    fn what_counts_and_what_does_not_yet_are_told_apart() {
        let mut reloaded = Reloaded { file: Some("a.toml".into()), ..Reloaded::default() };
        assert_eq!(shown(&Config::embedded(), &reloaded), "a.toml says what is in effect.\n");
        reloaded.applied = vec![changed("quota.total")];
        reloaded.needs_restart = vec![changed("realm")];
        reloaded.permissions_closed = 3;
        reloaded.warnings = vec!["mind\nthe gap".into()];
        assert_eq!(
            shown(&Config::embedded(), &reloaded),
            "Read a.toml.\nApplied:\n  quota.total: 1 -> 2\nClosed, because their peer is denied: 3 \
             permissions, 0 channels\nNeeds a restart:\n  realm: 1 -> 2\n! mind\\nthe gap\n"
        );
    }
}
