//! Every message that the daemon emits is held to the official schema of its revision (`tests/schemas`).

use std::collections::HashMap;
use std::fs;

use jsonschema::Validator;
use serde_json::{Value, json};
use smcp_test_support::{Daemon, Stream, root};

use crate::smcpd;

pub(crate) const SESSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
const BOTH: (&str, &str) = ("Accept", "application/json, text/event-stream");

/// The schema of one revision.
pub(crate) struct Official {
    revision: &'static str,
    schema: Value,
    compiled: HashMap<String, Validator>,
}

impl Official {
    pub(crate) fn of(revision: &'static str) -> Self {
        let path = root().join(format!("tests/schemas/{revision}.json"));
        let schema = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        Self { revision, schema, compiled: HashMap::new() }
    }

    fn definitions(&self) -> &'static str {
        if self.schema.get("$defs").is_some() { "$defs" } else { "definitions" }
    }

    fn has(&self, name: &str) -> bool {
        self.schema[self.definitions()].get(name).is_some()
    }

    fn check(&mut self, name: &str, value: &Value) {
        if let Some(reason) = self.wrong(name, value) {
            panic!("{} {name}: {reason}\n{value:#}", self.revision);
        }
    }

    /// Where and why a value is not what the schema calls `name`.
    fn wrong(&mut self, name: &str, value: &Value) -> Option<String> {
        let key = self.definitions();
        assert!(self.has(name), "{} has no {name}", self.revision);
        let schema = json!({
            "$schema": self.schema["$schema"],
            "$ref": format!("#/{key}/{name}"),
            key: self.schema[key],
        });
        let compile =
            || jsonschema::options().offline().should_validate_formats(true).build(&schema).unwrap();
        let validator = self.compiled.entry(name.to_owned()).or_insert_with(compile);
        let error = validator.validate(value).err()?;
        Some(format!("`{}`: {error}", error.instance_path()))
    }

    /// Holds an answer to `method`, or a message that came by itself, to the schema.
    pub(crate) fn message(&mut self, method: &str, message: &Value) {
        match (message.get("method"), message.get("error"), message.get("result")) {
            (Some(_), None, None) if message.get("id").is_some() => {
                self.check("JSONRPCRequest", message);
                self.check("ServerRequest", message);
            }
            (Some(_), None, None) => {
                self.check("JSONRPCNotification", message);
                self.check("ServerNotification", message);
            }
            (None, Some(error), None) => {
                let name = if self.has("JSONRPCError") { "JSONRPCError" } else { "JSONRPCErrorResponse" };
                self.check(name, message);
                if let Some(name) = error["code"].as_i64().and_then(error_of).filter(|name| self.has(name)) {
                    self.check(name, message);
                }
            }
            (None, None, Some(result)) => {
                let name = if self.has("JSONRPCResultResponse") {
                    "JSONRPCResultResponse"
                } else {
                    "JSONRPCResponse"
                };
                self.check(name, message);
                match result["resultType"] == "input_required" {
                    true => self.check("InputRequiredResult", result),
                    false => self.check(result_of(method), result),
                }
            }
            _ => panic!("no message of JSON-RPC: {message}"),
        }
        self.check("JSONRPCMessage", message);
    }
}

/// The name of the result of a request.
fn result_of(method: &str) -> &'static str {
    match method {
        "initialize" => "InitializeResult",
        "ping" | "resources/subscribe" | "resources/unsubscribe" | "logging/setLevel" => "EmptyResult",
        "subscriptions/listen" => "SubscriptionsListenResult",
        "tools/list" => "ListToolsResult",
        "tools/call" => "CallToolResult",
        "resources/list" => "ListResourcesResult",
        "resources/templates/list" => "ListResourceTemplatesResult",
        "resources/read" => "ReadResourceResult",
        "prompts/list" => "ListPromptsResult",
        "prompts/get" => "GetPromptResult",
        "completion/complete" => "CompleteResult",
        "server/discover" => "DiscoverResult",
        other => panic!("what does `{other}` answer with?"),
    }
}

/// The name of an error that has one of its own (2026-07-28).
fn error_of(code: i64) -> Option<&'static str> {
    match code {
        -32020 => Some("HeaderMismatchError"),
        -32021 => Some("MissingRequiredClientCapabilityError"),
        -32022 => Some("UnsupportedProtocolVersionError"),
        _ => None,
    }
}

