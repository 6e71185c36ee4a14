//! Calls as tasks: one that takes long goes on by itself, and its client asks for it (extension
//! `io.modelcontextprotocol/tasks`).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::asking::{self, AskError, Input};
use super::calls::{Asked, CallError};
use super::client::Client;
use super::confirming::Confirmed;
use super::jsonrpc::{INTERNAL_ERROR, INVALID_PARAMS, MISSING_CAPABILITY, RpcError};
use super::runs::Heard;
use super::tasks::{EXTENSION, Task};
use super::{Peer, Related, Service, read};
use crate::catalog::{ErrorCode, TaskSupport, Tool, ToolOutput};

/// A call that has ended by then is answered at once.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a task waits for the answers of its client.
const ANSWER_WITHIN: Duration = Duration::from_secs(24 * 3_600);

/// One call, as its task keeps it.
#[derive(Debug, Clone)]
struct Long {
    peer: Peer,
    tool: Arc<Tool>,
    arguments: Map<String, Value>,
    traceparent: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    task_id: String,
    #[serde(default)]
    input_responses: Map<String, Value>,
}

/// Returns whether a call becomes a task where it takes long; an error where it has to, and its client cannot.
pub(super) fn is_long(tool: &Tool, peer: &Peer) -> Result<bool, RpcError> {
    match (peer.revision.is_stateless(), tool.task()) {
        (true, Some(TaskSupport::Required)) => declared(&peer.client).map(|()| true),
        (true, Some(TaskSupport::Optional)) => Ok(peer.client.has_extension(EXTENSION)),
        (false, _) | (_, None) => Ok(false),
    }
}

fn declared(client: &Client) -> Result<(), RpcError> {
    match client.has_extension(EXTENSION) {
        true => Ok(()),
        false => {
            let required = json!({"requiredCapabilities": {"extensions": {EXTENSION: {}}}});
            let message = format!("this needs the extension `{EXTENSION}`, which the client did not declare");
            Err(RpcError::new(MISSING_CAPABILITY, message).with_data(required))
        }
    }
}

impl Service {
    /// Runs a call: what ends soon is answered, and what does not becomes a task.
    pub(super) async fn long_call(
        self: &Arc<Self>,
        peer: &Peer,
        asked: Asked<'_>,
        tool: Arc<Tool>,
        input: Option<Input>,
    ) -> Result<LongCall, RpcError> {
        // What is said after the answer would belong to nothing.
        let peer = Peer { related: Related::Nowhere, ..peer.clone() };
        let arguments = asked.arguments.clone();
        let long = Long { peer, tool, arguments, traceparent: asked.traceparent.map(str::to_owned) };
        let cancel = long.peer.grant.ended().child_token();
        // Ends the call where its client goes before there is a task.
        let guard = cancel.clone().drop_guard();
        let mut first = Box::pin(Arc::clone(self).round(long.clone(), input, cancel.clone()));
        if let Ok(output) = tokio::time::timeout(PATIENCE, &mut first).await {
            return Ok(LongCall::Ended(output.unwrap_or_else(refused)));
        }
        let Some(task) = self.long.begin(&long.peer.grant, cancel, SystemTime::now()) else {
            let message = "too many tasks: ask for those that have ended, or cancel some";
            return Ok(LongCall::Ended(ToolOutput::failed(ErrorCode::QueueFull, message)));
        };
        let _kept = guard.disarm();
        let created = task.to_json(false);
        let service = Arc::clone(self);
        self.tasks.spawn(async move {
            let output = first.await;
            service.go_on(long, &task, output).await;
        });
        Ok(LongCall::Goes(created))
    }

    /// Runs the command once, as soon as whoever has to confirm that has done so.
    async fn round(
        self: Arc<Self>,
        long: Long,
        input: Option<Input>,
        cancel: CancellationToken,
    ) -> Result<ToolOutput, CallError> {
        let asked = Asked {
            tool: &long.tool,
            arguments: &long.arguments,
            traceparent: long.traceparent.as_deref(),
            progress: None,
        };
        let (input, is_confirmed) = match self.confirm(&long.peer, asked, input, None, &cancel).await {
            Confirmed::Free(input) => (input, false),
            Confirmed::Yes(input) => (input, true),
            Confirmed::Ask(needed) => return Ok(ToolOutput::asking(needed)),
            Confirmed::No(output) => return Ok(output),
        };
        let mut output = self.run_once(&long.peer, asked, input.as_ref(), Heard::default(), &cancel).await?;
        if is_confirmed {
            self.keep_confirmed(&mut output);
        }
        Ok(output)
    }

