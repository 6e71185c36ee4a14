//! Plugins that take all they can get: they meet a bound that nobody had to set, others go on, and nothing is left.
//! `tests/hostile/plugins` has the figures.

use std::fs;

use serde_json::{Value, json};
use smcp_test_support::{Daemon, descendants, marked, resident_kib, until};

use crate::smcpd;

/// Bytes.
fn memory_of_the_machine() -> u64 {
    let told = fs::read_to_string("/proc/meminfo").unwrap();
    let line = told.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

fn answers(daemon: &Daemon) {
    assert_eq!(daemon.call("bash_tool.sum", json!({"a": 1, "b": 2}))["structuredContent"]["sum"], 3);
}

#[test]
fn a_fork_bomb_meets_its_bound_and_all_of_it_is_ended() {
    let setup = smcpd().unprivileged().plugins(&["hostile", "bash_tool", "worker"]);
    let note = setup.path().join("note");
    let daemon = setup.config("[execution]\ngrace = 0.1\n").start();
    let bomb = daemon.begin("hostile.fork-bomb", json!({"most": 60_000, "note": note}));
    let found = until("the kernel refuses", || fs::read_to_string(&note).ok());
    let found: Value = serde_json::from_str(&found).unwrap();
    // As many as that run on the machine, and those that may come on top.
    assert_eq!(found["refused"], "Resource temporarily unavailable", "{found}");
    assert!(found["forked"].as_u64().unwrap() >= 400, "an honest plugin has room: {found}");
    let many = descendants(daemon.pid()).len();
    assert!(many > 400, "{many}");
    // A neighbour starts processes all the same, and one that forks does.
    for _ in 0..3 {
        answers(&daemon);
        assert_eq!(daemon.call("worker.read", json!({"seconds": 0}))["isError"], json!(false));
    }
    drop(bomb);
    until("nothing runs", || (daemon.get("/health", &[]).json()["calls"]["running"] == 0).then_some(()));
    let state = format!("SMCP_STATE_DIR={}", daemon.path().join("STATE/smcp/state/hostile").display());
    let left = || marked(&state).len() <= 3;
    until("all of it is gone, but for what is kept warm", || left().then_some(()));
    answers(&daemon);
    assert!(!daemon.log().contains("could not be killed"));
}

#[test]
fn a_process_has_not_all_of_the_machines_memory() {
    let daemon = smcpd().plugins(&["hostile"]).start();
    let half = memory_of_the_machine() / 2;
    // Asked for and not written to: nobody else is to be short of it because of a test.
    let said = daemon.call("hostile.hog", json!({"step": 64, "touch": 0}))["structuredContent"].clone();
    let held = said["held"].as_u64().unwrap();
    assert!(said["refused"].is_string() && held <= half && held > half / 2, "{said}, half is {half}");
}

#[test]
fn a_flood_on_either_pipe_ends_its_call_and_costs_the_daemon_nothing() {
    let config = "[execution]\noutput_limit = 1_000_000\ngrace = 0.1\n";
    let daemon = smcpd().plugins(&["hostile", "bash_tool"]).config(config).start();
    answers(&daemon);
    for stream in ["stdout", "stderr"] {
        let before = resident_kib(daemon.pid());
        let said = daemon.call("hostile.flood", json!({"stream": stream}));
        assert_eq!(said["structuredContent"]["error"]["code"], "output_too_large", "{stream}: {said}");
        let after = resident_kib(daemon.pid());
        assert!(after < before + 48_000, "{stream}: {before} KiB before, {after} KiB after");
        answers(&daemon);
    }
}

#[test]
fn words_that_nobody_sees_reach_no_client() {
    let daemon = smcpd().plugins(&["disguised"]).start();
    let answer = daemon.ask("tools/list", json!({}));
    let tool =
        answer["result"]["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == "disguised__look");
    let tool = tool.unwrap();
    assert_eq!(tool["description"], "Looks around. Nothing else.");
    assert_eq!(tool["inputSchema"]["properties"]["where"]["description"], "A place5n.");
    let unseen =
        |letter: char| letter.is_control() && letter != '\n' || ('\u{e0000}'..='\u{e007f}').contains(&letter);
    let texts = |value: &Value| serde_json::to_string(value).unwrap();
    assert!(!texts(tool).contains("\\u") && !texts(tool).chars().any(unseen), "{tool}");
}
