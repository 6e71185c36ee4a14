//! `smcpctl plugin describe`: what is written reads back as the same plugin.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::plugin_check::Alone;
use super::{json_of, smcpd, transcript};

#[test]
fn a_written_contract_makes_the_same_tools_whoever_described_them_first() {
    let alone = Alone::new();
    let names = [
        "argv_first",
        "bash_tool",
        "demo_math",
        "demo_text",
        "describe_v1",
        "epilog_only",
        "heavy",
        "help_only",
        "nested",
        "shapes",
        "worker",
    ];
    for name in names {
        let directory = alone.fixture(name);
        let commands = |check: Value| check["check"]["commands"].clone();
        let before = alone.transcript(&["plugin", "describe", name]);
        let tools = commands(alone.json(&["plugin", "check", name]));
        assert!(before.ends_with("[0]\n"), "{name}: {before}");
        let said = alone.transcript(&["plugin", "describe", name, "--write"]);
        assert_eq!(said, format!("`DIR/{name}/contract.json` is written\n[0]\n"));
        assert!(directory.join("contract.json").is_file());
        assert_eq!(alone.transcript(&["plugin", "describe", name]), before, "{name}");
        assert_eq!(commands(alone.json(&["plugin", "check", name])), tools, "{name}");
        let again = alone.transcript(&["plugin", "describe", name, "--write"]);
        assert_eq!(again, format!("`DIR/{name}/contract.json` says so already\n[0]\n"));
    }
}

#[test]
fn the_old_contract_is_kept_and_a_dry_run_writes_nothing() {
    let alone = Alone::new();
    let directory = alone.fixture("shapes");
    let path = directory.join("contract.json");
    let dry = alone.transcript(&["plugin", "describe", "shapes", "--write", "--dry-run"]);
    assert_eq!(dry, "`DIR/shapes/contract.json` would be written\n[0]\n");
    assert!(!path.exists());
    // What says the same in other words is written anew, and stays beside it.
    let old =
        json!({"commands": [{"name": "status", "parameters": [], "description": "How it is"}]}).to_string();
    fs::write(&path, &old).unwrap();
    let dry = alone.transcript(&["plugin", "describe", "shapes", "--write", "--dry-run"]);
    assert_eq!(
        dry,
        "`DIR/shapes/contract.json` would be replaced, and the old one kept as `contract.json.bak`\n[0]\n"
    );
    let said = alone.transcript(&["plugin", "describe", "shapes", "--write"]);
    assert_eq!(said, "`DIR/shapes/contract.json` is replaced; the old one is `contract.json.bak`\n[0]\n");
    assert_eq!(fs::read_to_string(directory.join("contract.json.bak")).unwrap(), old);
    let new: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(new["commands"].as_array().unwrap().len(), 1);
    let mut files: Vec<String> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "__pycache__")
        .collect();
    files.sort();
    assert_eq!(files, ["cli.py", "contract.json", "contract.json.bak"]);
}

#[test]
fn a_bad_contract_file_is_named_with_its_field_and_never_overwritten() {
    let alone = Alone::new();
    let directory = alone.fixture("shapes");
    let path = directory.join("contract.json");
    let cases = [
        ("{", "is broken JSON: EOF while parsing an object at line 1 column 1"),
        ("{}", "contract: commands: is missing"),
        (
            r#"{"commands": [{"name": "a b"}]}"#,
            "contract: commands[0].name: `a b` must be letters, digits, `_` and `-`",
        ),
    ];
    for (text, reason) in cases {
        fs::write(&path, text).unwrap();
        assert_eq!(
            alone.transcript(&["plugin", "describe", "shapes", "--write"]),
            format!(
                "error: the plugin cannot be described: shapes: `DIR/shapes/contract.json`: {reason}\n\
                 hint: see `smcpctl plugin check shapes`\n[7]\n"
            )
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::remove_file(&path).unwrap();
    symlink("cli.py", &path).unwrap();
    let said = alone.transcript(&["plugin", "describe", "shapes"]);
    assert!(said.contains("contract.json`: is a symbolic link") && said.ends_with("[7]\n"), "{said}");
}

#[test]
fn the_daemon_takes_the_file_before_the_programs_own_words() {
    let daemon = smcpd().start();
    let alone = Alone::new();
    let directory = alone.fixture("shapes");
    symlink(&directory, daemon.path().join("plugins/shapes")).unwrap();
    transcript(&daemon, &["rescan"]);
    let contract = json!({"commands": [{"name": "list", "description": "Better words", "parameters": [
        {"name": "fields", "description": "Which columns"}, {"name": "all"}]}]});
    fs::write(directory.join("contract.json"), contract.to_string()).unwrap();
    transcript(&daemon, &["rescan"]);
    let tools = json_of(&daemon, &["tools", "--plugin", "shapes"])["tools"].take();
    assert_eq!(tools.as_array().unwrap().len(), 1);
    assert_eq!(tools[0]["description"], "Better words");
    // The parser still says what it knows.
    let properties = &tools[0]["input_schema"]["properties"];
    assert_eq!(
        (&properties["fields"]["type"], &properties["all"]["type"]),
        (&json!("array"), &json!("boolean"))
    );
    let called = transcript(&daemon, &["call", "shapes.list", "fields=a", "fields=b", "all=true"]);
    assert!(called.contains(r#""fields": ["a", "b"]"#), "{called}");
    fs::write(directory.join("contract.json"), "{").unwrap();
    transcript(&daemon, &["rescan"]);
    let listed = transcript(&daemon, &["plugin", "list"]);
    assert!(
        listed.contains("shapes\tfailed\t0\t`") && listed.contains("contract.json`: is broken JSON"),
        "{listed}"
    );
}
