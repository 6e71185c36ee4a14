//! Calls that outlive their requests (extension `io.modelcontextprotocol/tasks`, SEP-2663).

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use smcp_test_support::{Daemon, until, working};

use crate::alone::{Asked, TASKS};
use crate::client::asker;

fn able() -> Value {
    json!({"elicitation": {}, "extensions": {TASKS: {}}})
}

fn about(method: &str, id: &Value) -> Asked {
    Asked::new(method, json!({"taskId": id}), &able())
}

fn task(daemon: &Daemon, id: &Value) -> Value {
    about("tasks/get", id).result(daemon)
}

/// Waits until a task is no longer what it was.
fn became(daemon: &Daemon, id: &Value, status: &str) -> Value {
    let found = until(status, || Some(task(daemon, id)).filter(|task| task["status"] != "working"));
    assert_eq!(found["status"], status, "{found}");
    found
}

/// Begins a call that holds until `path` is there.
fn begin(daemon: &Daemon, tool: &str, then: &str) -> (Value, PathBuf) {
    let path = daemon.path().join(format!("{tool}-{then}"));
    let result = Asked::call(tool, json!({"path": path, "then": then}), &able()).result(daemon);
    assert_eq!((&result["resultType"], &result["status"]), (&json!("task"), &json!("working")), "{result}");
    for member in ["createdAt", "lastUpdatedAt"] {
        assert!(result[member].as_str().unwrap().ends_with('Z'), "{result}");
    }
    assert!(result["ttlMs"].is_u64() && result["pollIntervalMs"].is_u64(), "{result}");
    (result["taskId"].clone(), path)
}

#[test]
fn a_task_works_and_completes_with_the_result_of_its_call() {
    let daemon = asker().start();
    for tool in ["long", "must"] {
        let (id, path) = begin(&daemon, tool, "end");
        let working = task(&daemon, &id);
        assert_eq!((&working["status"], &working["resultType"]), (&json!("working"), &json!("complete")));
        assert!(working.get("result").is_none());
        fs::write(&path, "").unwrap();
        let ended = became(&daemon, &id, "completed");
        assert_eq!(ended["result"]["structuredContent"], json!({"held": path}));
        assert_eq!(ended["result"]["isError"], false);
        // To cancel what has ended changes nothing.
        about("tasks/cancel", &id).result(&daemon);
        assert_eq!(task(&daemon, &id)["status"], "completed");
    }
    // A call that ends at once needs no task.
    let soon = Asked::call("must", json!({}), &able()).result(&daemon);
    assert_eq!(soon["resultType"], "complete");
}

#[test]
fn a_command_that_fails_completes_with_its_error_and_a_question_nobody_answers_fails() {
    let daemon = asker().start();
    let (id, path) = begin(&daemon, "long", "fail");
    fs::write(path, "").unwrap();
    let ended = became(&daemon, &id, "completed");
    assert_eq!(ended["result"]["isError"], true);
    assert_eq!(ended["result"]["content"][0]["text"], "it was let go and fell");
    let (id, path) = begin(&daemon, "long", "roots");
    fs::write(path, "").unwrap();
    let ended = became(&daemon, &id, "failed");
    assert_eq!(ended["error"]["code"], -32021);
    assert_eq!(ended["error"]["data"]["requiredCapabilities"], json!({"roots": {}}));
}

#[test]
fn a_task_asks_for_input_and_goes_on_with_it() {
    let daemon = asker().start();
    let (id, path) = begin(&daemon, "long", "elicitation");
    fs::write(path, "").unwrap();
    let asks = became(&daemon, &id, "input_required");
    assert_eq!(asks["inputRequests"]["elicitation"]["params"]["message"], "Who?");
    let answer = |key: &str, answer: Value| {
        about("tasks/update", &id).param("inputResponses", json!({key: answer})).result(&daemon)
    };
    answer("stranger", json!({"action": "accept"}));
    assert_eq!(task(&daemon, &id)["status"], "input_required");
    let accepted = json!({"action": "accept", "content": {"name": "Ann"}});
    answer("elicitation", accepted.clone());
    let ended = until("it ends", || Some(task(&daemon, &id)).filter(|task| task["status"] == "completed"));
    let given = json!({"responses": {"elicitation": accepted}, "state": null});
    assert_eq!(ended["result"]["structuredContent"], given);
}

