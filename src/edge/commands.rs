//! What the command line can ask: carried out by the daemon behind its control socket, or, while
//! none runs, by the command itself on the record.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::HealthProbe;
use super::api_keys::ApiKeys;
use super::control_json::{LogLine, Request, Response, Session};
use super::diagnostics::Diagnosing;
use super::ice::checked;
use super::ice_urls::{UrlSources, Vantage};
use super::identity::IdentityOptions;
use super::invite_json::InviteWanted;
use super::invites;
use super::json::{ErrorWord, IceRequest};
use super::operator_json::{
    ConfigWord, DashboardLink, ExplainedPeer, Handed, Reloaded, parse_peer,
};
use super::revoke::TellShards;
use super::revoked::Revoked;
use super::snapshot::Snapshot;
use super::verification::Verifications;
use super::verify_links::ShownLink;
use crate::auth::credential::issue;
use crate::auth::identity::{TenantId, UserId};
use crate::auth::secret::Secret;
use crate::auth::user_hash::IssuedNames;
use crate::limits::diagnose::DASHBOARD_LINK_TTL;
use crate::limits::probe::VERIFY_ANSWER_PATIENCE;
use crate::limits::{CONTROL_ROWS_DEFAULT, DRAIN_LIMIT_DEFAULT, DRAIN_LIMIT_MAX, QUERY_ROWS_MAX};
use crate::store::{Entry, IssuedBy, LogKind, LogQuery, SessionQuery, Store, StoreError};
use crate::time::Now;
use crate::turn::allocation::AllocationView;

/// Asks every shard for its live allocations; `None` if one does not answer in time.
pub type LiveSessions = Arc<dyn Fn() -> Option<Vec<AllocationView>> + Send + Sync>;

/// Has the daemon read its config again; all that is wrong with it, a line each, if it is refused.
pub type Reload = Arc<dyn Fn(Option<&Handed>) -> Result<Reloaded, String> + Send + Sync>;

/// Begins to drain for this long at most; says how many allocations are left, or why it cannot.
pub type Drain = Arc<dyn Fn(Duration) -> Result<u64, String> + Send + Sync>;

/// Reads whose tokens count.
pub type IdentityProbe = Arc<dyn Fn() -> IdentityOptions + Send + Sync>;

/// Ends the sessions and calls of a user; `false`: nobody knows whether it was done.
pub type EndSessions = Arc<dyn Fn(TenantId, UserId) -> bool + Send + Sync>;

/// Everything that commands work on.
pub struct Commands {
    /// The record.
    pub store: Store,
    /// What `credential` issues with; `None` for who never asks for one.
    pub issuer: Option<Arc<Snapshot<Issuer>>>,
    /// Whose tokens count, and what signs invites; `None` for who never makes one.
    pub identity: Option<IdentityProbe>,
    /// The daemon, if this is one.
    pub daemon: Option<Running>,
}

/// What `credential` issues with.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// The secret that issues.
    pub secret: Secret<String>,
    /// Lifetime where the command names none.
    pub ttl_default: Duration,
    /// What the URLs beside it are made of.
    pub urls: UrlSources,
}

/// What only a running daemon has.
pub struct Running {
    /// The keys `/ice` goes by.
    pub keys: Arc<ApiKeys>,
    /// Where the relay looks for the names that are issued here.
    pub issued: Arc<IssuedNames>,
    /// Live allocations.
    pub live: LiveSessions,
    /// How it is.
    pub health: HealthProbe,
    /// Who revokes users in it.
    pub tell: TellShards,
    /// Users whose tokens do not count.
    pub revoked: Arc<Revoked>,
    /// Who ends what they have.
    pub end_sessions: EndSessions,
    /// Another config.
    pub reload: Reload,
    /// No new allocations, and the end; says how many there are.
    pub drain: Drain,
    /// What the rules say about a peer.
    pub explain_peer: Arc<dyn Fn(IpAddr, Option<u16>) -> ExplainedPeer + Send + Sync>,
    /// What verifies.
    pub verifications: Verifications,
    /// What is in effect.
    pub config: Arc<dyn Fn() -> ConfigWord + Send + Sync>,
    /// What is found out about itself.
    pub diagnosing: Arc<Diagnosing>,
    /// The link that `turnbell verify` showed last.
    pub shown_link: ShownLink,
}

