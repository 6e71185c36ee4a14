//! A resource server: tokens of an issuer that the test makes, well made and not.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use rustix::process::Signal;
use serde_json::{Value, json};
use smcp_test_support::{Daemon, Reply, Setup, Stream, until};

use crate::smcpd;

const ISSUER: &str = "https://login.example.org/realm";
const RESOURCE: &str = "http://localhost:8000/mcp";

/// Signs tokens by P-256.
struct Issuer {
    id: String,
    pair: EcdsaKeyPair,
}

fn encoded(value: &Value) -> String {
    BASE64.encode(value.to_string())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Issuer {
    fn new(id: &str) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        Self { id: id.to_owned(), pair }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let part = |from: usize| BASE64.encode(&point[from..from + 32]);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": part(1), "y": part(33)})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header), encoded(claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", BASE64.encode(signature.as_ref()))
    }

    fn token(&self, changes: Value) -> String {
        self.sign(&self.header(), &claims(changes))
    }

    fn header(&self) -> Value {
        json!({"alg": "ES256", "typ": "at+jwt", "kid": self.id})
    }
}

/// The claims of a good token, with these over them; a null takes one away.
fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "sub": "agent-1", "aud": RESOURCE, "iat": now(), "exp": now() + 600, "scope": "smcp.use other",
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

fn set_of(issuers: &[&Issuer]) -> String {
    json!({"keys": issuers.iter().map(|issuer| issuer.jwk()).collect::<Vec<_>>()}).to_string()
}

fn taking(keys: &str, more: &str) -> Setup {
    let setup = smcpd().plugins(&["worker"]);
    let file = setup.path().join("keys.json");
    fs::write(&file, keys).unwrap();
    let jwks = file.display().to_string();
    with_source(setup, &jwks, more)
}

fn with_source(setup: Setup, jwks: &str, more: &str) -> Setup {
    setup.config(&format!("[oauth]\nissuer = {ISSUER:?}\nresource = {RESOURCE:?}\njwks = {jwks:?}\n{more}\n[auth]\nwrong_keys = 1000\n"))
}

fn call(daemon: &Daemon, headers: &[(&str, &str)]) -> Reply {
    let params = json!({"name": "worker.env", "arguments": {}});
    daemon.post(
        "/messages/",
        headers,
        &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}),
    )
}

fn with(daemon: &Daemon, token: &str) -> Reply {
    call(daemon, &[("Authorization", &format!("Bearer {token}"))])
}

/// What came of a request with this token: who a plugin heard has called it, or status and error.
fn outcome(daemon: &Daemon, token: &str) -> Result<String, (u16, String)> {
    let reply = with(daemon, token);
    if reply.status == 200 {
        let variables = &reply.json()["result"]["structuredContent"];
        return Ok(variables["SMCP_CALLER"].as_str().unwrap().to_owned());
    }
    Err((reply.status, reply.json()["message"].as_str().unwrap().to_owned()))
}

