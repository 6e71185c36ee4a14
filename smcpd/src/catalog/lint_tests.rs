use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use smcp_test_support::root;

use super::*;
use crate::catalog::contract;
use crate::catalog::strict::grade;

fn codes(found: &[Finding]) -> Vec<&'static str> {
    found.iter().map(|finding| finding.code.facts().0).collect()
}

#[test]
fn every_code_is_in_the_document_with_its_severity_and_no_other_is() {
    let source = fs::read_to_string(root().join("smcpd/src/catalog/lint.rs")).unwrap();
    let page = fs::read_to_string(root().join("docs/plugin-check.md")).unwrap();
    let mut known: Vec<String> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => (\"")?.1.strip_suffix("),"))
        .map(|facts| {
            let (code, severity) = facts.split_once("\", Severity::").unwrap();
            format!("| `{code}` | {} |", severity.to_lowercase())
        })
        .collect();
    let mut told: Vec<String> = page
        .lines()
        .filter(|line| line.starts_with("| `") && line.matches('|').count() > 3)
        .map(|line| line.split('|').take(3).collect::<Vec<_>>().join("|") + "|")
        .collect();
    known.sort();
    told.sort();
    assert!(known.len() > 20, "{known:?}");
    assert_eq!(told, known);
}

#[test]
fn an_entry_point_that_cannot_start_is_named_with_the_fix() {
    let directory = tempfile::tempdir().unwrap();
    let make = |name: &str, entry: &str, text: &str, mode: u32| {
        let path = directory.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join(entry), text).unwrap();
        fs::set_permissions(path.join(entry), fs::Permissions::from_mode(mode)).unwrap();
    };
    make("good", "cli.py", "print()", 0o644);
    make("script", "cli", "#!/bin/sh\n", 0o755);
    make("mode", "cli", "#!/bin/sh\n", 0o644);
    make("bare", "cli", "echo", 0o755);
    make("foreign", "cli.py", "#!/bin/sh\n", 0o644);
    make("empty", "other", "", 0o644);
    make("to two", "cli.py", "print()", 0o644);
    fs::create_dir_all(directory.path().join("folder/cli")).unwrap();
    fs::create_dir(directory.path().join("loose")).unwrap();
    symlink("nowhere", directory.path().join("loose/cli")).unwrap();
    symlink("nowhere", directory.path().join("gone")).unwrap();
    let cases: [(&str, &[&str]); 11] = [
        ("good", &[]),
        ("script", &[]),
        ("mode", &["not-executable"]),
        ("bare", &["no-shebang"]),
        ("foreign", &["not-executable"]),
        ("empty", &["no-entry-point"]),
        ("to two", &["bad-name"]),
        ("folder", &["unreadable"]),
        ("loose", &["dangling-link"]),
        ("gone", &["dangling-link"]),
        ("never", &["dangling-link"]),
    ];
    for (name, expected) in cases {
        assert_eq!(codes(&entry(&directory.path().join(name), name)), expected, "{name}");
    }
}

#[test]
fn who_may_change_a_file_decides_what_runs() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cli.py");
    fs::write(&file, "").unwrap();
    let me = fs::metadata(&file).unwrap().uid();
    let cases: [(u32, u32, &[&str]); 5] = [
        (0o644, me, &[]),
        (0o664, me, &["group-writable"]),
        (0o646, me, &["world-writable"]),
        (0o666, me, &["world-writable", "group-writable"]),
        (0o644, 4_242, &["foreign-owner"]),
    ];
    for (mode, owner, expected) in cases {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let found = permissions(directory.path(), Owners { daemon: owner, ..Owners::default() });
        let found: Vec<_> = found.into_iter().filter(|found| found.subject.ends_with("/cli.py")).collect();
        // A file of root's is no one else's to change.
        let expected = if me == 0 && owner == 4_242 { &[][..] } else { expected };
        assert_eq!(codes(&found), expected, "{mode:o}");
    }
    fs::create_dir(directory.path().join("lib")).unwrap();
    fs::write(directory.path().join("lib/more.py"), "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(directory.path().join("lib"), fs::Permissions::from_mode(0o777)).unwrap();
    let found = permissions(directory.path(), Owners { daemon: me, ..Owners::default() });
    assert_eq!(codes(&found), ["world-writable", "group-writable"]);
    assert!(found[0].subject.ends_with("/lib"), "{found:?}");
}

#[test]
fn words_that_are_missing_and_secrets_that_are_told_are_found() {
    let described = |value: Value| contract::parse(&value).unwrap().unwrap();
    let judged = |value: Value| {
        let description = described(json!({"commands": [value]}));
        let one = &description.commands[0];
        codes(&command("p.c", one, &grade(&crate::catalog::schema::of(one))))
    };
    let cases: [(Value, &[&str]); 7] = [
        (json!({"name": "c", "description": "d"}), &[]),
        (json!({"name": "c", "description": " "}), &["no-description"]),
        (
            json!({"name": "c", "description": "d", "parameters": [{"name": "a", "required": true}]}),
            &["no-parameter-description"],
        ),
        (
            json!({"name": "c", "description": "d",
                "parameters": [{"name": "api_token", "description": "d", "default": "x", "required": true}]}),
            &["secret-default"],
        ),
        (
            json!({"name": "c", "description": "d",
                "parameters": [{"name": "a", "description": "d", "default": 7, "secret": true, "required": true}]}),
            &["secret-default"],
        ),
        (
            json!({"name": "c", "description": "d",
                "parameters": [{"name": "a", "description": "d", "type": "object", "required": true}]}),
            &["not-strict-letta"],
        ),
        (
            json!({"name": "c", "description": "d", "parameters": [{"name": "a", "description": "d"}]}),
            &["not-strict-openai"],
        ),
    ];
    for (value, expected) in cases {
        assert_eq!(judged(value.clone()), expected, "{value}");
    }
    assert_eq!(
        codes(&plugin("p", &described(json!({"commands": []})))),
        ["no-plugin-description", "no-tools"]
    );
    let helped = Description { source: Source::HelpText, ..described(json!({"commands": [{"name": "a"}]})) };
    assert_eq!(codes(&plugin("p", &helped)), ["no-plugin-description", "help-text"]);
    let reasons = [
        ("contract: commands: is missing", "bad-contract"),
        ("`/p/contract.json`: is broken JSON", "bad-contract"),
        ("its contract is broken JSON: EOF", "bad-contract"),
        ("exited with 3", "not-described"),
    ];
    for (reason, expected) in reasons {
        assert_eq!(codes(&[not_described("p", reason)]), [expected]);
    }
}

#[test]
fn promises_and_headers_that_are_worth_nothing_are_errors() {
    let cases: [(Value, &[&str]); 4] = [
        (
            json!({"name": "c", "outputSchema": {"type": "object", "properties": {"a": {"type": "string"}}}}),
            &[],
        ),
        (json!({"name": "c", "outputSchema": {"type": "object", "$ref": "a.json"}}), &["bad-output-schema"]),
        (json!({"name": "c", "outputSchema": {"type": "object", "properties": 7}}), &["bad-output-schema"]),
        (
            json!({"name": "c", "inputSchema": {"type": "object",
                "properties": {"a": {"type": "string", "x-mcp-header": "no good"}}}}),
            &["bad-header"],
        ),
    ];
    for (command, expected) in cases {
        let plugin = crate::catalog::tests::plugin("p", json!([command]));
        let tool = Tool::all_of(&plugin, Separator::default()).next().unwrap();
        assert_eq!(codes(&promises(&tool)), expected, "{command}");
    }
}
