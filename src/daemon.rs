//! Builds everything from the config, runs it, stops it in order.
//!
//! Start: state directory and its lock, secrets, relay addresses, every port, the record, the
//! shards, the edge. Whatever fails says so before anything was answered. Stop: the edge, then the
//! shards (which write the end of every allocation), then the record.

mod addresses;
mod diagnose;
mod drain;
mod error;
pub(crate) mod explain;
mod guard;
pub(crate) mod jwks;
pub(crate) mod live;
mod memory;
pub(crate) mod outside;
pub(crate) mod parts;
pub mod plan;
mod ports;
mod pulse;
mod quotas;
mod relaying;
pub(crate) mod signaling;
mod signals;
pub(crate) mod trial;
mod verify;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Notify, mpsc, watch};

use crate::call::contract::Command;
use crate::config::Config;
use crate::edge::Edge;
use crate::edge::accept;
use crate::edge::api_keys::ApiKeys;
use crate::edge::calls::Calls;
use crate::edge::certificates::Certificates;
use crate::edge::commands::{Commands, LiveSessions, Running};
use crate::edge::control::ControlSocket;
use crate::edge::ice_urls::UrlSources;
use crate::edge::invites::InviteBase;
use crate::edge::refusals::{self, refusals};
use crate::edge::signaling::upgrade::Signaling;
use crate::edge::snapshot::Snapshot;
use crate::edge::verify_links::ShownLink;
use crate::edge::watching::{DoorWatch, Watching};
use crate::limits::{ANSWER_PATIENCE, HTTP_HANDED_MAX, STOP_PATIENCE};
use crate::ops::call_counts::CallCounter;
use crate::ops::kernel::Kernel;
use crate::ops::relay_choice::RelayAddress;
use crate::ops::resolve;
use crate::ops::state_directory::StateDirectory;
use crate::plane::handle::Handle;
use crate::plane::shard::{FactSink, Thread};
use crate::plane::udp::Listener;
use crate::store::{Entry, Store, WriterHandle};
use crate::time::Now;

/// File in the state directory that says where the daemon really listens (for port 0 and tools).
pub const ADDRESSES_FILE: &str = "addresses.json";

use addresses::write_addresses;
use drain::Draining;
use jwks::Jwks;
use live::{InEffect, Live};
use outside::{Outside, Questions};
use signaling::Operator;
use signals::Signals;

pub use error::DaemonError;
use error::system;
pub use plan::{Impossible, Plan};
use ports::Ports;
pub(crate) use ports::{bind_tcp, has_ipv6, small_buffer};
use pulse::Measured;
use quotas::Near;
use relaying::Parts;

/// What a started daemon has open, for the banner, for tests and for tools.
#[derive(Debug, Clone)]
pub struct Opened {
    /// UDP listeners with their real ports.
    pub udp: Vec<SocketAddr>,
    /// TCP listeners for STUN and TURN, likewise.
    pub tcp: Vec<SocketAddr>,
    /// TLS listeners for STUN and TURN, likewise.
    pub tls: Vec<SocketAddr>,
    /// TLS listeners that answer HTTP, too.
    pub https: Vec<SocketAddr>,
    /// HTTP listeners with their real ports.
    pub http: Vec<SocketAddr>,
    /// Addresses that are relayed on, and why these.
    pub relay_addresses: Vec<RelayAddress>,
    /// Sentences for a person.
    pub warnings: Vec<String>,
}

impl Opened {
    /// Every port, whatever is spoken there.
    fn listeners(&self) -> impl Iterator<Item = SocketAddr> {
        let doors = self.tcp.iter().chain(&self.tls).chain(&self.http).chain(&self.https);
        self.udp.iter().chain(doors).copied()
    }

    /// What invite links begin with.
    fn invite_base(&self, config: &Config) -> InviteBase {
        parts::invite_base(config, &self.https, &self.http)
    }

    fn url_sources(&self, config: &Config, certificates: Option<Arc<Certificates>>) -> UrlSources {
        let listeners = parts::relay_listeners(&self.udp, &self.tcp, &self.tls);
        parts::url_sources(config, &self.relay_addresses, listeners, certificates)
    }
}

/// A running daemon. Dropping it without [`Self::stop`] leaves its threads to the process's end.
pub struct Daemon {
    opened: Opened,
    handle: Handle,
    shards: Vec<Thread>,
    runtime: tokio::runtime::Runtime,
    stop_edge: watch::Sender<bool>,
    edge: tokio::task::JoinHandle<io::Result<()>>,
    doors: tokio::task::JoinHandle<io::Result<()>>,
    control: tokio::task::JoinHandle<io::Result<()>>,
    record: WriterHandle,
    state: Arc<StateDirectory>,
    live: Arc<Live>,
    signals: Signals,
}

