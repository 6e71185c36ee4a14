//! The catalog follows the plugins directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use serde_json::{Value, json};
use smcp_test_support::{Daemon, Stream, resident_kib, until};

use crate::smcpd;

/// A plugin whose commands are `commands`; each answers with its own name.
fn plugin(directory: &Path, commands: &[&str]) {
    let commands: Vec<Value> =
        commands.iter().map(|name| json!({"name": name, "description": "x"})).collect();
    let contract = json!({"contract_version": "1.1", "commands": commands});
    let program = format!(
        "#!/bin/sh\n# A fixture of the reload tests.\nif [ \"$1\" = --describe ]; then cat <<'END'\n{contract}\nEND\nelse echo \"$1\"; fi\n"
    );
    fs::create_dir_all(directory).unwrap();
    let new = directory.join(".new");
    fs::write(&new, program).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(new, directory.join("cli")).unwrap();
}

fn names(daemon: &Daemon) -> Vec<String> {
    let tools = daemon.ask("tools/list", json!({}))["result"]["tools"].take();
    tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_plugin_that_is_linked_changed_or_removed_is_seen_and_listeners_are_told() {
    let daemon = smcpd().plugins(&["demo_math"]).start();
    let (mut stream, path) = Stream::open(daemon.connect(), &[]);
    let params = json!({"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {}});
    daemon.post(&path, &[], &json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}));
    assert_eq!(stream.message().unwrap()["id"], 0);
    let mut told = || assert_eq!(stream.message().unwrap()["method"], "notifications/tools/list_changed");
    let elsewhere = daemon.path().join("elsewhere");
    plugin(&elsewhere, &["one"]);
    let link = daemon.path().join("plugins/mine");
    symlink(&elsewhere, &link).unwrap();
    told();
    assert!(names(&daemon).contains(&"mine__one".to_owned()));
    // The file behind the link.
    plugin(&elsewhere, &["one", "two"]);
    told();
    assert!(names(&daemon).contains(&"mine__two".to_owned()));
    assert_eq!(daemon.call("mine.two", json!({}))["content"][0]["text"], "two");
    fs::remove_file(link).unwrap();
    told();
    assert!(!names(&daemon).iter().any(|name| name.starts_with("mine")));
    assert_eq!(daemon.ask("tools/call", json!({"name": "mine.one"}))["error"]["code"], -32602);
}

#[test]
fn a_plugin_that_breaks_is_failed_and_mended_without_a_restart() {
    let daemon = smcpd().start();
    let directory = daemon.path().join("plugins/mine");
    plugin(&directory, &["one"]);
    until("it is there", || names(&daemon).contains(&"mine__one".to_owned()).then_some(()));
    fs::write(directory.join("cli"), "#!/bin/sh\nexit 3\n").unwrap();
    until("it failed", || (daemon.get("/health", &[]).json()["plugins"]["failed"] == 1).then_some(()));
    assert_eq!(names(&daemon), ["health"]);
    plugin(&directory, &["one"]);
    until("it is mended", || names(&daemon).contains(&"mine__one".to_owned()).then_some(()));
    // A plugins directory that cannot be read keeps what was.
    fs::rename(daemon.path().join("plugins"), daemon.path().join("away")).unwrap();
    daemon.signal(Signal::HUP);
    until("it is said", || daemon.log().contains("cannot read the plugins directory").then_some(()));
    assert!(names(&daemon).contains(&"mine__one".to_owned()));
}

#[test]
fn a_call_in_flight_keeps_its_plugin() {
    let daemon = smcpd().plugins(&["worker"]).start();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| daemon.call("worker.sleep", json!({"seconds": 2})));
        until("the call runs", || (daemon.get("/health", &[]).json()["calls"]["running"] == 1).then_some(()));
        fs::remove_file(daemon.path().join("plugins/worker")).unwrap();
        until("the tools are gone", || (names(&daemon).len() == 1).then_some(()));
        assert_eq!(call.join().unwrap()["isError"], json!(false));
    });
}

