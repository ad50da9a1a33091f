//! A relay for a moment, made from a config as the daemon would make it, and used by clients of its
//! own: what `check-config` finds out beyond reading the file. It writes no record, no secret and no
//! file, and is gone when this returns.

pub(crate) mod client;
mod tls;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::sync::watch;

use super::outside::{Outside, Questions};
use super::relaying::{self, Parts};
use super::{DaemonError, Opened, Plan, bind_tcp, guard, parts};
use crate::auth::credential::{Issued, User, Verifier, issue};
use crate::auth::secret::generate_shared_secret;
use crate::auth::user_hash::IssuedNames;
use crate::config::Config;
use crate::edge::accept::{self, Door};
use crate::edge::certificates::Certificates;
use crate::limits::STOP_PATIENCE;
use crate::ops::interfaces::InterfaceAddress;
use crate::ops::port_holder::{Protocol, bind_failure};
use crate::ops::resolve;
use crate::plane::udp::Listener;
use crate::policy::quota::QuotaLimits;
use crate::time::Now;
use crate::turn::fact::Transport;
use crate::wire::address::Family;
use client::Client;

/// What does not work, as the end of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) String);

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The plan, with what was found outside.
    pub(crate) plan: Plan,
    /// One per listener and family of relayed addresses.
    pub(crate) tries: Vec<Try>,
    /// Ports that could not be opened.
    pub(crate) taken: Vec<Taken>,
}

/// One listener and one family of relayed addresses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Try {
    /// How the client came.
    pub(crate) transport: Transport,
    /// As the config has it.
    pub(crate) listener: SocketAddr,
    /// Family of the relayed address.
    pub(crate) family: Family,
    /// What a client is told, or what does not work.
    pub(crate) relayed: Result<SocketAddr, Fault>,
}

/// A port of the config that could not be opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Of which protocol.
    pub(crate) protocol: Protocol,
    /// As the config has it.
    pub(crate) at: SocketAddr,
    /// Why, and the cure.
    pub(crate) why: String,
}

/// A listener and where it stands for the trial.
struct Place {
    transport: Transport,
    configured: SocketAddr,
    bound: SocketAddr,
    is_proxied: bool,
}

/// Tries it.
///
/// # Errors
/// What no daemon would start with.
pub(crate) fn run(
    config: &Config,
    here: &[InterfaceAddress],
    certificates: Option<Arc<Certificates>>,
) -> Result<Outcome, DaemonError> {
    let runtime = super::runtime()?;
    let plan = Plan::of(config, here)?;
    let questions = Questions::of(config, &plan.relay);
    let outside = runtime.block_on(Outside::at_start(&questions, &resolve::system()));
    let mut plan = Plan::with(config, here, outside.found())?;
    plan.warnings.extend(outside.sentences());

    let mut ports = Ports::bind(config, super::has_ipv6(here));
    let of = |transport| {
        let those = ports.places.iter().filter(move |place| place.transport == transport);
        those.map(|place| place.bound).collect::<Vec<_>>()
    };
    let opened = Opened {
        udp: of(Transport::Udp),
        tcp: of(Transport::Tcp),
        tls: of(Transport::Tls),
        https: Vec::new(),
        http: Vec::new(),
        relay_addresses: plan.relay.clone(),
        warnings: Vec::new(),
    };
    let secret = generate_shared_secret()
        .map_err(|error| super::system("reading random bytes", io::Error::other(error)))?;
    let names = Arc::new(IssuedNames::new(&config.realm));
    let verifier = Verifier::new(&config.realm, vec![secret.clone()], [], names);
    let (handle, shards) = relaying::start(
        config,
        &opened,
        Parts {
            verifier,
            policy: Arc::new(parts::policy(config, &opened, here, &outside)),
            listeners: vec![std::mem::take(&mut ports.udp)],
            guard: guard::options(config, Vec::new())?,
            // What one person may take is no question here.
            quota: QuotaLimits { per_user: u32::MAX, per_source: u32::MAX, total: u32::MAX },
            facts: Box::new(|| Box::new(drop)),
        },
    )?;
    let doors = std::mem::take(&mut ports.doors);
    let doors = doors.into_iter().map(|(listener, is_tls, is_proxied)| {
        let certificates = certificates.as_ref().filter(|_| is_tls);
        let tls = certificates.map(|c| c.server_config(false)).transpose()?;
        Ok(Door { listener, is_proxied, tls, http: None })
    });
    let doors = doors.collect::<Result<_, rustls::Error>>();
    let doors = doors.map_err(|e| super::system("preparing TLS", io::Error::other(e)))?;
    let (stop, mut stopped) = watch::channel(false);
    runtime.spawn(accept::serve(doors, handle.clone(), Arc::default(), async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }));
    let tries = runtime.block_on(async {
        let mut tries = Vec::new();
        for place in &ports.places {
            for family in families(&plan) {
                let server = place.reached_at(&plan);
                let issued = || credential(&secret);
                let relayed = place.try_one(server, family, issued).await;
                let (transport, listener) = (place.transport, place.configured);
                tries.push(Try { transport, listener, family, relayed });
            }
        }
        tries
    });
    stop.send_replace(true);
    if handle.stop(STOP_PATIENCE).is_ok() {
        // It ends by itself otherwise, with the process.
        let _ = relaying::join(shards, true);
    }
    runtime.shutdown_timeout(STOP_PATIENCE);
    Ok(Outcome { plan, tries, taken: ports.taken })
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn families(plan: &Plan) -> Vec<Family> {
    let has = |family: &Family| plan.relay.iter().any(|relay| Family::of(relay.bind) == *family);
    [Family::V4, Family::V6].into_iter().filter(has).collect()
}

