//! `turnbell usage`: calls, minutes and relayed bytes of a time.

use anyhow::bail;
use clap::{Args, ValueEnum};

use super::ask::{self, Format};
use super::table;
use crate::config::Config;
use crate::edge::control_json::{Request, Response};
use crate::edge::usage_json::{UsageCounts, UsageItem, UsageWord};

#[derive(Debug, Args)]
#[command(after_help = "\
A call counts on the day of its invite, and for each user who is in it; what was relayed counts for
whom the credential was made. Days are UTC; --to is not included. DIRECT and RELAYED are calls by the
path that clients report. UNUSED are relayed addresses that carried nothing: gathered and not needed.
What is on at the moment has no minutes and no bytes yet.

Examples:
  turnbell usage                                        the last 30 days, day by day
  turnbell usage --by tenant --from 2026-11-01 --to 2026-12-01
  turnbell usage --by user --csv > november.csv")]
pub(super) struct Usage {
    /// From this day on, or Unix milliseconds [default: 30 days before the end]
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// Until before this day, or Unix milliseconds [default: now]
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// What it is added up by
    #[arg(long, value_enum, default_value_t = By::Day)]
    by: By,
    /// Print CSV, for spreadsheets and scripts; sizes in bytes
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Tenant,
    User,
    Day,
}

impl Usage {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let by = match self.by {
            By::Tenant => "tenant",
            By::User => "user",
            By::Day => "day",
        };
        let Self { from, to, by: _, csv, format } = self;
        let question =
            ask::Question { request: Request::Usage { from, to, by: Some(by.to_owned()) }, format };
        if !csv {
            return question.ask(config);
        }
        let Response::Usage(usage) = ask::answer(config, &question.request)? else {
            bail!("the turnbell that runs answers in another form than this one reads");
        };
        super::print(&usage.csv())
    }
}

pub(super) fn shown(usage: &UsageWord) -> String {
    let UsageWord { from_at, to_at, by, items, total, .. } = usage;
    let time = format!("from {} to {} UTC\n", table::time(*from_at), table::time(*to_at));
    if items.is_empty() {
        return format!("nothing was used {time}");
    }
    let mut head: Vec<&str> = match by.as_str() {
        "user" => vec!["TENANT", "USER"],
        "tenant" => vec!["TENANT"],
        _ => vec!["DAY (UTC)"],
    };
    let names = head.len();
    head.extend([
        "CALLS",
        "TALKED",
        "MINUTES",
        "DIRECT",
        "RELAYED",
        "ADDRESSES",
        "UNUSED",
        "UP",
        "DOWN",
    ]);
    let line = |UsageItem { tenant, user, day, counts }: &UsageItem| {
        let mut cells: Vec<String> = [tenant, user, day].into_iter().flatten().cloned().collect();
        cells.extend(numbers(counts));
        cells
    };
    let mut rows: Vec<Vec<String>> = items.iter().map(line).collect();
    let mut sum = vec![String::new(); names - 1];
    sum.insert(0, "all".to_owned());
    sum.extend(numbers(total));
    rows.push(sum);
    format!("{}{time}", table::table(&head, &rows))
}

fn numbers(counts: &UsageCounts) -> [String; 9] {
    let UsageCounts {
        calls,
        connected,
        minutes,
        talk_ms: _,
        direct,
        relayed,
        allocations,
        gathered_only,
        bytes_up,
        bytes_down,
    } = counts;
    let number = |count: &u64| count.to_string();
    [
        number(calls),
        number(connected),
        number(minutes),
        number(direct),
        number(relayed),
        number(allocations),
        number(gathered_only),
        table::bytes(*bytes_up),
        table::bytes(*bytes_down),
    ]
}
