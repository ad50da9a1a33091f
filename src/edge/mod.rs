//! HTTP and the control socket: who asks for what, as JSON.
//!
//! The record may be down: everything here that serves a call goes on without it.

use std::collections::HashSet;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::mpsc;

use crate::limits::{
    HTTP_CONNECTIONS_MAX, HTTP_HEAD_TIMEOUT, HTTP_PAGES_PER_SOURCE_S, HTTP_REFUSALS_PER_SOURCE_S,
    HTTP_REQUEST_TIMEOUT, ICE_PER_KEY_S_DEFAULT,
};
use crate::policy::shield::Shield;
use crate::store::{AddressPrivacy, Store};

pub mod accept;
pub mod access;
pub mod api_keys;
mod assets;
mod call_commands;
mod call_notes;
pub mod calls;
pub mod calls_json;
pub mod certificate;
pub mod certificates;
pub mod check_json;
pub mod commands;
pub mod control;
pub mod control_json;
pub mod control_rows;
mod control_words;
mod cors;
pub mod diagnostics;
mod entrance;
pub mod error;
mod exact;
mod forget;
pub mod forget_json;
pub mod forwarded;
mod health;
pub mod ice;
pub mod ice_urls;
pub mod identity;
pub mod invite_json;
pub mod invites;
pub mod json;
mod key_commands;
pub mod key_json;
mod listen;
mod metrics;
mod open;
mod opening;
pub mod operator_json;
mod pace;
mod page;
pub mod page_keys;
mod proxy_header;
mod proxy_watch;
pub mod refusals;
pub mod revoke;
pub mod revoked;
mod rewound;
mod router;
mod scopes;
pub mod signaling;
mod silent;
pub mod snapshot;
mod strict_head;
mod usage;
pub mod usage_json;
mod users;
pub mod verification;
pub mod verify_json;
pub mod verify_links;
pub mod verify_runs;
pub mod verify_targets;
pub mod watching;
pub mod why;

use api_keys::ApiKeys;
use calls::Calls;
use commands::Commands;
use diagnostics::Diagnosing;
use ice::IceOptions;
use identity::IdentityOptions;
use json::Health;
pub use listen::Handed;
use pace::{Rate, per_source};
use proxy_watch::ProxyWatch;
use signaling::upgrade::Signaling;
use snapshot::Snapshot;
use verification::Verifications;
use verify_json::VerificationHealth;
use verify_runs::Runs;
use watching::Watching;

/// What the HTTP side is told; made by the daemon from the config.
#[derive(Debug)]
pub struct Options {
    /// What `/ice` hands out.
    pub ice: IceOptions,
    /// Whose tokens count, and who may be a guest.
    pub identity: IdentityOptions,
    /// Exact origins whose pages may read JSON answers, as a browser writes them
    /// (`https://app.example.org`, no trailing slash).
    pub cors_origins: HashSet<String>,
    /// Pages of any `http://localhost`, `http://127.0.0.1` and `http://[::1]` may, too.
    pub cors_local: bool,
    /// A truly local request needs no API key ([`access`] says what that is).
    pub local_without_key: bool,
    /// Configs a second that each API key may ask for, with twice as many at once; also the bound
    /// for all local requests together.
    pub rate_per_key: u32,
    /// Proxies that are believed whom they forward for.
    pub trusted_proxies: Vec<IpNet>,
    /// Path that everything lives under (`/turnbell`, no slash at the end); empty: at the root.
    pub base_path: String,
    /// How much of a client's address the log has: as much as the record.
    pub log_addresses: AddressPrivacy,
    /// `/metrics` has coturn's names, too, under this realm.
    pub coturn_realm: Option<String>,
    /// Connections at once; one more cuts the one that has been silent for longest.
    pub connections_max: usize,
    /// Longest a client may take to send its request head; then the connection is closed.
    pub head_timeout: Duration,
    /// Longest a request may take from its head to its answer; then 408.
    pub request_timeout: Duration,
}

