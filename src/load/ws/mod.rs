//! Load on signaling (`turnbell.v1`): five questions, and what each needs of the server.

mod abuse;
mod client;
mod idle;
mod restart;
mod ring;
mod run;
mod signals;
mod stage;

use std::time::Duration;

use client::Trouble;
use run::Run;
use stage::Stage;

use super::{LoadError, Progress, Report, Signer, Target, files};
use crate::auth::identity::TenantId;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// What does a session cost that is there and says nothing?
    Idle {
        /// How many.
        sessions: u32,
    },
    /// How long do signals take?
    Signals {
        /// Calls, of two sessions each.
        calls: u32,
        /// Signals a second, of all together.
        rate: u32,
        /// Bytes of each.
        bytes: u32,
    },
    /// How soon are the other devices silent when one answers?
    Ring {
        /// Calls a second.
        rate: u32,
        /// Devices of each callee, 2 or more.
        devices: u32,
    },
    /// What do others notice of a slow reader and a flooder?
    Abuse {
        /// Calls of the others, of two sessions each.
        calls: u32,
        /// Signals a second, of all of them.
        rate: u32,
        /// Requests a second of the flooder.
        flood: u32,
    },
    /// How soon is everybody back after a restart?
    Restart {
        /// How many.
        sessions: u32,
    },
}

impl Scenario {
    /// All sessions that are open at the same time.
    #[must_use]
    pub fn sessions(self) -> u32 {
        match self {
            Self::Idle { sessions } | Self::Restart { sessions } => sessions,
            Self::Signals { calls, .. } => 2 * calls,
            Self::Ring { rate, devices } => ring::Ring { rate, devices }.sessions(),
            Self::Abuse { calls, .. } => 2 * calls + OTHERS,
        }
    }

    /// Lines of the server's config: quotas that let all of this in.
    #[must_use]
    pub fn needs(self, tenant: &TenantId) -> String {
        let calls = match self {
            Self::Idle { .. } | Self::Restart { .. } => 1,
            Self::Signals { calls, .. } => calls,
            Self::Ring { rate, devices } => ring::Ring { rate, devices }.pairs(),
            Self::Abuse { calls, .. } => calls + 1,
        };
        let devices = match self {
            Self::Ring { devices, .. } => devices,
            Self::Idle { .. }
            | Self::Restart { .. }
            | Self::Signals { .. }
            | Self::Abuse { .. } => 1,
        };
        format!(
            "[tenant.{tenant}]\nsessions_max = {}\nsessions_per_user_max = {}\ncalls_max = {calls}\n\
             invites_per_minute = 120\n",
            self.sessions(),
            devices.max(10),
        )
    }
}

/// Slow reader, the one who writes to him, flooder; and those of them who are not yet forgotten.
const OTHERS: u32 = 16;

/// Whose presence a client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watching {
    /// So many others'.
    Contacts(u32),
    /// That of all who are there.
    Everybody,
}

/// Around the scenario.
pub struct Options {
    /// Whom to ask.
    pub target: Target,
    /// What lets the clients in.
    pub signer: Signer,
    /// How long the load is on; for [`Scenario::Restart`], how long to wait.
    pub length: Duration,
    /// Whose presence each client is told.
    pub watching: Watching,
    /// Process of the server, on this machine: its memory and CPU are read.
    pub pid: Option<u32>,
}

/// Puts the load on, and says what came of it.
///
/// # Errors
/// If it could not be put on as it should be.
pub fn run(
    scenario: Scenario,
    options: Options,
    progress: Progress<'_>,
) -> Result<Report, LoadError> {
    let sessions = scenario.sessions();
    files::make_room(sessions.into())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| LoadError::System { what: "starting the clients", source })?;
    runtime.block_on(async {
        let Options { target, signer, length, watching, pid } = options;
        let needs = needs_hint(scenario, signer.tenant());
        let stage = Stage::new(target, signer, sessions, watching);
        let run = Run::new(stage, progress, pid)?;
        scout(&run).await?;
        match scenario {
            Scenario::Idle { sessions } => idle::run(run, sessions, length, &needs).await,
            Scenario::Signals { calls, rate, bytes } => {
                let talk = signals::Talk { calls, rate, bytes: bytes as usize };
                signals::run(run, talk, length, &needs).await
            }
            Scenario::Ring { rate, devices } => {
                ring::run(run, ring::Ring { rate, devices }, length, &needs).await
            }
            Scenario::Abuse { calls, rate, flood } => {
                let talk = signals::Talk { calls, rate, bytes: SIGNAL_BYTES };
                abuse::run(run, abuse::Abuse { talk, flood }, length, &needs).await
            }
            Scenario::Restart { sessions } => restart::run(run, sessions, length, &needs).await,
        }
    })
}

/// Of a signal, where nobody says.
const SIGNAL_BYTES: usize = 300;

fn needs_hint(scenario: Scenario, tenant: &TenantId) -> String {
    format!(
        "the server's config needs:\n{}and its process {} descriptors (LimitNOFILE)",
        scenario.needs(tenant),
        scenario.sessions() + 1000
    )
}

/// The first client comes alone: what keeps it out keeps all out, and is said with its cure.
async fn scout(run: &Run<'_>) -> Result<(), LoadError> {
    let why = match run.stage.arrive(0, "scout").await {
        Ok(client) => {
            client.leave().await;
            return Ok(());
        }
        Err(why) => why,
    };
    let cure = match &why {
        Trouble::Closed { code: 4001..=4003, .. } => BAD_TOKEN,
        Trouble::Refused { code, .. } if code == "unauthenticated" || code == "forbidden" => {
            BAD_TOKEN
        }
        Trouble::Closed { code: 4004, .. } => "name one of its tenants by --tenant",
        Trouble::Refused { .. } | Trouble::Closed { .. } => "its log says more",
        Trouble::Lost(_) | Trouble::Silent(_) => {
            "is turnbell running, and is this the URL of its WebSocket (/v1/ws)?"
        }
    };
    Err(LoadError::NotLetIn { address: run.stage.target.address(), why: why.to_string(), cure })
}

const BAD_TOKEN: &str = "sign with a key that it knows: run this where its state directory is (with \
                         --config), or name an issuer of its config by --issuer and --secret-file";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_that_a_run_needs_holds_all_of_its_sessions_and_calls() {
        let tenant = TenantId::default_tenant();
        let ring = Scenario::Ring { rate: 100, devices: 12 };
        let needs = ring.needs(&tenant);
        for line in [
            "[tenant.default]",
            "sessions_max = 1300",
            "sessions_per_user_max = 12",
            "calls_max = 100",
        ] {
            assert!(needs.lines().any(|found| found == line), "{line}:\n{needs}");
        }
        assert_eq!(Scenario::Signals { calls: 250, rate: 1, bytes: 1 }.sessions(), 500);
    }
}
