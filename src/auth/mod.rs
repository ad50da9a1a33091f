//! Who are you: identities, secrets, time-limited credentials, static accounts, nonces, API keys. Pure computation.

pub mod api_key;
pub mod credential;
pub mod identity;
pub mod key;
pub mod nonce;
pub mod secret;
pub mod user_hash;
