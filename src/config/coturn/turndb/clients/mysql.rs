//! MySQL and MariaDB (`mysql-userdb`).

use std::path::Path;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row, Value};

use super::{TABLES, question, words};
use crate::config::coturn::turndb::Rows;

/// What `localhost` means for MySQL's own clients: a socket, where Debian's server has it.
const SOCKET: &str = "/run/mysqld/mysqld.sock";

pub(super) async fn read(connection: &str) -> Result<Rows, String> {
    let mut client = Conn::new(options(connection)?).await.map_err(|error| error.to_string())?;
    let mut rows = Rows::default();
    for (table, columns) in TABLES {
        let found: Result<Vec<Row>, _> = client.query(question(table, columns)).await;
        let found = found.map_err(|error| error.to_string());
        rows.add(table, found.map(|found| found.into_iter().map(texts).collect()));
    }
    // What it holds is read; how it ends does not matter.
    let _ = client.disconnect().await;
    rows.or_all_broken()
}

fn options(connection: &str) -> Result<Opts, String> {
    if connection.contains("://") {
        let url = connection.replacen("mariadb://", "mysql://", 1);
        return Opts::from_url(&url).map_err(|error| error.to_string());
    }
    let mut host = "localhost";
    // What the server says by itself is not followed: it may name a socket of another machine's.
    let mut options = OptsBuilder::default().prefer_socket(false);
    for (name, value) in words(connection) {
        options = match name {
            "host" | "ip" => {
                host = value;
                options
            }
            "dbname" | "db" | "database" => options.db_name(Some(value)),
            "user" | "uid" => options.user(Some(value)),
            "password" | "pwd" => options.pass(Some(value)),
            "port" => options.tcp_port(value.parse().map_err(|_| "port= is no port".to_owned())?),
            // Timeouts and TLS files.
            _ => options,
        };
    }
    if host == "localhost" && Path::new(SOCKET).exists() {
        options = options.socket(Some(SOCKET));
    }
    Ok(options.ip_or_hostname(host).into())
}

fn texts(mut row: Row) -> Vec<String> {
    let text = |value: Value| match value {
        Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::NULL => String::new(),
        other @ (Value::Int(_)
        | Value::UInt(_)
        | Value::Float(_)
        | Value::Double(_)
        | Value::Date(..)
        | Value::Time(..)) => other.as_sql(true),
    };
    (0..row.len()).map(|at| row.take(at).map(text).unwrap_or_default()).collect()
}
