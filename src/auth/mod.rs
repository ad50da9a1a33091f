//! Who are you: identities, secrets, time-limited credentials, static accounts, nonces, API keys. Pure computation.

pub mod api_key;
pub mod credential;
pub mod identity;
pub mod key;
pub mod key_ring;
pub mod nonce;
pub mod own_token;
pub mod page_run;
pub mod secret;
pub mod token;
pub mod token_keys;
pub mod user_hash;
pub mod whom;
