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
use super::{Peer, Service, read, session};
use crate::catalog::{self, CallContext, ErrorCode, Kind, Plugin, Progress, Tool, ToolOutput};
use crate::executor::{Live, Sign};

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
        let tool = self
            .catalog
            .snapshot()
            .find(&params.name)
            .map_err(|error| RpcError::new(INVALID_PARAMS, error.to_string()))?;
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
        let (live, signs) = match events {
            None => (Live::default(), None),
            Some(events) => {
                let (live, signs) = Live::watched();
                (live, Some((signs, events)))
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
                let running = self.run(plugin, *index, asked.arguments, &context, live, &cancel);
                match signs {
                    None => running.await,
                    Some((signs, events)) => {
                        beside(running, signs, events, plugin.reports_progress(*index)).await
                    }
                }
            }
        };
        let outcome = output.as_ref().map_or(Some(ErrorCode::InvalidArguments), |output| output.error);
        self.note(tool, &id, peer, outcome, started);
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

    /// One line a call, without a value of any argument.
    fn note(&self, tool: &Tool, call: &str, peer: &Peer, error: Option<ErrorCode>, started: Instant) {
        let now = Instant::now();
        self.metrics.call_finished(tool.id(), error.is_none(), now, now.duration_since(started));
        tracing::info!(
            tool = tool.id(),
            outcome = error.map_or("ok", ErrorCode::as_str),
            ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            call,
            caller = %peer.caller,
            agent = peer.agent.as_deref(),
            session = peer.session.as_ref().map(|session| session::short(session.id())),
            "call finished"
        );
    }
}

/// Waits for a call's end, and hands on its signs meanwhile: each one before the end itself.
async fn beside<T>(
    running: impl Future<Output = T>,
    mut signs: mpsc::Receiver<Sign>,
    events: mpsc::Sender<Event>,
    reports_progress: bool,
) -> T {
    tokio::pin!(running);
    let event = |sign| match sign {
        Sign::Started => Event::Started,
        Sign::Line(line) => match Progress::read(&line).filter(|_| reports_progress) {
            Some(progress) => Event::Progress(progress),
            None => Event::Line(line),
        },
    };
    // Whoever no longer listens ends the call, if at all, by other means.
    loop {
        tokio::select! {
            output = &mut running => {
                while let Ok(sign) = signs.try_recv() {
                    let _listening = events.send(event(sign)).await;
                }
                return output;
            }
            Some(sign) = signs.recv() => {
                let _listening = events.send(event(sign)).await;
            }
        }
    }
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
