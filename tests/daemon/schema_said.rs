//! What is said beside answers, and everything of the stateless dialect, held to the official schemas too.

use serde_json::{Value, json};
use smcp_test_support::Daemon;

use crate::alone::{Asked, TASKS, VERSION};
use crate::client::{Client, SOON, Way, able, asker};
use crate::listen::{late, link};
use crate::schema::{Official, SESSIONS};
use crate::smcpd;

/// What is offered beside tools.
fn offered() -> Vec<(&'static str, Value)> {
    let template = json!({"type": "ref/resource", "uri": "test://item/{id}/{part}"});
    let prompt = json!({"type": "ref/prompt", "name": "greet"});
    let complete = |reference: &Value, name: &str, value: &str| json!({"ref": reference, "argument": {"name": name, "value": value}});
    let mut all = vec![
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/list", json!({"cursor": "x"})),
        ("prompts/list", json!({})),
        ("prompts/get", json!({"name": "greet", "arguments": {"who": "Ann"}})),
        ("prompts/get", json!({"name": "greet"})),
        ("prompts/get", json!({"name": "plain"})),
        ("prompts/get", json!({"name": "fails"})),
        ("completion/complete", complete(&prompt, "tone", "d")),
        ("completion/complete", complete(&prompt, "who", "many")),
        ("completion/complete", complete(&template, "id", "a")),
        ("completion/complete", json!({})),
    ];
    let uris =
        ["text", "blob", "file", "bytes", "gone", "command", "contents", "broken", "fails", "item/1/a", "no"];
    all.extend(uris.map(|uri| ("resources/read", json!({"uri": format!("test://{uri}")}))));
    all
}

#[test]
fn what_is_offered_beside_tools_is_what_every_revision_says() {
    let daemon = smcpd().plugins(&["offers"]).config(SOON).start();
    let mut latest = Official::of(VERSION);
    for (method, params) in offered() {
        latest.message(method, &Asked::new(method, params, &json!({})).send(&daemon).json());
    }
    for revision in SESSIONS {
        let mut official = Official::of(revision);
        let mut client =
            Client::start(Way::Sse, revision, smcpd().plugins(&["offers"]).config(SOON), &json!({}));
        for (method, params) in offered() {
            let id = client.request(method, &params);
            official.message(method, &client.answer(id).1);
        }
        for method in ["resources/subscribe", "resources/unsubscribe", "logging/setLevel"] {
            let id = client.request(method, &json!({"uri": "test://file", "level": "debug"}));
            official.message(method, &client.answer(id).1);
        }
    }
}

/// What the client would answer; and nothing that its revision does not have is asked.
fn answer_to(asked: &Value) -> Value {
    match asked["method"].as_str().unwrap() {
        "elicitation/create" => json!({"action": "decline"}),
        "sampling/createMessage" => {
            json!({"role": "assistant", "content": {"type": "text", "text": "Ho"}, "model": "m"})
        }
        _ => json!({"roots": []}),
    }
}

#[test]
fn what_is_said_while_a_call_runs_is_what_every_revision_with_sessions_says() {
    for revision in SESSIONS {
        let mut official = Official::of(revision);
        let mut client = Client::start(Way::Sse, revision, asker(), &able());
        let level = client.request("logging/setLevel", &json!({"level": "debug"}));
        client.answer(level);
        for (tool, arguments) in [
            ("steps", json!({})),
            ("lines", json!({})),
            ("ask", json!({"kinds": "roots"})),
            ("ask", json!({"kinds": "sampling"})),
            ("ask", json!({"kinds": "elicitation"})),
            ("ask", json!({"kinds": "elicitation+sampling+roots", "rounds": 2})),
        ] {
            let id = client.watch(tool, &arguments, &json!("token"));
            let mut said = 0;
            loop {
                let message = client.hear();
                official.message("tools/call", &message);
                match (message.get("method"), message.get("id")) {
                    (Some(_), Some(_)) => client.reply(&message, answer_to(&message)),
                    (None, Some(answered)) if *answered == id => break,
                    _ => {}
                }
                said += 1;
            }
            let is_new = arguments["kinds"] == "elicitation" && revision < "2025-06-18";
            assert_eq!(said == 0, is_new, "{revision} {tool} {arguments}");
        }
        let id = client.request("prompts/get", &json!({"name": "briefing"}));
        if revision >= "2025-06-18" {
            let question = client.question();
            official.message("", &question);
            client.reply(&question, answer_to(&question));
        }
        official.message("prompts/get", &client.answer(id).1);
    }
}

