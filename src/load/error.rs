//! What keeps a load from being put on.

use std::io;
use std::net::SocketAddr;

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The URL cannot be read.
    #[error("--url {url}: {why}; it looks like ws://127.0.0.1:8080/v1/ws")]
    Url {
        /// As it was typed.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The URL of a relay cannot be read.
    #[error(
        "--url {url}: {why}; it looks like turn:127.0.0.1:3478, turn:HOST:PORT?transport=tcp or turns:HOST"
    )]
    RelayUrl {
        /// As it was typed.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The server may be somebody else's.
    #[error(
        "{address} is not this machine: to put load on it say --i-own-this-server, and only if it is \
         yours"
    )]
    Foreign {
        /// Where the URL leads.
        address: SocketAddr,
    },
    /// A file cannot be used.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The process may not open as many sockets.
    #[error(
        "{needed} descriptors are needed and this process may have {most}: raise it (`ulimit -n \
         {needed}` as root, or LimitNOFILE= in a unit), or take fewer sessions"
    )]
    TooFewFiles {
        /// For all sockets.
        needed: u64,
        /// The hard limit.
        most: u64,
    },
    /// The first client did not get in.
    #[error("{address}: {why}; {cure}")]
    NotLetIn {
        /// Whom it asked.
        address: SocketAddr,
        /// What it heard.
        why: String,
        /// What helps.
        cure: &'static str,
    },
    /// A later one did not get as far as it should.
    #[error("only {ready} of {wanted} clients are ready: {why}\n{needs}")]
    Stuck {
        /// So many were ready.
        ready: usize,
        /// So many should have been.
        wanted: usize,
        /// The first trouble.
        why: String,
        /// The config that lets all of them in.
        needs: String,
    },
    /// A relay did not let all clients in.
    #[error("{address}: {ready} of {wanted} {what}, then {why}; {cure}")]
    Relay {
        /// Whom they asked.
        address: SocketAddr,
        /// So many got through.
        ready: usize,
        /// So many should have.
        wanted: usize,
        /// To what.
        what: &'static str,
        /// What kept the next one out.
        why: String,
        /// What helps.
        cure: &'static str,
    },
    /// The machine refuses something.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What came of it.
        source: io::Error,
    },
}
