//! The variables of a Letta agent: who gets them, and what becomes of a Letta that does not answer well.

mod fake;
mod tls;

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use fake::{Answer, Fake};
use rustix::process::Signal;
use serde_json::{Value, json};
use smcp_test_support::{Daemon, Setup, root, until};

use crate::smcpd;

/// What is in every secret here, and so may be found nowhere.
const HUSH: &str = "hush";

fn agent(id: &str, variables: &[(&str, &str)]) -> Answer {
    let list: Vec<Value> = variables
        .iter()
        .map(|(key, value)| json!({"key": key, "value": value, "agent_id": id, "description": null}))
        .collect();
    let body =
        json!({"id": id, "name": "x", "tools": [], "secrets": list, "tool_exec_environment_variables": list});
    Answer::Whole(200, body.to_string())
}

fn section(url: &str, agent: &str, more: &str) -> String {
    format!("[letta]\nurl = \"{url}\"\nagent = \"{agent}\"\nplugins = [\"worker\"]\n{more}\n")
}

/// A daemon with the plugin `worker`, and the same under the name `other`.
fn setup(config: &str) -> Setup {
    let setup = smcpd().plugins(&["worker"]).environment("LETTA_API_KEY", "hush-key");
    symlink(root().join("tests/fixtures/plugins/worker"), setup.path().join("plugins/other")).unwrap();
    setup.config(&format!("{config}\n[log]\nlevel = \"trace\"\n"))
}

fn variable(daemon: &Daemon, plugin: &str, name: &str) -> Value {
    daemon.call(&format!("{plugin}.env"), json!({"name": name}))["structuredContent"]["value"].clone()
}

fn events(daemon: &Daemon, name: &str) -> Vec<Value> {
    let log = daemon.log();
    let records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    records.filter(|record| record["event"] == name).collect()
}

fn reload(daemon: &Daemon, config: &str) {
    fs::write(daemon.path().join("smcpd.toml"), format!("{config}\n[log]\nlevel = \"trace\"\n")).unwrap();
    daemon.signal(Signal::HUP);
}

#[test]
fn an_agents_variables_reach_the_named_plugin_and_no_other() {
    let letta = Fake::start(agent(
        "agent-1",
        &[
            ("TOKEN", "hush-1"),
            ("GRANTED", "hush-2"),
            ("INHERITED", "hush-3"),
            ("LD_PRELOAD", "hush-4"),
            ("PATH", "hush-5"),
            ("LETTA_API_KEY", "hush-6"),
            ("SMCP_AGENT_ID", "hush-7"),
        ],
    ));
    let grants = "[plugin.worker.env]\nGRANTED = \"operator\"\n";
    let config = section(&format!("{}/base/", letta.url()), "agent-1", grants);
    let setup = setup(&config).environment("INHERITED", "daemon").environment("LETTA_BASE_URL", "left");
    let check = setup_check(&setup);
    assert!(check.contains("letta.key = ***  # LETTA_API_KEY") && !check.contains(HUSH), "{check}");
    assert!(letta.requests().is_empty(), "checking asks nobody");
    let daemon = setup.start();
    // Letta answered before READY, so no call needs to wait.
    for (name, worker, other) in [
        ("TOKEN", json!("hush-1"), Value::Null),
        ("GRANTED", json!("operator"), Value::Null),
        ("INHERITED", json!("hush-3"), json!("daemon")),
        ("LD_PRELOAD", Value::Null, Value::Null),
        ("LETTA_API_KEY", Value::Null, Value::Null),
        ("LETTA_BASE_URL", json!("left"), json!("left")),
        ("SMCP_AGENT_ID", Value::Null, Value::Null),
    ] {
        assert_eq!(variable(&daemon, "worker", name), worker, "{name}");
        assert_eq!(variable(&daemon, "other", name), other, "{name}");
    }
    assert_eq!(variable(&daemon, "worker", "PATH"), variable(&daemon, "other", "PATH"));
    let requests = letta.requests();
    assert_eq!(requests.len(), 1);
    let lines: Vec<&str> = requests[0].lines().collect();
    assert_eq!(lines[0], "GET /base/v1/agents/agent-1?include=agent.secrets HTTP/1.1");
    for header in [
        &*format!("host: {}", letta.address()),
        "accept: application/json",
        "authorization: Bearer hush-key",
        "x-bare-password: password hush-key",
    ] {
        assert!(lines.contains(&header), "{header}: {lines:?}");
    }
    // What has the name of a secret is shown as little as one.
    let said =
        daemon.call("worker.fail", json!({"message": "refused: hush-1", "style": "stderr"})).to_string();
    assert!(said.contains("refused: ***") && !said.contains("hush-1"), "{said}");
    let refused = events(&daemon, "letta-refused");
    assert_eq!(
        (refused.len(), &refused[0]["reason"], &refused[0]["agent"], &refused[0]["level"]),
        (
            1,
            &json!(
                "`LD_PRELOAD` (reserved), `PATH` (reserved), `LETTA_API_KEY` (reserved), `SMCP_AGENT_ID` (reserved)"
            ),
            &json!("agent-1"),
            &json!("WARN")
        )
    );
    assert_eq!(events(&daemon, "letta-fetched").len(), 1);
    assert!(!daemon.log().contains(HUSH), "{}", daemon.log());
}

