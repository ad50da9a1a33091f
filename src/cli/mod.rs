//! The command line, one file a subcommand.

mod ask;
mod backup;
pub mod banner;
mod calls;
mod check_config;
mod compare;
mod credential;
mod dashboard;
mod doctor;
mod drain;
mod explain;
mod forget;
mod import_coturn;
mod invite;
mod key;
mod load;
mod log;
mod print_config;
mod qr;
mod reload;
mod revoke;
mod root_only;
mod run;
mod secret;
mod sessions;
mod status;
mod table;
mod token;
mod usage;
mod user;
mod verify;
mod verify_link;
mod verify_remote;
mod why;

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::Config;

/// Everything that can be typed.
#[derive(Debug, Parser)]
#[command(
    name = "turnbell",
    version,
    about = "A TURN/STUN relay with time-limited credentials, an ICE config endpoint and a record",
    after_help = EXAMPLES,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// The config file [default: ./turnbell.toml, else /etc/turnbell/turnbell.toml, else built in]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the relay until SIGTERM or Ctrl-C (what turnbell does without a command)
    Run(run::Run),
    /// Say what a config file means on this machine, and everything that is wrong with it
    CheckConfig(check_config::CheckConfig),
    /// Make a config of coturn's, and say what becomes of each option
    ImportCoturn(import_coturn::ImportCoturn),
    /// Ask coturn and turnbell the same, and say what it means where they answer differently
    Compare(compare::Compare),
    /// Issue one time-limited credential by hand
    Credential(credential::Credential),
    /// Add, list and revoke the API keys that GET /ice asks for
    Key(key::Key),
    /// Add, list and remove accounts that never expire
    User(user::User),
    /// Add, list and remove the shared secrets that turnbell keeps itself
    Secret(secret::SharedSecret),
    /// Sign one token by hand, for a user of a page or a program
    Token(token::Token),
    /// Make a link that lets somebody in without an account
    Invite(invite::Invite),
    /// End what a user has and refuse his credentials; --undo lets him in again
    Revoke(revoke::Revoke),
    /// It does not work? Look at everything, and say what to do
    Doctor(doctor::Doctor),
    /// Print a link that opens the page of /diagnostics
    Dashboard(dashboard::Dashboard),
    /// Say whether the daemon runs, relays, and writes its record
    Status(status::Status),
    /// List who is connected, and with --all who was
    Sessions(sessions::Sessions),
    /// Read the config again without a restart: live calls do not notice
    Reload(reload::Reload),
    /// Say whether clients may reach a peer, and which rule decides
    Explain(explain::Explain),
    /// Show what is in effect, and where each value came from
    PrintConfig(print_config::PrintConfig),
    /// Go out of service without cutting a call: no new allocations, then the end
    Drain(drain::Drain),
    /// List who called whom, or tell what happened in one call
    Calls(calls::Calls),
    /// Add up calls, minutes and relayed bytes by tenant, user or day
    Usage(usage::Usage),
    /// Copy the record while it is being written
    Backup(backup::Backup),
    /// Take a person out of the record
    Forget(forget::Forget),
    /// Say why somebody's call failed: the record as one story that ends with the likely cause
    Why(why::WhyArgs),
    /// Try every URL that /ice hands out, and say what is wrong and what to do
    Verify(verify::Verify),
    /// Show what happened: credentials, allocations, refused clients, starts and stops
    Log(log::Log),
    /// Put load on a server of your own, and see how it bears it
    Load(load::Load),
}

const EXAMPLES: &str = "\
Examples:
  turnbell                                      try it: relay, /ice and a test page on this machine
  turnbell doctor                               it does not work: what is wrong, what to do
  turnbell check-config --config new.toml       before a reload or a restart
  turnbell import-coturn /etc/turnserver.conf   a config from coturn's, and a report
  turnbell reload                               after a change of the config
  turnbell verify                               does it work, and what is to be done
  turnbell credential --user alice --ttl 1h     for a test with turnutils_uclient or a page
  turnbell invite                               a link for two people who want to talk
  turnbell token --user alice                   what makes a page or a program alice
  turnbell key add website                      a key for a server that calls GET /ice
  turnbell sessions                             who is connected
  turnbell explain peer 172.17.0.3              may clients reach it, and why
  turnbell revoke mallory                       end his calls, refuse his credentials
  turnbell calls --user alice --since 2h        whom she called, and how it ended
  turnbell usage --by tenant                    calls, minutes and relayed bytes of 30 days
  turnbell backup /var/backups/turnbell.db      a copy of the record while it is written
  turnbell why alice                            why did her call fail?
  turnbell log --user alice --since 2h          every row behind that
  turnbell load data --rate 20000               how much does this relay bear?
  turnbell load ws signals                      how many calls does this machine bear?

