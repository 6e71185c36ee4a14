//! Counters of what the daemon has done; read by the built-in `health` tool, by `/health`, by `/metrics` and by `smcpctl top`.

mod counted;
mod exposition;
mod process;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use counted::{Approval, Finished, GroupMoment, Moment, Reason, Rescan};

use exposition::Exposition;

/// Calls of one tool that are remembered one by one.
const LATEST: usize = 256;
/// Tools that are remembered; the one that was called longest ago makes room.
const TOOLS: usize = 1_000;

/// The outcome of a call that did what it should.
pub(crate) const OK: &str = "ok";

/// Counts since the start; each is only ever added to.
#[derive(Debug)]
pub(crate) struct Metrics {
    started: Instant,
    calls_ok: AtomicU64,
    calls_failed: AtomicU64,
    tools: Mutex<HashMap<String, Latest>>,
    exposition: Exposition,
}

/// The latest calls of one tool.
#[derive(Debug, Default)]
struct Latest {
    calls: u64,
    failed: u64,
    /// When each ended, and how long it took.
    ended: VecDeque<(Instant, Duration)>,
}

/// How one tool has done lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolFigures {
    pub(crate) tool: String,
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) last_minute: usize,
    pub(crate) p50: Duration,
    pub(crate) p95: Duration,
}

/// The counters of calls at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) ok: u64,
    pub(crate) failed: u64,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            calls_ok: AtomicU64::new(0),
            calls_failed: AtomicU64::new(0),
            tools: Mutex::default(),
            exposition: Exposition::new(),
        }
    }

    /// Counts one finished call.
    pub(crate) fn call_finished(&self, call: &Finished<'_>, now: Instant) {
        let (tool, ok, took) = (call.tool, call.outcome == OK, call.total);
        self.exposition.call_finished(call);
        let counter = if ok { &self.calls_ok } else { &self.calls_failed };
        counter.fetch_add(1, Ordering::Relaxed);
        let mut tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        if !tools.contains_key(tool) {
            if tools.len() >= TOOLS {
                let last = |latest: &Latest| latest.ended.back().map(|(ended, _)| *ended);
                let oldest =
                    tools.iter().min_by_key(|(_, latest)| last(latest)).map(|(name, _)| name.clone());
                oldest.and_then(|oldest| tools.remove(&oldest));
            }
            tools.insert(tool.to_owned(), Latest::default());
        }
        let Some(latest) = tools.get_mut(tool) else { return };
        latest.calls += 1;
        latest.failed += u64::from(!ok);
        if latest.ended.len() == LATEST {
            latest.ended.pop_front();
        }
        latest.ended.push_back((now, took));
    }

    pub(crate) fn refused(&self, reason: Reason) {
        self.exposition.refused(reason);
    }

    pub(crate) fn rescanned(&self, rescan: Rescan) {
        self.exposition.rescanned(rescan);
    }

    /// Counts what came of a call that somebody had to confirm.
    pub(crate) fn approval_ended(&self, outcome: Approval) {
        self.exposition.approval_ended(outcome);
    }

    /// Counts lines of plugins that did not reach the log.
    pub(crate) fn lines_dropped(&self, count: u64) {
        self.exposition.lines_dropped(count);
    }

    /// Writes everything as Prometheus reads it.
    pub(crate) fn render(&self, moment: &Moment) -> String {
        self.exposition.render(moment)
    }

    /// Returns how each tool has done, the one with most calls in the last minute first.
    pub(crate) fn tools(&self, now: Instant) -> Vec<ToolFigures> {
        let tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        let mut figures: Vec<ToolFigures> =
            tools.iter().map(|(name, latest)| latest.figures(name, now)).collect();
        drop(tools);
        figures.sort_by(|one, other| {
            (other.last_minute, other.calls, &one.tool).cmp(&(one.last_minute, one.calls, &other.tool))
        });
        figures
    }

    pub(crate) fn calls(&self) -> Calls {
        Calls { ok: self.calls_ok.load(Ordering::Relaxed), failed: self.calls_failed.load(Ordering::Relaxed) }
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Latest {
    fn figures(&self, tool: &str, now: Instant) -> ToolFigures {
        let mut took: Vec<Duration> = self.ended.iter().map(|(_, took)| *took).collect();
        took.sort_unstable();
        let at = |percent: usize| took.get((took.len() * percent / 100).min(took.len().saturating_sub(1)));
        let minute = |ended: Instant| now.saturating_duration_since(ended) <= Duration::from_secs(60);
        ToolFigures {
            tool: tool.to_owned(),
            calls: self.calls,
            failed: self.failed,
            last_minute: self.ended.iter().filter(|(ended, _)| minute(*ended)).count(),
            p50: at(50).copied().unwrap_or_default(),
            p95: at(95).copied().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(tool: &str, ok: bool, total: Duration) -> Finished<'_> {
        let outcome = if ok { OK } else { "plugin_error" };
        Finished { plugin: Some("a"), tool, outcome, queued: None, start: None, total }
    }

    #[test]
    fn figures_are_of_the_latest_calls_and_the_busiest_tool_comes_first() {
        let metrics = Metrics::new();
        let start = Instant::now();
        for number in 1..=100 {
            let took = Duration::from_millis(number);
            metrics.call_finished(&finished("a.b", number % 10 != 0, took), start);
        }
        let later = start + Duration::from_secs(61);
        metrics.call_finished(&finished("c.d", true, Duration::from_millis(5)), later);
        let milliseconds = |figures: &ToolFigures| (figures.p50.as_millis(), figures.p95.as_millis());
        let [one, other] = &metrics.tools(later)[..] else { panic!("two tools") };
        assert_eq!((one.tool.as_str(), one.calls, one.last_minute, milliseconds(one)), ("c.d", 1, 1, (5, 5)));
        assert_eq!((other.calls, other.failed, other.last_minute), (100, 10, 0));
        assert_eq!(milliseconds(other), (51, 96));
        assert_eq!(metrics.calls(), Calls { ok: 91, failed: 10 });
    }

    #[test]
    fn tools_that_nobody_calls_any_more_are_forgotten() {
        let metrics = Metrics::new();
        let start = Instant::now();
        for number in 0..TOOLS + 5 {
            let ended = start + Duration::from_secs(number as u64);
            metrics.call_finished(&finished(&format!("t.{number}"), true, Duration::ZERO), ended);
        }
        let tools = metrics.tools(start);
        assert_eq!(tools.len(), TOOLS);
        assert!(tools.iter().all(|one| one.tool != "t.0") && tools.iter().any(|one| one.tool == "t.5"));
    }
}
