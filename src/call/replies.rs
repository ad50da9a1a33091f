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

/// A reply as it is remembered. A busy session has [`REPLIES_MAX`] of them: the usual ones are small.
#[derive(Debug)]
enum Noted {
    Pending,
    Done,
    Signaled { is_delivered: bool },
    Other(Box<Result<Reply, Refusal>>),
}

impl Noted {
    fn of(reply: &Result<Reply, Refusal>) -> Self {
        match reply {
            Ok(Reply::Done) => Self::Done,
            Ok(Reply::Signaled { is_delivered }) => Self::Signaled { is_delivered: *is_delivered },
            Ok(
                Reply::Pong(_)
                | Reply::Invited(_)
                | Reply::Accepted(_)
                | Reply::Rejoined(_)
                | Reply::Blocked(_),
            )
            | Err(_) => Self::Other(Box::new(reply.clone())),
        }
    }

    fn seen(&self) -> Seen {
        Seen::Answered(match self {
            Self::Pending => return Seen::Pending,
            Self::Done => Ok(Reply::Done),
            Self::Signaled { is_delivered } => Ok(Reply::Signaled { is_delivered: *is_delivered }),
            Self::Other(reply) => (**reply).clone(),
        })
    }
}

/// The last replies of a session, by request.
#[derive(Debug, Default)]
pub(super) struct Replies {
    reply_by_id: HashMap<RequestId, Noted>,
    order: VecDeque<RequestId>,
}

impl Replies {
    /// Notes a request, unless it is known.
    pub(super) fn begin(&mut self, id: &RequestId) -> Seen {
        match self.reply_by_id.get(id) {
            Some(noted) => noted.seen(),
            None => {
                self.reply_by_id.insert(id.clone(), Noted::Pending);
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
            *noted = Noted::of(reply);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_comes_again_as_it_was_whichever_it_is() {
        let (mut replies, refusal) = (Replies::default(), Refusal::too_large("note"));
        let all = [
            Ok(Reply::Done),
            Ok(Reply::Signaled { is_delivered: false }),
            Ok(Reply::Signaled { is_delivered: true }),
            Ok(Reply::Pong(7)),
            Err(refusal),
        ];
        for (n, reply) in all.into_iter().enumerate() {
            let id = RequestId::new(&format!("r{n}")).unwrap();
            assert_eq!(replies.begin(&id), Seen::New);
            assert_eq!(replies.begin(&id), Seen::Pending);
            replies.finish(&id, &reply);
            assert_eq!(replies.begin(&id), Seen::Answered(reply));
        }
        assert_eq!(size_of::<Noted>(), 16, "room for 512 of them is made for a busy session");
    }

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
