//! A switchboard with a clock that moves when told, pages that talk to it, and a record.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use turnbell::auth::identity::{Identity, Role, TenantId, UserId};
use turnbell::call::contract::{
    Authorize, CloseCode, Command, ConnectionId, Input, Output, StoreFailed, Ticket,
};
use turnbell::call::event::{Event, Message, Reply, Welcome};
use turnbell::call::fact::Fact;
use turnbell::call::options::{TenantOptions, Tenants};
use turnbell::call::refusal::{ErrorCode, Refusal};
use turnbell::call::request::{Capabilities, Device, Frame, Hello, Request, RequestId, Resume};
use turnbell::call::rows::{CallRow, Row, UnfinishedCall};
use turnbell::call::switchboard::{Options, Switchboard};
use turnbell::time::Now;

use super::record::Record;
use super::said::said;

/// When every test begins: a Unix second.
pub(crate) const START_S: i64 = 1_800_000_000;

/// A switchboard and everything that came out of it.
pub(crate) struct Board {
    pub(crate) switchboard: Switchboard,
    pub(crate) now: Now,
    start: Now,
    sockets: BTreeMap<ConnectionId, Socket>,
    next_connection: u64,
    next_request: u64,
    tenants: Arc<Tenants>,
    /// The record takes nothing.
    pub(crate) is_store_broken: bool,
    /// All that was handed in.
    pub(crate) record: Record,
    /// Rows are durable when [`Self::commit`] says so, not at once.
    pub(crate) is_lazy: bool,
    uncommitted: VecDeque<(Ticket, Row)>,
    /// Of a lazy one: what survives.
    durable: Record,
    pub(crate) facts: Vec<Fact>,
    pub(crate) asks: Vec<(Ticket, Authorize)>,
    pub(crate) done: Vec<(Ticket, Result<(), Refusal>)>,
}

/// One socket of a page.
#[derive(Default)]
pub(crate) struct Socket {
    pub(crate) welcome: Option<Welcome>,
    /// What came and was not looked at, with its number.
    pub(crate) events: Vec<(u64, Arc<Event>)>,
    pub(crate) replies: Vec<(Option<RequestId>, Result<Reply, Refusal>)>,
    pub(crate) closed: Option<CloseCode>,
    /// It does not read.
    pub(crate) is_slow: bool,
    pub(crate) last_seq: u64,
    /// Everything in order, for a page that reads when it likes.
    pub(crate) inbox: VecDeque<Message>,
}

/// Who connects with what.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) identity: Identity,
    pub(crate) device: Device,
    pub(crate) capabilities: Capabilities,
}

/// A page: somebody on a device, over a socket.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) connection: ConnectionId,
    pub(crate) who: Who,
}

pub(crate) fn who(user: &str) -> Who {
    who_on(user, "laptop")
}

pub(crate) fn who_on(user: &str, device: &str) -> Who {
    let identity = Identity {
        tenant: TenantId::default_tenant(),
        user: UserId::new(user).unwrap(),
        role: Role::Member,
        name: user.to_uppercase().into(),
        is_verified: true,
        expires_at_unix_s: None,
        contact: None,
        number: None,
    };
    let device = Device { id: device.into(), kind: "browser".into(), label: device.into() };
    Who { identity, device, capabilities: Capabilities { media_reports: true } }
}

impl Board {
    /// With one tenant, `default`.
    pub(crate) fn new() -> Self {
        Self::with(TenantOptions::default())
    }

    /// The same whose rows are durable when [`Self::commit`] says so.
    pub(crate) fn lazy() -> Self {
        Self { is_lazy: true, ..Self::new() }
    }

    pub(crate) fn with(options: TenantOptions) -> Self {
        let other = TenantId::new("other").unwrap();
        let tenants = [(TenantId::default_tenant(), options), (other, TenantOptions::default())];
        Self::with_tenants(Tenants { options_by_tenant: tenants.into_iter().collect() }, [7; 32])
    }

    pub(crate) fn with_tenants(tenants: Tenants, seed: [u8; 32]) -> Self {
        let start = Now { unix_ms: START_S * 1000, ..Now::read() };
        let tenants = Arc::new(tenants);
        Self {
            switchboard: Switchboard::new(Options { tenants: Arc::clone(&tenants), seed }),
            tenants,
            now: start,
            start,
            sockets: BTreeMap::new(),
            next_connection: 0,
            next_request: 0,
            is_store_broken: false,
            record: Record::default(),
            is_lazy: false,
            uncommitted: VecDeque::new(),
            durable: Record::default(),
            facts: Vec::new(),
            asks: Vec::new(),
            done: Vec::new(),
        }
    }

