//! `turnbell forget`: takes a person out of the record.

use anyhow::bail;
use clap::Args;

use super::ask::{Format, Question};
use super::table;
use crate::config::Config;
use crate::edge::control_json::Request;
use crate::edge::forget_json::{ForgottenWord, RowsWord};

#[derive(Debug, Args)]
#[command(after_help = "\
Ends what USER has (pages, calls, allocations), then deletes what is on record of him alone and takes
his name, numbers, devices and addresses out of what others need: his calls stay in the history of
whoever talked to him, what he relayed stays in the usage of his tenant. Without --yes it only says
what it would do. Done twice it finishes what was cut short.

It does not lock him out (`turnbell revoke` does), and a revocation that holds is kept: forgetting must
not let anybody in. Copies by `turnbell backup` and of older versions still hold him.

Examples:
  turnbell forget alice              what is on record of her
  turnbell forget alice --yes
  turnbell forget alice --tenant acme --yes")]
pub(super) struct Forget {
    /// Whom, as tokens name him
    #[arg(value_name = "USER")]
    user: String,
    /// In which tenant [default: default, and users without a tenant]
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Do it
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    format: Format,
}

impl Forget {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let Self { user, tenant, yes, format } = self;
        let request = Request::Forget { user, tenant, really: yes };
        Question { request, format }.ask(config)?;
        if !yes {
            bail!("nothing was done: `--yes` does it");
        }
        Ok(())
    }
}

pub(super) fn shown(word: &ForgottenWord) -> String {
    let ForgottenWord { user, tenant, done, ended_allocations, rows, copies } = word;
    let whom = format!("{user:?} of tenant {tenant}");
    let mut text = String::new();
    match ended_allocations {
        Some(1) => text.push_str("1 allocation was ended.\n"),
        Some(count @ 2..) => text.push_str(&format!("{count} allocations were ended.\n")),
        Some(0) | None => {}
    }
    let some: Vec<&RowsWord> = rows.iter().filter(|row| row.rows > 0).collect();
    if some.is_empty() {
        return format!("{text}nothing is on record of {whom}\n");
    }
    text.push_str(&match done {
        true => format!("forgotten: {whom}\n"),
        false => format!("on record of {whom}:\n"),
    });
    let line = |row: &&RowsWord| {
        let what = match (done, row.what.as_str()) {
            (true, what) => what.to_owned(),
            (false, "kept") => "would be kept".to_owned(),
            (false, what) => format!("would be {what}"),
        };
        vec![row.table.clone(), row.rows.to_string(), what]
    };
    let lines: Vec<Vec<String>> = some.iter().map(line).collect();
    text.push_str(&table::table(&["TABLE", "ROWS", ""], &lines));
    if !copies.is_empty() {
        text.push_str(&format!("may still be in these files: {}\n", copies.join(", ")));
    }
    text
}
