//! Names asked of the system's resolver, on threads of their own and for a bounded time.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::limits::outside::{RESOLVE_PATIENCE, RESOLVED_MAX, RESOLVERS_MAX};

/// Finds the addresses of a name; may block for as long as it likes.
pub type Lookup = Arc<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// The system's resolver.
#[must_use]
pub fn system() -> Lookup {
    Arc::new(|name, port| Ok((name, port).to_socket_addrs()?.take(RESOLVED_MAX).collect()))
}

/// Resolves `name` within [`RESOLVE_PATIENCE`].
///
/// A lookup cannot be stopped: its thread is left behind with its place among
/// [`RESOLVERS_MAX`], so that a dead resolver costs no more than these.
///
/// # Errors
/// What the resolver says, or that it does not answer.
pub async fn resolve(lookup: &Lookup, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    static PLACES: Semaphore = Semaphore::const_new(RESOLVERS_MAX);
    within(RESOLVE_PATIENCE, &PLACES, lookup, name, port).await
}

async fn within(
    patience: Duration,
    places: &'static Semaphore,
    lookup: &Lookup,
    name: &str,
    port: u16,
) -> io::Result<Vec<SocketAddr>> {
    let busy = || io::Error::other("the system's resolver still has earlier questions");
    let place = places.try_acquire().map_err(|_| busy())?;
    let (answer, answered) = oneshot::channel();
    let (lookup, name) = (Arc::clone(lookup), name.to_owned());
    std::thread::Builder::new().name("resolve".to_owned()).spawn(move || {
        let _place = place;
        let mut found = lookup(&name, port);
        if let Ok(addresses) = &mut found {
            addresses.truncate(RESOLVED_MAX);
        }
        // Nobody may be waiting any more.
        let _ = answer.send(found);
    })?;
    match timeout(patience, answered).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) => Err(io::Error::other("the lookup ended without an answer")),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the resolver does not answer within {} s", patience.as_secs()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_resolver_that_hangs_costs_its_patience_and_a_bounded_number_of_threads() {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = std::sync::Mutex::new(held);
        let hangs: Lookup = Arc::new(move |_, _| {
            let _ = held.lock().unwrap().recv();
            Ok(Vec::new())
        });
        static PLACES: Semaphore = Semaphore::const_new(2);
        let ask = async || within(Duration::from_millis(1), &PLACES, &hangs, "a", 1).await;
        for _ in 0..2 {
            assert_eq!(ask().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        let error = ask().await.unwrap_err();
        assert!(error.to_string().contains("earlier questions"), "{error}");
        drop(release);
    }
}
