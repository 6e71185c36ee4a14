//! `subscriptions/listen`: the stream on which a stateless client hears of changes (2026-07-28, "subscriptions").

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::changes::{Change, News};
use super::jsonrpc::{self, INVALID_PARAMS, Request, RpcError};
use super::{Peer, Service, read, stateless};

/// Resources of one subscription.
const MOST: usize = 1_000;

/// The changes that a client asks for, and those that it will hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tools_list_changed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    prompts_list_changed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    resources_list_changed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource_subscriptions: Vec<String>,
}

#[derive(Deserialize)]
struct Params {
    notifications: Filter,
}

impl Filter {
    fn wants(&self, change: &Change) -> bool {
        match change {
            Change::Tools => self.tools_list_changed,
            Change::Prompts => self.prompts_list_changed,
            Change::Resources => self.resources_list_changed,
            Change::Updated(uri) => self.resource_subscriptions.contains(uri),
        }
    }
}

impl Service {
    /// Tells of changes until the client goes, or the daemon: that alone is answered.
    pub(super) async fn listen(
        &self,
        peer: &Peer,
        request: &Request,
        cancel: &CancellationToken,
    ) -> Result<Bytes, RpcError> {
        let params: Params = read(request.params.as_deref())?
            .ok_or_else(|| RpcError::new(INVALID_PARAMS, "`params`: missing field `notifications`"))?;
        let filter = params.notifications;
        if filter.resource_subscriptions.len() > MOST {
            let message = format!("`resourceSubscriptions` may name {MOST} resources");
            return Err(RpcError::new(INVALID_PARAMS, message));
        }
        if !peer.related.is_heard() {
            return Err(RpcError::new(INVALID_PARAMS, "a subscription needs `Accept: text/event-stream`"));
        }
        let _wants = self.wanted.want(&filter.resource_subscriptions);
        // Before it is acknowledged, so that nothing is missed in between.
        let mut changes = self.changes.subscribe();
        let tell = async |method: &str, params| {
            let params = stateless::tagged(&request.id, params);
            peer.related.send(jsonrpc::notification(method, Some(&params))).await
        };
        let filtered = json!({"notifications": filter});
        let mut heard = tell("notifications/subscriptions/acknowledged", filtered).await;
        while heard {
            let change = tokio::select! {
                change = changes.recv() => change,
                () = cancel.cancelled() => break,
                () = self.shutdown.draining() => break,
            };
            let told = match change {
                Ok(News::Lists(turn)) => turn.changes(peer.grant.scope()).to_vec(),
                Ok(News::Updated(uri)) => match self.seen(peer).offered().resource(&uri) {
                    Some(_) => vec![Change::Updated(uri)],
                    None => continue,
                },
                Err(RecvError::Lagged(_)) => vec![Change::Tools, Change::Prompts, Change::Resources],
                Err(RecvError::Closed) => break,
            };
            for change in told.iter().filter(|change| filter.wants(change)) {
                heard &= tell(change.method(), change.params()).await;
            }
        }
        Ok(stateless::tagged(&request.id, json!({})).to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_hears_of_what_it_asked_for_alone() {
        let filter = |text: &str| serde_json::from_str::<Filter>(text).unwrap();
        let tools = filter(r#"{"toolsListChanged": true, "unknown": 1}"#);
        assert!(tools.wants(&Change::Tools) && !tools.wants(&Change::Prompts));
        let one = filter(r#"{"resourceSubscriptions": ["a:b"], "promptsListChanged": false}"#);
        assert!(
            one.wants(&Change::Updated("a:b".to_owned())) && !one.wants(&Change::Updated("a:c".to_owned()))
        );
        assert_eq!(serde_json::to_string(&one).unwrap(), r#"{"resourceSubscriptions":["a:b"]}"#);
        assert_eq!(serde_json::to_string(&filter("{}")).unwrap(), "{}");
        assert!(serde_json::from_str::<Filter>(r#"{"toolsListChanged": "yes"}"#).is_err());
    }
}
