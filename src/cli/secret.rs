//! `turnbell secret`: the shared secrets in the state directory, so that one is changed without a gap.

use std::fmt::Write as _;

use anyhow::bail;
use clap::{Args, Subcommand};
use sha2::{Digest, Sha256};

use super::{ask, table};
use crate::auth::secret::{Secret, generate_shared_secret, hex};
use crate::config::{Config, secrets};
use crate::ops::state_directory::SECRET_FILE;
use crate::ops::state_file;

#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
To change the secret without a client that notices: `add` (credentials of both are taken from then on,
and turnbell issues with the new one), give the new one to your backends, wait until no credential of
the old one is left (`[ice] ttl`), `remove` the old one by its fingerprint.

Secrets that stand in the config (`auth.secrets`, `auth.secret_files`) are changed there.

Examples:
  turnbell secret add          one is made and shown this once
  turnbell secret list
  turnbell secret remove 5d41402a"
)]
pub(super) struct SharedSecret {
    #[command(subcommand)]
    command: SecretCommand,
}

#[derive(Debug, Subcommand)]
enum SecretCommand {
    /// Add a secret that issues from then on
    Add,
    /// List them by fingerprint, never themselves
    List,
    /// Remove one: credentials made with it are refused
    Remove {
        /// Its fingerprint
        #[arg(value_name = "FINGERPRINT")]
        fingerprint: String,
    },
}

impl SharedSecret {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        if let SecretCommand::List = self.command {
            return super::print(&listed(config)?);
        }
        if !config.auth.secrets.is_empty() {
            bail!(
                "the secrets stand in the config, [auth] secrets or secret_files; put a new one in \
                 front there and `turnbell reload`"
            );
        }
        let said = match self.command {
            SecretCommand::Add => add(config)?,
            SecretCommand::List => String::new(),
            SecretCommand::Remove { fingerprint } => remove(config, &fingerprint)?,
        };
        super::print(&said)?;
        ask::take_effect(config)
    }
}

fn add(config: &Config) -> anyhow::Result<String> {
    let made = generate_shared_secret()?;
    let path = config.state_directory.join(SECRET_FILE);
    state_file::edit(&config.state_directory, SECRET_FILE, |text| {
        let after = format!("{}\n{text}", made.expose());
        let count = secrets::parse_file(&path, &after).map_err(anyhow::Error::msg)?.secrets.len();
        let mut said =
            format!("A new secret issues, which is shown this once:\n\n  {}\n\n", made.expose());
        if count > 1 {
            let _ = writeln!(said, "{} older are taken, too.", count - 1);
        }
        Ok((after, said))
    })
}

fn remove(config: &Config, wanted: &str) -> anyhow::Result<String> {
    let path = config.state_directory.join(SECRET_FILE);
    state_file::edit(&config.state_directory, SECRET_FILE, |text| {
        let is_it =
            |line: &&str| !wanted.is_empty() && fingerprint(line.trim()).starts_with(wanted);
        let found = text.lines().filter(|line| !line.trim().is_empty()).filter(is_it).count();
        if found != 1 {
            bail!(
                "{found} secrets have the fingerprint {wanted:?}; `turnbell secret list` shows them"
            );
        }
        let rest = text.lines().filter(|line| line.trim().is_empty() || !is_it(line));
        let after: String = rest.map(|line| format!("{line}\n")).collect();
        if secrets::parse_file(&path, &after).is_err() {
            bail!("it is the last one; `turnbell secret add` first");
        }
        Ok((after, format!("Secret {wanted} removed: credentials made with it are refused.\n")))
    })
}

fn listed(config: &Config) -> anyhow::Result<String> {
    let in_config = !config.auth.secrets.is_empty();
    let secrets: Vec<Secret<String>> = if in_config {
        config.auth.secrets.clone()
    } else {
        let path = config.state_directory.join(SECRET_FILE);
        if matches!(path.try_exists(), Ok(false)) {
            return Ok("no secrets yet; one is made when turnbell starts\n".to_owned());
        }
        secrets::read_file(&path).map_err(anyhow::Error::msg)?.secrets
    };
    let place = if in_config { "the config" } else { "state directory" };
    let row = |(at, secret): (usize, &Secret<String>)| {
        let does = if at == 0 { "issues and is taken" } else { "is taken" };
        let length = format!("{} characters", secret.expose().chars().count());
        vec![fingerprint(secret.expose()), does.to_owned(), length, place.to_owned()]
    };
    let rows: Vec<Vec<String>> = secrets.iter().enumerate().map(row).collect();
    Ok(table::table(&["FINGERPRINT", "WHAT IT DOES", "LENGTH", "KEPT IN"], &rows))
}

/// Enough to tell secrets apart, and nothing to find them by: they are long and random.
fn fingerprint(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes())[..4])
}
