//! Which records are meant: the same for the daemon, which has the latest, and for whoever reads the journal.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::records::{AuditRecord, LogRecord};

/// What a record must have; what is not set does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// RFC 3339, UTC, to the microsecond, like the time of a record: no record is older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

impl Filter {
    /// Returns whether every record is meant.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub fn has_log(&self, record: &LogRecord) -> bool {
        let has = |name: &str, wanted: &Option<String>| match (wanted, record.fields.get(name)) {
            (None, _) => true,
            (Some(wanted), Some(Value::String(text))) => text == wanted,
            (Some(_), _) => false,
        };
        // An administrator is a caller too.
        let is_caller = has("caller", &self.caller)
            || record.fields.get("uid").and_then(Value::as_u64).is_some_and(|uid| self.is_caller(uid));
        has("plugin", &self.plugin)
            && has("tool", &self.tool)
            && is_caller
            && has("outcome", &self.outcome)
            && self.is_recent(&record.time)
    }

    /// A change is about the plugin or the tool that its object begins with.
    pub fn has_change(&self, record: &AuditRecord) -> bool {
        let subject = record.object.split_whitespace().next().unwrap_or_default();
        let is_about = |wanted: &Option<String>| wanted.as_deref().is_none_or(|wanted| wanted == subject);
        is_about(&self.plugin)
            && is_about(&self.tool)
            && (self.caller.is_none() || self.is_caller(record.uid.into()))
            && self.outcome.as_deref().is_none_or(|outcome| outcome == record.outcome)
            && self.is_recent(&record.time)
    }

    fn is_caller(&self, uid: u64) -> bool {
        self.caller.as_deref() == Some(&format!("uid {uid}"))
    }

    /// Times of one format are in the order of their letters.
    fn is_recent(&self, time: &str) -> bool {
        self.since.as_deref().is_none_or(|since| time >= since)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TIME: &str = "2026-11-21T08:08:10.883492Z";

    fn filter(value: Value) -> Filter {
        serde_json::from_value(value).expect("a filter")
    }

    #[test]
    fn a_log_record_has_everything_that_is_asked_for() {
        let record = LogRecord {
            time: TIME.to_owned(),
            level: "info".to_owned(),
            message: "call finished".to_owned(),
            fields: json!({"tool": "a.b", "plugin": "a", "caller": "key-1", "outcome": "ok", "ms": 7})
                .as_object()
                .cloned()
                .unwrap_or_default(),
        };
        for (wanted, expected) in [
            (json!({}), true),
            (json!({"plugin": "a", "tool": "a.b", "caller": "key-1", "outcome": "ok"}), true),
            (json!({"plugin": "b"}), false),
            (json!({"plugin": "a", "outcome": "timeout"}), false),
            (json!({"caller": "uid 0"}), false),
            (json!({"since": "2026-11-21T08:08:10.883492Z"}), true),
            (json!({"since": "2026-11-21T08:08:10.883493Z"}), false),
        ] {
            assert_eq!(filter(wanted.clone()).has_log(&record), expected, "{wanted}");
        }
        let control = LogRecord { fields: [("uid".to_owned(), json!(7))].into_iter().collect(), ..record };
        assert!(filter(json!({"caller": "uid 7"})).has_log(&control));
        assert!(!filter(json!({"tool": "a.b"})).has_log(&control));
    }

    #[test]
    fn a_change_is_found_by_what_it_is_about_and_who_made_it() {
        let record = AuditRecord {
            time: TIME.to_owned(),
            uid: 1000,
            pid: None,
            action: "link".to_owned(),
            object: "a -> /opt/a".to_owned(),
            outcome: "ok".to_owned(),
        };
        for (wanted, expected) in [
            (json!({}), true),
            (json!({"plugin": "a", "caller": "uid 1000", "outcome": "ok"}), true),
            (json!({"plugin": "/opt/a"}), false),
            (json!({"tool": "a.b"}), false),
            (json!({"caller": "uid 0"}), false),
            (json!({"since": "2027"}), false),
        ] {
            assert_eq!(filter(wanted.clone()).has_change(&record), expected, "{wanted}");
        }
    }
}
