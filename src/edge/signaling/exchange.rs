//! The switchboard's task: everything about calls happens here, one thing after the other.
//!
//! Sockets, HTTP and the control socket hand it words through one bounded queue; nobody waits in it
//! with more than one, so that who talks much keeps nobody out.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::shared::SharedTexts;
use crate::call::contract::{
    AskFailed, CloseCode, Command, ConnectionId, Input, Output, StoreFailed, Ticket,
};
use crate::call::event::Message;
use crate::call::fact::Fact;
use crate::call::refusal::{ErrorCode, Refusal};
use crate::call::request::{Frame, Hello};
use crate::call::rows::Row;
use crate::call::switchboard::Switchboard;
use crate::limits::call::IN_FLIGHT_MESSAGES_MAX;
use crate::limits::ws::{EXCHANGE_IDLE_MAX, EXCHANGE_QUEUE_MAX};
use crate::time::Now;

/// Takes a row to the record; what it is given is called once, when the row is durable or lost.
pub type Storing = Box<dyn FnMut(Row, Stored) + Send>;
/// Says whether a row is durable.
pub type Stored = Box<dyn FnOnce(Result<(), StoreFailed>) + Send>;
/// Takes facts; must not wait.
pub type FactSink = Box<dyn FnMut(Fact) + Send>;

/// How everybody else speaks to the switchboard. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Exchange {
    words: mpsc::Sender<Word>,
    last_connection: Arc<AtomicU64>,
    pub(super) texts: SharedTexts,
}

/// What a socket is told to do.
#[derive(Debug)]
pub(super) struct Orders {
    /// To be written, in this order; it ends when the connection is to be closed. Boxed: a queue has
    /// room for 32 from the start, and most connections never have more than one in it.
    pub(super) messages: mpsc::Receiver<Box<Message>>,
    /// With what the connection is to be closed after that.
    pub(super) close: oneshot::Receiver<Closing>,
}

/// The end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closing {
    pub(super) code: CloseCode,
    pub(super) retry_in: Option<Duration>,
}

enum Word {
    Opened { connection: ConnectionId, hello: Box<Hello>, line: Line },
    Said { connection: ConnectionId, frame: Frame },
    Sent { connection: ConnectionId, count: usize },
    Lost { connection: ConnectionId },
    Wanted { command: Command, outcome: oneshot::Sender<Result<(), Refusal>> },
}

struct Line {
    messages: mpsc::Sender<Box<Message>>,
    close: oneshot::Sender<Closing>,
}

impl Exchange {
    /// Starts the task on the runtime of the caller. It ends when all handles are gone.
    #[must_use]
    pub fn start(switchboard: Switchboard, storing: Storing, facts: FactSink) -> Self {
        let (words, inbox) = mpsc::channel(EXCHANGE_QUEUE_MAX);
        let (stored, acknowledged) = mpsc::unbounded_channel();
        let task = Task {
            switchboard,
            inbox,
            stored,
            acknowledged,
            storing,
            facts,
            line_by_connection: HashMap::new(),
            outcome_by_ticket: HashMap::new(),
            last_ticket: 0,
        };
        tokio::spawn(task.run());
        Self { words, last_connection: Arc::default(), texts: SharedTexts::default() }
    }

