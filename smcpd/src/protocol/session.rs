//! One client's conversation, in the revisions that have them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::answering::{Answering, Reader};
use super::client::Client;
use super::jsonrpc::Id;
use super::logging::Level;
use super::outbox::Outbox;
use super::questions::Questions;
use super::resumption::EventId;
use super::revision::Revision;
use crate::auth::{Caller, Grant};
use crate::limits::{Exceeded, Who};

/// Requests of one session that may be in flight.
const MOST_IN_FLIGHT: usize = 1_000;
/// Streams that nobody reads any more, and that a client may come back for.
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
    grant: Arc<Grant>,
    state: Mutex<State>,
    outbox: Outbox,
    exceeded: Arc<Exceeded>,
    /// What we asked the client.
    questions: Arc<Questions>,
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
    /// The streams on which requests are answered, by their numbers.
    answers: VecDeque<(u64, Arc<Answering>)>,
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
    pub(crate) fn new(
        id: Arc<str>,
        transport: Transport,
        grant: Arc<Grant>,
        outbox: Outbox,
        exceeded: Arc<Exceeded>,
    ) -> Self {
        // Its requests are cancelled with it, and it with what its client was let in with.
        let closed = grant.ended().child_token();
        Self {
            id,
            transport,
            grant,
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
            outbox,
            exceeded,
            questions: Arc::default(),
            closed,
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
        self.grant.caller()
    }

    /// What its client was let in with.
    pub(crate) fn grant(&self) -> &Arc<Grant> {
        &self.grant
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

    /// Becomes the one stream that reads the outbox, in place of the one of which `seen` was the last event to arrive;
    /// `None` while another one reads.
    pub(crate) fn listen(self: &Arc<Self>, seen: Option<EventId>) -> Option<Listening> {
        self.open_up();
        let resumed = seen.and_then(|seen| self.outbox.take_over(seen).map(|reader| (reader, seen.stream)));
        let (reader, stream) = resumed.or_else(|| {
            let stream = self.next_stream();
            self.outbox.read_as(stream).map(|reader| (reader, stream))
        })?;
        let (busy, session) = (self.keep_busy(), Arc::clone(self));
        Some(Listening { session, busy, reader, stream, is_resumed: resumed.is_some() })
    }

    /// Sends a message on the session's stream, if one is open. A client that does not read is let go.
    pub(crate) fn send(&self, message: Bytes) {
        if let Err(full) = self.outbox.push(message) {
            self.exceeded.note(full.limit(), || Who {
                caller: Some(self.caller().to_string()),
                session: Some(self.short_id()),
                ..Who::default()
            });
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

    fn next_stream(&self) -> u64 {
        let mut state = self.lock();
        state.streams += 1;
        state.streams
    }

    /// Notes a stream on which a request is answered, and returns its number.
    pub(super) fn answers_on(&self, stream: Arc<Answering>) -> u64 {
        let number = self.next_stream();
        self.lock().answers.push_back((number, stream));
        number
    }

    /// Takes the place of whoever reads the answer of this stream; `None` where nothing of it is left to be told.
    pub(crate) fn resume(self: &Arc<Self>, seen: EventId) -> Option<Reader> {
        let stream = {
            let state = self.lock();
            let (_, stream) = state.answers.iter().find(|(number, _)| *number == seen.stream)?;
            Arc::clone(stream)
        };
        stream.take_over(self, seen)
    }

    /// Forgets answers for which a client cannot come back any more.
    pub(super) fn forget_answers(&self, now: Instant) {
        let mut state = self.lock();
        if state.answers.is_empty() {
            return;
        }
        let mut left = 0;
        // The newest first.
        let kept: VecDeque<_> = std::mem::take(&mut state.answers)
            .into_iter()
            .rev()
            .filter(|(_, stream)| {
                let (is_kept, is_left) = stream.is_kept(now);
                left += usize::from(is_kept && is_left);
                is_kept && (!is_left || left <= MOST_ANSWERS)
            })
            .collect();
        state.answers = kept.into_iter().rev().collect();
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
        self.outbox.is_read()
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
    reader: u64,
    stream: u64,
    is_resumed: bool,
}

impl Listening {
    /// The id of an event of this stream.
    pub(crate) fn event(&self, number: u64) -> EventId {
        EventId { stream: self.stream, number }
    }

    /// Whether it goes on with a stream that was there before.
    pub(crate) fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Returns the next message with its number; `None` at the session's end, and as another stream takes over.
    pub(crate) async fn next(&self) -> Option<(u64, Bytes)> {
        self.session.outbox.read(self.reader).await
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.session.outbox.leave(self.reader);
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
