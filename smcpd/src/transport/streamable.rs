//! Streamable HTTP: `/mcp`, revisions 2025-03-26, 2025-06-18 and 2025-11-25.
//!
//! A request is answered in JSON. Where the answer takes long and the client reads streams, it comes as one, so
//! that neither the client nor a proxy between takes silence for an end.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::response::Response;
use serde_json::json;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Doors, agent, events, is_json, reply, text};
use crate::auth::Caller;
use crate::metrics::Reason;
use crate::protocol::jsonrpc::{self, Frame, INVALID_REQUEST, Message, RpcError, SESSION_NOT_FOUND};
use crate::protocol::{
    Claim, Listening, Peer, Revision, Session, Transport, internal_error, unsupported_version,
};

const SESSION_HEADER: HeaderName = HeaderName::from_static("mcp-session-id");
const ALLOWED: &str = "GET, POST, DELETE";
/// An answer that takes longer than this comes as a stream.
const STREAM_AFTER: Duration = Duration::from_millis(1_500);

pub(super) async fn endpoint(
    State(doors): State<Doors>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    if let Err(response) = claim(request.headers()) {
        return response;
    }
    match *request.method() {
        Method::POST => post(doors, caller, request).await,
        Method::GET => listen(&doors, &caller, request.headers()),
        Method::DELETE => delete(&doors, &caller, request.headers()),
        _ => reply::not_allowed(ALLOWED),
    }
}

/// A revision that is not served is refused with those that are (2025-11-25, "protocol version header").
fn claim(headers: &HeaderMap) -> Result<(), Response> {
    let Some(said) = text(headers, "mcp-protocol-version") else { return Ok(()) };
    match Claim::read(said) {
        Claim::Session(_) => Ok(()),
        Claim::Stateless | Claim::Unknown => {
            Err(reply::rpc_error(StatusCode::BAD_REQUEST, &unsupported_version(said)))
        }
    }
}

/// Which kinds of answer the client reads; no `Accept` is any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Accepts {
    json: bool,
    stream: bool,
}

fn accepts(headers: &HeaderMap) -> Accepts {
    let mut said = headers.get_all("accept").iter().filter_map(|value| value.to_str().ok()).peekable();
    if said.peek().is_none() {
        return Accepts { json: true, stream: false };
    }
    let kinds: Vec<String> = said
        .flat_map(|value| value.split(','))
        .filter_map(|kind| kind.split(';').next())
        .map(|kind| kind.trim().to_ascii_lowercase())
        .collect();
    let any = |known: &[&str]| kinds.iter().any(|kind| known.contains(&kind.as_str()));
    Accepts {
        json: any(&["application/json", "application/*", "*/*"]),
        stream: any(&["text/event-stream", "text/*"]),
    }
}

async fn post(doors: Doors, caller: Caller, request: Request) -> Response {
    if !is_json(request.headers()) {
        return reply::wrong_content_type();
    }
    let accepts = accepts(request.headers());
    if !accepts.json && !accepts.stream {
        let body = json!({
            "error": "not_acceptable",
            "message": "send `Accept: application/json, text/event-stream`",
        });
        return reply::json(StatusCode::NOT_ACCEPTABLE, &body);
    }
    if doors.service.is_draining() {
        return reply::unavailable("the daemon is stopping");
    }
    let named = text(request.headers(), SESSION_HEADER.as_str()).map(str::to_owned);
    let agent = agent(request.headers());
    let body = match reply::body(
        request,
        doors.current.get().http.body_limit,
        doors.current.get().http.body_timeout,
    )
    .await
    {
        Ok(body) => body,
        Err(response) => return response,
    };
    let frame = match jsonrpc::parse(&body) {
        Ok(frame) => frame,
        Err(refusal) => return reply::bytes(StatusCode::BAD_REQUEST, refusal.to_bytes()),
    };
    match opening(&frame) {
        Opening::Initialize => return initialize(&doors, caller, agent, frame).await,
        // The newest clients ask this first, outside any session; the dialect it belongs to is not served.
        Opening::Discover => {
            let peer = Peer { session: None, revision: Revision::LATEST, caller, agent };
            return match doors.service.handle(&peer, frame).await {
                Some(answer) => reply::bytes(StatusCode::OK, answer),
                None => reply::accepted(),
            };
        }
        Opening::No => {}
    }
    let session = match session(&doors, &caller, named.as_deref()) {
        Ok(session) => session,
        Err(response) => return response,
    };
    let revision = session.revision();
    let peer = Peer { session: Some(Arc::clone(&session)), revision, caller, agent };
    if !has_requests(&frame) {
        let refused = matches!(frame, Frame::Batch(_)) && !revision.has_batches();
        return match doors.service.handle(&peer, frame).await {
            Some(answer) if refused => reply::bytes(StatusCode::BAD_REQUEST, answer),
            Some(answer) => reply::bytes(StatusCode::OK, answer),
            None => reply::accepted(),
        };
    }
    answer(&doors, session, peer, frame, accepts).await
}

enum Opening {
    Initialize,
    Discover,
    No,
}

fn opening(frame: &Frame) -> Opening {
    match frame {
        Frame::One(Message::Request(request)) => match request.method.as_str() {
            "initialize" => Opening::Initialize,
            "server/discover" => Opening::Discover,
            _ => Opening::No,
        },
        _ => Opening::No,
    }
}

