//! Log messages to clients: which lines of a plugin become one, and how severe it is (2025-11-25, utilities,
//! "logging"; 2026-07-28 asks for them with each request).

use bytes::Bytes;
use serde_json::json;

use super::jsonrpc;

/// The levels of RFC 5424, the least severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Level {
    const ALL: [Self; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }

    /// The level of a line that begins with one, as Python's `logging` and most others write it; else `info`.
    pub(crate) fn of_line(line: &str) -> Self {
        let line = line.trim_start_matches(['[', '<', ' ']);
        let end = line.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(line.len());
        let (word, rest) = line.split_at(end);
        if !rest.starts_with([':', ']', '>', ' ', '\t']) {
            return Self::Info;
        }
        // A sentence may begin with such a word; a level stands there in capitals, or with a mark behind it.
        if rest.starts_with([' ', '\t']) && word.chars().any(|letter| letter.is_ascii_lowercase()) {
            return Self::Info;
        }
        match word.to_ascii_lowercase().as_str() {
            "warn" => Self::Warning,
            "fatal" => Self::Critical,
            "trace" => Self::Debug,
            word => Self::parse(word).unwrap_or(Self::Info),
        }
    }
}

/// The notification that a line becomes.
pub(super) fn message(level: Level, logger: &str, line: &str) -> Bytes {
    let params = json!({"level": level.as_str(), "logger": logger, "data": line});
    jsonrpc::notification("notifications/message", Some(&params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_read_where_a_line_begins_with_one() {
        for (line, level) in [
            ("WARNING:root:careful", Level::Warning),
            ("[ERROR] no", Level::Error),
            ("<debug> x", Level::Debug),
            ("INFO ready", Level::Info),
            ("warn: hm", Level::Warning),
            ("FATAL no way", Level::Critical),
            ("error in line 7", Level::Info),
            ("Errors: 3", Level::Info),
            ("ERROR", Level::Info),
            ("", Level::Info),
            ("Tool execution started", Level::Info),
        ] {
            assert_eq!(Level::of_line(line), level, "{line}");
        }
        assert!(Level::Debug < Level::Emergency);
        assert_eq!(Level::parse("notice"), Some(Level::Notice));
        assert_eq!(Level::parse("Notice"), None);
    }
}
