//! `smcpctl plugin sandbox NAME --trace`: who refused what, and the line that allows it.

use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use smcp_test_support::{Daemon, Setup, is_alive, marked, until};

use super::{ctl, daemon_program, transcript};

/// Whether there is a tracer. The CI has one.
fn has_strace() -> bool {
    let path = std::env::var_os("PATH").unwrap();
    let has = std::env::split_paths(&path).any(|directory| directory.join("strace").is_file());
    assert!(has || std::env::var_os("CI").is_none_or(|ci| ci != "true"), "install `strace`");
    has
}

/// Not below /tmp, which every plugin may write; and not of root's, where the test is root's.
fn held(config: &str) -> Daemon {
    let setup = Setup::held(&daemon_program(), Path::new("/opt")).unprivileged();
    // Cargo's own, where its user may not look.
    setup.environment("LD_LIBRARY_PATH", "").plugins(&["prowler", "orphans"]).config(config).start()
}

fn traced(daemon: &Daemon, words: &[&str]) -> Value {
    let mut command = ctl(daemon, &["--json", "plugin", "sandbox", "prowler", "--trace"]);
    let output = command.args(words).output().unwrap();
    let told = || format!("{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    let said: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", told()));
    assert_eq!(
        (&said["version"], &said["trace"]["ended"]),
        (&json!(1), &json!("exited with 0")),
        "{}",
        told()
    );
    said["trace"].clone()
}

/// What was refused, by whom, and the line that allows it.
fn refused(daemon: &Daemon, words: &[&str]) -> Vec<(String, String, Option<String>)> {
    let said = traced(daemon, words);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let findings = said["refused"].as_array().unwrap().iter();
    let row =
        |one: &Value| (text(&one["what"]).unwrap(), text(&one["by"]).unwrap(), text(&one["allow"]["line"]));
    findings.map(row).collect()
}

#[test]
fn what_the_sandbox_refused_is_told_from_what_modes_do_and_the_line_allows_it() {
    if !has_strace() {
        return;
    }
    let daemon = held("[plugin.prowler.sandbox]\nconnect = [443]\n");
    let at = |name: &str| daemon.path().canonicalize().unwrap().join(name).display().to_string();
    let (new, hidden) = (at("elsewhere"), at("plugins"));
    let is = |what: &str, by: &str, line: Option<String>| vec![(what.to_owned(), by.to_owned(), line)];
    let below = daemon.path().canonicalize().unwrap().display().to_string();
    let cases = [
        (vec!["read", "--path", "/etc/passwd"], vec![]),
        (
            vec!["write", "--path", &new],
            is(&format!("write `{new}`"), "sandbox", Some(format!("write = [\"{below}\"]"))),
        ),
        (
            vec!["list", "--path", &hidden],
            is(&format!("read `{hidden}`"), "sandbox", Some(format!("read = [\"{hidden}\"]"))),
        ),
        // Nobody but root may.
        (vec!["read", "--path", "/etc/shadow"], is("read `/etc/shadow`", "permissions", None)),
        (vec!["system-call", "--name", "ptrace"], is("the system call `ptrace`", "sandbox", None)),
        (
            vec!["connect", "--host", "127.0.0.1", "--port", "9"],
            is("connect to TCP port 9", "sandbox", Some("connect = [443, 9]".to_owned())),
        ),
    ];
    for (words, expected) in cases {
        assert_eq!(refused(&daemon, &words), expected, "{words:?}");
    }
    // Secrets come with it, and nobody but root and the daemon's user gets them; each time is noted.
    assert!(daemon.log().contains("\"action\":\"trace\""), "{}", daemon.log());
    let table = transcript(&daemon, &["plugin", "sandbox", "prowler", "--trace", "write", "--path", &new]);
    let row = "write `DIR/elsewhere`: openat EACCES\tsandbox\tit writes its state, scratch and what `write` names\t[plugin.prowler.sandbox] write = [\"DIR\"]\n";
    assert!(table.contains(row), "{table}");

    let line = refused(&daemon, &["write", "--path", &new]).remove(0).2.unwrap();
    let text = format!("[plugin.prowler.sandbox]\nconnect = [443]\n{line}\n");
    std::fs::write(daemon.path().join("smcpd.toml"), text).unwrap();
    assert!(transcript(&daemon, &["reload"]).ends_with("[0]\n"));
    assert_eq!(refused(&daemon, &["write", "--path", &new]), []);
    assert_eq!(std::fs::read_to_string(&new).unwrap(), "x");
}

