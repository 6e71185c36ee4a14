//! What is said between a call and its answer, in the revisions with sessions: progress, log messages, questions.

use serde_json::{Value, json};
use smcp_test_support::{until, working};

use crate::client::{Client, SOON, WAYS, Way, able, asker};
use crate::smcpd;

fn methods(said: &[Value]) -> Vec<&str> {
    said.iter().map(|message| message["method"].as_str().unwrap_or("an answer")).collect()
}

fn text(answer: &Value) -> &str {
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    answer["result"]["content"][0]["text"].as_str().unwrap()
}

/// As each kind of question is answered.
fn answer_to(method: &str) -> Value {
    match method {
        "elicitation/create" => json!({"action": "accept", "content": {"name": "Ann"}}),
        "sampling/createMessage" => {
            json!({"role": "assistant", "content": {"type": "text", "text": "Ho"}, "model": "m"})
        }
        "roots/list" => json!({"roots": [{"uri": "file:///a", "name": "a"}]}),
        other => panic!("{other}"),
    }
}

#[test]
fn progress_comes_with_the_clients_own_token_before_the_result_and_never_unasked() {
    for (way, revision) in WAYS {
        let mut client = Client::start(way, revision, asker(), &json!({}));
        for token in [json!("t-1"), json!(7), json!("7")] {
            let id = client.watch("steps", &json!({}), &token);
            let (said, answer) = client.answer(id);
            assert_eq!(methods(&said), ["notifications/progress"; 3], "{way:?}");
            for (step, message) in (1..).zip(&said) {
                let expected = json!({"progressToken": token, "progress": step, "total": 3,
                    "message": format!("step {step}")});
                assert_eq!(message["params"], expected, "{way:?}");
            }
            assert_eq!(answer["result"]["structuredContent"], json!({"done": true}));
        }
        let id = client.call("steps", &json!({}));
        assert_eq!(client.answer(id).0, Vec::<Value>::new(), "{way:?}");
    }
}

#[test]
fn who_waits_long_for_its_turn_hears_of_it_and_who_waits_a_moment_does_not() {
    let setup = smcpd().plugins(&["worker"]).config(SOON);
    let mut client = Client::start(Way::Stdio, "2025-11-25", setup, &json!({}));
    let mut heard_behind = |seconds: f64| {
        let first = client.call("worker__sleep", &json!({"seconds": seconds}));
        let second = client.watch("worker__text", &json!({}), &json!("t"));
        let (mut said, _) = client.answer(second);
        said.retain(|message| message["id"] != first);
        said.into_iter().map(|mut message| message["params"].take()).collect::<Vec<_>>()
    };
    // On a machine that is busy, a moment may take long.
    assert!((0..10).any(|_| heard_behind(0.0).is_empty()));
    let waiting = json!({"progressToken": "t", "progress": -1,
        "message": "waiting: 1 call of this plugin comes before"});
    assert_eq!(heard_behind(1.2), [waiting]);
}

#[test]
fn log_messages_come_once_a_level_was_set_and_from_that_level_on() {
    for (way, revision) in WAYS {
        let mut client = Client::start(way, revision, asker(), &json!({}));
        let mut levels = |level: Option<&str>| {
            if let Some(level) = level {
                let id = client.request("logging/setLevel", &json!({"level": level}));
                assert_eq!(client.answer(id).1["result"], json!({}));
            }
            let id = client.call("lines", &json!({}));
            let (said, _) = client.answer(id);
            assert!(methods(&said).iter().all(|method| *method == "notifications/message"), "{said:?}");
            let level = |message: &Value| message["params"]["level"].as_str().unwrap().to_owned();
            said.iter().map(level).collect::<Vec<_>>()
        };
        assert_eq!(levels(None), Vec::<String>::new(), "{way:?}");
        assert_eq!(levels(Some("warning")), ["warning", "error"], "{way:?}");
        assert_eq!(levels(Some("debug")), ["debug", "info", "warning", "error"], "{way:?}");
        assert_eq!(levels(Some("emergency")), Vec::<String>::new(), "{way:?}");
        let id = client.request("logging/setLevel", &json!({"level": "loud"}));
        assert_eq!(client.answer(id).1["error"]["code"], -32602);
    }
}

