//! Daemons that share a key (`auth.state_key_file`, the credential `smcp.state`): what one asked, another takes up.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};
use smcp_test_support::{Daemon, Setup};

use crate::alone::{Asked, TASKS};
use crate::client::{able, asker};
use crate::smcpd;

const ONE: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
const OTHER: &str = "1f1e1d1c1b1a19181716151413121110ffeeddccbbaa99887766554433221100";

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A daemon of these keys.
fn sharing(keys: &str) -> Setup {
    let setup = smcpd().plugins(&["asker"]);
    let path = setup.path().join("state.key");
    write(&path, keys, 0o640);
    setup.config(&format!("[auth]\nstate_key_file = {path:?}\n[plugins]\nstartup_wait = 30\n"))
}

fn call() -> Asked {
    Asked::call("ask", json!({"kinds": "roots", "rounds": 2}), &able())
}

fn asked(daemon: &Daemon) -> Value {
    call().result(daemon)["requestState"].take()
}

fn answered(state: &Value) -> Asked {
    call().param("inputResponses", json!({"roots": {"roots": []}})).param("requestState", state.clone())
}

fn is_refused(daemon: &Daemon, state: &Value) {
    let (status, error) = answered(state).error(daemon);
    let said = "`requestState` is not one of ours, or belongs to another call: begin again without it";
    assert_eq!((status, &error["code"], error["message"].as_str().unwrap()), (200, &json!(-32602), said));
}

#[test]
fn a_question_of_one_daemon_is_answered_at_another_with_its_key_and_refused_without() {
    let (first, second) = (sharing(ONE).start(), sharing(&format!("{}\n", ONE.to_lowercase())).start());
    let state = asked(&first);
    let next = answered(&state).result(&second);
    assert_eq!(next["resultType"], "input_required");
    let done = answered(&next["requestState"]).result(&first);
    assert_eq!(done["structuredContent"]["state"], json!({"round": 2}), "{done}");
    // A key does not make it another call's.
    let (_, error) =
        answered(&state).param("arguments", json!({"kinds": "roots", "rounds": 3})).error(&second);
    assert_eq!(error["code"], -32602);
    for lacking in [asker().start(), sharing(OTHER).start()] {
        is_refused(&lacking, &state);
        is_refused(&first, &asked(&lacking));
    }
    // What was sealed before a restart is opened after it.
    drop(first);
    assert_eq!(answered(&state).result(&sharing(ONE).start())["resultType"], "input_required");
}

#[test]
fn a_key_is_replaced_while_the_daemons_run() {
    let (first, second) = (sharing(ONE).start(), sharing(ONE).start());
    let before = asked(&first);
    let reload = |daemon: &Daemon, keys: &str| {
        write(&daemon.path().join("state.key"), keys, 0o600);
        daemon.signal(Signal::HUP);
        daemon.notified("READY=1");
    };
    // Every daemon opens the new one before any seals with it.
    reload(&first, &format!("{ONE}\n{OTHER}\n"));
    reload(&second, &format!("{OTHER}\n{ONE}\n"));
    let after = asked(&second);
    for daemon in [&first, &second] {
        for state in [&before, &after] {
            assert_eq!(answered(state).result(daemon)["resultType"], "input_required");
        }
    }
    reload(&first, OTHER);
    is_refused(&first, &before);
    assert_eq!(answered(&after).result(&first)["resultType"], "input_required");
    assert!(!first.log().contains(&OTHER[..16]), "{}", first.log());
}

#[test]
fn a_credential_is_such_a_key_and_wins_over_the_file() {
    let setup = sharing(OTHER);
    let credentials = setup.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    write(&credentials.join("smcp.state"), &format!("{ONE}\n"), 0o400);
    let setup = setup.environment("CREDENTIALS_DIRECTORY", &credentials.display().to_string());
    let state = asked(&sharing(ONE).start());
    assert_eq!(answered(&state).result(&setup.start())["resultType"], "input_required");
}

#[test]
fn a_key_that_is_none_or_that_others_can_read_stops_the_start_with_what_to_do() {
    let good = "a key is 64 hexadecimal digits, and `openssl rand -hex 32` makes one";
    for (keys, mode, said) in [
        (&ONE[..40], 0o600, format!("has no key in line 1, which has 40 letters: {good}")),
        ("hush", 0o600, format!("has no key in line 1, which has 4 letters: {good}")),
        ("\n", 0o600, format!("has no key: {good}")),
        (ONE, 0o644, "which every user of this host can read: `chmod o= ".to_owned()),
    ] {
        let setup = sharing(ONE).argument("--check");
        let path = setup.path().join("state.key");
        write(&path, keys, mode);
        let ended = setup.run(b"");
        let named = format!("{}:2: `auth.state_key_file` ", setup.path().join("smcpd.toml").display());
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(&named) && ended.stderr.contains(&said), "{}", ended.stderr);
        assert!(!ended.stderr.contains("hush") && !ended.stderr.contains(&ONE[..16]), "{}", ended.stderr);
    }
    let shown = sharing(ONE).argument("--check").run(b"");
    assert!(
        shown.stdout.contains("auth.state_key = ***") && !shown.stdout.contains(&ONE[..16]),
        "{}",
        shown.stdout
    );
}

#[test]
fn a_task_is_known_to_its_own_daemon_alone() {
    let (first, second) = (sharing(ONE).start(), sharing(ONE).start());
    let able = json!({"extensions": {TASKS: {}}});
    let path = first.path().join("held");
    let begun = Asked::call("long", json!({"path": path, "then": "end"}), &able).result(&first);
    assert_eq!(begun["resultType"], "task");
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let about = Asked::new(method, json!({"taskId": begun["taskId"]}), &able);
        let (_, error) = about.error(&second);
        assert_eq!(
            error,
            json!({"code": -32602, "message": "no task of yours has this `taskId`"}),
            "{method}"
        );
    }
    let about = Asked::new("tasks/get", json!({"taskId": begun["taskId"]}), &able);
    assert_eq!(about.result(&first)["status"], "working");
    Asked::new("tasks/cancel", json!({"taskId": begun["taskId"]}), &able).result(&first);
}
