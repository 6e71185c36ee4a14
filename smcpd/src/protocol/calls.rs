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

use super::asking::{self, AskError, Input};
use super::jsonrpc::{INTERNAL_ERROR, INVALID_PARAMS, Request, RpcError};
use super::long_calls::{self, LongCall};
use super::noted::noted;
use super::said::Speaker;
use super::voice::Voice;
use super::{Peer, Service, read};
use crate::catalog::{
    self, CallContext, ErrorCode, HeaderParameter, Kind, Plugin, Progress, Tool, ToolOutput,
};
use crate::events::{self, Field};
use crate::executor::{Live, Sign, Spilled};
use crate::metrics::{self, Finished, Reason};

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<Meta<'a>>,
    #[serde(borrow, rename = "inputResponses")]
    responses: Option<&'a RawValue>,
    #[serde(borrow, rename = "requestState")]
    state: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow)]
    traceparent: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "progressToken")]
    progress: Option<&'a RawValue>,
}

/// A call as it was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) tool: &'a Tool,
    pub(crate) arguments: &'a Map<String, Value>,
    pub(crate) traceparent: Option<&'a str>,
    /// Where its progress goes, if anywhere.
    pub(crate) progress: Option<&'a RawValue>,
}

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// What is wrong with the arguments.
    #[error("{0}")]
    Arguments(String),
}

