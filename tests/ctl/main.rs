//! Tests that drive the real `smcpctl` against the real `smcpd`.
#![expect(clippy::disallowed_methods, reason = "a test may block its own thread")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod approvals;
mod completion;
mod connect;
mod documented;
mod keys;
mod letta;
mod linking;
mod live;
mod pins;
mod plugin_check;
mod plugin_deps;
mod plugin_describe;
mod plugin_new;
mod profiles;
mod requests;
mod trace;
mod transcript;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use smcp_test_support::{Daemon, Setup, root, until};

fn smcpd() -> Setup {
    Setup::new(&daemon_program())
}

/// The same, not where every plugin may write: `doctor` would have a word about it.
fn held_smcpd() -> Setup {
    Setup::held(&daemon_program(), Path::new(env!("CARGO_TARGET_TMPDIR")))
}

/// The daemon stands beside us; a test of this package alone has to build it first.
fn daemon_program() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_smcpctl")).with_file_name("smcpd");
    if !program.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo).args(["build", "-p", "smcpd"]).current_dir(root()).status().unwrap();
        assert!(built.success());
    }
    program.to_str().unwrap().to_owned()
}

fn socket(daemon: &Daemon) -> PathBuf {
    daemon.path().join("runtime/smcp/control.sock")
}

fn ctl(daemon: &Daemon, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smcpctl"));
    command.arg("--socket").arg(socket(daemon)).args(words);
    command.current_dir(daemon.path()).env_remove("SMCP_SOCKET").stdin(Stdio::null());
    command
}

/// Runs a command and shows it as a person sees it, with what differs from run to run made the same.
fn transcript(daemon: &Daemon, words: &[&str]) -> String {
    let Output { status, stdout, stderr } = ctl(daemon, words).output().unwrap();
    let mut text = String::from_utf8(stdout).unwrap();
    text.push_str(&String::from_utf8(stderr).unwrap());
    for (what, shown) in [
        (daemon.path().canonicalize().unwrap().display().to_string(), "DIR"),
        (root().display().to_string(), "ROOT"),
        (daemon.address().to_string(), "ADDRESS"),
        (format!("pid {}", daemon.pid()), "pid PID"),
    ] {
        text = text.replace(&what, shown);
    }
    format!("{text}[{}]\n", status.code().unwrap())
}

fn json_of(daemon: &Daemon, words: &[&str]) -> Value {
    let output = ctl(daemon, words).arg("--json").output().unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["version"], 1, "{words:?}");
    value
}

#[test]
fn a_terminal_gets_nothing_that_it_would_obey_or_that_nobody_sees() {
    let daemon = smcpd().plugins(&["disguised"]).start();
    let commands: [&[&str]; 7] = [
        &["tools"],
        &["tools", "show", "disguised.look"],
        &["plugin", "list"],
        &["plugin", "show", "disguised"],
        &["call", "disguised.look"],
        &["doctor"],
        &["audit"],
    ];
    for words in commands {
        for more in [&[] as &[&str], &["--json"]] {
            let Output { stdout, stderr, .. } = ctl(&daemon, words).args(more).output().unwrap();
            for said in [stdout, stderr].map(|said| String::from_utf8(said).unwrap()) {
                let obeyed = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
                let unseen = |letter: char| matches!(letter, '\u{200b}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e01ef}');
                let found = said.chars().find(|letter| obeyed(*letter) || unseen(*letter));
                assert_eq!(found, None, "{words:?} {more:?}: {said:?}");
            }
        }
    }
    let problems = json_of(&daemon, &["plugin", "show", "disguised"])["plugin"]["problems"].clone();
    let places: Vec<&str> =
        problems.as_array().unwrap().iter().filter_map(|one| one["tool"].as_str()).collect();
    assert!(places.contains(&"disguised.commands[0].description"), "{problems}");
    let said = ctl(&daemon, &["call", "disguised.look"]).output().unwrap().stdout;
    assert_eq!(String::from_utf8(said).unwrap(), "\\u{1b}[2Jseen\\u{9b}5n\n");
}

