//! One run of a tool's command: what it says meanwhile, what it came to, and the record of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::asking::Input;
use super::calls::{Asked, CallError, Event};
use super::noted::noted;
use super::said::Speaker;
use super::voice::Voice;
use super::{Peer, Service, approvals};
use crate::catalog::{self, CallContext, ErrorCode, Kind, Plugin, Progress, Tool, ToolOutput};
use crate::events::{self, Field};
use crate::executor::{Live, RunError, Sign, Spilled, Start};
use crate::heavy;
use crate::limits::{Limit, Who};
use crate::metrics::{self, Finished};

impl Service {
    /// Runs the command of a call once.
    pub(super) async fn run_once(
        &self,
        peer: &Peer,
        asked: Asked<'_>,
        input: Option<&Input>,
        heard: Heard<'_>,
        cancel: &CancellationToken,
    ) -> Result<ToolOutput, CallError> {
        let tool = asked.tool;
        let started = Instant::now();
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let id = approvals::id(number);
        let cancel = cancel.child_token();
        let logged = events::is_debug_heard();
        let (live, signs) = match heard.events.is_some() || logged || heard.voice.is_some() {
            false => (Live::default(), None),
            true => {
                let (live, signs) = Live::watched();
                (live, Some(signs))
            }
        };
        let live = Arc::new(live);
        let _running = self.running.enter(&id, tool.id(), peer.caller(), &live, cancel.clone());
        let unfinished =
            Unfinished { service: self, peer, asked: &asked, id: &id, live: &live, started, is_noted: false };
        let output = match tool.kind() {
            Kind::Health => self.health_tool(asked.arguments),
            Kind::Command { plugin, index } => {
                let (input, capabilities) = (input.map(Input::to_json), peer.client.capabilities_json());
                let context = CallContext {
                    id: &id,
                    caller: &peer.caller().to_string(),
                    agent: peer.agent.as_deref(),
                    traceparent: asked.traceparent,
                    capabilities: &capabilities,
                    input: input.as_deref(),
                    variables: self.letta.of(plugin.name()),
                    turn: turn(peer),
                };
                let running = self.run(plugin, *index, asked.arguments, &context, Arc::clone(&live), &cancel);
                let ended = match signs {
                    None => running.await,
                    Some(signs) => {
                        let listeners = Listeners {
                            heard,
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
        unfinished.finish(outcome);
        output
    }

    async fn run(
        &self,
        plugin: &Arc<Plugin>,
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
        if let Err(error) = plugin.create_state(self.silent()).await {
            let reason = format!("cannot create the plugin's state directory: {error}");
            return Ok((ToolOutput::failed(ErrorCode::StartFailed, reason), None));
        }
        Ok(match self.executor.run(admission, invocation, live, cancel).await {
            Ok(mut outcome) => {
                let (kept, spilled) = (outcome.kept(), outcome.spilled.take());
                let plugin = Arc::clone(plugin);
                let read = move || match catalog::from_outcome(outcome) {
                    // It promised a result, and this is none yet.
                    asks if asks.needed.is_some() => asks,
                    output => plugin.checked(command, output),
                };
                (heavy::with(kept, read).await, spilled)
            }
            Err(error) => {
                if let Some(limit) = over(&error) {
                    self.exceeded
                        .note(limit, || Who { caller: Some(context.caller.to_owned()), ..Who::default() });
                }
                (catalog::from_error(&error), None)
            }
        })
    }

    /// Adds a link to the whole of an output that was cut.
    fn linked(&self, peer: &Peer, tool: &Tool, output: ToolOutput, spilled: Option<Spilled>) -> ToolOutput {
        let Some(spilled) = spilled else { return output };
        let link = self.outputs.keep(&peer.grant, tool.id(), spilled);
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

    /// An event of a call, with who asks.
    pub(super) fn event<'a>(&self, kind: events::Kind, peer: &'a Peer) -> events::Event<'a> {
        events::Event::of(kind)
            .text(Field::Caller, peer.caller().to_string())
            .maybe(Field::Agent, peer.agent.as_deref())
            .maybe(Field::Session, peer.session.as_ref().map(|session| session.short_id()))
    }
}

/// A call that has not come to its end yet. Dropped, it ends all the same: its client went away.
struct Unfinished<'a> {
    service: &'a Service,
    peer: &'a Peer,
    asked: &'a Asked<'a>,
    id: &'a str,
    live: &'a Live,
    started: Instant,
    is_noted: bool,
}

impl Unfinished<'_> {
    fn finish(mut self, error: Option<ErrorCode>) {
        self.is_noted = true;
        self.note(error);
    }

    /// One event a call, without a value of any argument.
    fn note(&self, error: Option<ErrorCode>) {
        let (service, tool, now) = (self.service, self.asked.tool, Instant::now());
        let outcome = error.map_or(metrics::OK, ErrorCode::as_str);
        let total = now.duration_since(self.started);
        let queued = self.live.started().map(|turn| turn.saturating_duration_since(self.started));
        let start = self.live.how().map(Start::as_str);
        let finished =
            Finished { plugin: tool.plugin_name(), tool: tool.id(), outcome, queued, start, total };
        service.metrics.call_finished(&finished, now);
        service
            .event(kind(error), self.peer)
            .text(Field::Tool, tool.id())
            .maybe(Field::Plugin, tool.plugin_name())
            .text(Field::Outcome, outcome)
            .duration(total)
            .text(Field::Call, self.id)
            .maybe(Field::Trace, self.asked.traceparent.and_then(events::trace_of))
            .maybe(Field::Arguments, noted(self.asked.arguments))
            .write();
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_noted {
            self.note(Some(ErrorCode::Cancelled));
        }
    }
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
        Some(ErrorCode::InvalidArguments | ErrorCode::QueueFull | ErrorCode::NotPermitted) => {
            events::Kind::CallRefused
        }
    }
}

/// The ways out of a call while it runs, beside the log.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard<'a> {
    pub(super) events: Option<mpsc::Sender<Event>>,
    pub(super) voice: Option<&'a Voice>,
}

