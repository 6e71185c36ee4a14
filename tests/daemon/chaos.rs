//! A thousand calls with kills, timeouts, cancels and disconnects at random: nothing is left of any of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use smcp_test_support::{Daemon, Stream, descendants, descriptors, is_alive, until};

use crate::smcpd;

const CALLS: usize = 1_000;
const WORKERS: usize = 8;

/// A small generator: the run is the same every time, but for the machine's own timing.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn call(id: u64, tool: &str, arguments: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

/// One call and what becomes of it.
fn one(daemon: &Daemon, dice: &mut Dice, number: usize) {
    let pids = daemon.path().join(format!("pids-{number}"));
    let stubborn = || call(1, "orphans.stubborn", json!({"pidfile": pids}));
    match dice.roll(10) {
        // Normal ones.
        0..=3 => {
            let called = daemon.call("bash_tool.sum", json!({"a": 1, "b": 2}));
            assert_eq!(called["structuredContent"]["sum"], 3, "{called}");
        }
        // It ends itself by a signal.
        4 => assert_eq!(daemon.call("worker.crash", json!({}))["isError"], json!(true)),
        // Over its time, with children that double-fork, setsid and ignore TERM.
        5 => assert_eq!(
            daemon.call("orphans.stubborn", json!({"pidfile": pids}))["structuredContent"]["error"]["code"],
            "timeout"
        ),
        // The client goes away, early or late.
        6 | 7 => {
            let _connection = daemon.begin("orphans.stubborn", json!({"pidfile": pids}));
            std::thread::sleep(std::time::Duration::from_millis(dice.roll(120)));
        }
        // It is cancelled on its stream.
        8 => {
            let (_stream, path) = Stream::open(daemon.connect(), &[]);
            daemon.post(&path, &[], &stubborn());
            std::thread::sleep(std::time::Duration::from_millis(dice.roll(120)));
            let cancelled =
                json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
            daemon.post(&path, &[], &cancelled);
        }
        // Its stream breaks.
        _ => {
            let (stream, path) = Stream::open(daemon.connect(), &[]);
            daemon.post(&path, &[], &stubborn());
            std::thread::sleep(std::time::Duration::from_millis(dice.roll(120)));
            drop(stream);
        }
    }
}

#[test]
fn after_a_thousand_calls_no_process_descriptor_or_session_is_left() {
    // The others are to end well, however busy the machine is.
    let config = "[execution]\nserialize = \"none\"\nmax_concurrent = 8\ngrace = 0.05\n[warm]\nidle = 1\n\
        [plugin.orphans]\ntimeout = 0.4\n";
    let daemon = smcpd().plugins(&["bash_tool", "worker", "orphans"]).config(config).start();
    until("all are described", || {
        (daemon.get("/health", &[]).json()["plugins"]["pending"] == 0).then_some(())
    });
    daemon.call("bash_tool.sum", json!({"a": 1, "b": 2}));
    let settled = || {
        until("nothing runs", || {
            let health = daemon.get("/health", &[]).json();
            let quiet =
                health["calls"]["running"] == 0 && health["calls"]["waiting"] == 0 && health["sessions"] == 0;
            quiet.then_some(())
        });
        until("no process is left", || descendants(daemon.pid()).is_empty().then_some(()));
    };
    settled();
    let before = descriptors(daemon.pid());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (next, daemon) = (&next, &daemon);
            scope.spawn(move || {
                let mut dice = Dice(0x5eed + worker as u64);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= CALLS {
                        return;
                    }
                    one(daemon, &mut dice, number);
                }
            });
        }
    });
    settled();
    let mut noted = 0;
    for entry in std::fs::read_dir(daemon.path()).unwrap().flatten() {
        if !entry.file_name().to_string_lossy().starts_with("pids-") {
            continue;
        }
        for pid in std::fs::read_to_string(entry.path()).unwrap().split_whitespace() {
            noted += 1;
            assert!(!is_alive(pid.parse().unwrap()), "{pid} of {:?} outlived its call", entry.file_name());
        }
    }
    // Fewer on a machine that is busy, where calls are ended before they start any.
    assert!(noted > 20, "stubborn processes were started: {noted}");
    until("the descriptors are back", || (descriptors(daemon.pid()) <= before + 2).then_some(()));
    assert!(!daemon.log().contains("could not be killed"));
}
