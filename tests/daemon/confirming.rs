//! Calls that somebody has to confirm, in each dialect: by the client's user, or by an operator.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};
use smcp_test_support::{Daemon, Setup, until};

use crate::alone::{Asked, TASKS};
use crate::client::{Client, SOON, WAYS, Way, able};
use crate::smcpd;

const CONTRACT: &str = r#"{"plugin": {"description": "d"}, "commands": [
    {"name": "wipe", "description": "Wipes", "annotations": {"destructiveHint": true},
        "parameters": [{"name": "path", "type": "string"}, {"name": "token", "type": "string", "secret": true}]},
    {"name": "later", "description": "Takes long", "task": "optional"},
    {"name": "look", "description": "Looks", "annotations": {"readOnlyHint": true}},
    {"name": "add", "description": "Adds", "annotations": {"destructiveHint": false}}]}"#;

/// A plugin that leaves a line in its state for each run.
fn setup(config: &str) -> Setup {
    let setup = smcpd();
    let directory = setup.path().join("plugins/mine");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("contract.json"), CONTRACT).unwrap();
    fs::write(directory.join("cli"), "#!/bin/sh\necho \"$1\" >> ran\necho '{\"done\": true}'\n").unwrap();
    fs::set_permissions(directory.join("cli"), fs::Permissions::from_mode(0o755)).unwrap();
    setup.config(&format!("{SOON}{config}"))
}

fn runs(directory: &Path) -> usize {
    runs_of(directory, "wipe")
}

fn runs_of(directory: &Path, command: &str) -> usize {
    let ran = fs::read_to_string(directory.join("STATE/smcp/state/mine/ran")).unwrap_or_default();
    ran.lines().filter(|line| *line == command).count()
}

/// Asks on one of the daemon's sockets.
pub(crate) fn control(daemon: &Daemon, socket: &str, request: &Value) -> Value {
    let mut stream = UnixStream::connect(daemon.path().join("runtime/smcp").join(socket)).unwrap();
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines();
    let _hello = lines.next().unwrap().unwrap();
    serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap()
}

fn waiting(daemon: &Daemon) -> Vec<Value> {
    let reply = control(daemon, "control.sock", &json!({"request": "approvals"}));
    reply["approvals"].as_array().unwrap().clone()
}

fn await_one(daemon: &Daemon) -> Value {
    until("a call waits for an operator", || waiting(daemon).pop())
}

fn decide(daemon: &Daemon, call: &Value, approve: bool, reason: Option<&str>) {
    let request = json!({"request": "decide", "id": call["id"], "approve": approve, "reason": reason});
    assert_eq!(control(daemon, "control.sock", &request)["reply"], "done");
}

fn is_not_permitted(result: &Value, why: &str) {
    assert_eq!(result["isError"], true, "{result}");
    let error = &result["structuredContent"]["error"];
    assert_eq!(error["code"], "not_permitted", "{result}");
    assert!(error["message"].as_str().unwrap().contains(why), "{result}");
}

#[test]
fn the_clients_user_is_asked_where_there_is_a_session_and_only_a_clear_yes_runs_it() {
    for (way, revision) in WAYS {
        let setup = setup("[confirm]\ndestructive = \"elicit\"\n");
        let at = setup.path().to_owned();
        let mut client = Client::start(way, revision, setup, &able());
        for (answer, expected) in [
            (json!({"action": "decline"}), 0),
            (json!({"action": "accept", "content": {}}), 0),
            (json!({"action": "accept", "content": {"confirm": false}}), 0),
            (json!({"action": "accept", "content": {"confirm": true}}), 1),
        ] {
            let id = client.call("mine.wipe", &json!({"path": "/srv/\u{1b}x", "token": "hush"}));
            let question = client.question();
            assert_eq!(question["method"], "elicitation/create", "{way:?}");
            let message = question["params"]["message"].as_str().unwrap();
            assert!(message.contains("mine.wipe") && message.contains("/srv/\\u001bx"), "{message}");
            assert!(!message.contains("hush"), "{message}");
            client.reply(&question, answer);
            let result = client.answer(id).1["result"].take();
            match expected {
                0 => is_not_permitted(&result, "the client's user has to confirm it"),
                _ => assert_eq!(result["structuredContent"]["done"], true, "{result}"),
            }
            assert_eq!(runs(&at), expected, "{way:?}");
        }
        for harmless in ["mine.look", "mine.add"] {
            let id = client.call(harmless, &json!({}));
            assert_eq!(client.answer(id).0, Vec::<Value>::new(), "{way:?} {harmless}");
        }
    }
}

