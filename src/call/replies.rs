//! What a session was answered: a repeated request gets the same reply and does nothing else.

use std::collections::{HashMap, VecDeque};

use super::event::Reply;
use super::refusal::Refusal;
use super::request::RequestId;
use crate::limits::call::REPLIES_MAX;

/// What is known of a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Seen {
    /// Nothing: it is to be done.
    New,
    /// It is being done; its reply comes.
    Pending,
    /// This was its reply.
    Answered(Result<Reply, Refusal>),
}

/// The last replies of a session, by request.
#[derive(Debug, Default)]
pub(super) struct Replies {
    reply_by_id: HashMap<RequestId, Option<Result<Reply, Refusal>>>,
    order: VecDeque<RequestId>,
}

impl Replies {
    /// Notes a request, unless it is known.
    pub(super) fn begin(&mut self, id: &RequestId) -> Seen {
        match self.reply_by_id.get(id) {
            Some(None) => Seen::Pending,
            Some(Some(reply)) => Seen::Answered(reply.clone()),
            None => {
                self.reply_by_id.insert(id.clone(), None);
                self.order.push_back(id.clone());
                if self.order.len() > REPLIES_MAX
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.reply_by_id.remove(&oldest);
                }
                Seen::New
            }
        }
    }

    /// As if it had never been asked.
    pub(super) fn forget(&mut self, id: &RequestId) {
        self.reply_by_id.remove(id);
        self.order.retain(|noted| noted != id);
    }

    /// Notes its reply.
    pub(super) fn finish(&mut self, id: &RequestId, reply: &Result<Reply, Refusal>) {
        if let Some(noted) = self.reply_by_id.get_mut(id) {
            *noted = Some(reply.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_256_requests_are_known() {
        let mut replies = Replies::default();
        let id = |n: usize| RequestId::new(&format!("r{n}")).unwrap();
        assert_eq!(replies.begin(&id(0)), Seen::New);
        assert_eq!(replies.begin(&id(0)), Seen::Pending);
        replies.finish(&id(0), &Ok(Reply::Pong(7)));
        for n in 1..REPLIES_MAX {
            assert_eq!(replies.begin(&id(n)), Seen::New);
        }
        assert_eq!(replies.begin(&id(0)), Seen::Answered(Ok(Reply::Pong(7))));
        assert_eq!(replies.begin(&id(REPLIES_MAX)), Seen::New);
        assert_eq!(replies.begin(&id(0)), Seen::New);
    }
}
