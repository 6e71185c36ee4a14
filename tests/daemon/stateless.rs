//! The stateless dialect (2026-07-28) over `/mcp`: what results hold, what is refused, and how input is asked for.

use serde_json::{Value, json};
use smcp_test_support::{until, working};

use crate::alone::{Asked, META_CAPABILITIES, META_VERSION, TASKS, VERSION};
use crate::client::{SOON, able, asker, request};
use crate::smcpd;

fn none() -> Value {
    json!({})
}

fn server(result: &Value) -> &Value {
    &result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"]
}

#[test]
fn every_result_says_its_kind_and_server_and_lists_how_long_they_may_be_kept() {
    for (keys, scope) in [("", "public"), ("one", "private")] {
        let setup = smcpd().plugins(&["asker", "offers"]).config(SOON);
        let setup = if keys.is_empty() { setup } else { setup.environment("MCP_API_KEYS", keys) };
        let daemon = setup.start();
        let result = |method: &str, params: Value| {
            let result = Asked::new(method, params, &none()).header("X-API-Key", "one").result(&daemon);
            assert_eq!((&result["resultType"], server(&result)), (&json!("complete"), &json!("smcpd")));
            result
        };
        for (method, member) in [
            ("server/discover", "supportedVersions"),
            ("tools/list", "tools"),
            ("resources/list", "resources"),
            ("resources/templates/list", "resourceTemplates"),
            ("prompts/list", "prompts"),
        ] {
            let list = result(method, none());
            assert!(list[member].is_array(), "{method}: {list}");
            assert_eq!((&list["ttlMs"], &list["cacheScope"]), (&json!(5_000), &json!(scope)), "{method}");
        }
        let read = result("resources/read", json!({"uri": "asker://text"}));
        assert_eq!((&read["ttlMs"], &read["contents"][0]["text"]), (&json!(0), &json!("hello")));
        let call = result("tools/call", json!({"name": "steps", "arguments": {}}));
        assert_eq!((&call["structuredContent"], &call["ttlMs"]), (&json!({"done": true}), &Value::Null));
        let discovered = result("server/discover", none());
        assert_eq!(discovered["supportedVersions"][0], VERSION);
        assert_eq!(discovered["capabilities"]["extensions"], json!({TASKS: {}}));
    }
}