#[test]
fn every_change_is_told_as_every_revision_with_sessions_says() {
    for revision in SESSIONS {
        let mut official = Official::of(revision);
        let setup = smcpd().config(SOON);
        let plugin = late(&setup);
        let mut client = Client::start(Way::Sse, revision, setup, &json!({}));
        link(&plugin);
        for _ in 0..3 {
            let told = client.hear();
            assert!(told["method"].as_str().unwrap().ends_with("/list_changed"), "{told}");
            official.message("", &told);
        }
        let id = client.request("resources/subscribe", &json!({"uri": "late://note"}));
        official.message("resources/subscribe", &client.answer(id).1);
        // It is known once it was looked at: until then it is changed again.
        let mut times = 0;
        let told = smcp_test_support::until("the change is told", || {
            times += 1;
            std::fs::write(plugin.join("note.txt"), format!("{times} times")).unwrap();
            client.heard_by_now()
        });
        assert_eq!(told["params"], json!({"uri": "late://note"}));
        official.message("", &told);
    }
}

fn every_message(daemon: &Daemon, official: &mut Official, asked: &Asked) {
    let method = asked.body["method"].as_str().unwrap();
    let heard = asked.begin(daemon);
    while let Some(message) = heard.next() {
        official.message(method, &message);
    }
}

#[test]
fn every_message_without_a_session_is_what_the_stateless_revision_says() {
    let daemon = smcpd().plugins(&["asker", "promises", "worker"]).config(SOON).start();
    let mut official = Official::of(VERSION);
    let none = json!({});
    let call = |tool: &str, arguments: Value| Asked::call(tool, arguments, &able());
    let mut all = vec![
        Asked::new("server/discover", json!({}), &none),
        Asked::new("tools/list", json!({}), &none),
        Asked::new("tools/list", json!({"cursor": "x"}), &none),
        Asked::new("prompts/get", json!({"name": "briefing"}), &able()),
        Asked::new("prompts/get", json!({"name": "briefing"}), &none),
        Asked::new("no/such/method", json!({}), &none),
        Asked::new("tools/list", json!({}), &none).without("Mcp-Method"),
        Asked::new("tools/list", json!({}), &none).param("_meta", Value::Null),
        Asked::new("subscriptions/listen", json!({}), &none),
        call("steps", json!({})).meta("progressToken", json!("p")),
        call("lines", json!({})).meta("io.modelcontextprotocol/logLevel", json!("debug")),
        call("ask", json!({"kinds": "elicitation+sampling+roots"})),
        call("ask", json!({"kinds": "roots"})).param("inputResponses", json!({"roots": {"roots": []}})),
        call("ask", json!({"kinds": "roots"})).param("requestState", json!("nonsense")),
        Asked::call("ask", json!({"kinds": "elicitation"}), &none),
        Asked::call("must", json!({}), &none),
        call("must", json!({})),
        call("no_such_tool", json!({})),
        call("health", json!({})),
        call("health", json!({"stranger": 1})),
        call("promises__blocks", json!({})),
        call("worker__crash", json!({})),
        call("worker__array", json!({})),
    ];
    let kinds = ["kept", "broken", "text", "native", "native-error", "failed"];
    all.extend(
        kinds.map(|kind| call("promises__priced", json!({"kind": kind})).header("Mcp-Param-Kind", kind)),
    );
    let list = Asked::new("tools/list", json!({}), &none);
    let version = "io.modelcontextprotocol/protocolVersion";
    all.push(list.meta(version, json!("2099-01-01")).header("MCP-Protocol-Version", "2099-01-01"));
    for asked in &all {
        every_message(&daemon, &mut official, asked);
    }
    let able = json!({"extensions": {TASKS: {}}});
    let unknown = Asked::new("tasks/get", json!({"taskId": "none"}), &able);
    official.message("tasks/get", &unknown.send(&daemon).json());
}

#[test]
fn what_a_listener_hears_is_what_the_stateless_revision_says() {
    let setup = smcpd().config(SOON);
    let plugin = late(&setup);
    let daemon = setup.start();
    let wanted = json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": ["late://note"]});
    let listen = Asked::new("subscriptions/listen", json!({"notifications": wanted}), &json!({}));
    let heard = listen.begin(&daemon);
    let mut official = Official::of(VERSION);
    official.message("subscriptions/listen", &heard.next().unwrap());
    link(&plugin);
    for _ in 0..3 {
        official.message("subscriptions/listen", &heard.next().unwrap());
    }
    daemon.signal(rustix::process::Signal::TERM);
    while let Some(message) = heard.next() {
        official.message("subscriptions/listen", &message);
    }
}