impl Options {
    /// The embedded default around `ice`: local requests need no key, no foreign origin.
    ///
    /// # Errors
    /// As [`IdentityOptions::none`].
    pub fn local(ice: IceOptions) -> Result<Self, getrandom::Error> {
        Ok(Self {
            ice,
            identity: IdentityOptions::none()?,
            cors_origins: HashSet::new(),
            cors_local: true,
            local_without_key: true,
            rate_per_key: ICE_PER_KEY_S_DEFAULT,
            trusted_proxies: Vec::new(),
            base_path: String::new(),
            log_addresses: AddressPrivacy::Full,
            coturn_realm: None,
            connections_max: HTTP_CONNECTIONS_MAX,
            head_timeout: HTTP_HEAD_TIMEOUT,
            request_timeout: HTTP_REQUEST_TIMEOUT,
        })
    }
}

/// Takes the issued credentials to the record. Must not wait: a full record loses rows, never calls.
pub type Recorder = Arc<dyn Fn(ice::Issuance) + Send + Sync>;
/// Reads the state of the daemon for `/healthz`.
pub type HealthProbe = Arc<dyn Fn() -> Health + Send + Sync>;

/// Reads what is counted, for `/metrics`, beside what was last verified. Waits for the relay: called
/// where waiting is allowed. Given a realm it adds the names that coturn's exporter has.
pub type MetricsProbe =
    Arc<dyn Fn(MetricsFormat, &[VerificationHealth], Option<&str>) -> String + Send + Sync>;

/// How `/metrics` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFormat {
    /// Prometheus' text format 0.0.4, for people and simple tools.
    Plain,
    /// OpenMetrics 1.0.0, which a Prometheus server asks for.
    OpenMetrics,
}

/// Everything the HTTP side shares between requests.
pub struct Edge {
    options: Snapshot<Options>,
    keys: Arc<ApiKeys>,
    record: Recorder,
    health: HealthProbe,
    metrics: MetricsProbe,
    local_rate: Mutex<Rate>,
    refusals: Mutex<Shield>,
    /// What the pages of one address may ask for.
    pages: Mutex<Shield>,
    proxy_watch: ProxyWatch,
    draining: AtomicBool,
    short_of_memory: AtomicBool,
    signaling: OnceLock<Signaling>,
    store: OnceLock<Store>,
    calls: OnceLock<Calls>,
    verifications: OnceLock<Verifications>,
    commands: OnceLock<Weak<Commands>>,
    watching: OnceLock<Watching>,
    runs: Runs,
    diagnosing: OnceLock<Arc<Diagnosing>>,
}

impl Edge {
    /// Puts the parts together; `keys` is shared with the control socket.
    #[must_use]
    pub fn new(
        options: Options,
        keys: Arc<ApiKeys>,
        record: Recorder,
        health: HealthProbe,
        metrics: MetricsProbe,
    ) -> Arc<Self> {
        let local_rate = Mutex::new(Rate::default());
        let refusals = per_source(HTTP_REFUSALS_PER_SOURCE_S);
        let pages = per_source(HTTP_PAGES_PER_SOURCE_S);
        let options = Snapshot::new(options);
        let [draining, short_of_memory] = [false; 2].map(AtomicBool::new);
        let proxy_watch = ProxyWatch::default();
        Arc::new(Self {
            options,
            keys,
            record,
            health,
            metrics,
            local_rate,
            refusals,
            pages,
            proxy_watch,
            draining,
            short_of_memory,
            signaling: OnceLock::new(),
            store: OnceLock::new(),
            calls: OnceLock::new(),
            verifications: OnceLock::new(),
            commands: OnceLock::new(),
            watching: OnceLock::new(),
            runs: Runs::default(),
            diagnosing: OnceLock::new(),
        })
    }

