//! The clients of the databases: the same questions to four kinds of servers.

mod mysql;
mod postgres;
mod redis;
mod sqlite;

use super::{Login, Rows, Source, User};
use crate::limits::coturn::{COTURN_DATABASE_PATIENCE, COTURN_ROWS_MAX};

/// The tables and what is asked of them, in every SQL dialect.
const TABLES: [(&str, &str); 8] = [
    ("turnusers_lt", "realm, name, hmackey"),
    ("turn_secret", "realm, value"),
    ("allowed_peer_ip", "realm, ip_range"),
    ("denied_peer_ip", "realm, ip_range"),
    ("turn_realm_option", "realm, opt, value"),
    ("turn_origin_to_realm", "realm, origin"),
    ("oauth_key", "realm, kid"),
    ("admin_user", "realm, name"),
];

impl Source {
    /// Everything in it.
    ///
    /// # Errors
    /// A sentence without a password in it, within [`COTURN_DATABASE_PATIENCE`].
    pub(in crate::config::coturn) fn read(&self) -> Result<Rows, String> {
        match self {
            Self::Sqlite(path) => sqlite::read(path),
            Self::Postgres(words) => waiting(postgres::read(words)),
            Self::Mysql(words) => waiting(mysql::read(words)),
            Self::Redis(words) => redis::read(words),
        }
    }
}

impl Rows {
    /// Takes in what a table holds, or that it could not be read.
    fn add(&mut self, table: &str, rows: Result<Vec<Vec<String>>, String>) {
        let mut rows = match rows {
            Ok(rows) => rows,
            Err(why) => return self.broken.push(format!("table {table}: {why}")),
        };
        if rows.len() > COTURN_ROWS_MAX {
            rows.truncate(COTURN_ROWS_MAX);
            self.broken.push(format!("table {table} beyond its first {COTURN_ROWS_MAX} rows"));
        }
        match table {
            "turn_realm_option" => self.options = rows.into_iter().filter_map(three).collect(),
            "turn_origin_to_realm" => self.origins = rows.len(),
            "oauth_key" => self.oauth_keys = rows.len(),
            "admin_user" => self.admins = rows.len(),
            "turnusers_lt" => {
                let user = |(realm, name, key)| User { realm, name, login: Login::Key(key) };
                self.users = rows.into_iter().filter_map(three).map(user).collect();
            }
            _ => {
                let pairs = rows.into_iter().filter_map(two).collect();
                match table {
                    "turn_secret" => self.secrets = pairs,
                    "allowed_peer_ip" => self.allowed = pairs,
                    _ => self.denied = pairs,
                }
            }
        }
    }

    /// Whether not one table could be read: the reason of the first.
    fn or_all_broken(self) -> Result<Self, String> {
        if self.broken.len() == TABLES.len() { Err(self.broken[0].clone()) } else { Ok(self) }
    }
}

fn question(table: &str, columns: &str) -> String {
    format!("SELECT {columns} FROM {table} LIMIT {}", COTURN_ROWS_MAX + 1)
}

/// Fixed-width columns come filled up with blanks.
fn two(row: Vec<String>) -> Option<(String, String)> {
    let [first, second] = <[String; 2]>::try_from(row).ok()?;
    Some((first.trim_end().to_owned(), second.trim_end().to_owned()))
}

fn three(row: Vec<String>) -> Option<(String, String, String)> {
    let [first, second, third] = <[String; 3]>::try_from(row).ok()?;
    Some((first.trim_end().to_owned(), second.trim_end().to_owned(), third.trim_end().to_owned()))
}

/// `host=localhost dbname=turn`: words with their values, as coturn writes connections.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split_ascii_whitespace().filter_map(|word| word.split_once('='))
}

/// Runs a client that needs a runtime on one of its own, wherever this is called.
fn waiting<F: Future<Output = Result<Rows, String>> + Send>(reading: F) -> Result<Rows, String> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let patience = COTURN_DATABASE_PATIENCE;
        runtime.block_on(async {
            let late = || format!("it gave no answer within {} s", patience.as_secs());
            tokio::time::timeout(patience, reading).await.map_err(|_| late())?
        })
    };
    std::thread::scope(|scope| scope.spawn(run).join())
        .unwrap_or_else(|_| Err("the database client stopped unexpectedly".to_owned()))
}
