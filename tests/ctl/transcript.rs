//! Transcripts in Markdown, run against a real daemon and compared whole: `docs/operations.md` for people, and
//! `transcripts/*.md` for every command's table, JSON, error and exit code.
//!
//! In a block of the kind `console`, a line after `$ ` is a command of the shell (lines after `> ` continue it), and
//! what follows is what it prints; a last line `[7]` is its exit code where that is not 0. What differs from run to
//! run is replaced by a fixed word before it is compared. `UPDATE_TRANSCRIPTS=1 cargo test` writes the files anew.

use std::fs;
use std::path::Path;
use std::process::Command;

use smcp_test_support::{Daemon, PATIENCE, Setup, root};

/// Where commands run, and how they see the terminal.
struct Stage<'a> {
    daemon: &'a Daemon,
    /// `None`: no terminal.
    columns: Option<usize>,
}

impl Stage<'_> {
    fn run(&self, command: &str) -> String {
        let mut shell = match self.columns {
            None => {
                let mut shell = Command::new("sh");
                // In the order in which it was written.
                shell.args(["-c", &format!("{{ {command}\n}} 2>&1")]);
                shell
            }
            Some(columns) => {
                let mut shell = Command::new("python3");
                shell.arg(root().join("tests/ctl/on_terminal.py")).args([&columns.to_string(), command]);
                shell
            }
        };
        let beside = Path::new(env!("CARGO_BIN_EXE_smcpctl")).parent().unwrap();
        let path = std::env::join_paths(
            [beside.to_owned()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        let home = self.daemon.path();
        let output = shell
            .current_dir(root())
            .env("PATH", path.unwrap())
            .env("HOME", home)
            .env("XDG_RUNTIME_DIR", home.join("runtime"))
            .env_remove("SMCP_SOCKET")
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("XDG_STATE_HOME", home.join("STATE"))
            .env("TERM", "xterm")
            .output()
            .unwrap();
        let mut said = self.fixed(&String::from_utf8_lossy(&output.stdout));
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        if !said.is_empty() && !said.ends_with('\n') {
            said.push('\n');
        }
        match output.status.code() {
            Some(0) => said,
            code => format!("{said}[{}]\n", code.unwrap_or(-1)),
        }
    }

    /// Replaces what differs from run to run.
    fn fixed(&self, said: &str) -> String {
        let daemon = self.daemon;
        let mut text = said.to_owned();
        for (what, word) in [
            (daemon.path().canonicalize().unwrap().display().to_string(), "/home/you"),
            (daemon.path().display().to_string(), "/home/you"),
            (root().display().to_string(), "/opt/smcp"),
            (daemon.address().to_string(), "127.0.0.1:8000"),
            (format!("{:x}-", daemon.pid()), "1f2a-"),
        ] {
            text = text.replace(&what, word);
        }
        for (before, word) in [
            ("uid ", "1000"),
            ("pid ", "4711"),
            ("\"uid\": ", "1000"),
            ("\"uid\":", "1000"),
            ("\"pid\": ", "4711"),
            ("\"pid\":", "4711"),
            ("uid=", "1000"),
            ("pid=", "4711"),
            ("_seconds\": ", "5"),
            ("milliseconds\": ", "1234"),
            ("_us\": ", "59400"),
            ("_us=", "59400"),
            ("ms=", "60"),
            ("\"ms\":", "60"),
            ("up ", "5"),
        ] {
            text = numbers(&text, before, word);
        }
        let line = |line: &str| {
            waiting(&calls(&interpreter(&digest(&milliseconds(&secrets(&moments(&times(line))))))))
        };
        text.split_inclusive('\n').map(line).collect()
    }
}

/// Replaces the number that follows each `before`.
fn numbers(text: &str, before: &str, word: &str) -> String {
    let mut parts = text.split(before);
    let mut fixed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
        fixed.push_str(before);
        if rest.len() < part.len() {
            fixed.push_str(word);
        }
        fixed.push_str(rest);
    }
    fixed
}

/// `2026-11-21T08:08:10.883492Z`, wherever it stands.
fn times(line: &str) -> String {
    let is_time = |at: usize| {
        let pattern = "dddd-dd-ddTdd:dd:dd.ddddddZ";
        line.get(at..at + pattern.len()).is_some_and(|found| {
            found.chars().zip(pattern.chars()).all(|(letter, as_in)| match as_in {
                'd' => letter.is_ascii_digit(),
                other => letter == other,
            })
        })
    };
    match (0..line.len()).find(|at| is_time(*at)) {
        Some(at) => format!("{}2026-11-21T08:00:00.000000Z{}", &line[..at], &line[at + 27..]),
        None => line.to_owned(),
    }
}

/// `2026-11-21T08:08:10Z`, each of them.
fn moments(line: &str) -> String {
    let is_time = |at: usize| {
        let pattern = "dddd-dd-ddTdd:dd:ddZ";
        line.get(at..at + pattern.len()).is_some_and(|found| {
            found.chars().zip(pattern.chars()).all(|(letter, as_in)| match as_in {
                'd' => letter.is_ascii_digit(),
                other => letter == other,
            })
        })
    };
    match (0..line.len()).find(|at| is_time(*at)) {
        Some(at) => format!("{}2026-11-21T08:00:00Z{}", &line[..at], moments(&line[at + 20..])),
        None => line.to_owned(),
    }
}

