//! What a page's socket asks of the edge: who bears a token, and a fresh ICE config.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use super::socket::Desk;
use crate::auth::credential::User;
use crate::auth::identity::Identity;
use crate::auth::token::TokenError;
use crate::call::ulid::SessionId;
use crate::edge::Edge;
use crate::edge::access::Access;
use crate::edge::ice::Wanted;
use crate::edge::ice_urls::Vantage;
use crate::time::Now;

/// The edge, as one page sees it.
pub(super) struct PageDesk {
    pub(super) edge: Arc<Edge>,
    pub(super) vantage: Vantage,
    pub(super) client: Option<IpAddr>,
}

impl Desk for PageDesk {
    fn keys_for<'a>(&'a self, token: &'a str) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move { self.edge.options().identity.keys_for(token).await })
    }

    fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        self.edge.options().identity.bearer(Now::read(), token)
    }

    fn is_revoked(&self, who: &Identity) -> bool {
        self.edge.options().identity.revoked.holds(Now::read(), who)
    }

    fn ice(&self, who: &Identity, session: SessionId, has_turn: bool) -> Value {
        let options = self.edge.options();
        let user = User::of_session(who, &session.to_string());
        let now = Now::read();
        let left = who.expires_at_unix_s.map_or(i64::MAX, |end| end - now.unix_s());
        let left = u64::try_from(left).unwrap_or(0).max(1);
        let ttl_s = options.ice.ttl_default.as_secs().min(left);
        let wanted = Wanted { user: &user, ttl_s, vantage: self.vantage, has_turn };
        let access = Access::Token(Box::new(who.clone()));
        let config = self.edge.ice_config(now, wanted, access, self.client);
        config.and_then(|config| serde_json::to_value(config).ok()).unwrap_or(Value::Null)
    }
}
