//! HTTP+SSE of 2024-11-05: `GET /sse` and `POST /messages/`; and direct mode, the same POST without a session.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, Query, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::{Doors, Ends, agent, body, events, is_json, reply, too_many_sessions};
use crate::auth::Grant;
use crate::protocol::jsonrpc::{self, Frame, INVALID_REQUEST, Message, RpcError, SESSION_NOT_FOUND};
use crate::protocol::{Peer, Related, Revision, Service, Session, Transport};

#[derive(Debug, Deserialize)]
pub(super) struct StreamQuery {
    #[serde(default)]
    manifest: Option<String>,
    /// One that there is, and that the key allows: the gate has seen to it.
    #[serde(default)]
    profile: Option<String>,
}

/// A session's stream: the session lives exactly as long.
struct SessionStream {
    session: Arc<Session>,
    service: Arc<Service>,
    manifest: Option<Bytes>,
}

impl events::Source for SessionStream {
    async fn next(&mut self) -> Option<Bytes> {
        match self.manifest.take() {
            Some(manifest) => Some(manifest),
            None => events::next_of(&self.session).await,
        }
    }
}

impl Drop for SessionStream {
    fn drop(&mut self) {
        self.service.sessions().close(&self.session);
    }
}

/// `GET /sse`: opens a session; the first event says where to post.
pub(super) async fn stream(
    State(doors): State<Arc<Doors>>,
    Extension(grant): Extension<Arc<Grant>>,
    Query(query): Query<StreamQuery>,
) -> Response {
    if doors.service.is_draining() {
        return reply::unavailable("the daemon is stopping");
    }
    let session = match doors.service.sessions().open(Transport::Sse, Arc::clone(&grant)) {
        Ok(session) => session,
        Err(error) => return too_many_sessions(error),
    };
    let manifest = match query.manifest.as_deref() {
        Some("true" | "1") => true,
        Some(_) => false,
        None => doors.current.get().http.manifest,
    };
    // What is posted there is held to the same profile.
    let chosen = query.profile.map(|name| format!("&profile={name}")).unwrap_or_default();
    let endpoint = format!("/messages/?session_id={}{chosen}", session.id());
    let first = events::event(None, "endpoint", endpoint.as_bytes());
    let stream = SessionStream {
        session,
        manifest: manifest.then(|| events::message(&doors.service.manifest(&grant))),
        service: Arc::clone(&doors.service),
    };
    reply::events(events::body(Some(first), stream, doors.current.get().http.keep_alive))
}

#[derive(Debug, Deserialize)]
pub(super) struct PostQuery {
    #[serde(alias = "sessionId")]
    session_id: Option<String>,
}

/// `POST /messages/`: 202 and the answer on the stream, or without a session the answer itself.
pub(super) async fn post(
    State(doors): State<Arc<Doors>>,
    Extension(grant): Extension<Arc<Grant>>,
    Query(query): Query<PostQuery>,
    request: Request,
) -> Response {
    if request.method() != Method::POST {
        return reply::not_allowed("POST");
    }
    if !is_json(request.headers()) {
        return reply::wrong_content_type();
    }
    let agent = agent(&grant, request.headers());
    let ends = request.extensions().get::<Ends>().copied();
    let body = match body::read(&doors, request.into_body(), ends).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let session = match query.session_id {
        None => None,
        Some(id) => match doors.service.sessions().find(&id, Transport::Sse, &grant) {
            Some(session) => Some(session),
            None => return unknown_session(),
        },
    };
    let frame = match jsonrpc::parse(&body.bytes) {
        Ok(frame) => frame,
        Err(refusal) => return reply::bytes(StatusCode::BAD_REQUEST, refusal.to_bytes()),
    };
    match session {
        Some(session) => {
            let related = Related::Session(Arc::clone(&session));
            on_stream(&doors, Peer::of(session, grant, agent, related), frame)
        }
        None => {
            let peer = Peer::outside(Revision::LATEST, grant, agent);
            direct(&doors, &peer, frame).await
        }
    }
}

/// The task that answers ends with the session, or with the daemon.
fn on_stream(doors: &Doors, peer: Peer, frame: Frame) -> Response {
    let service = Arc::clone(&doors.service);
    let Some(session) = peer.session.clone() else { return unknown_session() };
    doors.service.tasks().spawn(async move {
        if let Some(answer) = service.handle(&peer, frame).await {
            session.send(answer);
            session.open_up();
        }
    });
    reply::accepted()
}

/// One JSON-RPC request in, its answer in the body: `curl` is a client.
async fn direct(doors: &Doors, peer: &Peer, frame: Frame) -> Response {
    if doors.service.is_draining() {
        return reply::unavailable("the daemon is stopping");
    }
    if !matches!(frame, Frame::One(Message::Request(_))) {
        let message = "without `session_id` this route takes exactly one request";
        return reply::rpc_error(StatusCode::BAD_REQUEST, &RpcError::new(INVALID_REQUEST, message));
    }
    match doors.service.handle(peer, frame).await {
        Some(answer) => reply::bytes(StatusCode::OK, answer),
        None => reply::accepted(),
    }
}

fn unknown_session() -> Response {
    let error = RpcError::new(SESSION_NOT_FOUND, "Session not found").with_data(json!({
        "hint": "open a new stream with GET /sse",
    }));
    reply::rpc_error(StatusCode::NOT_FOUND, &error)
}
