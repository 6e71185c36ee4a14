//! Streamable HTTP: `/mcp` in the revisions with sessions.

use serde_json::{Value, json};
use smcp_test_support::{Daemon, Reply, until};

use crate::smcpd;

const BOTH: (&str, &str) = ("Accept", "application/json, text/event-stream");

fn request(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn post(daemon: &Daemon, session: &str, body: &Value) -> Reply {
    daemon.post("/mcp", &[BOTH, ("Mcp-Session-Id", session)], body)
}

#[test]
fn each_revision_is_agreed_to_and_the_stateless_one_never_is() {
    let daemon = smcpd().start();
    for revision in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let session = daemon.initialize(revision);
        assert_eq!(session.len(), 32);
        let reply = post(&daemon, &session, &request(1, "ping", json!({})));
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
        assert_eq!(reply.json(), json!({"jsonrpc": "2.0", "id": 1, "result": {}}));
    }
    let asked = request(
        0,
        "initialize",
        json!({"protocolVersion": "2026-07-28", "capabilities": {}, "clientInfo": {}}),
    );
    let reply = daemon.post("/mcp", &[BOTH], &asked);
    assert_eq!(reply.json()["result"]["protocolVersion"], "2025-11-25");
    let discover = |version: &str| {
        let meta = json!({"_meta": {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {},
        }});
        let headers = [BOTH, ("MCP-Protocol-Version", version), ("Mcp-Method", "server/discover")];
        daemon.post("/mcp", &headers, &request(1, "server/discover", meta))
    };
    let unknown = discover("2099-01-01");
    assert_eq!((unknown.status, unknown.json()["error"]["code"].as_i64()), (400, Some(-32022)));
    assert_eq!(unknown.json()["error"]["data"]["supported"][0], "2026-07-28");
    let known = discover("2026-07-28");
    assert_eq!((known.status, &known.json()["result"]["supportedVersions"][1]), (200, &json!("2025-11-25")));
    // Asked without the header, outside any session: answered at once.
    let reply = daemon.post("/mcp", &[BOTH], &request(1, "server/discover", json!({})));
    assert_eq!((reply.status, reply.json()["error"]["code"].as_i64()), (200, Some(-32601)));
    let session = daemon.initialize("2025-06-18");
    let headers = [BOTH, ("Mcp-Session-Id", session.as_str()), ("MCP-Protocol-Version", "2025-03-26")];
    assert_eq!(daemon.post("/mcp", &headers, &request(1, "ping", json!({}))).status, 200);
}

#[test]
fn a_session_is_used_and_deleted() {
    let daemon = smcpd().start();
    let ping = request(1, "ping", json!({}));
    let session = daemon.initialize("2025-11-25");
    let header = [("Mcp-Session-Id", session.as_str())];
    assert_eq!(daemon.connect().send("DELETE", "/mcp", &header, b"").status, 200);
    assert_eq!(post(&daemon, &session, &ping).status, 404);
    assert_eq!(daemon.connect().send("DELETE", "/mcp", &header, b"").status, 404);
    assert_eq!(daemon.connect().send("DELETE", "/mcp", &[], b"").status, 400);
}

#[test]
fn a_session_belongs_to_the_key_that_opened_it() {
    let daemon = smcpd().environment("MCP_API_KEYS", "one,two").start();
    let initialize = request(
        0,
        "initialize",
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}}),
    );
    let reply = daemon.post("/mcp", &[BOTH, ("X-API-Key", "one")], &initialize);
    let session = reply.header("mcp-session-id").unwrap().to_owned();
    let status = |key: &str| {
        let headers = [BOTH, ("X-API-Key", key), ("Mcp-Session-Id", session.as_str())];
        daemon.post("/mcp", &headers, &request(1, "ping", json!({}))).status
    };
    assert_eq!((status("one"), status("two")), (200, 404));
}

#[test]
fn batches_are_for_2025_03_26_alone() {
    let daemon = smcpd().start();
    let batch = json!([request(1, "ping", json!({})), request(2, "ping", json!({}))]);
    let old = daemon.initialize("2025-03-26");
    assert_eq!(post(&daemon, &old, &batch).json().as_array().unwrap().len(), 2);
    for revision in ["2025-06-18", "2025-11-25"] {
        let session = daemon.initialize(revision);
        assert_eq!(post(&daemon, &session, &batch).json()["error"]["code"], -32600);
    }
}

#[test]
fn accept_decides_the_kind_of_answer() {
    let daemon = smcpd().start();
    let session = daemon.initialize("2025-06-18");
    let ping = request(1, "ping", json!({}));
    let with = |accept: &str| {
        let mut connection = daemon.connect();
        let headers =
            [("Content-Type", "application/json"), ("Accept", accept), ("Mcp-Session-Id", session.as_str())];
        connection.write("POST", "/mcp", &headers, ping.to_string().as_bytes());
        connection.reply()
    };
    assert_eq!(with("application/json").header("content-type"), Some("application/json"));
    let stream = with("text/event-stream");
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(
        stream.text(),
        "id: 1-1\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n"
    );
    assert_eq!(with("text/html").status, 406);
}