    /// Has a command carried out.
    ///
    /// # Errors
    /// Why it was not; `Internal` while the daemon stops.
    pub async fn command(&self, command: Command) -> Result<(), Refusal> {
        let gone = || Refusal::new(ErrorCode::Internal, "the switchboard has stopped");
        let (outcome, answer) = oneshot::channel();
        let word = Word::Wanted { command, outcome };
        self.words.send(word).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// A socket has said a good hello; `None` while the daemon stops.
    pub(super) async fn open(&self, hello: Hello) -> Option<(ConnectionId, Orders)> {
        let number = self.last_connection.fetch_add(1, Ordering::Relaxed) + 1;
        let connection = ConnectionId(number);
        let (messages, to_write) = mpsc::channel(IN_FLIGHT_MESSAGES_MAX);
        let (close, to_close) = oneshot::channel();
        let line = Line { messages, close };
        let word = Word::Opened { connection, hello: Box::new(hello), line };
        self.words.send(word).await.ok()?;
        Some((connection, Orders { messages: to_write, close: to_close }))
    }

    pub(super) async fn said(&self, connection: ConnectionId, frame: Frame) {
        // Where nobody listens any more, the connection is about to be closed.
        let _ = self.words.send(Word::Said { connection, frame }).await;
    }

    pub(super) async fn sent(&self, connection: ConnectionId, count: usize) {
        let _ = self.words.send(Word::Sent { connection, count }).await;
    }

    pub(super) async fn lost(&self, connection: ConnectionId) {
        let _ = self.words.send(Word::Lost { connection }).await;
    }
}

struct Task {
    switchboard: Switchboard,
    inbox: mpsc::Receiver<Word>,
    /// Bounded by the rows that the switchboard lets be under way.
    stored: mpsc::UnboundedSender<(Ticket, Result<(), StoreFailed>)>,
    acknowledged: mpsc::UnboundedReceiver<(Ticket, Result<(), StoreFailed>)>,
    storing: Storing,
    facts: FactSink,
    line_by_connection: HashMap<ConnectionId, Line>,
    outcome_by_ticket: HashMap<Ticket, oneshot::Sender<Result<(), Refusal>>>,
    last_ticket: u64,
}

impl Task {
    async fn run(mut self) {
        loop {
            let now = Now::read();
            if self.switchboard.deadline().is_some_and(|deadline| deadline <= now.mono) {
                self.tell(Input::Tick);
            }
            let wake_at = self.wake_at();
            tokio::select! {
                Some((ticket, result)) = self.acknowledged.recv() => {
                    self.tell(Input::Stored { ticket, result });
                }
                next = timeout_at(wake_at, self.inbox.recv()) => match next {
                    Ok(Some(word)) => self.take(word),
                    Ok(None) => return,
                    Err(_) => {}
                },
            }
        }
    }

    fn wake_at(&self) -> Instant {
        let latest = Now::read().mono + EXCHANGE_IDLE_MAX;
        self.switchboard.deadline().map_or(latest, |deadline| deadline.min(latest)).into()
    }

    fn take(&mut self, word: Word) {
        match word {
            Word::Opened { connection, hello, line } => {
                self.line_by_connection.insert(connection, line);
                self.tell(Input::Connected { connection, hello });
            }
            Word::Said { connection, frame } => self.tell(Input::Frame { connection, frame }),
            Word::Sent { connection, count } => self.tell(Input::Sent { connection, count }),
            Word::Lost { connection } => {
                self.line_by_connection.remove(&connection);
                self.tell(Input::SessionLost { connection });
            }
            Word::Wanted { command, outcome } => {
                self.last_ticket += 1;
                let ticket = Ticket(self.last_ticket);
                self.outcome_by_ticket.insert(ticket, outcome);
                self.tell(Input::Command { ticket: Some(ticket), command });
            }
        }
    }

    fn tell(&mut self, input: Input) {
        let now = Now::read();
        self.switchboard.handle(now, input);
        while let Some(output) = self.switchboard.poll() {
            if let Some(answer) = self.carry_out(output) {
                self.switchboard.handle(now, answer);
            }
        }
    }

    /// What the switchboard is to be told at once about it, if anything.
    fn carry_out(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Send { connection, message } => {
                if let Some(line) = self.line_by_connection.get(&connection) {
                    // The switchboard never has more under way than the queue holds; a socket that
                    // is gone says so itself.
                    let sent = line.messages.try_send(Box::new(message));
                    debug_assert!(!matches!(sent, Err(mpsc::error::TrySendError::Full(_))));
                }
            }
            Output::Close { connection, code, retry_in } => {
                if let Some(line) = self.line_by_connection.remove(&connection) {
                    let _ = line.close.send(Closing { code, retry_in });
                }
            }
            Output::Store { ticket, row } => {
                let stored = self.stored.clone();
                let tell = move |result| {
                    // Where nobody hears it any more, the daemon stops.
                    let _ = stored.send((ticket, result));
                };
                (self.storing)(row, Box::new(tell));
            }
            Output::Ask { ticket, question: _ } => {
                // Nobody can be asked yet; the tenant's `on_error` counts.
                return Some(Input::Answered { ticket, result: Err(AskFailed) });
            }
            Output::Done { ticket, result } => {
                if let Some(outcome) = self.outcome_by_ticket.remove(&ticket) {
                    let _ = outcome.send(result);
                }
            }
            Output::Fact(fact) => (self.facts)(fact),
        }
        None
    }
}
