//! One MCP service behind every transport: revisions, sessions, methods.
//!
//! A door reads a frame with [`jsonrpc`], says who sent it ([`Peer`]), and gets the bytes to send back. Nothing
//! here knows HTTP; nothing here runs a program.

mod answering;
mod approvals;
mod asking;
mod backlog;
mod calls;
mod changes;
mod client;
mod completion;
mod confirming;
mod dispatch;
pub(crate) mod jsonrpc;
pub(crate) mod lines;
mod listen;
mod logging;
mod long_calls;
mod methods;
mod noted;
mod offers;
mod outbox;
mod outputs;
mod prompts;
mod questions;
mod related;
mod resources;
mod resumption;
mod revision;
mod running;
mod runs;
mod said;
mod sealed;
mod session;
mod sessions;
mod state;
pub(crate) mod stateless;
mod tasks;
mod tools;
mod updated;
mod views;
mod voice;

use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use answering::{Answering, Reader};
pub(crate) use approvals::{Approvals, Decision, Waiting};
pub(crate) use calls::{Asked, CallError, Event, Repeated};
use changes::{Change, News};
pub(crate) use client::Client;
use confirming::Tickets;
pub(crate) use dispatch::Done;
use jsonrpc::{INTERNAL_ERROR, INVALID_PARAMS, RpcError, UNSUPPORTED_VERSION};
use outputs::Outputs;
pub(crate) use related::{Related, WAITING};
pub(crate) use resumption::EventId;
pub(crate) use revision::{Claim, Revision};
pub(crate) use running::Call;
use running::Running;
use said::Said;
use sealed::Seal;
pub(crate) use session::{Listening, Session, Transport};
use sessions::Sessions;
pub(crate) use sessions::TooManySessions;
use tasks::Tasks;
use updated::{Versions, Wanted};
use views::{Moment, Turn, Views};

use crate::auth::{Caller, Grant};
use crate::catalog::{Catalog, CatalogHandle, Silent};
use crate::config::Current;
use crate::executor::{Executor, GroupFigures, LaneCounts, WarmState};
use crate::letta::Letta;
use crate::limits::Exceeded;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;

/// How often idle sessions are looked for.
const SWEEP: std::time::Duration = std::time::Duration::from_secs(1);

/// Who sent a message, and in which conversation.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) revision: Revision,
    /// What it was let in with.
    pub(crate) grant: Arc<Grant>,
    /// The one that its key was given to, else `X-Agent-Id`, a claim.
    pub(crate) agent: Option<String>,
    /// What the client said of itself.
    pub(crate) client: Arc<Client>,
    /// The way back to it while a request is answered.
    pub(crate) related: Related,
}

impl Peer {
    /// A client with a session; what it hears beside answers comes by `related`.
    pub(crate) fn of(
        session: Arc<Session>,
        grant: Arc<Grant>,
        agent: Option<String>,
        related: Related,
    ) -> Self {
        let (revision, client) = (session.revision(), session.client());
        Self { session: Some(session), revision, grant, agent, client, related }
    }

    /// A client without a session, of which nothing is known.
    pub(crate) fn outside(revision: Revision, grant: Arc<Grant>, agent: Option<String>) -> Self {
        let (client, related) = (Arc::default(), Related::Nowhere);
        Self { session: None, revision, grant, agent, client, related }
    }

    pub(crate) fn caller(&self) -> &Caller {
        self.grant.caller()
    }
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
    exceeded: Arc<Exceeded>,
    current: Current,
    letta: Letta,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    tasks: TaskTracker,
    ready: CancellationToken,
    calls: std::sync::atomic::AtomicU64,
    running: Running,
    /// Calls that wait for an operator.
    approvals: Arc<Approvals>,
    tickets: Tickets,
    said: Said,
    seal: Seal,
    outputs: Outputs,
    /// The catalog as each profile has it.
    views: Views,
    /// Calls that outlive their requests.
    long: Tasks,
    /// Resources that clients without sessions subscribe to.
    wanted: Arc<Wanted>,
    /// To the clients without sessions that listen.
    changes: broadcast::Sender<News>,
}

