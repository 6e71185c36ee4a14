//! What a command says of its progress: lines of JSON on stderr (contract 1.1, `progress: true`).

use serde::Deserialize;

/// How far a call has come.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Progress {
    pub(crate) progress: f64,
    #[serde(default)]
    pub(crate) total: Option<f64>,
    #[serde(default)]
    pub(crate) message: Option<String>,
}

impl Progress {
    /// Reads a line of stderr; `None` where it speaks of something else.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let line = line.trim();
        // Most lines are no JSON, and need no reader to say so.
        if !line.starts_with('{') {
            return None;
        }
        serde_json::from_str(line).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_object_with_a_number_is_progress() {
        let read = |line| Progress::read(line).map(|found| (found.progress, found.total, found.message));
        assert_eq!(read("{\"progress\": 3}"), Some((3.0, None, None)));
        let whole = " {\"progress\": 3, \"total\": 10, \"message\": \"a\", \"more\": 1}\r";
        assert_eq!(read(whole), Some((3.0, Some(10.0), Some("a".to_owned()))));
        for line in
            ["", "3", "{", "{}", "[3]", "{\"progress\": \"3\"}", "{\"progress\": 1, \"total\": \"x\"}"]
        {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
