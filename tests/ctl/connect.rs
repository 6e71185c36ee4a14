//! What `connect` writes works: a client that reads it reaches the daemon.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::{Value, json};
use smcp_test_support::{Connection, Daemon, root};

use super::{smcpd, socket};

fn connect(daemon: &Daemon, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_smcpctl"))
        .arg("--socket")
        .arg(socket(daemon))
        .arg("connect")
        .args(words)
        .current_dir(daemon.path())
        .env("HOME", daemon.path())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}[{}]", text(&output.stdout), text(&output.stderr), output.status.code().unwrap())
}

#[test]
fn what_is_written_for_cursor_opens_a_session_with_its_key() {
    let daemon = smcpd().plugins(&["demo_math"]).environment("MCP_API_KEY", "s3cret").start();
    let home = daemon.path().to_owned();
    fs::create_dir(home.join(".cursor")).unwrap();
    let file = home.join(".cursor/mcp.json");
    fs::write(&file, "{\"mcpServers\": {\"other\": {\"command\": \"x\"}}}").unwrap();
    fs::write(home.join("key"), "s3cret\n").unwrap();
    let output = connect(&daemon, &["cursor", "--write", "--key-file", "key"]);
    assert!(said(&output).contains("what was there is in"), "{}", said(&output));
    assert!(!said(&output).contains("s3cret"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let written: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(written["mcpServers"]["other"]["command"], "x");
    let entry = &written["mcpServers"]["smcp"];
    let url = entry["url"].as_str().unwrap();
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let open = |key: &str| {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
        let headers = [("Accept", "application/json, text/event-stream"), ("Authorization", key)];
        Connection::open(address.parse().unwrap()).post(&format!("/{path}"), &headers, &body).status
    };
    assert_eq!(open(entry["headers"]["Authorization"].as_str().unwrap()), 200);
    assert_eq!(open("Bearer other"), 401);
    // Once more changes nothing and makes no second backup.
    assert!(said(&connect(&daemon, &["cursor", "--write", "--key-file", "key"])).contains("has it already"));
    let backups = fs::read_dir(home.join(".cursor")).unwrap().count();
    assert_eq!(backups, 2);
}

#[test]
fn what_is_written_for_claude_desktop_is_a_command_that_serves() {
    let daemon = smcpd().plugins(&["demo_math"]).start();
    let output = connect(&daemon, &["claude-desktop", "--write", "--file", "desktop.json"]);
    assert!(output.status.success(), "{}", said(&output));
    let written: Value =
        serde_json::from_str(&fs::read_to_string(daemon.path().join("desktop.json")).unwrap()).unwrap();
    let entry = &written["mcpServers"]["smcp"];
    let words = entry["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
    let mut child = Command::new(entry["command"].as_str().unwrap())
        .args(words)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}\n")
        .unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("demo_math__calculate"), "{output:?}");
}

#[test]
fn nothing_is_written_that_was_not_asked_for_or_cannot_be_read() {
    let daemon = smcpd().start();
    let before = fs::read_dir(daemon.path()).unwrap().count();
    for client in ["letta", "letta-code", "claude-code", "claude-desktop", "cursor", "vscode"] {
        let output = connect(&daemon, &[client]);
        assert!(output.status.success(), "{client}: {}", said(&output));
        let json = connect(&daemon, &[client, "--json"]);
        let value: Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!((&value["version"], &value["connect"]["client"]), (&json!(1), &json!(client)));
    }
    connect(&daemon, &["cursor", "--write", "--dry-run"]);
    assert_eq!(fs::read_dir(daemon.path()).unwrap().count(), before);
    let file = daemon.path().join("commented.json");
    fs::write(&file, "{} // mine").unwrap();
    for (words, expected) in [
        (&["vscode", "--write", "--file", "commented.json"][..], "is left as it is: it is no plain JSON"),
        (&["claude-desktop", "--transport", "http"], "takes commands alone"),
        (&["letta", "--write"], "through its API"),
        (&["letta-code", "--write"], "not in a file"),
        (&["cursor", "--name", "two words"], "is no name"),
        (&["cursor", "--url", "tools"], "is no URL"),
        (&["cursor", "--write", "--key-file", "/nowhere"], "cannot read the key"),
        (&["cursor", "--prompt-key", "--write"], "there is no terminal"),
        (&["emacs"], "invalid value 'emacs'"),
    ] {
        let output = connect(&daemon, words);
        assert!(!output.status.success() && said(&output).contains(expected), "{words:?}: {}", said(&output));
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "{} // mine");
    let letta = said(&connect(&daemon, &["letta"]));
    assert!(letta.contains("note: Letta 0.16.7 and later refuse"), "{letta}");
    // Without a daemon an address has to be named; a command needs none.
    let alone = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smcpctl"));
        command.args(["--socket", "/nowhere.sock", "connect"]).args(words).output().unwrap()
    };
    assert_eq!(alone(&["cursor"]).status.code(), Some(3));
    assert!(said(&alone(&["cursor"])).contains("--url"));
    assert!(alone(&["cursor", "--url", "https://tools.example.org"]).status.success());
    assert!(said(&alone(&["cursor", "--transport", "stdio"])).contains("/nowhere.sock"));
}

#[test]
fn every_client_is_in_its_document() {
    let document = fs::read_to_string(root().join("docs/clients.md")).unwrap();
    let help = Command::new(env!("CARGO_BIN_EXE_smcpctl")).args(["connect", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let clients = help.split("[possible values: ").nth(1).unwrap().split(']').next().unwrap();
    assert_eq!(clients.split(", ").count(), 6);
    for client in clients.split(',').map(str::trim) {
        assert!(document.contains(&format!("`smcpctl connect {client}")), "{client}");
    }
}

#[test]
fn of_a_port_that_speaks_tls_status_connect_and_doctor_say_so() {
    let setup = smcpd();
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| setup.path().join(name));
    let names = ["tools.example.org".to_owned()];
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    let own = rcgen::KeyPair::generate().unwrap();
    fs::write(&certificate, params.self_signed(&own).unwrap().pem()).unwrap();
    fs::write(&key, own.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n[plugins]\nstartup_wait = 30\n");
    let daemon = setup.config(&text).start();
    let status = Command::new(env!("CARGO_BIN_EXE_smcpctl"))
        .arg("--socket")
        .arg(socket(&daemon))
        .arg("status")
        .output()
        .unwrap();
    let expected = format!("https://{}, certificate until 2001-01-01T00:00:00Z", daemon.address());
    assert!(said(&status).contains(&expected), "{}", said(&status));
    let offered = said(&connect(&daemon, &["cursor"]));
    let url = format!("https://tools.example.org:{}/mcp", daemon.address().port());
    assert!(offered.contains(&url) && offered.contains("`http.hosts` has it"), "{offered}");
    let doctor = Command::new(env!("CARGO_BIN_EXE_smcpctl"))
        .arg("--socket")
        .arg(socket(&daemon))
        .args(["doctor", "--json"])
        .output()
        .unwrap();
    for code in ["\"certificate-expired\"", "\"certificate-name\""] {
        assert!(said(&doctor).contains(code), "{}", said(&doctor));
    }
}
