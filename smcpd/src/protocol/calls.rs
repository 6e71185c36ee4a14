//! `tools/call`: from a request to a tool's result.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::jsonrpc::{INVALID_PARAMS, RpcError};
use super::noted::noted;
use super::said::Speaker;
use super::{Peer, Service, read};
use crate::catalog::{self, CallContext, ErrorCode, Kind, Plugin, Progress, Tool, ToolOutput};
use crate::events::{self, Field};
use crate::executor::{Live, Sign};
use crate::metrics::{self, Finished, Reason};

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<Meta<'a>>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow)]
    traceparent: Option<Cow<'a, str>>,
}

/// A call as it was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) tool: &'a Tool,
    pub(crate) arguments: &'a Map<String, Value>,
    pub(crate) traceparent: Option<&'a str>,
}

/// What a call says while it runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    Started,
    Progress(Progress),
    /// A line of its stderr.
    Line(String),
}

impl Service {
    /// 2025-11-25, tools, "calling tools".
    pub(super) async fn call(
        &self,
        peer: &Peer,
        params: Option<&RawValue>,
        cancel: &CancellationToken,
    ) -> Result<Bytes, RpcError> {
        let params: Params<'_> =
            read(params)?.ok_or_else(|| RpcError::new(INVALID_PARAMS, "`params`: missing field `name`"))?;
        let tool = self.catalog.snapshot().find(&params.name).map_err(|error| {
            self.metrics.refused(Reason::UnknownTool);
            let name: String = params.name.chars().take(128).collect();
            self.event(events::Kind::CallRefused, peer)
                .text(Field::Tool, name)
                .text(Field::Outcome, "unknown_tool")
                .write();
            RpcError::new(INVALID_PARAMS, error.to_string())
        })?;
        let arguments = arguments(params.arguments)?;
        let traceparent = params.meta.and_then(|meta| meta.traceparent);
        let asked = Asked { tool: &tool, arguments: &arguments, traceparent: traceparent.as_deref() };
        let output = self.call_tool(peer, asked, None, cancel).await;
        match output {
            Err(message) if !peer.revision.bad_arguments_are_results() => {
                Err(RpcError::new(INVALID_PARAMS, message))
            }
            Err(message) => Ok(ToolOutput::failed(ErrorCode::InvalidArguments, message)),
            Ok(output) => Ok(output),
        }
        .map(|output| output.into_result().to_string().into())
    }

    /// Runs one call, whoever asked; the error says what is wrong with the arguments. `events` hears what the call
    /// says while it runs, and holds nothing up.
    pub(crate) async fn call_tool(
        &self,
        peer: &Peer,
        asked: Asked<'_>,
        events: Option<mpsc::Sender<Event>>,
        cancel: &CancellationToken,
    ) -> Result<ToolOutput, String> {
        let tool = asked.tool;
        let started = Instant::now();
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:x}-{number:x}", std::process::id());
        let cancel = cancel.child_token();
        let logged = events::is_debug_heard();
        let (live, signs) = match events.is_some() || logged {
            false => (Live::default(), None),
            true => {
                let (live, signs) = Live::watched();
                (live, Some(signs))
            }
        };
        let live = Arc::new(live);
        let _running = self.running.enter(&id, tool.id(), &peer.caller, &live, cancel.clone());
        let output = match tool.kind() {
            Kind::Health => self.health_tool(asked.arguments),
            Kind::Command { plugin, index } => {
                let context = CallContext {
                    id: &id,
                    caller: &peer.caller.to_string(),
                    agent: peer.agent.as_deref(),
                    traceparent: asked.traceparent,
                    turn: turn(peer),
                };
                let running = self.run(plugin, *index, asked.arguments, &context, Arc::clone(&live), &cancel);
                match signs {
                    None => running.await,
                    Some(signs) => {
                        let listeners = Listeners {
                            events,
                            log: logged.then(|| self.said.by(tool, &id)).flatten(),
                            reports_progress: plugin.reports_progress(*index),
                        };
                        let (output, dropped) = beside(running, signs, listeners).await;
                        self.metrics.lines_dropped(dropped);
                        output
                    }
                }
            }
        };
        let outcome = output.as_ref().map_or(Some(ErrorCode::InvalidArguments), |output| output.error);
        let trace = asked.traceparent.and_then(events::trace_of);
        let said = (trace, noted(asked.arguments));
        self.note(tool, &id, peer, outcome, Times { started, turn: live.started() }, said);
        output
    }

    async fn run(
        &self,
        plugin: &Plugin,
        command: usize,
        arguments: &Map<String, Value>,
        context: &CallContext<'_>,
        live: Arc<Live>,
        cancel: &CancellationToken,
    ) -> Result<ToolOutput, String> {
        let (admission, invocation) =
            plugin.prepare(command, arguments, context).map_err(|error| error.to_string())?;
        if let Err(error) = plugin.create_state() {
            let reason = format!("cannot create the plugin's state directory: {error}");
            return Ok(ToolOutput::failed(ErrorCode::StartFailed, reason));
        }
        Ok(match self.executor.run(admission, invocation, live, cancel).await {
            Ok(outcome) => catalog::from_outcome(outcome),
            Err(error) => catalog::from_error(&error),
        })
    }

    fn health_tool(&self, arguments: &Map<String, Value>) -> Result<ToolOutput, String> {
        if let Some((name, _)) = arguments.iter().find(|(_, value)| !value.is_null()) {
            return Err(format!("there is no argument `{}`", name.chars().take(80).collect::<String>()));
        }
        let body = self.health().body;
        let text = json!({"type": "text", "text": body.to_string()});
        Ok(ToolOutput { content: vec![text], structured: Some(body), error: None })
    }

    /// One event a call, without a value of any argument.
    fn note(
        &self,
        tool: &Tool,
        call: &str,
        peer: &Peer,
        error: Option<ErrorCode>,
        times: Times,
        (trace, arguments): (Option<&str>, Option<String>),
    ) {
        let now = Instant::now();
        let outcome = error.map_or(metrics::OK, ErrorCode::as_str);
        let total = now.duration_since(times.started);
        let queued = times.turn.map(|turn| turn.saturating_duration_since(times.started));
        let finished = Finished { plugin: tool.plugin_name(), tool: tool.id(), outcome, queued, total };
        self.metrics.call_finished(&finished, now);
        self.event(kind(error), peer)
            .text(Field::Tool, tool.id())
            .maybe(Field::Plugin, tool.plugin_name())
            .text(Field::Outcome, outcome)
            .duration(total)
            .text(Field::Call, call)
            .maybe(Field::Trace, trace)
            .maybe(Field::Arguments, arguments)
            .write();
        if error == Some(ErrorCode::QueueFull)
            && let Some(dropped) = self.queue_full.pass(now)
        {
            events::Event::of(events::Kind::LimitHit)
                .text(Field::Limit, "execution.queue")
                .dropped(dropped)
                .write();
        }
    }

    /// An event of a call, with who asks.
    fn event<'a>(&self, kind: events::Kind, peer: &'a Peer) -> events::Event<'a> {
        events::Event::of(kind)
            .text(Field::Caller, peer.caller.to_string())
            .maybe(Field::Agent, peer.agent.as_deref())
            .maybe(Field::Session, peer.session.as_ref().map(|session| session.short_id()))
    }
}

