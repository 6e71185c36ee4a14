//! One MCP service behind every transport: revisions, sessions, methods.
//!
//! A door reads a frame with [`jsonrpc`], says who sent it ([`Peer`]), and gets the bytes to send back. Nothing
//! here knows HTTP; nothing here runs a program.

mod calls;
pub(crate) mod jsonrpc;
pub(crate) mod lines;
mod noted;
mod outbox;
mod revision;
mod running;
mod said;
mod session;
mod sessions;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use calls::{Asked, Event};
use jsonrpc::{
    Frame, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, Message, Notification, Request,
    RpcError, UNSUPPORTED_VERSION,
};
pub(crate) use revision::{Claim, Revision};
pub(crate) use running::Call;
use running::Running;
use said::Said;
pub(crate) use session::{Listening, Session, Transport};
use sessions::Sessions;

use crate::auth::Caller;
use crate::catalog::{Catalog, CatalogHandle, Fields};
use crate::config::Current;
use crate::executor::{Executor, LaneCounts};
use crate::metrics::{Metrics, Moment};
use crate::shutdown::Shutdown;
use crate::throttle::Throttle;

/// Letta and others read only the first page of a list: it holds this many tools.
const PAGE: usize = 1_000;

/// How often idle sessions are looked for.
const SWEEP: std::time::Duration = std::time::Duration::from_secs(1);

/// Who sent a message, and in which conversation.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) revision: Revision,
    pub(crate) caller: Caller,
    /// `X-Agent-Id`, a claim.
    pub(crate) agent: Option<String>,
}

/// How the daemon is, for whoever watches over it.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    /// `starting`, `ok` or `draining`.
    pub(crate) status: &'static str,
    pub(crate) body: Value,
}

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    catalog: CatalogHandle,
    executor: Executor,
    sessions: Sessions,
    current: Current,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    tasks: TaskTracker,
    ready: CancellationToken,
    calls: std::sync::atomic::AtomicU64,
    running: Running,
    said: Said,
    /// How often it is said that the queue is full.
    queue_full: Throttle,
}

impl Service {
    pub(crate) fn new(
        catalog: CatalogHandle,
        executor: Executor,
        current: Current,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            catalog,
            executor,
            sessions: Sessions::new(current.clone()),
            current,
            metrics,
            shutdown,
            tasks: TaskTracker::new(),
            ready: CancellationToken::new(),
            calls: 0.into(),
            running: Running::default(),
            said: Said::default(),
            queue_full: Throttle::new(1),
        }
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Lanes in which anything runs or waits.
    pub(crate) fn lanes(&self) -> Vec<LaneCounts> {
        self.executor.lanes()
    }

    /// The calls of this moment.
    pub(crate) fn running(&self) -> &Running {
        &self.running
    }

