//! What an operator sees and clients do not: log, metrics, redirection, and what coturn's generations
//! did by themselves.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::draft::{Item, Value};
use super::reading::Import;
use super::report::Verdict;
use super::syntax::Statement;
use crate::config::value as ours;
use crate::limits::ALTERNATES_MAX;
use crate::limits::plane::SHARDS_MAX;

impl Import {
    pub(super) fn operation(&mut self) {
        self.threads();
        self.family();
        self.channel_numbers();
        self.alternates();
        self.log();
        self.prometheus();
        self.generations();
    }

    fn threads(&mut self) {
        let Some((at, count)) = self.number("relay-threads") else { return };
        let most = i64::try_from(SHARDS_MAX).unwrap_or(1);
        if count < 1 {
            let why = "there is a relay thread on each processor; `threads = 1` has one alone";
            return self.tell(at, Verdict::NotNeeded, why);
        }
        let from = self.from(at);
        self.draft.set("threads", Value::Number(count.min(most)), from);
        if count > most {
            self.tell(at, Verdict::Mapped, format!("`threads = {most}`, the most there can be"));
        } else {
            self.taken(at, "threads");
        }
    }

    fn family(&mut self) {
        let names = ["keep-address-family", "allocation-default-address-family"];
        let Some(at) = self.last(&names) else { return };
        let keeps = self.statements[at].name == names[0];
        let word = match self.value(at).trim_start_matches('=') {
            _ if keeps => match super::reading::switch(self.value(at)) {
                Some(true) => "client",
                Some(false) | None => {
                    return self.tell(at, Verdict::NotNeeded, "it is off, as here");
                }
            },
            "keep" => "client",
            "ipv4" => "ipv4",
            "ipv6" => "ipv6",
            _ => {
                let why = "must be ipv4, ipv6 or keep; coturn goes on with ipv4";
                return self.tell(at, Verdict::Broken, why);
            }
        };
        let from = self.from(at);
        self.draft.set("default_relay_family", Value::Text(word.to_owned()), from);
        self.tell(at, Verdict::TakenOver, format!("`default_relay_family = \"{word}\"`"));
    }

    /// Every coturn before 4.16 took all channel numbers, and its file does not say which one it is.
    fn channel_numbers(&mut self) {
        let typed = self.switch("rfc5766-channel-numbers");
        let comment = match typed {
            Some((at, true)) => self.from(at),
            Some((at, false)) => return self.tell(at, Verdict::TakenOver, "`channel_numbers`"),
            None => {
                "coturn before 4.16 took them from every client; leave it out once yours are from \
                     after 2020"
                    .to_owned()
            }
        };
        self.draft.set("channel_numbers", Value::Text("rfc5766".to_owned()), comment);
        match typed {
            Some((at, _)) => self.taken(at, "channel_numbers"),
            None => self.report.note(
                "`channel_numbers = \"rfc5766\"` was written: a coturn before 4.16 takes channel \
                 numbers up to 0x7FFF, and its test client binds such",
            ),
        }
    }

    fn alternates(&mut self) {
        let mut items: Vec<Item> = Vec::new();
        for at in self.all(&["alternate-server", "udp-alternate-server", "tcp-alternate-server"]) {
            let value = self.value(at).to_owned();
            let server = value.parse::<SocketAddr>().or_else(|_| {
                value.trim_matches(['[', ']']).parse().map(|ip: IpAddr| SocketAddr::new(ip, 3478))
            });
            let written = server.map(|server| server.to_string());
            match written {
                Ok(text) if ours::alternate(&text).is_ok() => {
                    if items.iter().any(|item| item.text == text) {
                        self.tell(at, Verdict::NotNeeded, "it stands there twice");
                    } else if items.len() == ALTERNATES_MAX {
                        let why = format!("there can be {ALTERNATES_MAX} in `alternate`");
                        self.tell(at, Verdict::NotSupported, why);
                    } else {
                        items.push(Item { text, from: Some(self.from(at)) });
                        let why = "`alternate`: coturn sends every client there, turnbell only while \
                                   it drains or is full; to spread clients, name all servers in \
                                   [[ice.server]] or in DNS";
                        self.tell(at, Verdict::Mapped, why);
                    }
                }
                Ok(_) | Err(_) => {
                    self.tell(at, Verdict::Broken, "must be ADDRESS or ADDRESS:PORT");
                }
            }
        }
        for at in self.all(&["tls-alternate-server"]) {
            let why = "a client over TLS must be told the name in the certificate: write \
                       \"ADDRESS:PORT/NAME\" into `alternate`";
            self.tell(at, Verdict::NotSupported, why);
        }
        if !items.is_empty() {
            self.draft.set("alternate", Value::List(items), "alternate-server");
        }
    }

