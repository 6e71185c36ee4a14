//! Certificates of clients that were revoked, and the lists that say so.

use std::fs;
use std::process::Command;

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber, date_time_ymd};
use serde_json::json;
use smcp_test_support::until;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::confirming::control;
use crate::smcpd;
use crate::tls::{Authority, Pair, Secure, configured, der, events};

/// A list of those that were revoked, good until a year.
fn list(authority: &Authority, revoked: &[&Pair], until: i32) -> String {
    let serial = |pair: &&Pair| {
        let der = der(pair);
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        SerialNumber::from_slice(certificate.raw_serial())
    };
    let entry = |pair| RevokedCertParams {
        serial_number: serial(pair),
        revocation_time: date_time_ymd(2021, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(until, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(&authority.issuer).unwrap().pem().unwrap()
}

#[test]
fn a_revoked_certificate_opens_nothing_more_and_a_list_that_is_no_good_changes_nothing() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (good, lost) = (ours.client("agent-1"), ours.client("agent-2"));
    let setup = smcpd();
    let [ca, lists] = ["clients.pem", "clients.crl"].map(|name| setup.path().join(name));
    let write = |text: &str| {
        fs::write(lists.with_extension("fresh"), text).unwrap();
        fs::rename(lists.with_extension("fresh"), &lists).unwrap();
    };
    fs::write(&ca, &ours.pem).unwrap();
    write(&list(&ours, &[], 4000));
    let more = format!("client_ca = {ca:?}\nclient_crl = {lists:?}");
    let daemon = configured(setup, &ours.server(), &more).start();
    let open = |shown: &Pair| {
        let mut client = Secure::open(daemon.address(), &ours, Some(shown))?;
        client.health().map(|_| client)
    };
    let mut held = open(&lost).unwrap();
    assert_eq!(held.caller("").unwrap(), "cert:agent-2");
    write(&list(&ours, &[&lost], 4000));
    until("the list is taken", || open(&lost).is_err().then_some(()));
    assert_eq!(held.caller(""), Err(401), "a connection that is open is worth nothing");
    let check = || {
        let mut check = Command::new(env!("CARGO_BIN_EXE_smcpd"));
        check.arg("--config").arg(daemon.path().join("smcpd.toml")).arg("--check");
        check.env("HOME", daemon.path()).output().unwrap()
    };
    assert!(check().status.success());
    let torn = "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n";
    for (bad, said) in
        [("", "has no revocation list in PEM"), (torn, "has a revocation list that cannot be read")]
    {
        write(bad);
        let refused = || events(&daemon, "certificate-refused").iter().any(|told| told.contains(said));
        until("it is refused", || refused().then_some(()));
        let start = check();
        let start = (start.status.code(), String::from_utf8(start.stderr).unwrap());
        assert!(
            start.0 == Some(2) && start.1.contains("tls.client_crl") && start.1.contains(said),
            "{start:?}"
        );
    }
    write(&list(&ours, &[], 2021));
    until("it is refused", || {
        events(&daemon, "certificate-refused").iter().any(|told| told.contains("has expired")).then_some(())
    });
    assert!(open(&lost).is_err(), "the last list that was good holds");
    assert_eq!(open(&good).unwrap().caller("").unwrap(), "cert:agent-1");
    // One that can say nothing of them lets nobody in.
    write(&list(&theirs, &[], 4000));
    until("nobody is let in", || open(&good).is_err().then_some(()));
}

#[test]
fn a_revocation_list_that_is_out_of_date_lets_nobody_in() {
    let ours = Authority::new();
    let setup = smcpd();
    let [ca, lists] = ["clients.pem", "clients.crl"].map(|name| setup.path().join(name));
    fs::write(&ca, &ours.pem).unwrap();
    fs::write(&lists, list(&ours, &[], 2021)).unwrap();
    let more = format!("client_ca = {ca:?}\nclient_crl = {lists:?}");
    let daemon = configured(setup, &ours.server(), &more).start();
    let client = ours.client("agent-1");
    let open = || Secure::open(daemon.address(), &ours, Some(&client)).and_then(|mut it| it.health());
    assert!(open().is_err());
    until("the reason is told", || {
        let told = events(&daemon, "handshake-failed");
        told.iter().any(|told| told.contains("revocation list expired")).then_some(())
    });
    let out_of_date = || {
        let found = control(&daemon, "control.sock", &json!({"request": "doctor"}));
        found["findings"].as_array().unwrap().iter().any(|found| found["code"] == "revocations-expired")
    };
    assert!(out_of_date());
    fs::write(&lists, list(&ours, &[], 4000)).unwrap();
    until("the new list is taken", || open().ok());
    assert!(!out_of_date());
}
