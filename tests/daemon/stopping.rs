//! How the daemon stops.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use smcp_test_support::{Daemon, until, working};

use crate::smcpd;

fn begin_sleep(daemon: &Daemon, seconds: f64) -> smcp_test_support::Connection {
    let connection = daemon.begin("worker.sleep", json!({"seconds": seconds, "ignore_term": true}));
    until("the call runs", || (daemon.get("/health", &[]).json()["calls"]["running"] == 1).then_some(()));
    connection
}

#[test]
fn a_stop_lets_running_calls_finish_and_exits_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = smcpd().plugins(&["worker"]).start();
        let mut stream = smcp_test_support::Stream::open(daemon.connect(), &[]).0;
        let mut connection = begin_sleep(&daemon, 1.0);
        daemon.signal(signal);
        daemon.notified("STOPPING=1");
        let reply = connection.reply();
        assert_eq!(reply.json()["result"]["isError"], json!(false), "{}", reply.text());
        assert_eq!(stream.message(), None);
        assert_eq!(daemon.ended().code(), Some(0));
        assert!(daemon.log().contains("stopped"));
    }
}

#[test]
fn a_call_that_waits_has_its_turn_in_the_drain() {
    let config = "[execution]\nserialize = \"plugin\"\ndrain = 20\n";
    let mut daemon = smcpd().plugins(&["worker"]).config(config).start();
    let mut connections = [(); 2].map(|()| daemon.begin("worker.sleep", json!({"seconds": 0.6})));
    let counts = json!({"running": 1, "waiting": 1});
    until("one call waits for the other", || {
        let calls = daemon.get("/health", &[]).json()["calls"].take();
        (json!({"running": calls["running"], "waiting": calls["waiting"]}) == counts).then_some(())
    });
    daemon.signal(Signal::TERM);
    for connection in &mut connections {
        let reply = connection.reply();
        assert_eq!(reply.json()["result"]["isError"], json!(false), "{}", reply.text());
    }
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn a_call_past_the_drain_is_ended_and_answered() {
    let config = "[execution]\ndrain = 0.3\ngrace = 0.2\n";
    let mut daemon = smcpd().plugins(&["worker"]).config(config).start();
    let mut connection = begin_sleep(&daemon, 60.0);
    daemon.signal(Signal::TERM);
    let reply = connection.reply();
    assert_eq!(reply.json()["result"]["structuredContent"]["error"]["code"], "cancelled");
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_now() {
    let mut daemon = smcpd().plugins(&["worker"]).config("[execution]\ngrace = 0.2\n").start();
    let _connection = begin_sleep(&daemon, 60.0);
    let plugin = working(daemon.pid())[0];
    daemon.signal(Signal::TERM);
    daemon.notified("STOPPING=1");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().code(), Some(0));
    assert!(!smcp_test_support::is_alive(plugin));
}

#[test]
fn new_work_is_refused_while_draining() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let mut kept = daemon.connect();
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    assert_eq!(kept.post("/messages/", &[], &ping).status, 200);
    let mut calling = begin_sleep(&daemon, 1.5);
    daemon.signal(Signal::TERM);
    daemon.notified("STOPPING=1");
    // An idle connection is closed, and whoever comes is told.
    assert!(kept.is_closed());
    let health = daemon.get("/health", &[]);
    assert_eq!((health.status, health.json()["status"].clone()), (503, json!("draining")));
    for path in ["/mcp", "/messages/"] {
        assert_eq!(daemon.post(path, &[], &ping).status, 503, "{path}");
    }
    assert_eq!(daemon.get("/sse", &[]).status, 503);
    // A large one is taken whole first: a client that is still writing would be reset, and might not see the answer.
    let large = " ".repeat(3 << 20);
    for (path, status) in [("/mcp", 503), ("/messages/", 503), ("/messages/?session_id=unknown", 404)] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            large.len() + ping.to_string().len()
        );
        let mut connection = daemon.connect();
        connection.raw(head.as_bytes());
        std::thread::sleep(Duration::from_millis(50));
        let sent = connection.socket().write_all(format!("{large}{ping}").as_bytes());
        assert!(sent.is_ok(), "{path}: {sent:?}");
        assert_eq!(connection.reply().status, status, "{path}");
    }
    assert_eq!(calling.reply().json()["result"]["isError"], json!(false));
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_first_request_that_is_on_its_way_when_the_daemon_stops_is_answered() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let mut silent = daemon.connect();
    // By then the daemon has the other connection too.
    let mut calling = begin_sleep(&daemon, 1.0);
    daemon.signal(Signal::TERM);
    daemon.notified("STOPPING=1");
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    assert_eq!(silent.post("/messages/", &[], &ping).status, 503);
    assert_eq!(calling.reply().json()["result"]["isError"], json!(false));
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn whoever_has_a_connection_as_the_port_closes_is_answered() {
    /// Connects and asks until it is over; returns what became of those that had a connection and no answer.
    fn ask(address: SocketAddr, over: &AtomicBool) -> Vec<String> {
        let mut lost = Vec::new();
        while !over.load(Ordering::Relaxed) {
            // Whoever comes while the port closes hears nothing, and whoever comes later is refused.
            let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) else {
                continue;
            };
            let mut answer = String::new();
            let asked =
                stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            match asked.and_then(|()| stream.read_to_string(&mut answer)) {
                Ok(_) if answer.starts_with("HTTP/1.1 ") => {}
                told => lost.push(format!("{told:?} {answer}")),
            }
        }
        lost
    }
    for _ in 0..6 {
        let mut daemon = smcpd().start();
        let (address, over) = (daemon.address(), AtomicBool::new(false));
        let lost = std::thread::scope(|scope| {
            let asking = [(); 8].map(|()| scope.spawn(|| ask(address, &over)));
            std::thread::sleep(Duration::from_millis(100));
            daemon.signal(Signal::TERM);
            assert_eq!(daemon.ended().code(), Some(0));
            over.store(true, Ordering::Relaxed);
            asking.map(|thread| thread.join().unwrap()).concat()
        });
        assert!(lost.is_empty(), "{lost:?}");
    }
}

#[test]
fn what_is_answered_in_the_drain_says_that_its_connection_closes() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let mut calling = begin_sleep(&daemon, 0.5);
    assert_eq!(daemon.get("/health", &[]).header("Connection"), None);
    daemon.signal(Signal::TERM);
    daemon.notified("STOPPING=1");
    for reply in [daemon.get("/health", &[]), calling.reply()] {
        assert_eq!(reply.header("Connection"), Some("close"), "{}", reply.text());
    }
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_hangup_does_not_end_the_daemon() {
    let daemon = smcpd().start();
    daemon.signal(Signal::HUP);
    assert_eq!(daemon.get("/health", &[]).status, 200);
}

#[test]
fn a_connection_that_only_listens_does_not_hold_up_the_stop() {
    let mut daemon = smcpd().start();
    let mut silent = TcpStream::connect(daemon.address()).unwrap();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().code(), Some(0));
    let mut rest = Vec::new();
    let _closed = silent.read_to_end(&mut rest);
    assert!(rest.is_empty());
}
