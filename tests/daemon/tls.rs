//! TLS of the daemon's own port: who is connected, what is renewed while it runs, and who a certificate says one is.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use smcp_test_support::{Connection, Daemon, PATIENCE, Setup, until};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::smcpd;

/// Who signs certificates.
pub(crate) struct Authority {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate with its key.
#[derive(Clone)]
pub(crate) struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn sign(&self, common: &str, names: &[&str], years: (i32, i32)) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    pub(crate) fn server(&self) -> Pair {
        self.sign("the server", &["localhost"], (2020, 4000))
    }

    pub(crate) fn client(&self, name: &str) -> Pair {
        self.sign(name, &[], (2020, 4000))
    }
}

/// Puts the pair into its place at once, as whoever renews certificates does.
fn put(directory: &Path, pair: &Pair) {
    for (name, text, mode) in [("tls.key", &pair.key, 0o600), ("tls.crt", &pair.certificate, 0o644)] {
        let fresh = directory.join("fresh");
        fs::write(&fresh, text).unwrap();
        fs::set_permissions(&fresh, fs::Permissions::from_mode(mode)).unwrap();
        fs::rename(fresh, directory.join(name)).unwrap();
    }
}

fn serving(pair: &Pair, more: &str) -> Setup {
    configured(smcpd(), pair, more)
}

pub(crate) fn configured(setup: Setup, pair: &Pair, more: &str) -> Setup {
    put(setup.path(), pair);
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| setup.path().join(name));
    let text = format!(
        "[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n{more}\n[plugins]\nstartup_wait = 30\n"
    );
    setup.plugins(&["worker"]).config(&text)
}

/// A connection over TLS.
pub(crate) struct Secure(StreamOwned<ClientConnection, TcpStream>);

impl Secure {
    pub(crate) fn open(address: SocketAddr, trusted: &Authority, shown: Option<&Pair>) -> io::Result<Self> {
        Self::with(address, trusted, shown, &[&TLS12, &TLS13], &[b"h2", b"http/1.1"])
    }

    fn with(
        address: SocketAddr,
        trusted: &Authority,
        shown: Option<&Pair>,
        versions: &[&'static tokio_rustls::rustls::SupportedProtocolVersion],
        protocols: &[&[u8]],
    ) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusted.pem.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(Pair { certificate, key }) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap());
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut secure = Self(StreamOwned::new(connection.unwrap(), stream));
        while secure.0.conn.is_handshaking() {
            let (connection, stream) = (&mut secure.0.conn, &mut secure.0.sock);
            connection.complete_io(stream)?;
        }
        Ok(secure)
    }

    fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) -> io::Result<(u16, String)> {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        self.0.write_all(format!("{head}{body}").as_bytes())?;
        let mut said = Vec::new();
        let mut byte = [0];
        while !said.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte)?;
            said.push(byte[0]);
        }
        let said = String::from_utf8(said).unwrap().to_ascii_lowercase();
        let status = said.split(' ').nth(1).unwrap().parse().unwrap();
        let length = said.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body)?;
        Ok((status, String::from_utf8(body).unwrap()))
    }

    pub(crate) fn health(&mut self) -> io::Result<u16> {
        self.send("GET", "/health", "", "").map(|(status, _)| status)
    }

    /// Who a plugin hears has called it; or the status of the refusal.
    pub(crate) fn caller(&mut self, headers: &str) -> Result<String, u16> {
        let params = json!({"name": "worker.env", "arguments": {"name": "SMCP_CALLER"}});
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let (status, body) = self.send("POST", "/messages/", headers, &call.to_string()).unwrap();
        if status != 200 {
            return Err(status);
        }
        let body: Value = serde_json::from_str(&body).unwrap();
        Ok(body["result"]["structuredContent"]["value"].as_str().unwrap().to_owned())
    }

    fn certificate(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().unwrap()[0].to_vec()
    }
}

