//! Streamable HTTP: `/mcp`, the revisions with sessions (2025-03-26, 2025-06-18 and 2025-11-25). A request of the
//! stateless one, which says so in a header or in its body, goes to [`super::alone`].

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::answer::{Answer, accepts, answer};
use super::{Doors, SESSION, VERSION, agent, alone, body, events, is_json, reply, text, too_many_sessions};
use crate::auth::Grant;
use crate::protocol::jsonrpc::{self, Frame, INVALID_REQUEST, Message, Refusal, RpcError, SESSION_NOT_FOUND};
use crate::protocol::{
    Claim, EventId, Listening, Peer, Related, Revision, Session, Transport, unsupported_version,
};

const ALLOWED: &str = "GET, POST, DELETE";

pub(super) async fn endpoint(
    State(doors): State<Arc<Doors>>,
    Extension(grant): Extension<Arc<Grant>>,
    request: Request,
) -> Response {
    let claim = text(request.headers(), VERSION).map(Claim::read);
    match (claim, request.method()) {
        // Which one is meant is known once the body was read.
        (_, &Method::POST) => return post(&doors, grant, claim, request).await,
        (Some(Claim::Stateless), _) => return reply::not_allowed("POST"),
        (Some(Claim::Unknown), _) => return unsupported(request.headers()),
        (Some(Claim::Session(_)) | None, _) => {}
    }
    match *request.method() {
        Method::GET => listen(&doors, &grant, request.headers()),
        Method::DELETE => delete(&doors, &grant, request.headers()),
        _ => reply::not_allowed(ALLOWED),
    }
}

/// A revision that is not served is refused with those that are (2025-11-25, "protocol version header").
fn unsupported(headers: &HeaderMap) -> Response {
    let said = text(headers, VERSION).unwrap_or_default();
    reply::rpc_error(StatusCode::BAD_REQUEST, &unsupported_version(said))
}

async fn post(doors: &Doors, grant: Arc<Grant>, claim: Option<Claim>, request: Request) -> Response {
    let (Parts { headers, extensions, .. }, body) = request.into_parts();
    if !is_json(&headers) {
        return reply::wrong_content_type();
    }
    let accepts = accepts(&headers);
    if !accepts.json && !accepts.stream {
        let body = json!({
            "error": "not_acceptable",
            "message": "send `Accept: application/json, text/event-stream`",
        });
        return reply::json(StatusCode::NOT_ACCEPTABLE, &body);
    }
    let agent = agent(&grant, &headers);
    let body = match body::read(doors, body, extensions.get().copied()).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    // Not before: a client that still sends would be reset, and might not see the answer.
    if doors.service.is_draining() {
        return reply::unavailable("the daemon is stopping");
    }
    let frame = match jsonrpc::parse(&body.bytes) {
        Ok(frame) => frame,
        Err(refusal) => return refused(claim, &refusal),
    };
    if alone::is_meant(claim, &frame) {
        return alone::post(doors, grant, agent, &headers, accepts, frame).await;
    }
    if claim == Some(Claim::Unknown) {
        return unsupported(&headers);
    }
    match opening(&frame) {
        Opening::Initialize => return initialize(doors, grant, agent, frame).await,
        // Asked outside any session by who does not say its version: this dialect has no such method.
        Opening::Discover => {
            let peer = Peer::outside(Revision::LATEST, grant, agent);
            return match doors.service.handle(&peer, frame).await {
                Some(answer) => reply::bytes(StatusCode::OK, answer),
                None => reply::accepted(),
            };
        }
        Opening::No => {}
    }
    let session = match session(doors, &grant, text(&headers, SESSION)) {
        Ok(session) => session,
        Err(response) => return response,
    };
    let peer = Peer::of(Arc::clone(&session), grant, agent, Related::Nowhere);
    if !has_requests(&frame) {
        let refused = matches!(frame, Frame::Batch(_)) && !peer.revision.has_batches();
        return match doors.service.handle(&peer, frame).await {
            Some(answer) if refused => reply::bytes(StatusCode::BAD_REQUEST, answer),
            Some(answer) => reply::bytes(StatusCode::OK, answer),
            None => reply::accepted(),
        };
    }
    let id = match &frame {
        Frame::One(Message::Request(request)) => {
            if accepts.json
                && let Some(answer) = doors.service.at_once(&peer, request)
            {
                return reply::bytes(StatusCode::OK, answer);
            }
            Some(request.id.clone())
        }
        _ => None,
    };
    let service = Arc::clone(&doors.service);
    let work = move |related| async move {
        let peer = Peer { related, ..peer };
        let body = service.handle(&peer, frame).await?;
        Some(Answer { status: StatusCode::OK, body })
    };
    answer(doors, accepts, Some((session, id)), work).await
}

