//! The stdio transport: a server of its own, one message a line.

use serde_json::{Value, json};

use crate::smcpd;

fn answers(stdout: &str) -> Vec<Value> {
    let mut answers: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    answers.sort_by_key(|answer| answer["id"].as_i64().unwrap_or(-1));
    answers
}

#[test]
fn what_was_asked_is_answered_and_the_end_of_input_ends_the_daemon() {
    let setup = smcpd().plugins(&["demo_text"]).argument("--stdio");
    let lines = [
        json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}}).to_string(),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string(),
        String::new(),
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string(),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "demo_text.echo", "arguments": {"message": "a\nb"}}}).to_string(),
        "{nonsense".to_owned(),
        json!({"jsonrpc": "2.0", "id": 3, "method": "server/discover"}).to_string(),
        json!({"jsonrpc": "2.0", "id": 4, "method": "ping"}).to_string(),
    ];
    let said = setup.run(lines.join("\n").as_bytes());
    assert!(said.status.success(), "{said:?}");
    let answers = answers(&said.stdout);
    assert_eq!(answers.len(), 6, "{}", said.stdout);
    assert_eq!(answers[0]["error"]["code"], -32700);
    assert_eq!(answers[1]["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(answers[2]["result"]["tools"].as_array().unwrap().len(), 5);
    assert_eq!(answers[3]["result"]["structuredContent"]["message"], "a\nb");
    assert_eq!(answers[4]["error"]["code"], -32601);
    assert_eq!(answers[5]["result"], json!({}));
}

#[test]
fn a_line_without_end_is_refused_and_the_next_one_answered() {
    let setup = smcpd().argument("--stdio").config("[http]\nbody_limit = 4096\n");
    let long = "x".repeat(1 << 20);
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let said = setup.run(format!("{long}\n{ping}\n").as_bytes());
    let answers = answers(&said.stdout);
    assert_eq!(answers[0]["error"]["code"], -32600);
    assert_eq!(answers[1]["result"], json!({}));
}

#[test]
fn nothing_but_messages_is_ever_on_stdout() {
    let setup = smcpd().plugins(&["bad_exit", "worker"]).argument("--stdio");
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "worker.flood", "arguments": {"bytes": 5, "stream": "stderr"}}});
    let said = setup.run(format!("{call}\n").as_bytes());
    assert_eq!(answers(&said.stdout).len(), 1);
    assert!(said.stderr.contains("a plugin cannot be described"));
}