#[test]
fn a_token_of_the_issuer_lets_its_subject_in_and_no_other_token_does() {
    let (ours, theirs) = (Issuer::new("one"), Issuer::new("one"));
    let ed = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let x = BASE64.encode(ed.public_key().as_ref());
    let own = json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": x});
    let for_others = json!({"kty": "oct", "kid": "shared", "k": BASE64.encode("shared secret")});
    let keys = json!({"keys": [ours.jwk(), own, for_others, {"kty": "strange"}]}).to_string();
    let daemon = taking(&keys, "").environment("MCP_API_KEY", "letmein").start();
    let subject = || Ok("oauth:agent-1".to_owned());
    until("the keys are there", || (outcome(&daemon, &ours.token(json!({}))) == subject()).then_some(()));
    let by_ed = {
        let message =
            format!("{}.{}", encoded(&json!({"alg": "EdDSA", "kid": "ed"})), encoded(&claims(json!({}))));
        format!("{message}.{}", BASE64.encode(ed.sign(message.as_bytes()).as_ref()))
    };
    for good in [
        by_ed,
        ours.token(json!({"aud": ["https://elsewhere.example", RESOURCE]})),
        ours.token(json!({"exp": now() - 10})),
        ours.token(json!({"nbf": now() + 10, "exp": now() as f64 + 60.5})),
        ours.sign(&json!({"alg": "ES256", "kid": "one"}), &claims(json!({"scope": null}))),
        ours.sign(&json!({"alg": "ES256", "typ": "JWT"}), &claims(json!({}))),
    ] {
        assert_eq!(outcome(&daemon, &good), subject());
    }
    let parts: Vec<String> = ours.token(json!({})).split('.').map(str::to_owned).collect();
    let other = encoded(&claims(json!({"sub": "root"})));
    let header = |changes: Value| {
        let mut header = ours.header();
        header.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        header
    };
    let hmac_with = |secret: &[u8], kid: &str| {
        let message =
            format!("{}.{}", encoded(&json!({"alg": "HS256", "kid": kid})), encoded(&claims(json!({}))));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", BASE64.encode(signature.as_ref()))
    };
    let public = ours.pair.public_key().as_ref().to_vec();
    let bad: Vec<(&str, String, &str)> = vec![
        ("another's signature", theirs.token(json!({})), "not signed by its issuer"),
        ("another's claims", format!("{}.{other}.{}", parts[0], parts[2]), "not signed by its issuer"),
        ("no signature", format!("{}.{}.", parts[0], parts[1]), "not signed by its issuer"),
        (
            "a cut signature",
            format!("{}.{}.{}", parts[0], parts[1], &parts[2][..40]),
            "not signed by its issuer",
        ),
        ("none", format!("{}.{}.", encoded(&json!({"alg": "none"})), parts[1]), "not well made"),
        ("None", format!("{}.{}.x", encoded(&json!({"alg": "None"})), parts[1]), "not well made"),
        ("a public key as a secret", hmac_with(&public, "one"), "in a way that is not taken"),
        ("a secret among the keys", hmac_with(b"shared secret", "shared"), "in a way that is not taken"),
        (
            "another algorithm",
            ours.sign(&header(json!({"alg": "RS256"})), &claims(json!({}))),
            "does not name",
        ),
        (
            "another key of ours",
            ours.sign(&header(json!({"kid": "ed"})), &claims(json!({}))),
            "does not name",
        ),
        ("an unknown key", ours.sign(&header(json!({"kid": "two"})), &claims(json!({}))), "does not name"),
        (
            "a key of its own",
            theirs.sign(&header(json!({"jwk": theirs.jwk(), "kid": "x"})), &claims(json!({}))),
            "does not name",
        ),
        (
            "a place of its own",
            theirs.sign(&header(json!({"jku": "http://127.0.0.1/", "kid": "x"})), &claims(json!({}))),
            "does not name",
        ),
        (
            "what must be understood",
            ours.sign(&header(json!({"crit": ["exp"]})), &claims(json!({}))),
            "not well made",
        ),
        (
            "of another kind",
            ours.sign(&header(json!({"typ": "logout+jwt"})), &claims(json!({}))),
            "not well made",
        ),
        ("expired", ours.token(json!({"exp": now() - 60})), "has expired"),
        ("without an end", ours.token(json!({"exp": null})), "not well made"),
        ("an end that is no time", ours.token(json!({"exp": "9999999999"})), "not well made"),
        ("an end beyond all", ours.token(json!({"exp": 1e300})), "not well made"),
        ("a negative end", ours.token(json!({"exp": -1})), "not well made"),
        ("to come", ours.token(json!({"nbf": now() + 60})), "not valid yet"),
        ("issued tomorrow", ours.token(json!({"iat": now() + 86_400})), "not valid yet"),
        (
            "another issuer",
            ours.token(json!({"iss": "https://login.example.org/realm/"})),
            "of another issuer",
        ),
        ("two issuers", ours.token(json!({"iss": [ISSUER, "x"]})), "not well made"),
        ("no issuer", ours.token(json!({"iss": null})), "not well made"),
        ("another server", ours.token(json!({"aud": "http://localhost:8000/"})), "for another server"),
        ("no audience", ours.token(json!({"aud": null})), "not well made"),
        ("an empty audience", ours.token(json!({"aud": []})), "for another server"),
        ("nobody", ours.token(json!({"sub": null})), "not well made"),
        ("an empty name", ours.token(json!({"sub": ""})), "names nobody"),
        ("a name that is not seen", ours.token(json!({"sub": "a\u{202e}b\n"})), "names nobody"),
        ("claims that are none", ours.sign(&ours.header(), &json!([1])), "not well made"),
        ("letters", "a.b.c".to_owned(), "not well made"),
        ("much", format!("{}.{}.{}", "e".repeat(9000), "e".repeat(9000), "e"), "not well made"),
    ];
    for (what, token, said) in &bad {
        let (status, message) = outcome(&daemon, token).expect_err(what);
        assert_eq!(status, 401, "{what}: {message}");
        assert!(message.contains(said), "{what}: {message}");
    }
    // What is no token is a key, and a wrong one.
    assert_eq!(call(&daemon, &[("Authorization", "Bearer a.b")]).status, 401);
    assert_eq!(call(&daemon, &[("X-API-Key", &ours.token(json!({})))]).status, 401);
    assert_ne!(daemon.get(&format!("/sse?access_token={}", ours.token(json!({}))), &[]).status, 200);
    assert_eq!(call(&daemon, &[("X-API-Key", "letmein")]).status, 200);
    assert_eq!(call(&daemon, &[("Authorization", "Bearer letmein")]).status, 200);
    // Neither a plugin nor the log has seen any of it.
    let token = ours.token(json!({}));
    let seen = with(&daemon, &token).text();
    let all = format!("{seen}{}", daemon.log());
    for part in token.split('.').chain([bad[0].1.rsplit('.').next().unwrap()]) {
        assert!(!all.contains(part), "{part}");
    }
}

