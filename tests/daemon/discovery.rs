//! Finding out what plugins offer, with plugins that misbehave beside them.

use serde_json::{Value, json};
use smcp_test_support::{Daemon, until};

use crate::smcpd;

fn reasons(daemon: &Daemon) -> Vec<(String, String)> {
    let mut reasons: Vec<(String, String)> = daemon
        .log()
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["message"] == "a plugin cannot be described")
        .map(|line| {
            (line["plugin"].as_str().unwrap().to_owned(), line["reason"].as_str().unwrap().to_owned())
        })
        .collect();
    reasons.sort();
    reasons
}

fn names(daemon: &Daemon) -> Vec<String> {
    let tools = daemon.ask("tools/list", json!({}))["result"]["tools"].take();
    tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn bad_plugins_are_listed_with_their_reasons_and_harm_no_neighbour() {
    let bad = [
        "bad_hang",
        "bad_flood",
        "bad_json",
        "bad_contract",
        "bad_import",
        "bad_exit",
        "bad_binary",
        "bad_empty",
    ];
    let setup = smcpd()
        .plugins(&bad)
        .plugins(&["demo_math"])
        .config("[plugins]\ndescribe_timeout = 3\n[execution]\ngrace = 0.2\n");
    let plugins = setup.path().join("plugins");
    std::os::unix::fs::symlink("nowhere", plugins.join("broken_link")).unwrap();
    std::os::unix::fs::symlink("loop", plugins.join("loop")).unwrap();
    std::fs::create_dir(plugins.join("fifo")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, plugins.join("fifo/cli.py"), 0o644.into()).unwrap();
    std::fs::create_dir(plugins.join(".hidden")).unwrap();
    let daemon = setup.start();
    assert!(names(&daemon).contains(&"demo_math__calculate".to_owned()));
    until("all are described", || {
        (daemon.get("/health", &[]).json()["plugins"]["pending"] == 0).then_some(())
    });
    let health = daemon.get("/health", &[]).json();
    assert_eq!(health["plugins"], json!({"described": 1, "pending": 0, "failed": 11}));
    let reasons = reasons(&daemon);
    for (plugin, expected) in [
        ("bad_binary", "is neither a binary nor a script"),
        ("bad_contract", "contract: commands[0].parameters[0].type: `strng` is none of"),
        ("bad_empty", "it has neither `cli.py` nor `cli`"),
        ("bad_exit", "exited with 3"),
        ("bad_flood", "wrote more than 4 MiB when asked `--describe`"),
        ("bad_hang", "did not answer `--describe` within 3 s"),
        ("bad_import", "exited with 1: ModuleNotFoundError: No module named"),
        ("bad_json", "its contract is broken JSON"),
        ("broken_link", "it is a link to nothing"),
        ("fifo", "is not a regular file"),
        ("loop", "Too many levels of symbolic links"),
    ] {
        let found = reasons
            .iter()
            .find(|(name, _)| name == plugin)
            .unwrap_or_else(|| panic!("{plugin}: {reasons:?}"));
        assert!(found.1.contains(expected), "{plugin}: {}", found.1);
    }
    assert_eq!(reasons.len(), 11);
    until("the hung plugin is gone", || {
        smcp_test_support::descendants(daemon.pid()).is_empty().then_some(())
    });
}

#[test]
fn a_contract_stands_whatever_the_program_does_when_it_is_asked_for_help() {
    let daemon = smcpd()
        .plugins(&["contract_only", "contract_no_help"])
        .config("[plugins]\ndescribe_timeout = 1\nstartup_wait = 30\n")
        .start();
    assert_eq!(names(&daemon), ["health", "contract_no_help__ping", "contract_only__ping"]);
    assert_eq!(daemon.call("contract_only.ping", json!({}))["content"][0]["text"], "pong");
    assert_eq!(daemon.call("contract_no_help.ping", json!({}))["content"][0]["text"], "pong");
}

#[test]
fn a_latecomer_joins_by_a_new_catalog_and_the_next_start_knows_it() {
    let setup = smcpd().plugins(&["slow_start", "demo_math"]).config("[plugins]\nstartup_wait = 1\n");
    let path = setup.path().to_owned();
    let daemon = setup.start();
    assert!(!names(&daemon).contains(&"slow_start__ping".to_owned()));
    until("the latecomer is there", || (names(&daemon).len() == 5).then_some(()));
    assert_eq!(daemon.call("slow_start.ping", json!({}))["isError"], json!(false));
    // The cache answers now: ask it through a second daemon that waits for nothing.
    let cached = smcpd().plugins(&["slow_start", "demo_math"]).config("[plugins]\nstartup_wait = 3\n");
    let cached = cached.environment("XDG_CACHE_HOME", path.join("CACHE").to_str().unwrap()).start();
    assert_eq!(names(&cached).len(), 5);
    assert_eq!(
        cached.get("/health", &[]).json()["plugins"],
        json!({"described": 2, "pending": 0, "failed": 0})
    );
}

#[test]
fn every_way_to_describe_a_plugin_gives_typed_tools_in_a_fixed_order() {
    let daemon =
        smcpd().plugins(&["shapes", "describe_v1", "argv_first", "nested", "bash_tool", "heavy"]).start();
    until("all are described", || {
        (daemon.get("/health", &[]).json()["plugins"]["pending"] == 0).then_some(())
    });
    let all = names(&daemon);
    for name in [
        "shapes__remote_add",
        "describe_v1__add-note",
        "argv_first__convert",
        "nested__compute_instance_start",
        "bash_tool__hello",
        "heavy__digest",
    ] {
        assert!(all.contains(&name.to_owned()), "{name}: {all:?}");
    }
    assert!(!all.iter().any(|name| name.contains("purge")), "a hidden command stays hidden");
    let tools = daemon.ask("tools/list", json!({}))["result"]["tools"].take();
    for tool in tools.as_array().unwrap() {
        let schema = &tool["inputSchema"];
        assert_eq!(schema["type"], "object", "{tool}");
        assert_eq!(schema["additionalProperties"], json!(false), "{tool}");
        assert!(!tool["description"].as_str().unwrap().is_empty(), "{tool}");
        let properties = schema["properties"].as_object().unwrap();
        for (name, property) in properties {
            assert!(property["type"].is_string(), "{name} of {tool}");
            assert!(property["type"] != "array" || property["items"].is_object(), "{name} of {tool}");
        }
        for required in schema["required"].as_array().unwrap() {
            assert!(properties.contains_key(required.as_str().unwrap()), "{tool}");
        }
    }
    let again = daemon.ask("tools/list", json!({}))["result"]["tools"].take();
    assert_eq!(tools, again);
    let note = tools.as_array().unwrap().iter().find(|tool| tool["name"] == "describe_v1__add-note").unwrap();
    let properties = &note["inputSchema"]["properties"];
    // The contract called it a string; the parser knows better.
    assert_eq!(properties["draft"]["type"], "boolean", "{note}");
    assert_eq!(properties["tags"]["type"], "array", "{note}");
}

#[test]
fn what_the_parser_knows_reaches_the_plugin_as_it_should() {
    let daemon = smcpd().plugins(&["shapes"]).start();
    let arguments = json!({
        "recipient": "--ann", "version": "-1", "no-cache": true, "fragile": false, "label": ["a", "-b"],
        "verbose": 2, "endpoint": "http://x", "profile": null, "weight": "2.5", "meta": {"k": [1]},
    });
    let result = daemon.call("shapes.send", arguments);
    let read = &result["structuredContent"];
    for (name, value) in [
        ("recipient", json!("--ann")),
        ("version", json!("-1")),
        ("cache", json!(false)),
        ("fragile", json!(false)),
        ("label", json!(["a", "-b"])),
        ("verbose", json!(2)),
        ("base_url", json!("http://x")),
        ("profile", Value::Null),
        ("weight", json!(2.5)),
        ("meta", json!({"k": [1]})),
    ] {
        assert_eq!(read[name], value, "{name}: {result}");
    }
    let both =
        daemon.call("shapes.send", json!({"recipient": "a", "version": "1", "air": true, "ground": "b"}));
    assert_eq!(both["structuredContent"]["error"]["message"], "`air` and `ground` cannot be given together");
}

#[test]
fn names_are_spelled_in_three_ways_and_the_separator_is_the_operators() {
    let daemon = smcpd().plugins(&["demo_math"]).config("[tools]\nseparator = \"_\"\n").start();
    assert!(names(&daemon).contains(&"demo_math_format-bytes".to_owned()));
    for name in [
        "demo_math_format-bytes",
        "demo_math.format_bytes",
        "demo-math__format-bytes",
        "demo_math__format_bytes",
    ] {
        assert_eq!(
            daemon.call(name, json!({"value": 1536}))["structuredContent"]["formatted"],
            "1.5 KiB",
            "{name}"
        );
    }
}

#[test]
fn a_probe_leaves_nothing_behind() {
    let daemon = smcpd().plugins(&["demo_math", "worker"]).start();
    let scratch = daemon.path().join("CACHE/smcp/scratch");
    until("the scratch directories are gone", || {
        let left = std::fs::read_dir(&scratch)
            .map(|entries| entries.flatten().collect::<Vec<_>>())
            .unwrap_or_default();
        left.iter()
            .all(|entry| std::fs::read_dir(entry.path()).is_ok_and(|mut inner| inner.next().is_none()))
            .then_some(())
    });
}

#[test]
fn a_plugin_that_only_has_help_text_is_read_from_it() {
    let daemon = smcpd().plugins(&["help_only", "epilog_only"]).start();
    until("all are described", || {
        (daemon.get("/health", &[]).json()["plugins"]["pending"] == 0).then_some(())
    });
    let tools = daemon.ask("tools/list", json!({}))["result"]["tools"].take();
    let tool = |name: &str| tools.as_array().unwrap().iter().find(|tool| tool["name"] == name).cloned();
    let greet = tool("help_only__greet").unwrap();
    assert_eq!(greet["inputSchema"]["required"], json!(["name"]), "{greet}");
    assert_eq!(greet["inputSchema"]["properties"]["loud"]["type"], "boolean", "{greet}");
    assert_eq!(greet["inputSchema"]["properties"]["mood"]["enum"], json!(["glad", "sad"]), "{greet}");
    let said = daemon.call("help_only.greet", json!({"name": "-Ann", "loud": true}));
    assert_eq!(said["content"][0]["text"], "--loud --name=-Ann", "{said}");
    let tidy = tool("epilog_only__tidy").unwrap();
    assert_eq!(tidy["inputSchema"]["additionalProperties"], json!(true), "{tidy}");
    assert_eq!(daemon.call("epilog_only.tidy", json!({"room": "hall"}))["isError"], json!(false));
}

#[test]
fn before_the_first_catalog_health_says_so_and_clients_wait() {
    let mut setup = smcpd().plugins(&["slow_start"]).config("[plugins]\nstartup_wait = 20\n");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    setup = setup.without_port().environment("MCP_PORT", &free.port().to_string());
    let socket = setup.path().join("runtime/smcp/control.sock");
    std::thread::scope(|scope| {
        let operator = scope.spawn(move || {
            use std::io::{BufRead, Write};
            let mut stream =
                until("there is a socket", || std::os::unix::net::UnixStream::connect(&socket).ok());
            stream
                .write_all(b"{\"request\":\"call\",\"tool\":\"slow_start.ping\",\"arguments\":{}}\n")
                .unwrap();
            let mut lines = std::io::BufReader::new(stream).lines();
            lines.nth(1).unwrap().unwrap()
        });
        let early = scope.spawn(move || {
            let mut connection = until("the port is open", || {
                std::net::TcpStream::connect(free).is_ok().then(|| smcp_test_support::Connection::open(free))
            });
            let health = connection.send("GET", "/health", &[], b"");
            let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
            (health, connection.post("/messages/", &[], &list).json())
        });
        let daemon = setup.start();
        let (health, list) = early.join().unwrap();
        let called = operator.join().unwrap();
        assert!(called.contains("\"isError\":false"), "{called}");
        assert_eq!((health.status, health.json()["status"].clone()), (503, json!("starting")));
        assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 2);
        assert_eq!(daemon.get("/health", &[]).status, 200);
    });
}

