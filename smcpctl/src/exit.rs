//! What went wrong, in the shell's language.

use std::process::ExitCode;

use smcp_control::{ClientError, Refusal, RefusalCode};

/// The exit codes; the man page lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    Unreachable = 3,
    NotFound = 4,
    NotPermitted = 5,
    Busy = 6,
    Invalid = 7,
    TimedOut = 8,
    ToolFailed = 10,
    Refused = 11,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    /// The way out.
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        match error {
            ClientError::Unreachable { source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Self::new(Exit::NotPermitted, message)
                    .hint("join the group of the socket: `smcp-admin`, or `smcp-call` for tools alone")
            }
            ClientError::Unreachable { .. } => Self::new(Exit::Unreachable, message).hint(
                "is the daemon running? try `systemctl status smcpd`, or name its socket with --socket",
            ),
            ClientError::Silent | ClientError::Closed => Self::new(Exit::Unreachable, message),
            ClientError::Protocol { .. } => Self::new(Exit::Failed, message)
                .hint("smcpd and smcpctl must be of one release: restart the daemon"),
            ClientError::Wire(_) => Self::new(Exit::Failed, message),
            ClientError::Refused(refusal) => refusal.into(),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let exit = match refusal.code {
            RefusalCode::Unknown | RefusalCode::Failed => Exit::Failed,
            RefusalCode::NotFound => Exit::NotFound,
            RefusalCode::NotPermitted => Exit::NotPermitted,
            RefusalCode::Busy => Exit::Busy,
            RefusalCode::Invalid => Exit::Invalid,
        };
        Self { exit, message: refusal.message, hint: refusal.hint }
    }
}
