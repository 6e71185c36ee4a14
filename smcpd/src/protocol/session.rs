//! One client's conversation, in the revisions that have them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::jsonrpc::Id;
use super::logging::Level;
use super::outbox::Outbox;
use super::questions::Questions;
use super::revision::Revision;
use crate::auth::Caller;
use crate::events::{Event, Field, Kind};

/// Requests of one session that may be in flight.
const MOST_IN_FLIGHT: usize = 1_000;
/// Answers that a session keeps for streams that broke.
const MOST_ANSWERS: usize = 16;

/// How a client is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// HTTP+SSE of 2024-11-05: the session lives as long as its stream.
    Sse,
    /// Streamable HTTP: the session lives until it is deleted or idle.
    Http,
    Stdio,
}

impl std::fmt::Display for Transport {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Sse => "sse",
            Self::Http => "http",
            Self::Stdio => "stdio",
        })
    }
}

/// One client's conversation.
#[derive(Debug)]
pub(crate) struct Session {
    id: Arc<str>,
    transport: Transport,
    caller: Caller,
    state: Mutex<State>,
    outbox: Outbox,
    /// What we asked the client.
    questions: Arc<Questions>,
    /// A stream reads the outbox.
    listening: AtomicBool,
    closed: CancellationToken,
}

#[derive(Debug)]
struct State {
    revision: Revision,
    /// `initialize` was answered.
    agreed: bool,
    /// And the client has the answer.
    opened: bool,
    in_flight: HashMap<Id, CancellationToken>,
    used: Instant,
    /// Requests and streams that keep the session from being idle.
    busy: usize,
    /// Answers to requests whose streams broke, by the id of the stream.
    answers: VecDeque<(String, Bytes)>,
    streams: u64,
    /// What the client said of itself.
    client: Arc<Client>,
    /// Resources whose changes the client wants to hear of.
    subscribed: HashSet<String>,
}

/// Resources that one session may subscribe to.
const MOST_SUBSCRIPTIONS: usize = 1_000;

/// Why a request cannot begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BeginError {
    #[error("this id is in use by another request of the session")]
    IdInUse,
    #[error("too many requests of this session are in flight")]
    TooMany,
}

impl Session {
    pub(crate) fn new(id: Arc<str>, transport: Transport, caller: Caller, outbox: usize) -> Self {
        Self {
            id,
            transport,
            caller,
            state: Mutex::new(State {
                revision: match transport {
                    Transport::Sse => Revision::V2024_11_05,
                    Transport::Http | Transport::Stdio => Revision::LATEST,
                },
                agreed: false,
                opened: false,
                in_flight: HashMap::new(),
                used: Instant::now(),
                busy: 0,
                answers: VecDeque::new(),
                streams: 0,
                client: Arc::default(),
                subscribed: HashSet::new(),
            }),
            outbox: Outbox::new(outbox),
            questions: Arc::default(),
            listening: AtomicBool::new(transport != Transport::Http),
            closed: CancellationToken::new(),
        }
    }

    /// Its id as people and logs may see it.
    pub(crate) fn short_id(&self) -> &str {
        short(&self.id)
    }

