//! Keys as operators manage them: the real daemon's door, driven with `smcpctl keys`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use smcp_test_support::{Daemon, Stream, descendants, until};

use crate::{ctl, json_of, smcpd};

/// Runs `smcpctl keys …`; returns the secret, what was said beside it, and the exit code.
fn keys(daemon: &Daemon, words: &[&str]) -> (String, String, i32) {
    let output = ctl(daemon, &[&["keys"], words].concat()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout).trim().to_owned(), text(output.stderr), output.status.code().unwrap())
}

fn shown(daemon: &Daemon, words: &[&str]) -> String {
    String::from_utf8(ctl(daemon, words).output().unwrap().stdout).unwrap()
}

fn status(daemon: &Daemon, header: &str, key: &str) -> u16 {
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    daemon.post("/messages/", &[(header, key)], &ping).status
}

#[test]
fn the_first_key_shuts_the_door_and_a_revoked_one_ends_all_that_it_opened() {
    let daemon = smcpd().plugins(&["worker"]).start();
    let (mut open, _) = Stream::open(daemon.connect(), &[]);
    let (secret, said, code) = keys(&daemon, &["create", "--name", "letta-1", "--expires", "90d"]);
    assert!(code == 0 && said.contains("until now nobody needed a key"), "{said}");
    assert!(secret.len() == 69 && secret.starts_with("smcp_"), "{secret}");
    assert_eq!(open.message(), None);
    assert_eq!((status(&daemon, "X-API-Key", ""), status(&daemon, "X-API-Key", &secret)), (401, 200));
    let file = daemon.path().join("STATE/smcp/keys.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(&file).unwrap().contains(&secret[5..]));
    assert_eq!(keys(&daemon, &["create", "--name", "letta-1"]).2, 1);
    let (other, said, _) = keys(&daemon, &["create", "--name", "other"]);
    assert!(!said.contains("until now"), "{said}");

    let bearer = format!("Bearer {secret}");
    let (mut stream, path) = Stream::open(daemon.connect(), &[("Authorization", &bearer)]);
    let (mut kept, _) = Stream::open(daemon.connect(), &[("X-API-Key", &other)]);
    let call = |name: &str| json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": name, "arguments": {"seconds": 60}}});
    assert_eq!(daemon.post(&path, &[("Authorization", &bearer)], &call("worker.sleep")).status, 202);
    // And one whose answer would come in the body.
    let mut direct = daemon.connect();
    let headers = [("Content-Type", "application/json"), ("X-API-Key", &secret)];
    direct.write("POST", "/messages/", &headers, call("worker.sleep").to_string().as_bytes());
    until("both calls are known", || {
        (json_of(&daemon, &["calls"])["calls"].as_array()?.len() == 2).then_some(())
    });
    let (said, _, code) = keys(&daemon, &["revoke", "letta-1"]);
    assert_eq!((&*said, code), ("`letta-1` is revoked", 0));
    assert_eq!(stream.message(), None);
    let reply = direct.reply();
    assert_eq!(
        (reply.status, reply.json()["message"].as_str()),
        (401, Some("the API key is not valid any more"))
    );
    until("the calls end", || json_of(&daemon, &["calls"])["calls"].as_array()?.is_empty().then_some(()));
    until("its session is gone", || {
        (json_of(&daemon, &["sessions"])["sessions"].as_array()?.len() == 1).then_some(())
    });
    assert_eq!((status(&daemon, "X-API-Key", &secret), status(&daemon, "X-API-Key", &other)), (401, 200));

    // The last one does not open the door again.
    let (_, said, _) = keys(&daemon, &["revoke", "other"]);
    assert!(said.contains("that was the last key"), "{said}");
    assert_eq!(kept.message(), None);
    assert_eq!(status(&daemon, "X-API-Key", ""), 401);
    assert_eq!(keys(&daemon, &["revoke", "other"]).2, 4);
    let audited = shown(&daemon, &["audit"]);
    for change in ["key-create letta-1 expires=7776000s", "key-revoke other"] {
        assert!(audited.contains(change), "{audited}");
    }
}

#[test]
fn a_rotated_secret_goes_on_for_its_overlap_and_an_expired_key_ends_its_streams() {
    let daemon = smcpd().start();
    let (first, ..) = keys(&daemon, &["create", "--name", "ci", "--agent", "agent-7"]);
    let (second, said, _) = keys(&daemon, &["rotate", "ci"]);
    assert!(said.contains("the old one goes on until 20"), "{said}");
    let both = [&first, &second].map(|key| status(&daemon, "X-API-Key", key));
    assert_eq!(both, [200, 200]);
    let (third, ..) = keys(&daemon, &["rotate", "ci", "--overlap", "0s"]);
    let all = [&first, &second, &third].map(|key| status(&daemon, "X-API-Key", key));
    assert_eq!(all, [401, 401, 200]);
    let listed = json_of(&daemon, &["keys", "list"])["keys"][0].clone();
    assert_eq!((&listed["state"], &listed["agent"]), (&json!("active"), &json!("agent-7")));
    assert!(listed["last_used"].is_string(), "{listed}");
    let (short, ..) = keys(&daemon, &["create", "--name", "short", "--expires", "1s"]);
    let (mut stream, _) = Stream::open(daemon.connect(), &[("X-API-Key", &short)]);
    assert_eq!(stream.message(), None);
    let refused = daemon.get("/metrics", &[("X-API-Key", &short)]);
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (
            401,
            Some(
                "Bearer realm=\"smcp\", error=\"invalid_token\", error_description=\"the API key has expired\""
            )
        )
    );
}