/// An argument that a header repeats (`x-mcp-header`).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Repeated {
    pub(crate) header: String,
    pub(crate) argument: String,
    /// `None` where it is not given.
    pub(crate) value: Option<Value>,
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
        self: &Arc<Self>,
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
        let traceparent = params.meta.as_ref().and_then(|meta| meta.traceparent.as_deref());
        let progress = params.meta.as_ref().and_then(|meta| meta.progress);
        let asked = Asked { tool: &tool, arguments: &arguments, traceparent, progress };
        let binding = asking::binding(&peer.caller.to_string(), tool.id(), &arguments);
        let input = match peer.revision.is_stateless() {
            true => Input::read(params.responses, params.state.as_deref(), &self.seal, &binding)?,
            false => None,
        };
        if long_calls::is_long(&tool, peer)? {
            return match self.long_call(peer, asked, Arc::clone(&tool), input).await? {
                LongCall::Goes(task) => Ok(long_calls::created(&task)),
                LongCall::Ended(output) => self.answered(peer, output, &binding),
            };
        }
        let output = match self.carry_out(peer, asked, input, None, cancel).await {
            Err(CallError::Arguments(message)) if !peer.revision.bad_arguments_are_results() => {
                return Err(RpcError::new(INVALID_PARAMS, message));
            }
            Err(CallError::Arguments(message)) => ToolOutput::failed(ErrorCode::InvalidArguments, message),
            Ok(output) => output,
        };
        self.answered(peer, output, &binding)
    }

    /// The result of a call, or what it needs of a stateless client.
    fn answered(&self, peer: &Peer, mut output: ToolOutput, binding: &[u8]) -> Result<Bytes, RpcError> {
        match output.needed.take() {
            None => Ok(output.for_revision(peer.revision.fields()).into_result().to_string().into()),
            Some(needed) => match asking::askable(needed, &peer.client) {
                Ok(needed) => Ok(asking::required(&needed, &self.seal, binding).to_string().into()),
                Err(AskError::Unable(capabilities)) => Err(asking::missing_capability(&capabilities)),
                Err(error) => Err(RpcError::new(INTERNAL_ERROR, error.to_string())),
            },
        }
    }

    /// The arguments of a call that headers repeat; `None` where there are none.
    pub(crate) fn repeated(&self, request: &Request) -> Option<Vec<Repeated>> {
        if request.method != "tools/call" {
            return None;
        }
        let params: Params<'_> = read(request.params.as_deref()).ok()??;
        let tool = self.catalog.snapshot().find(&params.name).ok()?;
        // A tool whose annotations nobody understands is not there.
        let parameters = tool.header_parameters().ok().filter(|parameters| !parameters.is_empty())?;
        let arguments = arguments(params.arguments).unwrap_or_default();
        let repeated = |parameter: &HeaderParameter| Repeated {
            header: format!("Mcp-Param-{}", parameter.name),
            argument: parameter.path.join("."),
            value: parameter.value_in(&arguments).cloned(),
        };
        Some(parameters.iter().map(repeated).collect())
    }

    /// Runs one call of whoever is no MCP client.
    pub(crate) async fn call_tool(
        &self,
        peer: &Peer,
        asked: Asked<'_>,
        events: Option<mpsc::Sender<Event>>,
        cancel: &CancellationToken,
    ) -> Result<ToolOutput, CallError> {
        self.carry_out(peer, asked, None, events, cancel).await
    }

    /// Runs one call, whoever asked, as often as its command needs answers of a client with a session; a stateless
    /// client gets what is needed. `events` hears what the call says while it runs, and holds nothing up.
    async fn carry_out(
        &self,
        peer: &Peer,
        asked: Asked<'_>,
        mut input: Option<Input>,
        events: Option<mpsc::Sender<Event>>,
        cancel: &CancellationToken,
    ) -> Result<ToolOutput, CallError> {
        for _ in 0..asking::ROUNDS {
            let mut output = self.run_once(peer, asked, input.as_ref(), events.clone(), cancel).await?;
            let needed = match output.needed.take() {
                None => return Ok(output),
                Some(needed) if peer.revision.is_stateless() => {
                    return Ok(ToolOutput { needed: Some(needed), ..output });
                }
                Some(needed) => asking::askable(needed, &peer.client),
            };
            let answered = match (needed, &peer.session) {
                (Ok(needed), Some(session)) => asking::ask(peer, session, needed, cancel).await,
                (Ok(_), None) => Err(AskError::Unable(Vec::new())),
                (Err(error), _) => Err(error),
            };
            match answered {
                Ok(answers) => input = Some(answers),
                Err(error) => return Ok(ToolOutput::failed(ErrorCode::PluginError, error.to_string())),
            }
        }
        let message =
            format!("the command asked for input {} times and did not come to an end", asking::ROUNDS);
        Ok(ToolOutput::failed(ErrorCode::PluginError, message))
    }

    /// Runs the command of a call once.
    pub(super) async fn run_once(
        &self,
        peer: &Peer,
        asked: Asked<'_>,
        input: Option<&Input>,
        events: Option<mpsc::Sender<Event>>,
        cancel: &CancellationToken,
    ) -> Result<ToolOutput, CallError> {
        let tool = asked.tool;
        let started = Instant::now();
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:x}-{number:x}", std::process::id());
        let cancel = cancel.child_token();
        let logged = events::is_debug_heard();
        let voice = Voice::of(&peer.related, asked.progress, peer.client.level, tool.id());
        let (live, signs) = match events.is_some() || logged || voice.is_some() {
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
                let (input, capabilities) = (input.map(Input::to_json), peer.client.capabilities_json());
                let context = CallContext {
                    id: &id,
                    caller: &peer.caller.to_string(),
                    agent: peer.agent.as_deref(),
                    traceparent: asked.traceparent,
                    capabilities: &capabilities,
                    input: input.as_deref(),
                    turn: turn(peer),
                };
                let running = self.run(plugin, *index, asked.arguments, &context, Arc::clone(&live), &cancel);
                let ended = match signs {
                    None => running.await,
                    Some(signs) => {
                        let listeners = Listeners {
                            events,
                            voice,
                            log: logged.then(|| self.said.by(tool, &id)).flatten(),
                            reports_progress: plugin.reports_progress(*index),
                        };
                        let (output, dropped) = beside(running, signs, listeners).await;
                        self.metrics.lines_dropped(dropped);
                        output
                    }
                };
                ended.map(|(output, spilled)| self.linked(peer, tool, output, spilled))
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
    ) -> Result<(ToolOutput, Option<Spilled>), CallError> {
        let (admission, mut invocation) = plugin
            .prepare(command, arguments, context)
            .map_err(|error| CallError::Arguments(error.to_string()))?;
        invocation.spill = Some(self.outputs.place(context.id));
        if let Err(error) = plugin.create_state() {
            let reason = format!("cannot create the plugin's state directory: {error}");
            return Ok((ToolOutput::failed(ErrorCode::StartFailed, reason), None));
        }
        Ok(match self.executor.run(admission, invocation, live, cancel).await {
            Ok(mut outcome) => {
                let spilled = outcome.spilled.take();
                match catalog::from_outcome(outcome) {
                    // It promised a result, and this is none yet.
                    asks if asks.needed.is_some() => (asks, spilled),
                    output => (plugin.checked(command, output), spilled),
                }
            }
            Err(error) => (catalog::from_error(&error), None),
        })
    }

    /// Adds a link to the whole of an output that was cut.
    fn linked(&self, peer: &Peer, tool: &Tool, output: ToolOutput, spilled: Option<Spilled>) -> ToolOutput {
        let Some(spilled) = spilled else { return output };
        let link = self.outputs.keep(&peer.caller, tool.id(), spilled);
        let mut content = output.content;
        content.push(link);
        ToolOutput { content, ..output }
    }

    fn health_tool(&self, arguments: &Map<String, Value>) -> Result<ToolOutput, CallError> {
        if let Some((name, _)) = arguments.iter().find(|(_, value)| !value.is_null()) {
            let name: String = name.chars().take(80).collect();
            return Err(CallError::Arguments(format!("there is no argument `{name}`")));
        }
        let body = self.health().body;
        let text = json!({"type": "text", "text": body.to_string()});
        Ok(ToolOutput { content: vec![text], structured: Some(body), error: None, needed: None })
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
    voice: Option<Voice>,
    log: Option<Speaker<'a>>,
    reports_progress: bool,
}

impl Listeners<'_> {
    async fn hear(&self, sign: Sign) {
        let event = match sign {
            Sign::Waiting(ahead) => {
                if let Some(voice) = &self.voice {
                    voice.wait(ahead);
                }
                return;
            }
            Sign::Started => Event::Started,
            Sign::Line(line) => match Progress::read(&line).filter(|_| self.reports_progress) {
                Some(progress) => {
                    if let Some(voice) = &self.voice {
                        voice.progress(&progress);
                    }
                    Event::Progress(progress)
                }
                None => {
                    if let Some(voice) = &self.voice {
                        voice.line(&line);
                    }
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
pub(super) fn turn(peer: &Peer) -> Arc<str> {
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
