//! Calls that are run by a process that was up before.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use smcp_test_support::{Daemon, Setup, descendants, is_alive, marked, until};

use crate::smcpd;

/// How many calls each kind of start had.
fn starts(daemon: &Daemon) -> BTreeMap<String, u64> {
    let figures = daemon.get("/metrics", &[]).text();
    let counts = figures.lines().filter_map(|line| {
        let (kind, count) = line.strip_prefix("smcp_starts_total{start=\"")?.split_once("\"} ")?;
        Some((kind.to_owned(), count.parse().ok()?))
    });
    counts.collect()
}

fn waiting(daemon: &Daemon, kind: &str) -> u64 {
    let figures = daemon.get("/metrics", &[]).text();
    let start = format!("smcp_warm_workers{{kind=\"{kind}\"}} ");
    figures.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok()).unwrap_or(0)
}

fn until_spare(daemon: &Daemon) {
    until("a spare waits", || (waiting(daemon, "spare") > 0).then_some(()));
}

fn structured(result: &Value) -> &Value {
    &result["structuredContent"]
}

/// A daemon whose first call of `worker` is over, with a spare ready.
fn warm(setup: Setup) -> Daemon {
    let daemon = setup.plugins(&["worker"]).start();
    daemon.call("worker.text", json!({}));
    until_spare(&daemon);
    daemon
}

/// A plugin of this test's own, so that it can be changed.
fn own(setup: &Setup, source: &str) -> PathBuf {
    let directory = setup.path().join("plugins/own");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("cli.py"), source).unwrap();
    directory
}

const OWN: &str = "
import argparse, json, os, helper
parser = argparse.ArgumentParser()
command = parser.add_subparsers(dest='command', required=True).add_parser('say')
command.add_argument('--text')
arguments = parser.parse_args()
print(json.dumps({'text': arguments.text, 'version': helper.VERSION}))
";

#[test]
fn the_first_call_starts_cold_and_the_next_finds_a_spare() {
    let daemon = warm(smcpd());
    let said =
        daemon.call("worker.argv", json!({"text": "-é\n", "count": 3, "flag": true, "tag": ["a", ""]}));
    assert_eq!(
        structured(&said)["argv"],
        json!(["argv", "--text=-é\n", "--count=3", "--flag", "--tag=a", "--tag="])
    );
    until_spare(&daemon);
    let failed = daemon.call("worker.fail", json!({"message": "no", "code": 3, "style": "stderr"}));
    assert_eq!((&failed["isError"], &failed["content"][0]["text"]), (&json!(true), &json!("no")));
    until_spare(&daemon);
    let stdin = daemon.call("worker.flood", json!({"bytes": 300_000}));
    assert_eq!(stdin["content"][0]["text"].as_str().unwrap().len(), 300_000);
    until_spare(&daemon);
    let crashed = daemon.call("worker.crash", json!({}));
    assert_eq!(structured(&crashed)["error"]["code"], "plugin_error");
    assert!(crashed["content"][0]["text"].as_str().unwrap().contains("signal 9"), "{crashed}");
    let starts = starts(&daemon);
    assert_eq!((starts["cold"], starts["spare"]), (1, 4), "{starts:?}");
}

#[test]
fn each_call_has_its_own_variables_directory_and_descriptors() {
    let daemon = warm(smcpd().config("[plugin.worker]\nenv = { GIVEN = \"by the operator\" }\n"));
    let mut seen = Vec::new();
    for agent in ["agent-1", "agent-2"] {
        until_spare(&daemon);
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "worker.env", "arguments": {}}});
        let reply = daemon.post("/messages/", &[("X-Agent-Id", agent)], &call).json();
        let environment = reply["result"]["structuredContent"].clone();
        assert_eq!(environment["SMCP_AGENT_ID"], agent);
        assert_eq!(environment["GIVEN"], "by the operator");
        assert!(environment["SMCP_STATE_DIR"].as_str().unwrap().ends_with("state/worker"), "{environment}");
        assert_eq!(environment.get("SMCP_INPUT"), None);
        seen.push(environment["SMCP_CALL_ID"].clone());
    }
    assert_ne!(seen[0], seen[1]);
    until_spare(&daemon);
    let cwd = daemon.call("worker.pwd", json!({}));
    assert!(structured(&cwd)["cwd"].as_str().unwrap().ends_with("state/worker"), "{cwd}");
    assert_eq!(starts(&daemon)["spare"], 3);
}

#[test]
fn a_changed_file_is_never_run_as_it_was() {
    let setup = smcpd();
    let directory = own(&setup, OWN);
    fs::write(directory.join("helper.py"), "VERSION = 0\n").unwrap();
    let daemon = setup.start();
    for version in 0..6 {
        if version > 0 {
            // In place or as a new file; the text has the same length, and the call follows at once.
            let text = format!("VERSION = {version}\n");
            if version % 2 == 0 {
                fs::write(directory.join("helper.py"), text).unwrap();
            } else {
                fs::write(directory.join("helper.new"), text).unwrap();
                fs::rename(directory.join("helper.new"), directory.join("helper.py")).unwrap();
            }
        }
        let said = daemon.call("own.say", json!({"text": "hi"}));
        assert_eq!(structured(&said), &json!({"text": "hi", "version": version}));
        until_spare(&daemon);
        let again = daemon.call("own.say", json!({"text": "again"}));
        assert_eq!(structured(&again), &json!({"text": "again", "version": version}));
    }
    assert!(starts(&daemon)["spare"] >= 6);
}