#[test]
fn each_rule_of_a_sandbox_is_explained_by_its_key_and_line() {
    let config =
        "[sandbox]\nmemory = 1073741824\n[plugin.disguised.sandbox]\nwrite = [\"/srv\"]\nconnect = [443]\n";
    let daemon = smcpd().plugins(&["disguised"]).config(config).start();
    let said = transcript(&daemon, &["plugin", "sandbox", "disguised", "--explain"]);
    for line in [
        "mode best-effort\twithout a word: what the kernel lacks is left out",
        "reads and writes `/srv`\t`plugin.disguised.sandbox.write`, DIR/smcpd.toml:4",
        "reads and writes `/tmp`\tevery plugin has it for scratch",
        "reads and writes `DIR/STATE/smcp/state/disguised`\tits state directory",
        "cannot open `DIR/plugins`\tthe plugins directory: the code of others",
        "connects to TCP 443\t`plugin.disguised.sandbox.connect`, DIR/smcpd.toml:5",
        "at most bytes of address space in a process: 1073741824\t`sandbox.memory`, DIR/smcpd.toml:2",
        "at most open files in a process: 4096\twithout a word",
    ] {
        assert!(said.lines().any(|one| one == line), "{line}:\n{said}");
    }
    let rules = json_of(&daemon, &["plugin", "sandbox", "disguised", "--explain"])["rules"].clone();
    assert!(rules.as_array().unwrap().iter().all(|rule| rule["rule"].is_string() && rule["why"].is_string()));
}

#[test]
fn from_an_empty_daemon_to_the_first_call_and_back() {
    let daemon = smcpd().start();
    let shipped = root().join("plugins/demo_math").display().to_string();
    let steps: [(&[&str], &str); 15] = [
        (&["health"], "ok\n[0]\n"),
        (&["plugin", "list"], "[0]\n"),
        (
            &["plugin", "link", &shipped, "--dry-run"],
            "would link `demo_math` to `ROOT/plugins/demo_math`\n[0]\n",
        ),
        (
            &["plugin", "link", &shipped],
            "demo_math.calculate(operation, a: number, b: number)\tAdd, subtract, multiply or divide two numbers. Integers give an integer if it is exact.\n\
             demo_math.format-bytes(value: integer)\tWrite a number of bytes in binary units with one decimal, from B to YiB.\n\
             demo_math.coin-flip()\tFlip a fair coin: heads or tails.\n[0]\n",
        ),
        (&["plugin", "link", &shipped], "`demo_math` is linked already\n[0]\n"),
        (&["plugin", "list"], "demo_math\tdescribed\t3\tROOT/plugins/demo_math\n[0]\n"),
        (
            &["tools", "show", "demo_math.format-bytes"],
            "demo_math.format-bytes(value: integer)\nWrite a number of bytes in binary units with one decimal, from B to YiB.\n\
             name on the wire: demo_math__format-bytes\n\nvalue\tinteger\trequired\tThe number of bytes\n[0]\n",
        ),
        (
            &["call", "demo_math.calculate", "operation=add", "a=2", "b=3"],
            "{\"operation\": \"add\", \"a\": 2, \"b\": 3, \"result\": 5}\n[0]\n",
        ),
        (&["call", "demo_math.calculate", "operation=divide", "a=2", "b=0"], "cannot divide by zero\n[10]\n"),
        (
            &["call", "demo_math.calculate", "operaton=add", "a=2", "b=3"],
            "error: there is no argument `operaton`; did you mean `operation`?\n\
             hint: see its parameters with `smcpctl tools show TOOL`\n[2]\n",
        ),
        (
            &["call", "demo_math.nope"],
            "error: no tool is called `demo_math.nope`\nhint: did you mean `demo_math.coin-flip`? see `smcpctl tools`\n[4]\n",
        ),
        (&["rescan"], "nothing changed\n[0]\n"),
        (
            &["plugin", "unlink", "demo_math"],
            "removed\tdemo_math.calculate\t\nremoved\tdemo_math.format-bytes\t\nremoved\tdemo_math.coin-flip\t\n[0]\n",
        ),
        (&["plugin", "unlink", "demo_math"], "no plugin is called `demo_math`\n[0]\n"),
        (
            &["cancel", "x-1"],
            "error: no call `x-1` runs or waits\nhint: see `smcpctl calls` and `smcpctl approvals list`\n[4]\n",
        ),
    ];
    for (words, expected) in steps {
        assert_eq!(transcript(&daemon, words), expected, "smcpctl {}", words.join(" "));
    }
    assert!(root().join("plugins/demo_math/cli.py").exists());
    // Every change was noted with who made it.
    assert!(daemon.log().contains("\"action\":\"rescan\""), "{}", daemon.log());
}

