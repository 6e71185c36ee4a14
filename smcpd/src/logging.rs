//! Where log lines go: the journal when it is our parent, else stderr; a rotated file where one is set; and the
//! latest stay in memory, for whoever asks over the control socket.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use time::OffsetDateTime;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::{Log, LogFormat};
use crate::journal::{self, Journal};
use crate::recent::Recent;
use crate::redact::{Net, Redactor};

/// Records that stay in memory.
const KEEP: usize = 500;
/// A longer value is cut in memory; the journal and the log file have it whole.
const VALUE: usize = 2_000;

/// As many as a call's record has: asked for at once, it is one piece of the heap, and a small one.
const FIELDS: usize = 12;

/// Where records go; the level stands before all of them.
type Layers = Vec<Box<dyn Layer<Registry> + Send + Sync>>;

/// Holds the writer of the log file; what it has not yet written is written when it is dropped.
pub(crate) struct Guard {
    _file: Option<tracing_appender::non_blocking::WorkerGuard>,
    filter: reload::Handle<EnvFilter, Layered<Layers, Registry>>,
    recent: Arc<Recent<Record>>,
    net: Net,
}

/// Writes a record, which comes whole, behind the net.
struct Behind<W>(Net, W);

impl<W: Write> Write for Behind<W> {
    fn write(&mut self, record: &[u8]) -> std::io::Result<usize> {
        self.1.write_all(self.0.text(&String::from_utf8_lossy(record)).as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.1.flush()
    }
}

/// One record of the log.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) time: OffsetDateTime,
    pub(crate) level: &'static str,
    pub(crate) message: String,
    pub(crate) fields: Vec<(&'static str, Value)>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Guard")
    }
}

impl Guard {
    /// The latest records.
    pub(crate) fn recent(&self) -> Arc<Recent<Record>> {
        Arc::clone(&self.recent)
    }

    /// What every record passes on its way.
    pub(crate) fn net(&self) -> &Net {
        &self.net
    }

    /// Logs at this level from now on; it was checked with the rest of the configuration.
    pub(crate) fn set_level(&self, level: &str) {
        let set = EnvFilter::try_new(level).map(|filter| self.filter.reload(filter));
        if !matches!(set, Ok(Ok(()))) {
            tracing::error!(level, "the log level stays as it is");
        }
    }
}

/// Keeps each record in memory.
struct Memory(Arc<Recent<Record>>, Net);

impl Layer<Registry> for Memory {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, Registry>) {
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => "error",
            tracing::Level::WARN => "warn",
            tracing::Level::INFO => "info",
            tracing::Level::DEBUG => "debug",
            tracing::Level::TRACE => "trace",
        };
        let (time, fields) = (OffsetDateTime::now_utc(), Vec::with_capacity(FIELDS));
        let mut record = Record { time, level, message: String::new(), fields };
        event.record(&mut record);
        let redactor = self.1.redactor();
        show(&redactor, &mut record.message);
        for (_, value) in &mut record.fields {
            if let Value::String(text) = value {
                show(&redactor, text);
            }
        }
        self.0.push(record);
    }
}

/// Makes a text what is kept of it.
fn show(redactor: &Redactor, text: &mut String) {
    // What would be cut first might be a part of a secret.
    redactor.clean(text);
    if let Some((end, _)) = text.char_indices().nth(VALUE) {
        text.truncate(end);
        text.shrink_to_fit();
    }
}

