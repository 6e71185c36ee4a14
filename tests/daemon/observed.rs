//! What an operator sees from outside: figures, and events with their fields.

use serde_json::{Value, json};
use smcp_test_support::until;

use crate::smcpd;

#[test]
fn figures_count_calls_and_stand_behind_the_gate() {
    let daemon = smcpd().plugins(&["demo_text"]).environment("MCP_API_KEY", "k").start();
    let key = ("X-API-Key", "k");
    assert_eq!(daemon.get("/metrics", &[]).status, 401);
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "demo_text.echo", "arguments": {"message": "a\nMESSAGE_ID=0"}}});
    assert_eq!(daemon.post("/messages/", &[key], &call).status, 200);
    let figures = daemon.get("/metrics", &[key]).text();
    for line in [
        "smcp_calls_total{plugin=\"demo_text\",tool=\"demo_text.echo\",outcome=\"ok\"} 1",
        "smcp_requests_refused_total{reason=\"key_missing\"} 1",
        "smcp_plugins{state=\"described\"} 1",
        "smcp_starts_total{start=\"cold\"} 1",
        "smcp_call_run_seconds_count{plugin=\"demo_text\"} 1",
    ] {
        assert!(figures.lines().any(|found| found == line), "{line}: {figures}");
    }
    let cpu = figures.lines().find_map(|line| line.strip_prefix("process_cpu_seconds_total "));
    assert!(cpu.unwrap().parse::<f64>().unwrap() >= 0.0);
    assert_eq!(daemon.get("/metrics", &[key, ("Host", "evil.example")]).status, 403);
}

#[test]
fn a_call_is_an_event_with_its_trace_and_its_plugins_words_are_logged_at_debug() {
    let daemon = smcpd().plugins(&["worker"]).config("[log]\nlevel = \"debug\"\n").start();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "worker.fail",
        "arguments": {"message": "oh\u{1b}[2J no", "style": "stderr"},
        "_meta": {"traceparent": format!("00-{trace}-00f067aa0ba902b7-01")},
    }});
    daemon.post("/messages/", &[("X-Agent-Id", "agent-7")], &call);
    let event = |name: &str| {
        let log = daemon.log();
        let mut records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records.find(|record| record["event"] == name)
    };
    let failed = until("the call is logged", || event("call-failed"));
    for (field, value) in [
        ("message", "call finished"),
        ("tool", "worker.fail"),
        ("plugin", "worker"),
        ("outcome", "plugin_error"),
        ("caller", "anonymous"),
        ("agent", "agent-7"),
        ("trace", trace),
    ] {
        assert_eq!(failed[field], value, "{failed}");
    }
    let arguments = failed["arguments"].as_str().unwrap();
    assert!(arguments.starts_with("message=") && arguments.contains(" style=8 sha256:"), "{arguments}");
    assert!(!arguments.contains("oh"), "{arguments}");
    let said = until("the line is logged", || event("plugin-said"));
    assert_eq!((&said["message"], &said["call"]), (&json!("oh\\u{1b}[2J no"), &failed["call"]));
    for name in ["starting", "ready", "plugin-linked"] {
        assert!(event(name).is_some(), "{name}");
    }
}

#[test]
fn a_plugin_that_changed_while_nobody_watched_is_told_of_once() {
    let cache = tempfile::tempdir().unwrap();
    let plugin = tempfile::tempdir().unwrap();
    let program = plugin.path().join("cli");
    let write = |text: &str| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(&program, format!("#!/bin/sh\necho '{{\"commands\": [{{\"name\": \"{text}\"}}]}}'\n"))
            .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let drifts = || {
        let setup = smcpd().environment("XDG_CACHE_HOME", cache.path().to_str().unwrap());
        std::os::unix::fs::symlink(plugin.path(), setup.path().join("plugins/mine")).unwrap();
        let daemon = setup.start();
        let log = daemon.log();
        log.lines().filter(|line| line.contains("\"plugin-drifted\"") && line.contains("\"mine\"")).count()
    };
    write("one");
    assert_eq!((drifts(), drifts()), (0, 0));
    write("other");
    assert_eq!((drifts(), drifts()), (1, 0));
}

#[test]
fn a_call_whose_client_goes_away_is_an_event_and_counted() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let connection = daemon.begin("worker.sleep", json!({"seconds": 60}));
    until("the call runs", || (daemon.get("/health", &[]).json()["calls"]["running"] == 1).then_some(()));
    drop(connection);
    until("the call is logged", || daemon.log().contains("\"call-cancelled\"").then_some(()));
    let counted = "smcp_calls_total{plugin=\"worker\",tool=\"worker.sleep\",outcome=\"cancelled\"} 1";
    assert!(daemon.get("/metrics", &[]).text().contains(counted));
}
