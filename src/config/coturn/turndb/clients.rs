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
        if let Some((word, port)) = self.word_for_tls() {
            return Err(format!("it asks for TLS ({word}); {}", without_tls(port)));
        }
        let (read, port) = match self {
            Self::Sqlite(path) => return sqlite::read(path),
            Self::Postgres(words) => (waiting(postgres::read(words)), POSTGRES_PORT),
            Self::Mysql(words) => (waiting(mysql::read(words)), MYSQL_PORT),
            Self::Redis(words) => (redis::read(words), REDIS_PORT),
        };
        // PostgreSQL, MySQL, and MariaDB, whose words are the same for a wrong password.
        let tls_may_be_missing = ["no encryption", "insecure transport", "Access denied"];
        let is_about_tls = |why: &str| tls_may_be_missing.iter().any(|words| why.contains(words));
        read.map_err(|why| match is_about_tls(&why) {
            true => format!("{why}; if it takes nobody without TLS: {}", without_tls(port)),
            false => why,
        })
    }

    /// What of a connection asks for TLS, and the usual port. To go on in plain text would send keys
    /// over a network that its admin does not trust.
    fn word_for_tls(&self) -> Option<(&str, u16)> {
        let (text, words, port): (_, &[&str], _) = match self {
            Self::Sqlite(_) => return None,
            Self::Postgres(text) => {
                let modes = &["sslmode=require", "sslmode=verify-ca", "sslmode=verify-full"];
                (text, modes, POSTGRES_PORT)
            }
            Self::Mysql(text) => {
                let files = &["ca=", "capath=", "cert=", "cipher=", "require_ssl=true"];
                (text, files, MYSQL_PORT)
            }
            Self::Redis(text) => (text, &["rediss://", "tls=1", "tls=true", "tls=yes"], REDIS_PORT),
        };
        let parts = text.split(|c: char| c.is_ascii_whitespace() || matches!(c, '?' | '&' | '"'));
        let mut found = parts.filter_map(|part| words.iter().find(|word| part.starts_with(**word)));
        found.next().map(|word| (word.trim_end_matches('='), port))
    }
}

const POSTGRES_PORT: u16 = 5432;
const MYSQL_PORT: u16 = 3306;
const REDIS_PORT: u16 = 6379;

fn without_tls(port: u16) -> String {
    format!(
        "the import speaks no TLS to databases: run it on the database's machine, or through \
         `ssh -N -L {port}:127.0.0.1:{port} HOST`, and say so with --turndb"
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_asks_for_tls_is_not_made_in_plain_text() {
        let source = |text: &str| Source::parse(text).unwrap();
        for (text, port) in [
            ("psql:host=10.0.0.1 dbname=a password=hunter22 sslmode=require", "5432"),
            (
                "postgresql://a:hunter22@10.0.0.1/coturn?connect_timeout=3&sslmode=verify-full",
                "5432",
            ),
            ("mysql:host=10.0.0.1 user=a password=hunter22 ca=/etc/ca.pem", "3306"),
            ("mysql://a:hunter22@10.0.0.1/coturn?require_ssl=true", "3306"),
            ("redis:ip=10.0.0.1 password=hunter22 tls=1", "6379"),
            ("rediss://:hunter22@10.0.0.1/2", "6379"),
        ] {
            let why = source(text).read().unwrap_err();
            assert!(why.contains("it asks for TLS (") && why.contains(port), "{text}: {why}");
            assert!(!why.contains("hunter22"), "{why}");
        }
        for plain in [
            "psql:host=/tmp dbname=sslmode sslmode=disable",
            "psql:host=/tmp sslmode=prefer",
            "mysql:host=a user=ca password=cert",
            "redis:ip=a tls=0",
        ] {
            assert_eq!(source(plain).word_for_tls(), None, "{plain}");
        }
    }
}
