//! Running and ending calls, seen from outside.

use std::fs;

use serde_json::{Value, json};
use smcp_test_support::{Daemon, is_alive, marked, until, working};

use crate::smcpd;

fn code(result: &Value) -> &str {
    result["structuredContent"]["error"]["code"].as_str().unwrap_or_else(|| panic!("no code: {result}"))
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {result}"))
}

fn pids(daemon: &Daemon, name: &str) -> Vec<u32> {
    let path = daemon.path().join(name);
    until("the pid file", || {
        let text = fs::read_to_string(&path).ok()?;
        Some(text.split_whitespace().map(|pid| pid.parse().expect("a pid")).collect())
    })
}

#[test]
fn what_a_plugin_says_becomes_the_result() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let call = |tool: &str, arguments: Value| daemon.call(&format!("worker.{tool}"), arguments);
    let plain = call("text", json!({}));
    assert!(plain["structuredContent"].is_null() && !text(&plain).is_empty(), "{plain}");
    assert_eq!(call("noisy", json!({}))["structuredContent"], json!({"done": true}));
    let array = call("array", json!({}));
    assert!(array["structuredContent"].is_null() && text(&array).starts_with('['), "{array}");
    let blocks = call("blocks", json!({}));
    assert_eq!(blocks["content"][1]["type"], "image", "{blocks}");
    assert_eq!(text(&call("silent", json!({}))), "(no output)");
    assert!(text(&call("unicode", json!({}))).contains('\u{fffd}'));
    assert_eq!(
        call("stdin", json!({"text": "a", "items": "b"}))["structuredContent"]["received"],
        json!({"text": "a", "items": ["b"]})
    );
    for (style, code_) in [("error-json", 1), ("stderr", 3)] {
        let failed = call("fail", json!({"message": "no luck", "code": code_, "style": style}));
        assert_eq!((code(&failed), failed["isError"].clone()), ("plugin_error", json!(true)));
        assert!(text(&failed).contains("no luck"), "{failed}");
    }
    let soft = call("fail", json!({"message": "hm", "style": "status", "code": 0}));
    assert_eq!(
        (soft["isError"].clone(), soft["structuredContent"]["status"].clone()),
        (json!(false), json!("error"))
    );
    assert_eq!(text(&call("crash", json!({}))), "was ended by signal 9");
    assert!(text(&call("usage-error", json!({}))).contains("usage:"));
}

