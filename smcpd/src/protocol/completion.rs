//! `completion/complete` (2025-11-25, completion): values for an argument of a prompt or for a variable of a
//! template. That there are none is no error, and neither is a plugin that fails to say them.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::jsonrpc::{INVALID_PARAMS, RpcError};
use super::offers::{Asking, Meta};
use super::{Peer, Service, read};
use crate::catalog::{self, Offered, Plugin};

#[derive(Deserialize)]
struct Params {
    r#ref: Reference,
    argument: Argument,
    context: Option<Context>,
    #[serde(rename = "_meta")]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Reference {
    #[serde(rename = "ref/prompt")]
    Prompt { name: String },
    #[serde(rename = "ref/resource")]
    Resource { uri: String },
}

#[derive(Deserialize)]
struct Argument {
    name: String,
    value: String,
}

/// The arguments that are filled in already.
#[derive(Deserialize, Default)]
struct Context {
    #[serde(default)]
    arguments: Option<Map<String, Value>>,
}

/// Who knows the values.
enum Source<'a> {
    Nobody,
    Choices(&'a [String]),
    /// A plugin's completion command, and the reference as it is told.
    Command(&'a Arc<Plugin>, String),
}

impl Service {
    pub(super) async fn complete(
        &self,
        peer: &Peer,
        params: Option<&RawValue>,
        cancel: &CancellationToken,
    ) -> Result<Bytes, RpcError> {
        let params: Params =
            read(params)?.ok_or_else(|| RpcError::new(INVALID_PARAMS, "`params`: missing field `ref`"))?;
        let catalog = self.seen(peer);
        let source = source(catalog.offered(), &params.r#ref, &params.argument.name)
            .map_err(|reason| RpcError::new(INVALID_PARAMS, reason))?;
        let completion = match source {
            Source::Nobody => catalog::completed(&[], None, None),
            Source::Choices(choices) => {
                catalog::completed(&beginning_with(choices, &params.argument.value), None, None)
            }
            // It is the command of a tool that is not there for them.
            Source::Command(plugin, _)
                if !catalog.may_run(plugin, Some(&plugin.description().offers.completion)) =>
            {
                catalog::completed(&[], None, None)
            }
            Source::Command(plugin, reference) => {
                let asking = Asking {
                    peer,
                    method: "completion/complete",
                    meta: params.meta.as_ref(),
                    cancel,
                    input: None,
                };
                let others = params.context.unwrap_or_default().arguments.unwrap_or_default();
                let others = Value::Object(others).to_string();
                let flags = [
                    ("ref", reference.as_str()),
                    ("argument", &params.argument.name),
                    ("value", &params.argument.value),
                    ("context", &others),
                ];
                let words = &plugin.description().offers.completion;
                let printed = self.run_offer(asking, plugin, words, &flags).await;
                let printed = printed.map_err(|error| error.message);
                printed.and_then(|stdout| catalog::completion(&stdout)).unwrap_or_else(|reason| {
                    tracing::debug!(plugin = plugin.name(), reason, "a completion command failed");
                    catalog::completed(&[], None, None)
                })
            }
        };
        Ok(json!({"completion": completion}).to_string().into())
    }
}

/// Finds who knows the values of an argument; the error says what there is not.
fn source<'a>(offered: &'a Offered, reference: &Reference, argument: &str) -> Result<Source<'a>, String> {
    let unknown = |of: &str| {
        let short: String = argument.chars().take(80).collect();
        Err(format!("`{of}` has no argument `{short}`"))
    };
    let (plugin, reference) = match reference {
        Reference::Prompt { name } => {
            let (plugin, prompt) = offered.prompt(name)?;
            let Some(argument) = prompt.arguments.iter().find(|known| known.name == argument) else {
                return unknown(name);
            };
            if let Some(choices) = &argument.choices {
                return Ok(Source::Choices(choices));
            }
            (plugin, format!("prompt:{name}"))
        }
        Reference::Resource { uri } => match offered.template(uri) {
            Some((plugin, template)) if template.uri.variables().any(|name| name == argument) => {
                (plugin, format!("resource:{uri}"))
            }
            Some(_) => return unknown(uri),
            // It has no variable to complete.
            None if offered.is_resource(uri) => return unknown(uri),
            None => {
                let short: String = uri.chars().take(128).collect();
                return Err(format!("unknown resource template: `{short}`"));
            }
        },
    };
    Ok(match plugin.description().offers.completion.is_empty() {
        true => Source::Nobody,
        false => Source::Command(plugin, reference),
    })
}

fn beginning_with<'a>(choices: &'a [String], typed: &str) -> Vec<&'a str> {
    let typed = typed.to_lowercase();
    choices.iter().map(String::as_str).filter(|choice| choice.to_lowercase().starts_with(&typed)).collect()
}

#[cfg(test)]
mod tests {
    use super::beginning_with;

    #[test]
    fn choices_are_found_by_their_beginning_in_any_case() {
        let choices = ["Dry", "dreamy", "warm", "Äther"].map(str::to_owned);
        let cases = [("", 4), ("d", 2), ("DR", 2), ("dry", 1), ("ä", 1), ("ry", 0), ("dryer", 0)];
        for (typed, count) in cases {
            assert_eq!(beginning_with(&choices, typed).len(), count, "{typed}");
        }
    }
}
