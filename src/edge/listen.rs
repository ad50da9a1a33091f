//! Accepting connections: a bounded number, each with its deadlines, until shutdown.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::ServiceExt;

use super::access::HttpPeer;
use super::{Edge, router};
use crate::limits::{
    HTTP_ACCEPT_PAUSE, HTTP_CONNECTIONS_SHORT, HTTP_HEAD_BYTES_MAX, HTTP_SHUTDOWN_GRACE,
    HTTP_STALL_TIMEOUT,
};

/// A connection that turned out to want HTTP, at a port that is shared with TURN.
pub struct Handed {
    pub(super) stream: Box<dyn Stream>,
    pub(super) peer: SocketAddr,
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// See [`super::serve`].
pub(crate) async fn serve(
    listeners: Vec<std::net::TcpListener>,
    handed: mpsc::Receiver<Handed>,
    edge: Arc<Edge>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let connections = Arc::new(Semaphore::new(edge.options.read().connections_max));
    let (stop, stopped) = watch::channel(false);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let server = Server::new(edge.clone(), connections.clone());
        accepting.spawn(server.run(listener, stopped.clone()));
    }
    accepting.spawn(Server::new(edge, connections).run_handed(handed, stopped));
    shutdown.await;
    stop.send_replace(true);
    while let Some(ended) = accepting.join_next().await {
        ended.map_err(io::Error::other)?;
    }
    Ok(())
}

struct Server {
    edge: Arc<Edge>,
    router: Router,
    http: http1::Builder,
    connections: Arc<Semaphore>,
}

impl Server {
    fn new(edge: Arc<Edge>, connections: Arc<Semaphore>) -> Self {
        let mut http = http1::Builder::new();
        // Twice the limit: a head a little over it is refused in JSON (`router::guard`), a head
        // beyond this by hyper with a bare 431.
        http.timer(TokioTimer::new())
            .header_read_timeout(edge.options.read().head_timeout)
            .max_buf_size(2 * HTTP_HEAD_BYTES_MAX)
            .half_close(false);
        Self { router: router::router(Arc::clone(&edge)), edge, http, connections }
    }

    /// Accepts until told to stop, then lets open connections finish what they are at.
    async fn run(self, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
        let open = GracefulShutdown::new();
        let mut stopped = pin!(stopped.wait_for(|stopped| *stopped));
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                ((stream, peer), slot) = self.next(&listener) => {
                    set_options(&stream);
                    self.spawn(stream, peer, slot, &open);
                }
            }
        }
        drop(listener);
        // What is still busy after the grace ends with the runtime.
        let _ = timeout(HTTP_SHUTDOWN_GRACE, open.shutdown()).await;
    }

    /// The same with connections that others have accepted.
    async fn run_handed(
        self,
        mut handed: mpsc::Receiver<Handed>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let open = GracefulShutdown::new();
        let mut stopped = pin!(stopped.wait_for(|stopped| *stopped));
        loop {
            let next = tokio::select! {
                _ = &mut stopped => break,
                next = handed.recv() => next,
            };
            let Some(Handed { stream, peer }) = next else { break };
            // It was accepted, so it cannot wait in the kernel's queue: one too many is closed.
            if let Ok(slot) = self.connections.clone().try_acquire_owned()
                && !self.is_shed()
            {
                self.spawn(stream, HttpPeer(peer), slot, &open);
            }
        }
        let _ = timeout(HTTP_SHUTDOWN_GRACE, open.shutdown()).await;
    }

    /// The next connection and its place among [`super::Options::connections_max`].
    async fn next(&self, listener: &TcpListener) -> ((TcpStream, HttpPeer), OwnedSemaphorePermit) {
        loop {
            let slot = self.connections.clone().acquire_owned().await;
            let slot = slot.expect("this semaphore is never closed");
            match listener.accept().await {
                Ok(_) if self.is_shed() => {}
                Ok((stream, peer)) => return ((stream, HttpPeer(peer)), slot),
                Err(why) if is_of_one_connection(&why) => {}
                Err(why) => {
                    // Out of descriptors or memory: trying at once would spin. A connection that
                    // ends may be the cure, so that is waited for, but not for ever.
                    tracing::warn!(%why, "cannot accept HTTP connections");
                    let free = u32::try_from(self.connections.available_permits() + 2);
                    let more = self.connections.acquire_many(free.unwrap_or(u32::MAX));
                    let _ = timeout(HTTP_ACCEPT_PAUSE, more).await;
                }
            }
        }
    }

    /// Whether the connection that has just got its place is one too many while memory is short.
    fn is_shed(&self) -> bool {
        let most = self.edge.options.read().connections_max;
        let open = most.saturating_sub(self.connections.available_permits());
        open > HTTP_CONNECTIONS_SHORT && self.edge.is_short_of_memory()
    }

    fn spawn(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        peer: HttpPeer,
        slot: OwnedSemaphorePermit,
        open: &GracefulShutdown,
    ) {
        let router = self.router.clone();
        let service = service_fn(move |request| answer(router.clone(), peer, request));
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        let connection = open.watch(connection);
        tokio::spawn(async move {
            if let Err(why) = connection.await {
                tracing::trace!(%why, "an HTTP connection ended early");
            }
            drop(slot);
        });
    }
}

/// Without either the connection works, only slower or longer than it should.
pub(super) fn set_options(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_user_timeout(Some(HTTP_STALL_TIMEOUT));
}

async fn answer(
    router: Router,
    peer: HttpPeer,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    request.extensions_mut().insert(peer);
    router.oneshot(request).await
}

/// Errors that `accept` reports for a connection that died in the queue, not for the listener.
pub(super) fn is_of_one_connection(why: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(why.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