#[test]
fn what_is_wrong_is_refused_as_the_specification_says() {
    let daemon = asker().start();
    let list = || Asked::new("tools/list", none(), &none());
    let call = |tool: &str, arguments: Value| Asked::call(tool, arguments, &none());
    let read = |uri: &str| Asked::new("resources/read", json!({"uri": uri}), &none());
    let named = |method: &str| Asked::new(method, none(), &none());
    let task = |capabilities: &Value| Asked::new("tasks/get", json!({"taskId": "none"}), capabilities);
    let tasks = json!({"extensions": {TASKS: {}}});
    let versions = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
    let unsupported = json!({"supported": versions, "requested": "2099-01-01"});
    let lacking = |capability: Value| json!({"requiredCapabilities": capability});
    let next = |state: &str| call("ask", json!({"kinds": "roots"})).param("requestState", json!(state));
    let answers = |answers: Value| call("ask", json!({"kinds": "roots"})).param("inputResponses", answers);
    let headed = |text: Value| call("headed", text);
    let meta = "basic, \"_meta\": request metadata";
    let headers = "basic/transports/streamable-http, \"request headers\"";
    let custom = "basic/transports/streamable-http, \"custom headers from tool parameters\"";
    let versioning = "basic/versioning, \"protocol version negotiation\"";
    let round = "basic/patterns/mrtr, \"multi round-trip requests\"";
    let capabilities = "basic, \"client capabilities\"";
    let any = Value::Null;
    let rows = [
        (meta, list().without_meta(META_VERSION), 400, -32602, any.clone()),
        (meta, list().without_meta(META_CAPABILITIES), 400, -32602, any.clone()),
        (meta, list().meta(META_CAPABILITIES, json!([])), 400, -32602, any.clone()),
        (meta, list().meta(META_VERSION, json!(7)), 400, -32602, any.clone()),
        (meta, list().param("_meta", Value::Null), 400, -32602, any.clone()),
        (headers, list().without("Mcp-Method"), 400, -32020, any.clone()),
        (headers, list().without("MCP-Protocol-Version"), 400, -32020, any.clone()),
        (headers, list().header("Mcp-Method", "tools/call"), 400, -32020, any.clone()),
        (headers, list().header("MCP-Protocol-Version", "2025-11-25"), 400, -32020, any.clone()),
        (headers, call("steps", none()).without("Mcp-Name"), 400, -32020, any.clone()),
        (headers, call("steps", none()).header("Mcp-Name", "lines"), 400, -32020, any.clone()),
        (headers, read("asker://text").header("Mcp-Name", "asker://other"), 400, -32020, any.clone()),
        (custom, headed(json!({"text": "a"})), 400, -32020, any.clone()),
        (custom, headed(json!({"text": "a"})).header("Mcp-Param-Text", "b"), 400, -32020, any.clone()),
        (custom, headed(none()).header("Mcp-Param-Text", "b"), 400, -32020, any.clone()),
        (
            custom,
            headed(json!({"text": "a"})).header("Mcp-Param-Text", "=?base64?%?="),
            400,
            -32020,
            any.clone(),
        ),
        (custom, headed(json!({"number": 1})).header("Mcp-Param-Number", "2"), 400, -32020, any.clone()),
        (
            versioning,
            list().meta(META_VERSION, json!("2099-01-01")).header("MCP-Protocol-Version", "2099-01-01"),
            400,
            -32022,
            unsupported,
        ),
        ("schema, removed methods", named("initialize"), 404, -32601, any.clone()),
        ("schema, removed methods", named("ping"), 404, -32601, any.clone()),
        ("schema, removed methods", named("logging/setLevel"), 404, -32601, any.clone()),
        ("schema, removed methods", named("resources/subscribe"), 404, -32601, any.clone()),
        ("basic/transports/streamable-http, \"error handling\"", named("no/such"), 404, -32601, any.clone()),
        (
            capabilities,
            call("ask", json!({"kinds": "elicitation"})),
            400,
            -32021,
            lacking(json!({"elicitation": {}})),
        ),
        (
            capabilities,
            Asked::new("prompts/get", json!({"name": "briefing"}), &none()),
            400,
            -32021,
            lacking(json!({"elicitation": {}})),
        ),
        (
            "SEP-2663, tasks, \"capability negotiation\"",
            call("must", none()),
            400,
            -32021,
            lacking(json!({"extensions": {TASKS: {}}})),
        ),
        (
            "SEP-2663, tasks, \"capability negotiation\"",
            task(&none()),
            400,
            -32021,
            lacking(json!({"extensions": {TASKS: {}}})),
        ),
        ("SEP-2663, tasks, \"error handling\"", task(&tasks), 200, -32602, any.clone()),
        ("server/tools, \"error handling\"", call("no_such_tool", none()), 200, -32602, any.clone()),
        (
            "server/prompts, \"error handling\"",
            Asked::new("prompts/get", json!({"name": "no"}), &none()),
            200,
            -32602,
            any.clone(),
        ),
        (
            "server/resources, \"error handling\"",
            read("asker://no"),
            200,
            -32602,
            json!({"uri": "asker://no"}),
        ),
        (
            "server/utilities/pagination, \"error handling\"",
            list().param("cursor", json!("x")),
            200,
            -32602,
            any.clone(),
        ),
        (round, next("nonsense"), 200, -32602, any.clone()),
        (round, next(""), 200, -32602, any.clone()),
        (round, answers(json!([])), 200, -32602, any.clone()),
        (round, answers(json!({"roots": 7})), 200, -32602, any.clone()),
        (round, answers(json!({"roots": {"strange": 1}})), 200, -32602, any),
    ];
    for (section, asked, status, code, data) in rows {
        let (found, error) = asked.error(&daemon);
        let context = format!("{section}: {asked:?}: {error}");
        assert_eq!((found, error["code"].as_i64()), (status, Some(code)), "{context}");
        assert!(data.is_null() || error["data"] == data, "{context}");
    }
    // Bad arguments are a result, so that a model can mend them.
    let result = call("steps", json!({"stranger": 1})).result(&daemon);
    assert_eq!(result["isError"], true, "{result}");
}

#[test]
fn one_message_a_post_and_notifications_are_accepted() {
    let daemon = asker().start();
    let mut asked = Asked::new("tools/list", none(), &none());
    asked.body = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(asked.send(&daemon).status, 202);
    for body in [json!([request(1, "tools/list", &none())]), json!({"jsonrpc": "2.0", "id": 1, "result": {}})]
    {
        asked.body = body;
        let (status, error) = asked.error(&daemon);
        assert_eq!((status, &error["code"]), (400, &json!(-32600)));
    }
    let headers = [("MCP-Protocol-Version", VERSION), ("Accept", "text/event-stream")];
    assert_eq!(daemon.get("/mcp", &headers).status, 405);
    assert_eq!(daemon.connect().send("DELETE", "/mcp", &headers, b"").status, 405);
}

#[test]
fn headers_repeat_arguments_as_they_are_in_base64_and_numbers_by_value() {
    let daemon = asker().start();
    let call = |arguments: Value, headers: &[(&str, &str)]| {
        let asked = Asked::call("headed", arguments, &none());
        let asked = headers.iter().fold(asked, |asked, (name, value)| asked.header(name, value));
        asked.result(&daemon)["structuredContent"].take()
    };
    assert_eq!(call(json!({"text": "a"}), &[("Mcp-Param-Text", "a")]), json!({"text": "a"}));
    assert_eq!(
        call(json!({"text": "\u{e4}"}), &[("Mcp-Param-Text", "=?base64?w6Q=?=")]),
        json!({"text": "\u{e4}"})
    );
    assert_eq!(call(json!({"number": 1}), &[("Mcp-Param-Number", "1.0")]), json!({"number": "1"}));
    assert_eq!(call(none(), &[]), none());
}

