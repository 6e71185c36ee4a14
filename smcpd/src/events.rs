//! What happens to the daemon, in kinds: each has an id for the journal, a priority and its fields.
//!
//! Everything that an operator may want to find again is written through here, so that the journal, the log on
//! stderr and `docs/journal.md` have the same words for it. The journal's own texts stand in
//! `packaging/journal/smcpd.catalog`; a test holds the three together.

use std::borrow::Cow;

/// A kind of event; ids and names never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Starting,
    Ready,
    Stopping,
    Stopped,
    Reloaded,
    ReloadRefused,
    PluginLinked,
    PluginUnlinked,
    PluginChanged,
    PluginFailed,
    PluginDrifted,
    PinDrift,
    PluginSaid,
    CallFinished,
    CallFailed,
    CallTimedOut,
    CallCancelled,
    CallTooLarge,
    CallNotStarted,
    CallLost,
    CallRefused,
    ApprovalWanted,
    ApprovalEnded,
    SessionOpened,
    SessionClosed,
    KeyMissing,
    KeyWrong,
    RequestRefused,
    LimitHit,
    Change,
    LettaFetched,
    LettaFailed,
    LettaRefused,
    CertificateLoaded,
    CertificateRefused,
    HandshakeFailed,
    TokenKeysLoaded,
    TokenKeysFailed,
}

/// The journal's priorities that are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
    Debug = 7,
}

/// What is said of an event; `SMCP_` and the name in capitals is the journal's field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Version,
    Address,
    Plugin,
    Tool,
    Tools,
    Caller,
    Agent,
    Session,
    Transport,
    Call,
    Outcome,
    DurationUs,
    Trace,
    Arguments,
    Reason,
    Peer,
    Limit,
    Dropped,
    Uid,
    Pid,
    Action,
    Object,
}

/// What is fixed of a kind.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// The value of the field `event`.
    pub(crate) name: &'static str,
    /// `MESSAGE_ID`.
    pub(crate) id: &'static str,
    pub(crate) priority: Priority,
    message: &'static str,
    pub(crate) fields: &'static [Field],
}

const CALL: &[Field] = &[
    Field::Tool,
    Field::Plugin,
    Field::Outcome,
    Field::DurationUs,
    Field::Call,
    Field::Caller,
    Field::Agent,
    Field::Session,
    Field::Trace,
    Field::Arguments,
];
const APPROVAL: &[Field] = &[
    Field::Tool,
    Field::Plugin,
    Field::Outcome,
    Field::Call,
    Field::Caller,
    Field::Agent,
    Field::Session,
    Field::Reason,
];
const SESSION: &[Field] = &[Field::Session, Field::Transport, Field::Caller];
const REFUSED: &[Field] = &[Field::Reason, Field::Peer, Field::Dropped];

const fn entry(
    kind: Kind,
    name: &'static str,
    id: &'static str,
    priority: Priority,
    message: &'static str,
    fields: &'static [Field],
) -> Entry {
    Entry { kind, name, id, priority, message, fields }
}

use Priority::{Debug as Quiet, Error, Info, Notice, Warning};

