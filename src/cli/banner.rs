//! What start-up tells a person: what is open, which address is handed out and why, what to do next.

use std::fmt::Write;
use std::net::SocketAddr;

use crate::config::{Config, Source};
use crate::ops::relay_choice::RelayAddress;
use crate::ops::state_directory::SECRET_FILE;

/// Everything the banner says.
#[derive(Debug, Clone, Copy)]
pub struct Banner<'a> {
    /// The checked config.
    pub config: &'a Config,
    /// Bound STUN and TURN sockets, with the ports they really got.
    pub listeners: &'a [SocketAddr],
    /// The same over TCP.
    pub tcp: &'a [SocketAddr],
    /// The same over TLS.
    pub tls: &'a [SocketAddr],
    /// Bound HTTP sockets, likewise.
    pub http: &'a [SocketAddr],
    /// Those of TURN over TLS that answer HTTPS, too.
    pub https: &'a [SocketAddr],
    /// What is relayed on.
    pub relay: &'a [RelayAddress],
    /// Sentences that should be read.
    pub warnings: &'a [String],
}

impl Banner<'_> {
    /// The banner of a daemon that has just started.
    #[must_use]
    pub fn started(&self) -> String {
        let mut text = format!("\nturnbell {} is up\n\n", env!("CARGO_PKG_VERSION"));
        text.push_str(&self.facts());
        let _ = writeln!(text, "\n{}", self.next());
        text
    }

    /// The same facts without a daemon, for `check-config`.
    #[must_use]
    pub fn facts(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: &str| {
            for (index, line) in value.lines().enumerate() {
                let name = if index == 0 { name } else { "" };
                let _ = writeln!(text, "  {name:<10}{line}");
            }
        };
        row("config", &config_used(&self.config.source));
        row("state", &self.config.state_directory.display().to_string());
        let of = |name: &str, listeners: &[SocketAddr]| {
            (!listeners.is_empty()).then(|| format!("{name} {}", joined(listeners)))
        };
        let transports = [of("UDP", self.listeners), of("TCP", self.tcp), of("TLS", self.tls)];
        let transports: Vec<String> = transports.into_iter().flatten().collect();
        row("STUN/TURN", &transports.join("\n"));
        let relay: Vec<String> = self.relay.iter().map(relayed_on).collect();
        row("relay", &relay.join("\n"));
        let ports = &self.config.relay_ports;
        row("", &format!("on UDP ports {}-{}", ports.start(), ports.end()));
        let http = [of("", self.http), of("HTTPS", self.https)];
        let http: Vec<String> = http.into_iter().flatten().map(|l| l.trim().to_owned()).collect();
        row("HTTP", &if http.is_empty() { "off".to_owned() } else { http.join("\n") });
        row("auth", &auth(self.config));
        if !self.warnings.is_empty() {
            text.push('\n');
        }
        for warning in self.warnings {
            text.push_str(&wrapped("  ! ", "    ", warning));
        }
        text
    }

    /// The line that says where to go from here.
    fn next(&self) -> String {
        let local = self.http.iter().find(|at| at.ip().is_loopback() || at.ip().is_unspecified());
        let Some(at) = local.or_else(|| self.http.first()) else {
            return "  next      `turnbell credential` issues a credential by hand".to_owned();
        };
        let base = &self.config.http.base_path;
        let url = match local {
            Some(_) => format!("http://localhost:{}{base}/", at.port()),
            None => format!("http://{at}{base}/"),
        };
        if self.config.http.local_without_key {
            format!("  open      {url}  to see a call go through this relay")
        } else {
            format!(
                "  next      `turnbell key add NAME` makes a key for {url}ice\n            \
                 `turnbell credential` issues a credential by hand"
            )
        }
    }
}

/// Who may allocate.
fn auth(config: &Config) -> String {
    let secrets = match config.auth.secrets.len() {
        0 => format!("secret in {}", config.state_directory.join(SECRET_FILE).display()),
        1 => "1 shared secret".to_owned(),
        several => format!("{several} shared secrets, the first issues"),
    };
    match config.auth.users.len() + config.auth.user_keys.len() {
        0 => secrets,
        1 => format!("{secrets}; 1 static account"),
        several => format!("{secrets}; {several} static accounts"),
    }
}

fn relayed_on(relay: &RelayAddress) -> String {
    let RelayAddress { bind, advertised, why, told_by: _ } = relay;
    let mut text = if bind == advertised {
        format!("{bind}, {why}")
    } else {
        format!("{advertised}, which arrives at {bind} here: {why}")
    };
    if let Some(origin) = relay.origin() {
        text.push_str(&format!("\n{advertised}: {origin}"));
    }
    text
}