#[test]
fn the_state_is_one_screen_and_json_has_a_version() {
    let daemon = smcpd().plugins(&["demo_text", "bad_exit"]).start();
    let status = transcript(&daemon, &["status"]);
    for line in [
        "version\t0.1.0",
        "address\tADDRESS",
        "plugins\t1 described, 0 pending, 1 failed",
        "directory\tDIR/plugins",
        "tools\t5",
    ] {
        assert!(status.contains(line), "{line}: {status}");
    }
    assert_eq!(
        json_of(&daemon, &["status"])["status"]["plugins"],
        json!({"described": 1, "pending": 0, "failed": 1})
    );
    assert_eq!(json_of(&daemon, &["plugin", "list"])["plugins"][0]["reason"], "exited with 3");
    assert_eq!(json_of(&daemon, &["tools"])["tools"].as_array().unwrap().len(), 5);
    assert_eq!(json_of(&daemon, &["tools", "--plugin", "demo_text"])["tools"].as_array().unwrap().len(), 4);
    assert_eq!(json_of(&daemon, &["health"])["health"]["status"], "ok");
    assert_eq!(json_of(&daemon, &["version"])["versions"], json!({"smcpctl": "0.1.0", "smcpd": "0.1.0"}));
    let result = json_of(&daemon, &["call", "demo_text.echo", "message:=\"a b\""]);
    assert_eq!(result["result"]["structuredContent"]["message"], "a b");
    daemon.initialize("2025-06-18");
    let sessions = json_of(&daemon, &["sessions"])["sessions"].take();
    assert_eq!(
        (sessions[0]["transport"].clone(), sessions[0]["revision"].clone()),
        (json!("http"), json!("2025-06-18"))
    );
    assert_eq!(sessions[0]["id"].as_str().unwrap().len(), 8);
    let missing = transcript(&daemon, &["tools", "--plugin", "nope"]);
    assert!(missing.ends_with("[4]\n"), "{missing}");
}

#[test]
fn a_running_call_is_seen_cancelled_and_ended_with_its_client() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let sleep =
        || ctl(&daemon, &["call", "worker.sleep", "seconds=60"]).stdout(Stdio::piped()).spawn().unwrap();
    let running = || {
        let calls = json_of(&daemon, &["calls"])["calls"].take();
        calls.as_array().unwrap().first().map(|call| call["id"].as_str().unwrap().to_owned())
    };
    let cancelled = sleep();
    let id = until("the call runs", running);
    assert_eq!(transcript(&daemon, &["cancel", &id]), format!("{id} is cancelled\n[0]\n"));
    let output = cancelled.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(10));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("cancelled after"));
    // Ctrl-C on the client ends the call in the daemon.
    let mut interrupted = sleep();
    until("the call runs", running);
    let pid = rustix::process::Pid::from_child(&interrupted);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    interrupted.wait().unwrap();
    until("the call ended", || running().is_none().then_some(()));
}

#[test]
fn the_call_socket_offers_tools_alone() {
    let daemon = smcpd().plugins(&["demo_math"]).start();
    let call_socket = socket(&daemon).with_file_name("call.sock");
    let over = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smcpctl"));
        let output = command.arg("--socket").arg(&call_socket).args(words).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for words in [&["health"][..], &["tools"], &["call", "demo_math.coin-flip"]] {
        assert_eq!(over(words).0, 0, "{words:?}");
    }
    for words in [
        &["status"][..],
        &["rescan"],
        &["plugin", "list"],
        &["plugin", "link", "/tmp"],
        &["sessions"],
        &["calls"],
        &["cancel", "x"],
    ] {
        let (code, said) = over(words);
        assert_eq!(code, 5, "{words:?}: {said}");
        assert!(said.contains("smcp-admin"), "{said}");
    }
}

