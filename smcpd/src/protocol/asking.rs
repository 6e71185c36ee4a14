//! A command that needs input: its questions go to the client, and the answers back to the command.
//!
//! In the revisions with sessions they are requests of ours on the call's stream (2025-11-25, "client features"). A
//! stateless client gets them as the result, and comes back with the answers (2026-07-28, "multi round-trip requests").

use std::time::{Duration, SystemTime};

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::client::{Client, Question};
use super::jsonrpc::{self, INTERNAL_ERROR, INVALID_PARAMS, MISSING_CAPABILITY, RpcError};
use super::sealed::Seal;
use super::{Peer, Session};
use crate::catalog::Needed;

/// A person may have to be asked.
const PATIENCE: Duration = Duration::from_secs(600);
/// Rounds of questions before a command is given up.
pub(super) const ROUNDS: usize = 20;
/// Answers travel in a variable, of which Linux takes so much.
const MOST: usize = 120 << 10;

/// What a command gets when it is run again.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Input {
    pub(super) responses: Map<String, Value>,
    pub(super) state: Option<Value>,
}

/// Why a command does not get its answers.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum AskError {
    #[error("{}", cannot(.0))]
    Unable(Vec<&'static str>),
    #[error("the client did not answer `{0}`")]
    Silent(String),
    #[error("the client refused `{key}`: {reason}")]
    Refused { key: String, reason: String },
    #[error("the client's answer to `{0}` is not one")]
    Unfit(String),
    #[error("the client's answers and the command's state may have {MOST} bytes together")]
    TooLong,
    #[error("the daemon is stopping")]
    Stopping,
}

