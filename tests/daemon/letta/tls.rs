//! The same over TLS, with a certificate that the daemon trusts and with one that it does not.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::process::Signal;
use serde_json::{Value, json};
use smcp_test_support::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::{events, section, setup, variable};

/// The certificate of an authority, as PEM, and a server's that is signed by it.
fn certificates() -> (String, ServerConfig) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let own = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&own, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(own.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (pem, config)
}

async fn serve(listener: tokio::net::TcpListener, config: ServerConfig, body: String) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        // A client that does not trust us goes away within the handshake.
        let Ok(mut stream) = acceptor.accept(stream).await else { continue };
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { break };
            head.push(byte);
        }
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let _gone = stream.write_all(answer.as_bytes()).await;
        let _closed = stream.shutdown().await;
    }
}

#[test]
fn over_tls_the_certificate_must_be_of_an_authority_that_the_host_trusts() {
    let (authority, config) = certificates();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let body = json!({"id": "agent-1", "secrets": [{"key": "TOKEN", "value": "hush-1"}]}).to_string();
    let serving = runtime.spawn(serve(listener, config, body));
    let config = section(&format!("https://localhost:{}", address.port()), "agent-1", "");
    // The directory beside the file would be trusted too.
    let trusting = setup(&config).environment("SSL_CERT_DIR", "");
    let trusted = trusting.path().join("authority.pem");
    fs::write(&trusted, authority).unwrap();
    let daemon = trusting.environment("SSL_CERT_FILE", &trusted.display().to_string()).start();
    assert_eq!(variable(&daemon, "worker", "TOKEN"), "hush-1");
    // Another authority, which did not sign it.
    fs::write(&trusted, certificates().0).unwrap();
    daemon.signal(Signal::HUP);
    until("it is refused", || (!events(&daemon, "letta-failed").is_empty()).then_some(()));
    let reason = events(&daemon, "letta-failed")[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("cannot connect: ") && reason.contains("invalid peer certificate"), "{reason}");
    fs::write(&trusted, "").unwrap();
    daemon.signal(Signal::HUP);
    until("that is said", || (events(&daemon, "letta-failed").len() == 2).then_some(()));
    let reason = events(&daemon, "letta-failed")[1]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("the certificates that this host trusts cannot be read"), "{reason}");
    assert_eq!(variable(&daemon, "other", "TOKEN"), Value::Null);
    assert!(!daemon.log().contains(super::HUSH), "{}", daemon.log());
    serving.abort();
}
