//! `tools/call`: from a request to a tool's result.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::asking::{self, AskError, Input};
use super::confirming::Confirmed;
use super::jsonrpc::{INTERNAL_ERROR, INVALID_PARAMS, Request, RpcError};
use super::long_calls::{self, LongCall};
use super::runs::Heard;
use super::voice::Voice;
use super::{Peer, Service, read};
use crate::auth::Grant;
use crate::catalog::{ErrorCode, FindError, HeaderParameter, Progress, Tool, ToolOutput};
use crate::events::{self, Field};
use crate::heavy;
use crate::metrics::Reason;

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
        let found = self.seen(peer).find(&params.name);
        let withheld = match &found {
            Err(error @ FindError::Held { tool, plugin }) => Some((error, tool.clone(), plugin)),
            Err(error @ FindError::Blocked { plugin }) => {
                Some((error, params.name.chars().take(128).collect(), plugin))
            }
            Err(FindError::Unknown { .. } | FindError::Ambiguous { .. }) | Ok(_) => None,
        };
        if let Some((error, tool, plugin)) = withheld {
            self.event(events::Kind::CallRefused, peer)
                .text(Field::Tool, tool)
                .text(Field::Plugin, plugin)
                .text(Field::Outcome, ErrorCode::NotPermitted.as_str())
                .write();
            let output = ToolOutput::failed(ErrorCode::NotPermitted, error.to_string());
            return Ok(output.into_result().to_string().into());
        }
        let tool = found.map_err(|error| {
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
        let binding = asking::binding(&peer.caller().to_string(), tool.id(), &arguments);
        let input = match peer.revision.is_stateless() {
            true => Input::read(params.responses, params.state.as_deref(), &self.seal, &binding)?,
            false => None,
        };
        if long_calls::is_long(&tool, peer)? {
            return match self.long_call(peer, asked, Arc::clone(&tool), input).await? {
                LongCall::Goes(task) => Ok(long_calls::created(&task)),
                LongCall::Ended(output) => self.answered(peer, output, &binding).await,
            };
        }
        let (input, is_confirmed) = match self.confirm(peer, asked, input, None, cancel).await {
            Confirmed::Free(input) => (input, false),
            Confirmed::Yes(input) => (input, true),
            Confirmed::Ask(needed) => {
                return Ok(asking::required(&needed, &self.seal, &binding).to_string().into());
            }
            Confirmed::No(output) => return self.answered(peer, output, &binding).await,
        };
        let output = match self.carry_out(peer, asked, input, None, cancel).await {
            Err(CallError::Arguments(message)) if !peer.revision.bad_arguments_are_results() => {
                return Err(RpcError::new(INVALID_PARAMS, message));
            }
            Err(CallError::Arguments(message)) => ToolOutput::failed(ErrorCode::InvalidArguments, message),
            Ok(mut output) => {
                if is_confirmed {
                    self.keep_confirmed(&mut output);
                }
                output
            }
        };
        self.answered(peer, output, &binding).await
    }

    /// The result of a call, or what it needs of a stateless client.
    async fn answered(&self, peer: &Peer, mut output: ToolOutput, binding: &[u8]) -> Result<Bytes, RpcError> {
        match output.needed.take() {
            None => {
                let result = output.for_revision(peer.revision.fields()).into_result();
                Ok(heavy::json(result).await.into())
            }
            Some(needed) => match asking::askable(needed, &peer.client) {
                Ok(needed) => Ok(asking::required(&needed, &self.seal, binding).to_string().into()),
                Err(AskError::Unable(capabilities)) => Err(asking::missing_capability(&capabilities)),
                Err(error) => Err(RpcError::new(INTERNAL_ERROR, error.to_string())),
            },
        }
    }

    /// The arguments of a call that headers repeat; `None` where there are none.
    pub(crate) fn repeated(&self, grant: &Grant, request: &Request) -> Option<Vec<Repeated>> {
        if request.method != "tools/call" {
            return None;
        }
        let params: Params<'_> = read(request.params.as_deref()).ok()??;
        let tool = self.seen_by(grant).find(&params.name).ok()?;
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
        match self.confirm(peer, asked, None, events.as_ref(), cancel).await {
            Confirmed::Free(input) | Confirmed::Yes(input) => {
                self.carry_out(peer, asked, input, events, cancel).await
            }
            Confirmed::No(output) => Ok(output),
            Confirmed::Ask(_) => {
                let message =
                    format!("`{}` has to be confirmed by a user whom nobody can ask here", asked.tool.id());
                Ok(ToolOutput::failed(ErrorCode::NotPermitted, message))
            }
        }
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
        // One for all rounds: what it has said stays said.
        let voice = Voice::of(&peer.related, asked.progress, peer.client.level, asked.tool.id(), cancel);
        let heard = Heard { events, voice: voice.as_ref() };
        for _ in 0..asking::ROUNDS {
            let mut output = self.run_once(peer, asked, input.as_ref(), heard.clone(), cancel).await?;
            let needed = match output.needed.take() {
                None => return Ok(output),
                Some(needed) if peer.revision.is_stateless() => {
                    return Ok(ToolOutput { needed: Some(needed), ..output });
                }
                Some(needed) => asking::askable(needed, &peer.client),
            };
            let answered = match (needed, &peer.session) {
                (Ok(needed), Some(session)) => tokio::select! {
                    answered = asking::ask(peer, session, needed, cancel) => answered,
                    () = self.shutdown.draining() => Err(AskError::Stopping),
                },
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
}

fn arguments(raw: Option<&RawValue>) -> Result<Map<String, Value>, RpcError> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(Map::new()) };
    serde_json::from_str(raw.get())
        .map_err(|error| RpcError::new(INVALID_PARAMS, format!("`arguments` must be an object: {error}")))
}
