//! Who may: realm, shared secrets, static accounts, typed or from the user database. An open relay is
//! never reproduced.

use super::DatabaseChoice;
use super::draft::{Item, Value};
use super::logins::{Accounts, take_secret};
use super::peers::ONE_REALM;
use super::reading::{At, Import, switch};
use super::realm::Realm;
use super::report::{Verdict, counted, hidden};
use super::turndb::{self, Login, Rows};

/// Options that name a user database; coturn has one, the last.
const DATABASES: [&str; 7] =
    ["userdb", "db", "psql-userdb", "sql-userdb", "mysql-userdb", "redis-userdb", "mongo-userdb"];

impl Import {
    pub(super) fn peers_and_accounts(&mut self, choice: &DatabaseChoice) {
        let rows = self.database(choice);
        let realm = self.realm(rows.as_ref());
        self.peers(rows.as_ref(), &realm.there);
        let rows = rows.unwrap_or_default();
        self.options_of_realm(&rows, &realm.there);
        let has_secrets = self.shared_secrets(&rows, &realm.there);
        let has_users = self.users(&rows, &realm, has_secrets);
        self.who_is_let_in(has_secrets || has_users);
        self.others(&rows);
    }

    fn database(&mut self, choice: &DatabaseChoice) -> Option<Rows> {
        let typed = self.last(&DATABASES);
        let key_file = self.last(&["secret-key-file"]);
        if let Some(at) = key_file {
            let why = "it encrypts the password in mysql-userdb; give the plain one with --turndb";
            self.tell(at, Verdict::NotSupported, why);
        }
        let source = match (choice, typed) {
            (DatabaseChoice::Never, _) => Ok(None),
            (DatabaseChoice::Named(text), _) => turndb::Source::parse(text).map(Some),
            (DatabaseChoice::AsConfigured, Some(at)) => {
                turndb::Source::of_option(&self.statements[at].name, self.value(at)).map(Some)
            }
            (DatabaseChoice::AsConfigured, None) => Ok(turndb::Source::usual()),
        };
        let read = source.and_then(|source| source.map(|source| source.read()).transpose());
        let (verdict, text, rows) = match read {
            Ok(Some(rows)) => {
                (Verdict::Mapped, format!("was read once: {}", rows.told()), Some(rows))
            }
            Ok(None) => (Verdict::NotSupported, "was not read".to_owned(), None),
            Err(why) => {
                self.report.unread = Some(why.clone());
                (Verdict::NotSupported, format!("was not read: {why}"), None)
            }
        };
        match typed {
            Some(at) => self.tell(at, verdict, text),
            None if text == "was not read" => {}
            None => self.tell_database("user database", verdict, text),
        }
        rows
    }

    /// Whether coturn takes time-limited credentials.
    fn shared_secrets(&mut self, rows: &Rows, realm: &str) -> bool {
        let typed = self.all(&["static-auth-secret"]);
        let switched_on = self.last(&["use-auth-secret"]);
        let separator = self.last(&["rest-api-separator"]);
        let mut items: Vec<Item> = Vec::new();
        for at in &typed {
            let secret = self.value(*at).to_owned();
            let from = self.from(*at);
            let (verdict, text) = take_secret(&mut items, secret, from);
            self.tell(*at, verdict, text);
        }
        let is_on = switched_on.is_some() || !typed.is_empty();
        let (of_ours, others): (Vec<_>, Vec<_>) =
            rows.secrets.iter().partition(|(of, _)| of == realm || of.is_empty());
        for (_, secret) in of_ours {
            let what = format!("shared secret ({})", hidden(secret));
            if is_on {
                let from = "database, turn_secret".to_owned();
                let (verdict, text) = take_secret(&mut items, secret.clone(), from);
                self.tell_database(&what, verdict, text);
            } else {
                self.tell_database(&what, Verdict::NotNeeded, "coturn has no use-auth-secret");
            }
        }
        if !others.is_empty() {
            let what = format!("{} of other realms", counted(others.len(), "shared secret"));
            self.tell_database(&what, Verdict::NotSupported, ONE_REALM);
        }
        if is_on && items.is_empty() {
            self.report.note(
                "no shared secret was taken over: turnbell makes one, <state_directory>/secret; give \
                 it to your backend, or let it ask GET /ice",
            );
        }
        if let Some(at) = switched_on {
            self.tell(at, Verdict::Mapped, format!("`auth.secrets`, and {COTURN_USERNAMES}"));
        } else if is_on {
            self.report.note(COTURN_USERNAMES);
        }
        if !items.is_empty() {
            let why = "static-auth-secret; the first one issues, all are taken";
            self.draft.set("auth.secrets", Value::List(items), why);
        }
        if is_on {
            let why =
                "coturn takes them; back to \"strict\" once your backend writes <expiry>:<user>";
            self.draft.set("auth.rest_usernames", Value::Text("coturn".to_owned()), why);
        }
        match separator {
            Some(at) if self.value(at).is_empty() || self.value(at).starts_with(':') => {
                self.tell(at, Verdict::TakenOver, "it is : here");
            }
            Some(at) => {
                let why = "it is : here; have your backend write <expiry>:<user>";
                self.tell(at, Verdict::NotSupported, why);
            }
            None => {}
        }
        is_on
    }

