//! Secrets of one plugin: it has them, nobody else does, and no log shows them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustix::process::Signal;
use serde_json::{Value, json};
use smcp_test_support::{Daemon, Setup, until};

use crate::smcpd;

const TOKEN: &str = "hush-token-1";
const PHRASE: &str = "first hush line\nsecond \"hush\" line";

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn setup() -> Setup {
    let setup = Setup::held(env!("CARGO_BIN_EXE_smcpd"), Path::new(env!("CARGO_TARGET_TMPDIR")));
    let setup = setup.plugins(&["worker", "prowler"]);
    let credentials = setup.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    write(&credentials.join("phrase"), &format!("{PHRASE}\n"), 0o440);
    let file = setup.path().join("token");
    write(&file, &format!("{TOKEN}\n"), 0o600);
    let secrets = format!("TOKEN = {{ file = {file:?} }}\nPHRASE = {{ credential = \"phrase\" }}\n");
    setup
        .environment("CREDENTIALS_DIRECTORY", &credentials.display().to_string())
        .config(&format!("[plugin.worker.secrets]\n{secrets}[log]\nlevel = \"debug\"\n"))
}

fn variable(daemon: &Daemon, tool: &str, name: &str) -> Value {
    daemon.call(tool, json!({"name": name}))["structuredContent"]["value"].clone()
}

fn fail(daemon: &Daemon, message: &str) -> String {
    daemon.call("worker.fail", json!({"message": message, "style": "stderr"})).to_string()
}

#[test]
fn a_secret_is_one_plugins_alone_and_is_in_no_log_and_no_error() {
    let daemon = setup().start();
    assert_eq!(variable(&daemon, "worker.env", "TOKEN"), TOKEN);
    assert_eq!(variable(&daemon, "worker.env", "PHRASE"), PHRASE);
    for path in ["token", "credentials/phrase"] {
        let read = daemon.call("prowler.read", json!({"path": daemon.path().join(path)}));
        assert_eq!(read["structuredContent"]["refused"], "Permission denied", "{path}: {read}");
    }
    let basic = BASE64_STANDARD.encode(format!("ops:{TOKEN}"));
    let address = "first%20hush%20line%0Asecond%20%22hush%22%20line";
    let said = fail(&daemon, &format!("Basic {basic} to /?q={address} failed"));
    assert!(
        said.contains("Basic b3BzO") && !said.contains(&basic[8..16]) && !said.contains("hush"),
        "{said}"
    );
    let said = fail(&daemon, &format!("no {TOKEN} and no second \"hush\" line"));
    assert!(said.contains("***") && !said.contains(TOKEN) && !said.contains("hush"), "{said}");
    let log = until("it is logged", || Some(daemon.log()).filter(|log| log.contains("no *** and no ***")));
    assert!(!log.contains("hush") && !log.contains(&basic[8..16]), "{log}");
    // Another value counts at once, and is taken out in the place of the old one.
    write(&daemon.path().join("token"), "another-token", 0o600);
    daemon.signal(Signal::HUP);
    daemon.notified("READY=1");
    until("the plugin has it", || {
        (variable(&daemon, "worker.env", "TOKEN") == "another-token").then_some(())
    });
    assert!(!fail(&daemon, "no another-token").contains("another-token"));
    assert!(!daemon.log().contains("another-token"));
}

#[test]
fn a_secret_that_others_can_read_or_that_is_none_stops_the_start_without_showing_it() {
    for (line, mode, said) in [
        ("{ file = \"FILE\" }", 0o644, "every user of this host can read: `chmod o= "),
        ("{ file = \"token\" }", 0o600, "a path begins with /"),
        ("{ file = \"/nonexistent\" }", 0o600, "cannot be read"),
        ("{ credential = \"../token\" }", 0o600, "which is no name of a credential"),
        ("{ credential = \"none\" }", 0o600, "and no credential was passed"),
        ("{ }", 0o600, "needs either `credential` or `file`"),
    ] {
        let setup = smcpd();
        let file = setup.path().join("token");
        write(&file, TOKEN, mode);
        let line = line.replace("FILE", &file.display().to_string());
        let ended =
            setup.config(&format!("[plugin.a.secrets]\nTOKEN = {line}\n")).argument("--check").run(b"");
        assert_eq!(ended.status.code(), Some(2), "{said}: {}", ended.stderr);
        assert!(
            ended.stderr.contains(said) && ended.stderr.contains("plugin.a.secrets.TOKEN"),
            "{}",
            ended.stderr
        );
        assert!(!ended.stderr.contains(TOKEN), "{}", ended.stderr);
    }
}
