//! coturn's user database: five kinds of them, the same tables in each.

mod mysql;
mod postgres;
mod redis;
mod sqlite;

use std::path::{Path, PathBuf};

use crate::limits::coturn::{COTURN_DATABASE_PATIENCE, COTURN_ROWS_MAX};

/// What the database holds. Realm first in every pair.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) users: Vec<User>,
    pub(super) secrets: Vec<(String, String)>,
    pub(super) allowed: Vec<(String, String)>,
    pub(super) denied: Vec<(String, String)>,
    /// Realm, option, value.
    pub(super) options: Vec<(String, String, String)>,
    pub(super) origins: usize,
    pub(super) oauth_keys: usize,
    pub(super) admins: usize,
    /// Tables that could not be read or have more rows than are taken.
    pub(super) broken: Vec<String>,
}

/// A static account.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) realm: String,
    pub(super) name: String,
    pub(super) login: Login,
}

/// What an account is known by.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Login {
    /// 32 hex digits of md5(name:realm:password), perhaps.
    Key(String),
    Password(String),
}

/// Where a database is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    Sqlite(PathBuf),
    /// As libpq reads it: words or a URL.
    Postgres(String),
    /// coturn's words or a URL.
    Mysql(String),
    /// coturn's words or a URL.
    Redis(String),
}

/// Where coturn looks for its SQLite file by itself.
const USUAL: [&str; 5] = [
    "/var/lib/turn/turndb",
    "/var/lib/coturn/turndb",
    "/var/db/turndb",
    "/usr/local/var/db/turndb",
    "/usr/var/db/turndb",
];

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
    /// What stands behind `--turndb`: a file, a URL, or coturn's words behind `psql:`, `mysql:`, `redis:`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let starts = |words: &[&str]| words.iter().any(|word| lower.starts_with(word));
        if starts(&["postgres://", "postgresql://"]) {
            return Ok(Self::Postgres(text.to_owned()));
        } else if starts(&["mysql://", "mariadb://"]) {
            return Ok(Self::Mysql(text.to_owned()));
        } else if starts(&["redis://", "rediss://", "unix://", "redis+unix://"]) {
            return Ok(Self::Redis(text.to_owned()));
        } else if starts(&["mongodb:", "mongodb+srv:"]) {
            return Err(MONGO.to_owned());
        }
        match text.split_once(':') {
            Some(("psql" | "postgres" | "postgresql", words)) => {
                Ok(Self::Postgres(words.to_owned()))
            }
            Some(("mysql" | "mariadb", words)) => Ok(Self::Mysql(words.to_owned())),
            Some(("redis", words)) => Ok(Self::Redis(words.to_owned())),
            Some(_) | None => Ok(Self::Sqlite(PathBuf::from(text))),
        }
    }

    /// What an option of coturn's names.
    pub(super) fn of_option(option: &str, value: &str) -> Result<Self, String> {
        let value = value.to_owned();
        match option {
            "psql-userdb" | "sql-userdb" => Ok(Self::Postgres(value)),
            "mysql-userdb" => Ok(Self::Mysql(value)),
            "redis-userdb" => Ok(Self::Redis(value)),
            "mongo-userdb" => Err(MONGO.to_owned()),
            _ if value.is_empty() => {
                Self::usual().ok_or_else(|| "coturn's own is at none of its places".to_owned())
            }
            _ => Ok(Self::Sqlite(PathBuf::from(value))),
        }
    }

    /// coturn's own, if it is at one of its places.
    pub(super) fn usual() -> Option<Self> {
        let found = USUAL.into_iter().find(|path| Path::new(path).is_file())?;
        Some(Self::Sqlite(PathBuf::from(found)))
    }

    /// Everything in it.
    ///
    /// # Errors
    /// A sentence without a password in it, within [`COTURN_DATABASE_PATIENCE`].
    pub(super) fn read(&self) -> Result<Rows, String> {
        match self {
            Self::Sqlite(path) => sqlite::read(path),
            Self::Postgres(words) => waiting(postgres::read(words)),
            Self::Mysql(words) => waiting(mysql::read(words)),
            Self::Redis(words) => redis::read(words),
        }
    }
}

const MONGO: &str = "MongoDB is not read; copy its users into an SQLite turndb with turnadmin -a -b FILE, \
                     and name that with --turndb";

impl Rows {
    /// How many of what, for a person.
    pub(super) fn told(&self) -> String {
        let counts = [
            (self.users.len(), "user"),
            (self.secrets.len(), "shared secret"),
            (self.allowed.len() + self.denied.len(), "peer range"),
            (self.options.len(), "realm option"),
            (self.origins, "origin"),
            (self.oauth_keys, "OAuth key"),
            (self.admins, "administrator"),
        ];
        let some = counts.iter().filter(|(count, _)| *count > 0);
        let told: Vec<String> = some
            .map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" }))
            .collect();
        if told.is_empty() { "it is empty".to_owned() } else { told.join(", ") }
    }

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