#[test]
fn a_task_that_is_cancelled_ends_with_its_processes() {
    let daemon = asker().start();
    let (id, _) = begin(&daemon, "long", "end");
    assert!(!working(daemon.pid()).is_empty());
    about("tasks/cancel", &id).result(&daemon);
    assert_eq!(task(&daemon, &id)["status"], "cancelled");
    until("its processes end", || working(daemon.pid()).is_empty().then_some(()));
    let (id, path) = begin(&daemon, "long", "elicitation");
    fs::write(path, "").unwrap();
    became(&daemon, &id, "input_required");
    about("tasks/cancel", &id).result(&daemon);
    let ended = task(&daemon, &id);
    assert_eq!((&ended["status"], ended.get("inputRequests")), (&json!("cancelled"), None));
}

#[test]
fn a_task_of_another_caller_is_as_unknown_as_none() {
    let daemon = asker().environment("MCP_API_KEYS", "one,two").start();
    let call = Asked::call("long", json!({"path": "/nowhere/at/all"}), &able());
    let id = call.header("X-API-Key", "one").result(&daemon)["taskId"].take();
    let (_, unknown) = about("tasks/get", &json!("none")).header("X-API-Key", "two").error(&daemon);
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let (_, error) = about(method, &id).header("X-API-Key", "two").error(&daemon);
        assert_eq!(error, unknown, "{method}");
    }
    assert_eq!(about("tasks/get", &id).header("X-API-Key", "one").result(&daemon)["status"], "working");
    about("tasks/cancel", &id).header("X-API-Key", "one").result(&daemon);
}

#[test]
fn a_call_that_has_to_be_a_task_is_refused_where_its_client_knows_none() {
    let daemon = asker().start();
    let none = json!({});
    let call = Asked::call("must", json!({}), &none);
    let (status, error) = call.error(&daemon);
    assert_eq!((status, &error["code"]), (400, &json!(-32021)));
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let (status, error) = Asked::new(method, json!({"taskId": "x"}), &none).error(&daemon);
        assert_eq!((status, &error["code"]), (400, &json!(-32021)), "{method}");
        assert_eq!(error["data"]["requiredCapabilities"], json!({"extensions": {TASKS: {}}}));
    }
    // One that may be a task is an ordinary call then.
    let result = Asked::call("long", json!({}), &none).result(&daemon);
    assert_eq!(result["resultType"], "complete");
}

#[test]
fn a_task_outlives_the_connection_of_its_request() {
    let daemon = asker().start();
    let path = daemon.path().join("gone");
    let call = Asked::call("long", json!({"path": path}), &able());
    let heard = call.begin(&daemon);
    let id = heard.next().unwrap()["result"]["taskId"].take();
    heard.leave();
    assert_eq!(daemon.ask("tools/list", json!({}))["error"], Value::Null);
    assert_eq!(task(&daemon, &id)["status"], "working");
    assert!(!working(daemon.pid()).is_empty());
    fs::write(&path, "").unwrap();
    became(&daemon, &id, "completed");
}

#[test]
fn the_stop_of_the_daemon_ends_its_tasks() {
    let mut daemon = asker().start();
    let (_, _) = begin(&daemon, "long", "end");
    let (_, _) = begin(&daemon, "must", "end");
    let (asking, path) = begin(&daemon, "long", "elicitation");
    fs::write(path, "").unwrap();
    let _waits = task(&daemon, &asking);
    let processes = working(daemon.pid());
    daemon.signal(rustix::process::Signal::TERM);
    assert!(daemon.ended().success());
    let is_gone = |pid: &u32| !smcp_test_support::is_alive(*pid);
    until("nothing is left", || processes.iter().all(is_gone).then_some(()));
}