fn setup_check(setup: &Setup) -> String {
    let output = setup.command().arg("--check").output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_answer_that_is_none_keeps_what_was_there_and_is_one_warning() {
    let letta = Fake::start(agent("agent-1", &[("TOKEN", "hush-1")]));
    let elsewhere = Fake::start(agent("agent-1", &[("TOKEN", "hush-elsewhere")]));
    let config = section(&letta.url(), "agent-1", "timeout = 0.5");
    let daemon = setup(&config).start();
    assert_eq!(variable(&daemon, "worker", "TOKEN"), "hush-1");
    let whole = |status, body: &str| Answer::Whole(status, body.to_owned());
    let json = |value: Value| Answer::Whole(200, value.to_string());
    for (said, (answer, reason)) in [
        (whole(401, "{\"detail\": \"hush\"}"), "it refused the key (401)"),
        (whole(403, ""), "it refused the key (403)"),
        (whole(404, "{\"detail\": \"hush\"}"), "it knows no such agent (404)"),
        (whole(500, "hush"), "it answered with status 500"),
        (Answer::Elsewhere(elsewhere.url()), "it points elsewhere (307)"),
        (whole(200, ""), "it answered with something that is no JSON"),
        (whole(200, "<html>hush</html>"), "it answered with something that is no JSON"),
        (json(json!({"id": "agent-1", "secrets": "hush"})), "it answered with something else than an agent"),
        (
            json(json!({"id": "agent-2", "secrets": [{"key": "TOKEN", "value": "hush-2"}]})),
            "it answered with another agent",
        ),
        (json(json!({"id": "agent-1"})), "it answered with an agent without a list of variables"),
        (Answer::Raw(b"hush hush hush\r\n\r\n".to_vec()), "it broke off: "),
        (Answer::Raw(Vec::new()), "it broke off: "),
        (Answer::Endless, "its answer is longer than 16777216 bytes"),
        (Answer::Silence, "it did not answer within 0.5 s"),
    ]
    .into_iter()
    .enumerate()
    {
        letta.answer(answer);
        reload(&daemon, &config);
        until(reason, || (events(&daemon, "letta-failed").len() > said).then_some(()));
        let last = events(&daemon, "letta-failed").pop().unwrap();
        let told = last["reason"].as_str().unwrap();
        assert!(told.starts_with(&format!("Letta at `{}`: {reason}", letta.url())), "{told}");
        assert_eq!(variable(&daemon, "worker", "TOKEN"), "hush-1", "{reason}");
    }
    assert_eq!(events(&daemon, "letta-failed").len(), 14);
    assert!(elsewhere.requests().is_empty(), "the key went to another server");
    letta.answer(agent("agent-1", &[("OTHER", "hush-2")]));
    reload(&daemon, &config);
    until("the new variables are here", || (variable(&daemon, "worker", "OTHER") == "hush-2").then_some(()));
    assert_eq!(variable(&daemon, "worker", "TOKEN"), Value::Null);
    assert!(!daemon.log().contains(HUSH), "{}", daemon.log());
}

#[test]
fn a_letta_that_cannot_be_reached_holds_nothing_up_and_is_asked_again() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let daemon = setup(&section(&format!("http://{gone}"), "agent-1", "")).start();
    let failed = events(&daemon, "letta-failed");
    assert_eq!(failed.len(), 1);
    assert!(failed[0]["reason"].as_str().unwrap().contains("Connection refused"), "{}", failed[0]);
    assert_eq!(variable(&daemon, "worker", "TOKEN"), Value::Null);
    let letta = Fake::start(Answer::Whole(503, String::new()));
    let config = section(&letta.url(), "agent-1", "");
    reload(&daemon, &config);
    until("it is told", || (events(&daemon, "letta-failed").len() == 2).then_some(()));
    letta.answer(agent("agent-1", &[("TOKEN", "hush-1")]));
    until("it is asked again", || (variable(&daemon, "worker", "TOKEN") == "hush-1").then_some(()));
    assert_eq!((letta.requests().len(), events(&daemon, "letta-failed").len()), (2, 2));
}

