//! From rows and live allocations to what goes over the control socket.

use super::control_json::{LogLine, LogWord, Relayed, Session};
use super::key_json::{Key, KeyOpens};
use crate::auth::api_key::KeyGrant;
use crate::store::{KeyRow, LogEvent, LogRow, SessionRow};
use crate::turn::allocation::AllocationView;
use crate::turn::fact::Traffic;

impl From<KeyRow> for Key {
    fn from(row: KeyRow) -> Self {
        let KeyRow { id, name, hash: _, grant, created_at_unix_ms, revoked_at_unix_ms } = row;
        Self {
            id,
            name,
            opens: (&grant).into(),
            created_at: created_at_unix_ms,
            ends_at: grant.ends_at_unix_ms,
            revoked_at: revoked_at_unix_ms,
        }
    }
}

impl From<&KeyGrant> for KeyOpens {
    fn from(grant: &KeyGrant) -> Self {
        Self {
            scopes: grant.scopes.iter().map(|scope| scope.code().to_owned()).collect(),
            tenant: grant.tenant.as_ref().map(ToString::to_string),
            origins: grant.origins.iter().map(|origin| origin.to_string()).collect(),
        }
    }
}

impl From<Traffic> for Relayed {
    fn from(traffic: Traffic) -> Self {
        let Traffic { packets_to_peers, bytes_to_peers, packets_to_client, bytes_to_client } =
            traffic;
        Self { packets_to_peers, bytes_to_peers, packets_to_client, bytes_to_client }
    }
}

impl From<AllocationView> for Session {
    fn from(view: AllocationView) -> Self {
        Self {
            number: view.number.0,
            user: view.user.into(),
            client: Some(view.tuple.client.to_string()),
            server: view.tuple.server.to_string(),
            transport: view.tuple.transport.code().into(),
            relayed: view.relayed.to_string(),
            relayed_other: view.relayed_other.map(|other| other.to_string()),
            opened_at: view.opened_at_unix_ms,
            ended_at: None,
            end_reason: None,
            expires_in_s: Some(view.expires_in_s),
            traffic: Some(view.traffic.into()),
        }
    }
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            number: row.number,
            user: row.user,
            client: row.client,
            server: row.server,
            transport: row.transport,
            relayed: row.relayed,
            relayed_other: row.relayed_other,
            opened_at: row.started_at_unix_ms,
            ended_at: row.ended_at_unix_ms,
            end_reason: row.end_reason,
            expires_in_s: None,
            // A row's counters are zero until its allocation ended.
            traffic: row.ended_at_unix_ms.map(|_| row.traffic.into()),
        }
    }
}

impl From<LogRow> for LogLine {
    fn from(row: LogRow) -> Self {
        Self { at: row.at_unix_ms, event: row.event.into() }
    }
}

impl From<LogEvent> for LogWord {
    fn from(event: LogEvent) -> Self {
        match event {
            LogEvent::CredentialIssued { user, username, expires_at, ttl_s, by, client } => {
                let key = by.key_id().map(ToOwned::to_owned);
                let by = by.code().to_owned();
                Self::Credential { user, username, expires_at, ttl: ttl_s, by, key, client }
            }
            LogEvent::AllocationOpened(row) => Self::Opened(row.into()),
            LogEvent::AllocationClosed(row) => Self::Closed(row.into()),
            LogEvent::AuthenticationFailed {
                user,
                username,
                client,
                transport,
                cause,
                expired_ago_s,
                suppressed,
            } => Self::AuthFailure {
                user,
                username,
                client,
                transport,
                cause,
                expired_ago_s,
                suppressed,
            },
            LogEvent::AuthenticationFailuresCounted { count } => {
                Self::AuthFailuresCounted { count }
            }
            LogEvent::ConfigChanged { key, old, new, by } => Self::Config { key, old, new, by },
            LogEvent::RunStarted { version } => Self::RunStarted { version },
            LogEvent::RunEnded { reason, rows_dropped } => Self::RunEnded { reason, rows_dropped },
        }
    }
}