#[test]
fn who_has_no_token_hears_where_to_get_one() {
    let issuer = Issuer::new("one");
    let scopes = "scopes = { \"smcp.use\" = [\"*\"], \"smcp.read\" = [\"reading\"] }\n[profile.reading]\nread_only = true";
    let daemon = taking(&set_of(&[&issuer]), scopes).start();
    let url = "http://localhost:8000/.well-known/oauth-protected-resource/mcp";
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        let told = daemon.get(path, &[]);
        assert_eq!(told.status, 200);
        assert_eq!(told.json()["resource"], RESOURCE);
        assert_eq!(told.json()["authorization_servers"], json!([ISSUER]));
        assert_eq!(told.json()["scopes_supported"], json!(["smcp.read", "smcp.use"]));
        assert_eq!(daemon.post(path, &[], &json!({})).status, 405);
    }
    for path in ["/.well-known/oauth-protected-resource/sse", "/.well-known/oauth-authorization-server"] {
        assert_eq!(daemon.get(path, &[]).status, 404);
    }
    let challenged = |reply: &Reply| reply.header("www-authenticate").unwrap_or_default().to_owned();
    let without = call(&daemon, &[]);
    let asks = "scope=\"smcp.read smcp.use\"";
    let expected = format!("Bearer resource_metadata=\"{url}\", {asks}");
    assert_eq!((without.status, challenged(&without)), (401, expected));
    until("the keys are there", || (with(&daemon, &issuer.token(json!({}))).status == 200).then_some(()));
    let expired = with(&daemon, &issuer.token(json!({"exp": 1})));
    assert_eq!(expired.status, 401);
    let expected = format!("Bearer resource_metadata=\"{url}\", error=\"invalid_token\", {asks}");
    assert_eq!(challenged(&expired), expected);
    for scope in [json!(null), json!("smcp.us"), json!("SMCP.USE"), json!(7)] {
        let reply = with(&daemon, &issuer.token(json!({"scope": null, "scp": scope})));
        assert_eq!(reply.status, 403, "{scope}");
        let expected = format!("Bearer resource_metadata=\"{url}\", error=\"insufficient_scope\", {asks}");
        assert_eq!(challenged(&reply), expected);
    }
    for scp in [json!("a smcp.use"), json!(["a", "smcp.use"])] {
        assert_eq!(with(&daemon, &issuer.token(json!({"scope": null, "scp": scp}))).status, 200);
    }
    // Where no issuer is configured, nothing is there.
    let plain = smcpd().environment("MCP_API_KEY", "k").start();
    assert_eq!(plain.get("/.well-known/oauth-protected-resource", &[]).status, 404);
    assert_eq!(challenged(&call(&plain, &[])), "Bearer realm=\"smcp\"");
}

