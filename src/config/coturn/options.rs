//! Every option that coturn has or once had, and what becomes of it here: one table.

/// An option.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// As it stands behind `--` and in the file.
    pub(super) name: &'static str,
    /// As it stands behind `-`.
    pub(super) letter: Option<char>,
    pub(super) kind: Kind,
    /// Whether its value must not be shown.
    pub(super) is_secret: bool,
    pub(super) rule: Rule,
}

/// What stands behind an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing, or one of coturn's words for yes and no.
    Switch,
    /// Nothing; whatever stands there, it is on.
    Mark,
    /// A number, as `atoi` reads it.
    Number,
    /// A text.
    Text,
}

/// What becomes of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Taken over or mapped, by the file of this folder that knows its topic.
    Read,
    /// Not needed any more, and why.
    Idle(&'static str),
    /// Not supported, and what to do.
    Missing(&'static str),
}

/// The option of this name.
pub(super) fn by_name(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// The one option that begins so, as GNU's `getopt_long` completes it.
pub(super) fn by_beginning(beginning: &str) -> Option<&'static Row> {
    let mut found =
        ROWS.iter().filter(|row| !beginning.is_empty() && row.name.starts_with(beginning));
    found.next().filter(|_| found.next().is_none())
}

/// The option of this letter.
pub(super) fn by_letter(letter: char) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.letter == Some(letter))
}

/// Names of all of them.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.name)
}

const fn read(name: &'static str, kind: Kind) -> Row {
    Row { name, letter: None, kind, is_secret: false, rule: Rule::Read }
}

const fn idle(name: &'static str, kind: Kind, why: &'static str) -> Row {
    Row { name, letter: None, kind, is_secret: false, rule: Rule::Idle(why) }
}

const fn missing(name: &'static str, kind: Kind, cure: &'static str) -> Row {
    Row { name, letter: None, kind, is_secret: false, rule: Rule::Missing(cure) }
}

impl Row {
    const fn by(self, letter: char) -> Self {
        Self { letter: Some(letter), ..self }
    }

    const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }
}

const THREADS: &str = "turnbell batches its packets by itself";
const NAT: &str = "NAT behaviour discovery (RFC 5780) is not offered; browsers do not use it";
const OLD_TLS: &str = "TLS begins with 1.2 here, whatever is asked for";
const CURVES: &str = "the TLS library chooses curves and groups by itself, all of them safe";
const SERVICE: &str = "systemd does that: systemd/turnbell.service";
const LOGGING: &str =
    "the log goes to stderr, and so into systemd's journal: journalctl -u turnbell";
const TIMES: &str = "every log line has its time, from the journal";
const TELNET: &str = "there is no telnet console: turnbell sessions, status, drain, revoke and log";
const WEB: &str = "there is no web administration: turnbell's commands, and GET /metrics";
const DATABASE: &str = "the user database is not asked while clients are served: it was imported";
const ORIGIN: &str = "browsers send no ORIGIN in STUN";
const POOL: &str = "each allocation has a port of its own; a wider relay_ports makes room for more";
const GONE: &str = "coturn dropped it itself years ago";
const DEFAULT: &str = "that is how it always is here";

use Kind::{Mark, Number, Switch, Text};

