//! `smcpctl approvals`: a call that waits, seen and decided on by an operator.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use smcp_test_support::until;

use super::{json_of, smcpd, transcript};

#[test]
fn a_call_is_approved_or_denied_by_whoever_saw_it() {
    let setup = smcpd().config("[plugin.mine.confirm]\n\"*\" = \"operator\"\n");
    let directory = setup.path().join("plugins/mine");
    fs::create_dir(&directory).unwrap();
    let contract = json!({"commands": [{"name": "wipe", "description": "Wipes",
        "parameters": [{"name": "path", "type": "string"}, {"name": "token", "type": "string", "secret": true}]}]});
    fs::write(directory.join("contract.json"), contract.to_string()).unwrap();
    fs::write(directory.join("cli"), "#!/bin/sh\necho '{\"done\": true}'\n").unwrap();
    fs::set_permissions(directory.join("cli"), fs::Permissions::from_mode(0o755)).unwrap();
    let daemon = setup.start();
    let says = |words: &[&str]| transcript(&daemon, words);
    let await_id = || {
        until("a call waits", || {
            json_of(&daemon, &["approvals", "list"])["approvals"][0]["id"].as_str().map(str::to_owned)
        })
    };
    let way_out = "an operator, by `smcpctl approvals list` and `smcpctl approvals approve ID`";
    let lines = says(&["why", "mine.wipe"]);
    assert!(lines.contains(&format!("allows\tconfirm\teach call waits for {way_out}\n")), "{lines}");
    let mut call = daemon.begin("mine.wipe", json!({"path": "/\u{1b}[2J\u{e0041}", "token": "hush"}));
    let id = await_id();
    let list = says(&["approvals", "list"]);
    let arguments = "{\"path\":\"/\\u001b[2J\\u{e0041}\",\"token\":\"***\"}";
    assert!(
        list.starts_with(&format!("{id}\tmine.wipe\tanonymous\t\t")) && list.contains(arguments),
        "{list}"
    );
    let shown = says(&["approvals", "show", &id]);
    assert!(shown.contains("argument path\t\"/\\u001b[2J\\u{e0041}\"\nargument token\t\"***\"\n"), "{shown}");
    assert!(says(&["status"]).contains("approvals\t1 waiting\n"));
    assert_eq!(json_of(&daemon, &["top"])["activity"]["approvals"], 1);
    assert_eq!(says(&["approvals", "approve", &id]), format!("`{id}` is approved\n[0]\n"));
    assert_eq!(call.reply().json()["result"]["structuredContent"]["done"], true);
    let mut call = daemon.begin("mine.wipe", json!({}));
    let id = await_id();
    assert_eq!(says(&["approvals", "deny", &id, "--reason", "no"]), format!("`{id}` is denied\n[0]\n"));
    assert!(call.reply().text().contains("denied it: no"));
    assert!(says(&["approvals", "approve", &id]).ends_with("[4]\n"));
    assert!(says(&["approvals", "show", &id]).ends_with("[4]\n"));
    let mut call = daemon.begin("mine.wipe", json!({}));
    let id = await_id();
    let socket = super::socket(&daemon);
    for line in [
        "smcpctl approvals approve ",
        "smcpctl approvals deny ",
        "smcpctl approvals show ",
        "smcpctl cancel ",
    ] {
        assert_eq!(super::completion::in_bash(&socket, line), [&*id], "{line}");
    }
    assert_eq!(says(&["cancel", &id]), format!("{id} is cancelled\n[0]\n"));
    assert!(call.reply().text().contains("cancelled by an operator"));
    assert!(
        says(&["audit"]).contains(&format!("cancel {id} mine.wipe of anonymous: ok")),
        "{}",
        says(&["audit"])
    );
    let audit = says(&["audit"]);
    for action in ["approvals approve", "approvals deny"] {
        assert!(audit.contains(action) && audit.contains("mine.wipe of anonymous"), "{audit}");
    }
    assert!(!audit.contains("hush"));
}
