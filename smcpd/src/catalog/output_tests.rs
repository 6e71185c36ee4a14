use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::executor::Captured;

fn outcome(end: End, stdout: &str, stderr: &str) -> Outcome {
    let captured = |text: &str| {
        let mut captured = Captured::new(1 << 20);
        captured.push(text.as_bytes());
        captured
    };
    Outcome { end, stdout: captured(stdout), stderr: captured(stderr), ran: Duration::from_millis(1_234) }
}

fn first_text(output: &ToolOutput) -> &str {
    output.content[0]["text"].as_str().unwrap()
}

#[test]
fn a_success_is_its_text_and_its_structure_where_it_has_one() {
    let cases = [
        ("{\"a\": 1}\n", "{\"a\": 1}", Some(json!({"a": 1}))),
        ("  plain\n\n", "plain", None),
        ("", "(no output)", None),
        ("[1, 2]", "[1, 2]", None),
        ("7", "7", None),
        ("starting…\n[info] x\n{\"a\": 1}", "starting…\n[info] x\n{\"a\": 1}", Some(json!({"a": 1}))),
        (
            "log\n{\n  \"a\": {\n    \"b\": 1\n  }\n}\n",
            "log\n{\n  \"a\": {\n    \"b\": 1\n  }\n}",
            Some(json!({"a": {"b": 1}})),
        ),
        ("{\"a\": 1}\ntrailing", "{\"a\": 1}\ntrailing", None),
        ("{\"a\": 1}\n{\"b\": 2}", "{\"a\": 1}\n{\"b\": 2}", Some(json!({"b": 2}))),
        ("{\"status\": \"error\"}", "{\"status\": \"error\"}", Some(json!({"status": "error"}))),
    ];
    for (stdout, text, structured) in cases {
        let output = from_outcome(outcome(End::Exited(0), stdout, "noise"));
        assert_eq!((first_text(&output), &output.structured), (text, &structured), "{stdout}");
        assert_eq!((output.error, output.content.len()), (None, 1));
    }
}

#[test]
fn a_failure_says_the_best_that_is_known_and_always_what_stderr_said() {
    let cases: [(&str, &str, &[&str]); 8] = [
        ("{\"error\": \"no luck\"}", "", &["no luck"]),
        ("{\"error\": \"no luck\"}", "trace", &["no luck", "stderr: trace"]),
        ("{\"error\": \"no luck\"}", "no luck", &["no luck"]),
        ("{\"error\": {\"message\": \"deep\"}}", "", &["deep"]),
        ("{\"status\": \"error\"}", "", &["{\"status\": \"error\"}"]),
        ("said", "and more", &["said", "stderr: and more"]),
        ("", "usage: cli\ncli: error: x", &["usage: cli\ncli: error: x"]),
        ("", "", &["exited with 2"]),
    ];
    for (stdout, stderr, expected) in cases {
        let output = from_outcome(outcome(End::Exited(2), stdout, stderr));
        let texts: Vec<&str> = output.content.iter().map(|block| block["text"].as_str().unwrap()).collect();
        assert_eq!(texts, expected, "{stdout} {stderr}");
        assert_eq!(output.error, Some(ErrorCode::PluginError));
        assert_eq!(output.structured.unwrap()["error"]["code"], "plugin_error");
    }
    let more = from_outcome(outcome(End::Exited(1), "{\"error\": \"x\", \"detail\": 7}", ""));
    assert_eq!(
        more.structured.unwrap(),
        json!({"error": {"code": "plugin_error", "message": "x"}, "detail": 7})
    );
    let long = from_outcome(outcome(End::Exited(1), "", &"é".repeat(10_000)));
    assert!(first_text(&long).len() <= STDERR_TAIL);
}

#[test]
fn each_end_has_its_code() {
    let cases = [
        (End::Signaled(9), ErrorCode::PluginError, "was ended by signal 9"),
        (End::TimedOut, ErrorCode::Timeout, "timed out after 1.2 s"),
        (End::Cancelled, ErrorCode::Cancelled, "cancelled after 1.2 s"),
        (End::Flooded, ErrorCode::OutputTooLarge, "ended: it had written 0 bytes"),
    ];
    for (end, code, text) in cases {
        let output = from_outcome(outcome(end, "", ""));
        assert_eq!((output.error, first_text(&output)), (Some(code), text));
    }
    let spawn = RunError::Spawn { program: "/x".into(), source: std::io::ErrorKind::NotFound.into() };
    let cases = [
        (
            RunError::QueueFull { waiting: 3 },
            ErrorCode::QueueFull,
            "3 calls are already waiting; try again later",
        ),
        (RunError::Stopping, ErrorCode::Cancelled, "the daemon is stopping"),
        (RunError::CancelledWaiting, ErrorCode::Cancelled, "cancelled while waiting for its turn"),
        (spawn, ErrorCode::StartFailed, "cannot start `/x`: entity not found"),
        (RunError::Lost, ErrorCode::InternalError, "the daemon lost the call"),
    ];
    for (error, code, text) in cases {
        let output = from_error(&error);
        assert_eq!((output.error, first_text(&output)), (Some(code), text));
        assert_eq!(output.into_result()["isError"], json!(true));
    }
}

#[test]
fn content_blocks_pass_as_they_are_where_every_one_is_known() {
    let text = json!({"type": "text", "text": "x"});
    let good = [
        json!([text]),
        json!([{"type": "image", "data": "aa", "mimeType": "image/png"}]),
        json!([{"type": "audio", "data": "aa", "mimeType": "audio/wav"}, text]),
        json!([{"type": "resource_link", "uri": "file:///x", "name": "x"}]),
        json!([{"type": "resource", "resource": {"uri": "file:///x", "text": "x"}}]),
    ];
    for content in good {
        let stdout = json!({"content": content}).to_string();
        let output = from_outcome(outcome(End::Exited(0), &stdout, ""));
        assert_eq!(Value::Array(output.content), content);
    }
    for content in
        [json!([]), json!("x"), json!([{"type": "image"}]), json!([{"type": "hologram"}]), json!([7])]
    {
        let stdout = json!({"content": content}).to_string();
        let output = from_outcome(outcome(End::Exited(0), &stdout, ""));
        assert_eq!(
            (first_text(&output), output.structured.clone()),
            (stdout.as_str(), Some(json!({"content": content})))
        );
    }
    let more = json!({"content": [text], "title": "a page"}).to_string();
    assert_eq!(first_text(&from_outcome(outcome(End::Exited(0), &more, ""))), more);
    let failed = json!({"content": [text], "isError": true}).to_string();
    assert_eq!(from_outcome(outcome(End::Exited(0), &failed, "")).error, Some(ErrorCode::PluginError));
}

#[test]
fn what_was_cut_is_said() {
    let mut stdout = Captured::new(4);
    stdout.push(b"abcdefgh");
    let cut = Outcome { stdout, ..outcome(End::Exited(0), "", "") };
    let output = from_outcome(cut);
    assert!(first_text(&output).contains("[… 4 bytes cut …]"));
    assert_eq!(output.structured.unwrap()["truncated"]["bytes"], 4);
}

proptest! {
    #[test]
    fn no_output_panics_and_the_first_block_is_text(
        stdout in prop_oneof!["\\PC{0,80}", "[\\[\\]{}\":a,1 \n]{0,80}"],
        stderr in "\\PC{0,40}",
        status in 0..3,
    ) {
        let output = from_outcome(outcome(End::Exited(status), &stdout, &stderr));
        prop_assert!(!output.content.is_empty());
        prop_assert_eq!(output.error.is_some(), status != 0);
    }
}
