//! What may be linked, and what not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use smcp_test_support::root;

use super::{smcpd, socket, transcript};

#[test]
fn what_may_not_be_linked_is_refused_with_the_way_out() {
    let daemon = smcpd().plugins(&["demo_math"]).start();
    let make = |name: &str, mode: u32| {
        let directory = daemon.path().join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("cli.py"), "print(1)").unwrap();
        fs::set_permissions(directory.join("cli.py"), fs::Permissions::from_mode(mode)).unwrap();
        directory.display().to_string()
    };
    let open = make("open", 0o666);
    let clash = make("demo_math", 0o644);
    let broken = make("broken", 0o664);
    let spaced = make("two words", 0o644);
    fs::create_dir(daemon.path().join("empty")).unwrap();
    fs::create_dir(daemon.path().join("plugins/real")).unwrap();
    let deep = make("deep", 0o644);
    fs::create_dir(daemon.path().join("deep/lib")).unwrap();
    fs::write(daemon.path().join("deep/lib/helper.py"), "").unwrap();
    fs::set_permissions(daemon.path().join("deep/lib/helper.py"), fs::Permissions::from_mode(0o646)).unwrap();
    let cases: [(&[&str], &str, i32); 8] = [
        (&["plugin", "link", &deep], "error: `DIR/deep/lib/helper.py` can be written by everyone", 7),
        (&["plugin", "link", "/nonexistent"], "error: `/nonexistent` leads nowhere: No such file", 4),
        (&["plugin", "link", "empty"], "error: `empty` is no plugin: it has neither `cli.py` nor `cli`", 7),
        (&["plugin", "link", &open], "can be written by everyone\nhint: chmod o-w", 7),
        (
            &["plugin", "link", &clash],
            "error: a plugin is called `demo_math` already\nhint: choose another name",
            7,
        ),
        (&["plugin", "link", &spaced], "error: `two words` is no name", 2),
        (&["plugin", "link", &broken], "warning: `DIR/broken/cli.py` can be written by its group", 7),
        (&["plugin", "unlink", "real"], "is no link: it is left as it is", 7),
    ];
    for (words, expected, code) in cases {
        let said = transcript(&daemon, words);
        assert!(said.contains(expected) && said.ends_with(&format!("[{code}]\n")), "{words:?}: {said}");
    }
    assert!(transcript(&daemon, &["plugin", "unlink", "../demo_math"]).ends_with("[2]\n"));
    assert!(daemon.path().join("plugins/real").is_dir());
}

#[test]
fn only_what_is_below_a_root_and_belongs_to_one_of_us_is_linked() {
    let daemon = smcpd();
    let inside = daemon.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let config = format!("[plugins]\nroots = [\"{}\"]\n", inside.display());
    let daemon = daemon.config(&config).start();
    for directory in [inside.join("tool"), daemon.path().join("outside")] {
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("cli.py"), "import argparse\np = argparse.ArgumentParser()\np.add_subparsers().add_parser('go')\np.parse_args()\n").unwrap();
    }
    let said = transcript(&daemon, &["plugin", "link", "outside"]);
    assert!(said.contains("is outside of `plugins.roots`") && said.ends_with("[11]\n"), "{said}");
    // A link inside that leads outside is outside.
    symlink("../outside", inside.join("sly")).unwrap();
    assert!(transcript(&daemon, &["plugin", "link", "inside/sly"]).ends_with("[11]\n"));
    let said = transcript(&daemon, &["plugin", "link", "inside/tool"]);
    assert!(said.contains("tool.go()") && said.ends_with("[0]\n"), "{said}");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(inside.join("tool/cli.py"), Some(12_345), None).unwrap();
        let said = transcript(&daemon, &["plugin", "link", "inside/tool", "--name", "foreign"]);
        assert!(said.contains("belongs to uid 12345") && said.ends_with("[11]\n"), "{said}");
    }
}

#[test]
fn a_bare_name_links_a_plugin_that_came_with_us() {
    let daemon = smcpd().start();
    let prefix = daemon.path().join("prefix");
    fs::create_dir_all(prefix.join("bin")).unwrap();
    fs::create_dir_all(prefix.join("share/smcp/plugins")).unwrap();
    symlink(root().join("plugins/demo_text"), prefix.join("share/smcp/plugins/demo_text")).unwrap();
    let program = prefix.join("bin/smcpctl");
    smcp_test_support::copy_program(env!("CARGO_BIN_EXE_smcpctl"), &program);
    let link = |name: &str| {
        let mut command = Command::new(&program);
        command.arg("--socket").arg(socket(&daemon)).args(["plugin", "link", name]);
        command.current_dir(daemon.path()).output().unwrap()
    };
    let output = link("demo_text");
    assert!(String::from_utf8_lossy(&output.stdout).contains("demo_text.echo"), "{output:?}");
    let output = link("demo_nope");
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("share/smcp/plugins"), "{output:?}");
}

#[test]
fn a_link_made_by_hand_is_the_same_as_one_that_was_linked() {
    let daemon = smcpd().start();
    symlink(root().join("plugins/demo_text"), daemon.path().join("plugins/text")).unwrap();
    let rescan = transcript(&daemon, &["rescan"]);
    // The watcher may have been quicker.
    assert!(rescan.contains("added\ttext.echo") || rescan == "nothing changed\n[0]\n", "{rescan}");
    assert!(transcript(&daemon, &["tools", "--plugin", "text"]).contains("text.echo(message, prefix?)"));
}