/// What is asked in every revision and on every way in.
fn requests() -> Vec<(&'static str, Value)> {
    let call = |name: &str, arguments: Value| ("tools/call", json!({"name": name, "arguments": arguments}));
    let mut requests = vec![("ping", json!({})), ("tools/list", json!({}))];
    requests.push(("tools/list", json!({"cursor": "not ours"})));
    requests.push(("no/such/method", json!({})));
    requests.push(call("no_such_tool", json!({})));
    requests.push(("tools/call", json!({})));
    requests.push(call("health", json!({})));
    requests.push(call("health", json!({"stranger": 1})));
    for kind in ["kept", "broken", "text", "native", "native-broken", "native-error", "failed"] {
        requests.push(call("promises__priced", json!({"kind": kind})));
    }
    requests.push(call("promises__priced", json!({})));
    requests.push(call("promises__blocks", json!({})));
    requests.push(call("promises__whole", json!({"email": "e", "address": {"city": "c"}})));
    requests.push(call("worker__crash", json!({})));
    requests.push(call("worker__silent", json!({})));
    requests.push(call("worker__unicode", json!({})));
    requests.push(call("worker__fail", json!({"message": "no", "style": "stderr", "code": 3})));
    requests
}

fn request(id: usize, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn hello(revision: &str) -> Value {
    json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}})
}

fn served() -> Daemon {
    smcpd().plugins(&["promises", "worker"]).start()
}

#[test]
fn every_answer_over_streamable_http_is_what_its_revision_says() {
    let daemon = served();
    for revision in &SESSIONS[1..] {
        let mut official = Official::of(revision);
        let reply = daemon.post("/mcp", &[BOTH], &request(0, "initialize", &hello(revision)));
        official.message("initialize", &reply.json());
        let session = reply.header("mcp-session-id").unwrap().to_owned();
        for (id, (method, params)) in requests().iter().enumerate() {
            let headers = [BOTH, ("Mcp-Session-Id", session.as_str())];
            let reply = daemon.post("/mcp", &headers, &request(id + 1, method, params));
            official.message(method, &reply.json());
        }
    }
}

#[test]
fn every_answer_on_a_stream_is_what_its_revision_says() {
    let daemon = served();
    for revision in SESSIONS {
        let mut official = Official::of(revision);
        let (mut stream, path) = Stream::open(daemon.connect(), &[]);
        daemon.post(&path, &[], &request(0, "initialize", &hello(revision)));
        official.message("initialize", &stream.message().unwrap());
        for (id, (method, params)) in requests().iter().enumerate() {
            daemon.post(&path, &[], &request(id + 1, method, params));
            official.message(method, &stream.message().unwrap());
        }
    }
}

#[test]
fn every_answer_in_direct_mode_is_what_the_latest_revision_with_sessions_says() {
    let daemon = served();
    let mut official = Official::of("2025-11-25");
    for (id, (method, params)) in requests().iter().enumerate() {
        official.message(method, &daemon.post("/messages/", &[], &request(id, method, params)).json());
    }
}

#[test]
fn a_new_catalog_is_told_as_every_revision_says() {
    let daemon = smcpd().plugins(&["slow_start"]).config("[plugins]\nstartup_wait = 0.1\n").start();
    let mut streams: Vec<_> = SESSIONS
        .into_iter()
        .map(|revision| {
            let (mut stream, path) = Stream::open(daemon.connect(), &[]);
            daemon.post(&path, &[], &request(0, "initialize", &hello(revision)));
            stream.message().unwrap();
            (Official::of(revision), stream)
        })
        .collect();
    for (official, stream) in &mut streams {
        let told = stream.message().unwrap();
        assert_eq!(told["method"], "notifications/tools/list_changed");
        official.message("", &told);
    }
}

/// Else all of the above would say nothing.
#[test]
fn the_schemas_refuse_what_is_wrong() {
    let object = json!({"type": "object"});
    for revision in SESSIONS.into_iter().chain(["2026-07-28"]) {
        let mut official = Official::of(revision);
        let cases = [
            ("ListToolsResult", json!({"tools": [{"inputSchema": object}]})),
            ("ListToolsResult", json!({"tools": [{"name": "x", "inputSchema": {"type": "array"}}]})),
            ("CallToolResult", json!({"content": [{"type": "text"}]})),
            ("CallToolResult", json!({"content": [{"type": "hologram", "text": "x"}]})),
            (
                "ServerNotification",
                json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}),
            ),
        ];
        for (name, value) in cases {
            assert!(official.wrong(name, &value).is_some(), "{revision} {name}: {value}");
        }
    }
}

