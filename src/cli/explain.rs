//! `turnbell explain`: what the rules say, and why.

use std::net::IpAddr;

use clap::{Args, Subcommand};

use super::ask::{Format, Question};
use crate::edge::control_json::Request;
use crate::edge::operator_json::{ExplainedPeer, Rule, Verdict, parse_peer};
use crate::ops::log::printable;

#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Works with a running daemon, by the rules it goes by, and without one, by those of the config.

Examples:
  turnbell explain peer 172.17.0.3
  turnbell explain peer 203.0.113.9:5000
  turnbell explain peer '[2001:db8::7]:5000'"
)]
pub(super) struct Explain {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Say whether clients may reach a peer, and which rule decides
    Peer {
        /// An address, or an address and a port
        #[arg(value_name = "ADDRESS[:PORT]", value_parser = peer)]
        peer: (IpAddr, Option<u16>),
        #[command(flatten)]
        format: Format,
    },
}

fn peer(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    let example = "write 172.17.0.3, 172.17.0.3:53, 2001:db8::7 or [2001:db8::7]:53";
    parse_peer(text).ok_or_else(|| format!("is no address; {example}"))
}

impl Explain {
    pub(super) fn question(self) -> Question {
        let What::Peer { peer: (ip, port), format } = self.what;
        let peer = match port {
            Some(port) => std::net::SocketAddr::new(ip, port).to_string(),
            None => ip.to_string(),
        };
        Question { request: Request::ExplainPeer { peer }, format }
    }
}

pub(super) fn shown(explained: &ExplainedPeer) -> String {
    let ExplainedPeer { peer, permission, data } = explained;
    let mut text = format!("{}\n", printable(peer));
    verdict(&mut text, "CreatePermission", permission, "403");
    match data {
        Some(data) => verdict(&mut text, "ChannelBind, Send", data, "403, dropped"),
        None if permission.allowed => {
            text.push_str(
                "  ChannelBind, Send: the port counts, too; name one to have it judged\n",
            );
        }
        None => {}
    }
    text
}

fn verdict(text: &mut String, what: &str, verdict: &Verdict, refusal: &str) {
    let Verdict { allowed, why, rule } = verdict;
    let word = if *allowed { "allowed".to_owned() } else { format!("refused ({refusal})") };
    text.push_str(&format!("  {what}: {word}: {}\n", printable(why)));
    if let Some(Rule { key, value, file, line }) = rule {
        let file = printable(file.as_deref().unwrap_or("built-in default"));
        let line = line.map_or_else(String::new, |line| format!(":{line}"));
        text.push_str(&format!("    by {key} = {value}, {file}{line}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_the_rule_and_its_line() {
        let rule = Rule {
            key: "deny_peers".into(),
            value: "10.0.0.0/8".into(),
            file: Some("a.toml".into()),
            line: Some(7),
        };
        let refused = Verdict { allowed: false, why: "so".into(), rule: Some(rule) };
        let explained = ExplainedPeer {
            peer: "10.0.0.1:5".into(),
            permission: refused,
            data: Some(Verdict { allowed: true, why: "then".into(), rule: None }),
        };
        assert_eq!(
            shown(&explained),
            "10.0.0.1:5\n  CreatePermission: refused (403): so\n    by deny_peers = 10.0.0.0/8, \
             a.toml:7\n  ChannelBind, Send: allowed: then\n"
        );
    }

    #[test]
    fn peers_are_read_with_and_without_a_port() {
        assert_eq!(peer("::1"), Ok(("::1".parse().unwrap(), None)));
        assert_eq!(peer("[::1]:5"), Ok(("::1".parse().unwrap(), Some(5))));
        assert_eq!(peer("10.0.0.1:5"), Ok(("10.0.0.1".parse().unwrap(), Some(5))));
        for wrong in ["", "example.org", "10.0.0.1:", "10.0.0.1/8", "::1:99999x"] {
            assert!(peer(wrong).is_err(), "{wrong}");
        }
    }
}
