//! Containers reach the daemon over their bridge, with a key; the network beside it does not.
//!
//! A host of the test's own, with a bridge, a container on it and a neighbour on another network: network namespaces, which
//! take root.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use smcp_test_support::{Connection, Daemon, Reply, Setup, until};

/// The namespaces of one test; they go with it.
struct Net {
    id: String,
}

fn ip(arguments: &str) -> bool {
    let done = Command::new("ip").args(arguments.split(' ')).output();
    done.is_ok_and(|done| done.status.success())
}

impl Net {
    /// `None` where this machine lets nobody make any.
    #[expect(clippy::print_stderr, reason = "what was not shown must be seen")]
    fn make(name: &str) -> Option<Self> {
        let net = Self { id: format!("smcp-{name}-{}", std::process::id()) };
        let made = ip(&format!("netns add {}", net.of("host")))
            && ip(&format!("netns add {}", net.of("box")))
            && ip(&format!("netns add {}", net.of("lan")))
            && net.at("host", "link set lo up")
            && net.at("host", "link add docker0 type bridge")
            && net.at("host", "link set docker0 up")
            && net.join("host", "box", "docker0", "172.31.250");
        if !made {
            eprintln!(
                "\n*** SKIPPED: `{name}` needs root and network namespaces: nothing was shown of who comes over a bridge ***\n"
            );
        }
        made.then_some(net)
    }

    fn of(&self, place: &str) -> String {
        format!("{}-{place}", self.id)
    }

    fn at(&self, place: &str, arguments: &str) -> bool {
        ip(&format!("-n {} {arguments}", self.of(place)))
    }

    /// Puts `place` on a bridge of the host: the host is `.1`, the place `.2`.
    fn join(&self, host: &str, place: &str, bridge: &str, network: &str) -> bool {
        let peer = self.of(place);
        self.at(host, &format!("addr add {network}.1/24 dev {bridge}"))
            && self.at(host, &format!("link add v-{place} type veth peer name eth0 netns {peer}"))
            && self.at(host, &format!("link set v-{place} master {bridge} up"))
            && self.at(place, &format!("addr add {network}.2/24 dev eth0"))
            && self.at(place, "link set eth0 up")
            && self.at(place, &format!("route add default via {network}.1"))
    }

    /// Does something as a process of that place would.
    fn within<T: Send>(&self, place: &str, act: impl FnOnce() -> T + Send) -> T {
        let path = PathBuf::from("/run/netns").join(self.of(place));
        let there = std::fs::File::open(path).unwrap();
        std::thread::scope(|scope| {
            let moved = scope.spawn(move || {
                rustix::thread::move_into_link_name_space(there.as_fd(), None).unwrap();
                act()
            });
            moved.join().unwrap()
        })
    }

    /// A daemon on the host, which finds its /sys as one there would.
    fn daemon(&self, setup: impl FnOnce(Setup) -> Setup) -> Daemon {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("smcpd");
        let script = format!(
            "#!/bin/sh\nexec ip netns exec {} {} \"$@\"\n",
            self.of("host"),
            env!("CARGO_BIN_EXE_smcpd")
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        setup(Setup::new(program.to_str().unwrap())).start()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for place in ["host", "box", "lan"] {
            ip(&format!("netns del {}", self.of(place)));
        }
    }
}

/// Something that the harness does not look at from outside.
const CONFIG: &str = "[plugins]\nstartup_wait = 2\n";

fn ask(address: SocketAddr, headers: &[(&str, &str)]) -> Reply {
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    Connection::open(address).post("/messages/", headers, &ping)
}

fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_err()
}

fn said(daemon: &Daemon, text: &str) -> usize {
    daemon.log().matches(text).count()
}

