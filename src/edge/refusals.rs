//! Lines of the log about credentials that were refused, for people and for fail2ban: bounded, the
//! address as much as the record keeps of it.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::Edge;
use crate::auth::credential::AuthFailure;
use crate::limits::diagnose::{
    REFUSAL_LINES_PER_MINUTE, REFUSAL_LINES_PER_SOURCE, REFUSAL_LINES_QUEUED_MAX, REFUSAL_SOURCES,
};
use crate::policy::quota::SourcePrefix;
use crate::turn::fact::{Fact, Transport};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    client: SocketAddr,
    transport: Transport,
    username: Box<str>,
    cause: AuthFailure,
    /// Refusals since the line before that have none.
    more: u64,
}

/// Lets so many lines pass that neither a flood nor a lonely attacker fills the disk.
#[derive(Debug)]
pub struct Refusals {
    lines: Sender<Line>,
    hasher: RandomState,
    minute: i64,
    /// Of wrong credentials, and of those that were right once: neither pushes the other out.
    passed: [Passed; 2],
    /// Not told yet.
    more: u64,
}

#[derive(Debug)]
struct Passed {
    lines: u32,
    by_source: [u8; REFUSAL_SOURCES],
}

const NONE: Passed = Passed { lines: 0, by_source: [0; REFUSAL_SOURCES] };

/// Refusals that are noted, and where their lines come out.
#[must_use]
pub fn refusals() -> (Refusals, Receiver<Line>) {
    let (lines, come_out) = channel(REFUSAL_LINES_QUEUED_MAX);
    let hasher = RandomState::new();
    (Refusals { lines, hasher, minute: 0, passed: [NONE; 2], more: 0 }, come_out)
}

impl Refusals {
    /// Looks at what happened; does not wait.
    pub fn note(&mut self, fact: &Fact) {
        let Fact::AuthenticationFailed {
            at_unix_ms,
            client,
            transport,
            username,
            cause,
            suppressed,
        } = fact
        else {
            return;
        };
        let class = match cause {
            AuthFailure::WrongIntegrity | AuthFailure::NoSuchUser => 0,
            AuthFailure::Expired { .. } | AuthFailure::UnknownRealm | AuthFailure::Revoked => 1,
            // Every client comes with an old one now and then, and goes on with a new one.
            AuthFailure::StaleNonce => return,
        };
        self.more = self.more.saturating_add(*suppressed);
        let is_told = self.passes(*at_unix_ms, class, client.ip());
        let (client, transport, username) = (*client, *transport, username.clone());
        let line = Line { client, transport, username, cause: *cause, more: self.more };
        if is_told && self.lines.try_send(line).is_ok() {
            self.more = 0;
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    fn passes(&mut self, at_unix_ms: i64, class: usize, client: IpAddr) -> bool {
        let minute = at_unix_ms.div_euclid(60_000);
        if minute != self.minute {
            self.minute = minute;
            self.passed = [NONE; 2];
        }
        let at = self.hasher.hash_one(SourcePrefix::of(client)) % REFUSAL_SOURCES as u64;
        let Passed { lines, by_source } = &mut self.passed[class];
        let of_source = &mut by_source[at as usize];
        if *lines >= REFUSAL_LINES_PER_MINUTE || *of_source >= REFUSAL_LINES_PER_SOURCE {
            return false;
        }
        *lines += 1;
        *of_source += 1;
        true
    }
}

/// Writes lines for as long as they come.
pub async fn write(mut lines: Receiver<Line>, edge: Arc<Edge>) {
    while let Some(line) = lines.recv().await {
        let addresses = edge.options().log_addresses;
        line.write(addresses.ip(line.client.ip()).as_deref());
    }
}

impl Line {
    // conf/fail2ban reads it: the names and the order of the fields stay as they are.
    fn write(&self, address: Option<&str>) {
        let Self { client: _, transport, username, cause, more } = self;
        let (cause, transport, user) = (cause.code(), transport.code(), &**username);
        match address {
            Some(address) => {
                tracing::info!(address, cause, transport, user, more, "credentials refused");
            }
            None => tracing::info!(cause, transport, more, "credentials refused"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(source: u8, at_s: i64, cause: AuthFailure) -> Fact {
        Fact::AuthenticationFailed {
            at_unix_ms: at_s * 1000,
            client: SocketAddr::from(([192, 0, 2, source], 4242)),
            transport: Transport::Udp,
            username: "eve".into(),
            cause,
            suppressed: 0,
        }
    }

    fn told(lines: &mut Receiver<Line>) -> Vec<u64> {
        std::iter::from_fn(|| lines.try_recv().ok()).map(|line| line.more).collect()
    }

    const WRONG: AuthFailure = AuthFailure::WrongIntegrity;
    const EXPIRED: AuthFailure = AuthFailure::Expired { ago_s: 5 };

    #[test]
    fn one_address_gets_a_few_lines_a_minute_and_the_rest_is_counted() {
        let (mut refusals, mut lines) = refusals();
        for _ in 0..10 {
            refusals.note(&fact(1, 5, WRONG));
        }
        assert_eq!(told(&mut lines), [0; REFUSAL_LINES_PER_SOURCE as usize]);
        refusals.note(&fact(1, 59, WRONG));
        refusals.note(&fact(1, 60, WRONG));
        assert_eq!(told(&mut lines), [5]);
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded_and_expired_ones_do_not_hide_wrong_ones() {
        let (mut refusals, mut lines) = refusals();
        for source in 0..=255 {
            refusals.note(&fact(source, 5, EXPIRED));
        }
        assert!(told(&mut lines).len() <= REFUSAL_LINES_PER_MINUTE as usize);
        refusals.note(&fact(1, 5, WRONG));
        assert_eq!(told(&mut lines).len(), 1);
        refusals.note(&fact(1, 5, AuthFailure::StaleNonce));
        assert!(told(&mut lines).is_empty());
    }
}
