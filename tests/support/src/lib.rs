//! The harness: starts a real `smcpd` in directories of its own, waits for its READY, speaks to it over real
//! sockets, and leaves no process behind.
#![expect(clippy::disallowed_methods, reason = "a test may block its own thread")]

mod http;
mod processes;
mod sse;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub use http::{Connection, Reply};
pub use processes::{descendants, descriptors, is_alive, marked, resident_kib, working};
use serde_json::{Value, json};
pub use sse::{Event, Stream};
use tempfile::TempDir;

/// Everything that a test waits for happens within this, or never.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Polls until `done` answers, at most [`PATIENCE`].
///
/// # Panics
/// Panics with `what` when it never does.
pub fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = done() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Copies a program that is run afterwards.
///
/// By another process: what a thread of ours has open for writing, a program that another thread starts may hold open
/// a moment longer, and the kernel runs no file that is open for writing.
pub fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let copied = Command::new("cp").args(["-p", "--"]).arg(from.as_ref()).arg(to.as_ref()).status();
    assert!(copied.expect("there is cp").success());
}

/// Returns the root of the work tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the tree is there")
}

/// What a daemon is started with.
#[derive(Debug)]
pub struct Setup {
    program: PathBuf,
    directory: TempDir,
    arguments: Vec<String>,
    /// The value of `--port`.
    port: Option<String>,
    environment: BTreeMap<String, String>,
    user: Option<u32>,
    /// The test is about what is there before every plugin is described.
    is_early: bool,
}

impl Setup {
    /// A daemon of `program` without plugins, on a free port of the loopback address.
    pub fn new(program: &str) -> Self {
        Self::of(program, tempfile::tempdir().expect("a temporary directory"))
    }

    /// The same, with all that is the daemon's where no plugin may write unless it is granted: in `directory`, unless that
    /// is where every plugin may.
    pub fn held(program: &str, directory: &Path) -> Self {
        let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
        let places = [directory.to_owned(), home.join(".cache"), home, "/opt".into(), "/var/lib".into()];
        let temporary = std::env::temp_dir();
        let is_open = |place: &Path| {
            ["/tmp", "/var/tmp", "/dev/shm"].iter().any(|open| place.starts_with(open))
                || place.starts_with(&temporary)
        };
        let made =
            places.iter().filter(|place| !is_open(place)).find_map(|place| tempfile::tempdir_in(place).ok());
        Self::of(program, made.expect("a directory outside of /tmp that can be written"))
    }

    fn of(program: &str, directory: TempDir) -> Self {
        fs::create_dir(directory.path().join("plugins")).expect("it is fresh");
        Self {
            program: program.into(),
            directory,
            arguments: vec!["--log-format".to_owned(), "json".to_owned()],
            port: Some("0".to_owned()),
            environment: BTreeMap::new(),
            user: None,
            is_early: false,
        }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Links fixture plugins of `tests/fixtures/plugins`, or shipped ones.
    #[must_use]
    pub fn plugins(self, names: &[&str]) -> Self {
        for name in names {
            let fixture = root().join("tests/fixtures/plugins").join(name);
            let target = if fixture.exists() { fixture } else { root().join("plugins").join(name) };
            // Whoever has the tree links it: root alone may run what is another's.
            let owner =
                std::os::unix::fs::MetadataExt::uid(&fs::metadata(&target).expect("the tree is there"));
            let link = self.path().join("plugins").join(name);
            std::os::unix::fs::symlink(target, &link).expect("a new link");
            if rustix::process::geteuid().is_root() {
                std::os::unix::fs::lchown(link, Some(owner), None).expect("root may");
            }
        }
        self
    }

    /// Writes the configuration file.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        let path = self.path().join("smcpd.toml");
        fs::write(&path, text).expect("a new file");
        self.is_early = text.contains("startup_wait");
        self.arguments.extend(["--config".to_owned(), path.display().to_string()]);
        self
    }

