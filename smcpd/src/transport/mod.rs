//! The doors that agents come through: HTTP (Streamable HTTP, HTTP+SSE, direct mode, health) and stdio.
//!
//! `listener` accepts connections and knows hyper, `closing` closes a port, `containers` listens on bridges, `tls` has them
//! speak TLS, `connections` counts them, `turns` has each let the others go on; `gate` decides who passes and `visits` who does
//! without a key, `rates` how often, `limits` says what was too much, `body` reads; the rest are the routes. A route reads a
//! frame, says who sent it, and hands it to the protocol.

mod alone;
mod answer;
mod body;
mod closing;
mod connections;
mod containers;
mod events;
mod gate;
mod headers;
mod limits;
mod listener;
mod messages;
mod rates;
mod refused;
mod reply;
mod stdio;
mod streamable;
mod tls;
mod turns;
mod visits;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Extension, Request, State};
use axum::http::header::AsHeaderName;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use futures_util::StreamExt;
use serde_json::json;
use tokio::net::TcpStream;
use tower::ServiceExt;

pub(crate) use containers::{Reached, serve as serve_containers};
pub(crate) use listener::{Listener, ServeError};
pub(crate) use stdio::serve as serve_stdio;

use self::tls::{Accepted, Handshakes};
use crate::audit::Audit;
use crate::auth::{Attempts, AuthError, Caller, Grant};
use crate::config::{self, Current};
use crate::limits::{Limit, Who};
use crate::oauth;
use crate::protocol::{Service, TooManySessions};
use body::Bodies;
use connections::Connections;
use gate::Gate;
use limits::Over;
use rates::{Payer, Rates};
use refused::{Refusals, Refused};
pub(crate) use visits::Visits;

/// Nothing is there, and whoever asks without a key is to hear so: a client that was refused looks here for a server that
/// would give it one, and takes another refusal for a broken one.
const WELL_KNOWN: &str = "/.well-known/";
/// Before the name of a profile that is chosen for one endpoint.
const PROFILE: &str = "/mcp/p/";
/// The one route that needs no key and is answered before the daemon is ready.
const HEALTH: &str = "/health";
/// Needs a key where there are keys, and is answered before the daemon is ready too.
const METRICS: &str = "/metrics";

// Names that are looked up with each request: a string would be read as a name each time.
const AGENT: HeaderName = HeaderName::from_static("x-agent-id");
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// What the routes share.
#[derive(Debug)]
struct Doors {
    service: Arc<Service>,
    current: Current,
    /// Made of a configuration, and made again once there is a newer one.
    gate: Mutex<Arc<Gate>>,
    address: SocketAddr,
    refusals: Refusals,
    connections: Arc<Connections>,
    rates: Rates,
    bodies: Bodies,
    visits: Arc<Visits>,
    handshakes: Handshakes,
    /// Outlives every configuration.
    attempts: Arc<Attempts>,
    audit: Arc<Audit>,
}