#[test]
fn no_key_is_written_down_or_handed_on_and_guessing_is_slowed_and_audited() {
    let daemon = smcpd()
        .plugins(&["worker"])
        .environment("MCP_API_KEY", "hush-hush")
        .config("auth.wrong_keys = 3\nlog.level = 'trace'\n")
        .start();
    let (secret, ..) = keys(&daemon, &["create", "--name", "a"]);
    let with = [("X-API-Key", &*secret), ("Content-Type", "application/json")];
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "worker.env"}});
    let environment = daemon.post("/messages/", &with, &call).text();
    assert!(environment.contains("SMCP_CALLER") && environment.contains("isError\":false"), "{environment}");
    let in_url = daemon.get(&format!("/sse?api_key={secret}"), &[]);
    assert_eq!((in_url.status, in_url.json()["error"].as_str()), (400, Some("key_in_url")));
    assert_eq!(daemon.get(&format!("/mcp/{secret}"), &with).status, 400);
    let wrong = "smcp_wrong-hush";
    let mut limited = daemon.connect();
    let statuses: Vec<u16> =
        (0..6).map(|_| limited.send("GET", "/metrics", &[("X-API-Key", wrong)], b"").status).collect();
    assert_eq!(statuses, [401, 401, 401, 429, 429, 429]);
    let reply = daemon.get("/metrics", &[("X-API-Key", "hush-hush")]);
    assert!(
        reply.status == 429 && reply.header("retry-after").unwrap().parse::<u64>().unwrap() <= 60,
        "it could be a guess"
    );
    // A key of 256 bits cannot be one, and others come from the same address.
    assert_eq!(daemon.get("/metrics", &with).status, 200);
    let records = shown(&daemon, &["audit"]);
    assert_eq!(records.matches("wrong-keys").count(), 1, "{records}");
    let mut seen = vec![environment, in_url.text(), records, daemon.log()];
    seen.push(shown(&daemon, &["logs", "-n", "1000"]));
    for pid in descendants(daemon.pid()).into_iter().chain([daemon.pid()]) {
        for file in ["cmdline", "environ"] {
            // The daemon itself was started with its own.
            if file == "cmdline" || pid != daemon.pid() {
                seen.push(
                    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default())
                        .into_owned(),
                );
            }
        }
    }
    for text in seen {
        for key in [&secret[5..], "hush"] {
            assert!(!text.contains(key), "{key} in {text}");
        }
    }
}
