//! Profiles: what their holders see and call, and what operators are told of them.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};
use smcp_test_support::{Daemon, Stream, until};

use crate::{ctl, json_of, smcpd, transcript};

const CONFIG: &str = "[profile.math]\ntools = ['demo_math.*']\nexcept = ['demo-math.coin_flip']\n\
                      [profile.text]\nprefix = ['demo_text.']\n[profile.safe]\nread_only = true\n[profile.typo]\ntools = ['demo_mat.x']\n";

fn ask(daemon: &Daemon, path: &str, key: &str, method: &str, params: &Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    daemon.post(path, &[("X-API-Key", key)], &body).json()
}

fn names(answer: &Value) -> Vec<&str> {
    answer["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

fn create(daemon: &Daemon, words: &[&str]) -> String {
    let output = ctl(daemon, &[&["keys", "create", "--name"], words].concat()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_key_reaches_the_tools_of_its_profiles_and_nothing_else_of_any_plugin() {
    let daemon = smcpd().plugins(&["demo_math", "demo_text", "offers"]).config(CONFIG).start();
    let math = create(&daemon, &["math", "--profile", "math"]);
    let two = create(&daemon, &["two", "--profile", "text", "--profile", "math"]);
    let whole = create(&daemon, &["whole"]);
    let list = |path: &str, key: &str| ask(&daemon, path, key, "tools/list", &json!({}));
    let only = ["demo_math__calculate", "demo_math__format-bytes"];
    assert_eq!(names(&list("/messages/", &math)), only);
    assert_eq!(names(&list("/messages/?profile=math", &whole)), only);
    assert_eq!(names(&list("/messages/?profile=math", &two)), only);
    assert!(
        names(&list("/messages/", &two)).len() > 2 && names(&list("/messages/", &whole)).contains(&"health")
    );

    // What is not reached is not there: the same answer as to a name that nothing has.
    let call = |tool: &str| {
        let params = json!({"name": tool, "arguments": {"value": 1}});
        ask(&daemon, "/messages/", &math, "tools/call", &params)
    };
    assert_eq!(call("demo_math.format-bytes")["result"]["isError"], false);
    for tool in ["demo_math.coin-flip", "demo_text__slugify", "offers.ping", "health", "no_such.tool"] {
        let error = call(tool)["error"].clone();
        assert_eq!(error["code"], -32602, "{tool}: {error}");
        assert!(error["message"].as_str().unwrap().starts_with("unknown tool: "), "{tool}: {error}");
    }
    let hidden = call("demo_math.coin-flop")["error"]["message"].to_string();
    assert!(!hidden.contains("coin-flip"), "{hidden}");
    for (method, params) in [
        ("resources/read", json!({"uri": "test://text"})),
        ("resources/read", json!({"uri": "smcp://plugins/offers/readme"})),
        ("resources/read", json!({"uri": "test://item/1/2"})),
        ("resources/subscribe", json!({"uri": "test://text"})),
        ("prompts/get", json!({"name": "greet", "arguments": {"who": "x"}})),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "tone", "value": ""}}),
        ),
    ] {
        let (limited, open) = (
            ask(&daemon, "/messages/", &math, method, &params),
            ask(&daemon, "/messages/", &whole, method, &params),
        );
        assert!(
            limited["error"].is_object() && open["result"].is_object(),
            "{method} {params}: {limited} {open}"
        );
    }
    for (method, list) in [
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
        ("prompts/list", "prompts"),
    ] {
        let of_offers = ask(&daemon, "/messages/", &math, method, &json!({}))["result"][list].to_string();
        assert!(
            !of_offers.contains("test://") && !of_offers.contains("greet") && !of_offers.contains("offers"),
            "{of_offers}"
        );
    }
    let metrics = |key: &str| daemon.get("/metrics", &[("X-API-Key", key)]).status;
    assert_eq!((metrics(&math), metrics(&whole)), (403, 200));

    // A URL chooses among the profiles of the key.
    let refused = |path: &str, key: &str| {
        let reply = daemon.get(path, &[("X-API-Key", key)]);
        (reply.status, reply.json()["error"].as_str().unwrap().to_owned(), reply.text())
    };
    for path in ["/sse?profile=text", "/mcp/p/text", "/mcp/p/no-such", "/mcp/p/"] {
        let (status, error, text) = refused(path, &math);
        assert_eq!((status, &*error), (403, "profile_not_allowed"), "{path}");
        assert!(!text.contains("safe"), "{text}");
    }
    let (status, error, text) = refused("/mcp/p/no-such", &whole);
    assert!(
        status == 404 && error == "unknown_profile" && text.contains("\"safe\"") && !text.contains("no-such"),
        "{text}"
    );
    assert_eq!(daemon.get("/mcp/p/math", &[]).status, 401);

    // A session and a stream keep to the profile that they were opened with.
    let headers = [("X-API-Key", &*whole), ("Accept", "application/json, text/event-stream")];
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}});
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    let opened = daemon.post("/mcp/p/math", &headers, &initialize);
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let with = [headers[0], headers[1], ("Mcp-Session-Id", &session)];
    assert_eq!(names(&daemon.post("/mcp/p/math", &with, &body).json()), only);
    assert_eq!(daemon.post("/mcp", &with, &body).status, 404);
    let mut connection = daemon.connect();
    connection.write("GET", "/sse?profile=math&manifest=true", &headers, b"");
    let mut stream = connection.into_stream();
    let path = stream.event().unwrap().data;
    assert!(path.ends_with("&profile=math"), "{path}");
    assert_eq!(names(&json!({"result": stream.message().unwrap()["params"]})), only);
    let bare = path.trim_end_matches("&profile=math");
    assert_eq!(
        (daemon.post(bare, &headers, &body).status, daemon.post(&path, &headers, &body).status),
        (404, 202)
    );
    assert_eq!(names(&stream.message().unwrap()), only);

    // Its holder is told of changes to what it sees, and of no others.
    let (mut told, path) = Stream::open(daemon.connect(), &[("X-API-Key", &math)]);
    let old = json!({"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {}});
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": old});
    daemon.post(&path, &[("X-API-Key", &math)], &initialize);
    assert_eq!(told.message().unwrap()["id"], 0);
    fs::remove_file(daemon.path().join("plugins/demo_text")).unwrap();
    until("the plugin is gone", || (names(&list("/messages/", &two)) == only).then_some(()));
    daemon.post(&path, &[("X-API-Key", &math)], &json!({"jsonrpc": "2.0", "id": 5, "method": "ping"}));
    assert_eq!(told.message().unwrap()["id"], 5);
    fs::write(daemon.path().join("smcpd.toml"), CONFIG.replace("except", "#")).unwrap();
    daemon.signal(Signal::HUP);
    assert_eq!(told.message().unwrap()["method"], "notifications/tools/list_changed");
    assert_eq!(names(&list("/messages/", &math)).len(), 3);
    // A profile that is no more has nothing.
    fs::write(daemon.path().join("smcpd.toml"), "").unwrap();
    daemon.signal(Signal::HUP);
    assert_eq!(told.message().unwrap()["method"], "notifications/tools/list_changed");
    assert!(names(&list("/messages/", &math)).is_empty());
}

#[test]
fn the_earlier_systems_profiles_hold_for_whoever_has_none_of_their_own() {
    let setup = smcpd().plugins(&["demo_math", "demo_text"]);
    let file = setup.path().join("profiles.json");
    let text = json!({
        "default_profile": "all",
        "intent_hints": {"x": 1},
        "profiles": {
            "all": {"mode": "all"},
            "one": {"mode": "explicit", "tools": ["demo_math__coin-flip"]},
            "text": {"mode": "prefix", "prefix": "demo_text__"},
            "flips": {"mode": "glob", "pattern": "*flip"},
        },
    });
    fs::write(&file, text.to_string()).unwrap();
    let daemon = setup
        .environment("SMCP_PROFILES", &file.display().to_string())
        .environment("SMCP_ATTACH_PROFILE", "one")
        .environment("MCP_API_KEY", "k")
        .start();
    let list = |key: &str| ask(&daemon, "/messages/", key, "tools/list", &json!({}));
    assert_eq!(names(&list("k")), ["demo_math__coin-flip"]);
    let wide = create(&daemon, &["wide", "--profile", "text", "--profile", "flips"]);
    let listed = list(&wide);
    let wide = names(&listed);
    assert!(
        wide.contains(&"demo_math__coin-flip")
            && wide.iter().filter(|name| name.starts_with("demo_text__")).count() > 1
    );
    assert!(!wide.contains(&"demo_math__calculate") && !wide.contains(&"health"), "{wide:?}");
    assert_eq!(daemon.get("/mcp/p/all", &[("X-API-Key", "k")]).status, 403);
    let shown = json_of(&daemon, &["profiles", "list"])["profiles"].clone();
    assert_eq!(
        (&shown[2]["name"], &shown[2]["is_default"], &shown[2]["tools"]),
        (&json!("one"), &json!(true), &json!(["demo_math.coin-flip"]))
    );
}

#[test]
fn what_allows_or_stops_a_call_is_said_in_a_line_each() {
    let daemon = smcpd().plugins(&["demo_math", "bad_exit"]).config(CONFIG).start();
    create(&daemon, &["math", "--profile", "math"]);
    for (words, expected) in [
        (
            vec!["profiles", "test", "math", "demo_math.calculate"],
            "allows\tprofile\t`math` selects it\nallows\ttool\t`demo_math.calculate`, on the wire `demo_math__calculate`\n[0]\n",
        ),
        (
            vec!["profiles", "test", "math", "demo_math.coin-flip"],
            "stops\tprofile\t`math`: none of them selects it\nallows\ttool\t`demo_math.coin-flip`, on the wire `demo_math__coin-flip`\n[11]\n",
        ),
        (
            vec!["profiles", "test", "no", "demo_math.coin-flip"],
            "error: no key is called `no`\nhint: see `smcpctl keys list`\n[4]\n",
        ),
        (
            vec!["why", "bad_exit.x", "--as", "math"],
            "allows\tkey\t`math` is a key\nstops\ttool\tunknown tool: `bad_exit.x`\nstops\tplugin\t`bad_exit` cannot be described: ",
        ),
    ] {
        let said = transcript(&daemon, &words);
        assert!(said.starts_with(expected), "{words:?}: {said}");
    }
    let why = json_of(&daemon, &["why", "demo_math.calculate"]);
    let told: Vec<&str> =
        why["why"]["reasons"].as_array().unwrap().iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert_eq!(told, ["key", "profile", "tool", "plugin", "pin", "confirm", "sandbox", "limits"]);
    assert_eq!((&why["why"]["allowed"], &why["why"]["reasons"][0]["allows"]), (&json!(false), &json!(false)));
    let doctor = transcript(&daemon, &["doctor"]);
    assert!(doctor.contains("profile-unused\ttypo\tno tool fits `demo_mat.x`"), "{doctor}");
}
