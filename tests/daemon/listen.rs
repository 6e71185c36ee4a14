//! `subscriptions/listen` over `/mcp`, and the stateless dialect over stdio (2026-07-28).

use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};
use smcp_test_support::{PATIENCE, Setup, until};

use crate::alone::{Asked, Heard, META_CAPABILITIES, META_VERSION, SUBSCRIPTION, VERSION};
use crate::client::{Pipe, SOON, asker, request};
use crate::smcpd;

/// A plugin with one tool, one prompt and one resource, the file `note.txt`; it is seen once it is linked.
pub(crate) fn late(setup: &Setup) -> std::path::PathBuf {
    let directory = setup.path().join("late");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("cli.py"), "print()\n").unwrap();
    fs::write(directory.join("note.txt"), "one").unwrap();
    let contract = json!({"contract_version": "1.2", "commands": [{"name": "x"}],
        "prompts": [{"name": "late", "messages": []}],
        "resources": [{"uri": "late://note", "name": "Note", "file": "note.txt"}]});
    fs::write(directory.join("contract.json"), contract.to_string()).unwrap();
    directory
}

pub(crate) fn link(directory: &Path) {
    std::os::unix::fs::symlink(directory, directory.with_file_name("plugins").join("late")).unwrap();
}

fn listening(notifications: &Value) -> Asked {
    Asked::new("subscriptions/listen", json!({"notifications": notifications}), &json!({}))
}

fn acknowledged(heard: &Heard, notifications: &Value) {
    let first = heard.next().unwrap();
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(&first["params"]["notifications"], notifications);
    assert_eq!(first["params"]["_meta"], json!({SUBSCRIPTION: 1}));
}

#[test]
fn a_listener_is_acknowledged_first_and_hears_of_what_it_asked_for_alone() {
    let setup = smcpd().config(SOON);
    let plugin = late(&setup);
    let daemon = setup.start();
    let kinds = ["toolsListChanged", "promptsListChanged", "resourcesListChanged"];
    let listeners: Vec<(&str, Heard)> = kinds
        .into_iter()
        .map(|kind| {
            let heard = listening(&json!({kind: true, "unheardOf": true})).begin(&daemon);
            acknowledged(&heard, &json!({kind: true}));
            (kind, heard)
        })
        .collect();
    let all = listening(
        &json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true}),
    );
    let mut all = all;
    all.body["id"] = "a".into();
    let all = all.begin(&daemon);
    assert_eq!(all.next().unwrap()["params"]["_meta"], json!({SUBSCRIPTION: "a"}));
    let nothing = listening(&json!({})).begin(&daemon);
    acknowledged(&nothing, &json!({}));
    link(&plugin);
    for (kind, heard) in &listeners {
        let list = kind.strip_suffix("ListChanged").unwrap();
        let expected = json!({"jsonrpc": "2.0", "method": format!("notifications/{list}/list_changed"),
            "params": {"_meta": {SUBSCRIPTION: 1}}});
        assert_eq!(heard.next().unwrap(), expected);
    }
    let mut told: Vec<Value> = (0..3).map(|_| all.next().unwrap()["method"].take()).collect();
    told.sort_by_key(Value::to_string);
    assert_eq!(
        told,
        ["prompts", "resources", "tools"].map(|list| format!("notifications/{list}/list_changed"))
    );
    // The end of the daemon is the answer, and nothing else was said.
    daemon.signal(rustix::process::Signal::TERM);
    for heard in [nothing, all].iter().chain(listeners.iter().map(|(_, heard)| heard)) {
        let last = heard.next().unwrap();
        assert_eq!(last["result"]["resultType"], "complete", "{last}");
        assert_eq!(last["result"]["_meta"][SUBSCRIPTION], last["id"], "{last}");
        assert_eq!(heard.next(), None);
    }
}

#[test]
fn a_resource_that_changes_is_told_to_whoever_subscribes_to_it() {
    let setup = smcpd().config(SOON);
    let plugin = late(&setup);
    link(&plugin);
    let daemon = setup.start();
    let wanted = json!({"resourceSubscriptions": ["late://note"]});
    let heard = listening(&wanted).begin(&daemon);
    acknowledged(&heard, &wanted);
    let other = json!({"resourceSubscriptions": ["late://other"], "toolsListChanged": true});
    let deaf = listening(&other).begin(&daemon);
    acknowledged(&deaf, &other);
    // It is known once it was looked at: until then it is changed again.
    let (told, mut times) = (std::thread::spawn(move || (heard.next(), heard)), 0);
    until("the change was told", || {
        times += 1;
        fs::write(plugin.join("note.txt"), format!("{times} times")).unwrap();
        told.is_finished().then_some(())
    });
    let (told, _heard) = told.join().unwrap();
    let expected = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated",
        "params": {"uri": "late://note", "_meta": {SUBSCRIPTION: 1}}});
    assert_eq!(told, Some(expected));
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(deaf.next().unwrap()["result"]["resultType"], "complete");
}

