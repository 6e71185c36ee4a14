//! What every HTTP route has in common, and direct mode.

use serde_json::{Value, json};

use crate::smcpd;

fn ping() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})
}

#[test]
fn direct_mode_answers_in_the_body() {
    let daemon = smcpd().plugins(&["demo_math"]).start();
    for path in ["/messages/", "/messages", "/message"] {
        let reply = daemon.post(path, &[], &ping());
        assert_eq!((reply.status, reply.text()), (200, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned()));
    }
    let result = daemon.call("demo_math.calculate", json!({"operation": "add", "a": 2, "b": "3"}));
    assert_eq!(result["structuredContent"]["result"], json!(5));
    assert_eq!(result["isError"], json!(false));
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, result["structuredContent"]);
    let notification = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(daemon.post("/messages/", &[], &notification).status, 400);
    let batch = json!([ping()]);
    assert_eq!(daemon.post("/messages/", &[], &batch).json()["error"]["code"], -32600);
}

#[test]
fn health_says_what_there_is() {
    let daemon = smcpd().plugins(&["demo_math", "bad_exit"]).start();
    let reply = daemon.get("/health", &[]);
    assert_eq!(reply.status, 200);
    let health = reply.json();
    assert_eq!(health["status"], "ok");
    assert_eq!(health["plugins"], json!({"described": 1, "pending": 0, "failed": 1}));
    assert_eq!(health["tools"], 4);
    assert_eq!(daemon.post("/health", &[], &ping()).status, 405);
    let result = daemon.call("health", json!({}));
    assert_eq!(result["structuredContent"]["status"], "ok");
    assert_eq!(result["structuredContent"]["calls"]["total"], 0);
    assert_eq!(daemon.call("health", json!({}))["structuredContent"]["calls"]["ok"], 1);
    assert_eq!(daemon.call("health", json!({"x": 1}))["isError"], json!(true));
}

#[test]
fn bad_frames_get_the_exact_error() {
    let daemon = smcpd().start();
    let mut connection = daemon.connect();
    let cases: [(&[u8], u16, i64); 9] = [
        (b"", 400, -32700),
        (b"{", 400, -32700),
        (b"\xff\xfe", 400, -32700),
        (b"[]", 400, -32600),
        (b"7", 400, -32600),
        (br#"{"jsonrpc":"2.0","id":1}"#, 400, -32600),
        (br#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, 400, -32600),
        (br#"{"jsonrpc":"2.0","id":1,"method":"no/such"}"#, 200, -32601),
        (br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[1]}"#, 200, -32602),
    ];
    for (body, status, code) in cases {
        let reply = connection.send("POST", "/messages/", &[("Content-Type", "application/json")], body);
        assert_eq!((reply.status, reply.json()["error"]["code"].as_i64()), (status, Some(code)), "{body:?}");
    }
}

#[test]
fn calls_with_bad_params_name_what_is_wrong() {
    let daemon = smcpd().plugins(&["demo_math"]).start();
    let cases = [
        (json!({}), "missing field `name`"),
        (json!({"name": 7}), "invalid type"),
        (json!({"name": "nothing"}), "unknown tool: `nothing`"),
        (json!({"name": "demo_math.calculat"}), "did you mean `demo_math__calculate`?"),
        (json!({"name": "demo_math.calculate", "arguments": [1]}), "`arguments` must be an object"),
    ];
    for (params, expected) in cases {
        let error = daemon.ask("tools/call", params.clone())["error"].take();
        assert_eq!(error["code"], -32602, "{params}");
        assert!(error["message"].as_str().unwrap().contains(expected), "{params}: {error}");
    }
    let result = daemon.call("demo_math.calculate", json!({"operation": "add", "a": 2, "x": 3}));
    assert_eq!(result["structuredContent"]["error"]["code"], "invalid_arguments");
    assert!(result["content"][0]["text"].as_str().unwrap().contains("no argument `x`"), "{result}");
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(1000), "]".repeat(1000));
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"demo_math.calculate","arguments":{deep}}}}}"#
    );
    let reply =
        daemon.connect().send("POST", "/messages/", &[("Content-Type", "application/json")], body.as_bytes());
    assert_eq!(reply.json()["error"]["code"], -32602);
}

