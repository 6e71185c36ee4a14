//! How an answer travels: as JSON, or as a stream where it takes long or something is said before it.
//!
//! A stream keeps neither the client nor a proxy between from knowing that somebody is there.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use tokio::sync::mpsc;

use super::{Doors, events, reply};
use crate::protocol::jsonrpc::Id;
use crate::protocol::{Answering, Reader, Related, Session, WAITING};

/// An answer that takes longer than this comes as a stream.
const STREAM_AFTER: Duration = Duration::from_millis(1_500);

/// Which kinds of answer the client reads; no `Accept` is any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepts {
    pub(super) json: bool,
    pub(super) stream: bool,
}

pub(super) fn accepts(headers: &HeaderMap) -> Accepts {
    let mut said = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    if said.peek().is_none() {
        return Accepts { json: true, stream: false };
    }
    let mut accepts = Accepts { json: false, stream: false };
    for kind in said.flat_map(|value| value.split(',')).filter_map(|kind| kind.split(';').next()) {
        let is = |known: &str| kind.trim().eq_ignore_ascii_case(known);
        accepts.json |= ["application/json", "application/*", "*/*"].into_iter().any(is);
        accepts.stream |= ["text/event-stream", "text/*"].into_iter().any(is);
    }
    accepts
}

/// What a request came to.
#[derive(Debug)]
pub(super) struct Answer {
    /// Where it travels as JSON.
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Carries out `work`, which may speak on the way that it is given; `None` is a request that its client cancelled.
///
/// The stream of a session can be named and come back to; the id is that of the one request it answers.
pub(super) async fn answer<W>(
    doors: &Doors,
    accepts: Accepts,
    session: Option<(Arc<Session>, Option<Id>)>,
    work: impl FnOnce(Related) -> W,
) -> Response
where
    W: Future<Output = Option<Answer>> + Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let related = if accepts.stream { Related::Stream(sender.clone()) } else { Related::Nowhere };
    let mut work = Box::pin(work(related));
    let mut said = None;
    if accepts.json {
        let patience = if accepts.stream { STREAM_AFTER } else { Duration::MAX };
        tokio::select! {
            biased;
            Some(message) = receiver.recv() => said = Some(message),
            answer = &mut work => match (answer, receiver.try_recv()) {
                (Some(answer), Err(_)) => return reply::bytes(answer.status, answer.body),
                // Cancelled by its client: a stream without a message is how not to answer.
                (None, _) => return reply::events(axum::body::Body::empty()),
                // What was said last comes before the answer all the same.
                (Some(answer), Ok(message)) => {
                    let both = [events::message(&message), rest(&mut receiver), events::message(&answer.body)];
                    return reply::events(axum::body::Body::from(both.concat()));
                }
            },
            () = sleep(patience) => {}
        }
    }
    // The call's fate is still its client's: the reader says when that is gone, and the task watches it.
    let (session, id) = session.map_or((None, None), |(session, id)| (Some(session), id));
    let primes = session.as_ref().is_some_and(|session| session.revision().primes_streams());
    let reader = Answering::open(session, id, said, receiver);
    let first = reader.event(0).filter(|_| primes).map(events::priming);
    let of = Arc::clone(reader.of());
    doors.service.tasks().spawn(async move {
        tokio::select! {
            answer = work => of.finish(answer.map(|answer| answer.body)),
            () = of.gone().cancelled() => {}
        }
        // With the last sender ends what is said before the answer.
        drop(sender);
    });
    reply::events(events::body(first, reader, doors.current.get().http.keep_alive))
}

async fn sleep(duration: Duration) {
    match duration {
        Duration::MAX => std::future::pending().await,
        duration => tokio::time::sleep(duration).await,
    }
}

/// Everything that waits, as events.
fn rest(receiver: &mut mpsc::Receiver<Bytes>) -> Bytes {
    let mut rest = Vec::new();
    while let Ok(message) = receiver.try_recv() {
        rest.extend_from_slice(&events::message(&message));
    }
    rest.into()
}

impl events::Source for Reader {
    async fn next(&mut self) -> Option<Bytes> {
        let (number, message) = Self::next(self).await?;
        Some(match self.event(number) {
            Some(id) => events::event(Some(id), "message", &message),
            None => events::message(&message),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_is_read_leniently() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("accept", value.parse().unwrap());
            }
            let accepts = accepts(&headers);
            (accepts.json, accepts.stream)
        };
        assert_eq!(read(&[]), (true, false));
        assert_eq!(read(&["application/json, text/event-stream"]), (true, true));
        assert_eq!(read(&["application/json", "text/event-stream;q=0.5"]), (true, true));
        assert_eq!(read(&["*/*"]), (true, false));
        assert_eq!(read(&["TEXT/Event-Stream"]), (false, true));
        assert_eq!(read(&["text/html"]), (false, false));
        assert_eq!(read(&[","]), (false, false));
    }
}
