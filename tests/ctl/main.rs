//! Tests that drive the real `smcpctl` against the real `smcpd`.
#![expect(clippy::disallowed_methods, reason = "a test may block its own thread")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod approvals;
mod completion;
mod connect;
mod keys;
mod letta;
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

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
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
fn what_may_not_be_linked_is_refused_with_the_way_out() {
    let daemon = smcpd().plugins(&["demo_math"]).start();
    let make = |name: &str, mode: u32| {
        let directory = daemon.path().join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("cli.py"), "print(1)").unwrap();
        fs::set_permissions(directory.join("cli.py"), fs::Permissions::from_mode(mode)).unwrap();
        directory.display().to_string()
    };
    let open = make("open", 0o666);
    let clash = make("demo_math", 0o644);
    let broken = make("broken", 0o664);
    let spaced = make("two words", 0o644);
    fs::create_dir(daemon.path().join("empty")).unwrap();
    fs::create_dir(daemon.path().join("plugins/real")).unwrap();
    let deep = make("deep", 0o644);
    fs::create_dir(daemon.path().join("deep/lib")).unwrap();
    fs::write(daemon.path().join("deep/lib/helper.py"), "").unwrap();
    fs::set_permissions(daemon.path().join("deep/lib/helper.py"), fs::Permissions::from_mode(0o646)).unwrap();
    let cases: [(&[&str], &str, i32); 8] = [
        (&["plugin", "link", &deep], "error: `DIR/deep/lib/helper.py` can be written by everyone", 7),
        (&["plugin", "link", "/nonexistent"], "error: `/nonexistent` leads nowhere: No such file", 4),
        (&["plugin", "link", "empty"], "error: `empty` is no plugin: it has neither `cli.py` nor `cli`", 7),
        (&["plugin", "link", &open], "can be written by everyone\nhint: chmod o-w", 7),
        (
            &["plugin", "link", &clash],
            "error: a plugin is called `demo_math` already\nhint: choose another name",
            7,
        ),
        (&["plugin", "link", &spaced], "error: `two words` is no name", 2),
        (&["plugin", "link", &broken], "warning: `DIR/broken/cli.py` can be written by its group", 7),
        (&["plugin", "unlink", "real"], "is no link: it is left as it is", 7),
    ];
    for (words, expected, code) in cases {
        let said = transcript(&daemon, words);
        assert!(said.contains(expected) && said.ends_with(&format!("[{code}]\n")), "{words:?}: {said}");
    }
    assert!(transcript(&daemon, &["plugin", "unlink", "../demo_math"]).ends_with("[2]\n"));
    assert!(daemon.path().join("plugins/real").is_dir());
}

#[test]
fn only_what_is_below_a_root_and_belongs_to_one_of_us_is_linked() {
    let daemon = smcpd();
    let inside = daemon.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let config = format!("[plugins]\nroots = [\"{}\"]\n", inside.display());
    let daemon = daemon.config(&config).start();
    for directory in [inside.join("tool"), daemon.path().join("outside")] {
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("cli.py"), "import argparse\np = argparse.ArgumentParser()\np.add_subparsers().add_parser('go')\np.parse_args()\n").unwrap();
    }
    let said = transcript(&daemon, &["plugin", "link", "outside"]);
    assert!(said.contains("is outside of `plugins.roots`") && said.ends_with("[11]\n"), "{said}");
    // A link inside that leads outside is outside.
    symlink("../outside", inside.join("sly")).unwrap();
    assert!(transcript(&daemon, &["plugin", "link", "inside/sly"]).ends_with("[11]\n"));
    let said = transcript(&daemon, &["plugin", "link", "inside/tool"]);
    assert!(said.contains("tool.go()") && said.ends_with("[0]\n"), "{said}");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(inside.join("tool/cli.py"), Some(12_345), None).unwrap();
        let said = transcript(&daemon, &["plugin", "link", "inside/tool", "--name", "foreign"]);
        assert!(said.contains("belongs to uid 12345") && said.ends_with("[11]\n"), "{said}");
    }
}

#[test]
fn a_bare_name_links_a_plugin_that_came_with_us() {
    let daemon = smcpd().start();
    let prefix = daemon.path().join("prefix");
    fs::create_dir_all(prefix.join("bin")).unwrap();
    fs::create_dir_all(prefix.join("share/smcp/plugins")).unwrap();
    symlink(root().join("plugins/demo_text"), prefix.join("share/smcp/plugins/demo_text")).unwrap();
    let program = prefix.join("bin/smcpctl");
    smcp_test_support::copy_program(env!("CARGO_BIN_EXE_smcpctl"), &program);
    let link = |name: &str| {
        let mut command = Command::new(&program);
        command.arg("--socket").arg(socket(&daemon)).args(["plugin", "link", name]);
        command.current_dir(daemon.path()).output().unwrap()
    };
    let output = link("demo_text");
    assert!(String::from_utf8_lossy(&output.stdout).contains("demo_text.echo"), "{output:?}");
    let output = link("demo_nope");
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("share/smcp/plugins"), "{output:?}");
}

