//! What was noted: `logs` and `audit`.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use smcp_control::{AuditRecord, Filter, LogRecord, Reply, Request};

use crate::cli::Records;
use crate::daemon::{Daemon, unexpected};
use crate::exit::{Exit, Failure};
use crate::journal::{self, Journal, What};
use crate::table::{escape, plain, print_on};

/// Shows log records, one a line; with `--json` one JSON value a line.
pub(crate) async fn logs(daemon: &mut Daemon, which: &Records) -> Result<Exit, Failure> {
    show(daemon, What::Logs, which).await
}

/// Shows changes, one a line; with `--json` one JSON value a line.
pub(crate) async fn audit(daemon: &mut Daemon, which: &Records) -> Result<Exit, Failure> {
    show(daemon, What::Changes, which).await
}

/// The journal knows what was before the daemon was started; where it has nothing for us (it may not be ours to read,
/// or the daemon logs elsewhere) the daemon has its latest.
async fn show(daemon: &mut Daemon, what: What, which: &Records) -> Result<Exit, Failure> {
    let filter = filter(which, SystemTime::now());
    if journal::has_records_of(daemon.client.path())
        && let Some(journal) = Journal::open(what, &filter, which.lines, which.follow)
    {
        from_journal(journal, daemon.json, what, &filter, which)?;
        return Ok(Exit::Ok);
    }
    let (lines, follow) = (which.lines, which.follow);
    let request = match what {
        What::Logs => Request::Logs { lines, follow, filter },
        What::Changes => Request::Audit { lines, follow, filter },
    };
    daemon.client.send(&request).await?;
    loop {
        let line = match daemon.client.next().await? {
            Reply::Log(record) => log_as(&record, daemon.json),
            Reply::Audit(record) => audit_as(&record, daemon.json),
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

/// Shows what the journal has.
fn from_journal(
    mut journal: Journal,
    json: bool,
    what: What,
    filter: &Filter,
    which: &Records,
) -> Result<(), Failure> {
    let mut latest = VecDeque::new();
    while let Some(entry) = journal.next() {
        let line = match what {
            What::Logs => {
                Some(journal::log(&entry)).filter(|record| filter.has_log(record)).map(|it| log_as(&it, json))
            }
            What::Changes => journal::change(&entry)
                .filter(|record| filter.has_change(record))
                .map(|it| audit_as(&it, json)),
        };
        let Some(line) = line else { continue };
        if which.follow {
            if !print_on(&line)? {
                return Ok(());
            }
            continue;
        }
        latest.push_back(line);
        if latest.len() > which.lines {
            latest.pop_front();
        }
    }
    for line in latest {
        if !print_on(&line)? {
            break;
        }
    }
    Ok(())
}

fn filter(which: &Records, now: SystemTime) -> Filter {
    let since = which.since.map(|since| {
        let at = now.checked_sub(since).unwrap_or(SystemTime::UNIX_EPOCH);
        let elapsed = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        time_of(i128::try_from(elapsed.as_micros()).unwrap_or_default())
    });
    Filter {
        plugin: which.plugin.clone(),
        tool: which.tool.clone(),
        caller: which.caller.clone(),
        outcome: which.outcome.clone(),
        since,
    }
}

/// A time in microseconds since 1970, as records have it.
pub(crate) fn time_of(microseconds: i128) -> String {
    let format = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z"
    );
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(microseconds.saturating_mul(1_000));
    time.ok().and_then(|time| time.format(&format).ok()).unwrap_or_default()
}

/// Reads `90s`, `15m`, `2h`, `7d`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3_600),
        Some((at, 'd')) => (&text[..at], 86_400),
        _ => (text, 1),
    };
    let wrong = || "write it as `90s`, `15m`, `2h` or `7d`".to_owned();
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(wrong)
}

fn log_as(record: &LogRecord, json: bool) -> String {
    if json { one_line(record) } else { log_line(record) }
}

fn audit_as(record: &AuditRecord, json: bool) -> String {
    if json { one_line(record) } else { audit_line(record) }
}

fn one_line(record: &impl serde::Serialize) -> String {
    // A record has only string keys.
    plain(&serde_json::to_string(record).unwrap_or_default()) + "\n"
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
    fn an_age_is_read_in_the_units_that_people_write() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("2h", Some(7_200)),
            ("7d", Some(604_800)),
            ("5", Some(5)),
        ] {
            assert_eq!(duration(text).ok().map(|it| it.as_secs()), seconds, "{text}");
        }
        for text in ["", "s", "-1s", "1.5h", "2 h", "99999999999999999999d", "18446744073709551615d", "1w"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(time_of(1_795_248_490_883_492), "2026-11-21T08:08:10.883492Z");
    }

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
