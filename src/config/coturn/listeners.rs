//! Where coturn listens and what it relays on: addresses, ports, the certificate.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::draft::{Item, Value};
use super::reading::{At, Import};
use super::report::Verdict;
use crate::config::value as ours;

/// Doors, each once.
#[derive(Default)]
struct Doors(Vec<Item>);

impl Doors {
    fn add(&mut self, door: SocketAddr, from: &str) {
        let text = door.to_string();
        if self.0.iter().all(|item| item.text != text) {
            self.0.push(Item { text, from: Some(from.to_owned()) });
        }
    }
}

impl Import {
    pub(super) fn listeners(&mut self) {
        let addresses = self.listening_addresses();
        let port = self.port("listening-port");
        let tls_port = self.port("tls-listening-port");
        let proxied = self.port("tcp-proxy-port");
        let no_udp = self.is_on("no-udp");
        let no_tcp = self.is_on("no-tcp");
        let no_tls = self.is_on("no-tls");
        let aux = self.aux_servers();
        let certificate = self.certificate();
        let hosts: Vec<(IpAddr, String)> = match &*addresses {
            [] => ["0.0.0.0", "::"]
                .into_iter()
                .filter_map(|ip| Some((ip.parse().ok()?, "every address".to_owned())))
                .collect(),
            [..] => addresses.iter().map(|(at, ip)| (*ip, self.from(*at))).collect(),
        };
        let (mut udp, mut tcp, mut tls) = (Doors::default(), Doors::default(), Doors::default());
        let mut proxy = Doors::default();
        let plain = port.map_or(3478, |(_, port)| port);
        let secure = tls_port.map_or(5349, |(_, port)| port);
        for (ip, from) in &hosts {
            udp.add(SocketAddr::new(*ip, plain), from);
            tcp.add(SocketAddr::new(*ip, plain), from);
            tls.add(SocketAddr::new(*ip, secure), from);
            if let Some((_, port)) = proxied {
                proxy.add(SocketAddr::new(*ip, port), from);
            }
        }
        for (at, door) in &aux {
            let from = self.from(*at);
            udp.add(*door, &from);
            tcp.add(*door, &from);
        }
        if let Some(at) = no_udp {
            udp.0.clear();
            udp.add(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), plain), &self.from(at));
            self.tell(
                at,
                Verdict::Mapped,
                "`listen`: UDP is always listened for; on loopback only",
            );
        }
        let speaks_tls = certificate.is_some() && no_tls.is_none();
        if no_tcp.is_some() {
            tcp.0.clear();
        } else if speaks_tls {
            self.separate(&mut tcp, &tls);
        }
        for door in &proxy.0 {
            tcp.0.retain(|other| other.text != door.text);
            tcp.0.push(door.clone());
        }
        self.set_doors("listen", udp, "listening-ip, listening-port, aux-server");
        self.set_doors("listen_tcp", tcp, "listening-ip, listening-port; no-tcp leaves it empty");
        if speaks_tls {
            self.report.note(
                "GET /ice hands out turns: URLs for the names in `advertise`; put the certificate's \
                 name there",
            );
            self.report.note(
                "turnbell's service has a user of its own, which must be able to read the files of \
                 cert and pkey; what certbot writes is root's alone: README, Certificates, has the \
                 hook that copies them",
            );
            self.set_doors("listen_tls", tls, "listening-ip, tls-listening-port");
        } else if certificate.is_some() {
            self.set_doors("listen_tls", Doors::default(), "no-tls");
        }
        if !proxy.0.is_empty() {
            self.set_doors("proxy_protocol", proxy, "tcp-proxy-port");
        }
        for (at, _) in addresses.iter().copied() {
            self.taken(at, "listen");
        }
        self.tell_ports(port, tls_port, proxied, speaks_tls);
        for (at, _) in aux {
            self.taken(at, "listen");
        }
        for (at, key) in [(no_tcp, "listen_tcp = []"), (no_tls, "listen_tls = []")] {
            if let Some(at) = at {
                self.taken(at, key);
            }
        }
        self.relaying(&addresses);
    }

    /// coturn tells TLS from plain text at one port; here a port speaks one of them.
    fn separate(&mut self, tcp: &mut Doors, tls: &Doors) {
        let before = tcp.0.len();
        tcp.0.retain(|door| tls.0.iter().all(|other| other.text != door.text));
        if tcp.0.len() < before {
            self.report.note(
                "TLS and plain TCP came in at one port; a port speaks one of them here: TLS. Add \
                 another one to `listen_tcp` for plain TCP",
            );
        }
        self.report.note(
            "coturn also takes TLS at listening-port and plain TCP at tls-listening-port; here TLS \
             is spoken at `listen_tls` only, and nothing else there",
        );
    }

    fn set_doors(&mut self, key: &'static str, doors: Doors, from: &str) {
        self.draft.set(key, Value::List(doors.0), from);
    }

    fn tell_ports(
        &mut self,
        port: Option<(At, u16)>,
        tls_port: Option<(At, u16)>,
        proxied: Option<(At, u16)>,
        speaks_tls: bool,
    ) {
        if let Some((at, _)) = port {
            self.taken(at, "listen");
        }
        match tls_port {
            Some((at, _)) if speaks_tls => self.taken(at, "listen_tls"),
            Some((at, _)) => {
                self.tell(at, Verdict::NotNeeded, "without a certificate there is no TLS");
            }
            None => {}
        }
        if let Some((at, _)) = proxied {
            self.taken(at, "proxy_protocol");
        }
    }

    fn listening_addresses(&mut self) -> Vec<(At, IpAddr)> {
        let mut found = Vec::new();
        for at in self.all(&["listening-ip"]) {
            match address(self.value(at)) {
                Ok(ip) => found.push((at, ip)),
                Err(why) => self.tell(at, Verdict::Broken, why),
            }
        }
        found
    }

    fn aux_servers(&mut self) -> Vec<(At, SocketAddr)> {
        let mut found = Vec::new();
        for at in self.all(&["aux-server"]) {
            match self.value(at).parse::<SocketAddr>() {
                Ok(door) if door.port() != 0 => found.push((at, door)),
                Ok(_) | Err(_) => {
                    self.tell(at, Verdict::Broken, "must be ADDRESS:PORT, IPv6 in brackets");
                }
            }
        }
        found
    }

    /// Both files, if both are named and none is known to be missing.
    fn certificate(&mut self) -> Option<()> {
        let (cert, key) = (self.last(&["cert"]), self.last(&["pkey"]));
        let (Some(cert), Some(key)) = (cert, key) else {
            for at in [cert, key].into_iter().flatten() {
                let why = "TLS needs both cert and pkey; write them into [tls]";
                self.tell(at, Verdict::NotSupported, why);
            }
            return None;
        };
        let mut paths = Vec::new();
        for at in [cert, key] {
            match self.find(self.value(at)) {
                Some(path) => paths.push(path),
                None => {
                    let why = "there is no such file, and coturn does without TLS then; write `cert` \
                               and `key` into [tls]";
                    self.tell(at, Verdict::NotSupported, why);
                }
            }
        }
        let [cert_file, key_file] = &*paths else {
            for at in self.all(&["cert", "pkey"]) {
                let why = "left out, because the other file is missing";
                self.tell(at, Verdict::NotSupported, why);
            }
            return None;
        };
        let text = |path: &Path| Value::Text(path.display().to_string());
        let (cert_from, key_from) = (self.from(cert), self.from(key));
        self.draft.set("tls.cert", text(cert_file), cert_from);
        self.draft.set("tls.key", text(key_file), key_from);
        self.taken(cert, "tls.cert");
        self.taken(key, "tls.key");
        Some(())
    }

    /// A file where coturn would find it. One that may not be looked at is taken to be there.
    fn find(&self, name: &str) -> Option<PathBuf> {
        let name = Path::new(name);
        if name.as_os_str().is_empty() {
            return None;
        }
        let here = std::env::current_dir().unwrap_or_default();
        let places = [
            self.directory.join(name),
            here.join(name),
            here.join("etc").join(name),
            Path::new("/etc").join(name),
            Path::new("/usr/local/etc").join(name),
            Path::new("/etc/coturn").join(name),
        ];
        let is_there = |path: &&PathBuf| match path.metadata() {
            Ok(metadata) => metadata.is_file(),
            Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
        };
        let found = places.iter().find(is_there)?;
        Some(std::path::absolute(found).unwrap_or_else(|_| found.clone()))
    }

    fn relaying(&mut self, listening: &[(At, IpAddr)]) {
        let mut relays: Vec<Item> = Vec::new();
        let mut named = Vec::new();
        for at in self.all(&["relay-ip"]) {
            match address(self.value(at)) {
                Ok(ip) => named.push((at, ip)),
                Err(why) => self.tell(at, Verdict::Broken, why),
            }
        }
        // Without relay-ip coturn relays on the addresses it was told to listen on.
        let from_listeners = named.is_empty();
        for (at, ip) in if from_listeners { listening } else { &named } {
            let text = ip.to_string();
            match ours::relay_address(&text) {
                Ok(_) if relays.iter().all(|item| item.text != text) => {
                    relays.push(Item { text, from: Some(self.from(*at)) });
                }
                Ok(_) => {}
                Err(_) if from_listeners => {}
                Err(why) => self.tell(*at, Verdict::Broken, why.0),
            }
        }
        if !relays.is_empty() {
            let why = if from_listeners {
                "coturn relays on what listening-ip names, where relay-ip names nothing"
            } else {
                "relay-ip"
            };
            self.draft.set("relay_addresses", Value::List(relays), why);
        }
        for at in self.all(&["relay-ip"]) {
            self.taken(at, "relay_addresses");
        }
        self.external();
        self.relay_ports();
    }

    fn external(&mut self) {
        let mut items: Vec<Item> = Vec::new();
        let mut families = Vec::new();
        for at in self.all(&["external-ip"]) {
            let value = self.value(at).to_owned();
            let parsed = match ours::external(&value) {
                Ok(parsed) => parsed,
                Err(_) if value.contains('$') => {
                    let cure = "write the address itself, or `external_stun = [\"HOST:PORT\"]` to \
                                have a STUN server asked";
                    self.tell(at, Verdict::NotSupported, cure);
                    continue;
                }
                Err(why) => {
                    self.tell(at, Verdict::Broken, why.0);
                    continue;
                }
            };
            if families.contains(&parsed.public.is_ipv4()) {
                let cure = "there is one public address of each family here; run a second turnbell \
                            for this one";
                self.tell(at, Verdict::NotSupported, cure);
                continue;
            }
            families.push(parsed.public.is_ipv4());
            items.push(Item { text: value, from: Some(self.from(at)) });
            self.taken(at, "external");
        }
        if !items.is_empty() {
            self.draft.set("external", Value::List(items), "external-ip");
        }
    }

    fn relay_ports(&mut self) {
        let (min, max) = (self.port("min-port"), self.port("max-port"));
        if min.is_none() && max.is_none() {
            return;
        }
        let (low, high) = (min.map_or(49_152, |(_, p)| p), max.map_or(65_535, |(_, p)| p));
        let both = || [min, max].into_iter().flatten();
        if low > high || high < 1024 {
            for (at, _) in both() {
                self.tell(at, Verdict::Broken, "no port lies between min-port and max-port");
            }
            return;
        }
        let range = format!("{}-{high}", low.max(1024));
        let from: Vec<String> = both().map(|(at, _)| self.from(at)).collect();
        self.draft.set("relay_ports", Value::Text(range), from.join("; "));
        for (at, _) in both() {
            if low < 1024 {
                self.tell(at, Verdict::Mapped, "`relay_ports` begins at 1024");
            } else {
                self.taken(at, "relay_ports");
            }
        }
    }
}

/// An address; coturn also takes names, which may mean another one tomorrow.
fn address(text: &str) -> Result<IpAddr, String> {
    text.trim_matches(['[', ']']).parse().map_err(|_| {
        "is no address; coturn asks the resolver for a name, write the address it has".to_owned()
    })
}
