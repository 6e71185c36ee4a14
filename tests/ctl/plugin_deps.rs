//! `smcpctl plugin deps`: an environment is made whole or not at all, and never by root.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use smcp_test_support::{Daemon, Setup};

use super::{ctl, smcpd, transcript};

const NOBODY: u32 = 65_534;
const PROGRAM: &str = "import argparse, sys\np = argparse.ArgumentParser()\ns = p.add_subparsers()\n\
                       s.add_parser('where', help='Says where Python is')\np.parse_args()\nprint(sys.prefix)\n";

/// Whoever may not be root: the user of the test, or the one that a test by root becomes.
fn owner() -> u32 {
    if rustix::process::geteuid().is_root() { NOBODY } else { rustix::process::geteuid().as_raw() }
}

fn plugin(daemon: &Daemon, name: &str, requirements: Option<&str>) -> PathBuf {
    let directory = daemon.path().join("plugins").join(name);
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("cli.py"), PROGRAM).unwrap();
    if let Some(text) = requirements {
        fs::write(directory.join("requirements.txt"), text).unwrap();
    }
    if rustix::process::geteuid().is_root() {
        chown(&directory, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    directory
}

fn deps(daemon: &Daemon, name: &str) -> String {
    transcript(daemon, &["plugin", "deps", name, "--user", "nobody"])
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "__pycache__")
        .collect();
    names.sort();
    names
}

#[test]
fn the_environment_is_made_beside_the_plugin_and_a_failure_leaves_the_old_one() {
    let daemon = smcpd().unprivileged().start();
    let directory = plugin(&daemon, "needy", Some("# nothing yet\n"));
    assert_eq!(
        transcript(&daemon, &["plugin", "deps", "needy", "--user", "nobody", "--dry-run"]),
        "would make `DIR/plugins/needy/.venv`\n[0]\n"
    );
    assert_eq!(names(&directory), ["cli.py", "requirements.txt"]);
    let said = deps(&daemon, "needy");
    assert!(said.starts_with("made `DIR/plugins/needy/.venv`\n") && said.ends_with("[0]\n"), "{said}");
    assert!(said.contains("requirements.txt\n"), "the tool's own words are shown: {said}");
    let environment = directory.join(".venv");
    assert_eq!(fs::metadata(&environment).unwrap().uid(), owner());
    assert_eq!(names(&directory), [".venv", "cli.py", "requirements.txt"]);
    // Scripts know where they are now, not where they were made.
    for entry in fs::read_dir(environment.join("bin")).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_symlink() {
            let text = fs::read(&path).unwrap();
            assert!(!String::from_utf8_lossy(&text).contains(".new/"), "{}", path.display());
        }
    }
    // The daemon has looked again.
    let called = transcript(&daemon, &["call", "needy.where"]);
    assert_eq!(called, "DIR/plugins/needy/.venv\n[0]\n");

    let before = fs::metadata(&environment).unwrap().ino();
    fs::write(directory.join("requirements.txt"), "./no-such-package\n").unwrap();
    let failed = deps(&daemon, "needy");
    assert!(failed.ends_with("[1]\n") && failed.contains("no-such-package"), "{failed}");
    assert_eq!(fs::metadata(&environment).unwrap().ino(), before);
    assert_eq!(names(&directory), [".venv", "cli.py", "requirements.txt"]);

    fs::write(directory.join("requirements.txt"), "").unwrap();
    fs::create_dir(directory.join(".venv.4194305.new")).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(directory.join(".venv.4194305.new"), Some(NOBODY), None).unwrap();
    }
    assert!(deps(&daemon, "needy").ends_with("[0]\n"));
    assert_ne!(fs::metadata(&environment).unwrap().ino(), before);
    // What an interrupted run left is gone as well.
    assert_eq!(names(&directory), [".venv", "cli.py", "requirements.txt"]);
}