#[test]
fn a_silent_letta_delays_neither_the_start_nor_the_stop() {
    let letta = Fake::start(Answer::Silence);
    let config = section(&letta.url(), "agent-1", "timeout = 60\n[plugins]\nstartup_wait = 0.2");
    let started = Instant::now();
    let daemon = setup(&config).start();
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    until("it was asked", || (letta.requests().len() == 1).then_some(()));
    let is_described = || daemon.get("/health", &[]).json()["plugins"]["pending"] == 0;
    until("the plugins are described", || is_described().then_some(()));
    assert_eq!(variable(&daemon, "worker", "TOKEN"), Value::Null);
    assert!(events(&daemon, "letta-failed").is_empty());
    let stopping = Instant::now();
    assert!(daemon.stop().success());
    assert!(stopping.elapsed() < Duration::from_secs(10), "{:?}", stopping.elapsed());
}

#[test]
fn another_agent_another_server_or_another_list_ends_what_was_passed_on() {
    let letta = Fake::start(agent("agent-1", &[("TOKEN", "hush-1")]));
    let silent = Fake::start(Answer::Silence);
    let config = section(&letta.url(), "agent-1", "");
    let daemon = setup(&config).start();
    let reloaded = |before: usize, config: &str| {
        reload(&daemon, config);
        until("it is reloaded", || (events(&daemon, "reloaded").len() > before).then_some(()));
    };
    assert_eq!(variable(&daemon, "worker", "TOKEN"), "hush-1");
    // The new agent's are not here yet, and the old one's are no longer passed on.
    letta.answer(Answer::Silence);
    reloaded(0, &section(&letta.url(), "agent-2", ""));
    assert_eq!(variable(&daemon, "worker", "TOKEN"), Value::Null);
    until("the new agent is asked for", || (letta.requests().len() == 2).then_some(()));
    assert!(letta.requests()[1].starts_with("GET /v1/agents/agent-2?"));
    letta.answer(agent("agent-2", &[("TOKEN", "hush-2"), ("MORE", "hush-3")]));
    daemon.signal(Signal::HUP);
    until("they are here", || (variable(&daemon, "worker", "TOKEN") == "hush-2").then_some(()));
    reloaded(1, &section(&silent.url(), "agent-2", ""));
    assert_eq!(variable(&daemon, "worker", "TOKEN"), Value::Null);
    reloaded(2, &section(&letta.url(), "agent-2", "").replace("worker", "other"));
    until("the other gets them", || (variable(&daemon, "other", "MORE") == "hush-3").then_some(()));
    assert_eq!(variable(&daemon, "worker", "MORE"), Value::Null);
    let asked = letta.requests().len();
    reloaded(3, "");
    assert_eq!(variable(&daemon, "other", "MORE"), Value::Null);
    // A configuration that is refused changes nothing, and nobody is asked.
    reload(&daemon, "[letta]\nplugins = [\"worker\"]\n");
    until("it is refused", || (events(&daemon, "reload-refused").len() == 1).then_some(()));
    assert_eq!(letta.requests().len(), asked);
    assert!(!daemon.log().contains(HUSH), "{}", daemon.log());
}

#[test]
fn lettas_own_file_and_a_credential_are_enough() {
    let letta = Fake::start(agent("agent-1", &[("TOKEN", "hush-1")]));
    let setup = smcpd().plugins(&["worker"]).config("letta.plugins = [\"worker\"]\n");
    fs::create_dir(setup.path().join(".letta")).unwrap();
    let own =
        format!("LETTA_SERVER_URL={}\nLETTA_AGENT_ID=agent-1\nLETTA_SERVER_PASSWORD=hush-own\n", letta.url());
    fs::write(setup.path().join(".letta/.env"), own).unwrap();
    let credentials = setup.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::write(credentials.join("smcp.letta"), "hush-credential\n").unwrap();
    let daemon = setup.environment("CREDENTIALS_DIRECTORY", &credentials.display().to_string()).start();
    assert_eq!(variable(&daemon, "worker", "TOKEN"), "hush-1");
    assert!(letta.requests()[0].contains("authorization: Bearer hush-credential\r\n"));
    // The credential alone is another one: that is a change, and it is told without its value.
    fs::write(credentials.join("smcp.letta"), "hush-newer\n").unwrap();
    daemon.signal(Signal::HUP);
    until("the new key is used", || {
        letta.requests().iter().any(|request| request.contains("Bearer hush-newer\r\n")).then_some(())
    });
    assert!(!daemon.log().contains(HUSH), "{}", daemon.log());
}
