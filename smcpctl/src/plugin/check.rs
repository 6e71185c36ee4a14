//! Shows what is right and wrong with a plugin.

use std::path::Path;

use serde_json::Value;

use super::inspection::Inspection;
use crate::exit::{Exit, Failure};
use crate::table::{escape, print, print_json, print_rows};
use crate::tools;

/// Judges the plugin at `path` and shows the report; `strict` lets warnings fail too.
pub(super) async fn check(path: &Path, strict: bool, json: bool) -> Result<Exit, Failure> {
    let found = Inspection::of(path).await?;
    if json {
        print_json("check", &found.0)?;
    } else {
        show(&found)?;
    }
    Ok(verdict(found.count("error"), found.count("warning"), strict))
}

fn verdict(errors: usize, warnings: usize, strict: bool) -> Exit {
    if errors > 0 || strict && warnings > 0 { Exit::Invalid } else { Exit::Ok }
}

fn show(found: &Inspection) -> Result<(), Failure> {
    let plugin = &found.0["plugin"];
    print(&format!(
        "{} ({}) at {}\n",
        text(&plugin["name"]),
        plugin["source"].as_str().map_or("not described".to_owned(), |source| source.replace('_', " ")),
        text(&plugin["directory"])
    ))?;
    let row =
        |command: &Value| vec![signature(command), grade(&command["strict"]), trip(&command["round_trip"])];
    let rows: Vec<Vec<String>> = found.commands().iter().map(row).collect();
    if !rows.is_empty() {
        print_rows(&["TOOL", "STRICT", "ROUND TRIP"], &rows)?;
    }
    print(&found.findings().iter().map(finding).collect::<String>())?;
    print(&format!(
        "{}\n",
        summary(["error", "warning", "note"].map(|severity| (found.count(severity), severity)))
    ))
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or("?"))
}

fn finding(finding: &Value) -> String {
    format!(
        "{} {} {}: {}\n  fix: {}\n",
        text(&finding["severity"]),
        text(&finding["code"]),
        text(&finding["subject"]),
        text(&finding["message"]),
        text(&finding["fix"])
    )
}

/// `2 errors, 1 note`
fn summary(counts: [(usize, &str); 3]) -> String {
    let told: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    if told.is_empty() { "nothing found".to_owned() } else { told.join(", ") }
}

/// `greeter.greet(name, times?: integer)`
fn signature(command: &Value) -> String {
    tools::signature_of(command["tool"].as_str().unwrap_or("?"), &command["input_schema"])
}

fn grade(strict: &Value) -> String {
    match (strict["letta"] == true, strict["openai"] == true) {
        (true, true) => "letta openai",
        (true, false) => "letta",
        (false, _) => "no",
    }
    .to_owned()
}

fn trip(trip: &Value) -> String {
    trip["state"].as_str().unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_always_fail_and_warnings_where_they_shall() {
        let cases = [
            ((0, 0, false), Exit::Ok),
            ((0, 0, true), Exit::Ok),
            ((0, 1, false), Exit::Ok),
            ((0, 1, true), Exit::Invalid),
            ((1, 0, false), Exit::Invalid),
        ];
        for ((errors, warnings, strict), expected) in cases {
            assert_eq!(verdict(errors, warnings, strict), expected);
        }
        assert_eq!(summary([(0, "error"), (0, "warning"), (0, "note")]), "nothing found");
        assert_eq!(summary([(1, "error"), (2, "warning"), (0, "note")]), "1 error, 2 warnings");
    }

    #[test]
    fn a_row_says_what_a_tool_takes_and_control_characters_are_shown() {
        let command = json!({"tool": "p.c", "input_schema": {"required": ["a"],
            "properties": {"a": {"type": "string"}, "b": {"type": "array"}, "c": {}}}});
        assert_eq!(signature(&command), "p.c(a, b?: array, c?)");
        assert_eq!(signature(&json!({})), "?()");
        assert_eq!(grade(&json!({"letta": true, "openai": false})), "letta");
        let found =
            json!({"severity": "error", "code": "c", "subject": "\u{1b}[2J", "message": "m", "fix": "f"});
        assert_eq!(finding(&found), "error c \\u{1b}[2J: m\n  fix: f\n");
    }
}