    /// Leaves the port to the other sources of the configuration.
    #[must_use]
    pub fn without_port(mut self) -> Self {
        self.port = None;
        self
    }

    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Runs the daemon as a user without rights, where the test itself runs as root.
    #[must_use]
    pub fn unprivileged(mut self) -> Self {
        if rustix::process::geteuid().is_root() {
            let nobody = 65534;
            for path in [self.path().to_owned(), self.path().join("plugins")] {
                std::os::unix::fs::chown(path, Some(nobody), Some(nobody)).expect("root may");
            }
            self.user = Some(nobody);
        }
        self
    }

    /// Returns the command line, in an environment of its own.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        if let Some(port) = &self.port {
            command.args(["--port", port]);
        }
        command.arg("--plugins-dir").arg(self.path().join("plugins"));
        command.current_dir(self.path()).env("HOME", self.path()).env("RUST_BACKTRACE", "0");
        for name in ["CONFIG", "DATA", "STATE", "CACHE", "RUNTIME"] {
            let (variable, directory) = match name {
                "RUNTIME" => ("XDG_RUNTIME_DIR".to_owned(), "runtime"),
                _ => (format!("XDG_{name}_HOME"), name),
            };
            command.env(variable, self.path().join(directory));
        }
        for name in ["MCP_HOST", "MCP_PORT", "MCP_API_KEY", "MCP_API_KEYS", "NOTIFY_SOCKET", "JOURNAL_STREAM"]
            .into_iter()
            .chain(["LETTA_SERVER_URL", "LETTA_AGENT_ID", "LETTA_API_KEY", "LETTA_SERVER_PASSWORD"])
        {
            command.env_remove(name);
        }
        command.envs(&self.environment);
        if let Some(user) = self.user {
            std::os::unix::process::CommandExt::uid(&mut command, user);
        }
        command
    }

    /// Runs the program to its end, with `stdin`; returns its status and what it said.
    pub fn run(&self, stdin: &[u8]) -> Said {
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut input = child.stdin.take().expect("it is piped");
        let stdin = stdin.to_owned();
        // Dropped when all is written: that is the end of the input.
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut input, &stdin));
        let pid = rustix::process::Pid::from_child(&child);
        let (ended, is_ended) = std::sync::mpsc::channel::<()>();
        // A program that should have refused to start would else be waited for without end.
        let watch = std::thread::spawn(move || {
            if is_ended.recv_timeout(PATIENCE).is_err() {
                let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        });
        let output = child.wait_with_output().expect("it ends");
        let _watch_is_over = ended.send(());
        let _watched = watch.join();
        // A program may end before it has read everything.
        let _unread = writer.join();
        Said {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts the daemon and waits for its READY.
    pub fn start(self) -> Daemon {
        let socket = self.path().join("notify");
        let notify = UnixDatagram::bind(&socket).expect("a new socket");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        fs::set_permissions(&socket, open).expect("it is ours");
        // A reader whose daemon has gone ends by this.
        notify.set_read_timeout(Some(PATIENCE * 4)).expect("a duration above zero");
        let log = self.path().join("log");
        let stderr = fs::File::create(&log).expect("a new file");
        let mut command = self.command();
        command.env("NOTIFY_SOCKET", &socket);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let child = command.spawn().expect("the daemon starts");
        let (sender, notified) = std::sync::mpsc::channel();
        // Read at once, as a service manager does: a full socket would hold the daemon up.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = notify.recv(&mut buffer) {
                if sender.send(String::from_utf8_lossy(&buffer[..length]).into_owned()).is_err() {
                    return;
                }
            }
        });
        let mut daemon = Daemon { setup: self, child, address: None, log, notified: notified.into() };
        daemon.await_ready();
        // A busy machine may take longer over a plugin than the daemon waits for it.
        if daemon.address.is_some() && !daemon.setup.is_early {
            let pending = |daemon: &Daemon| daemon.get("/health", &[]).text().contains("\"pending\":0");
            until("every plugin is described", || pending(&daemon).then_some(()));
        }
        daemon
    }
}

