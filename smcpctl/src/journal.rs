//! The journal, where the daemon writes to it: its records outlive the daemon, which keeps only the latest.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Map, Value};
use smcp_control::{AuditRecord, Filter, LogRecord};

/// The socket of the daemon that the system's service manager runs; only its records are in the system's journal.
const SYSTEM_SOCKET: &str = "/run/smcp/control.sock";
const JOURNAL: &str = "/run/systemd/journal/socket";
/// The kind `change` in `docs/journal.md`.
const CHANGE: &str = "01c4f4d244c3466e8d681b5b79233d0a";

/// Which records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Logs,
    Changes,
}

/// A `journalctl` that is running.
#[derive(Debug)]
pub(crate) struct Journal {
    child: Child,
    lines: BufReader<ChildStdout>,
}

/// Returns whether the records of the daemon at `socket` are in the journal, and the journal is ours to read.
pub(crate) fn has_records_of(socket: &Path) -> bool {
    // One that may not be read looks just like an empty one, and would be followed for ever.
    is_system(socket)
        && Path::new(JOURNAL).exists()
        && Journal::open(What::Logs, &Filter::default(), 1, false).is_some_and(|mut it| it.next().is_some())
}

fn is_system(socket: &Path) -> bool {
    socket == Path::new(SYSTEM_SOCKET)
}

/// Returns what `journalctl` is asked. Filters that it does not know are left to whoever reads its answer, so that
/// it must not count the records itself then.
fn arguments(what: What, filter: &Filter, lines: usize, follow: bool) -> Vec<String> {
    let mut words: Vec<String> =
        ["--output=json", "--no-pager", "--quiet", "--all", "_SYSTEMD_UNIT=smcpd.service"]
            .map(str::to_owned)
            .into();
    if filter.is_empty() {
        words.push(format!("--lines={lines}"));
    } else if follow {
        words.push("--no-tail".to_owned());
    }
    if follow {
        words.push("--follow".to_owned());
    }
    if let Some(since) = &filter.since {
        // What journalctl reads has neither the `T` nor the fraction; a record too many is left out later.
        let seconds = since.split('.').next().unwrap_or_default().replace('T', " ");
        words.push(format!("--since={} UTC", seconds.trim_end_matches('Z')));
    }
    match what {
        What::Changes => words.push(format!("MESSAGE_ID={CHANGE}")),
        What::Logs => {
            for (field, value) in
                [("PLUGIN", &filter.plugin), ("TOOL", &filter.tool), ("OUTCOME", &filter.outcome)]
            {
                words.extend(value.as_ref().map(|value| format!("SMCP_{field}={value}")));
            }
        }
    }
    words
}

impl Journal {
    /// Starts to read; `None` where there is no `journalctl`.
    pub(crate) fn open(what: What, filter: &Filter, lines: usize, follow: bool) -> Option<Self> {
        let mut command = Command::new("journalctl");
        command.args(arguments(what, filter, lines, follow)).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().ok()?;
        let lines = BufReader::new(child.stdout.take()?);
        Some(Self { child, lines })
    }

    /// Returns the next entry; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Map<String, Value>> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Ok(Value::Object(entry)) = serde_json::from_str(&line) {
                return Some(entry);
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A value that is no plain text comes as a list of its bytes.
fn text(entry: &Map<String, Value>, name: &str) -> Option<String> {
    match entry.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Array(bytes) => {
            let bytes =
                bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect::<Vec<u8>>();
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => None,
    }
}

fn time(entry: &Map<String, Value>) -> String {
    let microseconds = text(entry, "__REALTIME_TIMESTAMP").and_then(|text| text.parse::<i128>().ok());
    crate::records::time_of(microseconds.unwrap_or_default())
}

/// The record that an entry was made of.
pub(crate) fn log(entry: &Map<String, Value>) -> LogRecord {
    let level = match text(entry, "PRIORITY").as_deref() {
        Some("0" | "1" | "2" | "3") => "error",
        Some("4") => "warn",
        Some("7") => "debug",
        _ => "info",
    };
    let message = text(entry, "SMCP_MESSAGE").or_else(|| text(entry, "MESSAGE")).unwrap_or_default();
    let mut fields = Map::new();
    for name in entry.keys() {
        let Some(short) = name.strip_prefix("SMCP_").filter(|name| !["MESSAGE", "TARGET"].contains(name))
        else {
            continue;
        };
        let value = text(entry, name).unwrap_or_default();
        let number = ["DURATION_US", "TOOLS", "DROPPED", "UID", "PID", "LOST"].contains(&short);
        let value = match value.parse::<u64>() {
            Ok(value) if number => value.into(),
            _ => value.into(),
        };
        fields.insert(short.to_lowercase(), value);
    }
    LogRecord { time: time(entry), level: level.to_owned(), message, fields }
}

/// The change that an entry is about.
pub(crate) fn change(entry: &Map<String, Value>) -> Option<AuditRecord> {
    Some(AuditRecord {
        time: time(entry),
        uid: text(entry, "SMCP_UID")?.parse().ok()?,
        pid: text(entry, "SMCP_PID").and_then(|pid| pid.parse().ok()),
        action: text(entry, "SMCP_ACTION")?,
        object: text(entry, "SMCP_OBJECT").unwrap_or_default(),
        outcome: text(entry, "SMCP_OUTCOME").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_systems_daemon_has_its_records_in_the_systems_journal() {
        assert!(is_system(Path::new("/run/smcp/control.sock")));
        assert!(!is_system(Path::new("/run/user/1000/smcp/control.sock")));
    }

    #[test]
    fn the_journal_is_asked_for_what_it_can_tell() {
        let asked = |what, filter: &Filter, follow| arguments(what, filter, 9, follow)[4..].join(" ");
        let all = Filter::default();
        assert_eq!(asked(What::Logs, &all, true), "_SYSTEMD_UNIT=smcpd.service --lines=9 --follow");
        let some = Filter {
            plugin: Some("a b".to_owned()),
            since: Some("2026-11-21T08:00:00.000000Z".to_owned()),
            ..Filter::default()
        };
        assert_eq!(
            asked(What::Logs, &some, false),
            "_SYSTEMD_UNIT=smcpd.service --since=2026-11-21 08:00:00 UTC SMCP_PLUGIN=a b"
        );
        assert_eq!(
            asked(What::Changes, &some, true),
            format!(
                "_SYSTEMD_UNIT=smcpd.service --no-tail --follow --since=2026-11-21 08:00:00 UTC MESSAGE_ID={CHANGE}"
            )
        );
    }

    #[test]
    fn an_entry_becomes_the_record_that_it_was() {
        let entry = json!({
            "__REALTIME_TIMESTAMP": "1795248490883492", "PRIORITY": "4", "MESSAGE": "m tool=a.b", "SMCP_MESSAGE": "m",
            "SMCP_TOOL": [97, 10, 98], "SMCP_DURATION_US": "7", "SMCP_TARGET": "t", "_PID": "1", "SMCP_UID": "0",
            "SMCP_ACTION": "link", "SMCP_OBJECT": "a", "SMCP_OUTCOME": "ok",
        });
        let entry = entry.as_object().cloned().unwrap_or_default();
        let record = log(&entry);
        assert_eq!(
            (&*record.time, &*record.level, &*record.message),
            ("2026-11-21T08:08:10.883492Z", "warn", "m")
        );
        assert_eq!((&record.fields["tool"], &record.fields["duration_us"]), (&json!("a\nb"), &json!(7)));
        let change = change(&entry).expect("a change");
        assert_eq!((change.uid, change.pid, &*change.action), (0, None, "link"));
    }
}