    /// Brings a task to its end, with as many rounds of questions as it takes.
    async fn go_on(self: Arc<Self>, long: Long, task: &Task, first: Result<ToolOutput, CallError>) {
        let mut output = first;
        for _ in 0..asking::ROUNDS {
            let ended = output.unwrap_or_else(refused);
            let needed = match ended.needed {
                None => return task.complete(completed(ended)),
                Some(needed) => asking::askable(needed, &long.peer.client),
            };
            let needed = match needed {
                Ok(needed) => needed,
                Err(AskError::Unable(capabilities)) => {
                    return task.fail(asking::missing_capability(&capabilities));
                }
                Err(error) => return task.fail(RpcError::new(INTERNAL_ERROR, error.to_string())),
            };
            let responses = tokio::select! {
                responses = tokio::time::timeout(ANSWER_WITHIN, task.ask(&needed)) => responses,
                () = self.shutdown.draining() => return task.cancel(),
            };
            let responses = match responses {
                Ok(Some(responses)) => responses,
                // Cancelled: it has ended.
                Ok(None) => return,
                Err(_) => {
                    return task.fail(RpcError::new(INTERNAL_ERROR, "nobody answered its questions in time"));
                }
            };
            let input = match (Input { responses, state: needed.state }).fitting() {
                Ok(input) => input,
                Err(error) => return task.fail(RpcError::new(INTERNAL_ERROR, error.to_string())),
            };
            output = Arc::clone(&self).round(long.clone(), Some(input), task.cancel_token().clone()).await;
        }
        task.fail(RpcError::new(
            INTERNAL_ERROR,
            format!("the command asked for input {} times", asking::ROUNDS),
        ));
    }

    pub(super) fn get_task(&self, peer: &Peer, params: Option<&RawValue>) -> Result<Bytes, RpcError> {
        let (task, _) = self.task(peer, params)?;
        Ok(task.to_json(true).to_string().into())
    }

    pub(super) fn update_task(&self, peer: &Peer, params: Option<&RawValue>) -> Result<Bytes, RpcError> {
        let (task, params) = self.task(peer, params)?;
        task.answer(params.input_responses).map_err(|key| {
            let key: String = key.chars().take(80).collect();
            RpcError::new(INVALID_PARAMS, format!("`inputResponses.{key}` is no answer to its question"))
        })?;
        Ok(Bytes::from_static(b"{}"))
    }

    pub(super) fn cancel_task(&self, peer: &Peer, params: Option<&RawValue>) -> Result<Bytes, RpcError> {
        let (task, _) = self.task(peer, params)?;
        task.cancel();
        Ok(Bytes::from_static(b"{}"))
    }

    fn task(&self, peer: &Peer, params: Option<&RawValue>) -> Result<(Arc<Task>, Params), RpcError> {
        declared(&peer.client)?;
        let params: Params =
            read(params)?.ok_or_else(|| RpcError::new(INVALID_PARAMS, "`params`: missing field `taskId`"))?;
        let task = self.long.find(&params.task_id, &peer.grant, SystemTime::now());
        let task = task.ok_or_else(|| RpcError::new(INVALID_PARAMS, "no task of yours has this `taskId`"))?;
        Ok((task, params))
    }
}

/// What a call came to.
#[derive(Debug)]
pub(super) enum LongCall {
    Ended(ToolOutput),
    /// It goes on as this task.
    Goes(Value),
}

/// The answer to a call that goes on as a task.
pub(super) fn created(task: &Value) -> Bytes {
    let task = task.to_string();
    let rest = task.strip_prefix('{').unwrap_or(&task);
    format!("{{\"resultType\":\"task\",{rest}").into()
}

/// Bad arguments are a result that a model can mend, as with every call of this dialect.
fn refused(CallError::Arguments(reason): CallError) -> ToolOutput {
    ToolOutput::failed(ErrorCode::InvalidArguments, reason)
}

fn completed(output: ToolOutput) -> Value {
    let mut result = output.into_result();
    result["resultType"] = "complete".into();
    result
}
