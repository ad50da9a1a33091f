//! Accepting connections: a bounded number, each with its deadlines, until shutdown. One too many
//! cuts the one that has been silent for longest.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::ServiceExt;

use super::access::HttpPeer;
use super::open::{Ends, Open};
use super::silent::{InRow, Silent};
use super::strict_head::StrictHead;
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
    let places = Places {
        all: Arc::new(Semaphore::new(edge.options.read().connections_max)),
        silent: Arc::default(),
        most_while_short: Arc::default(),
    };
    let (stop, stopped) = watch::channel(false);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let server = Server::new(edge.clone(), places.clone());
        accepting.spawn(server.run(listener, stopped.clone()));
    }
    accepting.spawn(Server::new(edge, places).run_handed(handed, stopped));
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
    places: Places,
}

/// As many as there may be connections, over all listeners.
#[derive(Clone)]
struct Places {
    all: Arc<Semaphore>,
    silent: Arc<Silent>,
    /// While memory is short: as many connections as when it became so, or a few. Else 0.
    most_while_short: Arc<AtomicUsize>,
}

impl Places {
    /// A place for a connection that is there. While all are at a request, nobody is cut.
    async fn one(&self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(place) = Arc::clone(&self.all).try_acquire_owned() {
                return place;
            }
            let cut = self.silent.cut_oldest();
            tokio::select! {
                place = Arc::clone(&self.all).acquire_owned() => {
                    return place.expect("this semaphore is never closed");
                }
                () = self.silent.fell_silent.notified(), if !cut => {}
            }
        }
    }
}

impl Server {
    fn new(edge: Arc<Edge>, places: Places) -> Self {
        let mut http = http1::Builder::new();
        // Twice the limit: a head a little over it is refused in JSON (`entrance`), a head
        // beyond this by hyper with a bare 431.
        http.timer(TokioTimer::new())
            .header_read_timeout(edge.options.read().head_timeout)
            .max_buf_size(2 * HTTP_HEAD_BYTES_MAX)
            .half_close(false);
        Self { router: router::router(Arc::clone(&edge)), edge, http, places }
    }

    /// Accepts until told to stop, then lets open connections finish what they are at.
    async fn run(self, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
        let open = Open::new();
        let mut stopped = pin!(stopped.wait_for(|stopped| *stopped));
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                ((stream, peer), place) = self.next(&listener) => {
                    set_options(&stream);
                    self.spawn(stream, peer, place, &open);
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
        let open = Open::new();
        let mut stopped = pin!(stopped.wait_for(|stopped| *stopped));
        loop {
            let next = async {
                loop {
                    let Handed { stream, peer } = handed.recv().await?;
                    if !self.is_shed() {
                        return Some((stream, peer, self.places.one().await));
                    }
                }
            };
            let next = tokio::select! {
                _ = &mut stopped => break,
                next = next => next,
            };
            let Some((stream, peer, place)) = next else { break };
            self.spawn(stream, HttpPeer(peer), place, &open);
        }
        let _ = timeout(HTTP_SHUTDOWN_GRACE, open.shutdown()).await;
    }

    /// The next connection and its place among [`super::Options::connections_max`].
    async fn next(&self, listener: &TcpListener) -> ((TcpStream, HttpPeer), OwnedSemaphorePermit) {
        loop {
            match listener.accept().await {
                Ok(_) if self.is_shed() => {}
                Ok((stream, peer)) => return ((stream, HttpPeer(peer)), self.places.one().await),
                Err(why) if is_of_one_connection(&why) => {}
                Err(why) => {
                    // Out of descriptors or memory: trying at once would spin. A connection that
                    // ends may be the cure, so that is waited for, but not for ever.
                    tracing::warn!(%why, "cannot accept HTTP connections");
                    let free = u32::try_from(self.places.all.available_permits() + 1);
                    let more = self.places.all.acquire_many(free.unwrap_or(u32::MAX));
                    let _ = timeout(HTTP_ACCEPT_PAUSE, more).await;
                }
            }
        }
    }

    /// Whether a connection that has come is one too many while memory is short. A silent one goes
    /// in its place, if there is any.
    fn is_shed(&self) -> bool {
        let Places { all, silent, most_while_short } = &self.places;
        if !self.edge.is_short_of_memory() {
            most_while_short.store(0, Ordering::Relaxed);
            return false;
        }
        let most = self.edge.options.read().connections_max;
        let open = most.saturating_sub(all.available_permits());
        let first = open.max(HTTP_CONNECTIONS_SHORT);
        let known =
            most_while_short.compare_exchange(0, first, Ordering::Relaxed, Ordering::Relaxed);
        open >= known.err().unwrap_or(first) && !silent.cut_oldest()
    }

    fn spawn(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        peer: HttpPeer,
        place: OwnedSemaphorePermit,
        open: &Open,
    ) {
        let router = self.router.clone();
        let in_row = self.places.silent.enter();
        let row = Arc::clone(&in_row);
        let service =
            service_fn(move |request| answer(router.clone(), peer, Arc::clone(&row), request));
        let stream = TokioIo::new(StrictHead::new(stream));
        let connection = self.http.serve_connection(stream, service).with_upgrades();
        let alive = open.one_more();
        let task = tokio::spawn(async move {
            if let Err(why) = alive.run(connection).await {
                tracing::trace!(%why, "an HTTP connection ended early");
            }
            drop(place);
        });
        in_row.is_served_by(task.abort_handle());
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
    in_row: Arc<InRow>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    in_row.speaks();
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(Arc::clone(&in_row));
    let answer = router.oneshot(request).await;
    in_row.falls_silent();
    answer
}

/// Errors that `accept` reports for a connection that died in the queue, not for the listener.
pub(super) fn is_of_one_connection(why: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(why.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

impl<I, S> Ends for UpgradeableConnection<I, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    fn finish(self: std::pin::Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