#[test]
fn media_types_methods_and_routes_are_exact() {
    let daemon = smcpd().start();
    for path in ["/mcp", "/messages/"] {
        for kind in ["text/plain", "application/jsonx", ""] {
            assert_eq!(daemon.post(path, &[("Content-Type", kind)], &ping()).status, 415, "{path} {kind}");
        }
        assert_eq!(daemon.connect().send("PUT", path, &[], b"").status, 405, "{path}");
    }
    let kind = [("Content-Type", "Application/JSON; charset=utf-8")];
    assert_eq!(daemon.post("/messages/", &kind, &ping()).status, 200);
    let reply = daemon.post("/sse", &[], &ping());
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET")));
    assert_eq!(reply.json()["endpoints"]["streamable_http"], "/mcp");
    assert_eq!(daemon.get("/", &[]).status, 404);
    assert_eq!(daemon.get("/.well-known/oauth-protected-resource", &[]).status, 404);
}

#[test]
fn a_client_that_was_refused_hears_that_there_is_no_server_for_keys() {
    let daemon = smcpd().environment("MCP_API_KEY", "k").start();
    assert_eq!(daemon.post("/mcp", &[], &ping()).status, 401);
    for path in ["oauth-protected-resource", "oauth-protected-resource/mcp", "oauth-authorization-server"] {
        let reply = daemon.get(&format!("/.well-known/{path}"), &[]);
        assert_eq!(reply.status, 404, "{path}");
    }
    assert_eq!(daemon.get("/.well-known/../mcp", &[]).status, 404);
    assert_eq!(daemon.get("/.well-known/%2e%2e/metrics", &[]).status, 404);
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let daemon = smcpd().start();
    let mut connection = daemon.connect();
    // Nothing of the body is ever sent: the answer comes from the declared length alone.
    let headers = [("Content-Type", "application/json"), ("Content-Length", "4194305")];
    let reply = connection.send("POST", "/mcp", &headers, b"");
    assert_eq!(reply.status, 413);
    assert!(reply.json()["message"].as_str().unwrap().contains("http.body_limit"));
    let mut connection = daemon.connect();
    let headers = [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")];
    connection.write("POST", "/messages/", &headers, b"");
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    for _ in 0..5 {
        connection.raw(&chunk);
    }
    assert_eq!(connection.reply().status, 413);
    let body = format!("{}{}", ping(), " ".repeat((4 << 20) - ping().to_string().len()));
    let reply =
        daemon.connect().send("POST", "/messages/", &[("Content-Type", "application/json")], body.as_bytes());
    assert_eq!(reply.status, 200);
}

#[test]
fn foreign_hosts_and_origins_are_refused_on_every_route() {
    let daemon =
        smcpd().config("[http]\nhosts = [\"tools.example\"]\norigins = [\"https://app.example\"]\n").start();
    for path in ["/mcp", "/sse", "/messages/", "/health", "/nothing"] {
        let reply = daemon.get(path, &[("Host", "evil.example")]);
        assert_eq!(reply.status, 403, "{path}");
        assert!(reply.json()["message"].as_str().unwrap().contains("http.hosts"), "{path}");
        for origin in ["http://evil.example", "null", "http://localhost.evil.example"] {
            let reply = daemon.get(path, &[("Origin", origin)]);
            assert_eq!(reply.status, 403, "{path} {origin}");
            assert!(reply.json()["message"].as_str().unwrap().contains("http.origins"), "{path}");
        }
    }
    for headers in [
        [("Host", "tools.example:8000")],
        [("Origin", "https://app.example")],
        [("Origin", "http://localhost:5173")],
    ] {
        assert_eq!(daemon.get("/health", &headers).status, 200, "{headers:?}");
    }
}

#[test]
fn a_client_that_never_finishes_its_head_is_let_go() {
    let daemon = smcpd().config("[http]\nheader_timeout = 0.3\nbody_timeout = 0.3\n").start();
    let mut slow = daemon.connect();
    slow.raw(b"GET /health HTTP/1.1\r\nHost: loc");
    assert!(slow.is_closed());
    let mut slow = daemon.connect();
    slow.write("POST", "/messages/", &[("Content-Type", "application/json"), ("Content-Length", "9")], b"{");
    assert_eq!(slow.reply().status, 408);
    assert_eq!(daemon.get("/health", &[]).status, 200);
}

#[test]
fn heads_that_are_no_http_harm_nobody() {
    let daemon = smcpd().start();
    for head in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ] {
        let mut connection = daemon.connect();
        connection.raw(head);
        connection.finish();
        while !connection.is_closed() {}
    }
    let mut connection = daemon.connect();
    connection.raw(
        format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "y".repeat(1 << 20)).as_bytes(),
    );
    assert_eq!(connection.reply().status, 431);
    assert_eq!(daemon.get("/health", &[]).status, 200);
}