impl Doors {
    fn gate(&self) -> Arc<Gate> {
        let config = self.current.get();
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if !gate.is_of(&config) {
            let (visits, attempts) = (Arc::clone(&self.visits), Arc::clone(&self.attempts));
            *gate = Arc::new(Gate::new(config, self.address, visits, attempts));
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

/// Every route there is, as the gate's test walks them.
fn routes() -> [(&'static str, MethodRouter<Arc<Doors>>); 8] {
    [
        ("/mcp", any(streamable::endpoint)),
        ("/mcp/p/{profile}", any(streamable::endpoint)),
        ("/sse", get(messages::stream).fallback(sse_is_a_stream)),
        ("/messages", any(messages::post)),
        ("/messages/", any(messages::post)),
        ("/message", any(messages::post)),
        (HEALTH, get(health).fallback(only_get)),
        (METRICS, get(metrics).fallback(only_get)),
    ]
}

/// The gate, and every route behind it.
#[derive(Debug)]
pub(crate) struct Front {
    doors: Arc<Doors>,
    router: Router,
}

impl Front {
    pub(crate) fn new(
        service: Arc<Service>,
        current: Current,
        address: SocketAddr,
        visits: Arc<Visits>,
        audit: Arc<Audit>,
    ) -> Self {
        let attempts = Arc::<Attempts>::default();
        let gate = Gate::new(current.get(), address, Arc::clone(&visits), Arc::clone(&attempts));
        let gate = Mutex::new(Arc::new(gate));
        let doors = Arc::new(Doors {
            service,
            current,
            gate,
            address,
            refusals: Refusals::default(),
            connections: Arc::new(Connections::new()),
            rates: Rates::new(Instant::now()),
            bodies: Bodies::default(),
            visits,
            handshakes: Handshakes::default(),
            attempts,
            audit,
        });
        let add = |router: Router<_>, (path, methods)| router.route(path, methods);
        let router = routes().into_iter().fold(Router::new(), add).fallback(nothing_here);
        Self { router: router.with_state(Arc::clone(&doors)), doors }
    }

    /// Has a connection speak TLS where the port does; `None` where nothing more is to be heard on it.
    async fn secure(&self, stream: TcpStream, peer: SocketAddr) -> Option<Accepted> {
        let Some(server) = self.doors.visits.tls() else { return Some(Accepted::Plain(stream)) };
        match tls::accept(stream, &server).await {
            Ok(accepted) => Some(accepted),
            Err(reason) => {
                self.doors.handshakes.tell(&reason, peer, Instant::now());
                None
            }
        }
    }

    /// In this order: the limits of its head, Host, Origin, key, how often this caller asks; then the route, with the
    /// caller.
    ///
    /// Not a layer of the router: one would box each request and each answer once more.
    async fn answer(&self, mut request: Request) -> Response {
        let gate = self.doors.gate();
        if let Err(over) = limits::head(&request, gate.http()) {
            return self.refuse(over, &request, None);
        }
        match gate.admit(&request) {
            Ok(grant) => {
                if let Err(over) = self.pay(grant.caller(), &request, gate.http()) {
                    return self.refuse(over, &request, Some(grant.caller()));
                }
                if ![HEALTH, METRICS].contains(&request.uri().path()) {
                    self.doors.service.until_ready().await;
                }
                request.extensions_mut().insert(Arc::clone(&grant));
                let routed = self.router.clone().oneshot(request);
                let response = tokio::select! {
                    biased;
                    response = routed => response.unwrap_or_else(|never| match never {}),
                    () = grant.ended().cancelled() => return Refused::Key(AuthError::Ended).into_response(),
                };
                // What was cancelled with it has an answer too, which is nobody's any more.
                match grant.ended().is_cancelled() {
                    true => Refused::Key(AuthError::Ended).into_response(),
                    false => while_granted(&grant, response),
                }
            }
            Err(refused) => {
                self.doors.service.metrics().refused(refused.reason());
                let challenged = refused.challenged();
                let peer = request.extensions().get::<Ends>().map(|ends| ends.peer);
                self.doors.refusals.tell(&refused, peer, Instant::now());
                if let (Refused::Guessing(error), Some(peer)) = (&refused, peer) {
                    self.doors.audit.note_peer("wrong-keys", &peer.ip().to_string(), &error.to_string());
                }
                let mut response = refused.into_response();
                if let (Some(settings), Some(error)) = (&self.doors.current.get().oauth, challenged) {
                    let told = oauth::challenge(settings, error.as_ref());
                    response.headers_mut().insert(
                        header::WWW_AUTHENTICATE,
                        told.parse().expect("the configuration was checked"),
                    );
                }
                response
            }
        }
    }
}

/// A stream ends with the grant that it was opened with.
fn while_granted(grant: &Grant, response: Response) -> Response {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let ended = grant.ended().clone().cancelled_owned();
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(ended)))
}

impl Front {
    /// Whoever comes over loopback shares its address with every program of this host, or is a proxy.
    fn pay(&self, caller: &Caller, request: &Request, http: &config::Http) -> Result<(), Over> {
        let Some(ends) = request.extensions().get::<Ends>() else { return Ok(()) };
        let peer = ends.peer.ip().to_canonical();
        let (rate, limit) = match peer.is_loopback() {
            true => (http.loopback_rate, Limit::LoopbackRate),
            false => (http.rate, Limit::Rate),
        };
        if rate == 0 {
            return Ok(());
        }
        self.doors
            .rates
            .take(Payer::of(caller, peer), rate, Instant::now())
            .map_err(|wait| Over::new(limit, format!("at most {rate} requests a second")).again_after(wait))
    }

    fn refuse(&self, over: Over, request: &Request, caller: Option<&Caller>) -> Response {
        let peer = request.extensions().get::<Ends>().map(|ends| ends.peer.to_string());
        let who = || Who { peer, caller: caller.map(ToString::to_string), session: None };
        self.doors.service.exceeded().note(over.limit, who);
        over.into_response()
    }
}

async fn health(State(doors): State<Arc<Doors>>) -> Response {
    let health = doors.service.health();
    let status = if health.status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    reply::json(status, &health.body)
}

/// Every tool has its figures there.
async fn metrics(State(doors): State<Arc<Doors>>, Extension(grant): Extension<Arc<Grant>>) -> Response {
    if !doors.service.reaches_all(&grant) {
        let message =
            "the figures are of all tools, and you are let in for some: ask with a key without a profile";
        return reply::json(StatusCode::FORBIDDEN, &json!({"error": "not_permitted", "message": message}));
    }
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

async fn nothing_here(State(doors): State<Arc<Doors>>, method: Method, uri: Uri) -> Response {
    if let Some(settings) = &doors.current.get().oauth
        && let Some(told) = oauth::metadata(settings, uri.path())
    {
        return match method {
            Method::GET | Method::HEAD => reply::json(StatusCode::OK, &told),
            _ => reply::not_allowed("GET"),
        };
    }
    let body = json!({
        "error": "not_found",
        "message": format!("nothing answers {method} here: the routes are `/mcp`, `/sse`, `/messages/`, `/health` and `/metrics`"),
    });
    reply::json(StatusCode::NOT_FOUND, &body)
}

fn too_many_sessions(error: TooManySessions) -> Response {
    // Where it was refused, it was noted.
    Over::told(error.limit(), error.to_string()).again_after(Duration::from_secs(5)).into_response()
}

/// The value of a header, where there is exactly one and it is text.
fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// The agent that the key was given to, else `X-Agent-Id` as the plugin may see it: bounded, and nothing that could
/// break a line.
fn agent(grant: &Grant, headers: &HeaderMap) -> Option<String> {
    if let Some(agent) = grant.agent() {
        return Some(agent.to_owned());
    }
    text(headers, AGENT).filter(|agent| !agent.is_empty() && agent.len() <= 256).map(str::to_owned)
}

/// Whether the body is declared to be JSON; parameters such as a charset do not matter.
fn is_json(headers: &HeaderMap) -> bool {
    text(headers, header::CONTENT_TYPE)
        .and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}
