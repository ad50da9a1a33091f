//! How a request is carried out: by the daemon if it runs, else here on the record, with the same
//! code and the same answer (R9).

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;

use super::{
    calls, credential, dashboard, doctor, drain, explain, forget, invite, key, log, print_config,
    reload, revoke, sessions, status, token, usage, verify, verify_link, why,
};
use crate::auth::secret::Secret;
use crate::config::{Config, Source, secrets};
use crate::daemon::outside::Outside;
use crate::daemon::{self, Opened, Plan, parts};
use crate::edge::commands::{Commands, IdentityProbe, Issuer};
use crate::edge::control::{self, ControlError};
use crate::edge::control_json::{Request, Response};
use crate::edge::json::ErrorWord;
use crate::edge::operator_json::{Handed, parse_peer};
use crate::edge::snapshot::Snapshot;
use crate::ops::interfaces;
use crate::ops::state_directory::{CONTROL_SOCKET, SECRET_FILE, give_to_owner};
use crate::store::{FILE_NAME, Store, StoreError};
use crate::time::Now;

/// For whom the answer is printed.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Format {
    /// Print the answer as one line of JSON, for scripts
    #[arg(long)]
    json: bool,
}

impl Format {
    /// For scripts.
    pub(super) fn is_json(self) -> bool {
        self.json
    }
}

/// A request and how its answer is wanted.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) request: Request,
    pub(super) format: Format,
}

impl Question {
    /// Has it carried out, and prints the answer.
    pub(super) fn ask(self, config: &Config) -> anyhow::Result<()> {
        let Self { request, format } = self;
        let response = answer(config, &request)?;
        if format.json {
            super::print(&format!("{}\n", serde_json::to_string(&response)?))?;
        } else {
            super::print(&words(config, Now::read(), &response))?;
            if let Some(limit) = limit_reached(&request, &response) {
                super::note(&format!("these are the newest {limit}; `-n` shows more"));
            }
        }
        if let Response::Status(health) = response
            && !health.ok
        {
            bail!("the relay makes no progress; the log of the daemon says why");
        }
        Ok(())
    }
}

/// Never `Response::Error`: that is an error here.
pub(super) fn answer(config: &Config, request: &Request) -> anyhow::Result<Response> {
    let response = match control::call(&config.state_directory.join(CONTROL_SOCKET), request) {
        Ok(response) => response,
        Err(ControlError::NotRunning(_)) => {
            let response = without_daemon(config, request)?;
            if !matches!(response, Response::Error(_)) {
                super::note(&beside_the_daemon(config, request));
            }
            response
        }
        Err(error) => return Err(error.into()),
    };
    let Response::Error(ErrorWord { message, hint, .. }) = response else { return Ok(response) };
    match hint {
        Some(hint) => bail!("{message}; {hint}"),
        None => bail!("{message}"),
    }
}

