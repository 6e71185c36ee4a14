//! What is counted, and in which words: the reasons of refusals, the ends of rescans and approvals, the state at a moment.

use std::time::Duration;

/// A finished call, as it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finished<'a> {
    /// `None` is a tool of the daemon's own.
    pub(crate) plugin: Option<&'a str>,
    pub(crate) tool: &'a str,
    pub(crate) outcome: &'static str,
    /// `None` where its turn never came.
    pub(crate) queued: Option<Duration>,
    /// How its process came to be; `None` where there was none.
    pub(crate) start: Option<&'static str>,
    pub(crate) total: Duration,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    HeaderTooLarge,
    HeaderTimeout,
    BodyTooLarge,
    BodyTimeout,
    BodyMemory,
    TooManyConnections,
    Rate,
    Host,
    Origin,
    KeyMissing,
    KeyWrong,
    Caller,
    KeyExpired,
    KeyAttempts,
    KeyInUrl,
    Profile,
    TokenWrong,
    TokenScope,
    TokenKeys,
    Container,
    Peer,
    TooManySessions,
    SlowReader,
    QueueFull,
    UnknownTool,
}

/// What came of a rescan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rescan {
    Same,
    Changed,
    Failed,
}

/// What came of a call that somebody had to confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Approval {
    /// By the client's user, as `Declined`.
    Confirmed,
    Declined,
    /// By an operator, as `Denied`.
    Approved,
    Denied,
    Cancelled,
    Expired,
    /// Too many waited already.
    Refused,
}

/// The state of things at the moment of asking.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Moment {
    pub(crate) running: usize,
    pub(crate) waiting: usize,
    /// Calls that wait for an operator.
    pub(crate) approvals: usize,
    pub(crate) processes: usize,
    /// Those that wait, by kind.
    pub(crate) warm: [(&'static str, usize); 3],
    /// By transport.
    pub(crate) sessions: [(&'static str, usize); 3],
    pub(crate) streams: usize,
    /// By state.
    pub(crate) plugins: [(&'static str, usize); 3],
    pub(crate) tools: usize,
    /// Of plugins that have a control group.
    pub(crate) groups: Vec<GroupMoment>,
}

/// What all processes of a plugin take together.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct GroupMoment {
    pub(crate) plugin: String,
    pub(crate) processes: usize,
    /// Bytes; `None` where nobody counts it.
    pub(crate) memory: Option<u64>,
    pub(crate) cpu_seconds: Option<f64>,
}

impl Reason {
    pub(super) const ALL: [Self; 25] = [
        Self::HeaderTooLarge,
        Self::HeaderTimeout,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::BodyMemory,
        Self::TooManyConnections,
        Self::Rate,
        Self::Host,
        Self::Origin,
        Self::KeyMissing,
        Self::KeyWrong,
        Self::Caller,
        Self::KeyExpired,
        Self::KeyAttempts,
        Self::KeyInUrl,
        Self::Profile,
        Self::TokenWrong,
        Self::TokenScope,
        Self::TokenKeys,
        Self::Container,
        Self::Peer,
        Self::TooManySessions,
        Self::SlowReader,
        Self::QueueFull,
        Self::UnknownTool,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::HeaderTooLarge => "header_too_large",
            Self::HeaderTimeout => "header_timeout",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyMemory => "body_memory",
            Self::TooManyConnections => "too_many_connections",
            Self::Rate => "rate",
            Self::Host => "host",
            Self::Origin => "origin",
            Self::KeyMissing => "key_missing",
            Self::KeyWrong => "key_wrong",
            Self::Caller => "caller",
            Self::KeyExpired => "key_expired",
            Self::KeyAttempts => "key_attempts",
            Self::KeyInUrl => "key_in_url",
            Self::Profile => "profile",
            Self::TokenWrong => "token_wrong",
            Self::TokenScope => "token_scope",
            Self::TokenKeys => "token_keys",
            Self::Container => "container",
            Self::Peer => "peer",
            Self::TooManySessions => "too_many_sessions",
            Self::SlowReader => "slow_reader",
            Self::QueueFull => "queue_full",
            Self::UnknownTool => "unknown_tool",
        }
    }
}

impl Approval {
    pub(super) const ALL: [Self; 7] = [
        Self::Confirmed,
        Self::Declined,
        Self::Approved,
        Self::Denied,
        Self::Cancelled,
        Self::Expired,
        Self::Refused,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Declined => "declined",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Refused => "refused",
        }
    }
}

impl Rescan {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Changed => "changed",
            Self::Failed => "failed",
        }
    }
}