/// Every kind, in the order of [`Kind`].
#[rustfmt::skip]
pub(crate) static ENTRIES: [Entry; 38] = [
    entry(Kind::Starting, "starting", "d4fec5f0a0e045f299925ca2587a9176", Info, "starting", &[Field::Version]),
    entry(Kind::Ready, "ready", "54839fd6b37946f48db2f5229304dceb", Info, "ready", &[Field::Version, Field::Address, Field::DurationUs]),
    entry(Kind::Stopping, "stopping", "a72f80b42bc742ebb74bcc2656b5144e", Info, "stopping", &[]),
    entry(Kind::Stopped, "stopped", "60ce2447d0634863be7d7835b6e7fe88", Info, "stopped", &[]),
    entry(Kind::Reloaded, "reloaded", "4ef19ea026fe4d44ab6eef73189382ac", Info, "the configuration is new", &[]),
    entry(Kind::ReloadRefused, "reload-refused", "f5286fe5959041a4b5c4c86139bee147", Warning, "the configuration was refused, and the old one stays", &[Field::Reason]),
    entry(Kind::PluginLinked, "plugin-linked", "007528c2cddd422095d5884d88215c9b", Info, "a plugin is served", &[Field::Plugin, Field::Tools]),
    entry(Kind::PluginUnlinked, "plugin-unlinked", "f0a6f9255e904e77bdf627355aa3d635", Info, "a plugin is gone", &[Field::Plugin]),
    entry(Kind::PluginChanged, "plugin-changed", "08dbac4f868b49538e3fde1cdde4447e", Info, "a plugin was described anew", &[Field::Plugin, Field::Tools]),
    entry(Kind::PluginFailed, "plugin-failed", "4bad4065acaa46c28b3270d06100f406", Warning, "a plugin cannot be described", &[Field::Plugin, Field::Reason]),
    entry(Kind::PluginDrifted, "plugin-drifted", "8bc3f8211d35470fb34582bb8594d3e9", Notice, "the files of a plugin are not those that were last served", &[Field::Plugin]),
    entry(Kind::PinDrift, "pin-drift", "aa98a9f4936f4fcebfc07632b8a16bae", Warning, "a plugin is not what was approved", &[Field::Plugin, Field::Action, Field::Reason]),
    entry(Kind::PluginSaid, "plugin-said", "70d3696f23e14e9f8100223a85681fce", Quiet, "", &[Field::Plugin, Field::Tool, Field::Call, Field::Dropped]),
    entry(Kind::CallFinished, "call-finished", "fe74631ae37b411cb2e711fb5e34de40", Info, "call finished", CALL),
    entry(Kind::CallFailed, "call-failed", "c7e71a3baaeb4f4499d5c59c1ce66214", Info, "call finished", CALL),
    entry(Kind::CallTimedOut, "call-timed-out", "de397365967b4baf9c8088050c531ffa", Notice, "call finished", CALL),
    entry(Kind::CallCancelled, "call-cancelled", "316565848c2a4be09cf88e31eb18403a", Info, "call finished", CALL),
    entry(Kind::CallTooLarge, "call-too-large", "fc7f40a2290742d4a2b2400cf8c69935", Notice, "call finished", CALL),
    entry(Kind::CallNotStarted, "call-not-started", "2fcc481082934d8fb71e6264ac9adcf7", Warning, "call finished", CALL),
    entry(Kind::CallLost, "call-lost", "1b13b33f7c524fdda12427e94d8e0e95", Error, "call finished", CALL),
    entry(Kind::CallRefused, "call-refused", "909c06b73d654adb9c28e861d56663c3", Info, "call refused", CALL),
    entry(Kind::ApprovalWanted, "approval-wanted", "bb95988a58ba4a15bc22d8f9ed6f3f18", Notice, "a call waits for an operator", APPROVAL),
    entry(Kind::ApprovalEnded, "approval-ended", "92370a2cd678428cb5c9e3cdb4f686ab", Notice, "a call was confirmed, or not", APPROVAL),
    entry(Kind::SessionOpened, "session-opened", "8aed8a43cca740ae86179a73b822d189", Info, "a session opened", SESSION),
    entry(Kind::SessionClosed, "session-closed", "b8722c257acc488db77e277494b8e5cc", Info, "a session closed", SESSION),
    entry(Kind::KeyMissing, "key-missing", "f6c06215ab6845abb861941691cd22ae", Notice, "a request without a key was refused", REFUSED),
    entry(Kind::KeyWrong, "key-wrong", "51017497e2aa436bba7b05ad5b865eb7", Warning, "a request with a wrong key was refused", REFUSED),
    entry(Kind::RequestRefused, "request-refused", "50e7d5a90d5548d290476c19f6856c02", Notice, "a request was refused", REFUSED),
    entry(Kind::LimitHit, "limit-hit", "b0318eb70bd1493d9253fc3ba3f88437", Warning, "a limit was reached", &[Field::Limit, Field::Peer, Field::Caller, Field::Session, Field::Dropped]),
    entry(Kind::Change, "change", "01c4f4d244c3466e8d681b5b79233d0a", Info, "control", &[Field::Uid, Field::Pid, Field::Action, Field::Object, Field::Outcome]),
    entry(Kind::LettaFetched, "letta-fetched", "0b1dcf0ad08149a7b753c9fd87a3259c", Info, "Letta's variables are here", &[Field::Agent]),
    entry(Kind::LettaFailed, "letta-failed", "5780283051a447a6af3cd030c95fdb86", Warning, "Letta's variables cannot be fetched", &[Field::Agent, Field::Reason]),
    entry(Kind::LettaRefused, "letta-refused", "5641fbd70efb4b4f982fdac791631c74", Warning, "some of Letta's variables are not passed on", &[Field::Agent, Field::Reason]),
    entry(Kind::CertificateLoaded, "certificate-loaded", "d3a7d727ef3ef4f3a55756998561708d", Info, "the port has a new certificate", &[]),
    entry(Kind::CertificateRefused, "certificate-refused", "7508fd1b5fc9104e574563ca59c4e123", Warning, "the new files of `[tls]` are not used, and the old ones stay", &[Field::Reason]),
    entry(Kind::HandshakeFailed, "handshake-failed", "4ef931ef66dc0ed4a0f1f0ef6368aba5", Notice, "a connection did not come to speak TLS", REFUSED),
    entry(Kind::TokenKeysLoaded, "token-keys-loaded", "9195ff0c86ff5ddf1a808d0bca4e3b0f", Info, "the issuer's keys are here", &[]),
    entry(Kind::TokenKeysFailed, "token-keys-failed", "a1f9f239726711973859900a2e4f050c", Warning, "the issuer's keys cannot be had", &[Field::Reason]),
];

/// Events carry this target, which tells them from records that only look like one.
pub(crate) const TARGET: &str = module_path!();

