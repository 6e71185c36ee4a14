//! Completion as a shell asks for it.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{smcpd, socket};

/// Asks in a real bash: the script is sourced, and its function called as bash calls it.
pub(super) fn in_bash(socket: &Path, line: &str) -> Vec<String> {
    let beside = Path::new(env!("CARGO_BIN_EXE_smcpctl")).parent().unwrap();
    let script = r#"
        source <(smcpctl completion bash)
        # As bash takes a line apart: `=` stands alone.
        line=${LINE//=/ = }
        read -ra COMP_WORDS <<<"$line"
        [[ $LINE == *" " || $LINE == *= ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$LINE COMP_POINT=${#LINE} COMP_TYPE=9
        _clap_complete_smcpctl smcpctl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let path = format!("{}:{}", beside.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["--norc", "-c", script])
        .env("PATH", path)
        .env("LINE", line)
        .env("SMCP_SOCKET", socket)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.lines().all(|line| line.contains("compopt")), "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    // Flags are the same with every daemon.
    let words = stdout.lines().map(str::trim).filter(|word| !word.is_empty() && !word.starts_with("--"));
    let mut words: Vec<String> = words.map(str::to_owned).collect();
    words.sort();
    words
}

#[test]
fn names_of_the_running_daemon_complete_in_a_real_bash() {
    let daemon = smcpd().plugins(&["demo_math", "demo_text"]).start();
    let socket = socket(&daemon);
    let found = |line: &str| in_bash(&socket, line);
    assert_eq!(found("smcpctl plugin unlink "), ["demo_math", "demo_text"]);
    assert_eq!(
        found("smcpctl call demo_math."),
        ["demo_math.calculate", "demo_math.coin-flip", "demo_math.format-bytes"]
    );
    assert_eq!(found("smcpctl tools show demo_text.e"), ["demo_text.echo"]);
    assert_eq!(found("smcpctl call demo_math.calculate op"), ["operation="]);
    assert_eq!(
        found("smcpctl call demo_math.calculate operation="),
        ["add", "divide", "multiply", "subtract"]
    );
    assert!(found("smcpctl pl").contains(&"plugin".to_owned()));
    assert_eq!(found("smcpctl connect claude-d"), ["claude-desktop"]);
}

#[test]
fn a_daemon_that_is_away_or_stuck_costs_no_more_than_a_moment_and_no_word() {
    let daemon = smcpd().start();
    assert!(in_bash(Path::new("/nowhere.sock"), "smcpctl plugin unlink ").is_empty());
    let stuck = daemon.path().join("stuck.sock");
    // Connections are taken by the kernel, and nobody ever speaks.
    let _listener = UnixListener::bind(&stuck).unwrap();
    let began = Instant::now();
    assert!(in_bash(&stuck, "smcpctl cancel ").is_empty());
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}
