//! What goes on while it goes on: calls that speak, records that are followed, a bridge whose daemon comes back.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use smcp_test_support::{Daemon, root, until};

use super::{ctl, smcpd, transcript};

/// A plugin that says how far it has come.
const SPEAKER: &str = r#"
import argparse, json, sys, time
if sys.argv[1:] == ["--describe"]:
    print(json.dumps({"commands": [
        {"name": "work", "description": "Work", "progress": True, "parameters": []},
        {"name": "login", "description": "Log in", "parameters": [
            {"name": "api_key", "description": "Key", "required": True}]}]}))
    sys.exit()
if sys.argv[1] == "login":
    print(json.dumps({"length": len(sys.argv[2].split("=", 1)[1])}))
    sys.exit()
for step in range(1, 4):
    print(json.dumps({"progress": step, "total": 3, "message": f"step {step}"}), file=sys.stderr, flush=True)
    time.sleep(0.05)
print("half\x1b[2Jway", file=sys.stderr, flush=True)
print(json.dumps({"done": True}))
"#;

fn speaker() -> Daemon {
    let setup = smcpd();
    let directory = setup.path().join("plugins/speaker");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("cli.py"), SPEAKER).unwrap();
    setup.start()
}

/// Runs on a terminal of 80 columns and returns what was seen there.
fn on_terminal(daemon: &Daemon, command: &str) -> String {
    let socket = super::socket(daemon);
    let output = Command::new("python3")
        .arg(root().join("tests/ctl/on_terminal.py"))
        .args(["80", &format!("{} {command}", env!("CARGO_BIN_EXE_smcpctl"))])
        .env("SMCP_SOCKET", socket)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_terminal_sees_progress_and_stderr_while_the_call_runs_and_a_pipe_only_the_result() {
    let daemon = speaker();
    let seen = on_terminal(&daemon, "call speaker.work");
    for part in
        ["[######--------------] 1/3 step 1", "[####################] 3/3 step 3", "half\\u{1b}[2Jway\n"]
    {
        assert!(seen.contains(part), "{part}: {seen:?}");
    }
    assert!(seen.ends_with("{\"done\": true}\n"), "{seen:?}");
    let quiet = on_terminal(&daemon, "call speaker.work --quiet");
    assert_eq!(quiet, "{\"done\": true}\n");
    assert_eq!(transcript(&daemon, &["call", "speaker.work"]), "{\"done\": true}\n[0]\n");
}

#[test]
fn a_secret_comes_from_a_file_and_never_without_being_asked_for() {
    let daemon = speaker();
    let key = daemon.path().join("key");
    std::fs::write(&key, "hunter2\n").unwrap();
    let argument = format!("api_key=@{}", key.display());
    assert_eq!(transcript(&daemon, &["call", "speaker.login", &argument]), "{\"length\": 7}\n[0]\n");
    assert!(!daemon.log().contains("hunter2"), "{}", daemon.log());
    // Nobody can be asked here.
    let said = transcript(&daemon, &["call", "speaker.login"]);
    assert!(said.contains("api_key") && said.ends_with("[2]\n"), "{said}");
}

#[test]
fn records_are_followed_as_they_are_made() {
    let daemon = smcpd().start();
    let follow = |words: &[&str]| {
        let mut child = ctl(&daemon, words).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        (child, lines)
    };
    transcript(&daemon, &["rescan"]);
    let (mut audit, mut audited) = follow(&["audit", "-f", "-n", "1", "--json"]);
    let (mut logs, mut logged) = follow(&["logs", "-f", "-n", "1"]);
    let mut next = || {
        let (mut record, mut line) = (String::new(), String::new());
        audited.read_line(&mut record).unwrap();
        logged.read_line(&mut line).unwrap();
        (serde_json::from_str::<Value>(&record).unwrap(), line)
    };
    // The latest of before, then whatever comes.
    for action in ["rescan", "reload"] {
        let (record, line) = next();
        assert_eq!((&record["action"], &record["outcome"]), (&json!(action), &json!("ok")));
        assert!(line.contains(&format!("action={action}")), "{line}");
        transcript(&daemon, &["reload"]);
    }
    for child in [&mut audit, &mut logs] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

struct Bridge {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Bridge {
    fn ask(&mut self, request: &Value) -> Value {
        let input = self.child.stdin.as_mut().unwrap();
        writeln!(input, "{request}").unwrap();
        input.flush().unwrap();
        self.next()
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

#[test]
fn a_bridge_outlives_its_daemon_and_repeats_the_opening() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let runtime = daemon.path().join("runtime").display().to_string();
    let mut child = ctl(&daemon, &["stdio"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    let mut bridge = Bridge { child, lines };
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}});
    let opened =
        bridge.ask(&json!({"jsonrpc": "2.0", "id": "open", "method": "initialize", "params": params}));
    assert_eq!((&opened["id"], &opened["result"]["protocolVersion"]), (&json!("open"), &json!("2025-06-18")));
    let sessions = super::json_of(&daemon, &["sessions"]);
    assert_eq!(sessions["sessions"][0]["transport"], "stdio");
    // A call in flight when the daemon is killed is answered, not forgotten.
    let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": {"name": "worker.sleep", "arguments": {"seconds": 60}}});
    writeln!(bridge.child.stdin.as_mut().unwrap(), "{call}").unwrap();
    until("the call runs", || {
        let calls = super::json_of(&daemon, &["calls"])["calls"].take();
        (!calls.as_array().unwrap().is_empty()).then_some(())
    });
    daemon.signal(rustix::process::Signal::KILL);
    let lost = bridge.next();
    assert_eq!((&lost["id"], &lost["error"]["code"]), (&json!(7), &json!(-32603)), "{lost}");
    let mut daemon = daemon;
    daemon.ended();
    let again = smcpd().plugins(&["demo_math"]).environment("XDG_RUNTIME_DIR", &runtime).start();
    // The answer to the repeated opening is not seen; the session has the revision that was agreed on.
    let listed = bridge.ask(&json!({"jsonrpc": "2.0", "id": 8, "method": "tools/list"}));
    assert_eq!(listed["id"], 8, "{listed}");
    assert!(listed.to_string().contains("demo_math__calculate"), "{listed}");
    let sessions = Command::new(env!("CARGO_BIN_EXE_smcpctl"))
        .args(["sessions", "--json"])
        .env("XDG_RUNTIME_DIR", &runtime)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&sessions.stdout).contains("2025-06-18"));
    drop(bridge.child.stdin.take());
    assert!(bridge.child.wait().unwrap().success());
    drop(again);
}

#[test]
fn a_call_that_runs_is_finished_though_its_plugin_is_unlinked() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let running =
        ctl(&daemon, &["call", "worker.sleep", "seconds=1"]).stdout(Stdio::piped()).spawn().unwrap();
    until("the call runs", || {
        let calls = super::json_of(&daemon, &["calls"])["calls"].take();
        (!calls.as_array().unwrap().is_empty()).then_some(())
    });
    let said = transcript(&daemon, &["plugin", "unlink", "worker"]);
    assert!(said.contains("removed\tworker.sleep"), "{said}");
    assert!(transcript(&daemon, &["call", "worker.sleep", "seconds=1"]).ends_with("[4]\n"));
    let output = running.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{\"slept\": 1.0}\n");
    let audit = transcript(&daemon, &["audit"]);
    assert!(audit.contains(": unlink worker: ok"), "{audit}");
}