/// The tools of an answer to `tools/list`, by name.
fn listed(daemon: &Daemon, revision: &str) -> HashMap<String, Value> {
    let session = daemon.initialize(revision);
    let headers = [BOTH, ("Mcp-Session-Id", session.as_str())];
    let mut reply = daemon.post("/mcp", &headers, &request(1, "tools/list", &json!({}))).json();
    let Value::Array(tools) = reply["result"]["tools"].take() else { panic!("no tools: {reply}") };
    tools.into_iter().map(|tool| (tool["name"].as_str().unwrap().to_owned(), tool)).collect()
}

#[test]
fn a_promise_is_told_and_a_broken_one_is_an_error_that_names_the_place() {
    let daemon = served();
    let tools = listed(&daemon, "2025-06-18");
    assert_eq!(tools["promises__priced"]["outputSchema"]["required"], json!(["items"]));
    assert!(listed(&daemon, "2025-03-26")["promises__priced"].get("outputSchema").is_none());
    assert!(tools["promises__elsewhere"].get("outputSchema").is_none());
    assert!(!tools.contains_key("promises__misnamed"));
    let text = |kind: &str| {
        let result = daemon.call("promises__priced", json!({"kind": kind}));
        assert_eq!(result["isError"].as_bool().unwrap(), kind != "kept" && kind != "native", "{result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    };
    assert_eq!(text("kept"), "{\"items\": [{\"price\": 2.5}]}");
    assert_eq!(text("native"), "dear");
    let broken = "the plugin broke its own outputSchema: ";
    assert_eq!(text("broken"), format!("{broken}`/items/0/price`: \"2.5\" is not of type \"number\""));
    assert_eq!(text("text"), format!("{broken}it printed no JSON object"));
    assert_eq!(text("native-broken"), format!("{broken}\"items\" is a required property"));
    assert_eq!((text("native-error").as_str(), text("failed").as_str()), ("sold out", "sold out"));
    let small = smcpd().plugins(&["promises"]).config("[execution]\noutput_limit = 10000\n").start();
    let cut = small.call("promises__priced", json!({"kind": "long"}));
    assert_eq!(cut["structuredContent"]["error"]["code"], "output_too_large", "{cut}");
}

#[test]
fn a_cursor_leads_on_until_the_list_changes() {
    let setup = smcpd();
    let plugin = |name: &str, commands: usize| {
        let directory = setup.path().join("plugins").join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("cli.py"), "print()\n").unwrap();
        let commands: Vec<Value> = (0..commands).map(|n| json!({"name": format!("c{n}")})).collect();
        fs::write(directory.join("contract.json"), json!({"commands": commands}).to_string()).unwrap();
    };
    plugin("a", 600);
    plugin("b", 600);
    let late = setup.path().join("plugins/c");
    let daemon = setup.start();
    let page = |params: Value| daemon.ask("tools/list", params);
    let mut official = Official::of("2025-11-25");
    let first = page(json!({}));
    official.message("tools/list", &first);
    let next = first["result"]["nextCursor"].as_str().unwrap().to_owned();
    let second = page(json!({"cursor": next}));
    official.message("tools/list", &second);
    assert!(second["result"].get("nextCursor").is_none());
    let names = |page: &Value| -> Vec<String> {
        let tools = page["result"]["tools"].as_array().unwrap();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    let mut all = [names(&first), names(&second)].concat();
    assert_eq!((names(&first).len(), all.len()), (1_000, 1_201));
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 1_201);
    let foreign = page(json!({"cursor": "1000"}))["error"].take();
    assert_eq!(
        (&foreign["code"], &foreign["message"]),
        (&json!(-32602), &json!("`cursor` is not one of ours"))
    );
    fs::create_dir(&late).unwrap();
    fs::write(late.join("cli.py"), "print()\n").unwrap();
    fs::write(late.join("contract.json"), json!({"commands": [{"name": "x"}]}).to_string()).unwrap();
    smcp_test_support::until("the new plugin is there", || {
        (daemon.get("/health", &[]).json()["tools"] == 1_202).then_some(())
    });
    let stale = page(json!({"cursor": next}))["error"].take();
    assert_eq!(
        (&stale["code"], &stale["message"]),
        (&json!(-32602), &json!("the list has changed: begin again without a cursor"))
    );
}
