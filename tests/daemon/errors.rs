//! What is refused in the revisions with sessions, with which code and status, and where the specification says so.

use serde_json::{Value, json};
use smcp_test_support::{Daemon, Reply, Stream};

use crate::client::{BOTH, JSON, request};
use crate::smcpd;

const HTTP: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];
const ALL: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

fn post(daemon: &Daemon, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    daemon.connect().send("POST", "/mcp", &[&[JSON, BOTH], headers].concat(), body)
}

fn call(tool: &str, arguments: &Value) -> Vec<u8> {
    let params = json!({"name": tool, "arguments": arguments});
    request(1, "tools/call", &params).to_string().into()
}

fn ask(method: &str, params: &Value) -> Vec<u8> {
    request(1, method, params).to_string().into()
}

/// Requests that are refused alike on every transport: section, body, code before 2025-11-25, code from it on; a zero
/// is a result that says `isError`.
fn refused() -> Vec<(&'static str, Vec<u8>, [i64; 2])> {
    let rpc = "JSON-RPC 2.0, \"error object\"";
    let tools = "server/tools, \"error handling\"";
    let bad = "server/tools, \"error handling\"; from 2025-11-25 on SEP-1303";
    let pages = "server/utilities/pagination, \"error handling\"";
    let resources = "server/resources, \"error handling\"";
    let prompts = "server/prompts, \"error handling\"";
    let logging = "server/utilities/logging, \"error handling\"";
    let completion = "server/utilities/completion, \"error handling\"";
    let none = json!({});
    vec![
        (rpc, ask("no/such/method", &none), [-32601; 2]),
        (rpc, ask("server/discover", &none), [-32601; 2]),
        (rpc, ask("tasks/get", &none), [-32601; 2]),
        (rpc, ask("tools/call", &json!([1])), [-32602; 2]),
        (rpc, ask("tools/call", &none), [-32602; 2]),
        (tools, call("no_such_tool", &none), [-32602; 2]),
        (tools, call("worker__fail", &json!({"message": "no"})), [0; 2]),
        (bad, call("worker__sleep", &json!({"seconds": "x"})), [-32602, 0]),
        (bad, call("worker__text", &json!({"stranger": 1})), [-32602, 0]),
        (tools, call("worker__text", &json!([])), [-32602; 2]),
        (pages, ask("tools/list", &json!({"cursor": "x"})), [-32602; 2]),
        (resources, ask("resources/read", &json!({"uri": "test://no"})), [-32002; 2]),
        (resources, ask("resources/subscribe", &json!({"uri": "test://no"})), [-32002; 2]),
        (resources, ask("resources/read", &json!({"uri": "test://fails"})), [-32603; 2]),
        (resources, ask("resources/read", &none), [-32602; 2]),
        (prompts, ask("prompts/get", &json!({"name": "no"})), [-32602; 2]),
        (prompts, ask("prompts/get", &json!({"name": "greet"})), [-32602; 2]),
        (prompts, ask("prompts/get", &json!({"name": "fails"})), [-32603; 2]),
        (logging, ask("logging/setLevel", &json!({"level": "loud"})), [-32602; 2]),
        (completion, ask("completion/complete", &none), [-32602; 2]),
    ]
}

fn check(revision: &str, section: &str, answer: &Value, codes: [i64; 2]) {
    let code = codes[usize::from(revision >= "2025-11-25")];
    let found = match code {
        0 => i64::from(answer["result"]["isError"] != true),
        _ => answer["error"]["code"].as_i64().unwrap_or_default(),
    };
    assert_eq!((found, &answer["id"]), (code, &json!(1)), "{revision}, {section}: {answer}");
}