#[test]
fn a_stateless_client_comes_back_with_its_users_yes_which_is_good_for_one_run() {
    let daemon = setup("[confirm]\ndestructive = \"elicit\"\n").start();
    let ask = || Asked::call("mine.wipe", json!({"path": "/srv"}), &able());
    let yes = json!({"smcp.confirm": {"action": "accept", "content": {"confirm": true}}});
    let first = ask().result(&daemon);
    assert_eq!(first["resultType"], "input_required", "{first}");
    assert_eq!(first["inputRequests"]["smcp.confirm"]["method"], "elicitation/create");
    let state = &first["requestState"];
    // A yes to nothing that was asked, or to another call, asks again.
    let again = ask().param("inputResponses", yes.clone()).result(&daemon);
    assert_eq!(again["resultType"], "input_required");
    let other = Asked::call("mine.wipe", json!({"path": "/"}), &able()).param("requestState", state.clone());
    assert_eq!(other.param("inputResponses", yes.clone()).error(&daemon).1["code"], -32602);
    assert_eq!(runs(daemon.path()), 0);
    let back = || ask().param("requestState", state.clone()).param("inputResponses", yes.clone());
    assert_eq!(back().result(&daemon)["structuredContent"]["done"], true);
    assert_eq!(back().result(&daemon)["resultType"], "input_required");
    assert_eq!(runs(daemon.path()), 1);
    let no = json!({"smcp.confirm": {"action": "decline"}});
    let asked = ask().result(&daemon);
    let refused = ask().param("requestState", asked["requestState"].clone()).param("inputResponses", no);
    is_not_permitted(&refused.result(&daemon), "the answer was no");
    assert_eq!(runs(daemon.path()), 1);
    assert!(daemon.stop().success());
}

