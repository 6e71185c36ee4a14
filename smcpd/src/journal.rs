//! Writes log records to journald in its native protocol: one datagram a record, each value behind its length.
//!
//! No value can end its field or its record, whatever is in it, because nothing is looked for in it: the length
//! says where it ends. Names of fields come from our sources alone.

use std::fmt::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::events::{self, Priority};
use crate::redact::Net;

/// Where journald listens.
pub(crate) const SOCKET: &str = "/run/systemd/journal/socket";

/// A longer value is cut: a datagram holds the record whole, and nobody reads more of one field.
const VALUE: usize = 16 << 10;
/// The fields of one record together, for the same reason.
const RECORD: usize = 120 << 10;
/// A journal that takes nothing for that long loses the record rather than hold the daemon up.
const PATIENCE: Duration = Duration::from_millis(500);

/// The layer that hands records to journald.
#[derive(Debug)]
pub(crate) struct Journal {
    socket: UnixDatagram,
    /// Records that could not be handed over; the next one says so.
    lost: AtomicU64,
    net: Net,
}

impl Journal {
    /// Connects to the journal at `path`; fails where nobody listens there.
    pub(crate) fn connect(path: &Path, net: Net) -> std::io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, lost: AtomicU64::new(0), net })
    }

    fn send(&self, mut record: Vec<u8>) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            put(&mut record, "SMCP_LOST", &lost.to_string());
        }
        if self.socket.send(&record).is_err() {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
        }
    }
}

impl<S: tracing::Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut values = Values::default();
        event.record(&mut values);
        let redactor = self.net.redactor();
        for text in [&mut values.message, &mut values.tail]
            .into_iter()
            .chain(values.fields.iter_mut().map(|(_, value)| value))
        {
            redactor.clean(text);
        }
        let metadata = event.metadata();
        let entry = match metadata.target() == events::TARGET {
            true => values.kind.as_deref().and_then(events::named),
            false => None,
        };
        let priority = entry.map_or_else(|| priority(*metadata.level()), |entry| entry.priority);
        let mut record = Vec::with_capacity(512);
        put(&mut record, "PRIORITY", &(priority as u8).to_string());
        put(&mut record, "SYSLOG_IDENTIFIER", "smcpd");
        if let Some(entry) = entry {
            put(&mut record, "MESSAGE_ID", entry.id);
        }
        put(&mut record, "SMCP_TARGET", metadata.target());
        // `journalctl` shows this alone; the bare words are in a field of their own.
        put(&mut record, "MESSAGE", &format!("{}{}", values.message, values.tail));
        put(&mut record, "SMCP_MESSAGE", &values.message);
        for (name, value) in &values.fields {
            if record.len() + value.len() < RECORD {
                put(&mut record, &field_name(name), value);
            }
        }
        self.send(record);
    }
}

fn priority(level: tracing::Level) -> Priority {
    match level {
        tracing::Level::ERROR => Priority::Error,
        tracing::Level::WARN => Priority::Warning,
        tracing::Level::INFO => Priority::Info,
        tracing::Level::DEBUG | tracing::Level::TRACE => Priority::Debug,
    }
}

/// The journal's name of a field: capitals, digits and `_`, never beginning with the `_` that only journald may use.
fn field_name(name: &str) -> String {
    let letter =
        |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    // journald takes no name over 64 bytes.
    "SMCP_".chars().chain(name.chars().map(letter)).take(64).collect()
}

/// Adds one field: its name, the length of the value in eight bytes, the value.
fn put(record: &mut Vec<u8>, name: &str, value: &str) {
    let mut end = value.len().min(VALUE);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    let value = &value[..end];
    record.extend_from_slice(name.as_bytes());
    record.push(b'\n');
    record.extend_from_slice(&(value.len() as u64).to_le_bytes());
    record.extend_from_slice(value.as_bytes());
    record.push(b'\n');
}