#[test]
fn a_changed_file_is_not_run_by_a_spare_of_a_model_either() {
    let setup = smcpd();
    let directory = own(&setup, OWN);
    let helper = directory.join("helper.py");
    fs::write(&helper, "VERSION = 0\n").unwrap();
    let daemon = setup.start();
    for version in 0..3 {
        fs::write(&helper, format!("VERSION = {version}\n")).unwrap();
        // A model is one process beside those that are counted.
        until("there is a model", || {
            let said = daemon.call("own.say", json!({"text": "hi"}));
            assert_eq!(structured(&said), &json!({"text": "hi", "version": version}));
            until_spare(&daemon);
            let counted = waiting(&daemon, "parent") + waiting(&daemon, "spare");
            (descendants(daemon.pid()).len() as u64 > counted).then_some(())
        });
        for _ in 0..3 {
            let said = daemon.call("own.say", json!({"text": "again"}));
            assert_eq!(structured(&said), &json!({"text": "again", "version": version}));
            until_spare(&daemon);
        }
    }
}

#[test]
fn an_ended_call_leaves_nothing_whatever_ran_it() {
    let daemon = smcpd()
        .plugins(&["orphans"])
        .config("[execution]\ngrace = 0.3\n[plugin.orphans]\ntimeout = 2\n")
        .start();
    let pidfile = daemon.path().join("pids");
    daemon.call("orphans.fork-tree", json!({"depth": 0}));
    until_spare(&daemon);
    let ended = daemon.call("orphans.stubborn", json!({"pidfile": pidfile, "seconds": 60}));
    assert_eq!(structured(&ended)["error"]["code"], "timeout", "{ended}");
    assert_eq!(starts(&daemon)["spare"], 1);
    let pids = fs::read_to_string(&pidfile).unwrap();
    let alive: Vec<u32> = pids.lines().map(|pid| pid.parse().unwrap()).filter(|pid| is_alive(*pid)).collect();
    assert_eq!(alive, [0; 0]);
}

#[test]
fn a_running_call_is_marked_and_outlives_its_parent() {
    let daemon = warm(smcpd());
    let parents = descendants(daemon.pid());
    let mut connection = daemon.connect();
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "worker.sleep", "arguments": {"seconds": 2}}});
    connection.write(
        "POST",
        "/messages/",
        &[("Content-Type", "application/json")],
        call.to_string().as_bytes(),
    );
    let id = until("the call runs", || {
        let environ = parents.iter().filter_map(|pid| fs::read(format!("/proc/{pid}/environ")).ok());
        let variables =
            environ.flat_map(|all| all.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect::<Vec<_>>());
        let mut ids = variables.filter_map(|variable| {
            String::from_utf8(variable).ok()?.strip_prefix("SMCP_CALL_ID=").map(str::to_owned)
        });
        ids.find(|id| id.contains('-'))
    });
    let leader = marked(&format!("SMCP_CALL_ID={id}"));
    assert_eq!(leader.len(), 1);
    for pid in parents.into_iter().filter(|pid| *pid != leader[0]) {
        kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
    }
    assert_eq!(connection.reply().json()["result"]["structuredContent"], json!({"slept": 2.0}));
    let next = daemon.call("worker.array", json!({}));
    assert_eq!(next["isError"], false, "{next}");
    until_spare(&daemon);
}

#[test]
fn a_spare_that_is_gone_costs_a_call_nothing() {
    let daemon = warm(smcpd());
    for pid in descendants(daemon.pid()) {
        kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
    }
    for _ in 0..3 {
        let said = daemon.call("worker.array", json!({}));
        assert_eq!(said["isError"], false, "{said}");
    }
}

#[test]
fn it_is_as_warm_as_the_operator_and_the_contract_let_it() {
    for (config, expected) in [
        ("[warm]\nmode = \"off\"\n", "cold"),
        ("[warm]\nmode = \"off\"\n[plugin.worker]\nwarm = \"fork\"\n", "fork"),
        ("[plugin.worker]\nwarm = \"off\"\n", "cold"),
        ("[plugin.worker]\nwarm = \"fork\"\n", "fork"),
    ] {
        let daemon = smcpd().plugins(&["worker"]).config(config).start();
        daemon.call("worker.text", json!({}));
        if expected == "fork" {
            until("its parent is up", || (waiting(&daemon, "parent") == 1).then_some(()));
        }
        daemon.call("worker.text", json!({}));
        assert!(starts(&daemon)[expected] >= 1, "{config}: {:?}", starts(&daemon));
        assert_eq!(waiting(&daemon, "spare"), 0, "{config}");
    }
    let always = smcpd().plugins(&["worker"]).config("[plugin.worker]\nwarm = \"always\"\n").start();
    until_spare(&always);
    always.call("worker.text", json!({}));
    assert_eq!(starts(&always)["cold"], 0);
}