#[test]
fn what_a_client_cannot_ask_its_user_waits_for_an_operator_who_sees_what_it_is() {
    let daemon = setup("[plugin.mine]\nconfirm = \"elicit\"\n").start();
    let call = |path: &str| daemon.begin("mine.wipe", json!({"path": path, "token": "hush"}));
    let mut approved = call("/srv/\u{1b}[2J");
    let found = await_one(&daemon);
    assert_eq!((&found["tool"], &found["caller"]), (&json!("mine.wipe"), &json!("anonymous")));
    assert_eq!(found["arguments"], json!({"path": "/srv/\u{1b}[2J", "token": "***"}));
    let status = control(&daemon, "control.sock", &json!({"request": "status"}));
    assert_eq!(status["approvals_waiting"], 1);
    // Who may only call may not decide.
    let own = json!({"request": "decide", "id": found["id"], "approve": true});
    assert_eq!(control(&daemon, "call.sock", &own)["code"], "not_permitted");
    assert_eq!(runs(daemon.path()), 0);
    decide(&daemon, &found, true, None);
    assert_eq!(approved.reply().json()["result"]["structuredContent"]["done"], true);
    assert_eq!(runs(daemon.path()), 1);
    let mut denied = call("/");
    decide(&daemon, &await_one(&daemon), false, Some("not on a Friday"));
    is_not_permitted(&denied.reply().json()["result"], "denied it: not on a Friday");
    // Cancelled as a call that runs would be.
    let mut cancelled = call("/");
    let id = await_one(&daemon)["id"].take();
    let metrics = daemon.get("/metrics", &[]).text();
    assert!(metrics.contains("\nsmcp_approvals_waiting 1\n"), "{metrics}");
    assert_eq!(control(&daemon, "control.sock", &json!({"request": "cancel", "call": id}))["reply"], "done");
    let result = cancelled.reply().json()["result"].take();
    assert_eq!(result["structuredContent"]["error"]["code"], "cancelled", "{result}");
    assert!(result.to_string().contains("cancelled by an operator"), "{result}");
    let again = control(&daemon, "control.sock", &json!({"request": "cancel", "call": id}));
    assert_eq!(again["code"], "not_found", "{again}");
    // A client that goes away takes its call along.
    let left = call("/");
    let gone = await_one(&daemon);
    drop(left);
    until("it waits no longer", || waiting(&daemon).is_empty().then_some(()));
    let late = json!({"request": "decide", "id": gone["id"], "approve": true});
    assert_eq!(control(&daemon, "control.sock", &late)["code"], "not_found");
    // Nobody is asked about what would be refused anyway.
    assert_eq!(
        daemon.call("mine.wipe", json!({"nope": 7}))["structuredContent"]["error"]["code"],
        "invalid_arguments"
    );
    assert_eq!(runs(daemon.path()), 1);
    let log = daemon.log();
    for (event, outcome, count) in [
        ("approval-wanted", "", 4),
        ("approval-ended", "approved", 1),
        ("approval-ended", "denied", 1),
        ("approval-ended", "cancelled", 2),
    ] {
        let told =
            log.lines().filter(|line| line.contains(&format!("\"{event}\"")) && line.contains(outcome));
        assert_eq!(told.count(), count, "{event} {outcome}");
    }
    assert!(!log.contains("hush"));
    let metrics = daemon.get("/metrics", &[]).text();
    for (outcome, count) in [("approved", 1), ("denied", 1), ("cancelled", 2), ("expired", 0)] {
        let line = format!("\nsmcp_approvals_total{{outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    assert!(daemon.stop().success());
}

#[test]
fn a_key_that_is_revoked_takes_the_call_that_waits_along_and_nobody_can_approve_it_then() {
    let daemon = setup("[confirm]\ndestructive = \"operator\"\n").start();
    let made = control(&daemon, "control.sock", &json!({"request": "key_create", "name": "letta-1"}));
    let secret = made["secret"].as_str().unwrap().to_owned();
    let params = json!({"name": "mine.wipe", "arguments": {"path": "/"}});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let mut connection = daemon.connect();
    let headers = [("Content-Type", "application/json"), ("X-API-Key", &secret)];
    connection.write("POST", "/messages/", &headers, call.as_bytes());
    // And one whose client asked for a session.
    let initialized = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}});
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": initialized});
    let accept = ("Accept", "application/json, text/event-stream");
    let opened = daemon.post("/mcp", &[accept, headers[1]], &initialize);
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let mut streamed = daemon.connect();
    let with_session = [headers[0], headers[1], accept, ("Mcp-Session-Id", &session)];
    streamed.write("POST", "/mcp", &with_session, call.as_bytes());
    let both = until("both wait for an operator", || Some(waiting(&daemon)).filter(|all| all.len() == 2));
    assert!(both.iter().all(|one| one["caller"] == "letta-1"), "{both:?}");
    let revoked = control(&daemon, "control.sock", &json!({"request": "key_revoke", "name": "letta-1"}));
    assert_eq!(revoked["reply"], "key_changed", "{revoked}");
    until("neither waits any longer", || waiting(&daemon).is_empty().then_some(()));
    for call in &both {
        let late = json!({"request": "decide", "id": call["id"], "approve": true});
        let refused = control(&daemon, "control.sock", &late);
        assert_eq!(refused["code"], "not_found", "{refused}");
        assert!(refused["message"].as_str().unwrap().contains("waits for approval"), "{refused}");
    }
    let reply = connection.reply();
    assert_eq!(reply.status, 401, "{}", reply.text());
    let cancelled = daemon
        .log()
        .lines()
        .filter(|line| line.contains("approval-ended") && line.contains("cancelled"))
        .count();
    assert_eq!((cancelled, runs(daemon.path())), (2, 0), "{}", daemon.log());
    drop(streamed);
    assert!(daemon.stop().success());
}

