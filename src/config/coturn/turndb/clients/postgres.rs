//! PostgreSQL (`psql-userdb`).

use std::str::FromStr;

use tokio_postgres::{Client, Config, NoTls};

use super::{TABLES, question, words};
use crate::config::coturn::turndb::Rows;

/// Where Debian's server listens when nobody says where.
const SOCKETS: &str = "/var/run/postgresql";

pub(super) async fn read(connection: &str) -> Result<Rows, String> {
    let (client, background) =
        config(connection)?.connect(NoTls).await.map_err(|error| with_cause(&error))?;
    let background = tokio::spawn(background);
    let rows = tables(&client).await;
    background.abort();
    rows.or_all_broken()
}

fn config(connection: &str) -> Result<Config, String> {
    // What libpq knows and this client does not is left out: it is about TLS and reconnecting.
    let known = |name: &str| {
        ["host", "hostaddr", "port", "user", "password", "dbname", "options", "connect_timeout"]
            .contains(&name)
    };
    let plain = !connection.contains("://") && !connection.contains(['\'', '\\']);
    let text = if plain {
        let kept = words(connection).filter(|(name, _)| known(name));
        kept.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    } else {
        connection.to_owned()
    };
    let mut config = Config::from_str(&text).map_err(|error| with_cause(&error))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        config.host(SOCKETS);
    }
    Ok(config)
}

async fn tables(client: &Client) -> Rows {
    let mut rows = Rows::default();
    for (table, columns) in TABLES {
        let found = client.query(&question(table, columns), &[]).await;
        let found = found.map_err(|error| with_cause(&error)).and_then(|found| {
            let width = columns.split(',').count();
            let text = |row: &tokio_postgres::Row, at| {
                row.try_get::<_, Option<String>>(at).map(Option::unwrap_or_default)
            };
            let row = |row| (0..width).map(|at| text(row, at)).collect::<Result<Vec<_>, _>>();
            found.iter().map(row).collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())
        });
        rows.add(table, found);
    }
    rows
}

fn with_cause(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
