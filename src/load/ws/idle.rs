//! Sessions that are there and say nothing: what each costs.

use std::sync::Arc;
use std::time::Duration;

use super::client::Trouble;
use super::run::Run;
use super::stage::Stage;
use crate::load::{LoadError, Report};

pub(super) async fn run(
    mut run: Run<'_>,
    sessions: u32,
    rest: Duration,
    needs: &str,
) -> Result<Report, LoadError> {
    for number in 0..sessions {
        run.add(session(Arc::clone(&run.stage), number));
    }
    run.gather(sessions as usize, needs).await?;
    run.say(&format!("all are there; {} s of rest", rest.as_secs()));
    run.put_on(rest, |_| true).await?;
    run.report("idle", sessions as usize).await
}

async fn session(stage: Arc<Stage>, number: u32) -> Result<(), Trouble> {
    let mut client = stage.arrive(number, "load").await?;
    stage.begin(&mut client).await?;
    stage.rest(&mut client).await?;
    client.leave().await;
    Ok(())
}