pub(crate) fn events(daemon: &Daemon, name: &str) -> Vec<String> {
    let log = daemon.log();
    let records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let field = |record: &Value, key: &str| {
        let found = record.get(key).or_else(|| record["fields"].get(key));
        found.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    records.filter(|record| field(record, "event") == name).map(|record| field(&record, "reason")).collect()
}

pub(crate) fn der(pair: &Pair) -> Vec<u8> {
    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap().to_vec()
}

#[test]
fn the_port_speaks_tls_and_says_so_to_whoever_does_not() {
    let authority = Authority::new();
    let daemon = serving(&authority.server(), "handshake_timeout = 1").start();
    let address = daemon.address();
    for version in [&TLS12, &TLS13] {
        let mut client = Secure::with(address, &authority, None, &[version], &[b"h2", b"http/1.1"]).unwrap();
        assert_eq!(client.0.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(client.health().unwrap(), 200);
        assert_eq!(client.caller("").unwrap(), "anonymous");
    }
    assert!(Secure::open(address, &Authority::new(), None).is_err(), "a stranger's certificate");
    assert!(Secure::with(address, &authority, None, &[&TLS13], &[b"h2"]).is_err(), "we speak no HTTP/2");
    let plain = daemon.get("/health", &[]);
    assert_eq!(plain.status, 400);
    assert!(plain.json()["message"].as_str().unwrap().contains("https://"), "{}", plain.text());
    // Neither silence nor half a handshake holds a connection for long.
    for said in [&[0; 8][..], b"", &[22, 3, 1, 2, 0, 1]] {
        let mut connection = Connection::open(address);
        connection.raw(said);
        assert!(connection.is_closed(), "{said:?}");
    }
    let told = events(&daemon, "handshake-failed");
    for reason in ["plain HTTP", "no TLS", "longer than"] {
        assert!(told.iter().any(|told| told.contains(reason)), "{reason}: {told:?}");
    }
}

#[test]
fn one_connection_too_many_is_closed_without_a_word_that_its_client_could_not_read() {
    let authority = Authority::new();
    let daemon = serving(&authority.server(), "[http]\nmax_connections = 1\n").start();
    // The one that awaited the start may still be there.
    let enter = || {
        until("a connection is let in", || {
            let mut client = Secure::open(daemon.address(), &authority, None).ok()?;
            client.health().ok().map(|_| client)
        })
    };
    let mut first = enter();
    for hello in [&[22, 3, 1, 2, 0, 1][..], b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let mut late = TcpStream::connect(daemon.address()).unwrap();
        late.set_read_timeout(Some(PATIENCE)).unwrap();
        // Closed already, perhaps.
        let _sent = late.write_all(hello);
        let mut said = Vec::new();
        let end = late.read_to_end(&mut said).map_err(|error| error.kind());
        assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
        assert!(matches!(end, Ok(0) | Err(io::ErrorKind::ConnectionReset)), "{end:?}");
    }
    assert_eq!(first.health().unwrap(), 200, "who is in stays in");
    drop(first);
    enter();
}

#[test]
fn a_renewed_certificate_is_served_at_once_and_a_bad_one_is_not() {
    let authority = Authority::new();
    let (first, second) = (authority.server(), authority.server());
    let daemon = serving(&first, "").start();
    let served = || Secure::open(daemon.address(), &authority, None).unwrap().certificate();
    let mut early = Secure::open(daemon.address(), &authority, None).unwrap();
    assert_eq!((early.health().unwrap(), served()), (200, der(&first)));
    put(daemon.path(), &second);
    until("the new one is served", || (served() == der(&second)).then_some(()));
    let expired = authority.sign("late", &["localhost"], (2000, 2001));
    let mixed = Pair { certificate: first.certificate.clone(), key: authority.server().key };
    for (bad, said) in [(&expired, "the certificate has expired"), (&mixed, "do not belong together")] {
        put(daemon.path(), bad);
        let refused =
            |said: &str| events(&daemon, "certificate-refused").iter().any(|told| told.contains(said));
        until("it is refused", || refused(said).then_some(()));
        assert_eq!(served(), der(&second));
    }
    // A reload says so too, and changes nothing.
    put(daemon.path(), &first);
    fs::set_permissions(daemon.path().join("tls.key"), fs::Permissions::from_mode(0o644)).unwrap();
    daemon.signal(Signal::HUP);
    daemon.notified("READY=1");
    let refused = events(&daemon, "reload-refused");
    assert!(refused[0].contains("tls.key") && refused[0].contains("chmod o= "), "{refused:?}");
    assert_eq!(served(), der(&second));
    put(daemon.path(), &first);
    daemon.signal(Signal::HUP);
    until("the good one is served", || (served() == der(&first)).then_some(()));
    // Whoever came first is still there.
    assert_eq!((early.health().unwrap(), early.certificate()), (200, der(&first)));
    assert!(!daemon.log().contains("PRIVATE KEY"));
}

#[test]
fn where_certificates_are_required_only_one_of_the_authority_opens_a_connection() {
    let (ours, theirs, next) = (Authority::new(), Authority::new(), Authority::new());
    let setup = smcpd();
    let ca = setup.path().join("clients.pem");
    fs::write(&ca, &ours.pem).unwrap();
    let setup = configured(setup, &ours.server(), &format!("client_ca = {ca:?}"));
    let daemon = setup.start();
    let open = |shown: Option<&Pair>| Secure::open(daemon.address(), &ours, shown);
    let expired = ours.sign("late", &[], (2000, 2001));
    for (who, shown) in [
        ("nobody", None),
        ("a stranger", Some(theirs.client("agent-1"))),
        ("one who has expired", Some(expired)),
        ("one to come", Some(ours.sign("early", &[], (3000, 4000)))),
    ] {
        let health = open(shown.as_ref()).and_then(|mut client| client.health());
        assert!(health.is_err(), "{who}: {health:?}");
    }
    // It is a guard as a key is: beyond loopback the daemon starts with it.
    let mut wider = Command::new(env!("CARGO_BIN_EXE_smcpd"));
    wider.arg("--config").arg(daemon.path().join("smcpd.toml")).args(["--allow-external", "--check"]);
    assert!(wider.env("HOME", daemon.path()).output().unwrap().status.success());
    let mut agent = open(Some(&ours.client("agent-1"))).unwrap();
    assert_eq!(agent.caller("").unwrap(), "cert:agent-1");
    assert_eq!(agent.caller("X-API-Key: guess\r\n"), Err(401), "a wrong key is wrong all the same");
    // A certificate that names nobody opens nothing.
    let mut nameless = open(Some(&ours.client("a\u{202e}b"))).unwrap();
    assert_eq!((nameless.health().unwrap(), nameless.caller("")), (200, Err(401)));
    // Once its authority is no longer trusted, a connection that is open is worth nothing, and its streams end.
    let mut stream = open(Some(&ours.client("agent-1"))).unwrap();
    stream.0.write_all(b"GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut said = [0; 4096];
    let length = stream.0.read(&mut said).unwrap();
    assert!(said[..length].starts_with(b"HTTP/1.1 200"));
    fs::write(&ca, &next.pem).unwrap();
    until("the new authority is taken", || {
        Secure::open(daemon.address(), &ours, Some(&next.client("agent-2")))
            .and_then(|mut it| it.health())
            .ok()
    });
    assert_eq!(agent.caller(""), Err(401));
    let mut last = said[..length].to_vec();
    while !last.ends_with(b"0\r\n\r\n") {
        let mut byte = [0];
        stream.0.read_exact(&mut byte).unwrap();
        last.push(byte[0]);
    }
    let stranger = open(Some(&ours.client("agent-1"))).and_then(|mut client| client.health());
    assert!(stranger.is_err(), "{stranger:?}");
}

#[test]
fn once_callers_are_named_nobody_else_is_let_in() {
    let ours = Authority::new();
    let setup = smcpd();
    let ca = setup.path().join("clients.pem");
    fs::write(&ca, &ours.pem).unwrap();
    let named = "[tls.callers.\"agent-1\"]";
    let setup = configured(setup, &ours.server(), &format!("client_ca = {ca:?}\n{named}"));
    let daemon = setup.start();
    let open = |name: &str| Secure::open(daemon.address(), &ours, Some(&ours.client(name))).unwrap();
    let (mut known, mut other) = (open("agent-1"), open("agent-2"));
    assert_eq!(known.caller("").unwrap(), "cert:agent-1");
    assert_eq!(other.caller(""), Err(403));
    // A reload may let another one in, and takes effect on connections that are open.
    let file = daemon.path().join("smcpd.toml");
    let text = fs::read_to_string(&file).unwrap().replace("agent-1", "agent-2");
    fs::write(&file, text).unwrap();
    daemon.signal(Signal::HUP);
    daemon.notified("READY=1");
    assert_eq!((known.caller(""), other.caller("").unwrap()), (Err(403), "cert:agent-2".to_owned()));
}

#[test]
fn a_certificate_opens_the_tools_of_its_callers_profiles_and_no_other() {
    let ours = Authority::new();
    let setup = smcpd();
    let ca = setup.path().join("clients.pem");
    fs::write(&ca, &ours.pem).unwrap();
    let callers = "[tls.callers.\"agent-1\"]\nprofiles = [\"env\"]\n[tls.callers.\"agent-2\"]\n\
                   [profile.env]\ntools = [\"worker.env\"]";
    let daemon = configured(setup, &ours.server(), &format!("client_ca = {ca:?}\n{callers}")).start();
    let open = |name: &str| Secure::open(daemon.address(), &ours, Some(&ours.client(name))).unwrap();
    let ask = |client: &mut Secure, path: &str, method: &str, params: Value| -> (u16, Value) {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let (status, said) = client.send("POST", path, "", &body).unwrap();
        (status, serde_json::from_str(&said).unwrap())
    };
    let (mut narrow, mut wide) = (open("agent-1"), open("agent-2"));
    assert_eq!(narrow.caller("").unwrap(), "cert:agent-1");
    let names = |client: &mut Secure| -> Vec<String> {
        let (_, listed) = ask(client, "/messages/", "tools/list", json!({}));
        let tools = listed["result"]["tools"].as_array().unwrap();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&mut narrow), ["worker__env"]);
    assert!(names(&mut wide).contains(&"worker__sleep".to_owned()));
    for tool in ["worker.read", "health"] {
        let (_, answer) = ask(&mut narrow, "/messages/", "tools/call", json!({"name": tool}));
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        let (_, answer) = ask(&mut wide, "/messages/", "tools/call", json!({"name": tool}));
        assert!(answer["result"].is_object(), "{answer}");
    }
    assert_eq!(ask(&mut narrow, "/messages/?profile=none", "tools/list", json!({})).0, 403);
    assert_eq!(ask(&mut wide, "/messages/?profile=env", "tools/list", json!({})).0, 200);
}

#[test]
fn where_certificates_are_optional_who_has_none_needs_a_key() {
    let ours = Authority::new();
    for (key, expected) in [(None, Err(401)), (Some("letmein"), Ok("key-1".to_owned()))] {
        let setup = smcpd();
        let ca = setup.path().join("clients.pem");
        fs::write(&ca, &ours.pem).unwrap();
        let setup = match key {
            Some(key) => setup.environment("MCP_API_KEY", key),
            None => setup,
        };
        let more = format!("client_ca = {ca:?}\nclient_auth = \"optional\"");
        let daemon = configured(setup, &ours.server(), &more).start();
        let mut without = Secure::open(daemon.address(), &ours, None).unwrap();
        assert_eq!((without.health().unwrap(), without.caller("")), (200, Err(401)));
        assert_eq!(without.caller("Authorization: Bearer letmein\r\n"), expected);
        let mut with = Secure::open(daemon.address(), &ours, Some(&ours.client("agent-1"))).unwrap();
        assert_eq!(with.caller("").unwrap(), "cert:agent-1");
        if key.is_some() {
            assert_eq!(with.caller("Authorization: Bearer letmein\r\n").unwrap(), "key-1");
        }
        assert!(
            Secure::open(daemon.address(), &ours, Some(&Authority::new().client("agent-1")))
                .and_then(|mut client| client.health())
                .is_err()
        );
    }
}

#[test]
fn a_socket_of_the_service_manager_speaks_tls_with_what_it_hands_over() {
    let authority = Authority::new();
    let setup = crate::activation::activated("http");
    let credentials = setup.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    let pair = authority.server();
    for (name, text) in [("smcp.tls.crt", &pair.certificate), ("smcp.tls.key", &pair.key)] {
        fs::write(credentials.join(name), text).unwrap();
        fs::set_permissions(credentials.join(name), fs::Permissions::from_mode(0o440)).unwrap();
    }
    let setup = setup
        .environment("CREDENTIALS_DIRECTORY", &credentials.display().to_string())
        .config("[plugins]\nstartup_wait = 30\n");
    let daemon = setup.start();
    assert_eq!(Secure::open(daemon.address(), &authority, None).unwrap().health().unwrap(), 200);
    assert_eq!(daemon.get("/health", &[]).status, 400);
}

#[test]
fn what_cannot_be_used_stops_the_start_with_what_to_do() {
    let authority = Authority::new();
    let pair = authority.server();
    let other = Pair { key: authority.server().key, ..pair.clone() };
    let text =
        |certificate: &str, key: &str| Pair { certificate: certificate.to_owned(), key: key.to_owned() };
    for (pair, mode, more, said) in [
        (&pair, 0o644, "", "every user of this host can read the key"),
        (&other, 0o600, "", "do not belong together"),
        (&text("", &pair.key), 0o600, "", "has no certificate in PEM"),
        (&text(&pair.certificate, "hush"), 0o600, "", "has no private key in PEM"),
        (&pair, 0o600, "client_ca = \"/nonexistent\"", "cannot read `/nonexistent`"),
        (&pair, 0o600, "client_ca = \"here\"", "a path begins with /"),
        (&pair, 0o600, "client_auth = \"required\"", "`tls.client_ca` is not: set it too"),
        (&pair, 0o600, "client_crl = \"/x\"", "`tls.client_ca` is not: set it too"),
    ] {
        let setup = serving(pair, more).argument("--check");
        fs::set_permissions(setup.path().join("tls.key"), fs::Permissions::from_mode(mode)).unwrap();
        let ended = setup.run(b"");
        assert_eq!(ended.status.code(), Some(2), "{said}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
        assert!(!ended.stderr.contains("hush") && !ended.stderr.contains("PRIVATE KEY"), "{}", ended.stderr);
    }
    let lacking = smcpd().config("[tls]\ncertificate = \"/x\"\n").argument("--check").run(b"");
    assert!(lacking.stderr.contains("smcpd.toml:2: `tls.certificate` is set, and `tls.key` is not"));
}