fn cannot(capabilities: &[&'static str]) -> String {
    format!(
        "this command needs to ask the client, which did not declare that it can be asked ({})",
        capabilities.join(", ")
    )
}

impl Input {
    /// As `SMCP_INPUT` has it.
    pub(super) fn to_json(&self) -> String {
        json!({"responses": self.responses, "state": self.state}).to_string()
    }

    /// Reads what a stateless client came back with; `None` where it comes for the first time.
    pub(super) fn read(
        responses: Option<&RawValue>,
        state: Option<&str>,
        seal: &Seal,
        binding: &[u8],
    ) -> Result<Option<Self>, RpcError> {
        let wrong = |message: String| RpcError::new(INVALID_PARAMS, message);
        let responses: Option<Value> = responses.and_then(|raw| serde_json::from_str(raw.get()).ok());
        let responses = match responses {
            None | Some(Value::Null) => None,
            Some(Value::Object(responses)) => Some(responses),
            Some(_) => return Err(wrong("`inputResponses` must be an object".to_owned())),
        };
        for (key, answer) in responses.iter().flatten() {
            let questions = [Question::Elicitation, Question::Sampling, Question::Roots];
            if !answer.is_object()
                || (is_sized(answer) && !questions.iter().any(|it| it.is_answered_by(answer)))
            {
                let key: String = key.chars().take(80).collect();
                return Err(wrong(format!("`inputResponses.{key}` is no answer to a question of ours")));
            }
        }
        let state = match state {
            None => None,
            Some(text) => {
                Some(seal.open(text, binding, SystemTime::now()).map_err(|error| wrong(error.to_string()))?)
            }
        };
        if responses.is_none() && state.is_none() {
            return Ok(None);
        }
        let input = Self { responses: responses.unwrap_or_default(), state };
        input.fitting().map(Some).map_err(|error| wrong(error.to_string()))
    }

    /// Refuses what no variable can hold.
    pub(super) fn fitting(self) -> Result<Self, AskError> {
        if self.to_json().len() > MOST { Err(AskError::TooLong) } else { Ok(self) }
    }
}

/// An object that says anything at all.
fn is_sized(answer: &Value) -> bool {
    answer.as_object().is_some_and(|object| !object.is_empty())
}

/// What a state is bound to: the caller and the very request, so that it opens nothing else.
pub(super) fn binding(caller: &str, target: &str, arguments: &Map<String, Value>) -> Vec<u8> {
    let mut hash = Sha256::new();
    for part in [caller, target, &Value::Object(arguments.clone()).to_string()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().to_vec()
}

/// Leaves out the questions that the client cannot be asked; an error where none is left.
pub(super) fn askable(mut needed: Needed, client: &Client) -> Result<Needed, AskError> {
    let mut lacking = Vec::new();
    needed.questions.retain(|(_, asked)| match Question::of_method(&asked.method) {
        Some(question) if client.can_take(question, &asked.params) => true,
        Some(question) => {
            lacking.push(question.capability());
            false
        }
        None => false,
    });
    lacking.dedup();
    if needed.questions.is_empty() { Err(AskError::Unable(lacking)) } else { Ok(needed) }
}

/// The error of a stateless client that cannot be asked (2026-07-28, -32021).
pub(super) fn missing_capability(capabilities: &[&'static str]) -> RpcError {
    let required: Map<String, Value> =
        capabilities.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    RpcError::new(MISSING_CAPABILITY, cannot(capabilities))
        .with_data(json!({"requiredCapabilities": required}))
}

/// The result that asks (2026-07-28, `InputRequiredResult`), without the members that every result has.
pub(super) fn required(needed: &Needed, seal: &Seal, binding: &[u8]) -> Value {
    let questions: Map<String, Value> = needed
        .questions
        .iter()
        .map(|(key, asked)| (key.clone(), json!({"method": asked.method, "params": asked.params})))
        .collect();
    let mut result = json!({"resultType": "input_required", "inputRequests": questions});
    if let Some(state) = &needed.state {
        result["requestState"] = seal.seal(state, binding, SystemTime::now()).into();
    }
    result
}

/// What follows on a command's questions.
#[derive(Debug)]
pub(super) enum Next {
    /// A stateless client is asked by this result.
    Result(Value),
    /// The client answered: the command is run again.
    Again(Input),
}

/// Goes on where nothing but an error or a result can be said, as with prompts.
pub(super) async fn go_on(
    peer: &Peer,
    needed: Needed,
    seal: &Seal,
    binding: &[u8],
    cancel: &CancellationToken,
) -> Result<Next, RpcError> {
    let failed = |error: &AskError| RpcError::new(INTERNAL_ERROR, error.to_string());
    let needed = match askable(needed, &peer.client) {
        Ok(needed) => needed,
        Err(AskError::Unable(capabilities)) if peer.revision.is_stateless() => {
            return Err(missing_capability(&capabilities));
        }
        Err(error) => return Err(failed(&error)),
    };
    match &peer.session {
        _ if peer.revision.is_stateless() => Ok(Next::Result(required(&needed, seal, binding))),
        Some(session) => match ask(peer, session, needed, cancel).await {
            Ok(input) => Ok(Next::Again(input)),
            Err(error) => Err(failed(&error)),
        },
        None => Err(failed(&AskError::Unable(Vec::new()))),
    }
}

/// Asks a client that has a session, all questions at once.
pub(super) async fn ask(
    peer: &Peer,
    session: &std::sync::Arc<Session>,
    needed: Needed,
    cancel: &CancellationToken,
) -> Result<Input, AskError> {
    let asked = needed.questions.iter().map(async |(key, asked)| {
        let answer = one(peer, session, key, &asked.method, &asked.params, cancel).await?;
        Ok((key.clone(), answer))
    });
    let responses = futures_util::future::try_join_all(asked).await?.into_iter().collect();
    Input { responses, state: needed.state }.fitting()
}

async fn one(
    peer: &Peer,
    session: &std::sync::Arc<Session>,
    key: &str,
    method: &str,
    params: &Value,
    cancel: &CancellationToken,
) -> Result<Value, AskError> {
    let silent = || AskError::Silent(key.to_owned());
    let (asking, answer) = session.questions().open().ok_or_else(silent)?;
    if !peer.related.send(jsonrpc::request(asking.number(), method, params)).await {
        return Err(silent());
    }
    let (answer, reason) = tokio::select! {
        answer = tokio::time::timeout(PATIENCE, answer) => (answer.ok(), "nobody answered in time"),
        () = cancel.cancelled() => (None, "the call was cancelled"),
    };
    let Some(Ok(answer)) = answer else {
        let params = json!({"requestId": asking.number(), "reason": reason});
        peer.related.offer(jsonrpc::notification("notifications/cancelled", Some(&params)));
        return Err(silent());
    };
    let read = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).unwrap_or_default();
    match answer {
        Ok(result) => {
            let result = read(&result);
            let fits = Question::of_method(method).is_some_and(|question| question.is_answered_by(&result));
            if fits { Ok(result) } else { Err(AskError::Unfit(key.to_owned())) }
        }
        Err(error) => {
            let reason = read(&error)["message"].as_str().unwrap_or("without a reason").to_owned();
            Err(AskError::Refused { key: key.to_owned(), reason })
        }
    }
}

#[cfg(test)]
#[path = "asking_tests.rs"]
mod tests;