#[test]
fn a_scope_opens_the_tools_of_its_profiles_and_no_other() {
    let issuer = Issuer::new("one");
    let scopes = "scopes = { use = [\"env\"], read = [\"reading\"], all = [\"*\"] }\n\
                  [profile.env]\ntools = [\"worker.env\"]\n[profile.reading]\ntools = [\"worker.read\"]";
    let daemon = taking(&set_of(&[&issuer]), scopes).start();
    until("the keys are there", || {
        (with(&daemon, &issuer.token(json!({"scope": "use"}))).status == 200).then_some(())
    });
    let ask = |scope: &str, path: &str, method: &str, params: Value| {
        let bearer = format!("Bearer {}", issuer.token(json!({"scope": scope})));
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        daemon.post(path, &[("Authorization", &bearer)], &body)
    };
    let names = |scope: &str| -> Vec<String> {
        let listed = ask(scope, "/messages/", "tools/list", json!({})).json();
        let tools = listed["result"]["tools"].as_array().unwrap();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("use"), ["worker__env"]);
    assert_eq!(names("other use read"), ["worker__env", "worker__read"]);
    assert!(names("read all").contains(&"worker__sleep".to_owned()));
    let called = |scope: &str, tool: &str| {
        ask(scope, "/messages/", "tools/call", json!({"name": tool, "arguments": {}})).json()
    };
    assert_eq!(called("use", "worker.env")["result"]["isError"], false);
    for tool in ["worker.read", "worker__sleep", "health"] {
        let answer = called("use", tool);
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().starts_with("unknown tool: "), "{answer}");
    }
    // A URL chooses among them, and opens no other.
    let chosen = |scope: &str, profile: &str| {
        let reply = ask(scope, &format!("/messages/?profile={profile}"), "tools/list", json!({}));
        (reply.status, reply.json()["result"]["tools"].as_array().map_or(0, Vec::len))
    };
    assert_eq!([chosen("use", "env"), chosen("use read", "env"), chosen("all", "reading")], [(200, 1); 3]);
    assert_eq!((chosen("use", "reading"), chosen("all", "none")), ((403, 0), (404, 0)));
}

#[test]
fn a_stream_ends_with_the_last_token_and_keys_are_replaced_in_their_file() {
    let (first, second) = (Issuer::new("one"), Issuer::new("two"));
    let daemon = taking(&set_of(&[&first]), "leeway = 0").start();
    until("the keys are there", || outcome(&daemon, &first.token(json!({}))).ok());
    assert!(outcome(&daemon, &second.token(json!({}))).is_err());
    // By renaming, as whoever distributes keys does.
    let fresh = daemon.path().join("fresh");
    fs::write(&fresh, set_of(&[&second])).unwrap();
    fs::rename(&fresh, daemon.path().join("keys.json")).unwrap();
    until("the new key is taken", || outcome(&daemon, &second.token(json!({}))).ok());
    assert!(outcome(&daemon, &first.token(json!({}))).is_err(), "the old one is not");
    // What is no set of keys changes nothing, and is said.
    fs::write(daemon.path().join("keys.json"), "{}").unwrap();
    until("it is refused", || daemon.log().contains("it has no list `keys`").then_some(()));
    assert!(outcome(&daemon, &second.token(json!({}))).is_ok());
    let token = second.token(json!({"sub": "short", "exp": now() + 2}));
    let bearer = format!("Bearer {token}");
    let (mut stream, _) = Stream::open(daemon.connect(), &[("Authorization", &bearer)]);
    assert!(stream.event().is_none(), "it ends by itself");
    assert_eq!(with(&daemon, &token).status, 401);
}

