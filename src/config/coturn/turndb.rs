//! coturn's user database: five kinds of them, the same tables in each.

#[cfg(feature = "coturn-databases")]
mod clients;

use std::path::{Path, PathBuf};

use super::report::counted;

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
#[cfg_attr(not(feature = "coturn-databases"), allow(dead_code, reason = "clients make it"))]
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
#[cfg_attr(not(feature = "coturn-databases"), allow(dead_code, reason = "clients read it"))]
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
}

#[cfg(not(feature = "coturn-databases"))]
impl Source {
    /// Nothing: this build has no clients.
    pub(super) fn read(&self) -> Result<Rows, String> {
        Err("this turnbell was built without the cargo feature coturn-databases".to_owned())
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
        let told: Vec<String> = some.map(|(count, what)| counted(*count, what)).collect();
        if told.is_empty() { "it is empty".to_owned() } else { told.join(", ") }
    }
}
