//! `turnbell dashboard`: a link that opens the page of `/diagnostics` in a browser.

use clap::Args;

use super::ask::{Format, Question};
use super::table;
use crate::edge::control_json::Request;
use crate::edge::operator_json::DashboardLink;
use crate::ops::log::printable;

#[derive(Debug, Args)]
#[command(after_help = "\
The link opens the page once, within ten minutes; the page then goes on for twelve hours in that tab. What
lets in stands behind the `#`, which browsers send to no server.

Examples:
  turnbell dashboard
  xdg-open \"$(turnbell dashboard --json | jq -r .dashboard.url)\"")]
pub(super) struct Dashboard {
    #[command(flatten)]
    format: Format,
}

impl Dashboard {
    pub(super) fn question(self) -> Question {
        Question { request: Request::Dashboard {}, format: self.format }
    }
}

pub(super) fn shown(link: &DashboardLink) -> String {
    let DashboardLink { url, url_from, expires_at } = link;
    format!(
        "{url}\n\nOpens the page once, until {} UTC.\nThe link begins as {}.\n",
        table::time(*expires_at),
        printable(url_from),
    )
}