    /// The catalog of this moment.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.snapshot()
    }

    /// Owns the tasks that answer requests of streams; stopping waits for them.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Says that the first catalog is there.
    pub(crate) fn set_ready(&self) {
        self.ready.cancel();
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.is_cancelled()
    }

    /// Waits for the first catalog: a client that comes before it would see a list without tools.
    pub(crate) async fn until_ready(&self) {
        tokio::select! {
            () = self.ready.cancelled() => {}
            () = self.shutdown.draining() => {}
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.shutdown.is_draining()
    }

    /// Tells every listener of each new catalog, and forgets idle sessions, until the daemon stops.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut catalog = self.catalog.clone();
        let mut sweep = tokio::time::interval(SWEEP);
        let mut publishing = true;
        loop {
            tokio::select! {
                changed = catalog.changed(), if publishing => match changed {
                    true => {
                        let message = jsonrpc::notification("notifications/tools/list_changed", None);
                        self.sessions.all().iter().for_each(|session| session.notify(message.clone()));
                    }
                    // Discovery has ended: this catalog stays.
                    false => publishing = false,
                },
                _ = sweep.tick() => {
                    self.sessions.forget_idle(Instant::now(), self.current.get().sessions.idle);
                }
                () = self.shutdown.draining() => return,
            }
        }
    }

    /// Returns one line for people: what is served and what is going on.
    pub(crate) fn status_line(&self) -> String {
        let catalog = self.catalog.snapshot();
        let counts = self.executor.counts();
        format!(
            "{} tools from {} plugins, {} calls running, {} waiting, {} sessions",
            catalog.tools().len(),
            catalog.plugin_counts().described,
            counts.running,
            counts.waiting,
            self.sessions.count(),
        )
    }

    pub(crate) fn health(&self) -> Health {
        let catalog = self.catalog.snapshot();
        let status = match (self.is_draining(), self.ready.is_cancelled()) {
            (true, _) => "draining",
            (false, false) => "starting",
            (false, true) => "ok",
        };
        let calls = self.metrics.calls();
        let counts = self.executor.counts();
        Health {
            status,
            body: json!({
                "status": status,
                "version": env!("CARGO_PKG_VERSION"),
                "uptime_seconds": self.metrics.uptime().as_secs(),
                "plugins": catalog.plugin_counts(),
                "tools": catalog.tools().len(),
                "sessions": self.sessions.count(),
                "calls": {
                    "total": calls.ok + calls.failed,
                    "ok": calls.ok,
                    "failed": calls.failed,
                    "running": counts.running,
                    "waiting": counts.waiting,
                },
            }),
        }
    }

    /// Everything that is counted and measured, as Prometheus reads it.
    pub(crate) fn figures(&self) -> String {
        let catalog = self.catalog.snapshot();
        let (plugins, counts, sessions) =
            (catalog.plugin_counts(), self.executor.counts(), self.sessions.all());
        let of = |transport| sessions.iter().filter(|session| session.transport() == transport).count();
        self.metrics.render(&Moment {
            running: counts.running,
            waiting: counts.waiting,
            processes: self.executor.processes(),
            sessions: [
                ("http", of(Transport::Http)),
                ("sse", of(Transport::Sse)),
                ("stdio", of(Transport::Stdio)),
            ],
            streams: sessions.iter().filter(|session| session.has_stream()).count(),
            plugins: [
                ("described", plugins.described),
                ("failed", plugins.failed),
                ("pending", plugins.pending),
            ],
            tools: catalog.tools().len(),
        })
    }

    /// The catalog as one message, for `/sse` streams that open with it.
    pub(crate) fn manifest(&self) -> Bytes {
        let tools = self.catalog.snapshot().listed(Fields::Titled);
        let tools: &RawValue = serde_json::from_slice(&tools).expect("the list is JSON");
        #[derive(serde::Serialize)]
        struct Params<'a> {
            tools: &'a RawValue,
        }
        #[derive(serde::Serialize)]
        struct Manifest<'a> {
            jsonrpc: &'a str,
            method: &'a str,
            params: Params<'a>,
        }
        let manifest =
            Manifest { jsonrpc: "2.0", method: "notifications/tools/list", params: Params { tools } };
        serde_json::to_vec(&manifest).expect("a manifest has string keys").into()
    }

    /// Answers every message of a frame: `None` where nothing is to be sent back.
    pub(crate) async fn handle(&self, peer: &Peer, frame: Frame) -> Option<Bytes> {
        match frame {
            Frame::One(message) => self.message(peer, message).await,
            Frame::Batch(_) if !peer.revision.has_batches() => {
                let error = RpcError::new(
                    INVALID_REQUEST,
                    format!("batches are not part of revision {}", peer.revision.as_str()),
                );
                Some(jsonrpc::failure(None, &error))
            }
            Frame::Batch(messages) => {
                let answers = messages.into_iter().map(async |message| match message {
                    Ok(message) => self.message(peer, message).await,
                    Err(refusal) => Some(refusal.to_bytes()),
                });
                let answers: Vec<Bytes> =
                    futures_util::future::join_all(answers).await.into_iter().flatten().collect();
                (!answers.is_empty()).then(|| jsonrpc::batch(&answers))
            }
        }
    }

    async fn message(&self, peer: &Peer, message: Message) -> Option<Bytes> {
        match message {
            Message::Request(request) => self.request(peer, request).await,
            Message::Notification(notification) => {
                notified(peer, &notification);
                None
            }
            Message::Response => None,
        }
    }

    /// Answers one request. A request that its client cancelled gets no answer (2025-11-25, cancellation).
    async fn request(&self, peer: &Peer, request: Request) -> Option<Bytes> {
        let in_flight = match &peer.session {
            None => None,
            Some(session) => match session.begin(request.id.clone()) {
                Ok(in_flight) => Some(in_flight),
                Err(error) => {
                    let error = RpcError::new(INVALID_REQUEST, error.to_string());
                    return Some(jsonrpc::failure(Some(&request.id), &error));
                }
            },
        };
        let cancel = in_flight.as_ref().map_or_else(CancellationToken::new, |one| one.token().clone());
        let result = self.answer(peer, &request, &cancel).await;
        if cancel.is_cancelled() {
            return None;
        }
        Some(match result {
            Ok(result) => jsonrpc::success(&request.id, &result),
            Err(error) => jsonrpc::failure(Some(&request.id), &error),
        })
    }

    async fn answer(
        &self,
        peer: &Peer,
        request: &Request,
        cancel: &CancellationToken,
    ) -> Result<Bytes, RpcError> {
        let params = request.params.as_deref();
        match request.method.as_str() {
            "initialize" => initialize(peer, params),
            "ping" => Ok(Bytes::from_static(b"{}")),
            "tools/list" => self.list(peer, params),
            "tools/call" => self.call(peer, params, cancel).await,
            other => {
                let name: String = other.chars().take(128).collect();
                Err(RpcError::new(METHOD_NOT_FOUND, format!("there is no method `{name}`")))
            }
        }
    }

    fn list(&self, peer: &Peer, params: Option<&RawValue>) -> Result<Bytes, RpcError> {
        #[derive(Deserialize, Default)]
        struct Params {
            cursor: Option<String>,
        }
        let params: Params = read(params)?.unwrap_or_default();
        let catalog = self.catalog.snapshot();
        let count = catalog.tools().len();
        let start = match params.cursor {
            None => 0,
            Some(cursor) => cursor
                .parse()
                .ok()
                .filter(|start| *start < count)
                .ok_or_else(|| RpcError::new(INVALID_PARAMS, "`cursor` is not one of ours"))?,
        };
        let fields = peer.revision.fields();
        if start == 0 && count <= PAGE {
            let tools = catalog.listed(fields);
            return Ok([b"{\"tools\":", tools.as_ref(), b"}"].concat().into());
        }
        let tools: Vec<Value> = catalog.tools_from(start, PAGE, fields);
        let mut page = json!({"tools": tools});
        if start + PAGE < count {
            page["nextCursor"] = (start + PAGE).to_string().into();
        }
        Ok(page.to_string().into())
    }
}