/// An id that could not be read is `null`, or left out where the revision's schema says so (2025-11-25 and later).
fn refused(claim: Option<Claim>, refusal: &Refusal) -> Response {
    let answer = match claim {
        Some(Claim::Stateless | Claim::Session(Revision::V2025_11_25)) => {
            jsonrpc::failure_or_nameless(refusal.id.as_ref(), &refusal.error)
        }
        _ => refusal.to_bytes(),
    };
    reply::bytes(StatusCode::BAD_REQUEST, answer)
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

async fn initialize(doors: &Doors, grant: Arc<Grant>, agent: Option<String>, frame: Frame) -> Response {
    let session = match doors.service.sessions().open(Transport::Http, Arc::clone(&grant)) {
        Ok(session) => session,
        Err(error) => return too_many_sessions(error),
    };
    let peer = Peer::of(Arc::clone(&session), grant, agent, Related::Nowhere);
    let answer = doors.service.handle(&peer, frame).await.unwrap_or_default();
    let failed =
        serde_json::from_slice::<serde_json::Value>(&answer).is_ok_and(|answer| answer["error"].is_object());
    if failed {
        doors.service.sessions().close(&session);
        return reply::bytes(StatusCode::OK, answer);
    }
    reply::with_header(reply::bytes(StatusCode::OK, answer), SESSION, session.id())
}

/// `GET /mcp`: the stream on which the server speaks by itself.
fn listen(doors: &Doors, grant: &Arc<Grant>, headers: &HeaderMap) -> Response {
    if !accepts(headers).stream && headers.contains_key("accept") {
        return reply::not_allowed("POST, DELETE (GET takes `Accept: text/event-stream`)");
    }
    let session = match session(doors, grant, text(headers, SESSION)) {
        Ok(session) => session,
        Err(response) => return response,
    };
    let keep_alive = doors.current.get().http.keep_alive;
    let seen = text(headers, "last-event-id").and_then(EventId::read);
    if let Some(reader) = seen.and_then(|seen| session.resume(seen)) {
        return reply::events(events::body(None, reader, keep_alive));
    }
    let Some(listening) = session.listen(seen) else {
        let body = json!({"error": "conflict", "message": "this session has a stream already"});
        return reply::json(StatusCode::CONFLICT, &body);
    };
    let primes = session.revision().primes_streams() && !listening.is_resumed();
    let first = primes.then(|| events::priming(listening.event(0)));
    reply::events(events::body(first, ServerStream(listening), keep_alive))
}

struct ServerStream(Listening);

impl events::Source for ServerStream {
    async fn next(&mut self) -> Option<Bytes> {
        let (number, message) = self.0.next().await?;
        Some(events::event(Some(self.0.event(number)), "message", &message))
    }
}

fn delete(doors: &Doors, grant: &Arc<Grant>, headers: &HeaderMap) -> Response {
    match session(doors, grant, text(headers, SESSION)) {
        Ok(session) => {
            doors.service.sessions().close(&session);
            reply::bytes(StatusCode::OK, Bytes::from_static(b"{}"))
        }
        Err(response) => response,
    }
}

/// 404 with this very body makes clients open a new session (2025-11-25, "session management").
fn session(doors: &Doors, grant: &Arc<Grant>, named: Option<&str>) -> Result<Arc<Session>, Response> {
    let Some(id) = named else {
        let error =
            RpcError::new(INVALID_REQUEST, "the `Mcp-Session-Id` header is missing: initialize first");
        return Err(reply::rpc_error(StatusCode::BAD_REQUEST, &error));
    };
    doors.service.sessions().find(id, Transport::Http, grant).ok_or_else(|| {
        let error = RpcError::new(SESSION_NOT_FOUND, "Session not found");
        reply::rpc_error(StatusCode::NOT_FOUND, &error)
    })
}
