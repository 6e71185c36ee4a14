//! `prompts/list` and `prompts/get` (2025-11-25, prompts).

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::asking::{self, Input, Next};
use super::jsonrpc::{INVALID_PARAMS, RpcError};
use super::offers::{Asking, Meta, misprinted};
use super::{Peer, Service, read};
use crate::catalog::{self, Answer};

#[derive(Deserialize)]
struct Params {
    name: String,
    arguments: Option<Map<String, Value>>,
    #[serde(rename = "_meta")]
    meta: Option<Meta>,
    #[serde(rename = "inputResponses")]
    responses: Option<Box<RawValue>>,
    #[serde(rename = "requestState")]
    state: Option<String>,
}

impl Service {
    pub(super) async fn get_prompt(
        &self,
        peer: &Peer,
        params: Option<&RawValue>,
        cancel: &CancellationToken,
    ) -> Result<Bytes, RpcError> {
        let params: Params =
            read(params)?.ok_or_else(|| RpcError::new(INVALID_PARAMS, "`params`: missing field `name`"))?;
        let catalog = self.seen(peer);
        let invalid = |reason: String| RpcError::new(INVALID_PARAMS, reason);
        let (plugin, prompt) = catalog.offered().prompt(&params.name).map_err(invalid)?;
        let arguments = params.arguments.unwrap_or_default();
        let given = prompt.check(&arguments).map_err(invalid)?;
        let mut result = match &prompt.answer {
            Answer::Messages(messages) => json!({"messages": prompt.fill(messages, &given)}),
            Answer::Command(words) => {
                let flags: Vec<(&str, &str)> =
                    given.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let target = format!("prompt {}", params.name);
                let binding = asking::binding(&peer.caller().to_string(), &target, &arguments);
                let (responses, state) = (params.responses.as_deref(), params.state.as_deref());
                let mut input = match peer.revision.is_stateless() {
                    true => Input::read(responses, state, &self.seal, &binding)?,
                    false => None,
                };
                let run = async |input: Option<&Input>| {
                    let meta = params.meta.as_ref();
                    let asking = Asking { peer, method: "prompts/get", meta, cancel, input };
                    self.run_offer(asking, plugin, words, &flags).await
                };
                for _ in 0..asking::ROUNDS {
                    let stdout = run(input.as_ref()).await?;
                    let needed = catalog::needed_by(&stdout).map_err(|reason| misprinted(plugin, &reason))?;
                    let Some(needed) = needed else {
                        let printed = catalog::printed_prompt(&stdout);
                        let mut result = printed.map_err(|reason| misprinted(plugin, &reason))?;
                        describe(&mut result, prompt.description.as_deref());
                        return Ok(result.to_string().into());
                    };
                    match asking::go_on(peer, needed, &self.seal, &binding, cancel).await? {
                        Next::Result(result) => return Ok(result.to_string().into()),
                        Next::Again(answers) => input = Some(answers),
                    }
                }
                return Err(misprinted(plugin, "questions without end"));
            }
        };
        describe(&mut result, prompt.description.as_deref());
        Ok(result.to_string().into())
    }
}

/// A prompt whose command says nothing of it is described as it is listed.
fn describe(result: &mut Value, description: Option<&str>) {
    if let (None, Some(description)) = (result.get("description"), description) {
        result["description"] = description.into();
    }
}