/// What a program said until its end.
#[derive(Debug)]
pub struct Said {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A running daemon; dropping it ends it.
#[derive(Debug)]
pub struct Daemon {
    setup: Setup,
    child: Child,
    address: Option<SocketAddr>,
    log: PathBuf,
    notified: std::sync::Mutex<std::sync::mpsc::Receiver<String>>,
}

impl Daemon {
    fn await_ready(&mut self) {
        loop {
            let text = match self.next_notification() {
                Ok(text) => text,
                Err(error) => panic!("no READY: {error}\n{}", self.log()),
            };
            if !text.lines().any(|line| line == "READY=1") {
                continue;
            }
            self.address = text
                .lines()
                .find_map(|line| line.strip_prefix("X_SMCP_ADDRESS="))
                .map(|address| address.parse().expect("an address"));
            return;
        }
    }

    fn next_notification(&self) -> Result<String, std::sync::mpsc::RecvTimeoutError> {
        self.notified.lock().expect("no reader panicked").recv_timeout(PATIENCE)
    }

    /// Waits for the next message to the service manager that has a line beginning with `prefix`.
    pub fn notified(&self, prefix: &str) -> String {
        loop {
            let text = self.next_notification().expect("a notification in time");
            if text.lines().any(|line| line.starts_with(prefix)) {
                return text;
            }
        }
    }

    /// Returns whether such a message comes within `time`.
    pub fn has_notified(&self, prefix: &str, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let notified = self.notified.lock().expect("no reader panicked");
        while let Ok(text) = notified.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if text.lines().any(|line| line.starts_with(prefix)) {
                return true;
            }
        }
        false
    }

    pub fn address(&self) -> SocketAddr {
        self.address.expect("the daemon serves HTTP")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn path(&self) -> &Path {
        self.setup.path()
    }

    /// Everything that was logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Opens a connection of its own.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address())
    }

    /// Posts JSON on a connection of its own.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        self.connect().post(path, headers, body)
    }

    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.connect().send("GET", path, headers, b"")
    }

    /// Asks in direct mode and returns the whole JSON-RPC answer.
    pub fn ask(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.post("/messages/", &[], &body).json()
    }

    /// Calls a tool in direct mode and returns its result.
    pub fn call(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.ask("tools/call", json!({"name": tool, "arguments": arguments}));
        assert!(answer["error"].is_null(), "{tool}: {answer}");
        answer["result"].clone()
    }

    /// Begins a call in direct mode, and leaves its answer to whoever reads the connection.
    pub fn begin(&self, tool: &str, arguments: Value) -> Connection {
        let params = json!({"name": tool, "arguments": arguments});
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
        let mut connection = self.connect();
        connection.write("POST", "/messages/", &[("Content-Type", "application/json")], call.as_bytes());
        connection
    }

    /// Opens a session of Streamable HTTP in `revision` and returns its id.
    pub fn initialize(&self, revision: &str) -> String {
        let params = json!({
            "protocolVersion": revision,
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "0"},
        });
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let reply = self.post("/mcp", &[("Accept", "application/json, text/event-stream")], &body);
        assert_eq!(reply.json()["result"]["protocolVersion"], revision);
        reply.header("mcp-session-id").expect("a session").to_owned()
    }

    /// Sends a signal to the daemon itself.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it is our child");
    }

    /// Asks the daemon to stop and waits for it.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.ended()
    }

    /// Waits for the daemon's end.
    pub fn ended(&mut self) -> ExitStatus {
        until("the daemon ends", || self.child.try_wait().expect("it is our child"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal(rustix::process::Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _dead = self.child.kill();
        let _reaped = self.child.wait();
        if !std::thread::panicking() {
            panic!("the daemon did not end when asked:\n{}", self.log());
        }
    }
}

/// Reads what is left of `stream`, until its end or until nothing came for a while.
pub(crate) fn read_rest(stream: &mut impl Read) -> Vec<u8> {
    let mut rest = Vec::new();
    let mut buffer = [0; 64 << 10];
    while let Ok(length) = stream.read(&mut buffer) {
        if length == 0 {
            break;
        }
        rest.extend_from_slice(&buffer[..length]);
    }
    rest
}
