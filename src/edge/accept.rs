//! Accepting TURN clients over TCP: from `accept` to a stream that a shard takes.
//!
//! Nobody waits for a slow client. A connection has `STREAM_OPENING_TIMEOUT` to say what it wants;
//! where too many are on their way, the oldest is cut, so that a new client always gets in.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::listen::{Handed, is_of_one_connection};
use super::opening::{self, Opening};
use super::proxy_header::Proxied;
use super::watching::{DoorWatch, Opened};
use crate::limits::{
    HTTP_ACCEPT_PAUSE, STREAM_OPENING_TIMEOUT, STREAMS_OPENING_MAX, STREAMS_SHORT,
};
use crate::plane::handle::Handle;
use crate::time::Now;

/// A bound port for TURN clients.
#[derive(Debug)]
pub struct Door {
    /// Bound and listening.
    pub listener: std::net::TcpListener,
    /// Whether every connection begins with a PROXY header.
    pub is_proxied: bool,
    /// Where TLS is spoken before anything else.
    pub tls: Option<Arc<ServerConfig>>,
    /// Who takes what wants HTTP; `None`: nobody, it is closed.
    pub http: Option<mpsc::Sender<Handed>>,
}

/// Opens `doors` until `shutdown`; finished streams go to `shard`.
///
/// # Errors
/// Only where the runtime cannot take a listener over; an error of one connection ends that one.
pub async fn serve(
    doors: Vec<Door>,
    shard: Handle,
    watch: Arc<DoorWatch>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let openings = Arc::new(Openings::default());
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut accepting = JoinSet::new();
    for door in doors {
        let Door { listener, is_proxied, tls, http } = door;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let watch = Arc::clone(&watch);
        let opening = Opening { shard: shard.clone(), is_proxied, tls, http, watch };
        accepting.spawn(accept(listener, opening, Arc::clone(&openings), stopped.clone()));
    }
    shutdown.await;
    stop.send_replace(true);
    while let Some(ended) = accepting.join_next().await {
        ended.map_err(io::Error::other)?;
    }
    openings.cut_all();
    Ok(())
}

async fn accept(
    listener: TcpListener,
    opening: Opening,
    openings: Arc<Openings>,
    mut stopped: tokio::sync::watch::Receiver<bool>,
) {
    let opening = Arc::new(opening);
    let mut stopped = pin!(stopped.wait_for(|stopped| *stopped));
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            (stream, client) = next(&listener, &openings) => {
                let opening = Arc::clone(&opening);
                let is_short = opening.shard.is_short_of_memory();
                openings.begin(is_short, async move { open(&opening, stream, client).await });
            }
        }
    }
}

async fn next(listener: &TcpListener, openings: &Openings) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(why) if is_of_one_connection(&why) => {}
            Err(why) => {
                // Out of descriptors or memory: trying at once would spin. A connection that ends
                // may be the cure, so that is waited for, but not for ever.
                tracing::warn!(%why, "cannot accept TURN connections");
                let _ = timeout(HTTP_ACCEPT_PAUSE, openings.one_ended.notified()).await;
            }
        }
    }
}

async fn open(opening: &Opening, stream: TcpStream, client: SocketAddr) {
    // The address the client connected to, where the door is a wildcard.
    let Ok(server) = stream.local_addr() else { return };
    let mut ends = Proxied { client, server };
    let opened = opening::open(opening, stream, &mut ends);
    let end = match timeout(STREAM_OPENING_TIMEOUT, opened).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(why)) => {
            tracing::trace!(%why, "a connection did not become a stream");
            Opened::failed(&why)
        }
        Err(_) => {
            tracing::trace!("a connection took too long to say what it wants");
            Opened::Silent
        }
    };
    if opening.watch.is_watching() {
        let Proxied { client, server } = ends;
        opening.watch.note(Now::read(), client, server, opening.tls.is_some(), &end);
    }
}

/// The connections on their way, oldest first.
#[derive(Debug, Default)]
struct Openings {
    under_way: Mutex<UnderWay>,
    one_ended: Notify,
}

#[derive(Debug, Default)]
struct UnderWay {
    task_by_number: BTreeMap<u64, AbortHandle>,
    last_number: u64,
}

impl Openings {
    /// Lets `opening` run; if it is one too many, the oldest is cut.
    fn begin(
        self: &Arc<Self>,
        is_short_of_memory: bool,
        opening: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut under_way = self.lock();
        under_way.last_number += 1;
        let number = under_way.last_number;
        let most = if is_short_of_memory { STREAMS_SHORT } else { STREAMS_OPENING_MAX };
        if under_way.task_by_number.len() >= most
            && let Some((_, oldest)) = under_way.task_by_number.pop_first()
        {
            oldest.abort();
        }
        let openings = Arc::clone(self);
        // The lock is held until the task is entered, so it cannot end before.
        let task = tokio::spawn(async move {
            opening.await;
            openings.lock().task_by_number.remove(&number);
            openings.one_ended.notify_one();
        });
        under_way.task_by_number.insert(number, task.abort_handle());
    }

    fn cut_all(&self) {
        for task in std::mem::take(&mut self.lock().task_by_number).into_values() {
            task.abort();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn one_opening_too_many_cuts_the_oldest_and_nobody_else() {
        for (is_short_of_memory, most) in [(false, STREAMS_OPENING_MAX), (true, STREAMS_SHORT)] {
            let openings = Arc::new(Openings::default());
            let (ended, mut endings) = mpsc::unbounded_channel();
            for number in 0..=most {
                let mark = Mark(number, ended.clone());
                openings.begin(is_short_of_memory, async move {
                    let _mark = mark;
                    std::future::pending::<()>().await;
                });
            }
            assert_eq!(endings.recv().await, Some(0));
            assert!(endings.try_recv().is_err());
            assert_eq!(openings.lock().task_by_number.len(), most);
            openings.cut_all();
            for _ in 0..most {
                assert!(endings.recv().await.is_some());
            }
        }
    }

    #[tokio::test]
    async fn an_opening_that_ends_makes_room() {
        let openings = Arc::new(Openings::default());
        openings.begin(false, async {});
        openings.one_ended.notified().await;
        assert!(openings.lock().task_by_number.is_empty());
    }

    /// Tells its number when it is dropped.
    struct Mark(usize, mpsc::UnboundedSender<usize>);

    impl Drop for Mark {
        fn drop(&mut self) {
            let _ = self.1.send(self.0);
        }
    }
}
