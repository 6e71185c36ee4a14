//! `smcpctl plugin check`: one implementation with the daemon's, seen from outside.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use smcp_test_support::{Setup, root};

use super::smcpd;

/// A place for plugins, and smcpctl without a daemon in it.
pub(crate) struct Alone(Setup);

impl Alone {
    pub(crate) fn new() -> Self {
        Self(smcpd())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smcpctl"));
        command.args(words).current_dir(self.path()).stdin(Stdio::null()).env("HOME", self.path());
        for name in ["CONFIG", "DATA", "STATE", "CACHE"] {
            command.env(format!("XDG_{name}_HOME"), self.path().join(name));
        }
        command.output().unwrap()
    }

    /// What a person sees, and the exit code.
    pub(crate) fn transcript(&self, words: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.run(words);
        let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
        let text = text.replace(&self.path().canonicalize().unwrap().display().to_string(), "DIR");
        let text = text.replace(&root().display().to_string(), "ROOT");
        format!("{text}[{}]\n", status.code().unwrap())
    }

    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let output = self.run(&[words, &["--json"]].concat());
        let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!(value["version"], 1);
        value
    }

    /// Copies a fixture, so that it may be changed.
    pub(crate) fn fixture(&self, name: &str) -> PathBuf {
        let from = root().join("tests/fixtures/plugins").join(name);
        let from = if from.exists() { from } else { root().join("plugins").join(name) };
        let copied = Command::new("cp").arg("-r").arg(from).arg(self.path()).status().unwrap();
        assert!(copied.success());
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn codes(check: &Value) -> Vec<String> {
    let findings = check["check"]["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

fn states(check: &Value) -> Vec<String> {
    let commands = check["check"]["commands"].as_array().unwrap();
    commands.iter().map(|command| command["round_trip"]["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_sound_plugin_is_shown_in_a_few_lines() {
    let alone = Alone::new();
    let shipped = root().join("plugins/demo_math").display().to_string();
    assert_eq!(
        alone.transcript(&["plugin", "check", &shipped, "--strict"]),
        "demo_math (contract) at ROOT/plugins/demo_math\n\
         demo_math.calculate(operation, a: number, b: number)\tletta openai\tok\n\
         demo_math.format-bytes(value: integer)\tletta openai\tok\n\
         demo_math.coin-flip()\tletta openai\tok\n\
         nothing found\n[0]\n"
    );
}

#[test]
fn what_is_wrong_has_a_code_a_subject_and_a_fix_and_ends_with_seven() {
    let alone = Alone::new();
    alone.fixture("describe_v1");
    alone.write(
        "loose/cli.py",
        "import argparse\np = argparse.ArgumentParser()\ns = p.add_subparsers()\n\
         c = s.add_parser('go')\nc.add_argument('--path')\np.parse_args()\n",
        0o666,
    );
    assert_eq!(
        alone.transcript(&["plugin", "check", "loose"]),
        "loose (parser) at DIR/loose\n\
         loose.go(path?)\tletta\tok\n\
         error world-writable DIR/loose/cli.py: everyone may change it\n  fix: chmod o-w DIR/loose/cli.py\n\
         warning group-writable DIR/loose/cli.py: its group may change it\n  fix: chmod g-w DIR/loose/cli.py\n\
         warning no-description loose.go: it does not say what it does, and an agent chooses by that\n  \
         fix: give the command a `help`, or a `description` in the contract\n\
         warning no-parameter-description loose.go(path): it does not say what to put there\n  \
         fix: give it a `help`, or a `description` in the contract\n\
         note no-plugin-description loose: it does not say what it is for\n  \
         fix: describe the parser, or give the contract a `plugin.description`\n\
         note not-strict-openai loose.go: not required: `path`\n  \
         fix: nothing, where clients rewrite optional parameters to nullable ones, as Letta does\n\
         1 error, 3 warnings, 2 notes\n[7]\n"
    );
    fs::set_permissions(alone.path().join("loose/cli.py"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(alone.run(&["plugin", "check", "loose"]).status.code(), Some(0));
    assert_eq!(alone.run(&["plugin", "check", "loose", "--strict"]).status.code(), Some(7));
}

#[test]
fn every_way_to_be_no_plugin_is_named() {
    let alone = Alone::new();
    for name in [
        "bad_contract",
        "bad_import",
        "bad_json",
        "bad_exit",
        "bad_empty",
        "bad_binary",
        "help_only",
        "epilog_only",
    ] {
        alone.fixture(name);
    }
    symlink("nowhere", alone.path().join("gone")).unwrap();
    symlink("bad_exit", alone.path().join("two words")).unwrap();
    let cases: [(&str, &str, i32); 10] = [
        ("bad_contract", "bad-contract", 7),
        ("bad_json", "bad-contract", 7),
        ("bad_import", "not-described", 7),
        ("bad_exit", "not-described", 7),
        ("bad_empty", "no-entry-point", 7),
        ("bad_binary", "no-shebang", 7),
        ("gone", "dangling-link", 7),
        ("two words", "bad-name", 7),
        ("help_only", "help-text", 0),
        ("epilog_only", "names-only", 0),
    ];
    for (name, code, exit) in cases {
        let words = ["plugin", "check", name];
        let check = alone.json(&words);
        assert!(codes(&check).iter().any(|known| known == code), "{name}: {check:#}");
        assert_eq!(alone.run(&words).status.code(), Some(exit), "{name}");
    }
    let missing = alone.transcript(&["plugin", "check", "never"]);
    assert_eq!(missing, "error: there is no plugin at `never`\nhint: give the plugin's directory\n[4]\n");
}

#[test]
fn arguments_go_there_and_back_and_no_command_ever_runs() {
    let alone = Alone::new();
    for name in ["shapes", "nested", "describe_v1"] {
        alone.fixture(name);
        let check = alone.json(&["plugin", "check", name]);
        assert!(states(&check).iter().all(|state| state == "ok"), "{name}: {check:#}");
    }
    alone.write(
        "odd/cli.py",
        r#"
import argparse, json, pathlib, sys
RAN = pathlib.Path(__file__).with_name("ran")
CONTRACT = {"commands": [
    {"name": "lost", "description": "d", "parameters": [{"name": "ghost", "description": "d"}]},
    {"name": "picky", "description": "d", "parameters": [{"name": "day", "description": "d", "required": True}]},
    {"name": "fed", "description": "d", "stdin": True}]}
def day(text):
    raise argparse.ArgumentTypeError("no such day")
p = argparse.ArgumentParser()
p.add_argument("--describe", action="store_true")
s = p.add_subparsers(dest="command")
s.add_parser("lost")
s.add_parser("picky").add_argument("--day", type=day, required=True)
s.add_parser("fed")
a = p.parse_args()
if a.describe:
    print(json.dumps(CONTRACT))
    sys.exit()
RAN.touch()
"#,
        0o644,
    );
    let check = alone.json(&["plugin", "check", "odd"]);
    assert_eq!(states(&check), ["failed", "unknown", "unknown"], "{check:#}");
    let detail = |index: usize| check["check"]["commands"][index]["round_trip"]["detail"].clone();
    assert_eq!(detail(0), "nothing takes `--ghost=value1`");
    assert!(detail(1).as_str().unwrap().contains("no such day"), "{}", detail(1));
    assert!(detail(2).as_str().unwrap().contains("stdin"), "{}", detail(2));
    assert!(!alone.path().join("odd/ran").exists());
}

#[test]
fn the_json_says_all_of_it() {
    let alone = Alone::new();
    alone.fixture("describe_v1");
    let check = alone.json(&["plugin", "check", "describe_v1"])["check"].take();
    let plugin = &check["plugin"];
    assert_eq!((&plugin["name"], &plugin["source"]), (&json!("describe_v1"), &json!("contract")));
    let command = &check["commands"][0];
    assert_eq!(command["tool"], "describe_v1.add-note");
    assert_eq!(command["name"], "describe_v1__add-note");
    assert_eq!(command["input_schema"]["additionalProperties"], false);
    assert_eq!(command["strict"]["letta"], true);
    assert_eq!(command["strict"]["openai"], false);
    assert_eq!(command["parameters"][0]["name"], "title");
    assert_eq!(check["contract"]["contract_version"], "1.1");
    for finding in check["findings"].as_array().unwrap() {
        for key in ["code", "severity", "subject", "message", "fix"] {
            assert!(finding[key].is_string(), "{key}: {finding}");
        }
    }
}

#[test]
fn without_smcpd_it_says_what_is_missing() {
    let alone = Alone::new();
    alone.fixture("shapes");
    let copy = alone.path().join("smcpctl");
    smcp_test_support::copy_program(env!("CARGO_BIN_EXE_smcpctl"), &copy);
    let output = Command::new(&copy)
        .args(["plugin", "check", "shapes"])
        .current_dir(alone.path())
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error: there is no `smcpd` beside this smcpctl or on the PATH\n\
         hint: install it: both programs come in one package\n"
    );
}