#[test]
fn where_the_plugin_cannot_be_written_the_environment_is_the_daemons_own() {
    let daemon = smcpd().unprivileged().start();
    let directory = plugin(&daemon, "packaged", Some(""));
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o555)).unwrap();
    let said = deps(&daemon, "packaged");
    assert!(said.starts_with("made `DIR/STATE/smcp/venv/packaged`\n"), "{said}");
    assert_eq!(names(&directory), ["cli.py", "requirements.txt"]);
    assert_eq!(transcript(&daemon, &["call", "packaged.where"]), "DIR/STATE/smcp/venv/packaged\n[0]\n");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_cannot_be_made_is_refused_with_the_way_out() {
    let daemon = smcpd().unprivileged().start();
    plugin(&daemon, "bare", None);
    plugin(&daemon, "needy", Some(""));
    let bare = deps(&daemon, "bare");
    assert_eq!(
        bare,
        "error: `DIR/plugins/bare` has no `requirements.txt`\n\
         hint: list its packages there, one a line; without any it needs no environment of its own\n[4]\n"
    );
    assert!(deps(&daemon, "never").ends_with("[4]\n"));
    assert!(deps(&daemon, "../needy").ends_with("[2]\n"));
    if rustix::process::geteuid().is_root() {
        let as_user = |user: &str| transcript(&daemon, &["plugin", "deps", "needy", "--user", user]);
        assert_eq!(
            as_user("root"),
            "error: `root` is root: packages are never installed by root\nhint: choose another user with --user\n[2]\n"
        );
        assert_eq!(
            as_user("no-such-user"),
            "error: packages are never installed by root, and there is no user `no-such-user` to do it\n\
             hint: choose one with --user, or run it as the user that the daemon runs as\n[5]\n"
        );
        // The hidden step refuses root by itself.
        let target = daemon.path().join("target");
        let words = ["plugin", "deps-build", "/tmp", target.to_str().unwrap()];
        assert_eq!(ctl(&daemon, &words).output().unwrap().status.code(), Some(5));
        assert!(!target.exists());
    }
}

#[test]
fn uv_is_used_where_there_is_one() {
    let daemon = smcpd().unprivileged().start();
    let directory = plugin(&daemon, "needy", Some("a-package\n"));
    let bin = daemon.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let uv = bin.join("uv");
    // It does what uv does, as far as anyone can tell without a network.
    let text = "#!/bin/sh\necho uv \"$@\"\nif [ $1 = venv ]; then mkdir -p \"$2/bin\"; touch \"$2/pyvenv.cfg\"\n\
                printf '#!%s/bin/python\\n' \"$2\" > \"$2/bin/tool\"; fi\n";
    fs::write(&uv, text).unwrap();
    for path in [&bin, &uv] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = std::env::join_paths([bin, "/usr/bin".into(), "/bin".into()]).unwrap();
    let mut command = ctl(&daemon, &["plugin", "deps", "needy", "--user", "nobody"]);
    let output = command.env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("\nuv venv ") && said.contains("\nuv pip install --python "), "{said}");
    let real = directory.canonicalize().unwrap().display().to_string();
    let script = fs::read_to_string(directory.join(".venv/bin/tool")).unwrap();
    assert_eq!(script, format!("#!{real}/.venv/bin/python\n"));
}

/// Set-up code that looks around and says what came of it.
const BACKEND: &str = "import os\ndef build_wheel(*_, **__):\n    said = []\n    for path, mode in ((os.environ['PROWL'] + '/elsewhere', 'w'), (os.environ['PROWL'] + '/STATE/smcp/state/other/secret', 'r')):\n        try:\n            open(path, mode)\n            said.append('opened ' + path)\n        except OSError as error:\n            said.append(type(error).__name__ + ' ' + os.path.basename(path))\n    raise RuntimeError('; '.join(said))\n";

#[test]
fn the_set_up_code_of_a_package_writes_the_environment_and_reads_nothing_of_the_daemons() {
    // Not below /tmp, which everybody may write.
    let daemon = Setup::held(&super::daemon_program(), Path::new("/opt")).unprivileged().start();
    let directory = plugin(&daemon, "prowling", Some("./package\n"));
    let secret = daemon.path().join("STATE/smcp/state/other");
    fs::create_dir_all(&secret).unwrap();
    fs::write(secret.join("secret"), "secret").unwrap();
    let package = directory.join("package");
    fs::create_dir(&package).unwrap();
    let project = "[project]\nname = 'prowler'\nversion = '1'\n[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n";
    fs::write(package.join("pyproject.toml"), project).unwrap();
    fs::write(
        package.join("backend.py"),
        BACKEND.replace("os.environ['PROWL']", &format!("{:?}", daemon.path().display().to_string())),
    )
    .unwrap();
    let said = deps(&daemon, "prowling");
    assert!(
        said.contains("PermissionError elsewhere; PermissionError secret") && said.ends_with("[1]\n"),
        "{said}"
    );
    assert!(!daemon.path().join("elsewhere").exists());
    assert_eq!(names(&directory), ["cli.py", "package", "requirements.txt"]);
}
