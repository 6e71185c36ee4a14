//! What a service manager hears: status, reloads, signs of life, and a plea for time.

use rustix::process::Signal;
use serde_json::json;
use smcp_test_support::{Daemon, until};

use crate::smcpd;

#[test]
fn the_status_says_what_goes_on() {
    let daemon = smcpd().plugins(&["worker"]).start();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| daemon.call("worker.sleep", json!({"seconds": 4})));
        let said = daemon.notified("STATUS=19 tools from 1 plugins, 1 calls running");
        assert!(!said.contains("READY"), "{said}");
        call.join().unwrap();
    });
    daemon.notified("STATUS=19 tools from 1 plugins, 0 calls running");
}

#[test]
fn a_reload_is_announced_with_its_time_and_ended() {
    let daemon = smcpd().start();
    daemon.signal(Signal::HUP);
    let said = daemon.notified("RELOADING=1");
    assert!(said.lines().any(|line| line.starts_with("MONOTONIC_USEC=")), "{said}");
    daemon.notified("READY=1");
}

#[test]
fn a_daemon_that_waits_for_its_calls_asks_for_time() {
    let daemon = smcpd().plugins(&["worker"]).start();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| daemon.call("worker.sleep", json!({"seconds": 2})));
        until("the call runs", || daemon.get("/health", &[]).text().contains("\"running\":1").then_some(()));
        daemon.signal(Signal::TERM);
        daemon.notified("STOPPING=1");
        daemon.notified("EXTEND_TIMEOUT_USEC=");
        assert_eq!(call.join().unwrap()["structuredContent"]["slept"], 2.0);
    });
}

fn watched() -> smcp_test_support::Setup {
    smcpd().environment("WATCHDOG_USEC", "400000")
}

fn beats(daemon: &Daemon, count: usize) {
    for _ in 0..count {
        daemon.notified("WATCHDOG=1");
    }
}

#[test]
fn the_watchdog_is_fed_as_long_as_the_daemon_lives() {
    let daemon = watched().plugins(&["worker"]).start();
    beats(&daemon, 5);
    // Work does not keep it from saying so.
    std::thread::scope(|scope| {
        let call = scope.spawn(|| daemon.call("worker.sleep", json!({"seconds": 1})));
        beats(&daemon, 3);
        call.join().unwrap();
    });
    assert!(!daemon.log().contains("does not answer"));
}

/// What ships cannot be wedged.
#[cfg(debug_assertions)]
#[test]
fn a_loop_that_hangs_starves_the_watchdog() {
    for part in ["executor", "control", "call", "http"] {
        let directory = tempfile::tempdir().unwrap();
        let when = directory.path().join("now");
        let daemon =
            watched().environment("WEDGE", part).environment("WEDGE_WHEN", when.to_str().unwrap()).start();
        beats(&daemon, 1);
        std::fs::write(&when, "").unwrap();
        // The thread that hangs may be the one that would have logged it.
        until("the beats stop", || {
            (!daemon.has_notified("WATCHDOG=1", std::time::Duration::from_secs(2))).then_some(())
        });
        eprintln!("{part} hangs");
        daemon.signal(Signal::KILL);
        let mut daemon = daemon;
        daemon.ended();
    }
}
