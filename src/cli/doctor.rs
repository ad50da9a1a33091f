//! `turnbell doctor`: the one command in every answer to "it does not work".

use std::path::Path;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::ask::{Format, not_running};
use super::banner::wrapped;
use super::check_config;
use crate::config::Config;
use crate::edge::check_json::Checked;
use crate::edge::control::{self, ControlError};
use crate::edge::control_json::{Request, Response};
use crate::edge::diagnostics::json::{Diagnostics, Item, Light};
use crate::ops::log::printable;
use crate::ops::state_directory::CONTROL_SOCKET;

#[derive(Debug, Args)]
#[command(after_help = "\
Looks at the config (as `turnbell check-config` does: clients call each other through every listener), at the
daemon (does it run, does it answer, what does /diagnostics say), and says what to do next, the worst first.
A turnbell that runs does not notice.

Examples:
  turnbell doctor
  turnbell doctor --json

Exit code 1 if something does not work; what is only worth a look leaves 0.")]
pub(super) struct Doctor {
    #[command(flatten)]
    format: Format,
}

/// What was found, for programs.
#[derive(Debug, Serialize)]
struct Found {
    /// Nothing is red.
    ok: bool,
    /// One line for each thing that was looked at.
    looked_at: Vec<Look>,
    /// The worst first.
    to_do: Vec<Item>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Look {
    /// `config`, `daemon` or `diagnostics`.
    id: &'static str,
    state: Light,
    says: String,
}

impl Doctor {
    pub(super) fn run(self, named: Option<&Path>) -> anyhow::Result<()> {
        let found = examine(named);
        if self.format.is_json() {
            super::print(&format!("{}\n", serde_json::to_string(&found)?))?;
        } else {
            super::print(&shown(&found))?;
        }
        match found.to_do.iter().filter(|item| item.state == Light::Red).count() {
            0 => Ok(()),
            1 => anyhow::bail!("something does not work; what to do stands above"),
            count => anyhow::bail!("{count} things do not work; what to do stands above"),
        }
    }
}

fn examine(named: Option<&Path>) -> Found {
    let (mut looked_at, mut to_do) = (Vec::new(), Vec::new());
    let config = match super::find(named) {
        Ok(config) => Some(config),
        Err(why) => {
            look(&mut looked_at, "config", Light::Red, "It cannot be read.");
            let cure = "Change the line that it names, then again: turnbell check-config";
            to_do.push(red("config", "Config", &why.to_string(), cure));
            None
        }
    };
    if let Some(config) = &config {
        check_the_config(config, &mut looked_at, &mut to_do);
        let of_config = to_do.len();
        ask_the_daemon(config, &mut looked_at, &mut to_do);
        leave_out_what_is_said_twice(&mut to_do, of_config);
    }
    // Stable: what is equally bad stays in the order in which it was found.
    to_do.sort_by_key(|item| std::cmp::Reverse(item.state));
    Found { ok: to_do.iter().all(|item| item.state != Light::Red), looked_at, to_do }
}

fn check_the_config(config: &Config, looked_at: &mut Vec<Look>, to_do: &mut Vec<Item>) {
    let checked = match check_config::check(config) {
        Ok((checked, _)) => checked,
        Err(why) => {
            look(looked_at, "config", Light::Red, "It does not fit this machine.");
            let cure = "Change the key that it names, then again: turnbell check-config";
            to_do.push(red("config", "Config", &why.to_string(), cure));
            return;
        }
    };
    let Checked { problems, warnings, tried, file, .. } = checked;
    let file = file.as_deref().unwrap_or("the built-in default");
    let works = tried.iter().filter(|tried| tried.problem.is_none()).count();
    let state = if problems.is_empty() { Light::Green } else { Light::Red };
    let says = format!("{file}: clients called each other over {works} of {} ways.", tried.len());
    look(looked_at, "config", state, &says);
    let cure = "turnbell check-config shows all of it; change what it names.";
    to_do.extend(problems.iter().map(|problem| red("config", "Config", problem, cure)));
    // The turnbell that runs holds its ports, as it should.
    let is_news = |warning: &&String| !warning.contains("which runs on this state directory");
    to_do.extend(warnings.iter().filter(is_news).map(|warning| {
        let cure = "turnbell check-config shows all of it; leave it if it is meant.";
        Item { state: Light::Yellow, ..red("config", "Config", warning, cure) }
    }));
}

fn ask_the_daemon(config: &Config, looked_at: &mut Vec<Look>, to_do: &mut Vec<Item>) {
    let socket = config.state_directory.join(CONTROL_SOCKET);
    let found = match control::call(&socket, &Request::Diagnose {}) {
        Ok(Response::Diagnosis(found)) => found,
        Ok(_) => {
            look(looked_at, "daemon", Light::Red, "It is of another version than this command.");
            let cure = "systemctl restart turnbell, so that the installed version runs.";
            to_do.push(red("daemon", "Daemon", "The turnbell that runs is another version.", cure));
            return;
        }
        Err(why) => {
            let (says, cure) = unreachable(config, &why);
            look(looked_at, "daemon", Light::Red, &says);
            to_do.push(red("daemon", "Daemon", &says, cure));
            return;
        }
    };
    match serde_json::from_value::<Diagnostics>(found) {
        Ok(found) => {
            let says = format!("turnbell {} runs for {}.", found.version, ago(found.uptime_s));
            look(looked_at, "daemon", Light::Green, &says);
            look(looked_at, "diagnostics", found.state, &found.verdict);
            to_do.extend(found.items.into_iter().filter(|item| item.state != Light::Green));
        }
        Err(why) => {
            look(looked_at, "daemon", Light::Red, "It answers in another form.");
            let cure = "systemctl restart turnbell, so that the installed version runs.";
            to_do.push(red("daemon", "Daemon", &why.to_string(), cure));
        }
    }
}

/// The first `of_config` are those of the config; the daemon says the same with a cure of its own.
fn leave_out_what_is_said_twice(to_do: &mut Vec<Item>, of_config: usize) {
    let of_daemon: Vec<String> = to_do[of_config..].iter().map(|item| item.says.clone()).collect();
    let has_addresses = to_do[of_config..].iter().any(|item| item.id == "addresses");
    let is_said = |item: &Item| {
        of_daemon.iter().any(|says| item.says.starts_with(says.as_str()))
            || has_addresses && item.says.starts_with("relay address ")
    };
    let mut at = 0;
    to_do.retain(|item| {
        at += 1;
        at > of_config || !is_said(item)
    });
}

fn unreachable(config: &Config, why: &ControlError) -> (String, &'static str) {
    const START: &str = "Start it: systemctl start turnbell; if it ends at once, the reason stands in \
                         journalctl -u turnbell -n 30.";
    match why {
        ControlError::NotRunning(_) => (format!("{}.", capital(&not_running(config))), START),
        ControlError::Denied(_) => (format!("{why}."), "sudo turnbell doctor"),
        ControlError::NoAnswer(_)
        | ControlError::InTheWay(_)
        | ControlError::Answer(_)
        | ControlError::Io { .. } => (
            format!("{why}."),
            "Look at journalctl -u turnbell -n 30, then: systemctl restart turnbell.",
        ),
    }
}

fn look(looked_at: &mut Vec<Look>, id: &'static str, state: Light, says: &str) {
    looked_at.push(Look { id, state, says: says.to_owned() });
}

fn red(id: &str, title: &str, says: &str, cure: &str) -> Item {
    Item {
        id: id.to_owned(),
        title: title.to_owned(),
        state: Light::Red,
        says: says.to_owned(),
        cure: Some(cure.to_owned()),
    }
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn ago(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn word(state: Light) -> &'static str {
    match state {
        Light::Green => "ok      ",
        Light::Yellow => "LOOK    ",
        Light::Red => "BROKEN  ",
    }
}

/// For a person.
fn shown(found: &Found) -> String {
    let mut text = String::new();
    for Look { id, state, says } in &found.looked_at {
        let first = format!("{}{id:<12} ", word(*state));
        text.push_str(&wrapped(&first, &" ".repeat(first.len()), &printable(says)));
    }
    if found.to_do.is_empty() {
        text.push_str("\nNothing to do.\n");
        return text;
    }
    text.push_str("\nWhat to do, the worst first:\n");
    for (number, item) in (1..).zip(&found.to_do) {
        text.push_str(&entry(&format!("{number:>3}. "), item));
    }
    text
}

fn entry(number: &str, item: &Item) -> String {
    let indent = " ".repeat(number.len());
    let says: String = item.says.lines().map(printable).collect::<Vec<_>>().join(" ");
    let mut text = format!("\n{}", wrapped(number, &indent, &format!("{}: {says}", item.title)));
    if let Some(cure) = &item.cure {
        let first = format!("{indent}-> ");
        text.push_str(&wrapped(&first, &" ".repeat(first.len()), &printable(cure)));
    }
    text
}

/// What the daemon says of itself, for a person.
pub(super) fn told(found: &Value) -> String {
    match serde_json::from_value::<Diagnostics>(found.clone()) {
        Ok(found) => {
            let items = found.items.iter().filter(|item| item.state != Light::Green);
            let rest: String = items.map(|item| entry("  ", item)).collect();
            format!("{}\n{rest}", found.verdict)
        }
        Err(why) => format!("{why}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_done_is_numbered_with_its_cure() {
        let mut looked_at = Vec::new();
        look(&mut looked_at, "daemon", Light::Red, "No turnbell runs.");
        let to_do = vec![red("daemon", "Daemon", "No turnbell runs.", "Start it.")];
        let text = shown(&Found { ok: false, looked_at, to_do });
        assert_eq!(
            text,
            "BROKEN  daemon       No turnbell runs.\n\nWhat to do, the worst first:\n\n  1. Daemon: \
             No turnbell runs.\n     -> Start it.\n"
        );
        let text = shown(&Found { ok: true, looked_at: Vec::new(), to_do: Vec::new() });
        assert_eq!(text, "\nNothing to do.\n");
    }
}
