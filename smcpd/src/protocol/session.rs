//! The conversations of clients, in the revisions that have them.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::jsonrpc::Id;
use super::outbox::Outbox;
use super::revision::Revision;
use crate::auth::Caller;

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
    /// A stream reads the outbox.
    listening: AtomicBool,
    closed: CancellationToken,
}

#[derive(Debug)]
struct State {
    revision: Revision,
    /// `initialize` was answered.
    opened: bool,
    in_flight: HashMap<Id, CancellationToken>,
    used: Instant,
    /// Requests and streams that keep the session from being idle.
    busy: usize,
    /// Answers to requests whose streams broke, by the id of the stream.
    answers: VecDeque<(String, Bytes)>,
    streams: u64,
}

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
                opened: false,
                in_flight: HashMap::new(),
                used: Instant::now(),
                busy: 0,
                answers: VecDeque::new(),
                streams: 0,
            }),
            outbox: Outbox::new(outbox),
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
        state.opened = true;
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Becomes the one stream that reads the outbox; `None` while another one does.
    pub(crate) fn listen(self: &Arc<Self>) -> Option<Listening> {
        let free = !self.listening.swap(true, Ordering::AcqRel);
        free.then(|| Listening { busy: self.keep_busy(), session: Arc::clone(self) })
    }

    /// Sends a message on the session's stream, if one is open. A client that does not read is let go.
    pub(crate) fn send(&self, message: Bytes) {
        if self.listening.load(Ordering::Acquire) && self.outbox.push(message).is_err() {
            tracing::warn!(session = %short(&self.id), "a client reads too slowly: its session is closed");
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

    /// Cancels a request; one that is not in flight has been answered already.
    pub(crate) fn cancel(&self, id: &Id) {
        if let Some(token) = self.lock().in_flight.get(id) {
            token.cancel();
        }
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

    /// Ends the session: its requests are cancelled and its stream ends.
    pub(crate) fn close(&self) {
        self.closed.cancel();
        self.outbox.close();
    }

    pub(crate) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    fn is_idle_since(&self, since: Instant) -> bool {
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

/// Every open session.
#[derive(Debug)]
pub(crate) struct Sessions {
    open: RwLock<HashMap<Arc<str>, Arc<Session>>>,
    count: AtomicUsize,
    most: usize,
    outbox: usize,
}

/// No more sessions can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{most} sessions are open, which is the most (`sessions.max`)")]
pub(crate) struct TooManySessions {
    pub(crate) most: usize,
}

impl Sessions {
    pub(crate) fn new(most: usize, outbox: usize) -> Self {
        Self { open: RwLock::default(), count: AtomicUsize::new(0), most, outbox }
    }

    /// Opens a session with an id of 128 bits from the operating system.
    pub(crate) fn open(&self, transport: Transport, caller: Caller) -> Result<Arc<Session>, TooManySessions> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= self.most {
            return Err(TooManySessions { most: self.most });
        }
        let mut random = [0u8; 16];
        getrandom::fill(&mut random).expect("the operating system gives randomness");
        let id: Arc<str> = random.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
        let session = Arc::new(Session::new(Arc::clone(&id), transport, caller, self.outbox));
        open.insert(id, Arc::clone(&session));
        self.count.store(open.len(), Ordering::Relaxed);
        drop(open);
        tracing::debug!(session = %short(session.id()), ?transport, "a session opened");
        Ok(session)
    }

    /// Finds a session of this caller; another caller's is as unknown as one that never was.
    pub(crate) fn find(&self, id: &str, transport: Transport, caller: &Caller) -> Option<Arc<Session>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let session = open.get(id)?;
        (session.transport == transport && session.caller() == caller && !session.closed.is_cancelled())
            .then(|| Arc::clone(session))
    }

    pub(crate) fn close(&self, session: &Session) {
        session.close();
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if open.remove(session.id()).is_some() {
            self.count.store(open.len(), Ordering::Relaxed);
            tracing::debug!(session = %short(session.id()), "a session closed");
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Forgets sessions of Streamable HTTP that were closed, or that nobody used for `idle`.
    pub(crate) fn forget_idle(&self, now: Instant, idle: Duration) {
        let Some(since) = now.checked_sub(idle) else { return };
        for session in self.all() {
            let gone = session.closed.is_cancelled();
            if gone || session.transport == Transport::Http && session.is_idle_since(since) {
                self.close(&session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Id {
        Id::from_value(&serde_json::value::RawValue::from_string(text.to_owned()).unwrap()).unwrap()
    }

    #[test]
    fn a_session_is_found_by_its_caller_alone_and_their_number_is_bounded() {
        let sessions = Sessions::new(2, 8);
        let one = sessions.open(Transport::Http, Caller::Anonymous).unwrap();
        let other = sessions.open(Transport::Http, Caller::Key("a".into())).unwrap();
        assert_ne!(one.id(), other.id());
        assert_eq!(one.id().len(), 32);
        assert!(sessions.open(Transport::Http, Caller::Anonymous).is_err());
        assert!(sessions.find(one.id(), Transport::Http, &Caller::Anonymous).is_some());
        assert!(sessions.find(one.id(), Transport::Http, &Caller::Key("a".into())).is_none());
        assert!(sessions.find(one.id(), Transport::Sse, &Caller::Anonymous).is_none());
        sessions.close(&one);
        assert!(sessions.find(one.id(), Transport::Http, &Caller::Anonymous).is_none());
        assert_eq!(sessions.count(), 1);
    }

    #[test]
    fn ids_of_one_session_are_unique_in_flight_and_cancelled_with_it() {
        let sessions = Sessions::new(9, 8);
        let session = sessions.open(Transport::Http, Caller::Anonymous).unwrap();
        let first = session.begin(id("1")).unwrap();
        assert_eq!(session.begin(id("1")).unwrap_err(), BeginError::IdInUse);
        let text = session.begin(id("\"1\"")).unwrap();
        session.cancel(&id("1"));
        session.cancel(&id("99"));
        assert!(first.token().is_cancelled() && !text.token().is_cancelled());
        drop(first);
        let again = session.begin(id("1")).unwrap();
        session.close();
        assert!(again.token().is_cancelled() && text.token().is_cancelled());
    }

    #[test]
    fn only_an_unused_session_is_idle() {
        let sessions = Sessions::new(9, 8);
        let busy = sessions.open(Transport::Http, Caller::Anonymous).unwrap();
        let running = busy.begin(id("1")).unwrap();
        let sse = sessions.open(Transport::Sse, Caller::Anonymous).unwrap();
        let idle = sessions.open(Transport::Http, Caller::Anonymous).unwrap();
        let later = Instant::now() + Duration::from_secs(10);
        sessions.forget_idle(later, Duration::from_secs(20));
        assert_eq!(sessions.count(), 3);
        sessions.forget_idle(later, Duration::from_secs(5));
        assert!(
            idle.closed().is_cancelled() && !busy.closed().is_cancelled() && !sse.closed().is_cancelled()
        );
        drop(running);
        sessions.forget_idle(later, Duration::from_secs(5));
        assert_eq!(sessions.count(), 1);
    }

    #[tokio::test]
    async fn one_stream_listens_and_a_client_that_does_not_read_is_let_go() {
        let sessions = Sessions::new(9, 1);
        let session = sessions.open(Transport::Http, Caller::Anonymous).unwrap();
        session.send("nobody listens".into());
        let listening = session.listen().unwrap();
        assert!(session.listen().is_none());
        session.send("one".into());
        assert!(!session.closed().is_cancelled());
        session.send("two".into());
        assert!(session.closed().is_cancelled());
        assert_eq!(listening.session().outbox().next().await.unwrap(), "one");
        assert_eq!(listening.session().outbox().next().await, None);
        drop(listening);
        assert!(session.listen().is_some());
    }

    #[test]
    fn answers_of_broken_streams_are_kept_a_few_and_taken_once() {
        let sessions = Sessions::new(9, 1);
        let session = sessions.open(Transport::Http, Caller::Anonymous).unwrap();
        for number in 0..20 {
            session.keep_answer(number.to_string(), format!("answer {number}").into());
        }
        assert_eq!(session.take_answer("3"), None);
        assert_eq!(session.take_answer("19").unwrap(), "answer 19");
        assert_eq!(session.take_answer("19"), None);
    }
}
