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
    Outcome {
        end,
        stdout: captured(stdout),
        stderr: captured(stderr),
        ran: Duration::from_millis(1_234),
        spilled: None,
    }
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
        (End::Flooded, ErrorCode::OutputTooLarge, "wrote too much: 0 bytes"),
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
        json!([{"type": "image", "data": "aaaa", "mimeType": "image/png"}]),
        json!([{"type": "audio", "data": "aaaa", "mimeType": "audio/wav"}, text]),
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

#[test]
fn the_last_json_that_begins_a_line_and_ends_the_output_is_the_structure() {
    let deep = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
    let many = "[log] line\n".repeat(63);
    let cases = [
        ("[INFO] {x}\r\n{\"a\": 1}\r\n".to_owned(), Some(json!({"a": 1}))),
        ("log\n{\"a\":\n{\"b\": 1}\n}".to_owned(), Some(json!({"a": {"b": 1}}))),
        ("log\n[{\"a\": 1}]".to_owned(), None),
        ("{\"a\": 1}\n[1]".to_owned(), None),
        ("{\"a\": 1}\nnot {json}".to_owned(), None),
        ("{\"a\": NaN}".to_owned(), None),
        ("{\"a\": 1}}".to_owned(), None),
        ("\"{}\"".to_owned(), None),
        (format!("{many}{{\"a\": 1}}"), Some(json!({"a": 1}))),
        (deep, None),
    ];
    for (stdout, expected) in cases {
        let output = from_outcome(outcome(End::Exited(0), &stdout, ""));
        assert_eq!(output.structured, expected, "{stdout}");
        assert_eq!(first_text(&output), stdout.trim());
    }
}

#[test]
fn an_error_that_says_nothing_leaves_the_word_to_the_rest() {
    let cases = [
        ("{\"error\": null}", "{\"error\": null}"),
        ("{\"error\": \"  \"}", "{\"error\": \"  \"}"),
        ("{\"error\": {\"code\": 3}}", "{\"code\":3}"),
        ("[\"error\"]", "[\"error\"]"),
        ("log\n{\"error\": \"x\"}", "x"),
        ("{\"error\": \"x\"}\nbye", "{\"error\": \"x\"}\nbye"),
    ];
    for (stdout, expected) in cases {
        let output = from_outcome(outcome(End::Exited(1), stdout, ""));
        assert_eq!((first_text(&output), output.error), (expected, Some(ErrorCode::PluginError)), "{stdout}");
    }
    let theirs = json!({"error": {"code": "mine", "message": "m"}, "content": [], "isError": false});
    let result = from_outcome(outcome(End::Signaled(11), &theirs.to_string(), "e")).into_result();
    assert_eq!(result["isError"], true);
    assert_eq!(result["content"][0]["text"], "m");
    assert_eq!(result["content"][1]["text"], "stderr: e");
    assert_eq!(result["structuredContent"]["error"], json!({"code": "plugin_error", "message": "m"}));
}

#[test]
fn only_the_end_of_a_long_stderr_is_added_to_whatever_ended_the_call() {
    let stderr = format!("first {} last", "ß".repeat(STDERR_TAIL));
    for end in [End::Exited(1), End::Signaled(9), End::TimedOut, End::Cancelled, End::Flooded] {
        let output = from_outcome(outcome(end, "said", &stderr));
        let added = output.content[1]["text"].as_str().unwrap();
        assert!(added.starts_with("stderr: ß") && added.ends_with(" last"), "{end:?}");
        assert!(added.len() <= STDERR_TAIL + "stderr: ".len(), "{end:?}: {}", added.len());
    }
}

#[test]
fn content_blocks_keep_their_structure_and_what_is_half_a_block_is_text() {
    let block = json!({"type": "text", "text": "x", "annotations": {"priority": 1}});
    let whole = json!({"content": [block], "structuredContent": {"a": 1}, "_meta": {}, "isError": false});
    let output = from_outcome(outcome(End::Exited(0), &format!("log\n{whole}"), "noise"));
    let expected = json!({"content": [block], "structuredContent": {"a": 1}, "isError": false});
    assert_eq!(output.into_result(), expected);
    let halves = [
        json!({"type": "text"}),
        json!({"type": "text", "text": 7}),
        json!({"type": "image", "data": "aaaa"}),
        json!({"type": "resource_link", "uri": "file:///x"}),
        json!({"type": "resource", "resource": {"uri": "file:///x"}}),
        json!({"type": "resource", "resource": "file:///x"}),
        json!({"text": "x"}),
        json!(null),
    ];
    for half in halves {
        let stdout = json!({"content": [block, half]}).to_string();
        assert_eq!(first_text(&from_outcome(outcome(End::Exited(0), &stdout, ""))), stdout);
    }
    let list = json!({"content": [block], "structuredContent": [1]}).to_string();
    assert_eq!(from_outcome(outcome(End::Exited(0), &list, "")).structured, None);
}

proptest! {
    #[test]
    fn no_bytes_panic_and_a_result_is_always_one_a_client_can_read(
        stdout in prop::collection::vec(any::<u8>(), 0..200),
        stderr in prop::collection::vec(any::<u8>(), 0..200),
        limit in 0usize..200,
        end in prop::sample::select(vec![End::Exited(0), End::Exited(1), End::Signaled(9), End::TimedOut, End::Flooded]),
    ) {
        let captured = |bytes: &[u8]| {
            let mut captured = Captured::new(limit);
            captured.push(bytes);
            captured
        };
        let (stdout, stderr) = (captured(&stdout), captured(&stderr));
        let result = from_outcome(Outcome { end, stdout, stderr, ran: Duration::MAX, spilled: None }).into_result();
        prop_assert!(result["content"][0]["text"].as_str().is_some_and(|text| !text.is_empty()));
        prop_assert!(result.get("structuredContent").is_none_or(Value::is_object));
        prop_assert_eq!(&result["isError"], &json!(end != End::Exited(0)));
    }

    #[test]
    fn json_behind_any_log_lines_is_found(log in "(\\[?\\{?[a-z ]{0,8}\n){0,9}", value in "[a-z\n\"]{0,9}", pretty: bool) {
        let value = json!({"said": value, "list": [{}]});
        let text = if pretty { format!("{value:#}") } else { value.to_string() };
        prop_assert_eq!(json_of(&format!("{log}{text}")), Some(value));
    }
}

#[test]
fn an_error_that_is_no_text_leaves_the_word_to_stdout() {
    for error in [json!(true), json!(false), json!(3)] {
        let stdout = json!({"error": error, "message": "the disk is full"}).to_string();
        let output = from_outcome(outcome(End::Exited(1), &stdout, ""));
        assert!(first_text(&output).contains("the disk is full"), "{stdout}: {}", first_text(&output));
    }
}
