//! Asks a server. Most questions have a client of their own; permissions and channels share one, as
//! coturn counts an allocation for 20 s after it was given back.

use std::net::SocketAddr;
use std::time::Duration;

use super::probes::{Login, Logins, PUBLIC_PEER, Probe};
use super::verdict::is_quota;
use crate::daemon::trial::Fault;
use crate::daemon::trial::client::{Client, Wish};
use crate::limits::coturn::{COMPARE_QUOTA_PAUSE, COMPARE_QUOTA_PAUSES};
use crate::turn::fact::Transport;

/// How often a question is asked again from another port.
const MISMATCHES_BORNE: usize = 3;

const UDP: Wish = Wish { transport: 17, family: None };

/// A server under both of its addresses, while it is asked.
pub(super) struct Server {
    pub(super) plain: SocketAddr,
    pub(super) tls: SocketAddr,
    /// With an allocation, for permissions and channels.
    shared: Option<Client>,
    /// Questions so far.
    number: usize,
    /// How often a quota is waited for, over all questions.
    pauses_left: usize,
}

impl Server {
    pub(super) fn new(plain: SocketAddr, tls: SocketAddr) -> Self {
        Self { plain, tls, shared: None, number: 0, pauses_left: COMPARE_QUOTA_PAUSES }
    }

    /// Whether anything answers at the port for plain text.
    pub(super) async fn is_there(&mut self, logins: &Logins) -> bool {
        for probe in [Probe::Binding(Transport::Udp), Probe::Binding(Transport::Tcp)] {
            if self.ask(probe, logins).await.is_ok() {
                return true;
            }
        }
        // Without STUN only whoever wants to allocate hears something.
        self.ask(Probe::Challenge, logins).await.is_ok()
    }

    /// What it answers; in words that are the same for the same answer.
    pub(super) async fn ask(&mut self, probe: Probe, logins: &Logins) -> Result<String, String> {
        self.number += 1;
        let mut answer = self.answer(probe, logins).await;
        let mut mismatches = 0;
        while let Err(Fault(why)) = &answer {
            if why.ends_with("with 437") && mismatches < MISMATCHES_BORNE {
                // The kernel gave a port again whose allocation the server has not forgotten yet:
                // another one is to be used (RFC 8656 §7.4).
                mismatches += 1;
            } else if is_quota(why) && self.pauses_left > 0 {
                self.pauses_left -= 1;
                pause(COMPARE_QUOTA_PAUSE).await;
            } else {
                break;
            }
            answer = self.answer(probe, logins).await;
        }
        answer.map_err(|fault| fault.0)
    }

    /// Gives back what permissions and channels were asked with.
    pub(super) async fn leave(&mut self) {
        if let Some(mut client) = self.shared.take() {
            // It would end by itself, only later.
            let _ = client.release().await;
        }
    }

    async fn answer(&mut self, probe: Probe, logins: &Logins) -> Result<String, Fault> {
        match probe {
            Probe::Binding(transport) => {
                let mut client = self.connect(transport, &[]).await?;
                let mapped = client.mapped().await?;
                Ok(if mapped.is_some() { "answered" } else { "answered without address" }
                    .to_owned())
            }
            Probe::Protocol(name) => {
                let client = self.connect(Transport::Tls, &[name]).await?;
                Ok(client
                    .protocol()
                    .map_or_else(|| "none chosen".to_owned(), |p| format!("{p} chosen")))
            }
            Probe::Challenge => {
                let mut client = self.connect(Transport::Udp, &[]).await?;
                let realm = client.challenge(UDP, "nobody-of-yours", "nothing").await?;
                Ok(format!("401, realm {:?}", String::from_utf8_lossy(&realm)))
            }
            Probe::Allocate(transport, login, family) => {
                let mut client = self.connect(transport, &[]).await?;
                let wish = Wish { family, ..UDP };
                let relayed = allocate(&mut client, logins, login, self.number, wish).await?;
                client.release().await?;
                Ok(format!("allocated in {}", if relayed.is_ipv4() { "IPv4" } else { "IPv6" }))
            }
            Probe::RelayOverTcp => {
                let login = right(logins)?;
                let mut client = self.connect(Transport::Tcp, &[]).await?;
                let wish = Wish { transport: 6, family: None };
                allocate(&mut client, logins, login, self.number, wish).await?;
                client.release().await?;
                Ok("allocated".to_owned())
            }
            Probe::Permission(peer) | Probe::Peer(peer) => {
                let mut client = self.allocated(logins).await?;
                let done = client.permit(SocketAddr::new(peer, 50_000)).await;
                self.keep(client, &done);
                done.map(|()| "permitted".to_owned())
            }
            Probe::Channel(number) => {
                // Each channel needs a peer of its own.
                let peer = SocketAddr::new(PUBLIC_PEER, number);
                let mut client = self.allocated(logins).await?;
                let done = client.bind_channel(number, peer).await;
                self.keep(client, &done);
                done.map(|()| "bound".to_owned())
            }
        }
    }

    /// The shared client, taken out until it is known to work on.
    async fn allocated(&mut self, logins: &Logins) -> Result<Client, Fault> {
        if let Some(client) = self.shared.take() {
            return Ok(client);
        }
        let mut client = self.connect(Transport::Udp, &[]).await?;
        allocate(&mut client, logins, right(logins)?, self.number, UDP).await?;
        Ok(client)
    }

    /// One that was not answered, or lost its allocation, is asked no more.
    fn keep(&mut self, client: Client, done: &Result<(), Fault>) {
        let is_heard = |Fault(why): &Fault| why.contains("answered with") && !why.ends_with("437");
        if done.as_ref().err().is_none_or(is_heard) {
            self.shared = Some(client);
        }
    }

    async fn connect(&self, transport: Transport, alpn: &[&str]) -> Result<Client, Fault> {
        let at = match transport {
            Transport::Udp | Transport::Tcp => self.plain,
            Transport::Tls => self.tls,
        };
        Client::connect_offering(transport, at, false, alpn).await
    }
}

async fn pause(length: Duration) {
    let _ = tokio::time::timeout(length, std::future::pending::<()>()).await;
}

fn right(logins: &Logins) -> Result<Login, Fault> {
    logins.right().ok_or_else(|| Fault("there is no login".to_owned()))
}

async fn allocate(
    client: &mut Client,
    logins: &Logins,
    login: Login,
    number: usize,
    wish: Wish,
) -> Result<SocketAddr, Fault> {
    let Some((name, password)) = logins.words(login, number) else {
        return Err(Fault("there is no such login".to_owned()));
    };
    client.challenge(wish, &name, &password).await?;
    client.allocate_challenged(wish).await
}
