//! Clients that mean harm get nothing by it, and those that do not notice nothing.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use smcp_test_support::{Daemon, Stream, descriptors, resident_kib, until};

use crate::smcpd;

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn ping() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})
}

fn is_served(daemon: &Daemon) -> bool {
    daemon.post("/messages/", &[], &ping()).status == 200
}

/// Sends bytes, and that nothing follows, and returns all that comes back until the other side ends, or says nothing more.
fn exchange(daemon: &Daemon, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    // It may be refused before all of it is sent.
    let _refused = stream.write_all(bytes);
    let _closed = stream.shutdown(Shutdown::Write);
    rest(stream)
}

fn rest(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn one_message_is_never_read_as_two() {
    let daemon = smcpd().start();
    let body = ping().to_string();
    let length = body.len();
    let head = |more: &str| {
        format!("POST /messages/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}\r\n")
    };
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let secret = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let refused: &[(&str, String)] = &[
        ("two lengths", head(&format!("Content-Length: {length}\r\nContent-Length: 0\r\n")) + &body + secret),
        ("a list of lengths", head(&format!("Content-Length: {length}, 0\r\n")) + &body),
        ("a length with a sign", head(&format!("Content-Length: +{length}\r\n")) + &body),
        ("a folded header", head(&format!("Content-Length: {length}\r\nX: a\r\n b\r\n")) + &body),
        ("a blank before the colon", head(&format!("Content-Length : {length}\r\n")) + &body),
        ("a NUL in a value", head(&format!("Content-Length: {length}\r\nX: a\0b\r\n")) + &body),
        ("a carriage return in a value", head(&format!("Content-Length: {length}\r\nX: a\rb\r\n")) + &body),
        ("another coding", head("Transfer-Encoding: chunked, identity\r\n") + &chunked),
        ("a chunk of no size", head("Transfer-Encoding: chunked\r\n") + "zz\r\n" + &body),
        ("a chunk beyond counting", head("Transfer-Encoding: chunked\r\n") + "fffffffffffffffff\r\n" + &body),
        (
            "an endless chunk extension",
            head("Transfer-Encoding: chunked\r\n") + "1;" + &"x".repeat(1 << 20) + "\r\n{\r\n0\r\n\r\n",
        ),
        ("two hosts", "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n".to_owned()),
        ("no host", "GET /metrics HTTP/1.1\r\n\r\n".to_owned()),
        (
            "another host in the target",
            "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        ),
        (
            "another host in the header",
            "GET http://localhost/metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(),
        ),
        ("a tunnel", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n".to_owned()),
        ("HTTP/2 by prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("a TLS hello", "\x16\x03\x01\x02\x00\x01\x00".to_owned()),
    ];
    for (name, bytes) in refused {
        let answer = exchange(&daemon, bytes.as_bytes());
        assert!(!answer.contains(" 200 "), "{name}: {answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{name}: {answer}");
    }
    // With both, the coding counts (RFC 9112, 6.3), and what follows it is not read as another request.
    let both = head(&format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", 9)) + &chunked + secret;
    let answer = exchange(&daemon, both.as_bytes());
    assert!(!answer.contains("smcp_requests_refused_total"), "{answer}");
    // An upgrade that is not offered is passed over. Who half-closes may be taken for gone before the answer.
    let upgrade = head(&format!(
        "Content-Length: {length}\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    ));
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    stream.write_all((upgrade + &body).as_bytes()).unwrap();
    let answer = rest(stream);
    assert!(!answer.contains(" 101 ") && answer.contains(" 200 "), "{answer}");
    assert!(is_served(&daemon));
}

#[test]
fn half_closed_and_half_sent_requests_leave_nothing_behind() {
    let daemon = smcpd().config("[http]\nheader_timeout = 0.5\nbody_timeout = 0.5\n").start();
    assert!(is_served(&daemon));
    let before = descriptors(daemon.pid());
    let part = "POST /messages/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{";
    let mut open = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(daemon.address()).unwrap();
        let cut = number * part.len() / 200;
        stream.write_all(&part.as_bytes()[..cut]).unwrap();
        if number % 2 == 0 {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        open.push(stream);
    }
    assert!(is_served(&daemon), "beside them");
    // Each is closed by the daemon: nobody lets go on this side.
    until("they are let go", || (descriptors(daemon.pid()) <= before + 2).then_some(()));
    drop(open);
}

#[test]
fn bad_frames_without_end_are_answered_and_cost_nothing() {
    let daemon = smcpd().start();
    let session = daemon.initialize("2025-11-25");
    let (mut stream, path) = Stream::open(daemon.connect(), &[]);
    let frames: [&[u8]; 8] = [
        b"{",
        b"[]",
        b"\xff",
        b"{\"jsonrpc\":\"2.0\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\"}",
        b"[[[[[[[[[[",
        b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":7}}",
        b"0",
    ];
    let flood = |times: usize| {
        let mut connection = daemon.connect();
        for number in 0..times {
            let frame = frames[number % frames.len()];
            let headers = [JSON, ("Mcp-Session-Id", &*session), ("Accept", "application/json")];
            let route = ["/messages/", "/mcp"][number % 2];
            assert!(connection.send("POST", route, &headers, frame).status < 500, "{frame:?}");
        }
    };
    flood(500);
    let before = resident_kib(daemon.pid());
    flood(4_000);
    let grown = resident_kib(daemon.pid()).saturating_sub(before);
    assert!(grown < 8 << 10, "{grown} KiB");
    // Whoever behaves has the same daemon.
    assert_eq!(daemon.post(&path, &[], &ping()).status, 202);
    assert_eq!(stream.message().unwrap()["id"], 1);
}

#[test]
fn a_client_that_never_reads_is_let_go() {
    let daemon = smcpd().plugins(&["demo_math"]).config("[http]\nwrite_timeout = 1\n").start();
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    let request = format!(
        "POST /messages/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{list}",
        list.len()
    );
    let before = descriptors(daemon.pid());
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let many = request.repeat(64);
    // Until nothing more is taken: the answers have filled every buffer on the way.
    let mut sent = 0;
    while sent < 256 << 20 && stream.write_all(many.as_bytes()).is_ok() {
        sent += many.len();
    }
    assert!(sent < 256 << 20, "{sent} bytes of requests were taken, and no answer");
    assert!(is_served(&daemon), "beside it");
    until("it is let go", || (descriptors(daemon.pid()) <= before).then_some(()));
}

#[test]
fn idle_connections_are_let_go_and_the_descriptors_are_enough_for_the_rest() {
    let daemon = smcpd().config("[http]\nheader_timeout = 1\n").start();
    assert!(is_served(&daemon));
    let before = (descriptors(daemon.pid()), resident_kib(daemon.pid()));
    let idle: Vec<_> = (0..500).map_while(|_| TcpStream::connect(daemon.address()).ok()).collect();
    assert!(idle.len() == 500 && is_served(&daemon));
    until("they are let go", || (descriptors(daemon.pid()) <= before.0 + 2).then_some(()));
    let grown = resident_kib(daemon.pid()).saturating_sub(before.1);
    assert!(grown < 32 << 10, "{grown} KiB");
    drop(idle);
}