#[test]
fn a_call_has_its_own_environment_and_directory() {
    let daemon = smcpd()
        .plugins(&["worker"])
        .environment("MCP_API_KEY", "hush")
        .environment("MCP_AUTH_ALLOW_LOOPBACK", "1")
        .environment("PLAIN", "kept")
        .config("[plugin.worker.env]\nGRANTED = \"yes\"\n")
        .start();
    let headers = [("X-Agent-Id", "agent-7")];
    let meta = json!({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"});
    let params = json!({"name": "worker.env", "arguments": {}, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let result = daemon.post("/messages/", &headers, &body).json()["result"].take();
    let environment = &result["structuredContent"];
    for (name, value) in [
        ("PLAIN", "kept"),
        ("GRANTED", "yes"),
        ("SMCP_AGENT_ID", "agent-7"),
        ("SMCP_CALLER", "anonymous"),
        ("PYTHONUNBUFFERED", "1"),
    ] {
        assert_eq!(environment[name], value, "{name}");
    }
    assert!(environment["TRACEPARENT"].as_str().unwrap().starts_with("00-0af765"));
    assert!(environment["SMCP_CALL_ID"].is_string());
    for name in ["MCP_API_KEY", "NOTIFY_SOCKET"] {
        assert!(environment[name].is_null(), "{name}");
    }
    let state = environment["SMCP_STATE_DIR"].as_str().unwrap();
    let directory = daemon.call("worker.pwd", json!({}));
    assert!(state.ends_with("/state/worker") && text(&directory).contains(state), "{directory}");
    let plain = daemon.call("worker.env", json!({}));
    assert!(plain["structuredContent"]["SMCP_AGENT_ID"].is_null());
}

#[test]
fn a_call_past_its_deadline_ends_with_everything_it_started() {
    let daemon = smcpd().plugins(&["orphans"]).config("[execution]\ntimeout = 1\ngrace = 0.3\n").start();
    let file = daemon.path().join("pids");
    let result = daemon.call("orphans.stubborn", json!({"pidfile": file}));
    assert_eq!(code(&result), "timeout");
    assert!(text(&result).starts_with("timed out after 1"), "{result}");
    let all = pids(&daemon, "pids");
    assert_eq!(all.len(), 4);
    // The answer came only when nothing was left.
    assert_eq!(all.iter().filter(|pid| is_alive(**pid)).count(), 0);
}

#[test]
fn a_background_child_of_a_normal_exit_survives_and_is_reaped() {
    let daemon = smcpd().plugins(&["orphans"]).start();
    let path = daemon.path().join("pids");
    let result = daemon.call("orphans.daemonize", json!({"pidfile": path, "seconds": 60}));
    assert_eq!(result["isError"], json!(false));
    let child = pids(&daemon, "pids")[0];
    assert!(is_alive(child));
    let held = daemon.path().join("held");
    daemon.call("orphans.hold-pipe", json!({"pidfile": held, "seconds": 60}));
    let holder = pids(&daemon, "held")[0];
    assert!(is_alive(holder));
    for pid in [child, holder] {
        let process = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
        until("it is reaped", || (!fs::exists(format!("/proc/{pid}")).unwrap()).then_some(()));
    }
}

#[test]
fn nothing_outlives_a_daemon_that_is_killed_outright() {
    let mut daemon = smcpd().plugins(&["worker"]).start();
    let _connection = daemon.begin("worker.sleep", json!({"seconds": 60}));
    let pid = until("the plugin runs", || working(daemon.pid()).first().copied());
    daemon.signal(rustix::process::Signal::KILL);
    daemon.ended();
    until("the plugin ends", || (!is_alive(pid)).then_some(()));
}

#[test]
fn writers_take_turns_readers_overlap_and_the_queue_is_bounded() {
    let daemon = smcpd().plugins(&["worker"]).config("[execution]\nqueue = 1\n").start();
    let intervals = |tool: &str, count: usize| -> Vec<Value> {
        std::thread::scope(|scope| {
            let calls: Vec<_> =
                (0..count).map(|_| scope.spawn(|| daemon.call(tool, json!({"seconds": 0.5})))).collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        })
    };
    let overlap = |results: &[Value]| {
        let times: Vec<(f64, f64)> = results
            .iter()
            .filter(|result| result["isError"] == json!(false))
            .map(|result| &result["structuredContent"])
            .map(|times| (times["start"].as_f64().unwrap(), times["end"].as_f64().unwrap()))
            .collect();
        (
            times.len(),
            times
                .iter()
                .enumerate()
                .any(|(at, one)| times[at + 1..].iter().any(|other| one.0 < other.1 && other.0 < one.1)),
        )
    };
    assert_eq!(overlap(&intervals("worker.read", 2)), (2, true));
    assert_eq!(overlap(&intervals("worker.write", 2)), (2, false));
    let results = intervals("worker.write", 4);
    assert_eq!(overlap(&results), (2, false));
    let full: Vec<&Value> = results.iter().filter(|result| result["isError"] == json!(true)).collect();
    assert!(full.iter().all(|result| code(result) == "queue_full"), "{full:?}");
    let free = smcpd().plugins(&["worker"]).config("[execution]\nserialize = \"none\"\n").start();
    let results: Vec<Value> = std::thread::scope(|scope| {
        let calls: Vec<_> =
            (0..3).map(|_| scope.spawn(|| free.call("worker.write", json!({"seconds": 0.5})))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(overlap(&results), (3, true));
}

#[test]
fn output_past_the_limit_keeps_its_head_and_tail_and_a_flood_is_ended() {
    let daemon = smcpd().plugins(&["worker"]).config("[execution]\noutput_limit = 10000\n").start();
    let result = daemon.call("worker.flood", json!({"bytes": 100_000}));
    assert_eq!(result["isError"], json!(false));
    assert!(text(&result).contains("bytes cut") && text(&result).len() < 10_200, "{}", text(&result).len());
    assert!(result["structuredContent"]["truncated"]["bytes"].as_u64().unwrap() >= 90_000);
    let result = daemon.call("worker.flood", json!({"bytes": 100_000_000}));
    assert_eq!(code(&result), "output_too_large");
    let both = daemon.call("worker.flood", json!({"bytes": 100_000, "stream": "stderr"}));
    assert_eq!(both["isError"], json!(false));
}

#[test]
fn whether_an_output_is_too_large_is_no_matter_of_when_it_is_read() {
    let daemon = smcpd().plugins(&["worker"]).config("[execution]\noutput_limit = 1024\n").start();
    for _ in 0..5 {
        let (within, past) = (30_000, 40_000);
        let result = daemon.call("worker.flood", json!({"bytes": within}));
        assert_eq!(result["isError"], json!(false), "{result}");
        for stream in ["stdout", "stderr"] {
            let result = daemon.call("worker.flood", json!({"bytes": past, "stream": stream}));
            assert_eq!(code(&result), "output_too_large");
        }
    }
}

#[test]
fn the_operator_lifts_and_narrows_the_time_limit_by_plugin() {
    let config = "[execution]\ntimeout = 0.5\n[plugin.worker]\ntimeout = 0\n";
    let daemon = smcpd().plugins(&["worker"]).config(config).start();
    assert_eq!(daemon.call("worker.sleep", json!({"seconds": 1}))["isError"], json!(false));
    let daemon = smcpd().plugins(&["worker"]).argument("--plugin-timeout").argument("0.5").start();
    assert_eq!(code(&daemon.call("worker.sleep", json!({"seconds": 9, "ignore_term": false}))), "timeout");
}

#[test]
fn a_plugin_that_cannot_start_is_start_failed() {
    let daemon = smcpd().plugins(&["bash_tool"]).start();
    assert_eq!(daemon.call("bash_tool.sum", json!({"a": 1, "b": 2}))["structuredContent"]["sum"], 3);
    // The link now leads to a plugin that lost its program.
    let link = daemon.path().join("plugins/bash_tool");
    let copy = daemon.path().join("copy");
    fs::create_dir(&copy).unwrap();
    smcp_test_support::copy_program(link.join("cli"), copy.join("cli"));
    let other = smcpd();
    std::os::unix::fs::symlink(&copy, other.path().join("plugins/moved")).unwrap();
    let other = other.start();
    fs::remove_file(copy.join("cli")).unwrap();
    let result = other.call("moved.sum", json!({"a": 1, "b": 2}));
    assert_eq!(code(&result), "start_failed");
    assert!(text(&result).contains("cannot start") && text(&result).contains("No such file"), "{result}");
}

#[test]
fn marks_are_found_only_while_a_call_runs() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let id = daemon.call("worker.env", json!({"name": "SMCP_CALL_ID"}));
    let mark = format!("SMCP_CALL_ID={}", text(&id).trim_matches('"'));
    assert!(marked(&mark).is_empty(), "{mark}");
}

#[test]
fn an_output_that_is_cut_is_there_whole_as_a_resource_of_its_caller() {
    let daemon = smcpd()
        .plugins(&["worker"])
        .config("[execution]\noutput_limit = 2000\n")
        .environment("MCP_API_KEYS", "one,two")
        .start();
    let ask = |key: &str, method: &str, params: Value| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        daemon.post("/messages/", &[("X-API-Key", key)], &body).json()
    };
    let called = ask("one", "tools/call", json!({"name": "worker.flood", "arguments": {"bytes": 10_000}}));
    let content = called["result"]["content"].as_array().unwrap();
    assert!(content[0]["text"].as_str().unwrap().contains("bytes cut"), "{called}");
    let link = &content[1];
    assert_eq!(
        (&link["type"], link["size"].as_u64().unwrap() >= 10_000),
        (&json!("resource_link"), true),
        "{link}"
    );
    let read = |key: &str| ask(key, "resources/read", json!({"uri": link["uri"]}));
    let text = read("one")["result"]["contents"][0]["text"].as_str().unwrap().to_owned();
    assert_eq!(text.len() as u64, link["size"].as_u64().unwrap());
    assert_eq!(read("two")["error"]["code"], -32002);
    assert_eq!(read("two")["error"]["data"]["uri"], link["uri"]);
}