#[test]
fn a_client_that_can_be_asked_is_and_its_answers_reach_the_command() {
    for (way, revision) in WAYS {
        let mut client = Client::start(way, revision, asker(), &able());
        for kinds in ["elicitation", "sampling", "roots", "elicitation+roots+sampling"] {
            let id = client.call("ask", &json!({"kinds": kinds, "rounds": 2}));
            let mut responses = json!({});
            for _round in 0..2 {
                // All at once, in whatever order.
                let asked: Vec<Value> = kinds.split('+').map(|_| client.question()).collect();
                for question in &asked {
                    let stray = json!({"id": 9_999});
                    client.reply(&stray, json!({"roots": []}));
                    let method = question["method"].as_str().unwrap();
                    let key = method.split('/').next().unwrap();
                    responses[key] = answer_to(method);
                    client.reply(question, responses[key].clone());
                }
            }
            let (said, answer) = client.answer(id);
            assert_eq!(methods(&said), [""; 0], "{way:?}");
            let given = json!({"responses": responses, "state": {"round": 2}});
            assert_eq!(answer["result"]["structuredContent"], given, "{way:?} {kinds}");
        }
    }
}

#[test]
fn a_client_that_declared_nothing_is_told_what_it_lacks() {
    for (way, revision) in WAYS {
        let mut client = Client::start(way, revision, asker(), &json!({"roots": {}}));
        for kind in ["elicitation", "sampling"] {
            let id = client.call("ask", &json!({"kinds": kind}));
            let (said, answer) = client.answer(id);
            assert!(said.is_empty() && text(&answer).contains(&format!("({kind})")), "{way:?} {answer}");
        }
        // What it can answer is asked, and the command sees what is missing.
        let id = client.call("ask", &json!({"kinds": "elicitation+roots"}));
        let question = client.question();
        client.reply(&question, answer_to("roots/list"));
        let given = client.answer(id).1["result"]["structuredContent"]["responses"].take();
        assert_eq!(given, json!({"roots": answer_to("roots/list")}), "{way:?}");
        let id = client.request("prompts/get", &json!({"name": "briefing"}));
        let error = client.answer(id).1["error"].take();
        assert_eq!(error["code"], -32603);
        assert!(error["message"].as_str().unwrap().contains("(elicitation)"), "{error}");
    }
}

#[test]
fn an_answer_that_is_an_error_or_nonsense_ends_the_call_with_what_was_wrong() {
    let refused = json!({"error": {"code": -1, "message": "User rejected"}});
    let cases = [
        ("roots", refused.clone(), "the client refused `roots`: User rejected"),
        ("sampling", json!({"error": 7}), "the client refused `sampling`: without a reason"),
        ("roots", json!({"result": {}}), "the client's answer to `roots` is not one"),
        ("roots", json!({"result": 7}), "the client's answer to `roots` is not one"),
        (
            "elicitation",
            json!({"result": {"action": "maybe"}}),
            "the client's answer to `elicitation` is not one",
        ),
        ("sampling", json!({"result": {"role": "user"}}), "the client's answer to `sampling` is not one"),
    ];
    for (way, revision) in WAYS {
        let mut client = Client::start(way, revision, asker(), &able());
        for (kind, answer, expected) in &cases {
            let id = client.call("ask", &json!({"kinds": kind}));
            let mut answer = answer.clone();
            (answer["jsonrpc"], answer["id"]) = ("2.0".into(), client.question()["id"].clone());
            client.tell(&answer);
            assert_eq!(text(&client.answer(id).1), *expected, "{way:?}");
        }
        let id = client.request("prompts/get", &json!({"name": "briefing"}));
        let mut answer = refused.clone();
        (answer["jsonrpc"], answer["id"]) = ("2.0".into(), client.question()["id"].clone());
        client.tell(&answer);
        let error = client.answer(id).1["error"].take();
        assert_eq!(
            error,
            json!({"code": -32603, "message": "the client refused `elicitation`: User rejected"})
        );
    }
}

