//! The daemon's things as frames show them.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use smcp_control::{
    CallEvent, CallInfo, Change, Changes, ConfigValue, Described, GroupInfo, LaneInfo, PluginDetail,
    PluginInfo, Problem, Sandbox, SessionInfo, Tls, ToolActivity, ToolInfo, ValueChange, Variable, Warm,
    Withheld, WithheldTool,
};
use time::format_description::well_known::Rfc3339;

use super::requests::state;
use crate::catalog::{self, Catalog, Fields, Plugin, PluginState, Tool};
use crate::config::{Config, Difference, Network, SandboxMode};
use crate::executor::GroupFigures;
use crate::executor::sandbox::missing;
use crate::executor::{LaneCounts, WarmState};
use crate::letta::Letta;
use crate::metrics::ToolFigures;
use crate::protocol::{Call, Event, Session};
use crate::tls::Loaded;
use crate::{audit, logging, recent};

/// Seconds since 1970 as RFC 3339 has them.
pub(super) fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|at| time::OffsetDateTime::from_unix_timestamp(at).ok());
    let text = time.and_then(|at| at.format(&Rfc3339).ok());
    // Later than any calendar goes.
    text.unwrap_or_else(|| "9999-12-31T23:59:59Z".to_owned())
}

pub(super) fn tool(tool: &Tool) -> ToolInfo {
    let mut listed = tool.to_json(Fields::Plain);
    ToolInfo {
        id: tool.id().to_owned(),
        name: tool.wire_name().to_owned(),
        plugin: tool.plugin_name().map(str::to_owned),
        description: listed["description"].as_str().unwrap_or_default().to_owned(),
        input_schema: listed["inputSchema"].take(),
        secrets: tool.secrets(),
    }
}

/// A tool that is not what was approved.
pub(super) fn withheld(tool: &Tool) -> Withheld {
    let (id, name) = (tool.id().to_owned(), tool.wire_name().to_owned());
    let plugin = tool.plugin_name().unwrap_or_default().to_owned();
    Withheld { plugin, tool: Some(WithheldTool { id, name }) }
}

pub(super) fn plugin(catalog: &Catalog, name: &str, found: &PluginState) -> PluginInfo {
    let (directory, reason) = match found {
        PluginState::Pending => (None, None),
        PluginState::Failed(reason) => (None, Some(reason.clone())),
        PluginState::Described(plugin) => (Some(plugin.directory().display().to_string()), None),
    };
    PluginInfo {
        name: name.to_owned(),
        state: state(found),
        directory,
        tools: tools_of(catalog, name).count(),
        reason,
    }
}

fn tools_of<'a>(catalog: &'a Catalog, name: &'a str) -> impl Iterator<Item = &'a Tool> {
    catalog.tools().iter().map(|tool| &**tool).filter(move |tool| tool.plugin_name() == Some(name))
}

/// What there is of a plugin at this moment.
pub(super) struct Now {
    pub(super) kept: Option<WarmState>,
    pub(super) group: Option<GroupFigures>,
    /// The unit lets plugins have control groups.
    pub(super) has_groups: bool,
}

pub(super) fn plugin_detail(
    catalog: &Catalog,
    letta: &Letta,
    name: &str,
    found: &PluginState,
    now: Now,
) -> PluginDetail {
    let described = match found {
        PluginState::Pending | PluginState::Failed(_) => None,
        PluginState::Described(plugin) => {
            let tools = tools_of(catalog, name).map(|tool| tool.id().to_owned()).collect();
            Some(described(plugin, letta, tools, now))
        }
    };
    let mine =
        |problem: &&catalog::Problem| problem.tool.split_once('.').is_some_and(|(plugin, _)| plugin == name);
    let problem =
        |problem: &catalog::Problem| Problem { tool: problem.tool.clone(), message: problem.message.clone() };
    PluginDetail {
        info: plugin(catalog, name, found),
        described,
        problems: catalog.problems.iter().filter(mine).map(problem).collect(),
    }
}

pub(super) fn group(found: GroupFigures) -> GroupInfo {
    GroupInfo { processes: found.processes, memory_bytes: found.memory, cpu_seconds: found.cpu_seconds }
}

fn described(plugin: &Plugin, letta: &Letta, tools: Vec<String>, now: Now) -> Described {
    let Now { kept, group, has_groups } = now;
    let fetched = letta.of(plugin.name()).unwrap_or_default();
    let description = plugin.description();
    Described {
        source: description.source.as_str().to_owned(),
        title: description.title.clone(),
        version: description.version.clone(),
        description: description.description.clone(),
        program: plugin.command_line(),
        digest: plugin.digest().to_owned(),
        tools,
        timeout_seconds: plugin.default_timeout().map(|timeout| timeout.as_secs_f64()),
        slots: plugin.slots(),
        warm: warm(plugin, kept),
        sandbox: Box::new(sandbox(plugin, has_groups)),
        group: group.map(self::group),
        environment: description
            .environment
            .iter()
            .map(|variable| Variable {
                name: variable.name.clone(),
                description: variable.description.clone(),
                required: variable.required,
                set: plugin.has_variable(&variable.name) || fetched.has(&variable.name),
            })
            .collect(),
    }
}