#[derive(Debug, Default)]
struct Values {
    message: String,
    /// ` name=value` of every field.
    tail: String,
    kind: Option<String>,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Values {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => {
                value.clone_into(&mut self.message);
                return;
            }
            "event" => self.kind = Some(value.to_owned()),
            name => {
                let plain = !value.is_empty()
                    && !value.contains(|letter: char| letter.is_control() || " \"=".contains(letter));
                // A `String` takes whatever is written.
                let _ = match plain {
                    true => write!(self.tail, " {name}={value}"),
                    false => write!(self.tail, " {name}={value:?}"),
                };
            }
        }
        self.fields.push((field.name(), value.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::events::{Event, Kind};

    /// Reads a record as journald does, with both forms of a field.
    fn read(mut bytes: &[u8]) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
            let line = std::str::from_utf8(&bytes[..end]).unwrap();
            bytes = &bytes[end + 1..];
            let (name, value) = match line.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => {
                    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
                    let value = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
                    assert_eq!(bytes[8 + length], b'\n');
                    bytes = &bytes[9 + length..];
                    (line, value)
                }
            };
            assert!(fields.insert(name.to_owned(), value).is_none(), "{name} came twice");
        }
        fields
    }

    /// What a journal gets of what `write` writes.
    fn journaled(write: impl FnOnce()) -> Vec<BTreeMap<String, String>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixDatagram::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let journal = Journal::connect(&path, Net::default()).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal), write);
        let mut buffer = vec![0; 1 << 20];
        let mut records = Vec::new();
        while let Ok(length) = listener.recv(&mut buffer) {
            records.push(read(&buffer[..length]));
        }
        records
    }

    #[test]
    fn an_event_has_its_id_its_priority_and_its_fields() {
        let records = journaled(|| {
            Event::of(Kind::CallTimedOut)
                .text(events::Field::Tool, "a.b")
                .text(events::Field::Caller, "uid 0")
                .duration(Duration::from_micros(7))
                .maybe(events::Field::Agent, None::<&str>)
                .write();
            tracing::warn!(error = %"x", "plain");
            tracing::info!(event = "ready", "no event of ours");
        });
        let [call, plain, other] = &records[..] else { panic!("{records:?}") };
        let expected = [
            ("MESSAGE", "call finished tool=a.b duration_us=7 caller=\"uid 0\""),
            ("MESSAGE_ID", "de397365967b4baf9c8088050c531ffa"),
            ("PRIORITY", "5"),
            ("SMCP_CALLER", "uid 0"),
            ("SMCP_DURATION_US", "7"),
            ("SMCP_EVENT", "call-timed-out"),
            ("SMCP_MESSAGE", "call finished"),
            ("SMCP_TARGET", "smcpd::events"),
            ("SMCP_TOOL", "a.b"),
            ("SYSLOG_IDENTIFIER", "smcpd"),
        ];
        assert_eq!(
            call.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>(),
            expected.to_vec()
        );
        assert_eq!((&*plain["PRIORITY"], &*plain["SMCP_ERROR"]), ("4", "x"));
        assert!(!plain.contains_key("MESSAGE_ID") && !other.contains_key("MESSAGE_ID"));
    }

    #[test]
    fn no_value_forges_a_field_or_a_record() {
        let evil = "x\nMESSAGE_ID=1b13b33f7c524fdda12427e94d8e0e95\nPRIORITY=0\nSMCP_CALLER=root\n\nMESSAGE=forged\n";
        let records = journaled(|| {
            Event::of(Kind::CallFinished)
                .text(events::Field::Tool, evil)
                .text(events::Field::Agent, evil)
                .text(events::Field::Plugin, evil)
                .write();
            Event::of(Kind::PluginSaid).write_as(evil);
            tracing::info!(client = evil, "{evil}");
        });
        assert_eq!(records.len(), 3);
        for record in &records {
            assert!(["6", "7"].contains(&&*record["PRIORITY"]));
            assert!(!record.contains_key("SMCP_CALLER"), "{record:?}");
            assert_ne!(
                record.get("MESSAGE_ID").map(String::as_str),
                Some("1b13b33f7c524fdda12427e94d8e0e95")
            );
        }
        assert_eq!((&*records[0]["SMCP_TOOL"], &*records[0]["SMCP_AGENT"]), (evil, evil));
        assert_eq!(records[0]["MESSAGE"].lines().count(), 1);
        assert_eq!(records[1]["MESSAGE"], evil);
    }

    #[test]
    fn a_large_value_is_cut_at_a_letter_and_a_name_is_one_that_journald_takes() {
        let long = "ä".repeat(VALUE);
        let records = journaled(|| tracing::info!(long = long.as_str(), "{long}"));
        assert_eq!(records[0]["SMCP_LONG"].len(), VALUE);
        assert_eq!(field_name("error.sources-x"), "SMCP_ERROR_SOURCES_X");
        assert_eq!(field_name(&"x".repeat(99)).len(), 64);
    }

    #[test]
    fn a_journal_that_is_gone_loses_records_and_the_next_one_says_how_many() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        assert!(Journal::connect(&path, Net::default()).is_err());
        let listener = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::connect(&path, Net::default()).unwrap();
        drop(listener);
        journal.send(vec![]);
        journal.send(vec![]);
        assert_eq!(journal.lost.load(Ordering::Relaxed), 2);
    }
}