impl Daemon {
    /// Starts everything; when it returns, every port is open and answered.
    ///
    /// # Errors
    /// One sentence or more with what is wrong and which setting cures it.
    pub fn start(config: Config) -> Result<Self, DaemonError> {
        let state = Arc::new(StateDirectory::open(&config.state_directory)?);
        // What a run that was killed left: nobody listens there any more.
        let _ = std::fs::remove_file(state.path().join(ADDRESSES_FILE));
        let here = crate::ops::interfaces::all()
            .map_err(|source| system("reading the addresses of this machine", source))?;
        let Plan { relay, mut warnings } = Plan::of(&config, &here)?;
        let questions = Questions::of(&config, &relay);
        warnings.clear();
        warnings.extend(state.warning().map(ToOwned::to_owned));
        let secrets = parts::secrets(&config, &state, &mut warnings)?;
        parts::raise_file_limit();
        parts::forbid_core_dumps();
        warnings.extend(parts::too_small(&config, &Kernel::read()));
        let control = ControlSocket::bind(&state.control_socket())
            .map_err(|error| DaemonError::Wishes(vec![error.to_string()]))?;
        let certificates = parts::certificates(&config)?;
        let ports = Ports::bind(&config, &here, &mut warnings)?;
        let runtime = runtime()?;
        let lookup = resolve::system();
        let outside = runtime.block_on(Outside::at_start(&questions, &lookup));
        let Plan { relay, warnings: of_plan } = Plan::with(&config, &here, outside.found())?;
        warnings.splice(..0, of_plan.into_iter().chain(outside.sentences()));
        let mut opened = Opened {
            udp: ports.udp.iter().take(1).flatten().map(Listener::local).collect(),
            tcp: ports.doors_at(false),
            tls: ports.doors_at(true),
            http: ports.http_at(false),
            https: ports.http_at(true),
            relay_addresses: relay,
            warnings,
        };
        let Ports { udp, doors, http } = ports;
        let urls = opened.url_sources(&config, certificates.clone());
        opened.warnings.extend(urls.turns_problem(Now::read()));

        let (store, record) = Store::open(parts::store_options(&config));
        let policy = Arc::new(parts::policy(&config, &opened, &here, &outside));
        let (refusals, refused) = refusals();
        let (refusals, recorder) = (Arc::new(Mutex::new(refusals)), store.clone());
        let facts = move || {
            let (refusals, recorder) = (Arc::clone(&refusals), recorder.clone());
            Box::new(move |fact| {
                refusals.lock().unwrap_or_else(PoisonError::into_inner).note(&fact);
                recorder.record(Entry::Relay(fact));
            }) as FactSink
        };
        let (handle, shards) = relaying::start(
            &config,
            &opened,
            Parts {
                verifier: parts::verifier(&config, &secrets),
                policy: Arc::clone(&policy),
                listeners: udp,
                guard: guard::options(&config, guard::revoked(&store))?,
                quota: parts::quota_limits(&config),
                facts: Box::new(facts),
            },
        )?;
        // Caught from here on: a signal that comes during the rest of the start is not lost.
        let signals = {
            let _inside = runtime.enter();
            Signals::catch().map_err(|source| system("catching signals", source))?
        };
        let keys = Arc::new(ApiKeys::default());
        parts::load_keys(&store, &keys);
        let draining = Draining::default();
        let issuer = Arc::new(Snapshot::new(parts::issuer_of(&config, urls.clone(), &secrets)));
        let external = Arc::new(Snapshot::new(outside.health(&config, &opened.relay_addresses)));
        let near = Near::default();
        let jwks = Arc::new(Jwks::new(runtime.handle().clone()));
        let health = pulse::health_probe(
            handle.clone(),
            store.clone(),
            Arc::clone(&issuer),
            Arc::clone(&draining.begun),
            Arc::clone(&external),
            near.clone(),
            Arc::clone(&jwks),
        );
        let counter = CallCounter::default();
        let own = signaling::Own::open(&state, &store, jwks)?;
        let identity = own.identity(&config, opened.invite_base(&config));
        let edge = Edge::new(
            parts::edge_options(&config, urls, &secrets, identity),
            Arc::clone(&keys),
            parts::recorder(store.clone()),
            Arc::clone(&health),
            pulse::metrics_probe(Measured {
                handle: handle.clone(),
                store: store.clone(),
                health: Arc::clone(&health),
                calls: counter.clone(),
            }),
        );
        runtime.spawn(refusals::write(refused, Arc::clone(&edge)));
        let relay = (handle.clone(), near.clone());
        let exchange = signaling::start(&config, &store, &runtime, relay, counter)?;
        edge.open_calls(Calls::new(store.clone(), exchange.clone()));
        edge.open_signaling(Signaling::new(exchange.clone()));
        edge.open_record(store.clone());
        let door_watch = Arc::<DoorWatch>::default();
        edge.open_watching(Watching::new(handle.clone(), Arc::clone(&door_watch)));
        let operator = Operator { exchange, runtime: runtime.handle().clone() };
        let asked = handle.clone();
        let sessions: LiveSessions = Arc::new(move || asked.allocations(ANSWER_PATIENCE).ok());
        let live = Arc::new(Live {
            in_effect: Mutex::new(InEffect::at_start(config, policy, &opened, outside)),
            state: Arc::clone(&state),
            handle: handle.clone(),
            edge: Arc::clone(&edge),
            issuer: Arc::clone(&issuer),
            own,
            operator,
            store: store.clone(),
            draining,
            certificates: certificates.clone(),
            issued: Arc::clone(&secrets.issued),
            asking: Notify::new(),
            external,
        });
        live.note_found(Now::read());
        let verifications = verify::open(&live, Arc::clone(&lookup));
        runtime.spawn(verify::keep_verifying(Arc::downgrade(&live), verifications.clone()));
        let diagnosing = diagnose::open(&live);
        runtime.spawn(outside::keep_asking(Arc::clone(&live), lookup));
        let (reload, drain_on) = (live.on_command(), live.on_drain());
        let (explaining, telling) = (Arc::clone(&live), Arc::clone(&live));
        let (seen, known, revoking) = (Arc::clone(&edge), Arc::clone(&edge), Arc::clone(&live));
        let running = Running {
            keys,
            issued: Arc::clone(&secrets.issued),
            live: sessions,
            health: Arc::new(move || seen.health()),
            tell: guard::tell_shards(handle.clone()),
            revoked: live.own.revoked(),
            end_sessions: Arc::new(move |tenant, user| {
                revoking.operator.ask(Command::RevokeUser { tenant, user })
            }),
            reload,
            drain: drain_on,
            explain_peer: Arc::new(move |ip, port| explaining.explain_peer(ip, port)),
            verifications,
            config: Arc::new(move || telling.config_word()),
            diagnosing,
            shown_link: ShownLink::default(),
        };
        let commands = Arc::new(Commands {
            store,
            issuer: Some(issuer),
            identity: Some(Arc::new(move || known.identity())),
            daemon: Some(running),
        });
        edge.open_commands(&commands);
        let (stop_edge, stopped) = watch::channel(false);
        let mut control_stopped = stopped.clone();
        let control = runtime.spawn(control.serve(commands, async move {
            let _ = control_stopped.wait_for(|stopped| *stopped).await;
        }));
        let mut doors_stopped = stopped.clone();
        let (to_http, handed) = mpsc::channel(HTTP_HANDED_MAX);
        let doors = doors.into_iter().map(|bound| bound.door(certificates.as_ref(), &to_http));
        let doors = doors.collect::<Result<_, _>>();
        let doors = doors.map_err(|e| system("preparing TLS", io::Error::other(e)))?;
        if let Some(certificates) = certificates {
            runtime.spawn(certificates.watch());
        }
        let doors = runtime.spawn(accept::serve(doors, handle.clone(), door_watch, async move {
            let _ = doors_stopped.wait_for(|stopped| *stopped).await;
        }));
        runtime.spawn(memory::watch(handle.clone(), Arc::clone(&edge)));
        runtime.spawn(quotas::watch(near, handle.clone()));
        let mut http_stopped = stopped;
        let edge = runtime.spawn(crate::edge::serve(http, handed, edge, async move {
            let _ = http_stopped.wait_for(|stopped| *stopped).await;
        }));
        runtime.spawn(pulse::feed_watchdog(handle.clone()));
        write_addresses(&state, &opened);
        Ok(Self {
            opened,
            handle,
            shards,
            runtime,
            stop_edge,
            edge,
            doors,
            control,
            record,
            state,
            live,
            signals,
        })
    }