/// All of them; the first that fits counts.
const ROWS: &[Row] = &[
    // listeners and addresses
    read("listening-port", Number).by('p'),
    read("tls-listening-port", Number),
    idle("alt-listening-port", Number, NAT),
    idle("alt-tls-listening-port", Number, NAT),
    read("listening-ip", Text).by('L'),
    missing("listening-device", Text, "name the interface's addresses in `listen`").by('d'),
    missing("relay-device", Text, "name the interface's address in `relay_addresses`").by('i'),
    read("relay-ip", Text).by('E'),
    read("external-ip", Text).by('X'),
    read("aux-server", Text),
    read("tcp-proxy-port", Number),
    read("min-port", Number),
    read("max-port", Number),
    read("no-udp", Switch),
    read("no-tcp", Switch),
    read("no-tls", Switch),
    missing("dtls", Switch, "there is no DTLS; browsers use TLS over TCP (turns:) in its place"),
    idle("no-dtls", Switch, "there is no DTLS"),
    missing("no-udp-relay", Switch, "UDP is what is relayed here, and nothing else"),
    idle("no-tcp-relay", Switch, "nothing is relayed over TCP (RFC 6062) here"),
    idle("udp-self-balance", Switch, "one process serves all listeners; nobody need be redirected"),
    read("keep-address-family", Switch).by('K'),
    read("allocation-default-address-family", Text).by('A'),
    missing("server-relay", Switch, "never: without permissions it relays for anybody to anybody"),
    idle("sock-buf-size", Number, "buffers are as large as the kernel allows: net.core.rmem_max"),
    read("relay-threads", Number).by('m'),
    idle("cpus", Number, "there is a relay thread on each processor; `threads` says otherwise"),
    idle("udp-recvmmsg", Switch, THREADS),
    idle("udp-recvmmsg-log", Switch, THREADS),
    idle("udp-sendmmsg", Switch, THREADS),
    idle("udp-sendmmsg-log", Switch, THREADS),
    idle("udp-gso", Switch, THREADS),
    missing("multiplex-peer", Switch, POOL),
    missing("multiplex-peer-port", Number, POOL),
    missing("multiplex-peer-max-peers", Number, POOL),
    // who may
    read("lt-cred-mech", Switch).by('a'),
    read("no-auth", Switch).by('z'),
    read("user", Text).by('u').secret(),
    read("use-auth-secret", Mark),
    read("static-auth-secret", Text).secret(),
    read("rest-api-separator", Text).by('C'),
    read("realm", Text).by('r'),
    missing("server-name", Text, "OAuth (RFC 7635) is not offered; use credentials of GET /ice"),
    missing("oauth", Switch, "OAuth (RFC 7635) is not offered; use credentials of GET /ice"),
    missing(
        "secure-stun",
        Switch,
        "Binding is answered without credentials, never with more bytes",
    ),
    read("stale-nonce", Number),
    idle("stateless-nonce", Switch, DEFAULT),
    missing(
        "stateless-nonce-secret",
        Text,
        "each server has its own nonces; a client that changes \
         servers is told a new one (438) and goes on",
    )
    .secret(),
    idle("unauthorized-ratelimit", Switch, "the shield does that by itself: [shield]"),
    read("unauthorized-ratelimit-rps", Number),
    idle("check-origin-consistency", Switch, ORIGIN),
    idle("no-auth-pings", Mark, DATABASE),
    idle("no-dynamic-ip-list", Mark, DATABASE),
    idle("no-dynamic-realms", Mark, DATABASE),
    // quotas, limits, timers
    read("user-quota", Number).by('q'),
    read("total-quota", Number).by('Q'),
    read("max-bps", Number).by('s'),
    read("bps-capacity", Number).by('B'),
    read("max-allocate-lifetime", Number),
    idle("max-allocate-timeout", Number, "nothing is kept for a client that has not allocated"),
    read("channel-lifetime", Number),
    read("permission-lifetime", Number),
    missing(
        "drain-min-allocations",
        Number,
        "`turnbell drain --limit TIME` ends a drain after a time",
    ),
    // peers
    read("allowed-peer-ip", Text),
    read("denied-peer-ip", Text),
    idle("no-multicast-peers", Switch, "multicast is never relayed to"),
    read("allow-loopback-peers", Switch),
    idle(
        "no-loopback-peers",
        Switch,
        "loopback is never relayed to, unless allow_private_peers says so",
    ),
    // TLS
    read("cert", Text),
    read("pkey", Text),
    missing("pkey-pwd", Text, "the key must not be encrypted: openssl pkey -in OLD -out NEW")
        .secret(),
    missing(
        "cipher-list",
        Text,
        "the TLS library's suites are used, all of them with forward secrecy",
    ),
    missing(
        "CA-file",
        Text,
        "clients are not asked for certificates; their credentials say who they are",
    ),
    idle("ec-curve-name", Text, CURVES),
    idle("dh-file", Text, CURVES),
    idle("dh566", Switch, CURVES),
    idle("dh1066", Switch, CURVES),
    idle("dh2066", Switch, CURVES),
    missing("tlsv1", Switch, OLD_TLS),
    missing("tlsv1_1", Switch, OLD_TLS),
    missing("no-tlsv1_2", Switch, "TLS 1.2 is spoken beside 1.3, for clients that know no other"),
    missing("raw-public-keys", Switch, "a certificate is needed; raw public keys are not offered"),
    // STUN
    missing(
        "stun-only",
        Switch,
        "without relaying there is little to run: a quota of 1 comes closest",
    )
    .by('S'),
    missing("no-stun", Switch, "Binding is answered; `[ice] stun = false` keeps it out of /ice"),
    idle("fingerprint", Switch, "a request with FINGERPRINT is answered with FINGERPRINT").by('f'),
    idle("software-attribute", Switch, "SOFTWARE is not sent: it tells attackers what to look for"),
    idle("no-software-attribute", Switch, DEFAULT),
    missing("rfc5780", Switch, NAT),
    idle("no-rfc5780", Mark, DEFAULT),
    idle("stun-backward-compatibility", Switch, "MAPPED-ADDRESS is for clients from before 2008"),
    idle("no-stun-backward-compatibility", Switch, DEFAULT),
    missing("rfc3489-compatibility", Switch, "clients from before 2008 are not answered"),
    read("rfc5766-channel-numbers", Switch),
    idle("response-origin-only-with-rfc5780", Switch, DEFAULT),
    idle("include-reason-string", Switch, "`turnbell log` says the true cause of every refusal"),
    idle("drop-invalid-packets", Switch, DEFAULT),
    idle(
        "drop-invalid-packets-log",
        Switch,
        "what was discarded is counted by cause: GET /metrics",
    ),
    missing(
        "mobility",
        Switch,
        "a client that changes networks allocates anew, as browsers do (ICE restart)",
    ),
    idle("respond-http-unsupported", Switch, "HTTP is answered where http.listen shares a port"),
    // redirection
    read("alternate-server", Text),
    read("tls-alternate-server", Text),
    read("tcp-alternate-server", Text),
    read("udp-alternate-server", Text),
    // databases
    read("userdb", Text).by('b').secret(),
    read("db", Text).secret(),
    read("psql-userdb", Text).by('e').secret(),
    read("sql-userdb", Text).secret(),
    read("mysql-userdb", Text).by('M').secret(),
    read("redis-userdb", Text).by('N').secret(),
    read("mongo-userdb", Text).by('J').secret(),
    missing("redis-statsdb", Text, "`turnbell sessions --json` and GET /metrics tell what it told")
        .by('O')
        .secret(),
    read("secret-key-file", Text),
    // operation
    read("verbose", Switch).by('v'),
    read("Verbose", Switch).by('V'),
    read("log-min-level", Text),
    idle("log-file", Text, LOGGING).by('l'),
    idle("no-stdout-log", Switch, LOGGING),
    idle("syslog", Switch, LOGGING),
    idle("syslog-facility", Text, LOGGING),
    idle("simple-log", Switch, LOGGING),
    idle("new-log-timestamp", Mark, TIMES),
    idle("new-log-timestamp-format", Text, TIMES),
    idle("log-binding", Switch, "Binding requests are counted (GET /metrics), not logged"),
    idle("daemon", Switch, SERVICE).by('o'),
    idle("pidfile", Text, SERVICE),
    idle("proc-user", Text, SERVICE),
    idle("proc-group", Text, SERVICE),
    read("prometheus", Mark),
    read("prometheus-port", Number),
    read("prometheus-address", Text),
    read("prometheus-path", Text),
    missing(
        "prometheus-username-labels",
        Mark,
        "never: usernames make a series each; `turnbell sessions`",
    ),
    missing(
        "prometheus-tls",
        Switch,
        "put http.listen behind listen_tls, or a reverse proxy before it",
    ),
    missing(
        "prometheus-cert",
        Text,
        "[tls] serves HTTPS, too, where http.listen shares listen_tls",
    ),
    missing("prometheus-key", Text, "[tls] serves HTTPS, too, where http.listen shares listen_tls"),
    idle("cli", Switch, TELNET),
    idle("no-cli", Switch, TELNET),
    idle("cli-ip", Text, TELNET),
    idle("cli-port", Number, TELNET),
    idle("cli-password", Text, TELNET).secret(),
    idle("cli-max-output-sessions", Number, TELNET),
    missing("web-admin", Switch, WEB),
    idle("web-admin-ip", Text, WEB),
    idle("web-admin-port", Number, WEB),
    idle("web-admin-listen-on-workers", Switch, WEB),
    missing("acme-redirect", Text, "let the web server on port 80 answer ACME's challenges"),
    idle("version", Mark, "it asks coturn for its version"),
    idle("help", Mark, "it asks coturn for help").by('h'),
    // once existed
    idle("no-tlsv1", Switch, DEFAULT),
    idle("no-tlsv1_1", Switch, DEFAULT),
    idle("no-sslv2", Switch, DEFAULT),
    idle("no-sslv3", Switch, DEFAULT),
    idle("no-http", Switch, GONE),
    idle("no-web-admin", Switch, WEB),
    idle("no-prometheus", Switch, GONE),
    idle("prometheus-no-username-labels", Switch, DEFAULT),
    idle("prod", Switch, "SOFTWARE is not sent"),
    idle("ne", Number, THREADS),
    idle("systemd", Switch, SERVICE),
    idle("new-timestamp-format", Mark, TIMES),
    idle("new-timestamp_format", Mark, TIMES),
    missing("secret-ts-exp-time", Number, "the expiry stands in the username; `[ice] ttl` is ours"),
    idle("allow-encoding-with-aes", Switch, GONE),
    missing("st-cred-mech", Switch, "short-term credentials do not exist in TURN"),
    idle("add-st", Text, GONE),
    idle("delete-st", Text, GONE),
    idle("list-st", Text, GONE),
    idle("sha256", Switch, "SHA-256 integrity (RFC 8489) is offered to every client"),
    idle("sha384", Switch, GONE),
    idle("sha512", Switch, GONE),
];

#[cfg(test)]
mod tests;