#[test]
fn many_that_are_asked_together_say_what_each_says_by_itself() {
    let described = |mode: &str| {
        let setup = smcpd()
            .plugins(&["demo_math", "nested", "shapes", "argv_first", "epilog_only", "contract_only"])
            .config(&format!("[warm]\nmode = \"{mode}\"\n[log]\nlevel = \"debug\"\n"));
        // The interpreter that they share has another module of that name.
        let own = setup.path().join("plugins/own_module");
        std::fs::create_dir(&own).unwrap();
        std::fs::write(own.join("ctypes.py"), "TEXT = 'mine'\n").unwrap();
        let program = "import argparse, ctypes\n\
            parser = argparse.ArgumentParser()\n\
            parser.add_subparsers().add_parser('say', help=ctypes.TEXT)\n\
            parser.parse_args()\n";
        std::fs::write(own.join("cli.py"), program).unwrap();
        let daemon = setup.start();
        let tools = daemon.ask("tools/list", json!({}))["result"]["tools"].take();
        let log = daemon.log();
        let said = |words: &str| log.lines().any(|line| line.contains("*describing") && line.contains(words));
        assert!(!said("stale"), "it serves to the end: {log}");
        let together = said("is up");
        until("nobody is left", || smcp_test_support::descendants(daemon.pid()).is_empty().then_some(()));
        (tools, together)
    };
    let (alone, was_together) = described("off");
    assert!(!was_together);
    let (together, was_together) = described("spare");
    assert!(was_together);
    assert_eq!(together, alone);
    let said = together.as_array().unwrap().iter().find(|tool| tool["name"] == "own_module__say");
    assert_eq!(said.unwrap()["description"], "mine");
}
