//! A plugin that tries what it may not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use smcp_test_support::{Daemon, Setup, copy_program};

/// Somewhere that no plugin is allowed to write of itself, unlike `/tmp`.
fn smcpd() -> Setup {
    Setup::held(env!("CARGO_BIN_EXE_smcpd"), Path::new(env!("CARGO_TARGET_TMPDIR")))
}

fn prowler(config: &str) -> Daemon {
    smcpd().plugins(&["prowler"]).config(config).start()
}

/// What came of one attempt.
fn attempt(daemon: &Daemon, command: &str, arguments: Value) -> Value {
    let said = daemon.call(&format!("prowler.{command}"), arguments);
    said["structuredContent"].clone()
}

fn is_refused(said: &Value) -> bool {
    ["Permission denied", "Operation not permitted"].iter().any(|reason| said["refused"] == *reason)
}

fn refused(daemon: &Daemon, command: &str, arguments: Value) {
    let said = attempt(daemon, command, arguments.clone());
    assert!(is_refused(&said), "{command} {arguments}: {said}");
}

fn done(daemon: &Daemon, command: &str, arguments: Value) -> Value {
    let said = attempt(daemon, command, arguments.clone());
    assert!(said.get("did").is_some(), "{command} {arguments}: {said}");
    said["did"].clone()
}

#[test]
fn a_plugin_reads_the_system_and_none_of_what_is_the_daemons() {
    let setup = smcpd().plugins(&["prowler", "worker"]);
    let at = |path: &str| setup.path().join(path);
    let key = at("a.key");
    fs::write(&key, "letmein\n").unwrap();
    for path in
        ["CONFIG/smcp/smcpd.toml.d", "STATE/smcp/state/worker", "CACHE/smcp/descriptions", "plugins/real"]
    {
        fs::create_dir_all(at(path)).unwrap();
        fs::write(at(path).join("secret"), "secret").unwrap();
    }
    let own = at("STATE/smcp/state/prowler/mine");
    let daemon = setup.config(&format!("[auth]\nkey_files = [{key:?}]\nallow_loopback = true\n")).start();
    let at = |path: &str| daemon.path().join(path);
    for path in [
        at("CONFIG/smcp/smcpd.toml.d/secret"),
        at("STATE/smcp/state/worker/secret"),
        at("CACHE/smcp/descriptions/secret"),
        at("plugins/real/secret"),
        at("a.key"),
    ] {
        refused(&daemon, "read", json!({"path": path}));
        refused(&daemon, "write", json!({"path": path}));
    }
    refused(&daemon, "read", json!({"path": format!("/proc/{}/environ", daemon.pid())}));
    refused(&daemon, "list", json!({"path": at("STATE/smcp/state")}));
    assert!(!done(&daemon, "read", json!({"path": "/etc/passwd"})).as_str().unwrap().is_empty());
    done(&daemon, "list", json!({"path": "/usr"}));
    done(&daemon, "write", json!({"path": own}));
    assert_eq!(fs::read_to_string(own).unwrap(), "x");
    // Beside its own state and what is everybody's it writes nowhere.
    refused(&daemon, "write", json!({"path": at("elsewhere")}));
    refused(&daemon, "write", json!({"path": "/etc/smcp-was-here"}));
}

#[test]
fn what_is_hidden_is_so_where_a_link_leads_to_it() {
    let setup = smcpd().plugins(&["prowler"]);
    let at = |path: &str| setup.path().join(path);
    fs::create_dir_all(at("moved/smcp/state/worker")).unwrap();
    std::os::unix::fs::symlink(at("moved"), at("STATE")).unwrap();
    fs::write(at("moved/smcp/state/worker/secret"), "secret").unwrap();
    let daemon = setup.start();
    for state in ["STATE", "moved"] {
        let state = daemon.path().join(state).join("smcp/state");
        refused(&daemon, "read", json!({"path": state.join("worker/secret")}));
        done(&daemon, "write", json!({"path": state.join("prowler/mine")}));
    }
}

#[test]
fn what_only_root_may_read_is_not_handed_on_by_a_daemon_that_is_root() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let daemon = prowler("");
    refused(&daemon, "read", json!({"path": "/etc/shadow"}));
}

#[test]
fn a_plugin_signals_nobody_and_makes_no_call_that_no_plugin_needs() {
    let daemon = prowler("");
    refused(&daemon, "signal", json!({"pid": daemon.pid()}));
    refused(&daemon, "signal", json!({"pid": std::process::id()}));
    for name in
        ["ptrace", "mount", "unshare", "bpf", "keyctl", "io_uring_setup", "kexec_load", "process_vm_readv"]
    {
        refused(&daemon, "system-call", json!({"name": name}));
    }
    for name in ["userfaultfd", "perf_event_open"] {
        refused(&daemon, "system-call", json!({"name": name}));
    }
}

#[test]
fn a_plugin_may_not_administer_its_host_by_whatever_process() {
    let daemon = prowler("");
    for socket in ["control.sock", "call.sock"] {
        let path = daemon.path().join("runtime/smcp").join(socket);
        let said = attempt(&daemon, "unix", json!({"path": path}));
        assert!(
            is_refused(&said) || said["did"][1].as_str().is_some_and(|reply| reply.contains("may not use")),
            "{socket}: {said}"
        );
    }
}

