//! Calls that start cold, by a launcher that had put its sandbox on before.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use smcp_test_support::{Daemon, Setup, descendants, is_alive, until};

/// Says what it was given, as it was started.
const OWN: &str = r#"#!/bin/sh
if [ "$1" = --describe ]; then
    echo '{"contract_version": "1.1", "commands": [{"name": "say", "parameters": [{"name": "text", "type": "string"}]},
        {"name": "spy", "parameters": [{"name": "path", "type": "string"}]}]}'
elif [ "$1" = spy ]; then
    cat "$SMCP_STATE_DIR/../../${2#--path=}" 2>&1 || exit 3
else
    env | grep -v '^_=' | sort
    echo "words: $0 $*"
    echo "directory: $(pwd)"
    echo "descriptors:" /proc/$$/fd/*
    echo "limits: $(ulimit -n) $(ulimit -c)"
    echo "number: $$"
    grep -E '^(NoNewPrivs|Seccomp|SigBlk|SigIgn|CapEff):' /proc/self/status
fi
"#;

fn daemon(config: &str) -> Daemon {
    let setup = Setup::held(env!("CARGO_BIN_EXE_smcpd"), Path::new(env!("CARGO_TARGET_TMPDIR")));
    let directory = setup.path().join("plugins/own");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("cli"), OWN).unwrap();
    fs::set_permissions(directory.join("cli"), fs::Permissions::from_mode(0o755)).unwrap();
    setup.config(config).start()
}

/// The launcher that waits or comes.
fn launcher(daemon: &Daemon) -> Option<u32> {
    descendants(daemon.pid()).into_iter().find(|pid| {
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.starts_with("smcpd\0launch-waiting\0")
    })
}

fn until_launcher(daemon: &Daemon) -> u32 {
    let figure = "smcp_warm_workers{kind=\"launcher\"} 1";
    until("a launcher waits", || {
        let counted = daemon.get("/metrics", &[]).text().lines().any(|line| line == figure);
        let waiting = launcher(daemon);
        if waiting.is_none() {
            // None is kept where directories changed meanwhile, as other tests change them: the next call has another made.
            given(daemon, "");
        }
        waiting.filter(|_| counted)
    })
}

/// What a call was given, but for what names the call and the processes.
fn given(daemon: &Daemon, text: &str) -> String {
    let said = daemon.call("own.say", json!({"text": text}));
    let text = said["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{said}"));
    let shown =
        |line: &&str| !["SMCP_CALL_ID=", "number:", "TRACEPARENT="].iter().any(|name| line.starts_with(name));
    let number = text.lines().find_map(|line| line.strip_prefix("number:")).unwrap().trim().to_owned();
    text.lines().filter(shown).collect::<Vec<_>>().join("\n").replace(&format!("/{number}/"), "/PID/")
}

#[test]
fn a_call_is_given_the_same_by_a_launcher_that_waited() {
    let daemon = daemon("[plugin.own]\nenv = { GIVEN = \"by the operator\" }\nsandbox.files = 99\n");
    // More than the socket takes at once.
    for text in ["é \n'\"", "", &"long ".repeat(20_000)] {
        let alone = given(&daemon, text);
        let waiting = until_launcher(&daemon);
        assert_eq!(given(&daemon, text), alone);
        assert!(alone.contains("GIVEN=by the operator") && alone.contains("limits: 99 0"), "{alone}");
        until("the launcher became the program", || (!is_alive(waiting)).then_some(()));
        let next = until_launcher(&daemon);
        kill_process(Pid::from_raw(next.cast_signed()).unwrap(), Signal::KILL).unwrap();
        // One that is gone costs a call nothing.
        assert_eq!(given(&daemon, text), alone);
        let next = until_launcher(&daemon);
        kill_process(Pid::from_raw(next.cast_signed()).unwrap(), Signal::KILL).unwrap();
        until("it is gone", || (!is_alive(next)).then_some(()));
    }
}

#[test]
fn what_a_launcher_holds_is_what_holds_when_it_is_called() {
    let daemon = daemon("");
    let spy = |path: &str| daemon.call("own.spy", json!({"path": path}));
    let is_refused = |said: &Value| said["isError"] == true && said.to_string().contains("Permission denied");
    fs::write(daemon.path().join("STATE/smcp/a.secret"), "secret").unwrap();
    for _ in 0..2 {
        until_launcher(&daemon);
        let said = spy("a.secret");
        assert!(is_refused(&said), "{said}");
    }
    until_launcher(&daemon);
    // The neighbours of what is hidden were named one by one when it began to wait.
    fs::write(daemon.path().join("STATE/neighbour"), "come later").unwrap();
    let said = spy("../neighbour");
    assert!(said.to_string().contains("come later"), "{said}");
}

#[test]
fn no_launcher_outlives_the_daemon() {
    for signal in [Signal::TERM, Signal::KILL] {
        let mut daemon = daemon("");
        given(&daemon, "");
        let waiting = until_launcher(&daemon);
        daemon.signal(signal);
        daemon.ended();
        until("it is gone", || (!is_alive(waiting)).then_some(()));
    }
}

#[test]
fn nobody_waits_for_a_plugin_that_nothing_holds_or_that_is_kept_warm() {
    let loose = daemon("[plugin.own]\nsandbox = \"off\"\n");
    given(&loose, "");
    let setup = Setup::held(env!("CARGO_BIN_EXE_smcpd"), Path::new(env!("CARGO_TARGET_TMPDIR")));
    let warm = setup.plugins(&["worker"]).start();
    for daemon in [&loose, &warm] {
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(launcher(daemon), None);
    }
    warm.call("worker.text", json!({}));
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(launcher(&warm), None);
}
