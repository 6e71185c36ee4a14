//! What resources, prompts and completion share: capabilities, lists, and the run of a plugin's command.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::asking::Input;
use super::jsonrpc::{INTERNAL_ERROR, INVALID_PARAMS, RpcError};
use super::{Peer, Revision, Service, read, runs, tasks};
use crate::catalog::{self, CallContext, Catalog, List, Plugin};
use crate::executor::Live;
use crate::heavy;

/// The trace that a request belongs to.
#[derive(Debug, Deserialize)]
pub(super) struct Meta {
    pub(super) traceparent: Option<String>,
}

/// Who asks for the run of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) peer: &'a Peer,
    /// What it is for, as `resources/read`.
    pub(super) method: &'static str,
    pub(super) meta: Option<&'a Meta>,
    pub(super) cancel: &'a CancellationToken,
    /// Answers to what the command asked when it ran before.
    pub(super) input: Option<&'a Input>,
}

/// Only what the catalog has something behind is declared; completions are known from 2025-03-26 on.
pub(super) fn capabilities(revision: Revision, catalog: &Catalog) -> Value {
    let offered = catalog.offered();
    let mut capabilities = json!({"tools": {"listChanged": true}, "logging": {}});
    // A long output of any tool becomes one.
    if offered.has_resources() || catalog.tools().iter().any(|tool| tool.plugin_name().is_some()) {
        capabilities["resources"] = json!({"subscribe": true, "listChanged": true});
    }
    if offered.has_prompts() {
        capabilities["prompts"] = json!({"listChanged": true});
    }
    if offered.has_completion() && revision >= Revision::V2025_03_26 {
        capabilities["completions"] = json!({});
    }
    if revision.is_stateless() && catalog.tools().iter().any(|tool| tool.task().is_some()) {
        capabilities["extensions"] = json!({tasks::EXTENSION: {}});
    }
    capabilities
}

impl Service {
    /// Answers with a list, whole: it has one page.
    pub(super) fn one_page(
        &self,
        peer: &Peer,
        params: Option<&RawValue>,
        list: List,
    ) -> Result<Bytes, RpcError> {
        #[derive(Deserialize, Default)]
        struct Params {
            cursor: Option<String>,
        }
        let params: Params = read(params)?.unwrap_or_default();
        if params.cursor.is_some() {
            return Err(RpcError::new(INVALID_PARAMS, "`cursor` is not one of ours"));
        }
        Ok(self.seen(peer).offered().listed(list, peer.revision.fields()))
    }

    /// Runs a plugin's command to its end, in its lane, and returns what it printed.
    pub(super) async fn run_offer(
        &self,
        asking: Asking<'_>,
        plugin: &Plugin,
        words: &[String],
        flags: &[(&str, &str)],
    ) -> Result<String, RpcError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:x}-{number:x}", std::process::id());
        let peer = asking.peer;
        let (input, capabilities) = (asking.input.map(Input::to_json), peer.client.capabilities_json());
        let context = CallContext {
            id: &id,
            caller: &peer.caller().to_string(),
            agent: peer.agent.as_deref(),
            traceparent: asking.meta.and_then(|meta| meta.traceparent.as_deref()),
            capabilities: &capabilities,
            input: input.as_deref(),
            variables: self.letta.of(plugin.name()),
            turn: runs::turn(peer),
        };
        let (admission, invocation) = plugin
            .prepare_offer(words, flags, &context)
            .map_err(|error| RpcError::new(INVALID_PARAMS, error.to_string()))?;
        let failed = |reason: String| RpcError::new(INTERNAL_ERROR, reason);
        plugin.create_state(self.silent()).await.map_err(|error| {
            failed(format!("cannot create the state directory of the plugin `{}`: {error}", plugin.name()))
        })?;
        let (live, cancel) = (Arc::new(Live::default()), asking.cancel.child_token());
        let name = format!("{}.{}", plugin.name(), asking.method);
        let _running = self.running.enter(&id, &name, peer.caller(), &live, cancel.clone());
        let ended = self.executor.run(admission, invocation, live, &cancel).await;
        tracing::debug!(call = id, plugin = plugin.name(), method = asking.method, "a command was run");
        match ended {
            Ok(outcome) => {
                let read = heavy::with(outcome.kept(), || catalog::stdout(outcome)).await;
                read.map_err(failed)
            }
            Err(error) => Err(failed(catalog::from_error(&error).first_text().to_owned())),
        }
    }
}

/// The error of a command that printed what cannot be taken.
pub(super) fn misprinted(plugin: &Plugin, reason: &str) -> RpcError {
    RpcError::new(
        INTERNAL_ERROR,
        format!("the plugin `{}` printed what is not taken: {reason}", plugin.name()),
    )
}