    /// A page connects; it is in, and what it was told at first is forgotten.
    pub(crate) fn page(&mut self, who: Who) -> Page {
        let page = self.connect(who, None);
        assert!(self.socket(&page).welcome.is_some(), "{:?}", self.socket(&page).closed);
        page
    }

    /// The same on which nothing is forgotten: all that it hears begins with `sync`.
    pub(crate) fn connect(&mut self, who: Who, resume: Option<Resume>) -> Page {
        let connection = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.sockets.insert(connection, Socket::default());
        if let Some(resume) = &resume {
            self.socket_mut(connection).last_seq = resume.last_seq;
        }
        let Who { identity, device, capabilities } = who.clone();
        let hello = Box::new(Hello { identity, device, capabilities, resume });
        self.handle(Input::Connected { connection, hello });
        Page { connection, who }
    }

    /// What a page needs to come back.
    pub(crate) fn resume_of(&self, page: &Page) -> Resume {
        let socket = self.socket(page);
        let token = socket.welcome.as_ref().unwrap().resume_token.clone();
        Resume { token, last_seq: socket.last_seq }
    }

    /// The page's socket is lost.
    pub(crate) fn lose(&mut self, page: &Page) {
        self.handle(Input::SessionLost { connection: page.connection });
    }

    /// It comes back over another one.
    pub(crate) fn resume(&mut self, page: &Page) -> Page {
        let resume = self.resume_of(page);
        self.connect(page.who.clone(), Some(resume))
    }

    pub(crate) fn socket(&self, page: &Page) -> &Socket {
        &self.sockets[&page.connection]
    }

    pub(crate) fn socket_mut(&mut self, connection: ConnectionId) -> &mut Socket {
        self.sockets.get_mut(&connection).unwrap()
    }

    pub(crate) fn slow_down(&mut self, page: &Page, is_slow: bool) {
        self.socket_mut(page.connection).is_slow = is_slow;
    }

    /// A request and its one reply.
    #[track_caller]
    pub(crate) fn ask(&mut self, page: &Page, request: Request) -> Result<Reply, Refusal> {
        let id = self.send(page, request);
        let replies = &mut self.socket_mut(page.connection).replies;
        assert_eq!(replies.len(), 1, "one request, one reply: {replies:?}");
        let (re, result) = replies.pop().unwrap();
        assert_eq!(re, Some(id));
        result
    }

    /// A request that is granted.
    #[track_caller]
    pub(crate) fn does(&mut self, page: &Page, request: Request) -> Reply {
        self.ask(page, request).expect("granted")
    }

    /// A request that is refused.
    #[track_caller]
    pub(crate) fn may_not(&mut self, page: &Page, request: Request) -> ErrorCode {
        self.ask(page, request).expect_err("refused").code
    }

    /// A request without looking at its reply.
    pub(crate) fn send(&mut self, page: &Page, request: Request) -> RequestId {
        self.next_request += 1;
        let id = RequestId::new(&format!("r{}", self.next_request)).unwrap();
        let frame = Frame::Request { id: id.clone(), ack: None, request };
        self.frame(page, frame);
        id
    }

    pub(crate) fn frame(&mut self, page: &Page, frame: Frame) {
        self.handle(Input::Frame { connection: page.connection, frame });
    }

    /// A command and what came of it.
    pub(crate) fn command(&mut self, command: Command) -> Result<(), Refusal> {
        let ticket = Ticket(u64::MAX);
        self.handle(Input::Command { ticket: Some(ticket), command });
        self.done.pop().expect("every command with a ticket is answered").1
    }

    /// All that the page heard since the last time, but for replies.
    pub(crate) fn events(&mut self, page: &Page) -> Vec<Arc<Event>> {
        let events = std::mem::take(&mut self.socket_mut(page.connection).events);
        events.into_iter().map(|(_, event)| event).collect()
    }

    /// The same in words; nothing else may have been said.
    #[track_caller]
    pub(crate) fn hears(&mut self, page: &Page, expected: &[&str]) {
        let heard: Vec<String> = self.events(page).iter().map(|event| said(event)).collect();
        assert_eq!(heard, expected, "{} on {}", page.who.identity.user, page.who.device.id);
    }

    /// Lets time go by, with every tick that falls due.
    pub(crate) fn wait_ms(&mut self, ms: u64) {
        let end = self.now.after(Duration::from_millis(ms));
        while let Some(due) = self.switchboard.deadline().filter(|due| *due <= end.mono) {
            let since = due.saturating_duration_since(self.start.mono);
            self.now = self.start.after(since);
            self.now.mono = self.now.mono.max(due);
            self.handle(Input::Tick);
            let next = self.switchboard.deadline();
            assert!(next.is_none_or(|next| next > due), "a tick leaves nothing that is due");
        }
        self.now = end;
    }

    pub(crate) fn wait_s(&mut self, s: u64) {
        self.wait_ms(s * 1000);
    }

