//! What a relay under test is made from.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use turnbell::auth::credential::{Issued, User, Verifier, issue};
use turnbell::auth::nonce::NonceKey;
use turnbell::auth::secret::Secret;
use turnbell::auth::user_hash::IssuedNames;
use turnbell::limits::{SHIELD_PER_SOURCE_DEFAULT, SHIELD_TOTAL_BITS_DEFAULT};
use turnbell::policy::peers::{PeerPolicy, PeerPolicyOptions};
use turnbell::policy::shield::Budgets;
use turnbell::time::Now;
use turnbell::turn::drain::Alternate;
use turnbell::turn::guard::{ExpiryRule, GuardOptions, GuardRules};
use turnbell::turn::rates::RateOptions;
use turnbell::turn::relay::{DefaultFamily, Options};
use turnbell::turn::relayed_address::RelayAddresses;
use turnbell::wire::address::Family;
use turnbell::wire::channel_data::ChannelRange;

use super::request::Credential;
use super::{RELAY_V4, RELAY_V6, SERVER, SERVER_V6};

/// The realm, unless a test sets another.
pub(crate) const REALM: &str = "turnbell";
/// The secret that makes credentials.
pub(crate) const SECRET: &str = "a secret of this test";
/// Wall clock at the start of every test, Unix seconds.
pub(crate) const START_S: i64 = 1_800_000_000;
/// When [`credential`] expires, Unix seconds.
pub(crate) const LATE_S: i64 = START_S + 10 * 86_400;

/// The settings of one relay; change fields before making it.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) realm: String,
    pub(crate) relay_addresses: Vec<IpAddr>,
    /// What clients were told before, and the index it stands for.
    pub(crate) former: Vec<(IpAddr, u8)>,
    /// Other servers.
    pub(crate) alternates: Vec<Alternate>,
    pub(crate) default_family: DefaultFamily,
    pub(crate) policy: PeerPolicyOptions,
    /// The second of two secrets; [`SECRET`] makes the credentials of every test.
    pub(crate) secret: String,
    pub(crate) guard: GuardOptions,
    /// Users whose credentials were issued here, so that USERHASH is recognised, with their expiry.
    pub(crate) issued: Vec<(&'static str, i64)>,
}

impl Default for Setup {
    /// Relay addresses of both families; peers in two documentation networks are opened.
    fn default() -> Self {
        let opened = ["192.0.2.0/24", "2001:db8:2::/48"].map(|net| net.parse().expect("a prefix"));
        Self {
            realm: REALM.to_owned(),
            relay_addresses: vec![RELAY_V4, RELAY_V6],
            former: Vec::new(),
            alternates: Vec::new(),
            default_family: DefaultFamily::Fixed(Family::V4),
            policy: PeerPolicyOptions {
                advertised_relay: vec![RELAY_V4, RELAY_V6],
                listeners: vec![SERVER, SERVER_V6],
                allow_private: opened.into(),
                ..PeerPolicyOptions::default()
            },
            secret: SECRET.to_owned(),
            guard: GuardOptions {
                rules: GuardRules {
                    shield: Budgets {
                        answers_per_source: SHIELD_PER_SOURCE_DEFAULT,
                        bits_total: SHIELD_TOTAL_BITS_DEFAULT,
                    },
                    rates: RateOptions::default(),
                    expiry: ExpiryRule::Allocate,
                },
                shield_seed: [7, 7],
                revoked: Vec::new(),
            },
            issued: Vec::new(),
        }
    }
}

impl Setup {
    /// Options for a relay that starts at `start`.
    pub(crate) fn options(&self, start: Now) -> Options {
        let users = [("static".to_owned(), Secret::new("account".to_owned()))];
        let secrets =
            ["the next secret", &self.secret].map(|text| Secret::new(text.to_owned())).into();
        Options {
            verifier: Arc::new(Verifier::new(&self.realm, secrets, users, self.issued())),
            policy: Arc::new(PeerPolicy::new(self.policy.clone())),
            nonce_key: NonceKey::new([7; 32], start),
            relay_addresses: RelayAddresses::new(self.relay_addresses.clone())
                .with_former(self.former.clone()),
            default_family: self.default_family,
            channel_range: ChannelRange::Rfc8656,
            alternates: self.alternates.clone().into(),
            guard: self.guard.clone(),
        }
    }

    fn issued(&self) -> Arc<IssuedNames> {
        let names = IssuedNames::new(&self.realm);
        for (user, expires_at) in &self.issued {
            names.note(&issued(user, *expires_at));
        }
        Arc::new(names)
    }
}

/// The credential of `user` that is good until `expires_at`, Unix seconds.
pub(crate) fn credential_until(user: &str, expires_at: i64) -> Credential {
    let issued = issued(user, expires_at);
    Credential::new(issued.username, issued.credential.expose())
}

/// The credential of `user` that outlives every test.
pub(crate) fn credential(user: &str) -> Credential {
    credential_until(user, LATE_S)
}

/// The credential of any username, as another backend that knows the secret would make it.
pub(crate) fn credential_of_username(username: &str) -> Credential {
    let mut mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).expect("keys of any length");
    mac.update(username.as_bytes());
    Credential::new(username, STANDARD.encode(mac.finalize().into_bytes()))
}

/// The static account's credential.
pub(crate) fn static_credential() -> Credential {
    Credential::new("static", "account")
}

fn issued(user: &str, expires_at: i64) -> Issued {
    issue(&secret(), &User::parse(user).expect("a user"), expires_at)
}

fn secret() -> Secret<String> {
    Secret::new(SECRET.to_owned())
}
