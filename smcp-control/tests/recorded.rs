//! Frames as the first version wrote them: every later version reads each one and means the same by it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use smcp_control::{Hello, Reply, Request};

const RECORDED: &str = include_str!("frames/1.jsonl");

/// Reads a frame and writes it again: a field may have been added since, nothing else.
fn again<T: Serialize + DeserializeOwned>(recorded: &Value) -> (T, Value) {
    let frame: T =
        serde_json::from_value(recorded.clone()).unwrap_or_else(|error| panic!("{recorded}: {error}"));
    let written = serde_json::to_value(&frame).unwrap();
    (frame, written)
}

/// Whether everything recorded is still said.
fn holds(written: &Value, recorded: &Value) -> bool {
    match (written, recorded) {
        (Value::Object(written), Value::Object(recorded)) => {
            recorded.iter().all(|(key, value)| written.get(key).is_some_and(|now| holds(now, value)))
        }
        (Value::Array(written), Value::Array(recorded)) => {
            written.len() == recorded.len()
                && written.iter().zip(recorded).all(|(now, then)| holds(now, then))
        }
        (written, recorded) => written == recorded,
    }
}

/// A new request does not compile until its first frame was recorded under this name.
fn name_of_request(request: &Request) -> &'static str {
    match request {
        Request::Health => "health",
        Request::Tools => "tools",
        Request::Call { .. } => "call",
        Request::Stdio => "stdio",
        Request::Status => "status",
        Request::Plugins => "plugins",
        Request::Plugin { .. } => "plugin",
        Request::Launch { .. } => "launch",
        Request::Rescan { .. } => "rescan",
        Request::Reload { .. } => "reload",
        Request::Config => "config",
        Request::Doctor => "doctor",
        Request::Sessions => "sessions",
        Request::Calls => "calls",
        Request::Cancel { .. } => "cancel",
        Request::Activity => "activity",
        Request::Pins { .. } => "pins",
        Request::AcceptPin { .. } => "accept_pin",
        Request::Approvals => "approvals",
        Request::Decide { .. } => "decide",
        Request::Logs { .. } => "logs",
        Request::Audit { .. } => "audit",
        Request::Keys => "keys",
        Request::KeyCreate { .. } => "key_create",
        Request::KeyRevoke { .. } => "key_revoke",
        Request::KeyRotate { .. } => "key_rotate",
        Request::Profiles => "profiles",
        Request::Why { .. } => "why",
    }
}

const REQUESTS: usize = 28;

fn name_of_reply(reply: &Reply) -> &'static str {
    match reply {
        Reply::Health { .. } => "health",
        Reply::Tools { .. } => "tools",
        Reply::Event(_) => "event",
        Reply::Called { .. } => "called",
        Reply::Status(_) => "status",
        Reply::Plugins { .. } => "plugins",
        Reply::Plugin(_) => "plugin",
        Reply::Launch(_) => "launch",
        Reply::Changes(_) => "changes",
        Reply::Reloaded(_) => "reloaded",
        Reply::Config { .. } => "config",
        Reply::Findings { .. } => "findings",
        Reply::Sessions { .. } => "sessions",
        Reply::Calls { .. } => "calls",
        Reply::Activity(_) => "activity",
        Reply::Pins { .. } => "pins",
        Reply::Approvals { .. } => "approvals",
        Reply::Log(_) => "log",
        Reply::Audit(_) => "audit",
        Reply::Keys { .. } => "keys",
        Reply::KeyChanged(_) => "key_changed",
        Reply::Profiles { .. } => "profiles",
        Reply::Why { .. } => "why",
        Reply::Missed { .. } => "missed",
        Reply::Done => "done",
        Reply::Refused(_) => "refused",
    }
}

const REPLIES: usize = 26;

#[test]
fn every_frame_of_the_first_version_is_read_and_means_the_same() {
    let (mut requests, mut replies, mut hellos) = (BTreeSet::new(), BTreeSet::new(), 0);
    for line in RECORDED.lines() {
        let recorded: Value = serde_json::from_str(line).unwrap();
        let written = if recorded.get("request").is_some() {
            let (request, written) = again::<Request>(&recorded);
            assert_eq!(recorded["request"], name_of_request(&request));
            requests.insert(name_of_request(&request));
            written
        } else if recorded.get("reply").is_some() {
            let (reply, written) = again::<Reply>(&recorded);
            assert_eq!(recorded["reply"], name_of_reply(&reply));
            replies.insert(name_of_reply(&reply));
            written
        } else {
            hellos += 1;
            again::<Hello>(&recorded).1
        };
        assert!(holds(&written, &recorded), "recorded {recorded}\nwritten  {written}");
    }
    assert_eq!((hellos, requests.len(), replies.len()), (1, REQUESTS, REPLIES), "{requests:?} {replies:?}");
}

#[test]
fn a_field_from_the_future_is_passed_over() {
    for line in RECORDED.lines() {
        let mut recorded: Value = serde_json::from_str(line).unwrap();
        recorded["from_the_future"] = Value::from(1);
        if recorded.get("request").is_some() {
            again::<Request>(&recorded);
        } else if recorded.get("reply").is_some() {
            again::<Reply>(&recorded);
        } else {
            again::<Hello>(&recorded);
        }
    }
}

#[test]
fn a_request_without_what_it_needs_is_refused() {
    for request in [
        r#"{"request":"call"}"#,
        r#"{"request":"call","tool":7}"#,
        r#"{"request":"call","tool":"a","arguments":[]}"#,
        r#"{"request":"plugin"}"#,
        r#"{"request":"launch","plugin":"a"}"#,
        r#"{"request":"cancel"}"#,
        r#"{"request":"logs"}"#,
        r#"{"request":"logs","lines":-1}"#,
        r#"{"request":"rescan","cause":{"action":"link"}}"#,
        r#"{"request":"key_create"}"#,
        r#"{"request":"key_create","name":"a","expires_seconds":-1}"#,
        r#"{"request":"key_rotate","name":"a"}"#,
        r#"{"request":"why","key":"a"}"#,
        r#"{"request":"dance"}"#,
        r#"{"request":7}"#,
        "{}",
        "[]",
    ] {
        assert!(serde_json::from_str::<Request>(request).is_err(), "{request}");
    }
}