#[test]
fn a_long_answer_comes_as_a_stream_primed_for_2025_11_25_alone() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let call = request(1, "tools/call", json!({"name": "worker.sleep", "arguments": {"seconds": 2}}));
    for (revision, primed) in [("2025-03-26", false), ("2025-06-18", false), ("2025-11-25", true)] {
        let session = daemon.initialize(revision);
        let mut connection = daemon.connect();
        let headers = [("Content-Type", "application/json"), BOTH, ("Mcp-Session-Id", session.as_str())];
        connection.write("POST", "/mcp", &headers, call.to_string().as_bytes());
        let mut stream = connection.into_stream();
        assert_eq!(stream.reply.header("content-type"), Some("text/event-stream"), "{revision}");
        let first = stream.event().unwrap();
        assert_eq!(first.id.is_some() && first.data.is_empty(), primed, "{revision}: {first:?}");
        let answer = if primed { stream.message().unwrap() } else { first.json() };
        assert_eq!(answer["result"]["isError"], json!(false), "{revision}");
        assert_eq!(stream.event(), None);
    }
}

#[test]
fn a_client_that_goes_away_takes_its_call_along_and_may_ask_what_became_of_it() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let session = daemon.initialize("2025-11-25");
    let call = request(5, "tools/call", json!({"name": "worker.sleep", "arguments": {"seconds": 60}}));
    let headers = [("Content-Type", "application/json"), BOTH, ("Mcp-Session-Id", session.as_str())];
    let running = || daemon.get("/health", &[]).json()["calls"]["running"].as_u64().unwrap();
    // Gone before the answer became a stream.
    let mut connection = daemon.connect();
    connection.write("POST", "/mcp", &headers, call.to_string().as_bytes());
    until("the call runs", || (running() == 1).then_some(()));
    drop(connection);
    until("the call ended", || (running() == 0).then_some(()));
    // Gone after it.
    let mut connection = daemon.connect();
    connection.write("POST", "/mcp", &headers, call.to_string().as_bytes());
    let mut stream = connection.into_stream();
    let id = stream.event().unwrap().id.unwrap();
    drop(stream);
    until("the call ended", || (running() == 0).then_some(()));
    let again = [
        ("Accept", "text/event-stream"),
        ("Mcp-Session-Id", session.as_str()),
        ("Last-Event-ID", id.as_str()),
    ];
    let mut connection = daemon.connect();
    connection.write("GET", "/mcp", &again, b"");
    let reply = connection.reply();
    assert!(reply.text().contains("the connection broke"), "{}", reply.text());
}

#[test]
fn one_stream_a_session_hears_of_a_new_catalog() {
    let daemon = smcpd().plugins(&["slow_start"]).config("[plugins]\nstartup_wait = 0.1\n").start();
    let session = daemon.initialize("2025-11-25");
    let headers = [("Accept", "text/event-stream"), ("Mcp-Session-Id", session.as_str())];
    let mut connection = daemon.connect();
    connection.write("GET", "/mcp", &headers, b"");
    let mut stream = connection.into_stream();
    assert_eq!(stream.reply.status, 200);
    assert_eq!(daemon.get("/mcp", &headers).status, 409);
    assert_eq!(daemon.get("/mcp", &[("Accept", "application/json"), headers[1]]).status, 405);
    assert_eq!(daemon.get("/mcp", &headers[..1]).status, 400);
    let list = |id| post(&daemon, &session, &request(id, "tools/list", json!({}))).json();
    assert_eq!(list(1)["result"]["tools"].as_array().unwrap().len(), 1);
    assert_eq!(stream.message().unwrap()["method"], "notifications/tools/list_changed");
    assert_eq!(list(2)["result"]["tools"][1]["name"], "slow_start__ping");
    daemon.connect().send("DELETE", "/mcp", &headers[1..], b"");
    assert_eq!(stream.message(), None);
}

#[test]
fn idle_sessions_are_forgotten_and_busy_ones_are_not() {
    let daemon = smcpd().plugins(&["worker"]).config("[sessions]\nidle = 1\n").start();
    let idle = daemon.initialize("2025-11-25");
    let busy = daemon.initialize("2025-11-25");
    let call = request(1, "tools/call", json!({"name": "worker.sleep", "arguments": {"seconds": 3}}));
    let reply = post(&daemon, &busy, &call);
    assert!(reply.text().contains("\"isError\":false"), "{}", reply.text());
    assert_eq!(post(&daemon, &busy, &request(2, "ping", json!({}))).status, 200);
    assert_eq!(post(&daemon, &idle, &request(1, "ping", json!({}))).status, 404);
}

#[test]
fn an_id_in_use_is_refused_and_a_cancelled_request_is_not_answered() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let session = daemon.initialize("2025-06-18");
    let call = request(1, "tools/call", json!({"name": "worker.sleep", "arguments": {"seconds": 60}}));
    let mut connection = daemon.connect();
    let headers = [("Content-Type", "application/json"), BOTH, ("Mcp-Session-Id", session.as_str())];
    connection.write("POST", "/mcp", &headers, call.to_string().as_bytes());
    until("the call runs", || (daemon.get("/health", &[]).json()["calls"]["running"] == 1).then_some(()));
    let error = post(&daemon, &session, &request(1, "ping", json!({}))).json()["error"].take();
    assert_eq!(error["code"], -32600);
    let cancelled =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(post(&daemon, &session, &cancelled).status, 202);
    let reply = connection.reply();
    assert_eq!((reply.status, reply.text()), (200, String::new()));
    for params in [json!({}), json!({"requestId": 99}), json!({"requestId": null}), json!([1])] {
        let odd = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
        assert_eq!(post(&daemon, &session, &odd).status, 202);
    }
}