#[test]
fn two_hundred_rescans_under_load_fail_no_call_and_mix_no_list() {
    let setup = smcpd().config("[execution]\nserialize = \"none\"\n");
    let variants = [("blue", ["a", "b", "same"]), ("green", ["c", "d", "same"])];
    for (name, commands) in variants {
        plugin(&setup.path().join(name), &commands);
    }
    let link = setup.path().join("plugins/mine");
    symlink(setup.path().join("blue"), &link).unwrap();
    let daemon = setup.start();
    let wanted = |at: usize| -> Vec<String> {
        let tools = variants[at].1.map(|command| format!("mine__{command}"));
        ["health".to_owned()].into_iter().chain(tools).collect()
    };
    let over = AtomicBool::new(false);
    let grown = std::thread::scope(|scope| {
        for _ in 0..3 {
            let (daemon, over, wanted) = (&daemon, &over, &wanted);
            scope.spawn(move || {
                let mut connection = daemon.connect();
                while !over.load(Ordering::Relaxed) {
                    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
                    let tools = connection.post("/messages/", &[], &list).json()["result"]["tools"].take();
                    let names: Vec<String> =
                        tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
                    assert!(names == wanted(0) || names == wanted(1), "{names:?}");
                    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "mine.same"}});
                    let result = connection.post("/messages/", &[], &call).json();
                    assert_eq!(result["result"]["isError"], json!(false), "{result}");
                }
            });
        }
        let _over = Over(&over);
        let mut early = 0;
        for round in 1..=200 {
            let target = daemon.path().join(variants[round % 2].0);
            let new = daemon.path().join("plugins/.new");
            symlink(target, &new).unwrap();
            fs::rename(new, &link).unwrap();
            daemon.signal(Signal::HUP);
            until("the new tools are listed", || (names(&daemon) == wanted(round % 2)).then_some(()));
            if round == 50 {
                early = resident_kib(daemon.pid());
            }
        }
        resident_kib(daemon.pid()).saturating_sub(early)
    });
    assert!(grown < 4 << 10, "memory grew by {grown} KiB in 150 rescans");
}

/// Ends the load also when the test fails, so that its scope can.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_configuration_is_read_again_as_a_whole_or_not_at_all() {
    let setup = smcpd().plugins(&["worker"]).config("[log]\nlevel = \"info\"\n");
    let file = setup.path().join("smcpd.toml");
    let key = setup.path().join("keys");
    let runtime = setup.path().join("runtime/smcp");
    let daemon = setup.start();
    let write = |text: &str| {
        fs::write(&file, text).unwrap();
        daemon.signal(Signal::HUP);
    };
    let listed = |headers: &[(&str, &str)]| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
        daemon.post("/messages/", headers, &body)
    };
    // Refused as a whole: not even the part that could be meant is taken over.
    write("[execution]\ntimeout = 0.2\nqueue = -1\n");
    until("the refusal is logged", || daemon.log().contains("the old one stays").then_some(()));
    assert_eq!(daemon.call("worker.sleep", json!({"seconds": 0.5}))["structuredContent"]["slept"], 0.5);
    // What plugins are granted, how tools are called, who may come in, and how much is logged.
    fs::write(&key, "s3cret\n").unwrap();
    write(&format!(
        "[execution]\ntimeout = 0.2\n[tools]\nseparator = \".\"\n[http]\nhosts = [\"tools.example\"]\n\
         [log]\nlevel = \"debug\"\n[auth]\nkey_files = [\"{}\"]\n",
        key.display()
    ));
    let with_key = [("Authorization", "Bearer s3cret"), ("Host", "tools.example")];
    until("the key is asked for", || (listed(&[]).status == 401).then_some(()));
    until("the names are new", || listed(&with_key).text().contains("\"worker.sleep\"").then_some(()));
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "worker.sleep", "arguments": {"seconds": 5}}});
    let answer = daemon.post("/messages/", &with_key, &call).json();
    assert_eq!(answer["result"]["structuredContent"]["error"]["code"], "timeout");
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    daemon.post("/mcp", &[with_key[0], ("Accept", "application/json, text/event-stream")], &body);
    until("debug is logged", || daemon.log().contains("\"level\":\"DEBUG\"").then_some(()));
    // The key's file alone changed: that is a change too.
    fs::write(&key, "other\n").unwrap();
    daemon.signal(Signal::HUP);
    until("the old key is refused", || (listed(&with_key).status == 401).then_some(()));
    // The file may have been looked at when it was empty.
    until("the new key is taken", || {
        (listed(&[("Authorization", "Bearer other")]).status == 200).then_some(())
    });
    // Sockets wait for a restart.
    let mode = |name: &str| fs::metadata(runtime.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("control.sock"), mode("call.sock")), (0o600, 0o600));
}

#[test]
fn sockets_have_the_mode_and_the_group_of_the_configuration() {
    use std::os::unix::fs::MetadataExt;
    let own = rustix::process::getegid().as_raw();
    let group = if own == 0 { 65534 } else { own };
    let config = format!(
        "[control]\nmode = \"0660\"\ngroup = \"{group}\"\ncall_mode = \"0666\"\ncall_group = \"{group}\"\n"
    );
    let daemon = smcpd().config(&config).start();
    for (name, mode) in [("control.sock", 0o660), ("call.sock", 0o666)] {
        let found = fs::metadata(daemon.path().join("runtime/smcp").join(name)).unwrap();
        assert_eq!((found.mode() & 0o777, found.gid()), (mode, group), "{name}");
    }
    for wrong in ["mode = \"0770\"", "mode = \"0060\"", "mode = \"rw\"", "group = \"no-such-group\""] {
        let said = smcpd().config(&format!("[control]\n{wrong}\n")).run(b"");
        assert_eq!(said.status.code(), Some(2), "{wrong}");
        assert!(said.stderr.contains("smcpd.toml:2: `control."), "{}", said.stderr);
    }
}
