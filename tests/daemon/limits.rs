//! What is too much is refused with its reason, counted, and told of; who keeps within the limits notices nothing.

use serde_json::{Value, json};
use smcp_test_support::{Daemon, Stream, until};

use crate::smcpd;

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn ping() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})
}

/// How often requests were refused for this reason.
fn refused(daemon: &Daemon, reason: &str) -> u64 {
    let metrics = daemon.get("/metrics", &[]).text();
    let series = format!("smcp_requests_refused_total{{reason=\"{reason}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&series)).expect("a counter");
    value.parse().unwrap()
}

/// The lines of the log that tell of this limit.
fn told(daemon: &Daemon, key: &str) -> usize {
    let lines = daemon.log();
    lines.lines().filter(|line| line.contains("limit-hit") && line.contains(&format!("\"{key}\""))).count()
}

#[test]
fn heads_and_bodies_over_a_limit_name_the_key_that_sets_it() {
    let config = "[http]\nheader_count = 20\nheader_limit = 4096\nbody_limit = 1024\n";
    let daemon = smcpd().config(config).start();
    let long = "y".repeat(4096);
    let many: Vec<(String, String)> = (0..20).map(|number| (format!("X-{number}"), "y".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, &**value)).collect();
    for (status, key, reply) in [
        (431, "http.header_count", daemon.get("/health", &many)),
        (431, "http.header_limit", daemon.get("/health", &[("X", &long)])),
        (431, "http.header_limit", daemon.get(&format!("/health?{long}"), &[])),
        (413, "http.body_limit", daemon.connect().send("POST", "/messages/", &[JSON], long.as_bytes())),
    ] {
        let said = reply.json();
        assert_eq!((reply.status, said["limit"].as_str()), (status, Some(key)), "{said}");
        assert!(said["message"].as_str().unwrap().contains(key), "{said}");
    }
    assert_eq!((refused(&daemon, "header_too_large"), refused(&daemon, "body_too_large")), (3, 1));
    assert_eq!((told(&daemon, "http.header_limit"), told(&daemon, "http.body_limit")), (1, 1));
}

#[test]
fn a_caller_who_asks_too_often_hears_when_to_come_again_and_a_reload_changes_it() {
    let daemon =
        smcpd().environment("MCP_API_KEYS", "one,other").config("[http]\nloopback_rate = 5\n").start();
    let mut connection = daemon.connect();
    let mut ask = |key: &str| connection.post("/messages/", &[("X-API-Key", key)], &ping());
    let replies: Vec<_> = (0..30).map(|_| ask("one")).collect();
    let passed = replies.iter().take_while(|reply| reply.status == 200).count();
    // A burst of two seconds, and what came in while they were sent.
    assert!((10..25).contains(&passed), "{passed}");
    let over = &replies[passed];
    assert_eq!(
        (over.status, over.header("retry-after"), &over.json()["limit"]),
        (429, Some("1"), &json!("http.loopback_rate"))
    );
    assert_eq!(ask("other").status, 200, "another caller has a bucket of its own");
    let counted = daemon.connect().send("GET", "/metrics", &[("X-API-Key", "other")], b"").text();
    assert!(counted.contains("{reason=\"rate\"} "), "{counted}");
    assert_eq!(told(&daemon, "http.loopback_rate"), 1, "{}", daemon.log());
    std::fs::write(daemon.path().join("smcpd.toml"), "[http]\nloopback_rate = 0\n").unwrap();
    daemon.signal(rustix::process::Signal::HUP);
    until("the limit is gone", || (ask("one").status == 200 && ask("one").status == 200).then_some(()));
    assert!((0..50).all(|_| ask("one").status == 200));
}

#[test]
fn one_connection_too_many_is_told_so_and_makes_room_when_one_ends() {
    let daemon = smcpd().config("[http]\nmax_connections = 4\n").start();
    // The one that awaited the start may still be there.
    let enter = || {
        until("a connection is let in", || {
            let mut connection = daemon.connect();
            (connection.post("/messages/", &[], &ping()).status == 200).then_some(connection)
        })
    };
    let mut open = [(); 4].map(|()| enter()).into_iter().collect::<Vec<_>>();
    for _ in 0..3 {
        let mut late = daemon.connect();
        let reply = late.post("/messages/", &[], &ping());
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
        assert_eq!(reply.json()["limit"], "http.max_connections");
        assert!(late.is_closed());
    }
    assert_eq!(open[0].post("/messages/", &[], &ping()).status, 200, "who is in stays in");
    drop(open.pop());
    enter();
    assert_eq!(told(&daemon, "http.max_connections"), 1);
}

#[test]
fn one_key_cannot_take_all_sessions() {
    let daemon =
        smcpd().environment("MCP_API_KEYS", "one,other").config("[sessions]\nper_caller = 2\n").start();
    let open = |key: &str| {
        let mut connection = daemon.connect();
        connection.write("GET", "/sse", &[("X-API-Key", key)], b"");
        connection
    };
    let _streams = [(); 2].map(|()| Stream::open(daemon.connect(), &[("X-API-Key", "one")]));
    let reply = open("one").reply();
    assert_eq!((reply.status, &reply.json()["limit"]), (429, &json!("sessions.per_caller")));
    assert!(reply.header("retry-after").is_some());
    let _other = Stream::open(daemon.connect(), &[("X-API-Key", "other")]);
}

#[test]
fn bodies_that_never_end_are_bounded_together() {
    let config = "[http]\nbody_limit = 1048576\nbody_memory = 2097152\nbody_timeout = 20\n";
    let daemon = smcpd().config(config).start();
    let begin = || {
        let mut connection = daemon.connect();
        connection.write(
            "POST",
            "/messages/",
            &[JSON, ("Content-Length", "1048576")],
            &vec![b' '; 900 << 10],
        );
        connection
    };
    // Whichever comes last is one too many.
    let _three = [begin(), begin(), begin()];
    until("one of them is refused", || (refused(&daemon, "body_memory") >= 1).then_some(()));
    assert_eq!(told(&daemon, "http.body_memory"), 1);
    assert_eq!(daemon.post("/messages/", &[], &ping()).status, 200, "a small one passes");
}

#[test]
fn frames_of_any_depth_are_answered_on_every_door() {
    let daemon = smcpd().plugins(&["demo_math"]).start();
    let session = daemon.initialize("2025-11-25");
    let (mut stream, path) = Stream::open(daemon.connect(), &[]);
    for depth in [100, 1_000, 10_000, 1_000_000] {
        let nested = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        // As a frame it is an array that is no batch of messages.
        let refusal = daemon.connect().send("POST", "/messages/", &[JSON], nested.as_bytes());
        assert_eq!((refusal.status, &refusal.json()["error"]["code"]), (400, &json!(-32600)), "{depth}");
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"demo_math.calculate","arguments":{{"a":{nested}}}}}}}"#
        );
        // Where it can be read it is a bad argument; deeper than 128 it is not read.
        let expected = if depth == 100 { "`operation` is missing" } else { "recursion limit" };
        let judge = |answer: &Value| assert!(answer.to_string().contains(expected), "{depth}: {answer}");
        judge(&daemon.connect().send("POST", "/messages/", &[JSON], call.as_bytes()).json());
        let headers = [JSON, ("Mcp-Session-Id", &*session), ("Accept", "application/json")];
        judge(&daemon.connect().send("POST", "/mcp", &headers, call.as_bytes()).json());
        let accepted = daemon.connect().send("POST", &path, &[JSON], call.as_bytes());
        assert_eq!(accepted.status, 202);
        judge(&stream.message().unwrap());
    }
}
