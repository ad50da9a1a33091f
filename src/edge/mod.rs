//! HTTP and the control socket: who asks for what, as JSON.
//!
//! The record may be down: everything here that serves a call goes on without it.

use std::collections::HashSet;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::limits::{
    HTTP_CONNECTIONS_MAX, HTTP_HEAD_TIMEOUT, HTTP_REQUEST_TIMEOUT, ICE_PER_KEY_S_DEFAULT,
};
use crate::policy::rate::TokenBucket;

pub mod accept;
pub mod access;
pub mod api_keys;
pub mod certificate;
pub mod certificates;
pub mod commands;
pub mod control;
pub mod control_json;
mod cors;
pub mod error;
mod health;
pub mod ice;
pub mod ice_urls;
pub mod json;
mod listen;
mod opening;
mod page;
pub mod revoke;
mod rewound;
mod router;

use api_keys::ApiKeys;
use ice::IceOptions;
use json::Health;
pub use listen::Handed;

/// What the HTTP side is told; made by the daemon from the config.
#[derive(Debug)]
pub struct Options {
    /// What `/ice` hands out.
    pub ice: IceOptions,
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
    /// Connections at once; the next waits in the kernel's queue.
    pub connections_max: usize,
    /// Longest a client may take to send its request head; then the connection is closed.
    pub head_timeout: Duration,
    /// Longest a request may take from its head to its answer; then 408.
    pub request_timeout: Duration,
}

impl Options {
    /// The embedded default around `ice`: local requests need no key, no foreign origin.
    #[must_use]
    pub fn local(ice: IceOptions) -> Self {
        Self {
            ice,
            cors_origins: HashSet::new(),
            cors_local: true,
            local_without_key: true,
            rate_per_key: ICE_PER_KEY_S_DEFAULT,
            connections_max: HTTP_CONNECTIONS_MAX,
            head_timeout: HTTP_HEAD_TIMEOUT,
            request_timeout: HTTP_REQUEST_TIMEOUT,
        }
    }
}

/// Takes the issued credentials to the record. Must not wait: a full record loses rows, never calls.
pub type Recorder = Arc<dyn Fn(ice::Issuance) + Send + Sync>;
/// Reads the state of the daemon for `/healthz`.
pub type HealthProbe = Arc<dyn Fn() -> Health + Send + Sync>;

/// Everything the HTTP side shares between requests.
pub struct Edge {
    options: Options,
    keys: Arc<ApiKeys>,
    record: Recorder,
    health: HealthProbe,
    local_bucket: Mutex<TokenBucket>,
}

impl Edge {
    /// Puts the parts together; `keys` is shared with the control socket.
    #[must_use]
    pub fn new(
        options: Options,
        keys: Arc<ApiKeys>,
        record: Recorder,
        health: HealthProbe,
    ) -> Arc<Self> {
        let local_bucket = Mutex::new(bucket(options.rate_per_key));
        Arc::new(Self { options, keys, record, health, local_bucket })
    }
}

/// What one key, or all local requests together, may take.
fn bucket(per_s: u32) -> TokenBucket {
    TokenBucket::new(per_s, per_s.saturating_mul(2))
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