/// Has a daemon that runs take in what a command changed in the state directory.
pub(super) fn take_effect(config: &Config) -> anyhow::Result<()> {
    let handed = Some(Handed { state_only: true, ..Handed::default() });
    let socket = config.state_directory.join(CONTROL_SOCKET);
    match control::call(&socket, &Request::Reload { handed }) {
        Ok(Response::Error(ErrorWord { message, .. })) => bail!("it does not count yet: {message}"),
        Ok(_) => Ok(()),
        Err(ControlError::NotRunning(_)) => {
            super::note("no turnbell runs here; it counts from its next start on");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// The answer for a person.
fn words(config: &Config, now: Now, response: &Response) -> String {
    match response {
        Response::KeyAdded { id, name, key, opens } => key::added(config, id, name, key, opens),
        Response::Keys(keys) => key::listed(keys),
        Response::KeyRevoked { id, name } => key::revoked(id, name),
        Response::Sessions(sessions) => sessions::listed(sessions, now),
        Response::Log(lines) => log::listed(lines),
        Response::Calls(found) => calls::listed(found),
        Response::Why(story) => why::told(story),
        Response::Call { call, timeline } => calls::told(call, timeline),
        Response::Usage(used) => usage::shown(used),
        Response::Forgotten(word) => forget::shown(word),
        Response::Credential { urls, username, credential, ttl, expires_at } => {
            credential::shown(urls, username, credential, *ttl, *expires_at)
        }
        Response::Revoked { user, closed, until_at } => revoke::revoked(user, *closed, *until_at),
        Response::RevokeUndone { user } => revoke::undone(user),
        Response::RevokedUsers(users) => revoke::listed(users),
        Response::Invited(made) => invite::made(made),
        Response::Invites(invites) => invite::listed(invites),
        Response::InviteRevoked { id } => invite::revoked(id),
        Response::Status(health) => status::shown(health),
        Response::Draining { allocations, limit_s } => drain::shown(*allocations, *limit_s),
        Response::Peer(explained) => explain::shown(explained),
        Response::Config(config) => print_config::shown(config),
        Response::Verified(answer) => verify::shown_answer(answer),
        Response::VerifyLink(link) => verify_link::shown(link),
        Response::Diagnosis(found) => doctor::told(found),
        Response::Dashboard(link) => dashboard::shown(link),
        Response::Reloaded(reloaded) => reload::shown(config, reloaded),
        Response::Error(error) => format!("{}\n", error.message),
    }
}

/// Carries a request out on the record, as the daemon would.
fn without_daemon(config: &Config, request: &Request) -> anyhow::Result<Response> {
    let directory = &config.state_directory;
    let needs_record = match request {
        Request::KeyAdd(_)
        | Request::Credential { .. }
        | Request::Revoke { .. }
        | Request::Invite { .. } => false,
        Request::KeyList {}
        | Request::KeyRevoke { .. }
        | Request::RevokeUndo { .. }
        | Request::RevokeList {}
        | Request::InviteList {}
        | Request::InviteRevoke { .. }
        | Request::Sessions { .. }
        | Request::Calls { .. }
        | Request::Call { .. }
        | Request::Usage { .. }
        | Request::Forget { .. }
        | Request::Why { .. }
        | Request::Log { .. } => true,
        Request::ExplainPeer { peer } => return explained(config, peer),
        Request::Config {} => {
            let relay = Plan::of(config, &interfaces::all()?)?.relay;
            return Ok(Response::Config(daemon::explain::in_effect(config, &relay, config)));
        }
        Request::Status {}
        | Request::Reload { .. }
        | Request::Drain { .. }
        | Request::Verify { .. }
        | Request::VerifyLink { .. }
        | Request::Diagnose {}
        | Request::Dashboard {} => bail!(not_running(config)),
    };
    // Looking at nothing must not leave an empty record behind.
    if needs_record && matches!(directory.join(FILE_NAME).try_exists(), Ok(false)) {
        bail!("{}, and there is no record in it yet", not_running(config));
    }
    let issuer = if matches!(request, Request::Credential { .. }) {
        Some(Arc::new(Snapshot::new(issuer(config)?)))
    } else {
        None
    };
    let identity: Option<IdentityProbe> = if matches!(request, Request::Invite { .. }) {
        let base = parts::invite_base(config, &[], &config.http.listen);
        let identity = daemon::signaling::identity(config, token::signing_key(config)?, base);
        Some(Arc::new(move || identity.clone()))
    } else {
        None
    };
    let opened = Store::open_for_commands(parts::store_options(config));
    // Whatever came of it: files of root would keep a daemon that is not root out.
    give_to_owner(directory);
    let (store, writer) = opened.map_err(|error| unopened(directory, error))?;
    let commands = Commands { store: store.clone(), issuer, identity, daemon: None };
    let response = commands.execute(Now::read(), request.clone());
    writer.close();
    give_to_owner(directory);
    if store.health().dropped > 0 {
        super::note("this could not be put on record; the disk may be full");
    }
    Ok(response)
}

/// By the rules that a daemon would start with.
fn explained(config: &Config, peer: &str) -> anyhow::Result<Response> {
    let (ip, port) = parse_peer(peer).context("the command line was checked")?;
    let here = interfaces::all()?;
    let plan = Plan::of(config, &here)?;
    let opened = Opened {
        udp: config.listen.clone(),
        tcp: config.listen_tcp.clone(),
        tls: config.listen_tls.clone(),
        https: Vec::new(),
        http: config.http.listen.clone(),
        relay_addresses: plan.relay,
        warnings: Vec::new(),
    };
    let policy = parts::policy(config, &opened, &here, &Outside::default());
    Ok(Response::Peer(daemon::explain::explain_peer(config, &policy, ip, port)))
}

fn unopened(directory: &Path, error: StoreError) -> anyhow::Error {
    if matches!(error, StoreError::InUse { .. }) {
        return anyhow::anyhow!(
            "the turnbell on {} is just starting or stopping; try again in a moment",
            directory.display()
        );
    }
    error.into()
}

/// What the daemon would issue with, if it ran.
fn issuer(config: &Config) -> anyhow::Result<Issuer> {
    let secret = issuing_secret(config)?;
    let plan = Plan::of(config, &interfaces::all()?)?;
    // Which port 0 becomes is known by the daemon alone.
    let mut listeners =
        parts::relay_listeners(&config.listen, &config.listen_tcp, &config.listen_tls);
    listeners.retain(|listener| listener.addr.port() != 0);
    // A certificate that cannot be read costs its URL, not the credential.
    let certificates = parts::certificates(config).ok().flatten();
    let urls = parts::url_sources(config, &plan.relay, listeners, certificates);
    Ok(parts::issuer(config, secret, urls))
}

/// The secret that issues: the first of the config, else the one in the state directory.
pub(super) fn issuing_secret(config: &Config) -> anyhow::Result<Secret<String>> {
    if let Some(first) = config.auth.secrets.first() {
        return Ok(first.clone());
    }
    let path = config.state_directory.join(SECRET_FILE);
    if matches!(path.try_exists(), Ok(false)) {
        bail!(
            "there is no secret yet: start turnbell once to have one made in {}, or write \
             `secrets` in [auth]",
            path.display()
        );
    }
    let read = secrets::read_file(&path).map_err(anyhow::Error::msg)?;
    read.secrets.into_iter().next().context("a secret file holds a secret")
}

/// That no daemon runs where this config says; a wrong directory is the usual reason.
pub(super) fn not_running(config: &Config) -> String {
    let directory = config.state_directory.display();
    match &config.source {
        Source::File(file) => {
            format!("no turnbell runs on {directory}, which {} names", file.display())
        }
        Source::Embedded | Source::Coturn(_) => format!(
            "no turnbell runs on {directory}, the built-in default; `--config` names another \
             one's file"
        ),
    }
}

/// What it means that the daemon did not do it.
fn beside_the_daemon(config: &Config, request: &Request) -> String {
    let meaning = match request {
        Request::KeyAdd(_) => "the key is on record and good from the next start on",
        Request::KeyRevoke { .. } => "the key is revoked on record",
        Request::ExplainPeer { .. } | Request::Config {} => "this is what the config says",
        Request::Revoke { .. } | Request::RevokeUndo { .. } => {
            "this is on record and holds from the next start on"
        }
        Request::Invite { .. } => "the invite is on record, and good from the next start on",
        Request::Forget { .. } => "this was done on record",
        Request::InviteRevoke { .. } => "the invite is taken back on record",
        Request::Credential { .. } => "the credential is made of the same secret",
        Request::KeyList {}
        | Request::Sessions { .. }
        | Request::Calls { .. }
        | Request::Call { .. }
        | Request::Usage { .. }
        | Request::Why { .. }
        | Request::Log { .. }
        | Request::RevokeList {}
        | Request::InviteList {}
        | Request::Status {}
        | Request::Reload { .. }
        | Request::Drain { .. }
        | Request::Verify { .. }
        | Request::VerifyLink { .. }
        | Request::Diagnose {}
        | Request::Dashboard {} => "this is what is on record",
    };
    format!("{}: {meaning}", not_running(config))
}

/// The limit, if there may be more than was answered.
fn limit_reached(request: &Request, response: &Response) -> Option<usize> {
    let (Request::Sessions { limit, .. }
    | Request::Calls { limit, .. }
    | Request::Log { limit, .. }) = request
    else {
        return None;
    };
    let count = if let Response::Sessions(sessions) = response {
        sessions.len()
    } else if let Response::Log(lines) = response {
        lines.len()
    } else if let Response::Calls(found) = response {
        found.len()
    } else {
        return None;
    };
    limit.filter(|limit| count >= *limit)
}
