//! What was noted: `logs` and `audit`.

use serde_json::Value;
use smcp_control::{AuditRecord, LogRecord, Reply, Request};

use crate::cli::Records;
use crate::daemon::{Daemon, unexpected};
use crate::exit::{Exit, Failure};
use crate::table::{escape, print_on};

/// Shows log records, one a line; with `--json` one JSON value a line.
pub(crate) async fn logs(daemon: &mut Daemon, which: &Records) -> Result<Exit, Failure> {
    show(daemon, Request::Logs { lines: which.lines, follow: which.follow }).await
}

/// Shows changes, one a line; with `--json` one JSON value a line.
pub(crate) async fn audit(daemon: &mut Daemon, which: &Records) -> Result<Exit, Failure> {
    show(daemon, Request::Audit { lines: which.lines, follow: which.follow }).await
}

async fn show(daemon: &mut Daemon, request: Request) -> Result<Exit, Failure> {
    daemon.client.send(&request).await?;
    loop {
        let line = match daemon.client.next().await? {
            Reply::Log(record) if daemon.json => one_line(&record),
            Reply::Audit(record) if daemon.json => one_line(&record),
            Reply::Log(record) => log_line(&record),
            Reply::Audit(record) => audit_line(&record),
            Reply::Missed { records } if daemon.json => format!("{{\"missed\":{records}}}\n"),
            Reply::Missed { records } => format!("({records} records were missed)\n"),
            Reply::Done => return Ok(Exit::Ok),
            other => return unexpected(&other),
        };
        if !print_on(&line)? {
            return Ok(Exit::Ok);
        }
    }
}

fn one_line(record: &impl serde::Serialize) -> String {
    // A record has only string keys.
    serde_json::to_string(record).unwrap_or_default() + "\n"
}

fn log_line(record: &LogRecord) -> String {
    let field = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!(" {name}={}", quoted(text)),
        other => format!(" {name}={other}"),
    };
    let fields: String = record.fields.iter().map(field).collect();
    format!("{} {:5} {}{}\n", record.time, record.level, escape(&record.message), escape(&fields))
}

/// A value with blanks in it is quoted, so that fields can be told apart.
fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains([' ', '"', '=']) { format!("{text:?}") } else { text.to_owned() }
}

fn audit_line(record: &AuditRecord) -> String {
    let pid = record.pid.map(|pid| format!(" pid {pid}")).unwrap_or_default();
    let who = format!("uid {}{pid}", record.uid);
    let (action, object) = (escape(&record.action), escape(&record.object));
    let space = if object.is_empty() { "" } else { " " };
    format!("{} {who}: {action}{space}{object}: {}\n", record.time, escape(&record.outcome))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_one_line_whatever_is_in_it() {
        let record = |fields: Value| LogRecord {
            time: "T".to_owned(),
            level: "info".to_owned(),
            message: "call\nfinished".to_owned(),
            fields: fields.as_object().cloned().unwrap_or_default(),
        };
        assert_eq!(
            log_line(&record(json!({"tool": "a.b", "ms": 7, "why": "two words", "more": "a\u{1b}"}))),
            "T info  call\\nfinished tool=a.b ms=7 why=\"two words\" more=a\\u{1b}\n"
        );
        assert_eq!(one_line(&record(json!({}))).lines().count(), 1);
        let change = AuditRecord {
            time: "T".to_owned(),
            uid: 7,
            pid: Some(9),
            action: "link".to_owned(),
            object: "a -> /b".to_owned(),
            outcome: "ok".to_owned(),
        };
        assert_eq!(audit_line(&change), "T uid 7 pid 9: link a -> /b: ok\n");
        let change = AuditRecord { pid: None, object: String::new(), action: "rescan".to_owned(), ..change };
        assert_eq!(audit_line(&change), "T uid 7: rescan: ok\n");
    }
}
