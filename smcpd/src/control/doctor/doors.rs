//! What lets callers in: keys, certificates, and where containers come over.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use smcp_control::{Finding, Severity};

use super::finding;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::control::profiles;

const DAY: u64 = 86_400;
/// A key that expires within this is told of.
const SOON: u64 = 14 * DAY;

/// Keys that open nothing or soon will, and profiles that do not select what they name.
pub(super) fn of_keys(config: &Config, catalog: &Catalog, now: u64) -> Vec<Finding> {
    let mut found = Vec::new();
    for key in &config.keys.created().keys {
        match key.expires {
            Some(expires) if expires <= now => found.push(finding(
                "key-expired",
                Severity::Note,
                &key.name,
                "it has expired and opens nothing",
                format!("`smcpctl keys revoke {}`, and create another", key.name),
            )),
            Some(expires) if expires - now <= SOON => found.push(finding(
                "key-expires",
                Severity::Warning,
                &key.name,
                format!("it expires in {} days", (expires - now) / DAY),
                "create another, give it to its holder, and revoke this one",
            )),
            Some(_) | None => {}
        }
        for profile in key.profiles.iter().filter(|name| !config.profiles.named.contains_key(*name)) {
            found.push(finding(
                "profile-gone",
                Severity::Error,
                &key.name,
                format!("its profile `{profile}` is not defined: it reaches nothing by it"),
                format!("define `[profile.{profile}]`, or revoke the key and create another"),
            ));
        }
    }
    let tools: Vec<_> = catalog.tools().iter().map(|tool| tool.facts()).collect();
    for (name, profile) in &config.profiles.named {
        for rule in profiles::unused(profile, &tools) {
            found.push(finding(
                "profile-unused",
                Severity::Note,
                name,
                format!("no tool fits `{rule}`"),
                format!("mend it in {}; see `smcpctl tools`", profile.origin),
            ));
        }
    }
    found
}

/// A certificate is to be renewed within the last third of its time, and two weeks before its end at the latest.
pub(super) fn of_certificate(
    not_before: SystemTime,
    not_after: SystemTime,
    now: SystemTime,
) -> Option<Finding> {
    const EARLY: Duration = Duration::from_secs(14 * 86_400);
    let whole = not_after.duration_since(not_before).unwrap_or_default();
    let fix = "renew it: the files of `[tls]` are read again when they change";
    let (code, severity, message) = if now < not_before {
        ("certificate-early", Severity::Error, "it is not valid yet: clients refuse it".to_owned())
    } else {
        match not_after.duration_since(now) {
            Err(_) => {
                ("certificate-expired", Severity::Error, "it has expired: clients refuse it".to_owned())
            }
            Ok(left) if left < EARLY.min(whole / 3) => {
                let left = match left.as_secs() / 3600 {
                    hours @ 0..48 => format!("{hours} hours"),
                    hours => format!("{} days", hours / 24),
                };
                ("certificate-expires", Severity::Warning, format!("it expires in {left}"))
            }
            Ok(_) => return None,
        }
    };
    Some(finding(code, severity, "tls.certificate", message, fix))
}

/// A client that connects by a name of the certificate is answered where that name is one of ours.
pub(super) fn of_names(names: &[String], hosts: &[String]) -> Option<Finding> {
    let is_ours = |name: &&String| {
        let bare = |host: &str| host.split(':').next().unwrap_or_default().to_ascii_lowercase();
        name.contains('*')
            || name.parse::<IpAddr>().is_ok()
            || ["localhost", "host.docker.internal"].contains(&name.as_str())
            || hosts.iter().any(|host| bare(host) == name.to_ascii_lowercase())
    };
    let name = names.iter().find(|name| !is_ours(name))?;
    Some(finding(
        "certificate-name",
        Severity::Warning,
        name,
        "the certificate is for it, and requests to it are refused",
        format!("add \"{name}\" to `http.hosts`"),
    ))
}

/// Those of the host's bridges that containers come over.
pub(super) fn of_containers(config: &Config, reached: &[(SocketAddr, String)]) -> Option<Finding> {
    let subject = reached.iter().map(|(address, bridge)| format!("{address} ({bridge})"));
    let subject = subject.collect::<Vec<_>>().join(", ");
    match () {
        // Who listens to everybody without a key hears of that elsewhere.
        () if reached.is_empty() || config.auth_disabled => None,
        () if config.allow_containers => Some(finding(
            "containers-open",
            Severity::Warning,
            subject,
            "every container there may call every tool without a key",
            "set a key, and `auth.allow_containers = false`",
        )),
        () if config.keys.is_open() => Some(finding(
            "containers-refused",
            Severity::Note,
            subject,
            "containers reach the daemon there, and are refused: no key is set",
            "set a key, or `auth.allow_containers = true`; or `http.listen = [\"loopback\"]`",
        )),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_told_of_where_they_need_no_key_or_have_none() {
        let reached = [(SocketAddr::from(([172, 17, 0, 1], 8000)), "docker0".to_owned())];
        let mut config = crate::config::for_tests(&[]).unwrap();
        let code = |config: &Config, reached: &[_]| of_containers(config, reached).map(|found| found.code);
        assert_eq!(code(&config, &[]), None);
        assert_eq!(code(&config, &reached).unwrap(), "containers-refused");
        assert_eq!(of_containers(&config, &reached).unwrap().subject, "172.17.0.1:8000 (docker0)");
        config.allow_containers = true;
        assert_eq!(code(&config, &reached).unwrap(), "containers-open");
        config.auth_disabled = true;
        assert_eq!(code(&config, &reached), None);
    }

    #[test]
    fn a_certificate_is_to_be_renewed_in_time_and_its_names_answered() {
        let day = |count: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(count * 86_400);
        let found =
            |from, until, now| of_certificate(day(from), day(until), day(now)).map(|found| found.code);
        for (from, until, now, expected) in [
            (10, 100, 50, None),
            (10, 100, 85, None),
            (10, 100, 87, Some("certificate-expires")),
            (10, 100, 101, Some("certificate-expired")),
            (10, 100, 9, Some("certificate-early")),
            (10, 16, 13, None),
            (10, 16, 15, Some("certificate-expires")),
        ] {
            assert_eq!(found(from, until, now).as_deref(), expected, "{from} {until} {now}");
        }
        let names = |names: &[&str], hosts: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            of_names(&owned(names), &owned(hosts)).map(|found| found.subject)
        };
        assert_eq!(names(&["localhost", "127.0.0.1", "*.example"], &[]), None);
        assert_eq!(names(&["a.example"], &["A.example:8443"]), None);
        assert_eq!(names(&["localhost", "a.example"], &["b.example"]).as_deref(), Some("a.example"));
    }
}