#[test]
fn every_finding_and_every_json_member_is_documented() {
    let page = fs::read_to_string(root().join("man/smcpctl.1")).unwrap();
    let sources = ["smcpctl/src/doctor.rs", "smcpd/src/control/doctor.rs"];
    let source: String = sources.iter().map(|file| fs::read_to_string(root().join(file)).unwrap()).collect();
    let quoted: Vec<&str> = source.split('"').skip(1).step_by(2).collect();
    // A code is a word with hyphens and no blanks, and nothing else in these files is.
    let is_code = |word: &&&str| {
        word.contains('-')
            && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')
            && !word.starts_with('-')
            && !["is-active", "is-enabled"].contains(*word)
    };
    let codes: Vec<&&str> = quoted.iter().filter(is_code).collect();
    assert!(codes.len() > 15, "{codes:?}");
    for code in codes {
        assert!(page.contains(&format!(".It Li {code}\n")), "{code}");
    }
    let document = fs::read_to_string(root().join("docs/json.md")).unwrap();
    let mut members = 0;
    let mut directories = vec![root().join("smcpctl/src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let source = fs::read_to_string(path).unwrap();
            for rest in source.split("print_json(").skip(1) {
                let Some(member) =
                    rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next())
                else {
                    continue;
                };
                members += 1;
                assert!(document.contains(&format!("| `{member}` |")), "{member}");
            }
        }
    }
    assert!(members > 20, "{members}");
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

#[test]
fn a_link_made_by_hand_is_the_same_as_one_that_was_linked() {
    let daemon = smcpd().start();
    symlink(root().join("plugins/demo_text"), daemon.path().join("plugins/text")).unwrap();
    let rescan = transcript(&daemon, &["rescan"]);
    // The watcher may have been quicker.
    assert!(rescan.contains("added\ttext.echo") || rescan == "nothing changed\n[0]\n", "{rescan}");
    assert!(transcript(&daemon, &["tools", "--plugin", "text"]).contains("text.echo(message, prefix?)"));
}

#[test]
fn every_command_and_exit_code_is_in_the_man_page() {
    let page = fs::read_to_string(root().join("man/smcpctl.1")).unwrap();
    let commands = |words: &[&str]| -> Vec<String> {
        let output = Command::new(env!("CARGO_BIN_EXE_smcpctl")).args(words).arg("--help").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let listed = text.split("Commands:").nth(1).unwrap_or_default().lines().skip(1);
        listed
            .take_while(|line| !line.is_empty())
            // A longer description goes on further to the right.
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .collect()
    };
    let flags = |words: &[&str]| -> Vec<String> {
        let output = Command::new(env!("CARGO_BIN_EXE_smcpctl")).args(words).arg("--help").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
        let words = lines.flat_map(|line| line.split([' ', ',', '=', '[', ']']));
        words.filter_map(|word| word.strip_prefix("--")).map(str::to_owned).collect()
    };
    // A dash within may be written with or without its backslash.
    let plain = page.replace("\\-", "-");
    let described: BTreeSet<&str> = plain
        .split("Fl -")
        .skip(1)
        .chain(plain.split(" , -").skip(1))
        .map(|rest| rest.split([' ', '\n']).next().unwrap())
        .collect();
    let mut known = BTreeSet::from([
        // What a plugin prints its contract on.
        "describe".to_owned(),
    ]);
    let top = commands(&[]);
    assert!(top.len() >= 12, "{top:?}");
    known.extend(flags(&[]));
    for command in &top {
        known.extend(flags(&[command]));
        known.extend(commands(&[command]).iter().flat_map(|below| flags(&[command, below])));
    }
    for flag in &known {
        assert!(described.contains(flag.as_str()), "--{flag} is not in the man page");
    }
    for flag in described {
        assert!(known.contains(flag), "there is no --{flag}");
    }
    for command in top {
        assert!(page.contains(&format!(".It Cm {command}")), "{command}");
        for below in commands(&[&command]).iter().filter(|below| *below != "help" && *below != "list") {
            assert!(page.contains(&format!(".It Cm {command} {below}")), "{command} {below}");
        }
    }
    let source = fs::read_to_string(root().join("smcpctl/src/exit.rs")).unwrap();
    let codes = source
        .lines()
        .filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "))
        .map(|(_, code)| code);
    for code in codes {
        assert!(page.contains(&format!(".It {code}\n")), "exit code {code}");
    }
}
