//! What the journal keeps of a call's arguments: which there were and how large, and by what to know them again.

use std::fmt::Write;

use crate::hexadecimal;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Arguments that are named one by one.
const NAMED: usize = 20;
/// Letters of a name.
const LETTERS: usize = 64;

/// Returns `name=BYTES` of each argument and a digest over all names and values, for example
/// `message=4 times=1 sha256:2c26b46b68ffc68f`. A value is never in it; a digest of short ones could be guessed, so it
/// is a short one itself, which finds equal calls and proves nothing.
pub(super) fn noted(arguments: &Map<String, Value>) -> Option<String> {
    if arguments.is_empty() {
        return None;
    }
    let mut hash = Sha256::new();
    let mut written = String::new();
    for (at, (name, value)) in arguments.iter().enumerate() {
        let text = value.to_string();
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(&text);
        if at < NAMED {
            let short: String = name.chars().take(LETTERS).collect();
            // A `String` takes whatever is written.
            let _never = write!(written, "{}={} ", short.escape_default(), text.len());
        }
    }
    if arguments.len() > NAMED {
        let _never = write!(written, "and {} more ", arguments.len() - NAMED);
    }
    written.push_str("sha256:");
    written.push_str(&hexadecimal::write(&hash.finalize()[..8]));
    Some(written)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(arguments: &Value) -> String {
        noted(arguments.as_object().unwrap()).unwrap_or_default()
    }

    #[test]
    fn arguments_are_named_and_measured_and_never_shown() {
        let said = of(&json!({"message": "secret", "times": 3}));
        assert!(said.starts_with("message=8 times=1 sha256:") && said.len() == 41, "{said}");
        assert!(!said.contains("secret"));
        assert_eq!(said, of(&json!({"message": "secret", "times": 3})));
        assert_ne!(said, of(&json!({"message": "secreT", "times": 3})));
        assert_ne!(of(&json!({"ab": "c"})), of(&json!({"a": "bc"})));
        assert_eq!(of(&json!({})), "");
    }

    #[test]
    fn a_name_is_short_and_one_line_and_there_are_not_many() {
        let mut many = Map::new();
        many.insert(format!("evil\nMESSAGE={}", "x".repeat(900)), json!(null));
        many.extend((0..100).map(|number| (format!("n{number}"), json!(number))));
        let said = noted(&many).unwrap();
        assert!(said.starts_with("evil\\nMESSAGE=xxx") && said.contains("=4 n0=1 "), "{said}");
        assert!(said.contains(" and 81 more sha256:") && said.len() < 300, "{said}");
    }
}
