//! Resources, prompts and completion, as a client finds them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::{AtFlags, Timespec, Timestamps};
use serde_json::{Value, json};
use smcp_test_support::{Daemon, until};

use crate::smcpd;

fn result(daemon: &Daemon, method: &str, params: Value) -> Value {
    let mut answer = daemon.ask(method, params);
    assert!(answer["error"].is_null(), "{method}: {answer}");
    answer["result"].take()
}

fn error(daemon: &Daemon, method: &str, params: Value) -> (i64, String) {
    let answer = daemon.ask(method, params);
    let error = &answer["error"];
    (
        error["code"].as_i64().unwrap_or_else(|| panic!("{answer}")),
        error["message"].as_str().unwrap().to_owned(),
    )
}

fn all(daemon: &Daemon, method: &str, key: &str, name: &str) -> Vec<String> {
    let list = result(daemon, method, json!({}));
    let text = |item: &Value| item[name].as_str().unwrap().to_owned();
    list[key].as_array().unwrap().iter().map(text).collect()
}

#[test]
fn resources_are_listed_and_read_from_wherever_they_come() {
    let daemon = smcpd().plugins(&["offers", "demo_math"]).start();
    let uris = all(&daemon, "resources/list", "resources", "uri");
    assert_eq!(uris[0], "test://text");
    assert_eq!(uris.last().unwrap(), "smcp://plugins/offers/readme");
    assert_eq!(
        result(&daemon, "resources/list", json!({}))["resources"][0],
        json!({"uri": "test://text", "name": "Text", "title": "A text", "description": "Some words",
            "mimeType": "text/plain", "annotations": {"audience": ["user"]}, "size": 5})
    );
    assert_eq!(
        result(&daemon, "resources/templates/list", json!({})),
        json!({"resourceTemplates": [{"uriTemplate": "test://item/{id}/{part}", "name": "Item",
            "mimeType": "application/json"}]})
    );
    let contents = [
        ("test://text", json!({"mimeType": "text/plain", "text": "hello"})),
        ("test://blob", json!({"mimeType": "image/png", "blob": "iVBORw0KGgo="})),
        ("test://file", json!({"mimeType": "text/plain", "text": "some notes\n"})),
        ("test://bytes", json!({"blob": "+/8="})),
        ("test://command", json!({"mimeType": "text/plain", "text": "plain --uri=test://command offers"})),
        (
            "test://item/1%2F2/a",
            json!({"mimeType": "application/json",
                "text": "{\"words\": [\"--uri=test://item/1%2F2/a\", \"--id=1/2\", \"--part=a\"]}"}),
        ),
        (
            "smcp://plugins/offers/readme",
            json!({"mimeType": "text/markdown", "text": "# Offers\n\nA fixture.\n"}),
        ),
    ];
    for (uri, mut expected) in contents {
        expected["uri"] = uri.into();
        let read = result(&daemon, "resources/read", json!({"uri": uri}));
        assert_eq!(read, json!({"contents": [expected]}), "{uri}");
    }
    assert_eq!(
        result(&daemon, "resources/read", json!({"uri": "test://contents"})),
        json!({"contents": [{"uri": "test://a", "text": "a"}, {"uri": "test://b", "blob": "Yg=="}]})
    );
    let read = |uri: &str| error(&daemon, "resources/read", json!({"uri": uri}));
    assert_eq!(read("test://fails"), (-32603, "it is not there".to_owned()));
    assert_eq!(read("test://gone"), (-32603, "there is no file `data/gone.txt`".to_owned()));
    assert_eq!(
        read("test://broken"),
        (
            -32603,
            "the plugin `offers` printed what is not taken: expected `contents` to be a list".to_owned()
        )
    );
    for uri in ["test://other", "test://item/1", "smcp://plugins/demo_maths/readme", ""] {
        assert_eq!(read(uri), (-32002, format!("unknown resource: `{uri}`")));
        let answer = daemon.ask("resources/read", json!({"uri": uri}));
        assert_eq!(answer["error"]["data"], json!({"uri": uri}));
    }
    assert_eq!(error(&daemon, "resources/read", json!({})).0, -32602);
    assert_eq!(error(&daemon, "resources/list", json!({"cursor": "1"})).0, -32602);
}

