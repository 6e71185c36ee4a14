//! A stream on which a request is answered, and who reads it.
//!
//! A client whose connection broke may come back before we notice (2025-11-25, transports, "resumability and
//! redelivery"): whoever comes for the stream of its session takes the place of who read it so far. What only the first
//! one was told is told again, the rest is told to the second alone, and the request goes on. Where nobody has come back
//! by the time that we notice, the request ends with its connection, and that is the answer.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::jsonrpc::{self, Id};
use super::resumption::{EventId, Log};
use super::session::Session;

/// What is kept of one stream to be told again. An answer that was told already is not kept where it is longer.
const MOST: usize = 64;
const MOST_BYTES: usize = 256 << 10;
/// How long an answer is kept that was told, perhaps into a connection that was broken.
const TOLD: Duration = Duration::from_secs(60);

/// One stream, from its first event until its client cannot come back for it any more.
#[derive(Debug)]
pub(crate) struct Answering {
    state: Mutex<State>,
    /// The client is gone: nothing more is done for it.
    gone: CancellationToken,
    /// Of the request.
    id: Option<Id>,
}

#[derive(Debug)]
struct State {
    /// What was said to somebody else, and is said once more.
    again: VecDeque<(u64, Bytes)>,
    said: mpsc::Receiver<Bytes>,
    /// Until it is told.
    answer: Option<Bytes>,
    /// There was an answer, or there will be none.
    is_done: bool,
    log: Log,
    /// Who reads now; ends the reading as another takes its place.
    reader: CancellationToken,
    number: u64,
    /// Nobody reads any more.
    left: Option<Instant>,
}

/// Who reads a stream.
#[derive(Debug)]
pub(crate) struct Reader {
    of: Arc<Answering>,
    /// The session in which a client may come back, and the stream's number there.
    session: Option<(Arc<Session>, u64)>,
    number: u64,
    taken: CancellationToken,
}

impl Answering {
    /// Opens a stream, with what was said already.
    pub(crate) fn open(
        session: Option<Arc<Session>>,
        id: Option<Id>,
        first: Option<Bytes>,
        said: mpsc::Receiver<Bytes>,
    ) -> Reader {
        let mut log = Log::new(MOST, MOST_BYTES);
        let again = first.into_iter().map(|first| (log.push(first.clone()), first)).collect();
        let taken = CancellationToken::new();
        let of = Arc::new(Self {
            state: Mutex::new(State {
                again,
                said,
                answer: None,
                is_done: false,
                log,
                reader: taken.clone(),
                number: 0,
                left: None,
            }),
            gone: CancellationToken::new(),
            id,
        });
        let session = session.map(|session| {
            let stream = session.answers_on(Arc::clone(&of));
            (session, stream)
        });
        Reader { of, session, number: 0, taken }
    }

    /// Cancelled as soon as nobody waits for the answer.
    pub(crate) fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    /// Notes the answer, which is told once everything that was said is; `None` where there is none. The first counts.
    pub(crate) fn finish(&self, answer: Option<Bytes>) {
        let mut state = self.lock();
        if !state.is_done {
            state.is_done = true;
            state.answer = answer;
        }
    }

    /// Becomes the reader of a stream of which the event `seen` was the last to arrive; `None` where nothing is left.
    pub(super) fn take_over(self: &Arc<Self>, session: &Arc<Session>, seen: EventId) -> Option<Reader> {
        let mut state = self.lock();
        let again = state.log.after(seen.number);
        let is_over = state.is_done && state.answer.is_none();
        if is_over && again.is_empty() {
            return None;
        }
        let taken = CancellationToken::new();
        std::mem::replace(&mut state.reader, taken.clone()).cancel();
        state.again = again;
        state.number += 1;
        state.left = None;
        let session = Some((Arc::clone(session), seen.stream));
        Some(Reader { of: Arc::clone(self), session, number: state.number, taken })
    }

    /// Whether a client may still come back, and whether nobody reads.
    pub(super) fn is_kept(&self, now: Instant) -> (bool, bool) {
        let state = self.lock();
        let Some(left) = state.left else { return (true, false) };
        let is_over = state.answer.is_none();
        let is_fresh = now.saturating_duration_since(left) < TOLD && state.log.bytes() <= MOST_BYTES;
        (!is_over || (is_fresh && state.log.bytes() > 0), true)
    }

    fn poll(&self, reader: u64, keeps: bool, context: &mut Context<'_>) -> Poll<Option<(u64, Bytes)>> {
        let mut state = self.lock();
        if state.number != reader {
            return Poll::Ready(None);
        }
        if let Some(again) = state.again.pop_front() {
            return Poll::Ready(Some(again));
        }
        let message = match ready!(state.said.poll_recv(context)) {
            Some(message) => message,
            None => match state.answer.take() {
                Some(answer) => answer,
                None => return Poll::Ready(None),
            },
        };
        let number = if keeps { state.log.push(message.clone()) } else { 0 };
        Poll::Ready(Some((number, message)))
    }

    /// Nobody reads any more: what is not answered now is answered by that.
    fn leave(&self, reader: u64) {
        let mut state = self.lock();
        if state.number != reader {
            return;
        }
        state.left = Some(Instant::now());
        // Whoever speaks learns that nobody hears.
        state.said.close();
        if !state.is_done {
            let error = super::internal_error("the connection broke, and the request was ended with it");
            state.is_done = true;
            state.answer = Some(jsonrpc::failure(self.id.as_ref(), &error));
        }
        drop(state);
        self.gone.cancel();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    pub(crate) fn of(&self) -> &Arc<Answering> {
        &self.of
    }

    /// The id of an event of this stream, where a client may come back to it.
    pub(crate) fn event(&self, number: u64) -> Option<EventId> {
        self.session.as_ref().map(|(_, stream)| EventId { stream: *stream, number })
    }

    /// Returns the next message with its number; `None` at the end, and as another reader takes over.
    pub(crate) async fn next(&mut self) -> Option<(u64, Bytes)> {
        let keeps = self.session.is_some();
        tokio::select! {
            biased;
            () = self.taken.cancelled() => None,
            next = poll_fn(|context| self.of.poll(self.number, keeps, context)) => next,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.of.leave(self.number);
        if let Some((session, _)) = &self.session {
            session.forget_answers(Instant::now());
        }
    }
}

#[cfg(test)]
#[path = "answering_tests.rs"]
mod tests;
