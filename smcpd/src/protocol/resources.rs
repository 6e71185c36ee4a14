//! `resources/list`, `resources/templates/list` and `resources/read` (2025-11-25, resources).

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::jsonrpc::{INTERNAL_ERROR, INVALID_PARAMS, RESOURCE_NOT_FOUND, RpcError};
use super::offers::{Asking, Meta, misprinted};
use super::{Peer, Revision, Service, read};
use crate::catalog::{self, Contents, Origin, Plugin};
use crate::heavy;

#[derive(Deserialize)]
struct Params {
    uri: String,
    #[serde(rename = "_meta")]
    meta: Option<Meta>,
}

impl Service {
    pub(super) async fn read_resource(
        &self,
        peer: &Peer,
        params: Option<&RawValue>,
        cancel: &CancellationToken,
    ) -> Result<Bytes, RpcError> {
        let params: Params =
            read(params)?.ok_or_else(|| RpcError::new(INVALID_PARAMS, "`params`: missing field `uri`"))?;
        let (uri, catalog) = (params.uri.as_str(), self.seen(peer));
        if let Some(path) = self.outputs.find(uri, &peer.grant) {
            return spilled(uri, path).await;
        }
        let found = catalog.offered().resource(uri).ok_or_else(|| not_found(peer.revision, uri))?;
        let one =
            |key: &str, value: &str| json!({"contents": [catalog::here(uri, found.mime_type, key, value)]});
        let result = match found.from {
            Origin::Text(text) => one("text", text),
            Origin::Blob(blob) => one("blob", blob),
            Origin::File(path) => match self.contents(found.plugin, path).await? {
                Contents::Text(text) => one("text", &text),
                Contents::Blob(blob) => one("blob", &blob),
            },
            Origin::Command(words, variables) => {
                let asking = Asking {
                    peer,
                    method: "resources/read",
                    meta: params.meta.as_ref(),
                    cancel,
                    input: None,
                };
                let variables = variables.iter().map(|(name, value)| (*name, value.as_str()));
                let flags: Vec<(&str, &str)> = std::iter::once(("uri", uri)).chain(variables).collect();
                let stdout = self.run_offer(asking, found.plugin, words, &flags).await?;
                catalog::printed_resource(&stdout, uri, found.mime_type)
                    .map_err(|reason| misprinted(found.plugin, &reason))?
            }
        };
        Ok(heavy::json(result).await.into())
    }
}

impl Service {
    /// 2025-11-25, resources, "subscriptions"; a stateless client subscribes by listening.
    pub(super) fn subscribe(&self, peer: &Peer, params: Option<&RawValue>) -> Result<Bytes, RpcError> {
        let params: Params =
            read(params)?.ok_or_else(|| RpcError::new(INVALID_PARAMS, "`params`: missing field `uri`"))?;
        if self.seen(peer).offered().resource(&params.uri).is_none() {
            return Err(not_found(peer.revision, &params.uri));
        }
        match &peer.session {
            Some(session) if !session.subscribe(&params.uri) => {
                Err(RpcError::new(INVALID_PARAMS, "this session subscribes to too many resources"))
            }
            _ => Ok(Bytes::from_static(b"{}")),
        }
    }

    pub(super) fn unsubscribe(&self, peer: &Peer, params: Option<&RawValue>) -> Result<Bytes, RpcError> {
        let params: Params =
            read(params)?.ok_or_else(|| RpcError::new(INVALID_PARAMS, "`params`: missing field `uri`"))?;
        if let Some(session) = &peer.session {
            session.unsubscribe(&params.uri);
        }
        Ok(Bytes::from_static(b"{}"))
    }

    async fn contents(&self, plugin: &Arc<Plugin>, path: &Path) -> Result<Contents, RpcError> {
        let (shared, path) = (Arc::clone(plugin), path.to_owned());
        let read = self.silent().look_at(plugin.name(), move |_| shared.read_file(&path)).await;
        let read = read.unwrap_or_else(|| Err(catalog::SILENT.to_owned()));
        read.map_err(|reason| RpcError::new(INTERNAL_ERROR, reason))
    }
}

/// The whole of an output that was cut in its result.
async fn spilled(uri: &str, path: std::path::PathBuf) -> Result<Bytes, RpcError> {
    let lost = |error: String| RpcError::new(INTERNAL_ERROR, format!("the output cannot be read: {error}"));
    let reading =
        tokio::task::spawn_blocking(move || Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned()));
    let text: std::io::Result<String> = reading.await.map_err(|error| lost(error.to_string()))?;
    let text = text.map_err(|error| lost(error.to_string()))?;
    let here = catalog::here(uri, Some("text/plain"), "text", &text);
    Ok(heavy::json(json!({"contents": [here]})).await.into())
}

fn not_found(revision: Revision, uri: &str) -> RpcError {
    let short: String = uri.chars().take(128).collect();
    RpcError::new(not_found_code(revision), format!("unknown resource: `{short}`"))
        .with_data(json!({"uri": uri}))
}

/// Resources have a code of their own until 2025-11-25.
fn not_found_code(revision: Revision) -> i64 {
    match revision {
        Revision::V2024_11_05 | Revision::V2025_03_26 | Revision::V2025_06_18 | Revision::V2025_11_25 => {
            RESOURCE_NOT_FOUND
        }
        Revision::V2026_07_28 => INVALID_PARAMS,
    }
}
