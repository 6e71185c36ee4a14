//! `smcpctl plugin new`: what it writes passes `plugin check` and answers its first call.

use std::fs;
use std::process::Command;

use super::plugin_check::Alone;
use super::{smcpd, transcript};

#[test]
fn a_new_plugin_is_sound_is_linked_and_answers() {
    let alone = Alone::new();
    let daemon = smcpd().start();
    for (language, files) in
        [("python", "cli.py, README.md, test_cli.py, .gitignore"), ("bash", "cli, README.md, test.sh")]
    {
        let name = format!("greet-{language}");
        assert_eq!(
            alone.transcript(&["plugin", "new", &name, "--lang", language]),
            format!(
                "wrote `{name}`: {files}\nnext: smcpctl plugin check {name}\nnext: smcpctl plugin link {name}\n[0]\n"
            )
        );
        let check = alone.run(&["plugin", "check", &name, "--strict"]);
        assert!(check.status.success(), "{check:?}");
        let directory = alone.path().join(&name).display().to_string();
        transcript(&daemon, &["plugin", "link", &directory]);
        let tool = format!("{name}.greet");
        let said = transcript(&daemon, &["call", &tool, "name=\"Ada\"", "times=2"]);
        assert_eq!(said, "{\"greeting\": \"Hello, \\\"Ada\\\"! Hello, \\\"Ada\\\"!\"}\n[0]\n");
        let wrong = transcript(&daemon, &["call", &tool, "name=Ada", "times=0"]);
        assert!(wrong.contains("times") && !wrong.ends_with("[0]\n"), "{wrong}");
    }
    let in_directory = |program: &str, words: &[&str], name: &str| {
        let output = Command::new(program).args(words).current_dir(alone.path().join(name)).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    in_directory("python3", &["-m", "unittest"], "greet-python");
    in_directory("bash", &["test.sh"], "greet-bash");
}

#[test]
fn a_new_rust_plugin_is_sound_once_it_is_built() {
    let alone = Alone::new();
    let said = alone.transcript(&["plugin", "new", "greet", "--lang", "rust"]);
    assert!(
        said.contains("next: cd greet && cargo build --release && ln -s target/release/greet cli\n"),
        "{said}"
    );
    assert!(alone.transcript(&["plugin", "check", "greet"]).contains("error no-entry-point"));
    let directory = alone.path().join("greet");
    // As the README has it, in the quicker profile.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--offline", "--target-dir", "target"])
        .current_dir(&directory)
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    std::os::unix::fs::symlink("target/debug/greet", directory.join("cli")).unwrap();
    let check = alone.run(&["plugin", "check", "greet", "--strict"]);
    assert!(check.status.success(), "{check:?}");
    let called = Command::new(directory.join("cli")).args(["greet", "--name=a\"b"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&called.stdout), "{\"greeting\": \"Hello, a\\\"b!\"}\n");
}

#[test]
fn what_cannot_be_made_is_refused_and_nothing_stays() {
    let alone = Alone::new();
    fs::create_dir(alone.path().join("taken")).unwrap();
    fs::write(alone.path().join("file"), "").unwrap();
    let long = "a".repeat(33);
    let cases: [(&[&str], &str, i32); 8] = [
        (&["taken"], "error: `taken` is there already\nhint: choose another name", 7),
        (&["file"], "error: `file` is there already", 7),
        (&["two words"], "error: `two words` is no name", 2),
        (&["../up"], "error: `../up` is no name", 2),
        (&[&long], "more than 32 letters", 2),
        (&["2nd", "--lang", "rust"], "begins with a letter", 2),
        (&["fine", "--into", "nowhere"], "error: there is no directory `nowhere`", 4),
        (&["fine", "--lang", "cobol"], "error: invalid value 'cobol'", 2),
    ];
    for (words, expected, code) in cases {
        let said = alone.transcript(&[&["plugin", "new"], words].concat());
        assert!(said.contains(expected) && said.ends_with(&format!("[{code}]\n")), "{words:?}: {said}");
    }
    let dry = alone.transcript(&["plugin", "new", "fine", "--dry-run"]);
    assert!(dry.starts_with("would write `fine`: cli.py"), "{dry}");
    let mut left: Vec<_> =
        fs::read_dir(alone.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["file", "plugins", "taken"]);
}
