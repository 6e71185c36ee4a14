//! Whoever has a session's id and not its key has nothing.

use serde_json::{Value, json};
use smcp_test_support::{Daemon, Reply, Stream, root, until};

use crate::smcpd;

const REVISION: &str = "2025-11-25";

fn ping(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "ping"})
}

fn guarded() -> Daemon {
    smcpd().environment("MCP_API_KEYS", "mine,theirs").config("[log]\nlevel = \"trace\"\n").start()
}

/// Everything that a client sees of a reply, but for the time.
fn seen(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let headers = reply.headers.iter().filter(|(name, _)| name != "date").cloned().collect();
    (reply.status, headers, reply.text())
}

fn initialize(daemon: &Daemon, key: &str) -> String {
    let params =
        json!({"protocolVersion": REVISION, "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}});
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    let headers = [("X-API-Key", key), ("Accept", "application/json, text/event-stream")];
    let reply = daemon.post("/mcp", &headers, &body);
    reply.header("mcp-session-id").expect("a session").to_owned()
}

fn is_an_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[test]
fn a_session_of_streamable_http_is_unknown_to_every_other_caller() {
    let daemon = guarded();
    let session = initialize(&daemon, "mine");
    let unknown = "0123456789abcdef0123456789abcdef";
    assert!(is_an_id(&session) && session != initialize(&daemon, "mine"));
    let send = |method: &str, key: &str, id: &str| {
        let headers = [
            ("X-API-Key", key),
            ("Mcp-Session-Id", id),
            ("Content-Type", "application/json"),
            ("Accept", if method == "GET" { "text/event-stream" } else { "application/json" }),
            ("Last-Event-ID", "1-0"),
        ];
        let body = if method == "POST" { ping(1).to_string() } else { String::new() };
        daemon.connect().send(method, "/mcp", &headers, body.as_bytes())
    };
    for method in ["POST", "GET", "DELETE"] {
        let stolen = send(method, "theirs", &session);
        assert_eq!(stolen.status, 404, "{method}");
        assert_eq!(seen(&stolen), seen(&send(method, "theirs", unknown)), "{method}");
        assert_eq!(send(method, "none", &session).status, 401, "{method}");
    }
    assert_eq!(send("POST", "mine", &session).status, 200, "its own caller lost nothing");
    assert_eq!(send("DELETE", "mine", &session).status, 200);
    assert_eq!(seen(&send("POST", "mine", &session)), seen(&send("POST", "mine", unknown)));
}

#[test]
fn a_stream_that_is_read_is_taken_over_by_nobody_else() {
    let daemon = guarded();
    let session = initialize(&daemon, "mine");
    let listen = |key: &str, seen: Option<&str>| {
        let mut connection = daemon.connect();
        let mut headers =
            vec![("X-API-Key", key), ("Mcp-Session-Id", &*session), ("Accept", "text/event-stream")];
        headers.extend(seen.map(|seen| ("Last-Event-ID", seen)));
        connection.write("GET", "/mcp", &headers, b"");
        connection
    };
    let mut stream = listen("mine", None).into_stream();
    let first = stream.event().unwrap();
    let id = first.id.expect("a stream of this revision can be come back to");
    for seen in [None, Some(&*id), Some("1-0"), Some("99-99")] {
        assert_eq!(listen("theirs", seen).reply().status, 404, "{seen:?}");
    }
    // Nor by its own caller, unless it says which stream it has lost.
    for seen in [None, Some("99-99"), Some("x")] {
        assert_eq!(listen("mine", seen).reply().status, 409, "{seen:?}");
    }
    // The one that reads goes on hearing.
    let plugin = root().join("tests/fixtures/plugins/bash_tool");
    std::os::unix::fs::symlink(plugin, daemon.path().join("plugins/bash_tool")).unwrap();
    assert_eq!(stream.message().unwrap()["method"], "notifications/tools/list_changed");
}

#[test]
fn a_session_of_sse_is_unknown_to_every_other_caller_and_answers_its_own_stream_alone() {
    let daemon = guarded();
    let (mut mine, path) = Stream::open(daemon.connect(), &[("X-API-Key", "mine")]);
    let id = path.split('=').nth(1).unwrap().to_owned();
    assert!(is_an_id(&id), "{path}");
    let unknown = path.replace(&id, "0123456789abcdef0123456789abcdef");
    let post = |path: &str, key: &str| daemon.post(path, &[("X-API-Key", key)], &ping(7));
    assert_eq!(post(&path, "theirs").status, 404);
    assert_eq!(seen(&post(&path, "theirs")), seen(&post(&unknown, "theirs")));
    assert_eq!(post(&path, "none").status, 401);
    // A stream that names a session opens one of its own.
    let named = format!("/sse?session_id={id}");
    for key in ["theirs", "mine"] {
        let mut connection = daemon.connect();
        connection.write("GET", &named, &[("X-API-Key", key)], b"");
        let mut other = connection.into_stream();
        assert!(!other.event().unwrap().data.contains(&id));
    }
    // Nor does an id of one door open the other.
    let headers = [("X-API-Key", "mine"), ("Mcp-Session-Id", &*id), ("Accept", "application/json")];
    assert_eq!(daemon.post("/mcp", &headers, &ping(1)).status, 404);
    assert_eq!(post(&path, "mine").status, 202);
    assert_eq!(mine.message().unwrap()["id"], 7);
}

#[test]
fn no_id_of_a_session_is_written_down_whole() {
    let daemon =
        smcpd().plugins(&["worker"]).config("[log]\nlevel = \"trace\"\n[sessions]\nmax = 3\n").start();
    let session = daemon.initialize(REVISION);
    let (mut stream, path) = Stream::open(daemon.connect(), &[]);
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "worker.crash", "arguments": {}}});
    assert_eq!(daemon.post(&path, &[], &call).status, 202);
    stream.message().unwrap();
    let headers = [("Mcp-Session-Id", &*session), ("Accept", "application/json")];
    assert_eq!(daemon.post("/mcp", &headers, &call).status, 200);
    let bad = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "nothing"}});
    daemon.post("/mcp", &headers, &bad);
    let _third = daemon.initialize(REVISION);
    assert_eq!(daemon.get("/sse", &[]).status, 503);
    drop(stream);
    let id = path.split('=').nth(1).unwrap();
    until("its end is told", || daemon.log().contains("session-closed").then_some(()));
    let log = daemon.log();
    for id in [id, &session] {
        assert!(log.contains(&id[..8]) && !log.contains(&id[..16]), "an id stands in the log");
    }
}