    /// Whether coturn lets static accounts in.
    fn users(&mut self, rows: &Rows, realm: &Realm, has_secrets: bool) -> bool {
        let typed = self.all(&["user"]);
        let mechanism = self.last(&["lt-cred-mech"]);
        let is_on = mechanism.is_some_and(|at| switch(self.value(at)) != Some(false));
        if let Some(at) = mechanism {
            self.tell(at, Verdict::TakenOver, "everybody needs a credential here");
        }
        let mut accounts = Accounts::default();
        // The last mention of a name counts.
        for at in typed.iter().rev() {
            let (verdict, text) = if has_secrets {
                (Verdict::NotNeeded, BESIDE_SECRETS.to_owned())
            } else {
                self.take_user(*at, realm, &mut accounts)
            };
            self.tell_user(*at, verdict, &text);
        }
        accounts.passwords.reverse();
        accounts.keys.reverse();
        self.users_of_database(rows, realm, has_secrets, &mut accounts);
        for (key, items, why) in [
            ("auth.users", accounts.passwords, "user=NAME:PASSWORD"),
            ("auth.user_keys", accounts.keys, "keys of coturn, good for this realm only"),
        ] {
            if !items.is_empty() {
                self.draft.set(key, Value::List(items), why);
            }
        }
        is_on || !typed.is_empty()
    }

    /// The name is no secret, what follows it is.
    fn tell_user(&mut self, at: At, verdict: Verdict, text: &str) {
        let name = self.value(at).split(':').next().unwrap_or_default().to_owned();
        let named = format!("user {name:?}: {text}");
        self.tell(at, verdict, if self.value(at).contains(':') { &named } else { text });
    }

    fn take_user(&self, at: At, realm: &Realm, accounts: &mut Accounts) -> (Verdict, String) {
        let Some((name, password)) = self.value(at).split_once(':') else {
            return (Verdict::Broken, "must be NAME:PASSWORD or NAME:0xKEY".to_owned());
        };
        let login = match password.strip_prefix("0x") {
            Some(key) => Login::Key(key.to_owned()),
            None => Login::Password(password.to_owned()),
        };
        accounts.take(name, &login, realm, &self.from(at))
    }

    fn users_of_database(
        &mut self,
        rows: &Rows,
        realm: &Realm,
        has_secrets: bool,
        accounts: &mut Accounts,
    ) {
        let (of_ours, others): (Vec<_>, Vec<_>) =
            rows.users.iter().partition(|user| user.realm == realm.there);
        if has_secrets && !of_ours.is_empty() {
            let what = counted(of_ours.len(), "user");
            self.tell_database(&what, Verdict::NotNeeded, BESIDE_SECRETS);
        } else {
            let mut taken = 0;
            for user in of_ours {
                let from = "database, turnusers_lt";
                match accounts.take(&user.name, &user.login, realm, from) {
                    (Verdict::TakenOver, _) => taken += 1,
                    (verdict, why) => {
                        self.tell_database(&format!("user {:?}", user.name), verdict, why);
                    }
                }
            }
            if taken > 0 {
                let text = "`auth.user_keys`: their keys, as coturn stores them; a client that \
                            chooses SHA-256 needs the password itself (`turnbell user add`)";
                self.tell_database(&counted(taken, "user"), Verdict::TakenOver, text);
            }
        }
        let mut realms: Vec<&str> = others.iter().map(|user| user.realm.as_str()).collect();
        realms.sort_unstable();
        realms.dedup();
        for name in realms {
            let count = others.iter().filter(|user| user.realm == name).count();
            let text = if realm.there.is_empty() {
                format!(
                    "their keys are made for that realm, and coturn's file names none; if it is the \
                     one that clients are told: --args '--realm {name}'"
                )
            } else {
                format!("their keys are made for that realm, and this one has another; {ONE_REALM}")
            };
            let what = format!("{} of realm {name:?}", counted(count, "user"));
            self.tell_database(&what, Verdict::NotSupported, text);
        }
    }

    fn who_is_let_in(&mut self, anybody: bool) {
        let open = self.is_on("no-auth");
        if let Some(at) = open {
            self.tell(at, Verdict::NotSupported, OPEN_RELAY);
        } else if !anybody {
            self.report.note(format!("coturn asked nobody who he is, and {OPEN_RELAY}"));
        }
    }

    fn options_of_realm(&mut self, rows: &Rows, realm: &str) {
        let (of_ours, others): (Vec<_>, Vec<_>) =
            rows.options.iter().partition(|(of, ..)| of == realm);
        self.realm_options =
            of_ours.into_iter().map(|(_, opt, value)| (opt.clone(), value.clone())).collect();
        if !others.is_empty() {
            let what = format!("{} of other realms", counted(others.len(), "option"));
            self.tell_database(&what, Verdict::NotSupported, ONE_REALM);
        }
    }

    fn others(&mut self, rows: &Rows) {
        let origins = "browsers send no ORIGIN in STUN, so it never chose a realm";
        let oauth = "OAuth (RFC 7635) is not offered";
        let admins = "there is no web administration; turnbell's commands ask for the right to open \
                      its socket";
        for (count, what, verdict, text) in [
            (rows.origins, "origin", Verdict::NotNeeded, origins),
            (rows.oauth_keys, "OAuth key", Verdict::NotSupported, oauth),
            (rows.admins, "administrator", Verdict::NotNeeded, admins),
        ] {
            if count > 0 {
                self.tell_database(&counted(count, what), verdict, text);
            }
        }
        for what in &rows.broken {
            self.tell_database(what, Verdict::Broken, "could not be read; the others were");
        }
    }
}

const COTURN_USERNAMES: &str = "`auth.rest_usernames = \"coturn\"`: a lone <expiry> (Prosody, Jitsi) and \
                                <user>:<expiry> pass, as in coturn; set it to \"strict\" if your \
                                backend writes <expiry>:<user>, as GET /ice does";
const OPEN_RELAY: &str = "an open relay is never made: whoever finds it would send through it. Clients \
                          get credentials from GET /ice, or from your backend with the shared secret";
const BESIDE_SECRETS: &str = "coturn lets no account in where there is a shared secret; here both \
                              work: add those you want with `turnbell user add`";