#[test]
fn a_prompt_may_ask_too() {
    for (way, revision) in WAYS {
        let mut client = Client::start(way, revision, asker(), &able());
        let id = client.request("prompts/get", &json!({"name": "briefing"}));
        let question = client.question();
        assert_eq!(question["params"]["message"], "Who?");
        client.reply(&question, json!({"action": "decline"}));
        let answer = client.answer(id).1;
        assert_eq!(
            answer["result"]["messages"][0]["content"]["text"], "{\"action\": \"decline\"}",
            "{way:?}"
        );
    }
}

#[test]
fn a_request_that_is_cancelled_while_its_client_is_asked_is_not_answered() {
    for (way, revision) in WAYS {
        let mut client = Client::start(way, revision, asker(), &able());
        let id = client.call("ask", &json!({"kinds": "roots"}));
        let question = client.question();
        let params = json!({"requestId": id, "reason": "enough"});
        client.tell(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
        client.reply(&question, answer_to("roots/list"));
        let ping = client.request("ping", &json!({}));
        // Nothing of the call: its question is withdrawn, and that is all.
        let said = client.answer(ping).0;
        let withdrawn = |message: &Value| {
            message["method"] == "notifications/cancelled" && message["params"]["requestId"] == question["id"]
        };
        assert!(said.iter().all(withdrawn), "{way:?}: {said:?}");
        // Forgotten: its id is free for another one.
        until("the id is free", || {
            client.tell(&crate::client::request(id, "ping", &json!({})));
            (client.answer(id).1["result"] == json!({})).then_some(())
        });
        until("nothing works for it", || working(client.pid()).is_empty().then_some(()));
    }
}

#[test]
fn a_client_that_goes_away_while_it_is_asked_is_forgotten() {
    use crate::client::Way;
    for (way, revision) in WAYS {
        let mut client = Client::start(way, revision, asker(), &able());
        let id = client.call("ask", &json!({"kinds": "roots"}));
        client.question();
        let pid = client.pid();
        // On stdio it waits for the daemon's end.
        client.leave();
        until("nothing runs", || working(pid).is_empty().then_some(()));
        if way == Way::Http {
            until("the request is forgotten", || {
                client.tell(&crate::client::request(id, "ping", &json!({})));
                (client.answer(id).1["result"] == json!({})).then_some(())
            });
        }
    }
}

#[test]
fn who_waits_hears_how_many_come_before_as_progress_below_zero() {
    for (way, revision) in WAYS {
        let setup = asker();
        let path = |name: &str| setup.path().join(name);
        let paths = [path("first"), path("second"), path("third")];
        let mut client = Client::start(way, revision, setup, &json!({}));
        let mut progress = |token: usize| {
            client.watch("hold", &json!({"path": paths[token]}), &json!(token));
            let first = client.said();
            assert_eq!(first["params"]["progressToken"], token, "{way:?}: {first}");
            first["params"]["progress"].as_i64().unwrap()
        };
        assert_eq!([progress(0), progress(1), progress(2)], [1, -1, -2], "{way:?}");
        for path in &paths {
            std::fs::write(path, "").unwrap();
        }
        let mut third = vec![-2];
        let (mut before, last) = client.answer(3);
        assert_eq!(last["result"]["isError"], false);
        before.retain(|message| message["params"]["progressToken"] == 2);
        third.extend(before.iter().map(|message| message["params"]["progress"].as_i64().unwrap()));
        assert!(third.is_sorted() && third.ends_with(&[1]), "{way:?}: {third:?}");
    }
}