fn config_used(source: &Source) -> String {
    match source {
        Source::File(path) => path.display().to_string(),
        Source::Coturn(wanted) => match &wanted.file {
            Some(path) => format!("{}, which is coturn's", path.display()),
            None => "coturn's command line".to_owned(),
        },
        Source::Embedded => {
            let places = crate::config::PLACES;
            format!("built-in default (there is no ./{} and no {})", places[0], places[1])
        }
    }
}

fn joined(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// `text` in lines of at most LINE_CHARS characters, words kept whole.
pub(super) fn wrapped(first: &str, rest: &str, text: &str) -> String {
    let mut lines = first.to_owned();
    let mut used = first.chars().count();
    let mut fresh = true;
    for word in text.split(' ') {
        let chars = word.chars().count();
        if !fresh && used + 1 + chars > LINE_CHARS {
            lines.push('\n');
            lines.push_str(rest);
            used = rest.chars().count();
        } else if !fresh {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += chars;
        fresh = false;
    }
    lines.push('\n');
    lines
}

const LINE_CHARS: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    fn relay() -> Vec<RelayAddress> {
        vec![RelayAddress {
            bind: "203.0.113.7".parse().unwrap(),
            advertised: "203.0.113.7".parse().unwrap(),
            why: "the only global IPv4 address (eth0)".to_owned(),
            told_by: Default::default(),
        }]
    }

    fn banner(config: &Config, http: &[&str], warnings: &[String]) -> String {
        let http: Vec<SocketAddr> = http.iter().map(|at| at.parse().unwrap()).collect();
        let banner = Banner {
            config,
            listeners: &config.listen,
            tcp: &config.listen_tcp,
            tls: &config.listen_tls,
            https: &[],
            http: &http,
            relay: &relay(),
            warnings,
        };
        banner.started()
    }

    #[test]
    fn a_newcomer_reads_what_is_open_and_what_to_open() {
        let mut config = Config::embedded();
        config.state_directory = "turnbell-data".into();
        let expected = format!(
            "\nturnbell {} is up\n
  config    built-in default (there is no ./turnbell.toml and no /etc/turnbell/turnbell.toml)
  state     turnbell-data
  STUN/TURN UDP 0.0.0.0:3478, [::]:3478
            TCP 0.0.0.0:3478, [::]:3478
  relay     203.0.113.7, the only global IPv4 address (eth0)
            on UDP ports 49152-65535
  HTTP      127.0.0.1:8080
  auth      secret in turnbell-data/secret

  open      http://localhost:8080/  to see a call go through this relay
",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(banner(&config, &["127.0.0.1:8080"], &[]), expected);
    }

    #[test]
    fn what_comes_next_depends_on_the_doors_that_are_open() {
        let mut config = Config::embedded();
        assert!(banner(&config, &["0.0.0.0:81"], &[]).contains("open      http://localhost:81/"));
        assert!(banner(&config, &["10.0.0.5:81"], &[]).contains("open      http://10.0.0.5:81/"));
        assert!(banner(&config, &[], &[]).contains("next      `turnbell credential`"));
        config.http.local_without_key = false;
        let text = banner(&config, &["127.0.0.1:8080"], &[]);
        assert!(text.contains("makes a key for http://localhost:8080/ice"), "{text}");
    }

    #[test]
    fn the_line_about_credentials_counts_what_is_active() {
        let auth = |text: &str| auth(&Config::parse("turnbell.toml".as_ref(), text).unwrap());
        let one = auth("state_directory = \"/s\"\n[auth]\nusers = [\"a:k7Q2z9xw\"]");
        assert_eq!(one, "secret in /s/secret; 1 static account");
        let key = "user_keys = [\"b:bc807ee29df3c9ffa736523fb2c4e8ee\"]";
        let two =
            auth(&format!("state_directory = \"/s\"\n[auth]\nusers = [\"a:k7Q2z9xw\"]\n{key}"));
        assert_eq!(two, "secret in /s/secret; 2 static accounts");
        assert_eq!(auth("[auth]\nsecrets = [\"0f1e2d3c4b5a69788796\"]"), "1 shared secret");
    }

    #[test]
    fn warnings_are_wrapped_and_marked() {
        let warning = "word ".repeat(40).trim_end().to_owned();
        let text = banner(&Config::embedded(), &[], &[warning]);
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("word")).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("  ! word") && lines[1].starts_with("    word"), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= LINE_CHARS), "{text}");
    }
}
