//! Counters of what the daemon has done; read by the built-in `health` tool and by `/health`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts since the start; each is only ever added to.
#[derive(Debug)]
pub(crate) struct Metrics {
    started: Instant,
    calls_ok: AtomicU64,
    calls_failed: AtomicU64,
}

/// The counters of calls at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) ok: u64,
    pub(crate) failed: u64,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), calls_ok: AtomicU64::new(0), calls_failed: AtomicU64::new(0) }
    }

    /// Counts one finished call.
    pub(crate) fn call_finished(&self, ok: bool) {
        let counter = if ok { &self.calls_ok } else { &self.calls_failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn calls(&self) -> Calls {
        Calls { ok: self.calls_ok.load(Ordering::Relaxed), failed: self.calls_failed.load(Ordering::Relaxed) }
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}
