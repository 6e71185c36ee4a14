//! A control group for each plugin, where one is delegated. Here the test delegates it, as systemd would; it needs root and
//! a cgroup2 tree, and is passed over without them. `tests/rig` has the real one.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use smcp_test_support::{Daemon, Setup, is_alive, until};

use crate::confirming::control;

const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// A delegated group; dropping it removes it.
struct Delegated(PathBuf);

impl Delegated {
    fn make(name: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/mounts").ok()?;
        let tree =
            mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?.split(' ').nth(1)?;
        let place = Path::new(tree).join(format!("smcp-{name}-{}", std::process::id()));
        for controller in CONTROLLERS {
            // What another hierarchy has cannot be had here.
            let _lacking =
                fs::write(Path::new(tree).join("cgroup.subtree_control"), format!("+{controller}"));
        }
        fs::create_dir(&place).ok()?;
        let made = Self(place);
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(&made.0, "trusted.delegate", b"1", flags).ok()?;
        Some(made)
    }

    /// Whether the kernel counts that here; on a machine whose tree of version 1 has it, it does not.
    fn has(&self, controller: &str) -> bool {
        let told = fs::read_to_string(self.0.join("cgroup.controllers")).unwrap_or_default();
        told.split_whitespace().any(|name| name == controller)
    }

    fn members(&self, leaf: &str) -> Vec<u32> {
        let told = fs::read_to_string(self.0.join(leaf).join("cgroup.procs")).unwrap_or_default();
        told.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// A daemon that is started in it.
    fn smcpd(&self, place: &Path) -> Setup {
        let program = place.join("smcpd-in-group");
        let (procs, smcpd) = (self.0.join("cgroup.procs"), env!("CARGO_BIN_EXE_smcpd"));
        let script = format!("#!/bin/sh\necho $$ >{procs:?} && exec {smcpd:?} \"$@\"\n");
        fs::write(&program, script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&program, mode).unwrap();
        let copy = place.join("smcpd-copy");
        smcp_test_support::copy_program(&program, &copy);
        Setup::new(copy.to_str().unwrap())
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        until("the group can be removed", || {
            for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
                let _busy = fs::remove_dir(entry.path());
            }
            fs::remove_dir(&self.0).is_ok().then_some(())
        });
    }
}

/// The process that no mark, no session and no parent tell of.
fn slip_away(daemon: &Daemon, group: &Delegated, note: &str) -> (smcp_test_support::Connection, u32) {
    let note = daemon.path().join(note);
    let call = daemon.begin("hostile.slip-away", json!({"note": note}));
    until("it is away", || note.exists().then_some(()));
    let is_sleep =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n");
    let away = until("it sleeps", || group.members("plugin-hostile").into_iter().find(is_sleep));
    (call, away)
}

#[test]
fn nothing_slips_away_from_a_plugins_control_group() {
    let Some(group) = Delegated::make("slip") else { return };
    let place = tempfile::tempdir().unwrap();
    // With warm workers, which live on, and without, where all of the group ends at once.
    for mode in ["spare", "off"] {
        let config = format!("[execution]\ngrace = 0.1\n[plugin.hostile]\nwarm = \"{mode}\"\n");
        let daemon = group.smcpd(place.path()).plugins(&["hostile", "worker"]).config(&config).start();
        assert_eq!(group.members("daemon"), [daemon.pid()], "the daemon is in a leaf of its own");
        daemon.call("worker.read", json!({"seconds": 0}));
        let (call, away) = slip_away(&daemon, &group, &format!("note-{mode}"));
        drop(call);
        until("it is ended", || (!is_alive(away)).then_some(()));
        assert_eq!(daemon.call("hostile.spin", json!({"seconds": 0}))["isError"], json!(false));
        let metrics = daemon.get("/metrics", &[]).text();
        assert!(metrics.contains("smcp_group_processes{plugin=\"hostile\"}"), "{metrics}");
        let activity = control(&daemon, "control.sock", &json!({"request": "activity"}));
        let groups = activity["groups"].as_array().unwrap();
        let hostile = groups.iter().find(|group| group["plugin"] == "hostile").unwrap();
        assert!(hostile["processes"].is_u64() && hostile["cpu_seconds"].is_f64(), "{activity}");
        assert!(!daemon.log().contains("could not be killed"));
    }
}