/// When a call was asked for, and when its turn came.
#[derive(Debug, Clone, Copy)]
struct Times {
    started: Instant,
    turn: Option<Instant>,
}

/// The event that a call's end is.
fn kind(error: Option<ErrorCode>) -> events::Kind {
    match error {
        None => events::Kind::CallFinished,
        Some(ErrorCode::PluginError) => events::Kind::CallFailed,
        Some(ErrorCode::Timeout) => events::Kind::CallTimedOut,
        Some(ErrorCode::Cancelled) => events::Kind::CallCancelled,
        Some(ErrorCode::OutputTooLarge) => events::Kind::CallTooLarge,
        Some(ErrorCode::StartFailed) => events::Kind::CallNotStarted,
        Some(ErrorCode::InternalError) => events::Kind::CallLost,
        Some(ErrorCode::InvalidArguments | ErrorCode::QueueFull) => events::Kind::CallRefused,
    }
}

/// Whoever hears what a call says while it runs.
struct Listeners<'a> {
    events: Option<mpsc::Sender<Event>>,
    log: Option<Speaker<'a>>,
    reports_progress: bool,
}

impl Listeners<'_> {
    async fn hear(&self, sign: Sign) {
        let event = match sign {
            Sign::Started => Event::Started,
            Sign::Line(line) => match Progress::read(&line).filter(|_| self.reports_progress) {
                Some(progress) => Event::Progress(progress),
                None => {
                    if let Some(log) = &self.log {
                        log.say(&line, Instant::now());
                    }
                    Event::Line(line)
                }
            },
        };
        if let Some(events) = &self.events {
            // Whoever no longer listens ends the call, if at all, by other means.
            let _listening = events.send(event).await;
        }
    }
}

/// Waits for a call's end, and hands on its signs meanwhile: each one before the end itself. Returns with it how
/// many lines did not reach the log.
async fn beside<T>(
    running: impl Future<Output = T>,
    mut signs: mpsc::Receiver<Sign>,
    listeners: Listeners<'_>,
) -> (T, u64) {
    tokio::pin!(running);
    let output = loop {
        tokio::select! {
            output = &mut running => break output,
            Some(sign) = signs.recv() => listeners.hear(sign).await,
        }
    };
    while let Ok(sign) = signs.try_recv() {
        listeners.hear(sign).await;
    }
    (output, listeners.log.map_or(0, Speaker::finish))
}

/// Anonymous callers take turns by session, since nothing else tells them apart.
fn turn(peer: &Peer) -> Arc<str> {
    match (&peer.caller, &peer.session) {
        (crate::auth::Caller::Anonymous, Some(session)) => Arc::clone(session.id()),
        (caller, _) => caller.to_string().into(),
    }
}

fn arguments(raw: Option<&RawValue>) -> Result<Map<String, Value>, RpcError> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(Map::new()) };
    serde_json::from_str(raw.get())
        .map_err(|error| RpcError::new(INVALID_PARAMS, format!("`arguments` must be an object: {error}")))
}