/// The secret of a key.
fn secrets(line: &str) -> String {
    match line.split_once("smcp_") {
        Some((before, rest))
            if rest.len() >= 64 && rest.as_bytes()[..64].iter().all(u8::is_ascii_hexdigit) =>
        {
            format!("{before}smcp_0123…{}", &rest[64..])
        }
        _ => line.to_owned(),
    }
}

fn milliseconds(line: &str) -> String {
    match line.trim_end().strip_suffix(" ms") {
        Some(rest) => {
            let rest = rest.trim_end_matches(|letter: char| letter.is_ascii_digit());
            format!("{rest}1234 ms{}", if line.ends_with('\n') { "\n" } else { "" })
        }
        None => line.to_owned(),
    }
}

/// The columns of `smcpctl calls` are as wide as what differs.
fn calls(line: &str) -> String {
    if !line.starts_with("CALL ") && !line.ends_with(" ms\n") {
        return line.to_owned();
    }
    line.split("  ").map(str::trim_start).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("  ")
}

fn digest(line: &str) -> String {
    let hex = |word: &&str| word.len() >= 16 && word.chars().all(|letter| letter.is_ascii_hexdigit());
    match line.split(|letter: char| !letter.is_ascii_alphanumeric()).find(hex) {
        Some(found) => line.replace(found, "0123456789abcdef"),
        None => line.to_owned(),
    }
}

/// The interpreter that the daemon found on this machine.
fn interpreter(line: &str) -> String {
    let is_python = |word: &&str| word.starts_with('/') && word.contains("/bin/python3");
    match line.split([' ', '\t', '"']).find(is_python) {
        Some(found) => line.replace(found.trim_end(), "/usr/bin/python3"),
        None => line.to_owned(),
    }
}

/// How much is ready for a plugin is a matter of the moment.
fn waiting(line: &str) -> String {
    match line.starts_with("warm\tspare") {
        true => "warm\tspare: its parent is up, and a spare\n".to_owned(),
        false => line.to_owned(),
    }
}

/// Runs the commands of a file in their order, and compares the file with what came out.
fn play(file: &str, stage: &Stage<'_>) {
    let path = root().join(file);
    let recorded = fs::read_to_string(&path).unwrap();
    let update = std::env::var_os("UPDATE_TRANSCRIPTS").is_some();
    let mut played = String::new();
    let mut lines = recorded.lines().peekable();
    let mut commands = 0;
    while let Some(line) = lines.next() {
        played.push_str(line);
        played.push('\n');
        if line != "```console" {
            continue;
        }
        while let Some(line) = lines.next_if(|line| *line != "```") {
            let mut command =
                line.strip_prefix("$ ").unwrap_or_else(|| panic!("{file}: no command: {line}")).to_owned();
            played.push_str(&format!("{line}\n"));
            while let Some(more) = lines.next_if(|line| line.starts_with("> ") || *line == ">") {
                command.push_str(&format!("\n{}", more.strip_prefix("> ").unwrap_or_default()));
                played.push_str(&format!("{more}\n"));
            }
            let mut expected = String::new();
            while let Some(said) = lines.next_if(|line| !line.starts_with("$ ") && *line != "```") {
                expected.push_str(&format!("{said}\n"));
            }
            commands += 1;
            let is_watching = command.starts_with("smcpctl calls");
            let mut said = stage.run(&command);
            let deadline = std::time::Instant::now() + PATIENCE;
            // What a call in the background brings about is there in a moment.
            while !update
                && command.contains("smcpctl calls")
                && said != expected
                && std::time::Instant::now() < deadline
            {
                std::thread::sleep(std::time::Duration::from_millis(50));
                said = stage.run(&command);
            }
            if update && is_watching {
                std::thread::sleep(std::time::Duration::from_millis(500));
                said = stage.run(&command);
            }
            played.push_str(&said);
        }
    }
    assert!(commands > 5, "{file} has commands");
    if update {
        fs::write(&path, played).unwrap();
    } else if let Some((line, (then, now))) =
        recorded.lines().zip(played.lines()).enumerate().find(|(_, (then, now))| then != now)
    {
        panic!(
            "{file}:{}: the transcript says\n  {then}\nand the run\n  {now}\n\nThe whole run:\n{played}",
            line + 1
        );
    } else {
        assert_eq!(recorded, played, "{file}");
    }
}

fn setup() -> Setup {
    let setup = super::held_smcpd();
    let home = setup.path().join(".config").display().to_string();
    setup.environment("XDG_CONFIG_HOME", &home)
}

#[test]
fn the_guide_for_operators_shows_what_happens() {
    let daemon = setup().start();
    // Wide enough wherever the tree lies: what is shown as `/home/you` may be a long path.
    let columns = 150 + daemon.path().as_os_str().len();
    play("docs/operations.md", &Stage { daemon: &daemon, columns: Some(columns) });
}

#[test]
fn every_command_prints_what_its_transcript_says() {
    let daemon = setup().plugins(&["demo_math", "bad_exit", "worker"]).start();
    play("tests/ctl/transcripts/commands.md", &Stage { daemon: &daemon, columns: None });
}