#[test]
fn a_subscription_without_a_stream_or_a_filter_is_refused() {
    let daemon = smcpd().start();
    let listen = listening(&json!({"toolsListChanged": true}));
    let headers: Vec<(&str, &str)> = listen.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let headers = [&headers[..], &[("Accept", "application/json")]].concat();
    assert_eq!(daemon.post("/mcp", &headers, &listen.body).json()["error"]["code"], -32602);
    let (_, error) = Asked::new("subscriptions/listen", json!({}), &json!({})).error(&daemon);
    assert_eq!(error["code"], -32602);
    let (_, error) = listening(&json!({"toolsListChanged": "yes"})).error(&daemon);
    assert_eq!(error["code"], -32602);
}

fn hear(heard: &Receiver<Value>) -> Value {
    heard.recv_timeout(PATIENCE).unwrap()
}

/// The answer to `id`, past whatever else comes.
fn answer(heard: &Receiver<Value>, id: u64) -> Value {
    std::iter::repeat_with(|| hear(heard))
        .find(|message| message["id"] == id && message.get("method").is_none())
        .unwrap()
}

fn alone(id: u64, method: &str, mut params: Value) -> Value {
    params["_meta"][META_VERSION] = VERSION.into();
    params["_meta"][META_CAPABILITIES] = json!({});
    request(id, method, &params)
}

#[test]
fn on_stdio_both_dialects_share_the_line() {
    let (sender, heard) = channel();
    let mut pipe = Pipe::start(asker(), sender);
    pipe.tell(&alone(1, "server/discover", json!({})));
    let discovered = answer(&heard, 1);
    assert_eq!(discovered["result"]["supportedVersions"][0], VERSION);
    pipe.tell(&alone(2, "tools/list", json!({})));
    assert_eq!(answer(&heard, 2)["result"]["resultType"], "complete");
    for (id, message, code) in [
        (3, alone(3, "ping", json!({})), -32601),
        (4, alone(4, "ask", json!({})), -32601),
        (5, alone(5, "tools/call", json!({"name": "ask", "arguments": {"kinds": "roots"}})), -32021),
        (6, alone(6, "resources/read", json!({"uri": "asker://no"})), -32602),
        (7, request(7, "tools/list", &json!({"_meta": {META_VERSION: VERSION}})), -32602),
        (
            8,
            request(8, "tools/list", &json!({"_meta": {META_VERSION: "2099-01-01", META_CAPABILITIES: {}}})),
            -32022,
        ),
    ] {
        pipe.tell(&message);
        assert_eq!(answer(&heard, id)["error"]["code"], code, "{message}");
    }
    let mut call = alone(9, "tools/call", json!({"name": "steps", "arguments": {}}));
    call["params"]["_meta"]["progressToken"] = "p".into();
    pipe.tell(&call);
    assert_eq!(hear(&heard)["params"]["progressToken"], "p");
    assert_eq!(answer(&heard, 9)["result"]["resultType"], "complete");
    // Whoever probed may still open a session.
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "test", "version": "0"}});
    pipe.tell(&request(10, "initialize", &hello));
    assert_eq!(answer(&heard, 10)["result"]["protocolVersion"], "2025-06-18");
    pipe.tell(&request(11, "ping", &json!({})));
    assert_eq!(answer(&heard, 11)["result"], json!({}));
    pipe.tell(&request(12, "tools/list", &json!({})));
    assert_eq!(answer(&heard, 12)["result"]["resultType"], Value::Null);
}

#[test]
fn on_stdio_a_listener_hears_by_its_subscription_and_stops_by_cancelling() {
    let setup = smcpd().config(SOON);
    let plugin = late(&setup);
    let (sender, heard) = channel();
    let mut pipe = Pipe::start(setup, sender);
    for id in [1, 2] {
        pipe.tell(&alone(id, "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})));
        let first = hear(&heard);
        assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
        assert_eq!(first["params"]["_meta"][SUBSCRIPTION], id);
    }
    pipe.tell(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}));
    pipe.tell(&alone(3, "tools/list", json!({})));
    answer(&heard, 3);
    link(&plugin);
    let told = std::iter::repeat_with(|| hear(&heard))
        .find(|message| message["params"]["_meta"][SUBSCRIPTION].is_u64())
        .unwrap();
    assert_eq!(told["method"], "notifications/tools/list_changed");
    assert_eq!(told["params"]["_meta"][SUBSCRIPTION], 2, "{told}");
}
