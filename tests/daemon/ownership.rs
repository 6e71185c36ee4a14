//! What others may change is not run: attacks on a plugin's files by whoever may write them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use smcp_test_support::{Daemon, Setup, until};

use crate::smcpd;

const PLUGIN: &str = "import argparse\np = argparse.ArgumentParser(description='d')\n\
                      p.add_subparsers().add_parser('go', help='goes')\np.parse_args()\n";

/// Puts a plugin into the plugins directory, and returns where it is.
fn place(setup: &Setup, name: &str) -> PathBuf {
    let directory = setup.path().join("plugins").join(name);
    fs::create_dir_all(directory.join("lib")).unwrap();
    fs::write(directory.join("cli.py"), PLUGIN).unwrap();
    fs::write(directory.join("lib/helper.py"), "").unwrap();
    directory
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Waits until the plugin is served, or is not.
fn await_tool(daemon: &Daemon, tool: &str, is_there: bool) {
    until("the catalog is as the files are", || {
        let list = daemon.ask("tools/list", serde_json::json!({})).to_string();
        (list.contains(&format!("\"{tool}\"")) == is_there).then_some(())
    });
}

fn reason_of(daemon: &Daemon, plugin: &str) -> String {
    let log = daemon.log();
    let of = |line: &&str| line.contains("plugin-failed") && line.contains(&format!("\"{plugin}\""));
    log.lines().rfind(of).unwrap_or_default().to_owned()
}

#[test]
fn what_everyone_may_write_is_not_run_and_stops_nobody_else() {
    let setup = smcpd().plugins(&["demo_math"]);
    let ways: [(&str, &str, u32); 4] = [
        ("file", "cli.py", 0o646),
        ("import", "lib/helper.py", 0o666),
        ("beside", "lib", 0o777),
        ("all", "", 0o1777),
    ];
    for (name, path, mode) in ways {
        set_mode(&place(&setup, name).join(path), mode);
    }
    let of_the_group = place(&setup, "group");
    set_mode(&of_the_group.join("cli.py"), 0o664);
    let daemon = setup.start();
    for (name, path, _) in ways {
        let fix = format!(
            "`chmod o-w {}",
            daemon.path().canonicalize().unwrap().join("plugins").join(name).join(path).display()
        );
        let reason = reason_of(&daemon, name);
        assert!(
            reason.contains("can be written by everyone") && reason.contains(fix.trim_end_matches('/')),
            "{reason}"
        );
        await_tool(&daemon, &format!("{name}__go"), false);
    }
    await_tool(&daemon, "demo_math__calculate", true);
    await_tool(&daemon, "group__go", true);
    // It is served once it is mended, and no longer once it is open again.
    let file = daemon.path().join("plugins/file/cli.py");
    for (mode, is_there) in [(0o644, true), (0o646, false)] {
        set_mode(&file, mode);
        daemon.signal(Signal::HUP);
        await_tool(&daemon, "file__go", is_there);
    }
    assert!(daemon.stop().success());
}

#[test]
fn what_a_stranger_may_change_is_not_run() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else can give a file away.
        return;
    }
    let (stranger, friend) = (Some(4_242), Some(4_243));
    let setup = smcpd();
    chown(place(&setup, "file").join("lib/helper.py"), stranger, None).unwrap();
    chown(place(&setup, "named").join("cli.py"), friend, None).unwrap();
    // The directory above may be renamed with all that is in it.
    let above = setup.path().join("above");
    fs::create_dir(&above).unwrap();
    fs::rename(place(&setup, "moved"), above.join("moved")).unwrap();
    let link = setup.path().join("plugins/moved");
    std::os::unix::fs::symlink(above.join("moved"), &link).unwrap();
    chown(&above, stranger, None).unwrap();
    let own = setup.path().join("own");
    fs::rename(place(&setup, "own"), &own).unwrap();
    for path in ["", "cli.py", "lib", "lib/helper.py"] {
        chown(own.join(path), stranger, None).unwrap();
    }
    // Who made the link runs what is theirs.
    let link = setup.path().join("plugins/own");
    std::os::unix::fs::symlink(&own, &link).unwrap();
    std::os::unix::fs::lchown(&link, stranger, None).unwrap();
    let daemon = setup.config("[plugins]\nowners = [4243]\n").start();
    for name in ["file", "moved"] {
        let reason = reason_of(&daemon, name);
        assert!(
            reason.contains("belongs to uid 4242") && reason.contains("`chown root "),
            "{name}: {reason}"
        );
    }
    await_tool(&daemon, "named__go", true);
    await_tool(&daemon, "own__go", true);
    await_tool(&daemon, "file__go", false);
    // Where anyone may make a link, its owner says nothing.
    set_mode(&daemon.path().join("plugins"), 0o1777);
    daemon.signal(Signal::HUP);
    await_tool(&daemon, "own__go", false);
    await_tool(&daemon, "named__go", true);
    assert!(daemon.stop().success());
}