#[test]
fn what_takes_longer_than_a_moment_says_so_on_a_terminal() {
    let setup = smcpd();
    let slow = setup.path().join("slow");
    std::fs::create_dir(&slow).unwrap();
    std::fs::write(slow.join("cli.py"), "import time\ntime.sleep(1.6)\nprint('{\"commands\": []}')\n")
        .unwrap();
    let daemon = setup.start();
    let seen = on_terminal(&daemon, &format!("plugin link {}", slow.display()));
    assert!(seen.contains("waiting for smcpd  1 s"), "{seen:?}");
    assert!(seen.contains("\r\u{1b}[K"), "{seen:?}");
}

#[test]
fn a_daemon_that_greets_and_then_says_nothing_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _greeted =
                writeln!(&stream, "{}", json!({"protocol": 1, "version": "0.1.0", "access": "control"}));
            // Held open, and silent.
            std::mem::forget(stream);
        }
    });
    let output = Command::new(env!("CARGO_BIN_EXE_smcpctl"))
        .arg("--socket")
        .arg(&socket)
        .arg("health")
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "error: smcpd does not answer\n");
}

#[test]
fn a_result_larger_than_a_frame_is_cut_and_not_lost() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let said = transcript(&daemon, &["call", "worker.flood", "bytes=3000000", "stream=stdout"]);
    assert!(said.starts_with("xxxx") && said.contains("bytes cut …]"), "{}", &said[said.len() - 200..]);
    assert!(said.ends_with("xx\n[0]\n"));
}