Exit codes: 0 done, 1 failed, 2 wrong command line (of verify: it could not run).";

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// A sentence for a person; the exit code is 1 then.
    pub fn run(self) -> anyhow::Result<()> {
        let named = self.config.as_deref();
        match self.command {
            None => run::Run::default().run(named),
            Some(Command::Run(command)) => command.run(named),
            Some(Command::CheckConfig(command)) => command.run(named),
            Some(Command::ImportCoturn(command)) => command.run(),
            Some(Command::Compare(command)) => command.run(),
            Some(Command::Credential(command)) => command.question().ask(&find(named)?),
            Some(Command::Key(command)) => command.question().ask(&find(named)?),
            Some(Command::User(command)) => command.run(&find(named)?),
            Some(Command::Secret(command)) => command.run(&find(named)?),
            Some(Command::Token(command)) => command.run(&find(named)?),
            Some(Command::Invite(command)) => command.question().ask(&find(named)?),
            Some(Command::Revoke(command)) => {
                let config = find(named)?;
                command.question(&config).ask(&config)
            }
            Some(Command::Doctor(command)) => command.run(named),
            Some(Command::Dashboard(command)) => command.question().ask(&find(named)?),
            Some(Command::Status(command)) => command.question().ask(&find(named)?),
            Some(Command::Sessions(command)) => command.question().ask(&find(named)?),
            Some(Command::Explain(command)) => command.question().ask(&find(named)?),
            Some(Command::PrintConfig(command)) => command.question().ask(&find(named)?),
            Some(Command::Drain(command)) => command.question().ask(&find(named)?),
            Some(Command::Reload(command)) => {
                let config =
                    find(named).map_err(|why| anyhow::anyhow!("{why}\nnothing was changed"))?;
                command.question(&config)?.ask(&config)
            }
            Some(Command::Verify(command)) => command.run(|| find(named)),
            Some(Command::Calls(command)) => command.question().ask(&find(named)?),
            Some(Command::Usage(command)) => command.run(&find(named)?),
            Some(Command::Backup(command)) => command.run(&find(named)?),
            Some(Command::Forget(command)) => command.run(&find(named)?),
            Some(Command::Why(command)) => command.question().ask(&find(named)?),
            Some(Command::Log(command)) => command.question().ask(&find(named)?),
            Some(Command::Load(command)) => command.run(|| find(named)),
        }
    }
}

/// A command did not come to the question it was to answer; the exit code is 2 then.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CouldNotRun(String);

/// The config, or its problems below a line that says how many there are.
fn find(named: Option<&std::path::Path>) -> anyhow::Result<Config> {
    Config::find(named).map_err(|error| match error.problems.len() {
        1 => anyhow::anyhow!("{error}"),
        count => anyhow::anyhow!("{count} problems in the configuration:\n{error}"),
    })
}

/// Prints to standard output; a reader that went away (`| head`) is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Tells a person something beside the answer, on standard error so that scripts do not read it.
fn note(text: &str) {
    // Nobody is left to tell if it is closed.
    let _ = writeln!(std::io::stderr().lock(), "turnbell: {text}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_examples_exists() {
        for line in EXAMPLES.lines().filter(|line| line.starts_with("  turnbell")) {
            let words = line.trim().split("  ").next().unwrap();
            assert!(Cli::try_parse_from(words.split(' ')).is_ok(), "{words}");
        }
    }

    #[test]
    fn config_may_stand_before_or_behind_the_command() {
        for line in ["turnbell --config a.toml run", "turnbell run --config a.toml"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.config.as_deref(), Some(std::path::Path::new("a.toml")));
        }
        assert!(Cli::try_parse_from(["turnbell"]).unwrap().command.is_none());
    }

    #[test]
    fn a_wrong_command_line_has_code_2_and_help_has_0() {
        let code = |line: &str| Cli::try_parse_from(line.split(' ')).unwrap_err().exit_code();
        assert_eq!(code("turnbell dance"), 2);
        assert_eq!(code("turnbell credential --ttl 59s"), 2);
        assert_eq!(code("turnbell log --limit 0"), 2);
        assert_eq!(code("turnbell log --kind nonsense"), 2);
        assert_eq!(code("turnbell calls 01ARYZ6S410000000000000000 --user alice"), 2);
        assert_eq!(code("turnbell key"), 2);
        let commands = "run,check-config,credential,key,key add,key list,key revoke,revoke,status,sessions,calls,log,reload,drain,explain,explain peer,print-config,token,invite,verify,why,load,load data,load stun,load login,load allocate,load churn,load idle,load ws,load ws idle,usage,backup,forget,doctor,dashboard,import-coturn,compare,user,user add,user list,user remove,secret,secret add,secret list,secret remove";
        for command in commands.split(',') {
            assert_eq!(code(&format!("turnbell {command} --help")), 0, "{command}");
        }
    }
}