    /// What is open.
    #[must_use]
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Waits for SIGTERM or SIGINT, for the end of a drain (SIGUSR1), or for the relay thread to end by itself.
    ///
    /// # Errors
    /// `ShardDied` if the relay ended; the process must end then, too.
    pub fn wait(&mut self) -> Result<(), DaemonError> {
        let Self { runtime, signals, shards, live, .. } = self;
        runtime.block_on(signals.wait(live, || shards.iter().any(JoinHandle::is_finished)))
    }

    /// Stops in order; every allocation gets its end in the record.
    ///
    /// # Errors
    /// `ShardDied` if the relay did not end as told.
    pub fn stop(self) -> Result<(), DaemonError> {
        let Self {
            handle,
            shards,
            runtime,
            stop_edge,
            edge,
            doors,
            control,
            record,
            state,
            live,
            ..
        } = self;
        runtime.block_on(live.say_goodbye());
        stop_edge.send_replace(true);
        for (what, task) in [("HTTP", edge), ("TCP", doors), ("the control socket", control)] {
            let ended = runtime.block_on(async { tokio::time::timeout(STOP_PATIENCE, task).await });
            if !matches!(ended, Ok(Ok(Ok(())))) {
                tracing::warn!("{what} did not end in order");
            }
        }
        let told = handle.stop(STOP_PATIENCE);
        let ended = relaying::join(shards, told.is_ok());
        runtime.shutdown_timeout(STOP_PATIENCE);
        record.close();
        let _ = std::fs::remove_file(state.path().join(ADDRESSES_FILE));
        ended
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, DaemonError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("edge")
        .enable_all()
        .build()
        .map_err(|source| system("starting the runtime of the edge", source))
}