impl Record {
    fn note(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.note(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.note(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.note(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.note(field, value.into());
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("`log.level`: {0}")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    #[error("`log.file` is `{0}`: it must name a file in a directory")]
    NoFile(String),
    #[error("cannot create the directory of `log.file`")]
    Directory(#[source] std::io::Error),
    #[error("{0}")]
    Open(#[from] tracing_appender::rolling::InitError),
    #[error("`log.format` is journald, and the journal does not answer")]
    Journal(#[source] std::io::Error),
}

/// Starts logging; call it once.
pub(crate) fn start(log: &Log) -> Result<Guard, LogError> {
    let mut layers = Layers::new();
    let net = Net::default();
    let journald = || Journal::connect(Path::new(journal::SOCKET), net.clone());
    let journal = match log.format {
        LogFormat::Auto if stderr_is_the_journal() => journald().ok(),
        LogFormat::Journald => Some(journald().map_err(LogError::Journal)?),
        LogFormat::Auto | LogFormat::Pretty | LogFormat::Json => None,
    };
    let behind = {
        let net = net.clone();
        move || Behind(net.clone(), std::io::stderr())
    };
    match (journal, log.format) {
        (Some(layer), _) => layers.push(layer.boxed()),
        (None, LogFormat::Json) => {
            layers.push(
                tracing_subscriber::fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_writer(behind)
                    .boxed(),
            );
        }
        (None, _) => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            layers.push(
                tracing_subscriber::fmt::layer()
                    .with_ansi(colour)
                    .with_target(false)
                    .with_writer(behind)
                    .boxed(),
            );
        }
    }
    let recent = Arc::new(Recent::new(KEEP));
    layers.push(Memory(Arc::clone(&recent), net.clone()).boxed());
    let (level, filter) = reload::Layer::new(EnvFilter::try_new(&log.level)?);
    let mut guard = Guard { _file: None, filter, recent, net: net.clone() };
    if let Some(path) = &log.file {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
        else {
            return Err(LogError::NoFile(path.display().to_string()));
        };
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        std::fs::create_dir_all(directory).map_err(LogError::Directory)?;
        let appender = tracing_appender::rolling::Builder::new()
            .rotation(tracing_appender::rolling::Rotation::DAILY)
            .filename_prefix(name)
            .max_log_files(log.keep + 1)
            .build(directory)?;
        let (writer, file) = tracing_appender::non_blocking(appender);
        guard._file = Some(file);
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_target(false)
            .with_writer(move || Behind(net.clone(), writer.clone()));
        layers.push(layer.boxed());
    }
    tracing_subscriber::registry().with(layers).with(level).init();
    Ok(guard)
}

/// `JOURNAL_STREAM` is `device:inode` of the stream that the journal gave us; a redirected stderr differs.
fn stderr_is_the_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = rustix::fs::fstat(std::io::stderr()) else { return false };
    is_stream(&named, stderr.st_dev, stderr.st_ino)
}

fn is_stream(named: &str, device: u64, inode: u64) -> bool {
    named.split_once(':').is_some_and(|(dev, ino)| dev.parse() == Ok(device) && ino.parse() == Ok(inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_text_is_cut_by_letters_and_after_its_secrets_are_out() {
        let redactor = Redactor::new(["a-secret-value"]);
        for (text, kept) in [
            ("short".to_owned(), "short".to_owned()),
            ("é".repeat(VALUE), "é".repeat(VALUE)),
            ("é".repeat(VALUE + 1), "é".repeat(VALUE)),
            ("say a-secret-value".to_owned(), format!("say {}", redactor.text("a-secret-value"))),
        ] {
            let mut shown = text;
            show(&redactor, &mut shown);
            assert_eq!(shown, kept);
        }
        let mut long = "x".repeat(1 << 20);
        show(&redactor, &mut long);
        assert!(long.capacity() < 2 * VALUE, "{} bytes are kept of it", long.capacity());
        let mut split = format!("{}a-secret-value", "x".repeat(VALUE - 5));
        show(&redactor, &mut split);
        assert!(!split.contains("a-s"), "{}", &split[VALUE - 9..]);
    }

    #[test]
    fn only_the_very_stream_that_was_named_is_the_journal() {
        assert!(is_stream("8:1234", 8, 1234));
        for (named, device, inode) in
            [("8:1234", 8, 1), ("8:1234", 9, 1234), ("", 0, 0), ("8", 8, 0), ("a:b", 0, 0)]
        {
            assert!(!is_stream(named, device, inode), "{named}");
        }
    }
}