    /// Hands out this node's URLs no longer, and is not ready from here on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// What the daemon says of itself, and what is seen here.
    #[must_use]
    pub fn health(&self) -> Health {
        let proxies = self.proxy_watch.health(&self.options.read().trusted_proxies);
        let verified = self.verifications().map(Verifications::last).unwrap_or_default();
        Health { proxies, verified, ..(self.health)() }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// While memory is short connections do not become more, but for a few; others are closed.
    pub fn set_short_of_memory(&self, is_short: bool) {
        self.short_of_memory.store(is_short, Ordering::Relaxed);
    }

    pub(crate) fn is_short_of_memory(&self) -> bool {
        self.short_of_memory.load(Ordering::Relaxed)
    }

    /// Serves signaling from here on; once.
    pub fn open_signaling(&self, signaling: Signaling) {
        let first = self.signaling.set(signaling).is_ok();
        debug_assert!(first, "signaling is opened once");
    }

    /// Waits until no page is connected any more, but not for long.
    pub async fn pages_gone(&self, patience: Duration) {
        if let Some(signaling) = self.signaling.get() {
            let _ = tokio::time::timeout(patience, signaling.all_gone()).await;
        }
    }

    /// Tells of calls from here on; once.
    pub fn open_calls(&self, calls: Calls) {
        let first = self.calls.set(calls).is_ok();
        debug_assert!(first, "calls are opened once");
    }

    /// Carries out over HTTP, too, what some commands do; once, and as long as they live.
    pub fn open_commands(&self, commands: &Arc<Commands>) {
        let first = self.commands.set(Arc::downgrade(commands)).is_ok();
        debug_assert!(first, "commands are opened once");
    }

    fn commands(&self) -> Option<Arc<Commands>> {
        self.commands.get()?.upgrade()
    }

    /// Watches verifications from here on; once.
    pub fn open_watching(&self, watching: Watching) {
        let first = self.watching.set(watching).is_ok();
        debug_assert!(first, "watching is opened once");
    }

    /// What watches verifications; `None` while the daemon starts.
    pub fn watching(&self) -> Option<&Watching> {
        self.watching.get()
    }

    /// Verifies from here on; once.
    pub fn open_verifications(&self, verifications: Verifications) {
        let first = self.verifications.set(verifications).is_ok();
        debug_assert!(first, "verifications are opened once");
    }

    /// What verifies, once there is anything.
    #[must_use]
    pub fn verifications(&self) -> Option<&Verifications> {
        self.verifications.get()
    }

    pub(crate) fn runs(&self) -> &Runs {
        &self.runs
    }

    /// Answers `/diagnostics` from here on; once.
    pub fn open_diagnostics(&self, diagnosing: Arc<Diagnosing>) {
        let first = self.diagnosing.set(diagnosing).is_ok();
        debug_assert!(first, "diagnostics are opened once");
    }

    /// Ends what would be told to pages for as long as they listen.
    pub fn end_streams(&self) {
        if let Some(diagnosing) = self.diagnosing.get() {
            diagnosing.end();
        }
    }

    pub(crate) fn diagnosing(&self) -> Option<&Arc<Diagnosing>> {
        self.diagnosing.get()
    }

    fn calls(&self) -> Option<&Calls> {
        self.calls.get()
    }

    pub(crate) fn signaling(&self) -> Option<&Signaling> {
        self.signaling.get()
    }

    /// Keeps invites on this record from here on; once.
    pub fn open_record(&self, store: Store) {
        let first = self.store.set(store).is_ok();
        debug_assert!(first, "the record is opened once");
    }

    pub(crate) fn store(&self) -> Option<&Store> {
        self.store.get()
    }

    /// Whose tokens count.
    #[must_use]
    pub fn identity(&self) -> IdentityOptions {
        self.options.read().identity.clone()
    }

    /// What is in effect.
    #[must_use]
    pub fn options(&self) -> Arc<Options> {
        self.options.read()
    }

    /// Answers by other options from the next request on; bounds of connections and times stay.
    pub fn replace(&self, options: Options) {
        self.options.replace(options);
    }
}

/// Serves HTTP on `listeners`, and on what `handed` brings from ports shared with TURN, until `shutdown`, then lets requests in flight finish for a moment.
///
/// The listeners are bound by the caller, so that all ports are open before the first answer.
///
/// # Errors
/// Only where the runtime cannot take a listener over; an error of one connection ends that one.
pub async fn serve(
    listeners: Vec<TcpListener>,
    handed: mpsc::Receiver<Handed>,
    edge: Arc<Edge>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    listen::serve(listeners, handed, edge, shutdown).await
}