#[test]
fn prompts_are_listed_filled_in_and_made_by_commands() {
    let daemon = smcpd().plugins(&["offers"]).start();
    assert_eq!(
        result(&daemon, "prompts/list", json!({}))["prompts"][0],
        json!({"name": "greet", "title": "Greeting", "description": "Greets someone", "arguments": [
            {"name": "who", "description": "Whom", "required": true}, {"name": "tone"}]})
    );
    let get = |name: &str, arguments: Value| {
        result(&daemon, "prompts/get", json!({"name": name, "arguments": arguments}))
    };
    assert_eq!(
        get("greet", json!({"who": "{{tone}}"})),
        json!({"description": "Greets someone", "messages": [
            {"role": "user", "content": {"type": "text", "text": "Greet {{tone}}, ."}},
            {"role": "assistant", "content": {"type": "resource", "resource": {
                "uri": "test://{{tone}}", "text": "{{other}}"}}}]})
    );
    assert_eq!(
        get("review", json!({"file": "-x y"})),
        json!({"description": "made", "messages": [
            {"role": "assistant", "content": {"type": "text", "text": "--file=-x y"}}]})
    );
    assert_eq!(
        result(&daemon, "prompts/get", json!({"name": "plain"})),
        json!({"messages": [{"role": "user", "content": {"type": "text", "text": "plain offers"}}]})
    );
    let refused = [
        ("greeet", json!({}), "unknown prompt: `greeet`; did you mean `greet`?"),
        ("greet", json!({}), "`who` is required"),
        ("greet", json!({"who": "a", "tones": "b"}), "there is no argument `tones`; did you mean `tone`?"),
        ("greet", json!({"who": "a", "tone": "loud"}), "`tone` must be one of Dry, dreamy, warm"),
        ("greet", json!({"who": 1}), "`who` must be a string"),
        ("review", json!({"file": "a\0b"}), "`file` holds a NUL character"),
    ];
    for (name, arguments, message) in refused {
        let params = json!({"name": name, "arguments": arguments});
        assert_eq!(error(&daemon, "prompts/get", params), (-32602, message.to_owned()));
    }
    let failed = |name: &str| error(&daemon, "prompts/get", json!({"name": name}));
    assert_eq!(failed("fails"), (-32603, "it is not there".to_owned()));
    assert_eq!(
        failed("broken"),
        (-32603, "the plugin `offers` printed what is not taken: expected `messages`, a list".to_owned())
    );
}

#[test]
fn arguments_are_completed_by_their_enum_or_by_the_plugins_command() {
    let daemon = smcpd().plugins(&["offers"]).start();
    let params = |reference: Value, name: &str, value: &str| {
        json!({"ref": reference, "argument": {"name": name, "value": value},
            "context": {"arguments": {"other": "x"}}})
    };
    let complete = |reference: Value, name: &str, value: &str| {
        result(&daemon, "completion/complete", params(reference, name, value))["completion"].take()
    };
    let prompt = |name: &str| json!({"type": "ref/prompt", "name": name});
    let template = json!({"type": "ref/resource", "uri": "test://item/{id}/{part}"});
    assert_eq!(
        complete(prompt("greet"), "tone", "DR"),
        json!({"values": ["Dry", "dreamy"], "total": 2, "hasMore": false})
    );
    let told = |reference: &str, name: &str| {
        json!([
            format!("--ref={reference}"),
            format!("--argument={name}"),
            "--value=a",
            "--context={\"other\":\"x\"}"
        ])
    };
    assert_eq!(complete(prompt("greet"), "who", "a")["values"], told("prompt:greet", "who"));
    let uri = "resource:test://item/{id}/{part}";
    assert_eq!(complete(template.clone(), "part", "a")["values"], told(uri, "part"));
    let many = complete(prompt("greet"), "who", "many");
    assert_eq!(many["values"].as_array().unwrap().len(), 100);
    assert_eq!((&many["total"], &many["hasMore"]), (&json!(120), &json!(true)));
    let none = json!({"values": [], "total": 0, "hasMore": false});
    assert_eq!(complete(prompt("greet"), "who", "fail"), none);
    let refused = [
        (prompt("none"), "who", "unknown prompt: `none`"),
        (prompt("greet"), "whom", "`greet` has no argument `whom`"),
        (template, "other", "`test://item/{id}/{part}` has no argument `other`"),
        (
            json!({"type": "ref/resource", "uri": "test://none"}),
            "a",
            "unknown resource template: `test://none`",
        ),
    ];
    for (reference, name, message) in refused {
        let refusal = error(&daemon, "completion/complete", params(reference, name, ""));
        assert_eq!(refusal, (-32602, message.to_owned()));
    }
    let unknown = params(json!({"type": "ref/tool", "name": "ping"}), "a", "");
    assert_eq!(error(&daemon, "completion/complete", unknown).0, -32602);
}