fn has_requests(frame: &Frame) -> bool {
    match frame {
        Frame::One(message) => matches!(message, Message::Request(_)),
        Frame::Batch(messages) => messages.iter().any(|message| matches!(message, Ok(Message::Request(_)))),
    }
}

async fn initialize(doors: &Doors, caller: Caller, agent: Option<String>, frame: Frame) -> Response {
    let session = match doors.service.sessions().open(Transport::Http, caller.clone()) {
        Ok(session) => session,
        Err(error) => {
            doors.service.metrics().refused(Reason::TooManySessions);
            return reply::unavailable(&error.to_string());
        }
    };
    let revision = session.revision();
    let peer = Peer { session: Some(Arc::clone(&session)), revision, caller, agent };
    let answer = doors.service.handle(&peer, frame).await.unwrap_or_default();
    let failed =
        serde_json::from_slice::<serde_json::Value>(&answer).is_ok_and(|answer| answer["error"].is_object());
    if failed {
        doors.service.sessions().close(&session);
        return reply::bytes(StatusCode::OK, answer);
    }
    reply::with_header(reply::bytes(StatusCode::OK, answer), SESSION_HEADER, session.id())
}

/// Answers in JSON, or as a stream once the answer takes long.
async fn answer(
    doors: &Doors,
    session: Arc<Session>,
    peer: Peer,
    frame: Frame,
    accepts: Accepts,
) -> Response {
    let service = Arc::clone(&doors.service);
    let primes = peer.revision.primes_streams();
    let mut work = Box::pin(async move { service.handle(&peer, frame).await });
    if accepts.json {
        let patience = if accepts.stream { STREAM_AFTER } else { Duration::MAX };
        match tokio::time::timeout(patience, &mut work).await {
            Ok(Some(answer)) => return reply::bytes(StatusCode::OK, answer),
            // Cancelled by its client: a stream without a message is how not to answer.
            Ok(None) => return reply::events(axum::body::Body::empty()),
            Err(_) => {}
        }
    }
    // The call's fate is still its client's: the stream holds the guard, and the task watches it.
    let gone = CancellationToken::new();
    let guard = gone.clone().drop_guard();
    let (sender, receiver) = oneshot::channel();
    let stream = session.next_stream();
    let named = stream.clone();
    doors.service.tasks().spawn(async move {
        tokio::select! {
            answer = work => {
                let Some(answer) = answer else { return };
                if let Err(answer) = sender.send(answer) {
                    session.keep_answer(named, answer);
                }
            }
            () = gone.cancelled() => {
                let error = internal_error("the connection broke, and the request was ended with it");
                session.keep_answer(named, jsonrpc::failure(None, &error));
            }
        }
    });
    let first = primes.then(|| events::priming(&stream));
    reply::events(events::body(
        first,
        AnswerStream { receiver: Some(receiver), _guard: guard },
        doors.current.get().http.keep_alive,
    ))
}

/// A stream of one answer.
struct AnswerStream {
    receiver: Option<oneshot::Receiver<Bytes>>,
    _guard: DropGuard,
}

impl events::Source for AnswerStream {
    async fn next(&mut self) -> Option<Bytes> {
        let answer = self.receiver.as_mut()?.await;
        self.receiver = None;
        answer.ok().map(|answer| events::message(&answer))
    }
}

/// `GET /mcp`: the stream on which the server speaks by itself.
fn listen(doors: &Doors, caller: &Caller, headers: &HeaderMap) -> Response {
    if !accepts(headers).stream && headers.contains_key("accept") {
        return reply::not_allowed("POST, DELETE (GET takes `Accept: text/event-stream`)");
    }
    let session = match session(doors, caller, text(headers, SESSION_HEADER.as_str())) {
        Ok(session) => session,
        Err(response) => return response,
    };
    if let Some(answer) = text(headers, "last-event-id").and_then(|stream| session.take_answer(stream)) {
        return reply::events(axum::body::Body::from(events::message(&answer)));
    }
    let Some(listening) = session.listen() else {
        let body = json!({"error": "conflict", "message": "this session has a stream already"});
        return reply::json(StatusCode::CONFLICT, &body);
    };
    let first = session.revision().primes_streams().then(|| events::priming(&session.next_stream()));
    let body = events::body(first, ServerStream(listening), doors.current.get().http.keep_alive);
    reply::events(body)
}

struct ServerStream(Listening);

impl events::Source for ServerStream {
    async fn next(&mut self) -> Option<Bytes> {
        events::next_of(self.0.session()).await
    }
}

fn delete(doors: &Doors, caller: &Caller, headers: &HeaderMap) -> Response {
    match session(doors, caller, text(headers, SESSION_HEADER.as_str())) {
        Ok(session) => {
            doors.service.sessions().close(&session);
            reply::bytes(StatusCode::OK, Bytes::from_static(b"{}"))
        }
        Err(response) => response,
    }
}

/// 404 with this very body makes clients open a new session (2025-11-25, "session management").
fn session(doors: &Doors, caller: &Caller, named: Option<&str>) -> Result<Arc<Session>, Response> {
    let Some(id) = named else {
        let error =
            RpcError::new(INVALID_REQUEST, "the `Mcp-Session-Id` header is missing: initialize first");
        return Err(reply::rpc_error(StatusCode::BAD_REQUEST, &error));
    };
    doors.service.sessions().find(id, Transport::Http, caller).ok_or_else(|| {
        let error = RpcError::new(SESSION_NOT_FOUND, "Session not found");
        reply::rpc_error(StatusCode::NOT_FOUND, &error)
    })
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