/// Whoever hears what a call says while it runs.
struct Listeners<'a> {
    heard: Heard<'a>,
    log: Option<Speaker<'a>>,
    reports_progress: bool,
}

impl Listeners<'_> {
    async fn hear(&self, sign: Sign) {
        let event = match sign {
            Sign::Waiting(ahead) => {
                if let Some(voice) = self.heard.voice {
                    voice.wait(ahead);
                }
                return;
            }
            Sign::Started => Event::Started,
            Sign::Line(line) => match Progress::read(&line).filter(|_| self.reports_progress) {
                Some(progress) => {
                    if let Some(voice) = self.heard.voice {
                        voice.progress(&progress);
                    }
                    Event::Progress(progress)
                }
                None => {
                    if let Some(voice) = self.heard.voice {
                        voice.line(&line);
                    }
                    if let Some(log) = &self.log {
                        log.say(&line, Instant::now());
                    }
                    Event::Line(line)
                }
            },
        };
        if let Some(events) = &self.heard.events {
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

/// The limit that kept a call from waiting.
fn over(error: &RunError) -> Option<Limit> {
    match error {
        RunError::QueueFull { .. } => Some(Limit::Queue),
        RunError::CallerQueueFull { .. } => Some(Limit::QueueOfCaller),
        RunError::Stopping | RunError::CancelledWaiting | RunError::Spawn { .. } | RunError::Lost => None,
    }
}

/// Anonymous callers take turns by session, since nothing else tells them apart.
pub(super) fn turn(peer: &Peer) -> Arc<str> {
    match (peer.caller(), &peer.session) {
        (crate::auth::Caller::Anonymous, Some(session)) => Arc::clone(session.id()),
        (caller, _) => caller.to_string().into(),
    }
}