    pub(crate) fn id(&self) -> &Arc<str> {
        &self.id
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(crate) fn revision(&self) -> Revision {
        self.lock().revision
    }

    pub(crate) fn agree_on(&self, revision: Revision) {
        let mut state = self.lock();
        state.revision = revision;
        state.agreed = true;
    }

    /// Notes that the client has the answer to `initialize`, or goes on as if: before, it expects nothing else.
    pub(crate) fn open_up(&self) {
        let mut state = self.lock();
        state.opened |= state.agreed;
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Becomes the one stream that reads the outbox; `None` while another one does.
    pub(crate) fn listen(self: &Arc<Self>) -> Option<Listening> {
        let free = !self.listening.swap(true, Ordering::AcqRel);
        self.open_up();
        free.then(|| Listening { busy: self.keep_busy(), session: Arc::clone(self) })
    }

    /// Sends a message on the session's stream, if one is open. A client that does not read is let go.
    pub(crate) fn send(&self, message: Bytes) {
        if self.listening.load(Ordering::Acquire) && self.outbox.push(message).is_err() {
            Event::of(Kind::LimitHit)
                .text(Field::Limit, "sessions.outbox")
                .text(Field::Session, self.short_id())
                .write_as("a client reads too slowly: its session is closed");
            self.close();
        }
    }

    /// Sends a notification of ours, which a client expects only once it has initialized.
    pub(crate) fn notify(&self, message: Bytes) {
        if self.lock().opened {
            self.send(message);
        }
    }

    /// Notes a request as in flight; its token is cancelled by `notifications/cancelled` and by the session's end.
    pub(crate) fn begin(self: &Arc<Self>, id: Id) -> Result<InFlight, BeginError> {
        let token = self.closed.child_token();
        let mut state = self.lock();
        if state.in_flight.len() >= MOST_IN_FLIGHT {
            return Err(BeginError::TooMany);
        }
        match state.in_flight.entry(id.clone()) {
            std::collections::hash_map::Entry::Occupied(_) => return Err(BeginError::IdInUse),
            std::collections::hash_map::Entry::Vacant(place) => place.insert(token.clone()),
        };
        drop(state);
        Ok(InFlight { session: Arc::clone(self), id, token, _busy: self.keep_busy() })
    }

    /// Notes a request that is answered before anyone could cancel it.
    pub(crate) fn pass(&self, id: &Id) -> Result<(), BeginError> {
        let mut state = self.lock();
        state.used = Instant::now();
        if state.in_flight.contains_key(id) { Err(BeginError::IdInUse) } else { Ok(()) }
    }

    /// Cancels a request; one that is not in flight has been answered already.
    pub(crate) fn cancel(&self, id: &Id) {
        if let Some(token) = self.lock().in_flight.get(id) {
            token.cancel();
        }
    }

    /// What the client said of itself.
    pub(crate) fn client(&self) -> Arc<Client> {
        Arc::clone(&self.lock().client)
    }

    pub(super) fn introduce(&self, capabilities: serde_json::Map<String, serde_json::Value>) {
        let mut state = self.lock();
        let level = state.client.level;
        state.client = Arc::new(Client { capabilities, level });
    }

    pub(super) fn set_level(&self, level: Level) {
        let mut state = self.lock();
        let capabilities = state.client.capabilities.clone();
        state.client = Arc::new(Client { capabilities, level: Some(level) });
    }

    pub(super) fn questions(&self) -> &Arc<Questions> {
        &self.questions
    }

    /// Notes that the client wants to hear of a resource's changes; `false` where there are too many.
    pub(super) fn subscribe(&self, uri: &str) -> bool {
        let mut state = self.lock();
        let room = state.subscribed.len() < MOST_SUBSCRIPTIONS;
        room && {
            state.subscribed.insert(uri.to_owned());
            true
        }
    }

    pub(super) fn unsubscribe(&self, uri: &str) {
        self.lock().subscribed.remove(uri);
    }

    pub(super) fn subscriptions(&self) -> Vec<String> {
        self.lock().subscribed.iter().cloned().collect()
    }

    pub(super) fn is_subscribed(&self, uri: &str) -> bool {
        self.lock().subscribed.contains(uri)
    }

    /// Names the next stream of an answer.
    pub(crate) fn next_stream(&self) -> String {
        let mut state = self.lock();
        state.streams += 1;
        state.streams.to_string()
    }

    /// Keeps the answer of a stream that broke, for a client that comes back for it.
    pub(crate) fn keep_answer(&self, stream: String, answer: Bytes) {
        let mut state = self.lock();
        state.answers.push_back((stream, answer));
        while state.answers.len() > MOST_ANSWERS {
            state.answers.pop_front();
        }
    }

    pub(crate) fn take_answer(&self, stream: &str) -> Option<Bytes> {
        let mut state = self.lock();
        let at = state.answers.iter().position(|(kept, _)| kept == stream)?;
        state.answers.remove(at).map(|(_, answer)| answer)
    }

    pub(crate) fn keep_busy(self: &Arc<Self>) -> Busy {
        self.lock().busy += 1;
        Busy { session: Arc::clone(self) }
    }

    /// The requests that are not answered yet.
    pub(crate) fn in_flight(&self) -> usize {
        self.lock().in_flight.len()
    }

    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    /// Returns whether a stream reads the outbox.
    pub(crate) fn has_stream(&self) -> bool {
        self.listening.load(Ordering::Acquire)
    }

    /// Ends the session: its requests are cancelled and its stream ends.
    pub(crate) fn close(&self) {
        self.closed.cancel();
        self.outbox.close();
        // Whoever waits for an answer learns that there will be none.
        self.questions.close();
    }

    pub(crate) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    pub(super) fn is_idle_since(&self, since: Instant) -> bool {
        let state = self.lock();
        state.busy == 0 && state.used < since
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session is not idle while one of these lives.
#[derive(Debug)]
pub(crate) struct Busy {
    session: Arc<Session>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.session.lock();
        state.busy -= 1;
        state.used = Instant::now();
    }
}

/// The stream that reads a session's outbox.
#[derive(Debug)]
pub(crate) struct Listening {
    session: Arc<Session>,
    #[expect(dead_code, reason = "held for its drop")]
    busy: Busy,
}

impl Listening {
    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.session.listening.store(false, Ordering::Release);
    }
}

/// A request that has begun. Dropping it makes its id free again.
#[derive(Debug)]
pub(crate) struct InFlight {
    session: Arc<Session>,
    id: Id,
    token: CancellationToken,
    _busy: Busy,
}

impl InFlight {
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.session.lock().in_flight.remove(&self.id);
    }
}

/// An id as logs show it: never whole, since it opens the session to whoever has it.
pub(crate) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
