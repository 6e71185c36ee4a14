//! API keys: who is let in, with what, and until when.

use std::fs;

use rustix::process::Signal;
use serde_json::json;
use smcp_test_support::{Stream, until};

use crate::smcpd;

#[test]
fn a_key_that_leaves_the_configuration_ends_what_was_opened_with_it() {
    let setup = smcpd();
    let file = setup.path().join("keys");
    fs::write(&file, "one\ntwo\n").unwrap();
    let daemon = setup.config(&format!("[auth]\nkey_files = ['{}']\n", file.display())).start();
    let (one, two) = ([("Authorization", "Bearer one")], [("Authorization", "Bearer two")]);
    let (mut kept, path) = Stream::open(daemon.connect(), &one);
    let (mut cut, _) = Stream::open(daemon.connect(), &two);
    fs::write(&file, "one\n").unwrap();
    daemon.signal(Signal::HUP);
    assert_eq!(cut.message(), None);
    let ping = json!({"jsonrpc": "2.0", "id": 7, "method": "ping"});
    assert_eq!(daemon.post("/messages/", &two, &ping).status, 401);
    assert_eq!(daemon.post(&path, &one, &ping).status, 202);
    assert_eq!(kept.message().unwrap()["id"], 7);
    // Where nobody needed a key, the first one ends what was opened without.
    fs::write(&file, "").unwrap();
    daemon.signal(Signal::HUP);
    assert_eq!(kept.message(), None);
    let (mut open, _) = until("no key is needed", || {
        (daemon.get("/metrics", &[]).status == 200).then(|| Stream::open(daemon.connect(), &[]))
    });
    fs::write(&file, "three\n").unwrap();
    daemon.signal(Signal::HUP);
    assert_eq!(open.message(), None);
}