impl Commands {
    /// Carries a request out. Blocks for as long as the record takes
    /// ([`crate::limits::RECORD_ORDER_TIMEOUT`]).
    #[must_use]
    pub fn execute(&self, now: Now, request: Request) -> Response {
        let done = match request {
            Request::KeyAdd(wanted) => self.add_key(now, wanted),
            Request::KeyList {} => self.keys(now),
            Request::KeyRevoke { key } => self.revoke_key(now, &key),
            Request::Sessions { user, all, limit } => self.sessions(user, all, rows(limit)),
            Request::Log { user, kind, since_at, limit } => {
                self.log(user, kind.as_deref(), since_at, rows(limit))
            }
            Request::Calls { user, external_id, since_at, limit } => {
                self.calls(user.as_deref(), external_id, since_at, rows(limit))
            }
            Request::Usage { from, to, by } => {
                self.usage(now, from.as_deref(), to.as_deref(), by.as_deref())
            }
            Request::Forget { user, tenant, really } => {
                self.forget(&user, tenant.as_deref(), really)
            }
            Request::Call { call } => self.call(&call),
            Request::Why { wanted } => self.why(now, &wanted),
            Request::Credential { user, ttl } => self.credential(now, IceRequest { user, ttl }),
            Request::Revoke { user, for_s } => self.revoke(now, user, for_s),
            Request::RevokeUndo { user } => self.undo_revoke(user),
            Request::RevokeList {} => self.revoked(now),
            Request::Invite { wanted } => self.invite(now, wanted),
            Request::InviteList {} => self.invites(now),
            Request::InviteRevoke { id } => self.revoke_invite(now, id),
            Request::Status {} => self.status(),
            Request::Reload { handed } => self.reload(handed.as_ref()),
            Request::Drain { limit_s } => self.drain(limit_s),
            Request::ExplainPeer { peer } => self.explain_peer(&peer),
            Request::Verify { fresh } => self.verify(now, fresh),
            Request::VerifyLink { fresh } => self.verify_link(now, fresh),
            Request::Config {} => {
                self.running().map(|running| Response::Config((running.config)()))
            }
            Request::Diagnose {} => self.diagnose(now),
            Request::Dashboard {} => self.dashboard(now),
        };
        done.unwrap_or_else(Response::Error)
    }

    fn sessions(
        &self,
        user: Option<String>,
        all: bool,
        limit: usize,
    ) -> Result<Response, ErrorWord> {
        let live = self.daemon.as_ref().and_then(|daemon| (daemon.live)());
        let rows = match &live {
            Some(_) if !all => Vec::new(),
            Some(_) | None => {
                let user = user.clone();
                self.store.sessions(&SessionQuery { user, open_only: !all, limit })?
            }
        };
        let ours = |view: &&AllocationView| user.as_deref().is_none_or(|user| user == &*view.user);
        let mut live: Vec<&AllocationView> = live.iter().flatten().filter(ours).collect();
        let mut sessions: Vec<Session> = rows.into_iter().map(Session::from).collect();
        for session in &mut sessions {
            let is_it = |view: &&AllocationView| {
                view.number.0 == session.number && view.opened_at_unix_ms == session.opened_at
            };
            let Some(at) = live.iter().position(is_it) else { continue };
            let view = live.swap_remove(at);
            if session.ended_at.is_none() {
                session.traffic = Some(view.traffic.into());
                session.expires_in_s = Some(view.expires_in_s);
            }
        }
        // The record is a moment behind, or broken: what is on is shown all the same.
        sessions.extend(live.into_iter().cloned().map(Session::from));
        sessions.sort_by_key(|session| std::cmp::Reverse((session.opened_at, session.number)));
        sessions.truncate(limit);
        Ok(Response::Sessions(sessions))
    }

    fn log(
        &self,
        user: Option<String>,
        kind: Option<&str>,
        since_unix_ms: Option<i64>,
        limit: usize,
    ) -> Result<Response, ErrorWord> {
        let kind = match kind {
            None => None,
            Some(code) => Some(LogKind::parse(code).ok_or_else(|| {
                wrong(
                    "kind",
                    format!("kind is one of {}", LogKind::ALL.map(LogKind::code).join(", ")),
                )
            })?),
        };
        let rows =
            self.store.log(&LogQuery { user, kind, since_unix_ms, until_unix_ms: None, limit })?;
        Ok(Response::Log(rows.into_iter().map(LogLine::from).collect()))
    }

    fn credential(&self, now: Now, request: IceRequest) -> Result<Response, ErrorWord> {
        let Some(issuer) = self.issuer.as_ref().map(|issuer| issuer.read()) else {
            return Err(failed("no_secret", "there is no secret that could issue a credential"));
        };
        let (user, ttl) = checked(request, issuer.ttl_default)?;
        let expires_at = now.unix_s().saturating_add_unsigned(ttl);
        let issued = issue(&issuer.secret, &user, expires_at);
        if let Some(daemon) = &self.daemon {
            daemon.issued.note(&issued);
        }
        self.store.record(Entry::CredentialIssued {
            at_unix_ms: now.unix_ms,
            user: user.as_str().to_owned(),
            username: issued.username.clone(),
            expires_at,
            ttl_s: u32::try_from(ttl).unwrap_or(u32::MAX),
            by: IssuedBy::Command,
            client: None,
        });
        Ok(Response::Credential {
            urls: issuer.urls.turn_urls(now, Vantage::Elsewhere),
            username: issued.username,
            credential: issued.credential.expose().clone(),
            ttl,
            expires_at,
        })
    }

    fn status(&self) -> Result<Response, ErrorWord> {
        Ok(Response::Status((self.running()?.health)()))
    }

    fn verify(&self, now: Now, fresh: bool) -> Result<Response, ErrorWord> {
        let verifications = &self.running()?.verifications;
        if fresh {
            // Who may use this socket has just changed something and wants to see it.
            verifications.start(now, Duration::ZERO);
        }
        let answer = verifications.answer_blocking(VERIFY_ANSWER_PATIENCE);
        Ok(Response::Verified(Box::new(answer)))
    }

