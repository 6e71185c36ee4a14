//! The doors that agents come through: HTTP (Streamable HTTP, HTTP+SSE, direct mode, health) and stdio.
//!
//! `listener` accepts connections and knows hyper; `gate` decides who passes; the rest are the routes. A route
//! reads a frame, says who sent it, and hands it to the protocol.

mod alone;
mod answer;
mod events;
mod gate;
mod headers;
mod listener;
mod messages;
mod reply;
mod stdio;
mod streamable;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde_json::json;

pub(crate) use listener::{Listener, ServeError};
pub(crate) use stdio::serve as serve_stdio;

use crate::config::Current;
use crate::protocol::Service;
use gate::{Gate, Refusals};

/// The one route that needs no key and is answered before the daemon is ready.
const HEALTH: &str = "/health";
/// Needs a key where there are keys, and is answered before the daemon is ready too.
const METRICS: &str = "/metrics";

/// What the routes share.
#[derive(Debug, Clone)]
struct Doors {
    service: Arc<Service>,
    current: Current,
    /// Made of a configuration, and made again once there is a newer one.
    gate: Arc<Mutex<Arc<Gate>>>,
    address: SocketAddr,
    refusals: Arc<Refusals>,
}

impl Doors {
    fn gate(&self) -> Arc<Gate> {
        let config = self.current.get();
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if !gate.is_of(&config) {
            *gate = Arc::new(Gate::new(config, self.address));
        }
        Arc::clone(&gate)
    }
}

/// The two ends of a request's connection, put on it by the listener.
#[derive(Debug, Clone, Copy)]
struct Ends {
    peer: SocketAddr,
    /// The address that the client connected to.
    local: SocketAddr,
}

/// Builds the routes; every one of them stands behind the gate.
pub(crate) fn router(service: Arc<Service>, current: Current, address: SocketAddr) -> Router {
    let gate = Gate::new(current.get(), address);
    let doors = Doors {
        service,
        current,
        gate: Arc::new(Mutex::new(Arc::new(gate))),
        address,
        refusals: Arc::default(),
    };
    Router::new()
        .route("/mcp", any(streamable::endpoint))
        .route("/sse", get(messages::stream).fallback(sse_is_a_stream))
        .route("/messages", any(messages::post))
        .route("/messages/", any(messages::post))
        .route("/message", any(messages::post))
        .route(HEALTH, get(health).fallback(only_get))
        .route(METRICS, get(metrics).fallback(only_get))
        .fallback(nothing_here)
        .layer(axum::middleware::from_fn_with_state(doors.clone(), pass_the_gate))
        // The gate has a limit of its own, which answers in JSON and before the body is read.
        .layer(DefaultBodyLimit::disable())
        .with_state(doors)
}

/// In this order: body limit, Host, Origin, key; the caller travels on with the request.
async fn pass_the_gate(State(doors): State<Doors>, mut request: Request, next: Next) -> Response {
    let admitted = doors.gate().admit(&request);
    match admitted {
        Ok(caller) => {
            if ![HEALTH, METRICS].contains(&request.uri().path()) {
                doors.service.until_ready().await;
            }
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refused) => {
            doors.service.metrics().refused(refused.reason());
            let peer = request.extensions().get::<Ends>().map(|ends| ends.peer);
            doors.refusals.tell(&refused, peer, Instant::now());
            refused.into_response()
        }
    }
}

async fn health(State(doors): State<Doors>) -> Response {
    let health = doors.service.health();
    let status = if health.status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    reply::json(status, &health.body)
}

async fn metrics(State(doors): State<Doors>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], doors.service.figures()).into_response()
}

/// Old clients that try Streamable HTTP first fall back on this answer.
async fn sse_is_a_stream() -> Response {
    let body = json!({
        "error": "method_not_allowed",
        "message": "`/sse` is a stream: GET it, or POST to `/mcp` (Streamable HTTP) or `/messages/`",
        "endpoints": {"streamable_http": "/mcp", "sse": "/sse", "messages": "/messages/"},
    });
    reply::with_header(reply::json(StatusCode::METHOD_NOT_ALLOWED, &body), header::ALLOW, "GET")
}

async fn only_get() -> Response {
    reply::not_allowed("GET")
}

async fn nothing_here(method: Method) -> Response {
    let body = json!({
        "error": "not_found",
        "message": format!("nothing answers {method} here: the routes are `/mcp`, `/sse`, `/messages/`, `/health` and `/metrics`"),
    });
    reply::json(StatusCode::NOT_FOUND, &body)
}

/// The value of a header, where there is exactly one and it is text.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// `X-Agent-Id` as the plugin may see it: bounded, and nothing that could break a line.
fn agent(headers: &HeaderMap) -> Option<String> {
    text(headers, "x-agent-id").filter(|agent| !agent.is_empty() && agent.len() <= 256).map(str::to_owned)
}

/// Whether the body is declared to be JSON; parameters such as a charset do not matter.
fn is_json(headers: &HeaderMap) -> bool {
    text(headers, "content-type")
        .and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}
