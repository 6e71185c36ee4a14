//! What an operator sees of a Letta agent's variables: that they are there or not, and never one of them.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;
use smcp_test_support::until;

use super::{ctl, json_of, smcpd};

const ANSWER: &str =
    r#"{"id": "agent-1", "secrets": [{"key": "LETTA_BASE_URL", "value": "http://hush.example"}]}"#;

/// Answers one request, then is gone.
fn letta_for_once() -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut chunk = [0; 4096];
        while !head.ends_with(b"\r\n\r\n") {
            let length = stream.read(&mut chunk).unwrap();
            assert!(length > 0, "a whole request");
            head.extend_from_slice(&chunk[..length]);
        }
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{ANSWER}", ANSWER.len()).unwrap();
    });
    (url, serving)
}

#[test]
fn an_agents_variables_are_known_by_name_and_shown_by_no_command() {
    let (url, serving) = letta_for_once();
    let config =
        format!("[letta]\nurl = \"{url}\"\nagent = \"agent-1\"\nplugins = [\"promptyoself\", \"no_such\"]\n");
    let setup = smcpd().plugins(&["promptyoself"]).config(&config).environment("LETTA_API_KEY", "hush-key");
    let daemon = setup.start();
    serving.join().unwrap();
    let set = |name: &str| {
        let shown = json_of(&daemon, &["plugin", "show", "promptyoself"]);
        let variables = shown["plugin"]["described"]["environment"].as_array().unwrap().clone();
        let found = variables.iter().find(|variable| variable["name"] == name).cloned();
        found.map(|variable| variable["set"].clone())
    };
    until("they are fetched", || (set("LETTA_BASE_URL") == Some(Value::Bool(true))).then_some(()));
    assert_eq!(set("LETTA_API_KEY"), Some(Value::Bool(false)));
    let findings = || {
        let mut found = Vec::new();
        for finding in json_of(&daemon, &["doctor"])["findings"].as_array().unwrap() {
            let text = |key: &str| finding[key].as_str().unwrap().to_owned();
            if text("code").starts_with("letta") {
                found.push((text("code"), text("subject"), text("message")));
            }
        }
        found
    };
    let missing = ("letta-no-plugin", "no_such", "`letta.plugins` names it, and it is not linked");
    let is_missing = |found: &(String, String, String)| (&*found.0, &*found.1, &*found.2) == missing;
    assert!(matches!(&findings()[..], [one] if is_missing(one)), "{:?}", findings());
    // Letta is gone.
    assert!(ctl(&daemon, &["reload"]).output().unwrap().status.success());
    let found = until("the doctor says so", || {
        findings().into_iter().find(|(code, _, _)| code == "letta-unreachable")
    });
    assert!(found.2.contains("fetched before") && found.2.contains(&url), "{found:?}");
    assert_eq!(set("LETTA_BASE_URL"), Some(Value::Bool(true)));
    for words in [
        &["config", "show", "--origin"][..],
        &["config", "show", "--json"],
        &["doctor"],
        &["plugin", "show", "promptyoself"],
        &["status", "--json"],
        &["logs", "--json"],
    ] {
        let output = ctl(&daemon, words).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.is_empty() && !text.contains("hush"), "{words:?}: {text}");
        if words[0] == "config" {
            assert!(
                text.contains("letta.key") && text.contains("***") && text.contains("LETTA_API_KEY"),
                "{text}"
            );
        }
    }
    assert!(!daemon.log().contains("hush"), "{}", daemon.log());
}