#[test]
fn a_task_waits_for_its_operator_as_a_task() {
    let daemon = setup("[confirm]\ndestructive = \"elicit\"\n").start();
    let capabilities = json!({"extensions": {TASKS: {}}});
    let about =
        |method: &str, id: &Value| Asked::new(method, json!({"taskId": id}), &capabilities).result(&daemon);
    let begin = || {
        let task = Asked::call("mine.later", json!({}), &capabilities).result(&daemon);
        assert_eq!((&task["resultType"], &task["status"]), (&json!("task"), &json!("working")), "{task}");
        (task["taskId"].clone(), await_one(&daemon))
    };
    let ended = |id: &Value| {
        until("the task ends", || Some(about("tasks/get", id)).filter(|task| task["status"] != "working"))
    };
    let (approved, call) = begin();
    assert_eq!(about("tasks/get", &approved)["status"], "working");
    assert_eq!(runs_of(daemon.path(), "later"), 0);
    decide(&daemon, &call, true, None);
    let task = ended(&approved);
    assert_eq!(
        (&task["status"], &task["result"]["structuredContent"]["done"]),
        (&json!("completed"), &json!(true)),
        "{task}"
    );
    assert_eq!(runs_of(daemon.path(), "later"), 1);
    let (denied, call) = begin();
    decide(&daemon, &call, false, Some("not now"));
    let task = ended(&denied);
    assert_eq!(task["status"], "completed", "{task}");
    is_not_permitted(&task["result"], "denied it: not now");
    // One that its client gives up waits for nobody.
    let (given_up, call) = begin();
    about("tasks/cancel", &given_up);
    assert_eq!(about("tasks/get", &given_up)["status"], "cancelled");
    until("it waits no longer", || waiting(&daemon).is_empty().then_some(()));
    let late = json!({"request": "decide", "id": call["id"], "approve": true});
    assert_eq!(control(&daemon, "control.sock", &late)["code"], "not_found");
    // A client that can ask its user is asked first, and then there is nothing to wait for.
    let both = json!({"elicitation": {}, "extensions": {TASKS: {}}});
    let ask = || Asked::call("mine.later", json!({}), &both);
    let first = ask().result(&daemon);
    assert_eq!(first["inputRequests"]["smcp.confirm"]["method"], "elicitation/create", "{first}");
    let yes = json!({"smcp.confirm": {"action": "accept", "content": {"confirm": true}}});
    let back = ask().param("requestState", first["requestState"].clone()).param("inputResponses", yes);
    let result = back.result(&daemon);
    assert_eq!(result["structuredContent"]["done"], true, "{result}");
    assert_eq!(runs_of(daemon.path(), "later"), 2);
    assert!(daemon.stop().success());
}

#[test]
fn an_operators_word_is_not_the_clients_to_give_and_comes_in_time_or_not_at_all() {
    let config = "[confirm]\ntimeout = 1\nmax = 1\n[plugin.mine.confirm]\n\"w*\" = \"operator\"\n";
    // The client could ask its user, and is not asked to.
    let setup = setup(config);
    let at = setup.path().to_owned();
    let mut client = Client::start(Way::Http, "2025-11-25", setup, &able());
    let id = client.watch("mine.wipe", &json!({}), &json!("t"));
    let notice = client.said();
    assert_eq!(notice["method"], "notifications/progress", "{notice}");
    assert!(
        notice["params"]["message"].as_str().unwrap().contains("`smcpctl approvals approve "),
        "{notice}"
    );
    let second = client.call("mine.wipe", &json!({}));
    let answers: Vec<Value> =
        [second, id].into_iter().map(|id| client.answer(id).1["result"].take()).collect();
    assert_eq!(answers[0]["structuredContent"]["error"]["code"], "queue_full", "{}", answers[0]);
    is_not_permitted(&answers[1], "none did within 1 s");
    assert_eq!(runs(&at), 0);
}

#[test]
fn a_call_that_waits_for_an_operator_does_not_hold_up_the_daemons_end() {
    let daemon = setup("[confirm]\ndestructive = \"operator\"\nmax = 1\n").start();
    let mut call = daemon.begin("mine.wipe", json!({}));
    await_one(&daemon);
    // One more than may wait is refused, counted and noted.
    let refused = daemon.call("mine.wipe", json!({}));
    assert_eq!(refused["structuredContent"]["error"]["code"], "queue_full", "{refused}");
    let metrics = daemon.get("/metrics", &[]).text();
    assert!(metrics.contains("\nsmcp_approvals_total{outcome=\"refused\"} 1\n"), "{metrics}");
    let is_noted = |line: &str| line.contains("approval-ended") && line.contains("\"refused\"");
    assert!(daemon.log().lines().any(is_noted), "{}", daemon.log());
    let at = daemon.path().to_owned();
    daemon.signal(rustix::process::Signal::TERM);
    let result = call.reply().json()["result"].take();
    assert_eq!(result["structuredContent"]["error"]["code"], "cancelled", "{result}");
    assert_eq!(runs(&at), 0);
    assert!(daemon.stop().success());
}
