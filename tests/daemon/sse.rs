//! HTTP+SSE of 2024-11-05.

use serde_json::{Value, json};
use smcp_test_support::{Daemon, Stream, until};

use crate::smcpd;

fn open(daemon: &Daemon) -> (Stream, String) {
    Stream::open(daemon.connect(), &[])
}

fn request(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn initialize(daemon: &Daemon, stream: &mut Stream, path: &str, revision: &str) -> Value {
    let params =
        json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}});
    assert_eq!(daemon.post(path, &[], &request(0, "initialize", params)).status, 202);
    stream.message().unwrap()
}

#[test]
fn a_session_is_told_where_to_post_and_answered_on_its_stream() {
    let daemon = smcpd().plugins(&["demo_text"]).start();
    let (mut stream, path) = open(&daemon);
    assert_eq!(stream.reply.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.reply.header("x-accel-buffering"), Some("no"));
    assert!(path.starts_with("/messages/?session_id=") && path.len() == 22 + 32, "{path}");
    let answer = initialize(&daemon, &mut stream, &path, "2024-11-05");
    assert_eq!(answer["result"]["protocolVersion"], "2024-11-05");
    assert_eq!(answer["result"]["serverInfo"]["name"], "smcpd");
    let reply = daemon.post(&path, &[], &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    assert_eq!((reply.status, reply.body.len()), (202, 0));
    daemon.post(&path, &[], &request(1, "tools/list", json!({})));
    let tools = stream.message().unwrap()["result"]["tools"].take();
    assert_eq!(tools.as_array().unwrap().len(), 5);
    assert!(tools[1]["annotations"].is_null() && tools[1]["title"].is_null(), "{tools}");
    // Another spelling of the same route, as some clients post.
    let other = path.replace("/messages/?session_id", "/message?sessionId");
    daemon.post(
        &other,
        &[],
        &request(2, "tools/call", json!({"name": "demo_text__echo", "arguments": {"message": "hi"}})),
    );
    assert_eq!(stream.message().unwrap()["result"]["structuredContent"]["message"], "hi");
    // Before 2025-11-25 bad arguments are a protocol error.
    daemon.post(&path, &[], &request(3, "tools/call", json!({"name": "demo_text__echo", "arguments": {}})));
    let error = stream.message().unwrap()["error"].take();
    assert_eq!(
        (error["code"].as_i64(), error["message"].as_str()),
        (Some(-32602), Some("`message` is missing: a string is expected"))
    );
}

#[test]
fn an_unknown_session_is_404_and_a_bad_frame_is_refused_at_once() {
    let daemon = smcpd().start();
    let reply = daemon.post(
        "/messages/?session_id=feedfeedfeedfeedfeedfeedfeedfeed",
        &[],
        &request(1, "ping", json!({})),
    );
    assert_eq!((reply.status, reply.json()["error"]["code"].as_i64()), (404, Some(-32001)));
    let (_stream, path) = open(&daemon);
    let reply = daemon.connect().send("POST", &path, &[("Content-Type", "application/json")], b"{nope");
    assert_eq!((reply.status, reply.json()["error"]["code"].as_i64()), (400, Some(-32700)));
    let http = daemon.initialize("2025-06-18");
    let reply = daemon.post(&format!("/messages/?session_id={http}"), &[], &request(1, "ping", json!({})));
    assert_eq!(reply.status, 404);
}

#[test]
fn batches_are_for_2025_03_26_alone() {
    let daemon = smcpd().start();
    let (mut stream, path) = open(&daemon);
    initialize(&daemon, &mut stream, &path, "2025-03-26");
    let batch = json!([request(1, "ping", json!({})), {"jsonrpc": "2.0", "method": "x"}, 7, request(2, "nope", json!({}))]);
    daemon.post(&path, &[], &batch);
    let answers = stream.message().unwrap();
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 3);
    assert_eq!((answers[0]["id"].clone(), answers[2]["error"]["code"].clone()), (json!(1), json!(-32601)));
    let (mut stream, path) = open(&daemon);
    initialize(&daemon, &mut stream, &path, "2025-06-18");
    daemon.post(&path, &[], &batch);
    assert_eq!(stream.message().unwrap()["error"]["code"], -32600);
}

