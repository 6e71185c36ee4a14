//! Configuration as an operator meets it: what starts, what is refused, and what is said.

use serde_json::json;

use crate::smcpd;

#[test]
fn check_says_ok_and_where_each_value_came_from() {
    let setup =
        smcpd().config("[execution]\ntimeout = 7\n").environment("MCP_PORT", "4000").argument("--check");
    let said = setup.run(b"");
    assert!(said.status.success(), "{said:?}");
    let mut lines = said.stdout.lines();
    assert_eq!(lines.next(), Some("ok"));
    let line = |key: &str| said.stdout.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert_eq!(
        line("execution.timeout"),
        format!("execution.timeout = 7.0  # {}/smcpd.toml:2", setup.path().display())
    );
    assert_eq!(line("http.port"), "http.port = 0  # --port");
    assert_eq!(line("execution.queue"), "execution.queue = 256  # default");
    assert_eq!(line("tools.separator"), "tools.separator = \"__\"  # default");
}

#[test]
fn a_bad_configuration_is_refused_with_file_line_and_status_2() {
    let cases = [
        ("[http]\nprot = 1\n", "smcpd.toml:2: unknown field `prot`"),
        ("[http]\nport = 99999\n", "smcpd.toml:2: `http.port` is 99999"),
        ("[http]\nhost = \"0.0.0.0\"\n", "refusing to listen on 0.0.0.0 without an API key: set MCP_API_KEY"),
        ("[log]\nfile = \"/dev/null/mcp.log\"\n", "cannot create the directory of `log.file`"),
    ];
    for (text, expected) in cases {
        let said = smcpd().without_port().config(text).run(b"");
        assert_eq!(said.status.code(), Some(2), "{text}: {said:?}");
        assert!(said.stderr.contains(expected), "{text}: {}", said.stderr);
        assert!(said.stderr.starts_with("smcpd: error: "), "{}", said.stderr);
    }
    for (argument, expected) in [
        ("--allow-external", "refusing to listen on 0.0.0.0 without an API key"),
        ("--require-auth", "a key is required (--require-auth) and there is none"),
        ("--nonsense", "unexpected argument '--nonsense'"),
        ("--config=/nonexistent.toml", "cannot read `/nonexistent.toml`: No such file"),
    ] {
        let said = smcpd().argument(argument).run(b"");
        assert_eq!(said.status.code(), Some(2), "{argument}: {said:?}");
        assert!(said.stderr.contains(expected), "{argument}: {}", said.stderr);
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = smcpd().without_port().environment("MCP_PORT", &port).run(b"");
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let stderr = said.stderr;
    assert!(
        stderr.contains(&format!("cannot listen on 127.0.0.1:{port}: Address already in use")),
        "{stderr}"
    );
}

#[test]
fn keys_guard_every_route_but_health() {
    let daemon = smcpd().environment("MCP_API_KEY", "hush").start();
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    for path in ["/mcp", "/sse", "/messages/", "/messages", "/message", "/nothing", "/health/"] {
        let reply = daemon.post(path, &[], &ping);
        assert_eq!(reply.status, 401, "{path}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"smcp\""), "{path}");
        assert_eq!(reply.json()["error"], "unauthorized");
    }
    assert_eq!(daemon.get("/health", &[]).status, 200);
    for headers in [
        [("Authorization", "Bearer hush")],
        [("X-API-Key", "hush")],
        [("Authorization", "Bearer hush, Bearer hush")],
    ] {
        assert_eq!(daemon.post("/messages/", &headers, &ping).json()["result"], json!({}));
    }
    assert_eq!(daemon.post("/messages/", &[("X-API-Key", "hus")], &ping).status, 401);
    assert!(!daemon.log().contains("hush"));
}

#[test]
fn loopback_may_skip_the_key_where_the_operator_says_so() {
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let setup = || smcpd().environment("MCP_API_KEYS", "a,b").environment("MCP_AUTH_ALLOW_LOOPBACK", "1");
    let open = setup().start();
    assert_eq!(open.post("/messages/", &[], &ping).status, 200);
    assert_eq!(open.post("/messages/", &[("X-API-Key", "c")], &ping).status, 401);
    let closed = setup().argument("--require-auth").start();
    assert_eq!(closed.post("/messages/", &[], &ping).status, 401);
    assert_eq!(closed.post("/messages/", &[("X-API-Key", "b")], &ping).status, 200);
}

#[test]
fn disabled_authentication_is_warned_of() {
    let daemon = smcpd().environment("MCP_AUTH_DISABLED", "1").environment("MCP_API_KEY", "k").start();
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    assert_eq!(daemon.post("/messages/", &[], &ping).status, 200);
    assert!(daemon.log().contains("authentication is disabled"), "{}", daemon.log());
}

#[test]
fn the_daemon_cannot_be_dumped() {
    use std::os::unix::fs::MetadataExt;
    // What a process that may be dumped shows in /proc belongs to its user, else to root.
    let daemon = smcpd().unprivileged().start();
    let owner = |pid: u32| std::fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid();
    assert_eq!(owner(daemon.pid()), 0);
}

#[test]
fn a_log_file_is_written_beside_stderr() {
    let setup = smcpd();
    let file = setup.path().join("mcp.log");
    let daemon = setup.config(&format!("[log]\nfile = {file:?}\nkeep = 2\n")).plugins(&["demo_text"]).start();
    daemon.call("demo_text.echo", json!({"message": "not in the log"}));
    let path = daemon.path().to_owned();
    assert!(daemon.log().contains("\"tool\":\"demo_text.echo\""), "{}", daemon.log());
    let logged = |path: &std::path::Path| {
        let entry = std::fs::read_dir(path)
            .unwrap()
            .flatten()
            .find(|entry| entry.file_name().to_string_lossy().starts_with("mcp.log."));
        std::fs::read_to_string(entry.unwrap().path()).unwrap()
    };
    smcp_test_support::until("the line is in the file", || {
        logged(&path).contains("demo_text.echo").then_some(())
    });
    assert!(!daemon.log().contains("not in the log") && !logged(&path).contains("not in the log"));
}
