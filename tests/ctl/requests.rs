//! Every request of the control socket is one that some command makes.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use smcp_test_support::root;

type Heard = Arc<Mutex<BTreeSet<String>>>;

fn recorded() -> Vec<Value> {
    let text = std::fs::read_to_string(root().join("smcp-control/tests/frames/1.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Answers what a command needs to go on, and refuses the rest.
fn converse(stream: UnixStream, frames: &[Value], heard: &Heard) -> Option<()> {
    let mut output = stream.try_clone().ok()?;
    writeln!(output, "{}", frames[0]).ok()?;
    for line in BufReader::new(stream).lines() {
        let request: Value = serde_json::from_str(&line.ok()?).ok()?;
        let name = request["request"].as_str()?.to_owned();
        let known = frames.iter().find(|frame| frame["reply"] == name.as_str());
        let reply = match name.as_str() {
            "tools" | "status" | "pins" => known?.clone(),
            _ => json!({"reply": "refused", "code": "failed", "message": "heard"}),
        };
        heard.lock().unwrap().insert(name);
        writeln!(output, "{reply}").ok()?;
    }
    Some(())
}

#[test]
fn every_request_is_made_by_some_command() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let (frames, heard) = (recorded(), Heard::default());
    let asked: BTreeSet<String> =
        frames.iter().filter_map(|frame| frame["request"].as_str().map(str::to_owned)).collect();
    let server = (frames, Arc::clone(&heard));
    // It ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            converse(stream.unwrap(), &server.0, &server.1);
        }
    });
    for words in [
        "status",
        "health",
        "pins accept p",
        "approvals list",
        "approvals approve 1f2a-1",
        "doctor",
        "rescan",
        "reload",
        "tools",
        "call demo_math.coin-flip",
        "keys list",
        "keys create --name a",
        "keys rotate a",
        "keys revoke a",
        "profiles list",
        "why demo_math.coin-flip",
        "plugin list",
        "plugin show demo_math",
        "plugin sandbox demo_math --trace",
        "sessions",
        "calls",
        "cancel x",
        "top --json",
        "logs",
        "audit",
        "config show",
        "stdio",
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_smcpctl"))
            .arg("--socket")
            .arg(&socket as &Path)
            .args(words.split(' '))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.code().is_some(), "{words}");
    }
    assert_eq!(*heard.lock().unwrap(), asked);
}
