//! Sockets around [`crate::probe::verify`]: the resolver, UDP, TCP and TLS, for one run at a time.

mod link;
pub mod roots;
mod tls;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use super::interfaces;
use super::resolve::{Lookup, resolve};
use crate::limits::probe::VERIFY_LINK_QUEUE;
use crate::probe::observation::{CertificateFacts, DnsFault, Fault, Observations};
use crate::probe::verify::{Input, Link, Output, Plan, Verification};
use crate::time::Now;
use link::Families;
use roots::Roots;

/// What a task of a run has to tell.
#[derive(Debug)]
pub(super) enum Heard {
    Resolved(String, Result<Vec<IpAddr>, DnsFault>),
    Opened(Link, Result<(), Fault>),
    Secured(Link, Result<CertificateFacts, Fault>),
    Received(Link, Option<SocketAddr>, Vec<u8>),
    Closed(Link, Fault),
}

/// Carries a plan out; takes at most [`crate::limits::probe::VERIFY_PATIENCE`].
///
/// # Errors
/// The kernel gives no random bytes.
pub async fn run(plan: Plan, lookup: &Lookup, roots: &Roots) -> io::Result<Observations> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    let families = Families::of(&interfaces::all().unwrap_or_default());
    let mut run = Verification::new(Now::read(), plan, seed);
    let (tell, mut heard) = mpsc::channel(VERIFY_LINK_QUEUE);
    let mut tasks = JoinSet::new();
    let mut links = HashMap::new();
    loop {
        while let Some(output) = run.poll() {
            match output {
                Output::Resolve(host) => {
                    tasks.spawn(look_up(Arc::clone(lookup), host, tell.clone()));
                }
                Output::Open { link, kind, address } => {
                    let (send, outgoing) = mpsc::channel(VERIFY_LINK_QUEUE);
                    links.insert(link, send);
                    let tell = tell.clone();
                    tasks.spawn(link::run(
                        link,
                        kind,
                        address,
                        families,
                        roots.clone(),
                        outgoing,
                        tell,
                    ));
                }
                Output::Send { link, to, bytes } => {
                    if let Some(send) = links.get(&link) {
                        // A datagram that finds no room is lost, as datagrams are.
                        let _ = send.try_send((to, bytes));
                    }
                }
                // Without its sender the task ends.
                Output::Close(link) => drop(links.remove(&link)),
                Output::Done(seen) => return Ok(*seen),
            }
        }
        let deadline = run.deadline().unwrap_or_else(|| Now::read().mono);
        let next = timeout_at(deadline.into(), heard.recv()).await;
        let now = Now::read();
        match next {
            Ok(Some(heard)) => hear(&mut run, now, heard),
            Ok(None) | Err(_) => run.handle(now, Input::Tick),
        }
        while tasks.try_join_next().is_some() {}
    }
}

fn hear(run: &mut Verification, now: Now, heard: Heard) {
    match heard {
        Heard::Resolved(host, result) => {
            run.handle(now, Input::Resolved { host: &host, result });
        }
        Heard::Opened(link, result) => run.handle(now, Input::Opened { link, result }),
        Heard::Secured(link, result) => run.handle(now, Input::Secured { link, result }),
        Heard::Received(link, from, bytes) => {
            run.handle(now, Input::Received { link, from, bytes: &bytes });
        }
        Heard::Closed(link, fault) => run.handle(now, Input::Closed { link, fault }),
    }
}

async fn look_up(lookup: Lookup, host: String, tell: mpsc::Sender<Heard>) {
    let result = match resolve(&lookup, &host, 0).await {
        Ok(found) => Ok(found.into_iter().map(|at| at.ip()).collect()),
        Err(error) => Err(dns_fault(&error)),
    };
    // The run may be over.
    let _ = tell.send(Heard::Resolved(host, result)).await;
}

/// The resolver's words are those of the C library, in no language but English: this program sets
/// no locale.
fn dns_fault(error: &io::Error) -> DnsFault {
    let text = error.to_string();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["Name or service not known", "No address associated", "nodename nor servname"]) {
        DnsFault::NoSuchName
    } else if error.kind() == io::ErrorKind::TimedOut || has(&["Temporary failure"]) {
        DnsFault::NoAnswer
    } else {
        DnsFault::Other(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_there_and_a_resolver_that_is_not_there_are_told_apart() {
        let fault = |text: &str| dns_fault(&io::Error::other(text.to_owned()));
        let lookup = "failed to lookup address information: ";
        assert_eq!(fault(&format!("{lookup}Name or service not known")), DnsFault::NoSuchName);
        assert_eq!(
            fault(&format!("{lookup}No address associated with hostname")),
            DnsFault::NoSuchName
        );
        assert_eq!(
            fault(&format!("{lookup}Temporary failure in name resolution")),
            DnsFault::NoAnswer
        );
        assert_eq!(fault("odd"), DnsFault::Other("odd".to_owned()));
    }
}