/// A credential that nobody else has, for an hour at the most.
fn credential(secret: &crate::auth::secret::Secret<String>) -> Result<Issued, Fault> {
    let user = User::random().map_err(|_| Fault("the kernel gives no random bytes".to_owned()))?;
    Ok(issue(secret, &user, Now::read().unix_s() + 3600))
}

impl Place {
    /// Where a client on this machine finds it: at the relay address of its family, as one from
    /// outside would, or at the loopback address.
    fn reached_at(&self, plan: &Plan) -> SocketAddr {
        let bound = self.bound;
        if !bound.ip().is_unspecified() {
            return bound;
        }
        let alike = plan.relay.iter().map(|relay| relay.bind);
        let relay = alike.into_iter().find(|ip| ip.is_ipv4() == bound.is_ipv4());
        let loopback: IpAddr = if bound.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        };
        SocketAddr::new(relay.unwrap_or(loopback), bound.port())
    }

    /// Two clients find each other through the relay, a datagram each way.
    async fn try_one(
        &self,
        server: SocketAddr,
        family: Family,
        issued: impl Fn() -> Result<Issued, Fault>,
    ) -> Result<SocketAddr, Fault> {
        let connect = || Client::connect(self.transport, server, self.is_proxied);
        let (mut one, mut other) = (connect().await?, connect().await?);
        one.binding().await?;
        let told = one.allocate(family, &issued()?).await?;
        let told_other = other.allocate(family, &issued()?).await?;
        one.permit(told_other).await?;
        other.permit(told).await?;
        one.send(told_other, b"turnbell: there").await?;
        other.expect(told, b"turnbell: there").await?;
        other.send(told, b"turnbell: and back").await?;
        one.expect(told_other, b"turnbell: and back").await?;
        one.release().await?;
        other.release().await?;
        Ok(told)
    }
}

/// Every listener of the config, or one at another port in its place.
#[derive(Default)]
struct Ports {
    udp: Vec<Listener>,
    /// With whether TLS is spoken, and whether a PROXY header comes first.
    doors: Vec<(TcpListener, bool, bool)>,
    places: Vec<Place>,
    taken: Vec<Taken>,
}

impl Ports {
    fn bind(config: &Config, has_ipv6: bool) -> Self {
        let mut ports = Self::default();
        let usable = |at: &&SocketAddr| at.is_ipv4() || has_ipv6;
        for at in config.listen.iter().filter(usable) {
            let bound = ports.bound(Protocol::Udp, *at, "listen", Listener::bind);
            if let Some(listener) = bound {
                ports.note(Transport::Udp, *at, listener.local(), false);
                ports.udp.push(listener);
            }
        }
        for (key, list, transport) in [
            ("listen_tcp", &config.listen_tcp, Transport::Tcp),
            ("listen_tls", &config.listen_tls, Transport::Tls),
        ] {
            for at in list.iter().filter(usable) {
                let Some(listener) = ports.bound(Protocol::Tcp, *at, key, bind_tcp) else {
                    continue;
                };
                let is_proxied = config.proxy_protocol.contains(at);
                if let Ok(local) = listener.local_addr() {
                    ports.note(transport, *at, local, is_proxied);
                }
                ports.doors.push((listener, transport == Transport::Tls, is_proxied));
            }
        }
        for at in config.http.listen.iter().filter(|at| !config.is_shared(**at)) {
            if let Err(error) = bind_tcp(*at) {
                let why = bind_failure(Protocol::Tcp, *at, "http.listen", &error);
                ports.taken.push(Taken { protocol: Protocol::Tcp, at: *at, why });
            }
        }
        ports
    }

    fn bound<T>(
        &mut self,
        protocol: Protocol,
        at: SocketAddr,
        key: &str,
        bind: impl Fn(SocketAddr) -> io::Result<T>,
    ) -> Option<T> {
        let error = match bind(at) {
            Ok(bound) => return Some(bound),
            Err(error) => error,
        };
        self.taken.push(Taken { protocol, at, why: bind_failure(protocol, at, key, &error) });
        bind(SocketAddr::new(at.ip(), 0)).ok()
    }

    fn note(
        &mut self,
        transport: Transport,
        configured: SocketAddr,
        bound: SocketAddr,
        is_proxied: bool,
    ) {
        self.places.push(Place { transport, configured, bound, is_proxied });
    }
}
