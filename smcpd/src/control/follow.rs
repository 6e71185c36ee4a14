//! Answers that come bit by bit: calls while they run, records as they are made.

use serde_json::{Map, Value};
use smcp_control::{RefusalCode, Reply, WireError};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use super::requests::refused;
use super::socket::send;
use super::{Control, Operator, Output, shown};
use crate::catalog::{ErrorCode, FindError, ToolOutput};
use crate::protocol::Asked;
use crate::recent::Recent;

/// Events of a call that may wait for the client to take them.
const EVENTS: usize = 64;

impl Control {
    /// Runs a call. Dropping the future ends it.
    pub(super) async fn call(
        &self,
        operator: Operator,
        name: &str,
        arguments: &Map<String, Value>,
        follow: bool,
        output: &mut Output,
    ) -> Result<Reply, WireError> {
        let tool = match self.service.catalog().find(name) {
            Ok(tool) => tool,
            Err(error @ (FindError::Unknown { .. } | FindError::Ambiguous { .. })) => {
                let hint = Some("see `smcpctl tools`");
                return Ok(refused(RefusalCode::NotFound, error.to_string(), hint));
            }
        };
        let peer = operator.peer();
        let asked = Asked { tool: &tool, arguments, traceparent: None };
        let never = CancellationToken::new();
        let (sender, mut events) = mpsc::channel(EVENTS);
        let calling = self.service.call_tool(&peer, asked, follow.then_some(sender), &never);
        tokio::pin!(calling);
        let result = loop {
            tokio::select! {
                // What a call says comes before what it ends with.
                biased;
                Some(event) = events.recv() => {
                    send(output, &Reply::Event(shown::event(event))).await?;
                }
                result = &mut calling => break result,
            }
        };
        while let Ok(event) = events.try_recv() {
            send(output, &Reply::Event(shown::event(event))).await?;
        }
        let result = result.unwrap_or_else(|reason| ToolOutput::failed(ErrorCode::InvalidArguments, reason));
        Ok(Reply::Called { result: result.into_result() })
    }

    pub(super) async fn logs(
        &self,
        lines: usize,
        follow: bool,
        output: &mut Output,
    ) -> Result<Reply, WireError> {
        records(&self.logs, lines, follow, output, |record| Reply::Log(shown::log(record))).await
    }

    pub(super) async fn audited(
        &self,
        lines: usize,
        follow: bool,
        output: &mut Output,
    ) -> Result<Reply, WireError> {
        let records_of_changes = self.audit.records();
        records(records_of_changes, lines, follow, output, |record| Reply::Audit(shown::audited(record)))
            .await
    }
}

/// Sends the latest records, and then each new one until the client has gone away.
async fn records<T: Clone>(
    recent: &Recent<T>,
    lines: usize,
    follow: bool,
    output: &mut Output,
    reply: impl Fn(T) -> Reply,
) -> Result<Reply, WireError> {
    let (latest, mut new) = recent.follow(lines);
    for record in latest {
        send(output, &reply(record)).await?;
    }
    if !follow {
        return Ok(Reply::Done);
    }
    loop {
        let next = match new.recv().await {
            Ok(record) => reply(record),
            Err(broadcast::error::RecvError::Lagged(records)) => Reply::Missed { records },
            Err(broadcast::error::RecvError::Closed) => return Ok(Reply::Done),
        };
        send(output, &next).await?;
    }
}