#[test]
fn two_sessions_with_the_same_ids_get_their_own_answers() {
    let daemon = smcpd().plugins(&["demo_text"]).config("[execution]\nserialize = \"none\"\n").start();
    let mut sessions = [open(&daemon), open(&daemon)];
    for id in 0..10 {
        for (number, (_, path)) in sessions.iter().enumerate() {
            let arguments = json!({"message": format!("{number}-{id}")});
            daemon.post(
                path,
                &[],
                &request(id, "tools/call", json!({"name": "demo_text.echo", "arguments": arguments})),
            );
        }
    }
    for (number, (stream, _)) in sessions.iter_mut().enumerate() {
        let mut seen = Vec::new();
        for _ in 0..10 {
            let answer = stream.message().unwrap();
            let id = answer["id"].as_u64().unwrap();
            assert_eq!(answer["result"]["structuredContent"]["message"], format!("{number}-{id}"));
            seen.push(id);
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    }
}

#[test]
fn the_manifest_comes_where_it_is_asked_for() {
    let daemon = smcpd().plugins(&["demo_math"]).start();
    let mut connection = daemon.connect();
    connection.write("GET", "/sse?manifest=true", &[], b"");
    let mut stream = connection.into_stream();
    assert_eq!(stream.event().unwrap().name, "endpoint");
    let manifest = stream.message().unwrap();
    assert_eq!(manifest["method"], "notifications/tools/list");
    assert_eq!(manifest["params"]["tools"].as_array().unwrap().len(), 4);
    let always = smcpd().config("[sse]\nmanifest = true\n").start();
    let (mut stream, _) = open(&always);
    assert_eq!(stream.message().unwrap()["method"], "notifications/tools/list");
}

#[test]
fn silence_is_filled_and_a_closed_stream_ends_its_session_and_calls() {
    let daemon = smcpd().plugins(&["worker"]).config("[http]\nkeep_alive = 0.2\n").start();
    let (mut stream, path) = open(&daemon);
    assert_eq!(stream.event().unwrap().name, ":");
    daemon.post(
        &path,
        &[],
        &request(1, "tools/call", json!({"name": "worker.sleep", "arguments": {"seconds": 60}})),
    );
    let health = |key: &str| daemon.get("/health", &[]).json()["calls"][key].as_u64().unwrap();
    until("the call runs", || (health("running") == 1).then_some(()));
    drop(stream);
    until("the call ended with its stream", || (health("running") == 0).then_some(()));
    until("the session is gone", || (daemon.get("/health", &[]).json()["sessions"] == 0).then_some(()));
    assert_eq!(daemon.post(&path, &[], &request(1, "ping", json!({}))).status, 404);
}

#[test]
fn a_reader_that_stalls_is_closed_and_the_rest_go_on() {
    let daemon = smcpd().plugins(&["worker"]).config("[sessions]\noutbox = 4\n").start();
    let (stalled, slow) = open(&daemon);
    let (mut stream, path) = open(&daemon);
    // 1 MiB an answer: the kernel's buffers take a few, the outbox four.
    for id in 0..40 {
        let call =
            request(id, "tools/call", json!({"name": "worker.flood", "arguments": {"bytes": 1 << 20}}));
        if daemon.post(&slow, &[], &call).status == 404 {
            break;
        }
        daemon.post(&path, &[], &request(id, "ping", json!({})));
        assert_eq!(stream.message().unwrap()["id"], json!(id));
    }
    until("the stalled session is closed", || {
        (daemon.post(&slow, &[], &request(99, "ping", json!({}))).status == 404).then_some(())
    });
    daemon.post(&path, &[], &request(100, "ping", json!({})));
    assert_eq!(stream.message().unwrap()["id"], json!(100));
    drop(stalled);
}

#[test]
fn sessions_are_bounded() {
    let daemon = smcpd().config("[sessions]\nmax = 2\n").start();
    let (_one, _) = open(&daemon);
    let two = open(&daemon);
    let refused = daemon.get("/sse", &[]);
    assert_eq!(refused.status, 503);
    assert!(refused.json()["message"].as_str().unwrap().contains("sessions.max"));
    drop(two);
    until("a place is free again", || (daemon.get("/health", &[]).json()["sessions"] == 1).then_some(()));
    let _three = open(&daemon);
}

#[test]
fn a_client_that_cancels_gets_no_answer_and_the_process_ends() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let (mut stream, path) = open(&daemon);
    daemon.post(
        &path,
        &[],
        &request(7, "tools/call", json!({"name": "worker.sleep", "arguments": {"seconds": 60}})),
    );
    let running = || daemon.get("/health", &[]).json()["calls"]["running"] == 1;
    until("the call runs", || running().then_some(()));
    let cancelled =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}});
    daemon.post(&path, &[], &cancelled);
    until("the call ended", || (!running()).then_some(()));
    daemon.post(&path, &[], &request(8, "ping", json!({})));
    assert_eq!(stream.message().unwrap()["id"], json!(8));
    until("its outcome is logged", || daemon.log().contains("\"outcome\":\"cancelled\"").then_some(()));
}