#[test]
fn a_daemon_that_is_not_there_is_named_with_what_to_do() {
    let output = Command::new(env!("CARGO_BIN_EXE_smcpctl"))
        .args(["--socket", "/nonexistent.sock", "status"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3));
    assert!(said.starts_with("error: cannot reach smcpd at `/nonexistent.sock`: No such file"), "{said}");
    assert!(said.contains("hint: is the daemon running?"), "{said}");
    let usage = Command::new(env!("CARGO_BIN_EXE_smcpctl")).arg("nonsense").output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn a_living_daemons_socket_is_kept_and_a_dead_ones_is_replaced() {
    let daemon = smcpd().start();
    let runtime = daemon.path().join("runtime").display().to_string();
    let second = smcpd().environment("XDG_RUNTIME_DIR", &runtime).run(b"");
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert!(second.stderr.contains("another smcpd answers at"), "{}", second.stderr);
    assert_eq!(transcript(&daemon, &["health"]), "ok\n[0]\n");
    daemon.signal(rustix::process::Signal::KILL);
    let path = daemon.path().to_owned();
    let mut daemon = daemon;
    daemon.ended();
    assert!(path.join("runtime/smcp/control.sock").exists());
    let third = smcpd().environment("XDG_RUNTIME_DIR", &runtime).start();
    let health = Command::new(env!("CARGO_BIN_EXE_smcpctl"))
        .arg("health")
        .env("XDG_RUNTIME_DIR", &runtime)
        .output()
        .unwrap();
    assert_eq!(health.status.code(), Some(0));
    drop(third);
    assert!(!path.join("runtime/smcp/control.sock").exists());
    // What is no socket is not ours to remove.
    fs::write(path.join("runtime/smcp/control.sock"), "mine").unwrap();
    let refused = smcpd().environment("XDG_RUNTIME_DIR", &runtime).run(b"");
    assert!(refused.stderr.contains("is in the way: it is not a socket"), "{}", refused.stderr);
}

#[test]
fn frames_that_make_no_sense_are_refused_in_words() {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;
    let daemon = smcpd().start();
    let open = || BufReader::new(UnixStream::connect(socket(&daemon)).unwrap());
    let line = |stream: &mut BufReader<UnixStream>| {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        serde_json::from_str::<Value>(&line).ok()
    };
    let mut stream = open();
    assert_eq!(line(&mut stream).unwrap(), json!({"protocol": 1, "version": "0.1.0", "access": "control"}));
    for frame in ["{\"request\":\"dance\"}", "{nope", "7", "{\"request\":\"call\"}", "\u{0}"] {
        writeln!(stream.get_mut(), "{frame}").unwrap();
        let reply = line(&mut stream).unwrap();
        assert_eq!(
            (reply["reply"].clone(), reply["code"].clone()),
            (json!("refused"), json!("unknown")),
            "{frame}"
        );
    }
    writeln!(stream.get_mut(), "{{\"request\":\"health\",\"later\":1}}").unwrap();
    assert_eq!(line(&mut stream).unwrap()["reply"], "health");
    let mut stream = open();
    line(&mut stream);
    // A frame over the ceiling ends the conversation; nothing of it is kept.
    let _closed = stream.get_mut().write_all(&vec![b'x'; 2 << 20]);
    assert_eq!(line(&mut stream), None);
    assert_eq!(transcript(&daemon, &["health"]), "ok\n[0]\n");
}

#[test]
fn each_shell_gets_a_completion_script() {
    for shell in ["bash", "zsh", "fish"] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_smcpctl")).args(["completion", shell]).output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("SMCPCTL_COMPLETE"), "{shell}");
    }
}