#[test]
fn who_was_there_before_a_call_outlives_the_end_of_another() {
    let Some(group) = Delegated::make("before") else { return };
    let place = tempfile::tempdir().unwrap();
    let config = "[execution]\ngrace = 0.1\n[plugin.orphans]\nwarm = \"off\"\ntimeout = 1\n";
    let daemon = group.smcpd(place.path()).plugins(&["orphans"]).config(config).start();
    let (first, second) = (daemon.path().join("first"), daemon.path().join("second"));
    let said = daemon.call("orphans.daemonize", json!({"pidfile": first, "seconds": 20}));
    let pid =
        |said: &serde_json::Value| u32::try_from(said["structuredContent"]["pid"].as_u64().unwrap()).unwrap();
    let background = pid(&said);
    let said = daemon.call("orphans.stubborn", json!({"pidfile": second}));
    assert_eq!(said["structuredContent"]["error"]["code"], "timeout");
    assert!(is_alive(background), "it was left there by a call that ended well");
    for pid in fs::read_to_string(second).unwrap().split_whitespace() {
        assert!(!is_alive(pid.parse().unwrap()));
    }
    drop(daemon);
    let pid = rustix::process::Pid::from_raw(background.cast_signed()).unwrap();
    let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

/// A daemon whose plugins are held by `limits` together, each process for itself by nothing.
fn held(group: &Delegated, place: &Path, limits: &str) -> Daemon {
    let config = format!(
        "[execution]\ngrace = 0.1\ntimeout = 20\n[plugin.hostile]\nwarm = \"off\"\n[plugin.hostile.sandbox]\n{limits}\n"
    );
    group.smcpd(place).plugins(&["hostile", "worker"]).config(&config).start()
}

#[test]
fn all_processes_of_a_plugin_together_are_no_more_than_its_ceiling() {
    let Some(group) = Delegated::make("pids").filter(|group| group.has("pids")) else { return };
    let place = tempfile::tempdir().unwrap();
    let daemon = held(&group, place.path(), "total_processes = 24\nprocesses = 10_000");
    let note = daemon.path().join("note");
    let call = daemon.begin("hostile.fork-bomb", json!({"note": note}));
    let said: serde_json::Value =
        until("it was refused", || fs::read(&note).ok().and_then(|said| serde_json::from_slice(&said).ok()));
    let forked = said["forked"].as_u64().unwrap();
    assert!((10..24).contains(&forked) && said["refused"].is_string(), "{said}");
    // Its neighbour starts processes meanwhile.
    assert_eq!(daemon.call("worker.read", json!({"seconds": 0}))["isError"], json!(false));
    drop(call);
    until("the group is empty", || group.members("plugin-hostile").is_empty().then_some(()));
    assert_eq!(daemon.call("hostile.spin", json!({"seconds": 0}))["isError"], json!(false));
}

#[test]
fn all_memory_of_a_plugin_together_is_no_more_than_its_ceiling() {
    let Some(group) = Delegated::make("memory").filter(|group| group.has("memory")) else { return };
    let place = tempfile::tempdir().unwrap();
    let daemon = held(&group, place.path(), "total_memory = 67_108_864");
    let said = daemon.call("hostile.hog", json!({"step": 4, "bytes": 1 << 30}));
    assert_eq!(said["isError"], json!(true), "{said}");
    assert!(said["structuredContent"]["error"]["message"].as_str().unwrap().contains("signal"), "{said}");
    assert_eq!(daemon.call("worker.read", json!({"seconds": 0}))["isError"], json!(false));
    assert_eq!(daemon.call("hostile.spin", json!({"seconds": 0}))["isError"], json!(false));
}