/// Finds a kind by its name.
pub(crate) fn named(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

/// Returns whether anyone hears what plugins say: lines need not be cut otherwise.
pub(crate) fn is_debug_heard() -> bool {
    tracing::event_enabled!(target: TARGET, tracing::Level::DEBUG)
}

impl Field {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 22] = [
        Self::Version,
        Self::Address,
        Self::Plugin,
        Self::Tool,
        Self::Tools,
        Self::Caller,
        Self::Agent,
        Self::Session,
        Self::Transport,
        Self::Call,
        Self::Outcome,
        Self::DurationUs,
        Self::Trace,
        Self::Arguments,
        Self::Reason,
        Self::Peer,
        Self::Limit,
        Self::Dropped,
        Self::Uid,
        Self::Pid,
        Self::Action,
        Self::Object,
    ];
}

/// One event that is about to be written.
#[derive(Debug)]
#[must_use = "an event is written with `write`"]
pub(crate) struct Event<'a> {
    entry: &'static Entry,
    values: Vec<(Field, Value<'a>)>,
}

#[derive(Debug)]
enum Value<'a> {
    Text(Cow<'a, str>),
    Number(u64),
}

impl<'a> Event<'a> {
    pub(crate) fn of(kind: Kind) -> Self {
        let entry = &ENTRIES[kind as usize];
        debug_assert_eq!(entry.kind, kind, "the table is in the order of the kinds");
        Self { entry, values: Vec::new() }
    }

    pub(crate) fn text(self, field: Field, value: impl Into<Cow<'a, str>>) -> Self {
        self.with(field, Value::Text(value.into()))
    }

    pub(crate) fn maybe(self, field: Field, value: Option<impl Into<Cow<'a, str>>>) -> Self {
        match value {
            Some(value) => self.text(field, value),
            None => self,
        }
    }

    pub(crate) fn number(self, field: Field, value: u64) -> Self {
        self.with(field, Value::Number(value))
    }

    /// How many events of the kind were not written since the last one; none is not worth a word.
    pub(crate) fn dropped(self, count: u64) -> Self {
        if count == 0 { self } else { self.number(Field::Dropped, count) }
    }

    pub(crate) fn duration(self, took: std::time::Duration) -> Self {
        self.number(Field::DurationUs, u64::try_from(took.as_micros()).unwrap_or(u64::MAX))
    }

    fn with(mut self, field: Field, value: Value<'a>) -> Self {
        debug_assert!(self.entry.fields.contains(&field), "{} has no {field:?}", self.entry.name);
        self.values.push((field, value));
        self
    }

    fn text_of(&self, field: Field) -> Option<&str> {
        self.values.iter().find_map(|(name, value)| match value {
            Value::Text(text) if *name == field => Some(&**text),
            _ => None,
        })
    }

    fn number_of(&self, field: Field) -> Option<u64> {
        self.values.iter().find_map(|(name, value)| match value {
            Value::Number(number) if *name == field => Some(*number),
            _ => None,
        })
    }

    /// Writes it in the words of its kind.
    pub(crate) fn write(self) {
        let message = self.entry.message;
        self.write_as(message);
    }

    /// Writes it in other words.
    pub(crate) fn write_as(self, message: &str) {
        // A level is part of a call site that the compiler makes: one of them for each.
        macro_rules! write {
            ($level:ident) => {
                tracing::event!(
                    tracing::Level::$level,
                    version = self.text_of(Field::Version),
                    address = self.text_of(Field::Address),
                    uid = self.number_of(Field::Uid),
                    pid = self.number_of(Field::Pid),
                    action = self.text_of(Field::Action),
                    object = self.text_of(Field::Object),
                    plugin = self.text_of(Field::Plugin),
                    tools = self.number_of(Field::Tools),
                    tool = self.text_of(Field::Tool),
                    outcome = self.text_of(Field::Outcome),
                    duration_us = self.number_of(Field::DurationUs),
                    call = self.text_of(Field::Call),
                    session = self.text_of(Field::Session),
                    transport = self.text_of(Field::Transport),
                    caller = self.text_of(Field::Caller),
                    agent = self.text_of(Field::Agent),
                    trace = self.text_of(Field::Trace),
                    arguments = self.text_of(Field::Arguments),
                    limit = self.text_of(Field::Limit),
                    reason = self.text_of(Field::Reason),
                    peer = self.text_of(Field::Peer),
                    dropped = self.number_of(Field::Dropped),
                    event = self.entry.name,
                    "{message}"
                )
            };
        }
        match self.entry.priority {
            Error => write!(ERROR),
            Warning => write!(WARN),
            Notice | Info => write!(INFO),
            Quiet => write!(DEBUG),
        }
    }
}

/// The trace that a call belongs to: the second part of a `traceparent` that is well made (W3C, trace context).
pub(crate) fn trace_of(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let sound = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    (sound && trace.bytes().any(|byte| byte != b'0')).then_some(trace)
}

#[cfg(test)]
mod tests;
