//! Sockets that the service manager opened are taken, by their names, and are left to it.

use std::os::unix::fs::MetadataExt;

use serde_json::json;
use smcp_test_support::{Setup, root, until};

use crate::smcpd;

/// The daemon behind a program that opens sockets for it.
pub(crate) fn activated(sockets: &str) -> Setup {
    let plain = smcpd();
    let program = plain.command().get_program().to_str().unwrap().to_owned();
    let setup = Setup::new(root().join("tests/daemon/activate.py").to_str().unwrap());
    let directory = setup.path().display().to_string();
    setup
        .without_port()
        .environment("ACTIVATE", sockets)
        .environment("ACTIVATE_DIR", &directory)
        .environment("ACTIVATE_PROGRAM", &program)
}

#[test]
fn sockets_are_taken_by_name_in_any_order_and_outlive_the_daemon() {
    let setup = activated("http,call,control").plugins(&["demo_text", "worker"]);
    let daemon = setup.start();
    assert_ne!(daemon.address().port(), 8000);
    let echoed = daemon.call("demo_text.echo", json!({"message": "hi"}));
    assert_eq!(echoed["structuredContent"]["message"], "hi");
    for (name, access) in [("control.sock", "control"), ("call.sock", "call")] {
        let stream = std::os::unix::net::UnixStream::connect(daemon.path().join(name)).unwrap();
        let mut hello = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stream), &mut hello).unwrap();
        assert!(hello.contains(&format!("\"access\":\"{access}\"")), "{hello}");
        // It bound none of its own beside them.
        assert!(!daemon.path().join("runtime/smcp").join(name).exists());
    }
    // What was passed to the daemon is not passed on.
    let seen = daemon.call("worker.env", json!({}));
    let variables = seen["structuredContent"].as_object().unwrap();
    assert!(variables.keys().all(|name| !name.starts_with("LISTEN_")), "{variables:?}");
    let inode = std::fs::metadata(daemon.path().join("control.sock")).unwrap().ino();
    let (path, status) = (daemon.path().join("control.sock"), daemon.signal(rustix::process::Signal::TERM));
    let () = status;
    let mut daemon = daemon;
    assert!(daemon.ended().success());
    assert_eq!(std::fs::metadata(path).unwrap().ino(), inode, "the file is systemd's");
}

#[test]
fn who_comes_while_the_daemon_stops_waits_for_the_next_one() {
    use std::io::{ErrorKind, Read, Write};

    let daemon = activated("http").plugins(&["worker"]).start();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| daemon.call("worker.sleep", json!({"seconds": 3})));
        until("the call runs", || daemon.get("/health", &[]).text().contains("\"running\":1").then_some(()));
        daemon.signal(rustix::process::Signal::TERM);
        daemon.notified("EXTEND_TIMEOUT_USEC=");
        let mut late = std::net::TcpStream::connect(daemon.address()).unwrap();
        late.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        late.set_read_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
        let nothing = late.read(&mut [0; 1]).unwrap_err();
        assert_eq!(
            nothing.kind(),
            ErrorKind::WouldBlock,
            "it is in the queue of the socket, which is systemd's"
        );
        assert_eq!(call.join().unwrap()["structuredContent"]["slept"], 3.0);
    });
}

#[test]
fn what_was_not_passed_is_bound_and_what_cannot_be_meant_is_refused() {
    let daemon = activated("control").argument("--port").argument("0").start();
    assert_eq!(daemon.get("/health", &[]).status, 200);
    assert!(daemon.path().join("runtime/smcp/call.sock").exists());
    assert!(!daemon.path().join("runtime/smcp/control.sock").exists());
    drop(daemon);
    for (sockets, arguments, expected) in [
        ("http", &["--port", "9000"][..], "change `ListenStream=` with `systemctl edit smcpd-http.socket`"),
        ("http=0.0.0.0:0", &[], "which others can reach, and no API key is set"),
        ("smcpd.socket", &[], "`FileDescriptorName=` must be control, call or http"),
        ("control=127.0.0.1:0", &[], "passed a socket as `control` that is none of its kind"),
    ] {
        let setup = arguments.iter().fold(activated(sockets), |setup, argument| setup.argument(argument));
        let said = setup.run(b"");
        assert_eq!(said.status.code(), Some(2), "{sockets}: {}", said.stderr);
        assert!(said.stderr.contains(expected), "{sockets}: {}", said.stderr);
    }
}