fn warm(plugin: &Plugin, kept: Option<WarmState>) -> Warm {
    let (mode, why_off) = plugin.warmth().shown();
    let kept = kept.unwrap_or_default();
    let reason = why_off.map(str::to_owned).or(kept.reason);
    Warm { mode: mode.to_owned(), parent: kept.parent, spares: kept.spares, reason }
}

/// `has_groups`: the unit lets plugins have control groups.
fn sandbox(plugin: &Plugin, has_groups: bool) -> Sandbox {
    let Some(held) = plugin.sandbox() else {
        return Sandbox { mode: SandboxMode::Off.as_str().to_owned(), ..Sandbox::default() };
    };
    let mode = if held.required { SandboxMode::Require } else { SandboxMode::BestEffort };
    let shown = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect();
    let limits = &held.limits;
    let group = held.group.as_ref().filter(|_| has_groups);
    let bounds = [
        ("memory", limits.memory),
        ("data", limits.data),
        ("cpu", limits.cpu),
        ("files", limits.files),
        ("processes", limits.processes),
        ("more_processes", limits.more_processes),
        ("file_size", limits.file_size),
        ("total_memory", group.map(|group| group.memory)),
        ("total_processes", group.map(|group| group.processes)),
        ("cpu_weight", group.map(|group| group.weight)),
    ];
    Sandbox {
        mode: mode.as_str().to_owned(),
        hidden: shown(&held.files.hidden),
        read: shown(&held.files.read),
        write: shown(&held.files.write),
        exec: held.files.execute.as_deref().map(shown),
        connect: match &held.network {
            Network::Any => None,
            Network::Ports(ports) => Some(ports.clone()),
            Network::None => Some(Vec::new()),
        },
        limits: bounds.into_iter().filter_map(|(name, bound)| Some((name.to_owned(), bound?))).collect(),
        missing: missing().iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn changes(changes: catalog::Changes) -> Changes {
    let change = |change: catalog::Change| Change { tool: change.tool, parameters: change.parameters };
    Changes {
        added: changes.added,
        removed: changes.removed,
        changed: changes.changed.into_iter().map(change).collect(),
        failed: changes.failed,
    }
}

pub(super) fn value_change(found: &Difference) -> ValueChange {
    ValueChange {
        key: found.key.clone(),
        from: found.from.clone(),
        to: found.to.clone(),
        origin: found.origin.to_string(),
        needs_restart: found.needs_restart(),
    }
}

pub(super) fn tls(loaded: &Loaded) -> Tls {
    let time = time::OffsetDateTime::from(loaded.not_after);
    Tls {
        names: loaded.names.clone(),
        not_after: time.format(&Rfc3339).unwrap_or_default(),
        client_certificates: loaded.client_certificates().to_owned(),
    }
}

pub(super) fn config(config: &Config) -> Vec<ConfigValue> {
    let value = |(key, value, origin): &(String, String, crate::config::Origin)| ConfigValue {
        key: key.clone(),
        value: value.clone(),
        origin: origin.to_string(),
        pending: config.pending.get(key).cloned(),
    };
    config.effective.iter().map(value).collect()
}

pub(super) fn session(session: &Session) -> SessionInfo {
    SessionInfo {
        id: session.short_id().to_owned(),
        transport: session.transport().to_string(),
        revision: session.revision().as_str().to_owned(),
        caller: session.caller().to_string(),
        in_flight: session.in_flight(),
    }
}

pub(super) fn call(id: String, call: &Call) -> CallInfo {
    CallInfo {
        id,
        tool: call.tool.clone(),
        caller: call.caller.to_string(),
        waiting: !call.live.has_started(),
        milliseconds: u64::try_from(call.since.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

pub(super) fn event(event: Event) -> CallEvent {
    match event {
        Event::Started => CallEvent::Started,
        Event::Line(line) => CallEvent::Stderr { line },
        Event::Progress(progress) => CallEvent::Progress {
            progress: progress.progress,
            total: progress.total,
            message: progress.message,
        },
    }
}

pub(super) fn lane(lane: &LaneCounts) -> LaneInfo {
    LaneInfo { lane: lane.lane.to_string(), running: lane.counts.running, waiting: lane.counts.waiting }
}

pub(super) fn figures(figures: &ToolFigures) -> ToolActivity {
    let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    ToolActivity {
        tool: figures.tool.clone(),
        calls: figures.calls,
        failed: figures.failed,
        last_minute: figures.last_minute,
        p50_us: microseconds(figures.p50),
        p95_us: microseconds(figures.p95),
    }
}

pub(super) fn log(record: &logging::Record) -> smcp_control::LogRecord {
    let field = |(name, value): &(&str, Value)| ((*name).to_owned(), value.clone());
    smcp_control::LogRecord {
        time: recent::written(record.time),
        level: record.level.to_owned(),
        message: record.message.clone(),
        fields: record.fields.iter().map(field).collect(),
    }
}

pub(super) fn audited(record: &audit::Record) -> smcp_control::AuditRecord {
    smcp_control::AuditRecord {
        time: record.time.clone(),
        uid: record.uid,
        pid: record.pid,
        action: record.action.clone(),
        object: record.object.clone(),
        outcome: record.outcome.clone(),
    }
}