#[test]
fn input_is_asked_for_in_rounds_whose_state_only_the_daemon_reads() {
    let daemon = asker().start();
    let call = || Asked::call("ask", json!({"kinds": "elicitation+roots", "rounds": 2}), &able());
    let first = call().result(&daemon);
    assert_eq!((&first["resultType"], server(&first)), (&json!("input_required"), &json!("smcpd")));
    assert_eq!(first["inputRequests"]["roots"], json!({"method": "roots/list", "params": {}}));
    assert_eq!(first["inputRequests"]["elicitation"]["params"]["message"], "Who?");
    let state = first["requestState"].as_str().unwrap();
    assert!(!state.contains("round"));
    let responses = json!({"roots": {"roots": []}, "elicitation": {"action": "cancel"}});
    let again = |state: &Value| {
        call().param("inputResponses", responses.clone()).param("requestState", state.clone()).result(&daemon)
    };
    let second = again(&first["requestState"]);
    assert_eq!(second["resultType"], "input_required");
    assert_ne!(second["requestState"], first["requestState"]);
    let done = again(&second["requestState"]);
    assert_eq!(done["resultType"], "complete");
    assert_eq!(done["structuredContent"], json!({"responses": responses, "state": {"round": 2}}));
    // A client may begin again, and a prompt may ask too.
    assert_eq!(call().result(&daemon)["resultType"], "input_required");
    let brief = || Asked::new("prompts/get", json!({"name": "briefing"}), &able());
    assert_eq!(brief().result(&daemon)["resultType"], "input_required");
    let answered = brief().param("inputResponses", json!({"elicitation": {"action": "decline"}}));
    let messages = answered.result(&daemon)["messages"].take();
    assert_eq!(messages[0]["content"]["text"], "{\"action\": \"decline\"}");
}

#[test]
fn a_state_serves_its_caller_and_its_arguments_alone() {
    let daemon = asker().environment("MCP_API_KEYS", "one,two").start();
    let call = |key: &str, rounds: u64| {
        Asked::call("ask", json!({"kinds": "roots", "rounds": rounds}), &able()).header("X-API-Key", key)
    };
    let state = call("one", 1).result(&daemon)["requestState"].take();
    let responses = json!({"roots": {"roots": []}});
    let with = |asked: Asked, state: &Value| {
        asked.param("inputResponses", responses.clone()).param("requestState", state.clone())
    };
    let mut tampered = state.as_str().unwrap().to_owned();
    tampered.replace_range(40..41, if &tampered[40..41] == "A" { "B" } else { "A" });
    let other = Asked::call("long", json!({"then": "roots"}), &able()).header("X-API-Key", "one");
    for (asked, state) in [
        (call("two", 1), &state),
        (call("one", 2), &state),
        (other, &state),
        (call("one", 1), &json!(tampered)),
    ] {
        let (status, error) = with(asked, state).error(&daemon);
        assert_eq!((status, &error["code"]), (200, &json!(-32602)), "{error}");
        assert!(error["message"].as_str().unwrap().contains("`requestState`"), "{error}");
    }
    assert_eq!(with(call("one", 1), &state).result(&daemon)["structuredContent"]["state"]["round"], 1);
}

#[test]
fn a_call_speaks_on_its_own_stream_as_its_request_asks() {
    let daemon = asker().start();
    let said = |tool: &str, meta: &[(&str, Value)]| {
        let call = Asked::call(tool, none(), &none());
        let heard =
            meta.iter().fold(call, |call, (name, value)| call.meta(name, value.clone())).begin(&daemon);
        let all: Vec<Value> = std::iter::from_fn(|| heard.next()).collect();
        assert_eq!(all.last().unwrap()["result"]["structuredContent"], json!({"done": true}));
        all[..all.len() - 1].iter().map(|message| message["params"].clone()).collect::<Vec<_>>()
    };
    let progress = said("steps", &[("progressToken", json!("p"))]);
    let steps: Vec<_> = progress.iter().map(|step| (&step["progressToken"], &step["progress"])).collect();
    assert_eq!(steps, [(&json!("p"), &json!(1)), (&json!("p"), &json!(2)), (&json!("p"), &json!(3))]);
    let lines = said("lines", &[("io.modelcontextprotocol/logLevel", json!("warning"))]);
    let levels: Vec<_> = lines.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["warning", "error"]);
    assert_eq!((said("steps", &[]), said("lines", &[])), (Vec::new(), Vec::new()));
}

#[test]
fn a_client_that_closes_its_stream_ends_what_runs_for_it() {
    let daemon = asker().start();
    for is_heard in [false, true] {
        let call = Asked::call("hold", json!({"path": "/nowhere/at/all"}), &none());
        let call = if is_heard { call.meta("progressToken", json!(1)) } else { call };
        let heard = call.begin(&daemon);
        if is_heard {
            assert_eq!(heard.next().unwrap()["params"]["progress"], 1);
        }
        until("the command runs", || (!working(daemon.pid()).is_empty()).then_some(()));
        heard.leave();
        // The lane is free a moment after the processes are gone.
        let calls = || daemon.get("/health", &[]).json()["calls"]["running"].take();
        until("it was ended", || (calls() == 0 && working(daemon.pid()).is_empty()).then_some(()));
    }
}
