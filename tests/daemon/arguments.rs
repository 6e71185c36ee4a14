//! Values that want to be more than values, sent over HTTP to a plugin that tells what it was given.

use serde_json::{Map, Value, json};
use smcp_test_support::Daemon;

use crate::smcpd;

fn code(said: &Value) -> &str {
    said["structuredContent"]["error"]["code"].as_str().unwrap_or_default()
}

/// A request as it stands, which no JSON library would write.
fn raw(daemon: &Daemon, arguments: &str) -> smcp_test_support::Reply {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"worker__argv","arguments":{arguments}}}}}"#
    );
    daemon.connect().send("POST", "/messages/", &[("Content-Type", "application/json")], body.as_bytes())
}

#[test]
fn no_value_is_more_than_a_value() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let values = [
        "--help",
        "-h",
        "--flag",
        "--",
        "-",
        "-o",
        "-ox",
        "--text=x",
        "--describe",
        "=x",
        "",
        " ",
        "a b",
        "$(id)",
        "`id`",
        "; id",
        "*",
        "~",
        "../../etc/passwd",
        "x\n--flag",
        "\t--flag",
        "@/etc/passwd",
        "-1e9",
        "\u{202e}x",
        "\u{7f}\u{1b}[2J",
    ];
    let nothing = daemon.call("worker.argv", json!({}))["structuredContent"]["parsed"].clone();
    for value in values {
        for name in ["text", "short", "o", "place"] {
            let said = daemon.call("worker.argv", json!({name: value}));
            if code(&said) == "invalid_arguments" {
                assert!(said.to_string().contains(&format!("`{name}`")), "{name}={value:?}: {said}");
                continue;
            }
            let mut expected = nothing.clone();
            expected[name] = json!(value);
            assert_eq!(said["structuredContent"]["parsed"], expected, "{name}={value:?}");
        }
        // Each of a list is one, too.
        let said = daemon.call("worker.argv", json!({"tag": [value, "b"]}));
        if code(&said) != "invalid_arguments" {
            assert_eq!(said["structuredContent"]["parsed"]["tag"], json!([value, "b"]));
            assert_eq!(said["structuredContent"]["parsed"]["flag"], nothing["flag"]);
        }
    }
}

#[test]
fn what_is_too_much_is_refused_before_a_program_starts() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let keys: Map<String, Value> =
        (0..10_000).map(|number| (format!("key{number}"), json!(number))).collect();
    for (arguments, named) in [
        (json!({"text": "a\0b"}), "NUL"),
        (json!({"text": "y".repeat(1 << 20)}), "1048"),
        (Value::Object(keys), "key"),
        (json!({"text\0": "x"}), "no argument"),
        (json!({"--flag": true, "-": 1}), "no argument"),
    ] {
        let said = daemon.call("worker.argv", arguments);
        let text = said["content"][0]["text"].as_str().unwrap();
        assert_eq!(code(&said), "invalid_arguments", "{text:.200}");
        assert!(text.contains(named) && text.len() < 2_000, "{named}: {text:.200}");
    }
    let deep = format!(r#"{{"data":{}{}}}"#, "[".repeat(1_000), "]".repeat(1_000));
    for arguments in [deep.as_str(), r#"{"text":"\ud800"}"#, r#"{"text":"\udc00x"}"#, "{\"text\":\"\u{0}\"}"]
    {
        let reply = raw(&daemon, arguments);
        let answer: Value = serde_json::from_str(&reply.text()).unwrap_or_default();
        assert!(
            [-32700, -32602].iter().any(|code| answer["error"]["code"] == *code),
            "{arguments:.80}: {}",
            reply.text()
        );
    }
    let health = daemon.get("/health", &[]).json();
    assert_eq!((&health["status"], &health["calls"]["ok"]), (&json!("ok"), &json!(0)), "no program was run");
}

#[test]
fn no_name_leaves_its_directory() {
    let daemon = smcpd().plugins(&["worker", "offers"]).start();
    let ups = [
        "../worker.argv",
        "worker/../worker.argv",
        "..",
        ".",
        "/etc/passwd",
        "%2e%2e%2fworker.argv",
        "worker\0.argv",
    ];
    for name in ups {
        let answer = daemon.ask("tools/call", json!({"name": name, "arguments": {}}));
        assert_eq!(answer["error"]["code"], -32602, "{name:?}: {answer}");
    }
    for uri in [
        "smcp://plugins/../readme",
        "smcp://plugins/worker/../../readme",
        "smcp://plugins/worker/readme/../../cli.py",
        "smcp://plugins/%2e%2e/readme",
        "smcp://plugins/offers/..%2f..%2fetc%2fpasswd",
        "smcp://outputs/../../../etc/passwd",
        "file:///etc/passwd",
    ] {
        let answer = daemon.ask("resources/read", json!({"uri": uri}));
        assert!(answer["error"]["code"].is_i64(), "{uri}: {answer}");
        assert!(!answer.to_string().contains("root:"), "{uri}");
    }
}
