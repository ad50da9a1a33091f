//! `turnbell drain`: out of service without cutting a call.

use std::time::Duration;

use clap::Args;

use super::ask::{Format, Question};
use crate::config::parse_drain_limit;
use crate::edge::control_json::Request;

#[derive(Debug, Args)]
#[command(after_help = "\
Clients that want a new relayed address are refused (508), or sent to a server that `alternate` in the
config names (300); what is relayed goes on, and so do its refreshes. GET /ice answers 503 `draining`,
or with the servers of [[ice.server]] alone; GET /readyz answers 503. The daemon ends with exit code 0
when nothing is relayed any more, at the latest after the limit. SIGUSR1 does the same for an hour.

A call whose daemon ended goes on after an ICE restart, which the page has to make.

Examples:
  turnbell drain
  turnbell drain --limit 10m       at the latest in ten minutes; a second time changes the limit
  turnbell status                  how many are left")]
pub(super) struct Drain {
    /// Longest it may take, from 1s to 24h [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = parse_drain_limit)]
    limit: Option<Duration>,
    #[command(flatten)]
    format: Format,
}

impl Drain {
    pub(super) fn question(self) -> Question {
        let limit_s = self.limit.map(|limit| limit.as_secs());
        Question { request: Request::Drain { limit_s }, format: self.format }
    }
}

pub(super) fn shown(allocations: u64, limit_s: u64) -> String {
    let left = match allocations {
        0 => return "Nothing is relayed: the daemon ends.\n".to_owned(),
        1 => "1 allocation is left".to_owned(),
        count => format!("{count} allocations are left"),
    };
    let limit = match limit_s {
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    };
    format!(
        "Draining: {left}; the daemon ends with the last of them, within {limit} at the latest.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_and_the_limit_are_told() {
        assert_eq!(shown(0, 60), "Nothing is relayed: the daemon ends.\n");
        assert!(shown(1, 7200).contains("1 allocation is left") && shown(1, 7200).contains("2 h "));
        assert!(shown(2, 90).contains("2 allocations are left") && shown(2, 90).contains("90 s "));
    }
}