    fn reload(&self, handed: Option<&Handed>) -> Result<Response, ErrorWord> {
        let reload = &self.running()?.reload;
        reload(handed).map(Response::Reloaded).map_err(|why| failed("not_reloaded", why))
    }

    fn drain(&self, limit_s: Option<u64>) -> Result<Response, ErrorWord> {
        let limit = limit_s.map_or(DRAIN_LIMIT_DEFAULT, Duration::from_secs);
        if limit > DRAIN_LIMIT_MAX {
            let most = DRAIN_LIMIT_MAX.as_secs();
            return Err(wrong("limit_s", format!("limit_s must be at most {most}")));
        }
        let drain = &self.running()?.drain;
        let allocations = drain(limit).map_err(|why| failed("not_draining", why))?;
        Ok(Response::Draining { allocations, limit_s: limit.as_secs() })
    }

    fn explain_peer(&self, peer: &str) -> Result<Response, ErrorWord> {
        let running = self.running()?;
        let no_peer = "peer must be an address, or an address and a port";
        let (ip, port) = parse_peer(peer).ok_or_else(|| wrong("peer", no_peer))?;
        Ok(Response::Peer((running.explain_peer)(ip, port)))
    }

    fn invite(&self, now: Now, wanted: InviteWanted) -> Result<Response, ErrorWord> {
        let none = || failed("internal", "nothing here signs invites");
        let identity = self.identity.as_ref().ok_or_else(none)?();
        Ok(Response::Invited(invites::make(now, &self.store, &identity, wanted)?))
    }

    fn invites(&self, now: Now) -> Result<Response, ErrorWord> {
        Ok(Response::Invites(self.store.invites(now)?.into_iter().map(Into::into).collect()))
    }

    fn revoke_invite(&self, now: Now, id: String) -> Result<Response, ErrorWord> {
        if self.store.revoke_invite(&id, now)? {
            return Ok(Response::InviteRevoked { id });
        }
        let why = failed("no_such_invite", "no invite of this id is open");
        Err(ErrorWord { hint: Some("`turnbell invite --list` shows them".into()), ..why })
    }

    fn dashboard(&self, now: Now) -> Result<Response, ErrorWord> {
        let none = || failed("internal", "nothing here knows its own address");
        let base = self.identity.as_ref().ok_or_else(none)?().invite_base;
        let key = self.running()?.diagnosing.keys.link(now);
        let key = key.map_err(|_| failed("internal", "the kernel gives no random bytes"))?;
        let ttl_ms = i64::try_from(DASHBOARD_LINK_TTL.as_millis()).unwrap_or(i64::MAX);
        Ok(Response::Dashboard(DashboardLink {
            url: format!("{}/diagnostics#k={}", base.url, key.expose()),
            url_from: base.from,
            expires_at: now.unix_ms.saturating_add(ttl_ms),
        }))
    }

    fn diagnose(&self, now: Now) -> Result<Response, ErrorWord> {
        let found = self.running()?.diagnosing.read(now);
        let found =
            serde_json::to_value(&*found).map_err(|why| failed("internal", why.to_string()));
        found.map(Response::Diagnosis)
    }

    pub(super) fn running(&self) -> Result<&Running, ErrorWord> {
        let none = || failed("not_running", "no turnbell runs on this state directory");
        self.daemon.as_ref().ok_or_else(none)
    }
}

fn rows(limit: Option<usize>) -> usize {
    limit.unwrap_or(CONTROL_ROWS_DEFAULT).min(QUERY_ROWS_MAX)
}

pub(super) fn failed(code: &'static str, message: impl Into<String>) -> ErrorWord {
    ErrorWord { code: code.into(), message: message.into().into(), field: None, hint: None }
}

pub(super) fn wrong(field: &'static str, message: impl Into<String>) -> ErrorWord {
    ErrorWord { field: Some(field.into()), ..failed("bad_request", message) }
}

impl From<StoreError> for ErrorWord {
    fn from(why: StoreError) -> Self {
        match why {
            StoreError::KeyExists(_) | StoreError::KeyName => wrong("name", why.to_string()),
            StoreError::RevocationsFull => failed("revocations_full", why.to_string()),
            StoreError::InvitesFull => failed("invites_full", why.to_string()),
            StoreError::KeysFull => failed("keys_full", why.to_string()),
            StoreError::LinksFull => failed("links_full", why.to_string()),
            StoreError::UsageTooMuch => wrong("from", why.to_string()),
            StoreError::Newer { .. }
            | StoreError::Corrupt { .. }
            | StoreError::CorruptAgain { .. }
            | StoreError::InUse { .. }
            | StoreError::Io { .. }
            | StoreError::Sqlite { .. }
            | StoreError::OldSqlite(_)
            | StoreError::Exists { .. }
            | StoreError::BadCopy { .. }
            | StoreError::Closed
            | StoreError::Busy
            | StoreError::Unconfirmed => failed("store_unavailable", why.to_string()),
        }
    }
}
