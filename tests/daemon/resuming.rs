//! A client whose connection broke comes back before the daemon knows (2025-11-25, transports, "resumability and
//! redelivery"): its old connection is still open here.

use std::time::Duration;

use serde_json::{Value, json};
use smcp_test_support::{Daemon, Event, Reply, Stream, root, until};

use crate::client::{BOTH, JSON, request};
use crate::smcpd;

fn begin(daemon: &Daemon, session: &str, id: u64, tool: &str, arguments: &Value) -> Stream {
    let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": id}});
    let mut connection = daemon.connect();
    let body = request(id, "tools/call", &params).to_string();
    connection.write("POST", "/mcp", &[JSON, BOTH, ("Mcp-Session-Id", session)], body.as_bytes());
    connection.either().unwrap()
}

/// `GET /mcp`, with the last event that arrived.
fn get(daemon: &Daemon, session: &str, last: Option<&str>) -> Result<Stream, Reply> {
    let mut headers = vec![("Accept", "text/event-stream"), ("Mcp-Session-Id", session)];
    headers.extend(last.map(|last| ("Last-Event-ID", last)));
    let mut connection = daemon.connect();
    connection.write("GET", "/mcp", &headers, b"");
    connection.either()
}

fn running(daemon: &Daemon) -> u64 {
    daemon.get("/health", &[]).json()["calls"]["running"].as_u64().unwrap()
}

fn numbers(stream: &mut Stream) -> Vec<(String, Value)> {
    let events = std::iter::from_fn(|| stream.event());
    events
        .map(|event| {
            let said = event.json();
            let what =
                if said["id"].is_null() { said["params"]["progress"].clone() } else { "answer".into() };
            (event.id.unwrap(), what)
        })
        .collect()
}

#[test]
fn whoever_comes_back_for_an_answer_takes_the_place_of_the_broken_connection() {
    let daemon = smcpd().plugins(&["worker"]).start();
    for revision in ["2025-06-18", "2025-11-25"] {
        let session = daemon.initialize(revision);
        let mut old = begin(&daemon, &session, 7, "worker.sleep", &json!({"seconds": 3}));
        // Of 2025-06-18 nothing but the name of the stream is known, for nothing was said yet.
        let id = match revision {
            "2025-11-25" => old.event().unwrap().id.unwrap(),
            _ => "1-0".to_owned(),
        };
        let mut new = get(&daemon, &session, Some(&id)).unwrap();
        // The old one ends at once and hears nothing; the call goes on.
        assert_eq!(old.event(), None, "{revision}");
        assert_eq!(running(&daemon), 1, "{revision}");
        drop(old);
        let answer = new.event().unwrap();
        assert!(answer.data.contains("\"isError\":false"), "{revision}: {answer:?}");
        assert_eq!((answer.json()["id"].as_u64(), new.event()), (Some(7), None), "{revision}");
        // Told once, perhaps into a connection that was broken: again to who did not see it, and to nobody else.
        let mut again = get(&daemon, &session, Some(&id)).unwrap();
        assert_eq!(again.event().unwrap().data, answer.data);
        drop(again);
        let listening = get(&daemon, &session, Some(&answer.id.unwrap())).unwrap();
        assert_eq!(get(&daemon, &session, None).unwrap_err().status, 409, "{revision}");
        drop(listening);
    }
}

#[test]
fn what_was_said_since_is_said_again_and_the_rest_once() {
    let daemon = smcpd().plugins(&["asker"]).start();
    let session = daemon.initialize("2025-11-25");
    let mut whole = begin(&daemon, &session, 1, "steps", &json!({}));
    let events: Vec<_> = std::iter::from_fn(|| whole.event()).collect();
    let ids: Vec<_> = events.iter().map(|event| event.id.clone().unwrap()).collect();
    assert_eq!(ids, ["1-0", "1-1", "1-2", "1-3", "1-4"]);
    let mut after = get(&daemon, &session, Some("1-2")).unwrap();
    assert_eq!(numbers(&mut after), [("1-3".to_owned(), json!(3)), ("1-4".to_owned(), json!("answer"))]);
    // Nobody else's: of another session, of another stream, of no stream.
    let other = daemon.initialize("2025-11-25");
    for (session, last) in [(&other, "1-2"), (&session, "9-2"), (&session, "1-4"), (&session, "x")] {
        let mut ordinary = get(&daemon, session, Some(last)).unwrap();
        let first = ordinary.event().unwrap();
        assert_eq!(first.data, "", "{last}: {first:?}");
        drop(ordinary);
        until("it is over", || daemon.get("/metrics", &[]).text().contains("smcp_streams 0").then_some(()));
    }
}

#[test]
fn a_call_whose_client_came_back_still_ends_with_its_last_connection() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let session = daemon.initialize("2025-11-25");
    let mut old = begin(&daemon, &session, 1, "worker.sleep", &json!({"seconds": 60}));
    let id = old.event().unwrap().id.unwrap();
    let mut readers = vec![old];
    for _ in 0..3 {
        readers.push(get(&daemon, &session, Some(&id)).unwrap());
    }
    let last = readers.pop().unwrap();
    for reader in &mut readers {
        assert_eq!(reader.event(), None);
    }
    drop(readers);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(running(&daemon), 1);
    drop(last);
    until("the call ended", || (running(&daemon) == 0).then_some(()));
    let mut told = get(&daemon, &session, Some(&id)).unwrap();
    assert!(told.message().unwrap()["error"]["message"].as_str().unwrap().contains("the connection broke"));
}

#[test]
fn the_stream_of_a_session_is_taken_over_with_what_only_the_broken_one_heard() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let session = daemon.initialize("2025-11-25");
    let add = |number: u32| {
        let more = daemon.path().join("plugins").join(format!("more{number}"));
        std::os::unix::fs::symlink(root().join("tests/fixtures/plugins/bash_tool"), more).unwrap();
    };
    let changed = |event: &Event| event.json()["method"] == "notifications/tools/list_changed";
    let mut old = get(&daemon, &session, None).unwrap();
    let first = old.event().unwrap().id.unwrap();
    add(1);
    let heard = old.event().unwrap();
    assert!(changed(&heard));
    // Without an id the session has its stream; with the id of what came before, the same is said again.
    assert_eq!(get(&daemon, &session, None).unwrap_err().status, 409);
    let mut new = get(&daemon, &session, Some(&first)).unwrap();
    assert_eq!(old.event(), None);
    assert_eq!(new.event(), Some(heard));
    drop(old);
    add(2);
    let second = new.event().unwrap();
    assert!(changed(&second));
    // And what happened while nobody listened.
    drop(new);
    until("it is over", || daemon.get("/metrics", &[]).text().contains("smcp_streams 0").then_some(()));
    add(3);
    std::thread::sleep(Duration::from_millis(500));
    let mut third = get(&daemon, &session, second.id.as_deref()).unwrap();
    let missed = third.event().unwrap();
    assert!(changed(&missed) && missed.id != second.id, "{missed:?}");
}
