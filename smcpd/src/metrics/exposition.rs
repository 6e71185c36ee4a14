//! What Prometheus reads at `/metrics`: counters, histograms and, at the moment of asking, the state of things.
//!
//! Every set of labels is closed or bounded: plugins and tools come from the catalog, and those that are one too
//! many are counted as `other`.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::counted::{Approval, Finished, GroupMoment, Moment, Reason, Rescan};
use super::process;

/// Tools that have labels of their own.
const TOOLS: usize = 1_000;
/// Plugins that have histograms of their own, of which each has many lines.
const PLUGINS: usize = 100;
const OTHER: &str = "other";
/// From a command that says `--version` to one that builds a kernel.
const SECONDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0, 300.0];

/// How the process of a call may come to be.
const STARTS: [&str; 3] = ["cold", "fork", "spare"];

type Real = Gauge<f64, std::sync::atomic::AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    plugin: String,
    tool: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabel {
    plugin: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StartLabel {
    start: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransportLabel {
    transport: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

type Histograms = Family<PluginLabel, Histogram, fn() -> Histogram>;

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}

/// Everything that is counted for `/metrics`.
#[derive(Debug)]
pub(super) struct Exposition {
    registry: Registry,
    known: Mutex<Known>,
    calls: Family<CallLabels, Counter>,
    starts: Family<StartLabel, Counter>,
    queue: Histograms,
    run: Histograms,
    total: Histograms,
    refused: Family<ReasonLabel, Counter>,
    rescans: Family<OutcomeLabel, Counter>,
    approvals: Family<OutcomeLabel, Counter>,
    dropped: Counter,
    running: Gauge,
    waiting: Gauge,
    unapproved: Gauge,
    processes: Gauge,
    warm: Family<KindLabel, Gauge>,
    sessions: Family<TransportLabel, Gauge>,
    streams: Gauge,
    plugins: Family<StateLabel, Gauge>,
    tools: Gauge,
    group_processes: Family<PluginLabel, Gauge>,
    group_memory: Family<PluginLabel, Gauge>,
    group_cpu: Family<PluginLabel, Real>,
    cpu: Counter<f64, std::sync::atomic::AtomicU64>,
    resident: Gauge,
    descriptors: Gauge,
    started: Real,
}

/// Names that have labels of their own.
#[derive(Debug, Default)]
struct Known {
    plugins: BTreeSet<String>,
    tools: BTreeSet<String>,
}

impl Exposition {
    pub(super) fn new() -> Self {
        let mut new = Self {
            registry: Registry::default(),
            known: Mutex::default(),
            calls: Family::default(),
            starts: Family::default(),
            queue: Family::new_with_constructor(histogram),
            run: Family::new_with_constructor(histogram),
            total: Family::new_with_constructor(histogram),
            refused: Family::default(),
            rescans: Family::default(),
            approvals: Family::default(),
            dropped: Counter::default(),
            running: Gauge::default(),
            waiting: Gauge::default(),
            unapproved: Gauge::default(),
            processes: Gauge::default(),
            warm: Family::default(),
            sessions: Family::default(),
            streams: Gauge::default(),
            plugins: Family::default(),
            tools: Gauge::default(),
            group_processes: Family::default(),
            group_memory: Family::default(),
            group_cpu: Family::default(),
            cpu: Counter::default(),
            resident: Gauge::default(),
            descriptors: Gauge::default(),
            started: Real::default(),
        };
        let all = &mut new.registry;
        all.register("smcp_calls", "Calls that ended, by plugin, tool and outcome", new.calls.clone());
        all.register("smcp_starts", "Processes that ran a call, by how they came to be", new.starts.clone());
        all.register("smcp_call_queue_seconds", "How long calls waited for their turn", new.queue.clone());
        all.register("smcp_call_run_seconds", "How long calls ran once it was their turn", new.run.clone());
        all.register("smcp_call_seconds", "How long calls took from request to result", new.total.clone());
        all.register("smcp_requests_refused", "Requests that were refused, by reason", new.refused.clone());
        all.register(
            "smcp_rescans",
            "Looks at the plugins directory, by what came of them",
            new.rescans.clone(),
        );
        all.register(
            "smcp_plugin_lines_dropped",
            "Lines on stderr of plugins that were too many for the log",
            new.dropped.clone(),
        );
        all.register("smcp_calls_running", "Calls that run", new.running.clone());
        all.register("smcp_calls_waiting", "Calls that wait for their turn", new.waiting.clone());
        all.register(
            "smcp_approvals",
            "Calls that somebody had to confirm, by what came of them",
            new.approvals.clone(),
        );
        all.register("smcp_approvals_waiting", "Calls that wait for an operator", new.unapproved.clone());
        all.register("smcp_plugin_processes", "Processes of plugins that live", new.processes.clone());
        all.register("smcp_warm_workers", "Processes that wait for calls, by kind", new.warm.clone());
        all.register("smcp_sessions", "Sessions that are open, by transport", new.sessions.clone());
        all.register("smcp_streams", "Sessions whose client listens on a stream", new.streams.clone());
        all.register("smcp_plugins", "Plugins by state", new.plugins.clone());
        all.register("smcp_tools", "Tools that can be called", new.tools.clone());
        all.register(
            "smcp_group_processes",
            "Processes in a plugin's control group, where it has one",
            new.group_processes.clone(),
        );
        all.register("smcp_group_memory_bytes", "Memory of all of them together", new.group_memory.clone());
        all.register(
            "smcp_group_cpu_seconds",
            "Time on processors that they took since the daemon's start",
            new.group_cpu.clone(),
        );
        all.register("process_cpu_seconds", "Time on processors that the daemon took", new.cpu.clone());
        all.register("process_resident_memory_bytes", "Memory of the daemon", new.resident.clone());
        all.register("process_open_fds", "Open file descriptors of the daemon", new.descriptors.clone());
        all.register(
            "process_start_time_seconds",
            "When the daemon was started, in seconds since 1970",
            new.started.clone(),
        );
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        new.started.set(since.as_secs_f64());
        // A rate over a counter that is not there yet misses its first step.
        for reason in Reason::ALL {
            new.refused.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc_by(0);
        }
        for start in STARTS {
            new.starts.get_or_create(&StartLabel { start }).inc_by(0);
        }
        for approval in Approval::ALL {
            new.approvals.get_or_create(&OutcomeLabel { outcome: approval.as_str() }).inc_by(0);
        }
        for rescan in [Rescan::Same, Rescan::Changed, Rescan::Failed] {
            new.rescans.get_or_create(&OutcomeLabel { outcome: rescan.as_str() }).inc_by(0);
        }
        new
    }

    pub(super) fn call_finished(&self, call: &Finished<'_>) {
        let name = call.plugin.unwrap_or("smcp");
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let plugin = bounded(&mut known.plugins, name, PLUGINS);
        let tool = bounded(&mut known.tools, call.tool, TOOLS);
        drop(known);
        // A plugin that has no histograms of its own is not named in calls either.
        let labels = CallLabels { plugin: plugin.clone(), tool, outcome: call.outcome };
        self.calls.get_or_create(&labels).inc();
        let label = PluginLabel { plugin };
        if let Some(start) = call.start {
            self.starts.get_or_create(&StartLabel { start }).inc();
        }
        if let Some(queued) = call.queued {
            self.queue.get_or_create(&label).observe(queued.as_secs_f64());
            self.run.get_or_create(&label).observe(call.total.saturating_sub(queued).as_secs_f64());
        }
        self.total.get_or_create(&label).observe(call.total.as_secs_f64());
    }

    pub(super) fn refused(&self, reason: Reason) {
        self.refused.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc();
    }

    pub(super) fn rescanned(&self, rescan: Rescan) {
        self.rescans.get_or_create(&OutcomeLabel { outcome: rescan.as_str() }).inc();
    }

    pub(super) fn approval_ended(&self, outcome: Approval) {
        self.approvals.get_or_create(&OutcomeLabel { outcome: outcome.as_str() }).inc();
    }

    pub(super) fn lines_dropped(&self, count: u64) {
        self.dropped.inc_by(count);
    }

    /// Plugins that are gone are so here too.
    fn groups(&self, groups: &[GroupMoment]) {
        self.group_processes.clear();
        self.group_memory.clear();
        self.group_cpu.clear();
        for group in groups.iter().take(PLUGINS) {
            let label = PluginLabel { plugin: group.plugin.clone() };
            let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            self.group_processes.get_or_create(&label).set(whole(group.processes as u64));
            if let Some(bytes) = group.memory {
                self.group_memory.get_or_create(&label).set(whole(bytes));
            }
            if let Some(seconds) = group.cpu_seconds {
                self.group_cpu.get_or_create(&label).set(seconds);
            }
        }
    }

    /// Writes everything in Prometheus' text format, version 0.0.4.
    pub(super) fn render(&self, moment: &Moment) -> String {
        let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.running.set(whole(moment.running));
        self.waiting.set(whole(moment.waiting));
        self.unapproved.set(whole(moment.approvals));
        self.processes.set(whole(moment.processes));
        for (kind, count) in moment.warm {
            self.warm.get_or_create(&KindLabel { kind }).set(whole(count));
        }
        for (transport, count) in moment.sessions {
            self.sessions.get_or_create(&TransportLabel { transport }).set(whole(count));
        }
        self.streams.set(whole(moment.streams));
        for (state, count) in moment.plugins {
            self.plugins.get_or_create(&StateLabel { state }).set(whole(count));
        }
        self.tools.set(whole(moment.tools));
        self.groups(&moment.groups);
        let figures = process::read();
        self.cpu.inc_by((figures.cpu - self.cpu.get()).max(0.0));
        self.resident.set(whole(figures.resident));
        self.descriptors.set(whole(figures.descriptors));
        let mut written = String::new();
        // A `String` takes whatever is written.
        let _never = text::encode(&mut written, &self.registry);
        plain(&written)
    }
}

fn bounded(known: &mut BTreeSet<String>, name: &str, most: usize) -> String {
    if known.contains(name) {
        return name.to_owned();
    }
    if known.len() >= most {
        return OTHER.to_owned();
    }
    known.insert(name.to_owned());
    name.to_owned()
}

/// From OpenMetrics to the older format that every collector reads: a counter is described under its full name,
/// and the end is not marked.
fn plain(open: &str) -> String {
    let counters: BTreeSet<&str> =
        open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut plain = String::with_capacity(open.len());
    for line in open.lines() {
        let mut words = line.splitn(4, ' ');
        let described = match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("EOF"), _, _) => continue,
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                Some(format!("# {what} {name}_total {rest}"))
            }
            _ => None,
        };
        plain.push_str(described.as_deref().unwrap_or(line));
        plain.push('\n');
    }
    plain
}

#[cfg(test)]
mod tests;