    pub(crate) fn handle(&mut self, input: Input) {
        self.switchboard.handle(self.now, input);
        let mut follow = Vec::new();
        while let Some(output) = self.switchboard.poll() {
            self.take(output, &mut follow);
        }
        for input in follow {
            self.handle(input);
        }
    }

    fn take(&mut self, output: Output, follow: &mut Vec<Input>) {
        match output {
            Output::Send { connection, message } => {
                let socket = self.sockets.get_mut(&connection).unwrap();
                assert_eq!(socket.closed, None, "nothing is sent to a closed socket");
                socket.take(message);
                if !socket.is_slow {
                    follow.push(Input::Sent { connection, count: 1 });
                }
            }
            Output::Close { connection, code, .. } => {
                let before = self.socket_mut(connection).closed.replace(code);
                assert_eq!(before, None, "closed once");
            }
            Output::Store { ticket, row } => {
                if self.is_lazy {
                    self.record.take(row.clone());
                    self.uncommitted.push_back((ticket, row));
                    return;
                }
                let result = if self.is_store_broken { Err(StoreFailed) } else { Ok(()) };
                if result.is_ok() {
                    self.record.take(row);
                }
                follow.push(Input::Stored { ticket, result });
            }
            Output::Ask { ticket, question } => self.asks.push((ticket, question)),
            Output::Done { ticket, result } => self.done.push((ticket, result)),
            Output::Fact(fact) => self.facts.push(fact),
        }
    }

    /// The record writes up to so many rows, in the order in which they came, and says so.
    pub(crate) fn commit(&mut self, rows: usize) {
        for _ in 0..rows {
            let Some((ticket, row)) = self.uncommitted.pop_front() else { break };
            self.durable.take(row);
            self.handle(Input::Stored { ticket, result: Ok(()) });
        }
    }

    /// kill -9: memory is lost, with every socket and every row that was not durable. Another daemon
    /// takes up what it finds; returned is what it found.
    pub(crate) fn dies(&mut self, seed: [u8; 32]) -> Vec<UnfinishedCall> {
        self.uncommitted.clear();
        self.asks.clear();
        self.record = self.durable.clone();
        let lost = self.sockets.values_mut().filter(|socket| socket.closed.is_none());
        lost.for_each(|socket| socket.closed = Some(CloseCode::Draining));
        self.switchboard = Switchboard::new(Options { tenants: Arc::clone(&self.tenants), seed });
        let found = self.record.unfinished();
        let blocks = self.record.blocks.values().cloned().collect();
        self.command(Command::LoadBlocks(blocks)).unwrap();
        self.command(Command::Restore(found.clone())).unwrap();
        found
    }

    /// Everybody leaves; nothing is left, and every call has its final row.
    #[track_caller]
    pub(crate) fn ends(mut self) {
        let open: Vec<ConnectionId> = self.sockets.keys().copied().collect();
        for connection in open {
            self.handle(Input::SessionLost { connection });
        }
        // A lazy record must not keep tickets open.
        self.is_lazy = false;
        self.commit(usize::MAX);
        self.wait_s(13 * 3600);
        assert!(self.switchboard.is_empty(), "{:#?}", self.switchboard);
        if !self.is_store_broken {
            for row in self.record.calls.values() {
                assert!(row.status.is_final() && row.ended_at.is_some(), "{row:?}");
            }
            for party in self.record.parties.values() {
                assert!(party.left_at.is_some(), "{party:?}");
            }
        }
    }

    /// The only call's row.
    #[track_caller]
    pub(crate) fn row(&self) -> CallRow {
        assert_eq!(self.record.calls.len(), 1);
        self.record.calls.values().next().unwrap().clone()
    }

    /// How the call that was written last stands in the record: `COMPLETED hangup`.
    #[track_caller]
    pub(crate) fn outcome(&self) -> String {
        let row = &self.record.calls[&self.record.last.expect("there was a call")];
        let reason = row.reason.map_or("", |reason| reason.code());
        format!("{} {reason}", row.status.code())
    }
}

impl Socket {
    fn take(&mut self, message: Message) {
        self.inbox.push_back(message.clone());
        match message {
            Message::Welcome(welcome) => {
                assert!(self.welcome.replace(*welcome).is_none(), "one welcome");
                let next_seq = self.welcome.as_ref().map_or(0, |welcome| welcome.next_seq);
                self.last_seq = next_seq - 1;
            }
            Message::Refused(refusal) => self.replies.push((None, Err(refusal))),
            Message::Reply { re, result } => self.replies.push((re, result)),
            Message::Event { seq, event, .. } => {
                assert_eq!(seq, self.last_seq + 1, "events come without a gap: {event:?}");
                self.last_seq = seq;
                self.events.push((seq, event));
            }
        }
    }
}
