//! The limits that whoever comes through a door is held to: what is over one is counted each time, and told of once a
//! minute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::events::{Event, Field, Kind};
use crate::metrics::{Metrics, Reason};
use crate::throttle::Throttle;

/// How often the log hears of one limit.
const TOLD: Duration = Duration::from_secs(60);

/// One limit, by what it bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    HeaderSize,
    HeaderCount,
    HeaderTime,
    BodySize,
    BodyTime,
    BodyMemory,
    Connections,
    ConnectionsOfPeer,
    Rate,
    LoopbackRate,
    Sessions,
    SessionsOfCaller,
    Outbox,
    Backlog,
    Queue,
    QueueOfCaller,
}

impl Limit {
    const COUNT: usize = 16;

    /// The key that sets it.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::HeaderSize => "http.header_limit",
            Self::HeaderCount => "http.header_count",
            Self::HeaderTime => "http.header_timeout",
            Self::BodySize => "http.body_limit",
            Self::BodyTime => "http.body_timeout",
            Self::BodyMemory => "http.body_memory",
            Self::Connections => "http.max_connections",
            Self::ConnectionsOfPeer => "http.connections_per_peer",
            Self::Rate => "http.rate",
            Self::LoopbackRate => "http.loopback_rate",
            Self::Sessions => "sessions.max",
            Self::SessionsOfCaller => "sessions.per_caller",
            Self::Outbox => "sessions.outbox",
            Self::Backlog => "sessions.backlog",
            Self::Queue => "execution.queue",
            Self::QueueOfCaller => "execution.queue_per_caller",
        }
    }

    fn reason(self) -> Reason {
        match self {
            Self::HeaderSize | Self::HeaderCount => Reason::HeaderTooLarge,
            Self::HeaderTime => Reason::HeaderTimeout,
            Self::BodySize => Reason::BodyTooLarge,
            Self::BodyTime => Reason::BodyTimeout,
            Self::BodyMemory => Reason::BodyMemory,
            Self::Connections | Self::ConnectionsOfPeer => Reason::TooManyConnections,
            Self::Rate | Self::LoopbackRate => Reason::Rate,
            Self::Sessions | Self::SessionsOfCaller => Reason::TooManySessions,
            Self::Outbox | Self::Backlog => Reason::SlowReader,
            Self::Queue | Self::QueueOfCaller => Reason::QueueFull,
        }
    }
}

/// Who was over a limit, as far as it is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Who<'a> {
    pub(crate) peer: Option<String>,
    pub(crate) caller: Option<String>,
    /// Its short id.
    pub(crate) session: Option<&'a str>,
}

/// Counts and tells.
#[derive(Debug)]
pub(crate) struct Exceeded {
    metrics: Arc<Metrics>,
    told: [Throttle; Limit::COUNT],
}

impl Exceeded {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, told: [(); Limit::COUNT].map(|()| Throttle::every(TOLD, 1)) }
    }

    /// Notes that somebody was over a limit.
    pub(crate) fn note<'a>(&self, limit: Limit, who: impl FnOnce() -> Who<'a>) {
        self.metrics.refused(limit.reason());
        let Some(dropped) = self.told[limit as usize].pass(Instant::now()) else { return };
        let who = who();
        Event::of(Kind::LimitHit)
            .text(Field::Limit, limit.key())
            .maybe(Field::Peer, who.peer)
            .maybe(Field::Caller, who.caller)
            .maybe(Field::Session, who.session)
            .dropped(dropped)
            .write();
    }
}