#[test]
fn what_a_request_is_refused_for_has_the_code_of_its_revision_on_every_transport() {
    let daemon = smcpd().plugins(&["worker", "offers"]).start();
    for revision in HTTP {
        let session = daemon.initialize(revision);
        for (section, body, codes) in refused() {
            let reply = post(&daemon, &[("Mcp-Session-Id", &session)], &body);
            assert_eq!(reply.status, 200, "{revision}, {section}: {}", reply.text());
            check(revision, section, &reply.json(), codes);
        }
    }
    for revision in ALL {
        let (mut stream, path) = Stream::open(daemon.connect(), &[]);
        let hello = json!({"protocolVersion": revision, "capabilities": {},
            "clientInfo": {"name": "test", "version": "0"}});
        daemon.post(&path, &[], &request(0, "initialize", &hello));
        stream.message().unwrap();
        for (section, body, codes) in refused() {
            assert_eq!(daemon.connect().send("POST", &path, &[JSON], &body).status, 202);
            check(revision, section, &stream.message().unwrap(), codes);
        }
    }
}

/// Section, headers, body; status and code.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, i64);

#[test]
fn what_a_post_is_refused_for_has_its_status_and_its_code() {
    let daemon = smcpd().start();
    let ping = ask("ping", &json!({}));
    let hello = |params: Value| ask("initialize", &params);
    let rpc = "JSON-RPC 2.0, \"error object\"";
    let sending = "basic/transports, \"sending messages to the server\"";
    let sessions = "basic/transports, \"session management\"";
    let versions = "basic/transports, \"protocol version header\"";
    let negotiation = "basic/lifecycle, \"version negotiation\"";
    let silent = br#"[{"jsonrpc":"2.0","method":"x"}]"#.to_vec();
    let batch = br#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#.to_vec();
    for revision in HTTP {
        let session = daemon.initialize(revision);
        let here = &[("Mcp-Session-Id", session.as_str())][..];
        let unknown = &[("Mcp-Session-Id", "unknown")][..];
        let saying = |version: &'static str| [here[0], ("MCP-Protocol-Version", version)];
        let (right, old, odd) = (saying(revision), saying("2024-01-01"), saying("nonsense"));
        let has_batches = revision == "2025-03-26";
        // A zero is no error of JSON-RPC.
        let rows: Vec<Row<'_>> = vec![
            (rpc, here, b"{nope", 400, -32700),
            (rpc, here, b"", 400, -32700),
            (rpc, here, b"\xff", 400, -32700),
            (rpc, here, b"7", 400, -32600),
            (rpc, here, b"[]", 400, -32600),
            (rpc, here, br#"{"jsonrpc":"2.0","id":1}"#, 400, -32600),
            (rpc, here, br#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, 400, -32600),
            (rpc, here, br#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, 400, -32600),
            (sending, here, br#"{"jsonrpc":"2.0","method":"x"}"#, 202, 0),
            (sending, here, br#"{"jsonrpc":"2.0","id":9,"result":{}}"#, 202, 0),
            (
                sending,
                here,
                &silent,
                if has_batches { 202 } else { 400 },
                if has_batches { 0 } else { -32600 },
            ),
            (sending, here, &batch, 200, if has_batches { 0 } else { -32600 }),
            (sessions, &[], &ping, 400, -32600),
            (sessions, unknown, &ping, 404, -32001),
            (versions, &right, &ping, 200, 0),
            (versions, &old, &ping, 400, -32022),
            (versions, &odd, &ping, 400, -32022),
        ];
        for (section, headers, body, status, code) in rows {
            let reply = post(&daemon, headers, body);
            let text = reply.text();
            let found = if text.is_empty() { 0 } else { reply.json()["error"]["code"].as_i64().unwrap_or(0) };
            let context = format!("{revision}, {section}: {} {text}", String::from_utf8_lossy(body));
            assert_eq!((reply.status, found), (status, code), "{context}");
        }
    }
    for params in [json!({}), json!({"protocolVersion": 7}), json!([])] {
        let reply = post(&daemon, &[], &hello(params));
        assert_eq!(
            (reply.status, reply.json()["error"]["code"].as_i64()),
            (200, Some(-32602)),
            "{negotiation}"
        );
        assert_eq!(reply.header("mcp-session-id"), None);
    }
    // The very body that makes clients open a new session.
    let unknown = post(&daemon, &[("Mcp-Session-Id", "unknown")], &ping).text();
    assert_eq!(
        unknown,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}"#
    );
    assert_eq!(daemon.get("/health", &[]).json()["sessions"], HTTP.len());
}