#[test]
fn every_process_of_a_plugin_is_bounded() {
    let daemon = prowler("[plugin.prowler.sandbox]\nmemory = 1_000_000_000\nfiles = 64\n");
    let limits = done(&daemon, "limits", json!({}));
    assert_eq!(limits["core"], 0);
    assert_eq!(limits["files"], 64);
    assert_eq!(limits["file_size"], 4u64 << 30);
    assert_eq!(limits["oom_score_adj"], 500);
    assert_eq!(limits["held"], json!(["1", "2"]), "no new privileges, and a filter");
    let said = attempt(&daemon, "memory", json!({"bytes": 2_000_000_000}));
    assert_eq!(said["refused"], "Cannot allocate memory");
    let said = attempt(&daemon, "descriptors", json!({"count": 100}));
    assert_eq!(said["refused"], "Too many open files");
}

#[test]
fn what_is_granted_to_a_plugin_is_its_to_use() {
    let setup = smcpd().plugins(&["prowler"]);
    let granted = setup.path().join("granted");
    fs::create_dir(&granted).unwrap();
    let config = format!(
        "[plugin.prowler.sandbox]\nwrite = [{granted:?}]\nexec = [\"/usr/bin/true\", \"/bin/true\"]\n"
    );
    let daemon = setup.config(&config).start();
    done(&daemon, "write", json!({"path": daemon.path().join("granted/file")}));
    assert_eq!(done(&daemon, "run", json!({"path": "/usr/bin/true"})), 0);
    refused(&daemon, "run", json!({"path": "/usr/bin/env"}));
}

#[test]
fn a_plugin_reaches_the_ports_that_it_is_granted() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let to = |port: u16| json!({"host": "127.0.0.1", "port": port});
    done(&prowler(""), "connect", to(port));
    let daemon = prowler(&format!("[plugin.prowler.sandbox]\nconnect = [{port}]\n"));
    done(&daemon, "connect", to(port));
    refused(&daemon, "connect", to(daemon.address().port()));
    refused(&daemon, "listen", json!({"host": "127.0.0.1"}));
    let daemon = prowler("[sandbox]\nnetwork = false\n");
    refused(&daemon, "connect", to(port));
    refused(&daemon, "listen", json!({"host": "127.0.0.1"}));
}

#[test]
fn a_plugin_is_held_alike_by_a_cold_start_a_fork_and_a_spare() {
    for mode in ["off", "fork", "spare"] {
        let daemon = prowler(&format!("[warm]\nmode = \"{mode}\"\n"));
        for _ in 0..3 {
            refused(&daemon, "list", json!({"path": daemon.path().join("plugins")}));
            refused(&daemon, "write", json!({"path": daemon.path().join("elsewhere")}));
            refused(&daemon, "system-call", json!({"name": "ptrace"}));
        }
    }
}

#[test]
fn off_is_off_and_must_be_written() {
    let daemon = prowler("[plugin.prowler]\nsandbox = \"off\"\n");
    done(&daemon, "write", json!({"path": daemon.path().join("elsewhere")}));
    done(&daemon, "signal", json!({"pid": daemon.pid()}));
    assert_eq!(done(&daemon, "limits", json!({}))["held"], json!(["0", "0"]));
}

/// Links a plugin of this test's own, one file that is run.
fn own(setup: &Setup, name: &str, file: &str, text: &str) {
    let directory = setup.path().join("plugins").join(name);
    fs::create_dir(&directory).unwrap();
    let made = setup.path().join("made");
    fs::write(&made, text).unwrap();
    fs::set_permissions(&made, fs::Permissions::from_mode(0o755)).unwrap();
    copy_program(made, directory.join(file));
}

#[test]
fn asking_a_plugin_what_it_offers_is_held_as_its_calls_are() {
    for (plugins, trace) in
        [(1, "trace"), (5, "trace"), (1, "STATE/smcp/state/other/trace"), (5, "STATE/smcp/state/other/trace")]
    {
        let setup = smcpd();
        let trace = setup.path().join(trace);
        fs::create_dir_all(trace.parent().unwrap()).unwrap();
        let script = format!(
            "import argparse\n\
             try:\n    open({trace:?}, 'w').close()\nexcept OSError as error:\n    said = error.strerror\n\
             parser = argparse.ArgumentParser()\n\
             parser.add_subparsers().add_parser('nothing', help=said)\n\
             parser.parse_args()\n"
        );
        for number in 0..plugins {
            own(&setup, &format!("early{number}"), "cli.py", &script);
        }
        let daemon = setup.start();
        let listed = daemon.ask("tools/list", json!({})).to_string();
        assert_eq!(listed.matches("Permission denied").count(), plugins, "{listed}");
        daemon.call("early0.nothing", json!({}));
        assert!(!trace.exists(), "it wrote beside its state");
    }
}

#[test]
fn a_program_of_any_kind_is_held() {
    let setup = smcpd();
    let trace = setup.path().join("trace");
    let contract = json!({
        "contract_version": "1.1",
        "plugin": {"name": "shell", "version": "1", "description": "d"},
        "commands": [{"name": "touch", "description": "Writes", "parameters": []}],
    });
    let script = format!(
        "#!/bin/sh\ncase $1 in --describe) echo '{contract}' ;; touch) touch {trace:?} ;; *) exit 2 ;; esac\n"
    );
    own(&setup, "shell", "cli", &script);
    let daemon = setup.start();
    let said = daemon.call("shell.touch", json!({}));
    assert!(said["isError"] == true && said.to_string().contains("Permission denied"), "{said}");
    assert!(!trace.exists());
}