    fn log(&mut self) {
        let very = self.is_on("Verbose");
        let verbose = self.is_on("verbose");
        let level = self.last(&["log-min-level"]);
        if let Some(at) = verbose {
            let why =
                "sessions stand in the record, not in the log: turnbell sessions, turnbell log";
            self.tell(at, Verdict::NotNeeded, why);
        }
        if let Some(at) = very {
            let from = self.from(at);
            self.draft.set("log.level", Value::Text("debug".to_owned()), from);
            self.tell(at, Verdict::Mapped, "`log.level = \"debug\"`");
        }
        let Some(at) = level else { return };
        let word = match &*self.value(at).to_ascii_lowercase() {
            "debug" => "debug",
            "info" => "info",
            "warning" | "warn" => "warn",
            "error" => "error",
            _ => {
                let why = "must be debug, info, warning or error";
                return self.tell(at, Verdict::Broken, why);
            }
        };
        let from = self.from(at);
        self.draft.set("log.level", Value::Text(word.to_owned()), from);
        self.taken(at, "log.level");
    }

    fn prometheus(&mut self) {
        let on = self.last(&["prometheus"]);
        let port = self.port("prometheus-port");
        let (address, path) = (self.last(&["prometheus-address"]), self.last(&["prometheus-path"]));
        let off = "without `prometheus` it has no effect";
        if on.is_none() {
            for at in [port.map(|(at, _)| at), address, path].into_iter().flatten() {
                self.tell(at, Verdict::NotNeeded, off);
            }
            return;
        }
        let wished = address.and_then(|at| self.value(at).parse::<IpAddr>().ok());
        // Everything else is served there, too; without an address it stays on this machine.
        let ip = wished.filter(IpAddr::is_loopback).unwrap_or_else(|| Ipv4Addr::LOCALHOST.into());
        let door = SocketAddr::new(ip, port.map_or(9641, |(_, port)| port));
        let items =
            ["127.0.0.1:8080".to_owned(), door.to_string()].map(|text| Item { text, from: None });
        self.draft.set("http.listen", Value::List(items.into()), "the default, and prometheus");
        let why = "prometheus: the names of coturn's exporter beside ours, for its dashboards";
        self.draft.set("metrics.coturn_names", Value::Flag(true), why);
        let text = format!(
            "`http.listen`, `metrics.coturn_names`: GET http://{door}/metrics from this machine, with an \
             API key (`turnbell key add prometheus --scope log`). For a Prometheus elsewhere put a \
             reverse proxy before it, as /ice and the pages are served there, too; nothing is \
             labelled by user"
        );
        for at in [on, port.map(|(at, _)| at), address].into_iter().flatten() {
            self.tell(at, Verdict::Mapped, text.clone());
        }
        if let Some(at) = path {
            let same = self.value(at) == "/metrics";
            let verdict = if same { Verdict::TakenOver } else { Verdict::NotSupported };
            self.tell(at, verdict, "the path is /metrics, below `http.base_path`");
        }
    }

    /// What changed in coturn without anybody typing anything.
    fn generations(&mut self) {
        self.report.note(
            "turnbell also serves HTTP (/ice, the pages, /metrics) on 127.0.0.1:8080, which is coturn's \
             web-admin port, too; `http.listen` names another one",
        );
        let is_off = |statement: &Statement| {
            statement.name == "no-tcp-relay"
                && super::reading::switch(&statement.value) != Some(false)
        };
        if !self.statements.iter().any(is_off) {
            self.report.note(
                "coturn relays over TCP (RFC 6062) unless no-tcp-relay says otherwise; turnbell never \
                 does, and browsers do not ask for it",
            );
        }
        for text in [
            "before 4.7 coturn answered RFC 5780 tests and sent MAPPED-ADDRESS and SOFTWARE; turnbell \
             does none of it",
            "before 4.10 coturn had its telnet console open on 127.0.0.1:5766; turnbell has commands \
             over a socket that only its user may open",
            "before 4.13.1 coturn relayed to link-local and unique local addresses; turnbell does not",
            "before 4.17 coturn took DTLS clients where it had a certificate; turnbell takes TLS",
        ] {
            self.report.note(text);
        }
    }
}
