//! `turnbell print-config`: what is in effect, and where each value came from.

use std::fmt::Write as _;

use clap::Args;

use super::ask::{Format, Question};
use crate::edge::control_json::Request;
use crate::edge::operator_json::{ConfigWord, SettingWord};
use crate::ops::log::printable;

#[derive(Debug, Args)]
#[command(after_help = "\
With a running daemon these are the values it goes by, which may be other ones than the file says since
its last reload; without one, those that it would start with. Secrets are counted, not shown.")]
pub(super) struct PrintConfig {
    #[command(flatten)]
    format: Format,
}

impl PrintConfig {
    pub(super) fn question(self) -> Question {
        Question { request: Request::Config {}, format: self.format }
    }
}

pub(super) fn shown(config: &ConfigWord) -> String {
    let ConfigWord { file, settings } = config;
    let mut text = match file {
        Some(file) => format!("# {}\n", printable(file)),
        None => "# built-in default, no file\n".to_owned(),
    };
    for SettingWord { key, value, from, line, note, after_restart } in settings {
        let value = printable(&value.to_string());
        let _ = write!(text, "{:<48} # ", format!("{key} = {value}"));
        match line {
            Some(line) => _ = write!(text, "line {line}"),
            None => text.push_str(from),
        }
        if let Some(note) = note {
            let _ = write!(text, ": {}", printable(note));
        }
        if let Some(after) = after_restart {
            let _ = write!(text, "; after a restart: {}", printable(after));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_key_value_and_source() {
        let setting = |from: &str, line, note: Option<&str>, after: Option<&str>| SettingWord {
            key: "realm".into(),
            value: "x".into(),
            from: from.into(),
            line,
            note: note.map(Into::into),
            after_restart: after.map(Into::into),
        };
        let settings = vec![
            setting("file", Some(7), None, Some("\"y\"")),
            setting("environment", None, Some("NAME"), None),
        ];
        let text = shown(&ConfigWord { file: None, settings });
        let lines: Vec<String> =
            text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "# built-in default, no file",
                "realm = \"x\" # line 7; after a restart: \"y\"",
                "realm = \"x\" # environment: NAME"
            ]
        );
    }
}