#[test]
fn only_what_is_there_is_declared() {
    let capabilities = |plugins: &[&str], revision: &str| {
        let daemon = smcpd().plugins(plugins).start();
        let params = json!({"protocolVersion": revision, "capabilities": {},
            "clientInfo": {"name": "test", "version": "0"}});
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let accept = [("Accept", "application/json, text/event-stream")];
        daemon.post("/mcp", &accept, &body).json()["result"]["capabilities"].take()
    };
    assert_eq!(capabilities(&[], "2025-11-25"), json!({"tools": {"listChanged": true}, "logging": {}}));
    assert_eq!(
        capabilities(&["offers"], "2025-11-25"),
        json!({"tools": {"listChanged": true}, "logging": {}, "resources": {"subscribe": true, "listChanged": true},
            "prompts": {"listChanged": true}, "completions": {}})
    );
}

#[test]
fn of_two_plugins_the_one_linked_earlier_keeps_a_name_and_a_readme_is_followed() {
    let setup = smcpd().plugins(&["offers"]);
    let second = setup.path().join("second");
    fs::create_dir(&second).unwrap();
    let contract = json!({"contract_version": "1.2", "commands": [],
        "resources": [{"uri": "test://text", "name": "Other", "text": "other"},
            {"uri": "test://mine", "name": "Mine", "text": "mine"}],
        "prompts": [{"name": "greet", "messages": []}]});
    fs::write(second.join("cli"), "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(second.join("cli"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(second.join("contract.json"), contract.to_string()).unwrap();
    let link = setup.path().join("plugins/a_second");
    symlink(&second, &link).unwrap();
    // Two links of one moment would go by their names.
    let later = Timespec { tv_sec: 4_000_000_000, tv_nsec: 0 };
    let times = Timestamps { last_access: later, last_modification: later };
    rustix::fs::utimensat(rustix::fs::CWD, &link, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    let daemon = setup.start();
    let uris = || all(&daemon, "resources/list", "resources", "uri");
    assert_eq!(uris()[..2], ["test://mine", "test://text"]);
    assert_eq!(
        result(&daemon, "resources/read", json!({"uri": "test://text"}))["contents"][0]["text"],
        "hello"
    );
    assert_eq!(all(&daemon, "prompts/list", "prompts", "name")[0], "greet");
    let log = until("the clash in the log", || Some(daemon.log()).filter(|log| log.contains("prompts[0]")));
    assert!(
        log.contains("left out: `test://text` is also offered by `offers`, which was linked earlier"),
        "{log}"
    );
    let readme = "smcp://plugins/a_second/readme".to_owned();
    assert!(!uris().contains(&readme));
    fs::write(second.join("README.md"), "# Second").unwrap();
    until("the README", || uris().contains(&readme).then_some(()));
}