/// Reads a request's params; `None` where there are none.
fn read<'a, T: Deserialize<'a>>(params: Option<&'a RawValue>) -> Result<Option<T>, RpcError> {
    let Some(params) = params else { return Ok(None) };
    match serde_json::from_str(params.get()) {
        Ok(params) => Ok(Some(params)),
        Err(error) => Err(RpcError::new(INVALID_PARAMS, format!("`params`: {error}"))),
    }
}

/// 2025-11-25, lifecycle, "initialization".
fn initialize(peer: &Peer, params: Option<&RawValue>) -> Result<Bytes, RpcError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params {
        protocol_version: String,
    }
    let params: Params = read(params)?
        .ok_or_else(|| RpcError::new(INVALID_PARAMS, "`params`: missing field `protocolVersion`"))?;
    let revision = Revision::negotiate(&params.protocol_version);
    if let Some(session) = &peer.session {
        session.agree_on(revision);
    }
    let result = json!({
        "protocolVersion": revision.as_str(),
        "capabilities": {"tools": {"listChanged": true}},
        "serverInfo": {
            "name": "smcpd",
            "title": "smcp",
            "version": env!("CARGO_PKG_VERSION"),
        },
    });
    Ok(result.to_string().into())
}

/// Takes a notification; one that is not known, or not well made, is passed over: nothing may be answered.
fn notified(peer: &Peer, notification: &Notification) {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Cancelled<'a> {
        #[serde(borrow)]
        request_id: &'a RawValue,
    }
    if notification.method != "notifications/cancelled" {
        return;
    }
    let params = notification.params.as_deref().map(RawValue::get).unwrap_or_default();
    let id = serde_json::from_str::<Cancelled<'_>>(params)
        .ok()
        .and_then(|cancelled| jsonrpc::Id::from_value(cancelled.request_id));
    if let (Some(session), Some(id)) = (&peer.session, id) {
        session.cancel(&id);
    }
}

/// The answer to a revision that is not served (2026-07-28, -32022): names those that are.
pub(crate) fn unsupported_version(asked: &str) -> RpcError {
    let supported: Vec<&str> = Revision::ALL.iter().rev().map(|revision| revision.as_str()).collect();
    let asked: String = asked.chars().take(64).collect();
    RpcError::new(UNSUPPORTED_VERSION, format!("Unsupported protocol version: {asked}"))
        .with_data(json!({"supported": supported, "requested": asked}))
}

/// The answer to a request that the daemon itself could not carry out.
pub(crate) fn internal_error(message: &str) -> RpcError {
    RpcError::new(INTERNAL_ERROR, message)
}