/// Processes of a traced command of this daemon's.
fn left(daemon: &Daemon) -> Vec<u32> {
    let state = daemon.path().join("STATE/smcp/state/orphans");
    let ours = marked(&format!("SMCP_STATE_DIR={}", state.display()));
    let traced = marked("SMCP_CALL_ID=by-hand");
    ours.into_iter().filter(|pid| traced.contains(pid)).collect()
}

#[test]
fn nothing_of_a_traced_command_outlives_it_its_time_or_its_interruption() {
    if !has_strace() {
        return;
    }
    let daemon = held("[plugin.orphans]\ntimeout = 2\n");
    let pids = daemon.path().join("STATE/smcp/state/orphans/pids");
    let command = |name: &str| {
        let mut command = ctl(&daemon, &["plugin", "sandbox", "orphans", "--trace", name]);
        command.arg(format!("--pidfile={}", pids.display())).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let alive = || {
        let text = std::fs::read_to_string(&pids).unwrap();
        let mut pids = text.split_ascii_whitespace().map(|pid| pid.parse().unwrap());
        pids.any(is_alive)
    };
    // It returns, and leaves a process in a session of its own.
    assert_eq!(command("daemonize").status().unwrap().code(), Some(0));
    assert!(!alive() && left(&daemon).is_empty());
    // It ignores SIGTERM, and its time comes.
    std::fs::remove_file(&pids).unwrap();
    assert_eq!(command("stubborn").status().unwrap().code(), Some(8));
    assert!(!alive() && left(&daemon).is_empty());
    std::fs::remove_file(&pids).unwrap();
    let mut interrupted = command("stubborn").spawn().unwrap();
    until("it runs", || pids.exists().then_some(()));
    kill_process(Pid::from_child(&interrupted), Signal::TERM).unwrap();
    assert_eq!(interrupted.wait().unwrap().code(), Some(130));
    assert!(left(&daemon).is_empty(), "{:?}", left(&daemon));
}

#[test]
fn without_a_tracer_or_the_right_it_says_what_to_do() {
    let config = "[control]\nmode = \"0666\"\n[plugin.orphans]\nsandbox = \"off\"\n";
    let daemon = held(config);
    let words = ["plugin", "sandbox", "prowler", "--trace"];
    let said = |command: &mut std::process::Command| {
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let lacking = said(ctl(&daemon, &words).env("PATH", "/nowhere"));
    let expected =
        "error: there is no `strace` on the PATH, which a trace needs\nhint: install the package `strace`\n";
    assert_eq!(lacking, (1, expected.to_owned()));
    let off = said(&mut ctl(&daemon, &["plugin", "sandbox", "orphans", "--trace"]));
    let expected = "error: `orphans` has no sandbox, which could refuse it anything\nhint: see `smcpctl plugin sandbox NAME --explain`\n";
    assert_eq!(off, (7, expected.to_owned()));
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Whoever may use the socket, and is neither root nor the daemon's user, gets no plugin's secrets.
    use std::os::unix::process::CommandExt;
    let open: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    for below in ["", "runtime", "runtime/smcp"] {
        std::fs::set_permissions(daemon.path().join(below), open.clone()).unwrap();
    }
    let (code, said) = said(ctl(&daemon, &words).uid(12_345));
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("is run by hand by root or the daemon's own user alone"), "{said}");
}