/// Answers with what there is to say, and counts how often it was asked.
fn serve(listener: TcpListener, said: Arc<Mutex<String>>, asked: Arc<AtomicUsize>) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut room = [0; 4096];
        let _head = stream.read(&mut room).unwrap();
        let said = said.lock().unwrap().clone();
        if said == "end" {
            return;
        }
        asked.fetch_add(1, Ordering::Relaxed);
        let _gone = stream.write_all(said.as_bytes());
    }
}

#[test]
fn keys_come_from_an_address_which_is_asked_seldom_and_not_followed_elsewhere() {
    let (first, second) = (Issuer::new("one"), Issuer::new("two"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let answer = |keys: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{keys}", keys.len());
    let elsewhere = format!("HTTP/1.1 302 Found\r\nlocation: http://{address}/\r\ncontent-length: 0\r\n\r\n");
    let (said, asked) = (Arc::new(Mutex::new(elsewhere)), Arc::new(AtomicUsize::new(0)));
    let serving = {
        let (said, asked) = (Arc::clone(&said), Arc::clone(&asked));
        std::thread::spawn(move || serve(listener, said, asked))
    };
    let setup = with_source(smcpd().plugins(&["worker"]), &format!("http://{address}/jwks"), "");
    let daemon = setup.start();
    until("it is refused", || daemon.log().contains("it answered with status 302").then_some(()));
    assert_eq!(outcome(&daemon, &first.token(json!({}))).unwrap_err().0, 503, "there are no keys yet");
    *said.lock().unwrap() = answer(&set_of(&[&first]));
    daemon.signal(Signal::HUP);
    until("the keys are there", || outcome(&daemon, &first.token(json!({}))).ok());
    let before = asked.load(Ordering::Relaxed);
    // Tokens of unknown keys do not have it asked each time.
    for _ in 0..20 {
        assert_eq!(outcome(&daemon, &second.token(json!({}))).unwrap_err().0, 401);
    }
    assert_eq!(asked.load(Ordering::Relaxed), before);
    // A reload does.
    *said.lock().unwrap() = answer(&set_of(&[&first, &second]));
    daemon.signal(Signal::HUP);
    until("both are taken", || outcome(&daemon, &second.token(json!({}))).ok());
    assert!(outcome(&daemon, &first.token(json!({}))).is_ok());
    *said.lock().unwrap() = "end".to_owned();
    drop(std::net::TcpStream::connect(address).map(|mut stream| stream.write_all(b"x")));
    serving.join().unwrap();
}

#[test]
fn what_would_let_anybody_in_stops_the_start() {
    let good = set_of(&[&Issuer::new("one")]);
    for (keys, more, said) in [
        (good.as_str(), "algorithms = [\"HS256\"]", "`oauth.algorithms` has `HS256`"),
        (&good, "algorithms = [\"none\"]", "`oauth.algorithms` has `none`"),
        (&good, "leeway = 3600", "`oauth.leeway` is more than 300 seconds"),
        (&good, "scopes = { \"a b\" = [\"x\"] }", "has `a b`, which is no scope"),
        (&good, "scopes = { a = [] }", "has `a`, which is no scope"),
        ("{\"keys\": []}", "", "it has no key that signs"),
        ("{", "", "it is no JSON"),
    ] {
        let ended = taking(keys, more).argument("--check").run(b"");
        assert_eq!(ended.status.code(), Some(2), "{said}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    let far = with_source(smcpd(), "http://login.example.org/jwks", "").argument("--check").run(b"");
    assert!(far.stderr.contains("`oauth.jwks` must be an https address"), "{}", far.stderr);
}
