//! Answers that come bit by bit: calls while they run, records as they are made.

use serde_json::{Map, Value, json};
use smcp_control::{FRAME, Filter, RefusalCode, Reply, WireError};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use super::requests::refused;
use super::socket::send;
use super::{Control, Operator, Output, shown};
use crate::catalog::{ErrorCode, FindError, ToolOutput};
use crate::executor::Captured;
use crate::protocol::{Asked, CallError};
use crate::recent::Recent;

/// What a result may take of a frame.
const RESULT: usize = FRAME - 4_096;
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
            Err(error @ (FindError::Held { .. } | FindError::Blocked { .. })) => {
                let output = ToolOutput::failed(ErrorCode::NotPermitted, error.to_string());
                return Ok(Reply::Called { result: output.into_result() });
            }
        };
        let peer = operator.peer();
        let asked = Asked { tool: &tool, arguments, traceparent: None, progress: None };
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
        let result = result.unwrap_or_else(|CallError::Arguments(reason)| {
            ToolOutput::failed(ErrorCode::InvalidArguments, reason)
        });
        Ok(Reply::Called { result: fitting(result.into_result(), RESULT) })
    }

    pub(super) async fn logs(
        &self,
        lines: usize,
        follow: bool,
        filter: &Filter,
        output: &mut Output,
    ) -> Result<Reply, WireError> {
        let reply = |record: &_| {
            let record = shown::log(record);
            filter.has_log(&record).then_some(Reply::Log(record))
        };
        records(&self.logs, lines, follow, output, reply).await
    }

    pub(super) async fn audited(
        &self,
        lines: usize,
        follow: bool,
        filter: &Filter,
        output: &mut Output,
    ) -> Result<Reply, WireError> {
        let reply = |record: &_| {
            let record = shown::audited(record);
            filter.has_change(&record).then_some(Reply::Audit(record))
        };
        records(self.audit.records(), lines, follow, output, reply).await
    }
}

/// Cuts a result that no frame can hold: the head and the tail of each text stay, and its structure, which is the same
/// in other words, goes. The tool has run; nobody should have to run it again to see anything of it.
fn fitting(mut result: Value, most: usize) -> Value {
    let size = result.to_string().len();
    let Some(fields) = result.as_object_mut().filter(|_| size > most) else { return result };
    fields.remove("structuredContent");
    fields.insert("_meta".to_owned(), json!({"truncated": true, "bytes": size}));
    let blocks = fields.get_mut("content").and_then(Value::as_array_mut);
    let blocks = blocks.map(Vec::as_mut_slice).unwrap_or_default();
    // A control character takes six bytes in JSON.
    let share = most / 8 / blocks.len().max(1);
    for block in blocks {
        match block["text"].as_str() {
            Some(text) => block["text"] = cut(text, share).into(),
            None => *block = json!({"type": "text", "text": "[left out: the result is too large]"}),
        }
    }
    result
}

fn cut(text: &str, most: usize) -> String {
    let mut kept = Captured::new(most);
    kept.push(text.as_bytes());
    kept.into_text()
}

/// Sends the latest records that `reply` makes something of, and then each new one until the client has gone away.
async fn records<T>(
    recent: &Recent<T>,
    lines: usize,
    follow: bool,
    output: &mut Output,
    reply: impl Fn(&T) -> Option<Reply>,
) -> Result<Reply, WireError> {
    let (latest, mut new) = recent.follow(usize::MAX);
    let latest: Vec<Reply> = latest.iter().filter_map(|record| reply(record)).collect();
    for record in &latest[latest.len().saturating_sub(lines)..] {
        send(output, record).await?;
    }
    if !follow {
        return Ok(Reply::Done);
    }
    loop {
        let next = match new.recv().await {
            Ok(record) => match reply(&record) {
                Some(reply) => reply,
                None => continue,
            },
            Err(broadcast::error::RecvError::Lagged(records)) => Reply::Missed { records },
            Err(broadcast::error::RecvError::Closed) => return Ok(Reply::Done),
        };
        send(output, &next).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_no_frame_holds_is_cut_and_says_so() {
        let small = json!({"content": [{"type": "text", "text": "a"}], "structuredContent": {"a": 1}});
        assert_eq!(fitting(small.clone(), 1_000), small);
        for letter in ["x", "é", "\u{1}", "日"] {
            let text = letter.repeat(5_000);
            let large = json!({"isError": false, "structuredContent": {"a": text}, "content": [
                {"type": "text", "text": text}, {"type": "image", "data": text}, {"type": "text", "text": "short"}]});
            let cut = fitting(large, 4_000);
            assert!(cut.to_string().len() <= 4_000, "{}", cut.to_string().len());
            assert_eq!(cut["_meta"]["truncated"], true);
            let text = cut["content"][0]["text"].as_str().unwrap();
            assert!(
                text.starts_with(letter) && text.ends_with(letter) && text.contains("bytes cut"),
                "{text}"
            );
            assert_eq!((&cut["content"][2]["text"], cut.get("structuredContent")), (&json!("short"), None));
        }
    }
}