#[test]
fn a_container_is_let_in_by_a_key_or_by_name_and_the_network_is_not() {
    let Some(net) = Net::make("who") else { return };
    // A network card's bridge, and somebody there who knows the way to the other one.
    assert!(net.at("host", "link add br0 type bridge") && net.at("host", "link set br0 up"));
    assert!(net.join("host", "lan", "br0", "192.0.2"));
    let daemon = net.daemon(|setup| setup.config(CONFIG));
    let port = daemon.address().port();
    let bridge = SocketAddr::from(([172, 31, 250, 1], port));
    until("the bridge is served", || (said(&daemon, "containers may connect") == 1).then_some(()));
    // The host itself needs no key, on loopback; a container does.
    assert_eq!(net.within("host", || ask(daemon.address(), &[])).status, 200);
    for _ in 0..3 {
        let refused = net.within("box", || ask(bridge, &[]));
        assert_eq!(refused.status, 401);
        assert!(refused.header("www-authenticate").is_some());
        let message = refused.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("MCP_API_KEY") && message.contains("auth.allow_containers"), "{message}");
    }
    assert_eq!(said(&daemon, "a container's request was refused"), 1, "{}", daemon.log());
    // Nor is the host's own address there a way around the key.
    assert_eq!(net.within("host", || ask(bridge, &[])).status, 401);
    // Whoever comes from elsewhere is not even heard, and the other bridge is not listened on.
    let unheard = net.within("lan", || {
        let mut stream = TcpStream::connect(bridge).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // It may be closed before this is sent.
        let _closed = stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut buffer = [0; 16];
        !matches!(stream.read(&mut buffer), Ok(1..))
    });
    assert!(unheard, "a neighbour was answered");
    let metrics =
        net.within("host", || Connection::open(daemon.address()).send("GET", "/metrics", &[], b"").text());
    assert!(metrics.contains("smcp_requests_refused_total{reason=\"peer\"} 1\n"), "{metrics}");
    assert!(net.within("lan", || is_refused(SocketAddr::from(([192, 0, 2, 1], port)))));
    // By name, without a restart.
    std::fs::write(daemon.path().join("smcpd.toml"), format!("{CONFIG}[auth]\nallow_containers = true\n"))
        .unwrap();
    daemon.signal(rustix::process::Signal::HUP);
    until("containers are let in", || (net.within("box", || ask(bridge, &[])).status == 200).then_some(()));
    assert_eq!(net.within("box", || ask(bridge, &[("Host", "rebound.evil.example")])).status, 403);
    assert_eq!(net.within("box", || ask(bridge, &[("Host", "host.docker.internal:8000")])).status, 200);
}

#[test]
fn bridges_come_and_go_and_a_named_address_is_that_one_alone() {
    let Some(net) = Net::make("comes") else { return };
    let daemon = net.daemon(|setup| setup.config(CONFIG).environment("MCP_API_KEY", "k"));
    let port = daemon.address().port();
    let key = [("X-API-Key", "k")];
    let bridge = SocketAddr::from(([172, 31, 250, 1], port));
    until("the bridge is served", || (said(&daemon, "containers may connect") == 1).then_some(()));
    assert_eq!(net.within("box", || ask(bridge, &key)).status, 200);
    assert_eq!(net.within("box", || ask(bridge, &[])).status, 401);
    assert!(net.at("host", "link del docker0"));
    until("it is gone", || (said(&daemon, "a container bridge is gone") == 1).then_some(()));
    // Another engine, on another network.
    assert!(net.at("host", "link add podman1 type bridge") && net.at("host", "link set podman1 up"));
    assert!(net.at("host", "link del v-box") && net.join("host", "box", "podman1", "172.31.251"));
    let bridge = SocketAddr::from(([172, 31, 251, 1], port));
    until("the new one is served", || (said(&daemon, "containers may connect") == 2).then_some(()));
    assert_eq!(net.within("box", || ask(bridge, &key)).status, 200);
    assert_eq!(net.within("host", || ask(daemon.address(), &key)).status, 200);
    drop(daemon);
    for named in [["--host", "127.0.0.1"], ["--host", "::1"]] {
        let alone = net.daemon(|setup| setup.config(CONFIG).argument(named[0]).argument(named[1]));
        let bridge = SocketAddr::from(([172, 31, 251, 1], alone.address().port()));
        assert!(net.within("box", || is_refused(bridge)), "{named:?}");
        assert_eq!(said(&alone, "containers may connect"), 0);
    }
}
