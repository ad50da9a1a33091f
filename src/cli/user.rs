//! `turnbell user`: static accounts, kept by their keys in the state directory.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::{ask, table};
use crate::auth::key::PasswordAlgorithm;
use crate::auth::secret::{hex, random_bytes};
use crate::config::Config;
use crate::config::accounts::{self, Account};
use crate::ops::state_directory::USERS_FILE;
use crate::ops::state_file;

#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
For clients that cannot ask for time-limited credentials. What is kept is keys, not passwords, in
<state_directory>/users; they are good for the config's `realm` only. Changes count at once, without a
restart. Accounts of the config (`auth.users`, `auth.user_keys`) stand there.

Examples:
  turnbell user add alice                      a password is made and shown this once
  turnbell user add alice --password-file -    it is read from standard input
  turnbell user add alice --key bc807ee29df3c9ffa736523fb2c4e8ee
  turnbell user list
  turnbell user remove alice                   and `turnbell revoke alice` ends what is on"
)]
pub(super) struct User {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Add an account, or give one another password
    Add {
        /// Its name
        name: String,
        /// A file with the password in its first line; - is standard input
        #[arg(long, value_name = "FILE", conflicts_with = "key")]
        password_file: Option<PathBuf>,
        /// coturn's key in place of a password: md5(name:realm:password) in hex
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
    /// List the accounts, never their keys
    List,
    /// Remove an account: no new allocation is made with it
    Remove {
        /// Its name
        name: String,
    },
}

impl User {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let said = match self.command {
            UserCommand::Add { name, password_file, key } => {
                let (account, password) = account(config, &name, password_file.as_deref(), key)?;
                add(config, &account)? + &password
            }
            UserCommand::List => return super::print(&listed(config)?),
            UserCommand::Remove { name } => remove(config, &name)?,
        };
        super::print(&said)?;
        ask::take_effect(config)
    }
}

/// The account, and what is to be said about its password.
fn account(
    config: &Config,
    name: &str,
    file: Option<&Path>,
    key: Option<String>,
) -> anyhow::Result<(Account, String)> {
    let names = config.auth.users.iter().map(|user| &user.name);
    if names.chain(config.auth.user_keys.iter().map(|user| &user.name)).any(|known| known == name) {
        bail!("user {name:?} stands in the config, [auth]; change it there");
    }
    let made = |account: Result<Account, String>| account.map_err(anyhow::Error::msg);
    if let Some(key) = key {
        let account = made(Account::of_key(name, &config.realm, &key))?;
        return Ok((
            account,
            "Clients that choose SHA-256 need the password itself here.\n".into(),
        ));
    }
    if let Some(file) = file {
        let password = first_line(file)?;
        return Ok((made(Account::of_password(name, &config.realm, &password))?, String::new()));
    }
    let password = hex(&random_bytes::<16>()?);
    let account = made(Account::of_password(name, &config.realm, &password))?;
    Ok((account, format!("Its password, which is shown this once:\n\n  {password}\n\n")))
}

fn first_line(file: &Path) -> anyhow::Result<String> {
    const BYTES_MAX: u64 = 4096;
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(BYTES_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text))
    };
    read.with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn add(config: &Config, account: &Account) -> anyhow::Result<String> {
    let path = config.state_directory.join(USERS_FILE);
    state_file::edit(&config.state_directory, USERS_FILE, |text| {
        let known = accounts::parse(&path, text).map_err(anyhow::Error::msg)?;
        let others = without(text, &account.name);
        let after = format!("{others}{}\n", account.to_line());
        accounts::parse(&path, &after).map_err(anyhow::Error::msg)?;
        let is_new = known.iter().all(|other| other.name != account.name);
        let done = if is_new { "added" } else { "has another password" };
        Ok((after, format!("User {:?} of realm {:?} {done}.\n", account.name, account.realm)))
    })
}

fn remove(config: &Config, name: &str) -> anyhow::Result<String> {
    state_file::edit(&config.state_directory, USERS_FILE, |text| {
        let after = without(text, name);
        if after == text {
            bail!("there is no user {name:?} in {USERS_FILE}; `turnbell user list` shows them");
        }
        Ok((after, format!("User {name:?} removed.\n")))
    })
}

/// The text without the lines of a name.
fn without(text: &str, name: &str) -> String {
    let is_other = |line: &&str| line.split('\t').next() != Some(name);
    text.lines().filter(is_other).map(|line| format!("{line}\n")).collect()
}

fn listed(config: &Config) -> anyhow::Result<String> {
    let kept =
        accounts::read(&config.state_directory.join(USERS_FILE)).map_err(anyhow::Error::msg)?;
    let mut rows: Vec<Vec<String>> = kept
        .iter()
        .map(|account| {
            let sha256 =
                account.keys.iter().any(|key| key.algorithm() == PasswordAlgorithm::Sha256);
            let realm = match account.realm == config.realm {
                true => account.realm.clone(),
                false => format!("{} (not this one's: not let in)", account.realm),
            };
            let keys = if sha256 { "MD5, SHA-256" } else { "MD5" };
            vec![account.name.clone(), realm, keys.to_owned(), "turnbell user".to_owned()]
        })
        .collect();
    for user in &config.auth.users {
        rows.push(
            [&user.name, &config.realm, "MD5, SHA-256", "auth.users"].map(str::to_owned).into(),
        );
    }
    for user in &config.auth.user_keys {
        rows.push([&user.name, &config.realm, "MD5", "auth.user_keys"].map(str::to_owned).into());
    }
    if rows.is_empty() {
        return Ok("no accounts; `turnbell user add NAME` makes one\n".to_owned());
    }
    rows.sort();
    Ok(table::table(&["NAME", "REALM", "KEYS", "KEPT BY"], &rows))
}