impl Service {
    pub(crate) fn new(
        catalog: CatalogHandle,
        executor: Executor,
        current: Current,
        letta: Letta,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Self {
        let exceeded = Arc::new(Exceeded::new(Arc::clone(&metrics)));
        Self {
            catalog,
            executor,
            sessions: Sessions::new(current.clone(), Arc::clone(&exceeded)),
            exceeded,
            outputs: Outputs::new(&current.get().paths.cache),
            views: Views::default(),
            seal: Seal::new(current.clone()),
            current,
            letta,
            metrics,
            shutdown,
            tasks: TaskTracker::new(),
            ready: CancellationToken::new(),
            calls: 0.into(),
            running: Running::default(),
            approvals: Arc::default(),
            tickets: Tickets::default(),
            said: Said::default(),
            long: Tasks::default(),
            wanted: Arc::default(),
            changes: broadcast::Sender::new(changes::BEHIND),
        }
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Where it is noted that somebody was over a limit.
    pub(crate) fn exceeded(&self) -> &Exceeded {
        &self.exceeded
    }

    /// What is known of Letta's agents.
    pub(crate) fn letta(&self) -> &Letta {
        &self.letta
    }

    /// Lanes in which anything runs or waits.
    pub(crate) fn lanes(&self) -> Vec<LaneCounts> {
        self.executor.lanes()
    }

    /// What is kept ready for a plugin; nothing where it was not called lately.
    pub(crate) fn warm_state(&self, plugin: &str) -> Option<WarmState> {
        self.executor.warm_state(plugin)
    }

    /// What all processes of a plugin take together.
    pub(crate) fn group_figures(&self, plugin: &str) -> Option<GroupFigures> {
        self.executor.group_figures(plugin)
    }

    /// Whether plugins have control groups.
    pub(crate) fn has_groups(&self) -> bool {
        self.executor.has_groups()
    }

    /// The calls of this moment.
    pub(crate) fn running(&self) -> &Running {
        &self.running
    }

    /// The catalog of this moment.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.snapshot()
    }

    /// Looks at the files of its plugins.
    pub(crate) fn silent(&self) -> &Arc<Silent> {
        self.catalog.silent()
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
        if self.is_ready() {
            return;
        }
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
        let (mut catalog, mut current) = (self.catalog.clone(), self.current.clone());
        let mut before = self.moment();
        let mut versions = Versions::new();
        let mut sweep = tokio::time::interval(SWEEP);
        let mut publishing = true;
        loop {
            tokio::select! {
                changed = catalog.changed(), if publishing => match changed {
                    true => self.turn(&mut before),
                    // Discovery has ended: this catalog stays.
                    false => publishing = false,
                },
                true = current.changed() => self.turn(&mut before),
                _ = sweep.tick() => {
                    self.look_at_resources(&mut versions).await;
                    let config = self.current.get();
                    config.keys.end_expired(crate::auth::now());
                    self.sessions.forget_idle(Instant::now(), config.sessions.idle);
                }
                () = self.shutdown.draining() => return,
            }
        }
    }

    /// Goes on to the catalog and the profiles of now, and tells everyone of the lists that they see changed.
    fn turn(&self, before: &mut Moment) {
        let then = std::mem::replace(before, self.moment());
        // Before the first one nobody was shown a list, and the lists are made for who asks.
        if then.catalog.generation == 0 || then.is_like(before) {
            return;
        }
        let turn = Arc::new(Turn::new(then, before.clone()));
        for session in self.sessions.all() {
            for change in turn.changes(session.grant().scope()).iter() {
                session.notify(change.notification());
            }
        }
        // Nobody may listen.
        let _heard = self.changes.send(News::Lists(turn));
    }

    /// Tells of a resource that is not what it was.
    fn tell_updated(&self, uri: String) {
        let message = Change::Updated(uri.clone()).notification();
        for session in self.sessions.all().iter().filter(|session| session.is_subscribed(&uri)) {
            if self.seen_by(session.grant()).offered().resource(&uri).is_some() {
                session.notify(message.clone());
            }
        }
        let _heard = self.changes.send(News::Updated(uri));
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

/// Who we are, as clients see it.
fn implementation() -> Value {
    json!({"name": "smcpd", "title": "smcp", "version": env!("CARGO_PKG_VERSION")})
}

/// The answer to a revision that is not served (2026-07-28, -32022): names those that are.
pub(crate) fn unsupported_version(asked: &str) -> RpcError {
    let supported = Revision::supported();
    let asked: String = asked.chars().take(64).collect();
    RpcError::new(UNSUPPORTED_VERSION, format!("Unsupported protocol version: {asked}"))
        .with_data(json!({"supported": supported, "requested": asked}))
}

/// The answer to a request that the daemon itself could not carry out.
pub(crate) fn internal_error(message: &str) -> RpcError {
    RpcError::new(INTERNAL_ERROR, message)
}