#[test]
fn who_cannot_be_warmed_is_served_all_the_same() {
    // Ends, hangs or throws before it looks at its arguments, has no arguments at all, is not Python.
    let sources = [
        ("ends", "import sys\nif __name__ == '__main__':\n    print('{\"a\": 1}')\n"),
        ("raises", "raise SystemExit('{\"error\": \"not today\"}')\n"),
        ("breaks", "def :\n"),
    ];
    let setup = smcpd().plugins(&["bash_tool"]);
    for (name, source) in sources {
        let directory = setup.path().join("plugins").join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("cli.py"), source).unwrap();
        let contract = json!({"contract_version": "1.1", "commands": [{"name": "run"}]});
        fs::write(directory.join("contract.json"), contract.to_string()).unwrap();
    }
    let daemon = setup.start();
    for _ in 0..3 {
        assert_eq!(structured(&daemon.call("ends.run", json!({}))), &json!({"a": 1}));
        let raised = daemon.call("raises.run", json!({}));
        assert!(raised["content"][0]["text"].as_str().unwrap().contains("not today"), "{raised}");
        let broken = daemon.call("breaks.run", json!({}));
        assert!(broken["content"][0]["text"].as_str().unwrap().contains("SyntaxError"), "{broken}");
        assert_eq!(structured(&daemon.call("bash_tool.sum", json!({"a": 1, "b": 2})))["error"], Value::Null);
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    assert_eq!(starts(&daemon)["spare"], 0);
}

#[test]
fn nothing_that_waits_outlives_the_daemon() {
    for signal in [Signal::TERM, Signal::KILL] {
        let mut daemon = warm(smcpd());
        let waiting = descendants(daemon.pid());
        assert!(waiting.len() >= 2, "{waiting:?}");
        daemon.signal(signal);
        daemon.ended();
        until("all are gone", || waiting.iter().all(|pid| !is_alive(*pid)).then_some(()));
    }
}

/// What says that it ends with 7, and does not.
const LIAR: &str = "
import argparse, ctypes, os, sys, time
parser = argparse.ArgumentParser()
commands = parser.add_subparsers(dest='command', required=True)
for name in 'say', 'lie':
    commands.add_parser(name)
arguments = parser.parse_args()
print(os.getpid())
if arguments.command == 'lie':
    ctypes.CDLL(None).prctl(15, b'smcp-ended 7')
    os.closerange(0, 256)
    time.sleep(60)
";

#[test]
fn an_answer_does_not_wait_for_the_process_to_be_gone_but_the_next_call_does() {
    let setup = smcpd().config("[execution]\nserialize = \"plugin\"\n[plugin.own]\ntimeout = 20\n");
    own(&setup, LIAR);
    let daemon = setup.start();
    let text = |result: &Value| result["content"][0]["text"].as_str().unwrap().trim().to_owned();
    daemon.call("own.say", json!({}));
    until_spare(&daemon);
    let lied = daemon.call("own.lie", json!({}));
    assert_eq!((&lied["isError"], starts(&daemon)["spare"]), (&json!(true), 1), "{lied}");
    let pid: u32 = text(&lied).parse().unwrap();
    assert!(is_alive(pid), "it was not waited for");
    let said = daemon.call("own.say", json!({}));
    assert_ne!(text(&said), pid.to_string());
    assert!(!is_alive(pid), "what it said of itself kept it alive");
}

#[test]
fn who_takes_longer_than_the_grace_to_be_gone_takes_nobody_with_it() {
    let setup = smcpd().config("[execution]\ngrace = 0\n");
    own(
        &setup,
        "
import argparse, os, subprocess, time
parser = argparse.ArgumentParser()
parser.add_subparsers(dest='command', required=True).add_parser('leave')
parser.parse_args()
none = subprocess.DEVNULL
print(subprocess.Popen(['sleep', '30'], stdin=none, stdout=none, stderr=none).pid)
leave = os._exit
os._exit = lambda status: time.sleep(0.5) or leave(status)
",
    );
    let daemon = setup.start();
    let left = || {
        daemon.call("own.leave", json!({}))["content"][0]["text"].as_str().unwrap().trim().parse().unwrap()
    };
    let mut all: Vec<u32> = vec![left()];
    until_spare(&daemon);
    all.push(left());
    until_spare(&daemon);
    assert_eq!(starts(&daemon)["spare"], 1);
    for pid in all {
        assert!(is_alive(pid), "a normal exit ends nothing");
        kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
    }
}

#[test]
fn only_a_warm_worker_is_believed_that_it_ends() {
    let setup = smcpd().config("[warm]\nmode = \"off\"\n[plugin.own]\ntimeout = 1\n");
    own(&setup, LIAR);
    let lied = setup.start().call("own.lie", json!({}));
    assert_eq!(structured(&lied)["error"]["code"], "timeout", "{lied}");
}
