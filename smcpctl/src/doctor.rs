//! `smcpctl doctor`: what the daemon finds of itself, and what is seen only from outside.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use smcp_control::{Client, Finding, Reply, Request, Severity, candidates};

use crate::beside;
use crate::cli::Cli;
use crate::daemon::unexpected;
use crate::exit::{Exit, Failure};
use crate::table::{print, print_json, print_rows};

const UNIT: &str = "smcpd.service";
/// Where a daemon listens by default.
const PORT: u16 = 8000;

fn finding(code: &str, severity: Severity, subject: &str, message: String, fix: &str) -> Finding {
    Finding { code: code.to_owned(), severity, subject: subject.to_owned(), message, fix: fix.to_owned() }
}

/// Looks from both sides; without a daemon, from outside alone.
pub(crate) async fn run(cli: &Cli, strict: bool) -> Result<Exit, Failure> {
    let mut findings = Vec::new();
    match Client::connect(&candidates(cli.socket.clone())).await {
        Ok(mut client) => {
            findings.extend(version(&client.hello().version));
            match client.ask(&Request::Doctor).await? {
                Reply::Findings { findings: found } => findings.extend(found),
                other => return unexpected(&other),
            }
        }
        Err(error) => {
            let failure = Failure::from(error);
            // Whoever may not ask is told so by the exit code, as by every command.
            if failure.exit == Exit::NotPermitted {
                return Err(failure);
            }
            let fix = failure.hint.as_deref().unwrap_or("start it");
            findings.push(finding("daemon-unreachable", Severity::Error, "smcpd", failure.message, fix));
            findings.extend(port(SocketAddr::from(([127, 0, 0, 1], PORT))));
            findings.extend(interpreter());
        }
    }
    if Path::new("/run/systemd/system").is_dir() {
        findings.extend(unit().await);
        findings.extend(journal(Path::new("/run/systemd/journal/socket")));
    }
    findings.sort_by(|one, other| {
        (one.severity, &one.code, &one.subject).cmp(&(other.severity, &other.code, &other.subject))
    });
    if cli.json {
        print_json("findings", &findings)?;
    } else if findings.is_empty() {
        print("nothing is wrong\n")?;
    } else {
        let row = |one: &Finding| {
            let Finding { code, severity, subject, message, fix } = one.clone();
            vec![severity.as_str().to_owned(), code, subject, format!("{message}  (fix: {fix})")]
        };
        print_rows(
            &["SEVERITY", "CODE", "SUBJECT", "MESSAGE"],
            &findings.iter().map(row).collect::<Vec<_>>(),
        )?;
    }
    Ok(verdict(&findings, strict))
}

/// Errors fail; with `strict` warnings do too. A note is no fault.
fn verdict(findings: &[Finding], strict: bool) -> Exit {
    let worst = findings.iter().map(|one| one.severity).min();
    match worst {
        Some(Severity::Error) => Exit::Failed,
        Some(Severity::Warning) if strict => Exit::Failed,
        Some(Severity::Warning | Severity::Note) | None => Exit::Ok,
    }
}

fn version(theirs: &str) -> Option<Finding> {
    let ours = env!("CARGO_PKG_VERSION");
    (theirs != ours).then(|| {
        let message = format!("the daemon is of version {theirs}, smcpctl of {ours}");
        finding("version-mismatch", Severity::Warning, "smcpd", message, "restart the daemon")
    })
}

/// Somebody else may have the port of a daemon that does not run.
fn port(address: SocketAddr) -> Option<Finding> {
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok().then(|| {
        let message = "something listens here, and it is no smcpd that we reach".to_owned();
        let fix = "find it with `ss -ltnp`, or set `http.port`";
        finding("port-in-use", Severity::Warning, &address.to_string(), message, fix)
    })
}

fn interpreter() -> Option<Finding> {
    beside::on_path("python3").is_none().then(|| {
        let message = "no python3 was found: plugins that need one will fail".to_owned();
        finding(
            "no-interpreter",
            Severity::Warning,
            "python3",
            message,
            "install it, or set `plugins.python`",
        )
    })
}

async fn unit() -> Vec<Finding> {
    let says = async |word: &str| {
        let mut command = Command::new("systemctl");
        let output = beside::output(command.args([word, UNIT]), Duration::from_secs(5)).await.ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    of_unit(says("is-active").await.as_deref(), says("is-enabled").await.as_deref())
}

fn of_unit(active: Option<&str>, enabled: Option<&str>) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(state) = active.filter(|state| *state == "failed") {
        let message = format!("the unit is {state}");
        let fix = "see `journalctl -xeu smcpd`, mend it, then `systemctl restart smcpd`";
        found.push(finding("unit-failed", Severity::Error, UNIT, message, fix));
    }
    if let (Some("active"), Some(state @ "disabled")) = (active, enabled) {
        let message = format!("the unit is {state}: it will not start with the system");
        found.push(finding("unit-disabled", Severity::Warning, UNIT, message, "`systemctl enable smcpd`"));
    }
    found
}

fn journal(socket: &Path) -> Option<Finding> {
    let reached = std::os::unix::net::UnixDatagram::unbound().and_then(|from| from.connect(socket));
    reached.err().map(|error| {
        let message = format!("the journal cannot be reached: {error}");
        let subject = socket.display().to_string();
        let fix = "`systemctl status systemd-journald`";
        finding("journal-unreachable", Severity::Warning, &subject, message, fix)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_fail_and_warnings_do_where_it_is_strict() {
        let of = |severity| vec![finding("a", severity, "b", "c".to_owned(), "d")];
        for (findings, lax, strict) in [
            (Vec::new(), Exit::Ok, Exit::Ok),
            (of(Severity::Note), Exit::Ok, Exit::Ok),
            (of(Severity::Warning), Exit::Ok, Exit::Failed),
            (of(Severity::Error), Exit::Failed, Exit::Failed),
        ] {
            assert_eq!((verdict(&findings, false), verdict(&findings, true)), (lax, strict));
        }
    }

    #[test]
    fn a_unit_is_judged_by_what_systemctl_says() {
        let codes =
            |active, enabled| of_unit(active, enabled).into_iter().map(|one| one.code).collect::<Vec<_>>();
        assert!(codes(Some("active"), Some("enabled")).is_empty());
        assert!(codes(None, None).is_empty());
        assert!(codes(Some("inactive"), Some("disabled")).is_empty());
        assert_eq!(codes(Some("active"), Some("disabled")), ["unit-disabled"]);
        assert_eq!(codes(Some("failed"), Some("enabled")), ["unit-failed"]);
    }

    #[tokio::test]
    async fn what_is_not_ours_is_seen() {
        assert_eq!(version(env!("CARGO_PKG_VERSION")), None);
        assert_eq!(version("0.0.0").unwrap().code, "version-mismatch");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(port(address).unwrap().code, "port-in-use");
        drop(listener);
        // Between its fork and its exec, a child of another test holds the listener too.
        let mut tries = 200;
        while port(address).is_some() && tries > 0 {
            tries -= 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(port(address), None);
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(journal(&directory.path().join("none")).unwrap().code, "journal-unreachable");
    }
}
