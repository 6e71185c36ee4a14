//! One client for every way in with sessions: what it tells goes out, and whatever comes back is heard in one place.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::{Value, json};
use smcp_test_support::{Connection, Daemon, PATIENCE, Setup, Stream, until};

use crate::smcpd;

pub(crate) const JSON: (&str, &str) = ("Content-Type", "application/json");
pub(crate) const BOTH: (&str, &str) = ("Accept", "application/json, text/event-stream");
/// Nothing is asked before every plugin is described; whatever still runs when a test is over ends soon.
pub(crate) const SOON: &str = "[plugins]\nstartup_wait = 30\n[execution]\ndrain = 0.5\ngrace = 0.2\n";

/// A transport, and the revision that is spoken on it.
pub(crate) const WAYS: [(Way, &str); 4] = [
    (Way::Sse, "2025-06-18"),
    (Way::Http, "2025-06-18"),
    (Way::Http, "2025-11-25"),
    (Way::Stdio, "2025-11-25"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Sse,
    Http,
    Stdio,
}

#[derive(Debug)]
enum Door {
    Sse(Daemon, String),
    Http(Daemon, String),
    Stdio(Pipe),
}

/// A daemon that is spoken to on its standard streams.
#[derive(Debug)]
pub(crate) struct Pipe {
    child: Child,
    input: Option<ChildStdin>,
    _setup: Setup,
}

#[derive(Debug)]
pub(crate) struct Client {
    /// Before the daemon, which waits for its streams to close.
    sockets: Vec<TcpStream>,
    door: Door,
    sender: Sender<Value>,
    heard: Receiver<Value>,
    asked: u64,
}

pub(crate) fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// The fixture that speaks with its client.
pub(crate) fn asker() -> Setup {
    smcpd().plugins(&["asker"]).config(SOON)
}

/// Answers every kind of question.
pub(crate) fn able() -> Value {
    json!({"elicitation": {}, "sampling": {}, "roots": {"listChanged": true}})
}

impl Pipe {
    /// Starts a daemon whose messages go to `sender`.
    pub(crate) fn start(setup: Setup, sender: Sender<Value>) -> Self {
        let setup = setup.argument("--stdio");
        let mut command = setup.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let messages = output.lines().map_while(Result::ok);
            messages.map(|line| serde_json::from_str(&line).unwrap()).try_for_each(|it| sender.send(it))
        });
        Self { input: child.stdin.take(), child, _setup: setup }
    }

    pub(crate) fn tell(&mut self, message: &Value) {
        let line = format!("{message}\n");
        self.input.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the input, and with it the daemon.
    pub(crate) fn end(&mut self) {
        self.input = None;
        let status = until("the daemon ends", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        match std::thread::panicking() {
            true => {
                let _gone = self.child.kill();
                let _reaped = self.child.wait();
            }
            false => self.end(),
        }
    }
}

impl Client {
    /// Starts a daemon and introduces a client to it that declares `capabilities`.
    pub(crate) fn start(way: Way, revision: &str, setup: Setup, capabilities: &Value) -> Self {
        let (sender, heard) = channel();
        let mut sockets = Vec::new();
        let door = match way {
            Way::Stdio => Door::Stdio(Pipe::start(setup, sender.clone())),
            Way::Http => Door::Http(setup.start(), String::new()),
            Way::Sse => {
                let daemon = setup.start();
                let connection = daemon.connect();
                sockets.push(connection.socket());
                let (mut stream, path) = Stream::open(connection, &[]);
                let sender = sender.clone();
                std::thread::spawn(move || {
                    while let Some(message) = stream.message() {
                        let _listening = sender.send(message);
                    }
                });
                Door::Sse(daemon, path)
            }
        };
        let mut client = Self { sockets, door, sender, heard, asked: 0 };
        let hello = json!({"protocolVersion": revision, "capabilities": capabilities,
            "clientInfo": {"name": "test", "version": "0"}});
        let hello = request(0, "initialize", &hello);
        let answer = match &mut client.door {
            Door::Http(daemon, session) => {
                let reply = daemon.post("/mcp", &[BOTH], &hello);
                *session = reply.header("mcp-session-id").unwrap().to_owned();
                reply.json()
            }
            Door::Sse(..) | Door::Stdio(_) => {
                client.tell(&hello);
                client.hear()
            }
        };
        assert_eq!(answer["result"]["protocolVersion"], revision, "{answer}");
        client.tell(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        client
    }

    /// Sends a message; what comes back is heard later.
    pub(crate) fn tell(&mut self, message: &Value) {
        match &mut self.door {
            Door::Stdio(pipe) => pipe.tell(message),
            Door::Sse(daemon, path) => assert_eq!(daemon.post(path, &[], message).status, 202),
            Door::Http(daemon, session) => {
                let headers = [JSON, BOTH, ("Mcp-Session-Id", session.as_str())];
                let mut connection = daemon.connect();
                connection.write("POST", "/mcp", &headers, message.to_string().as_bytes());
                if message.get("id").is_none() || message.get("method").is_none() {
                    assert_eq!(connection.reply().status, 202);
                    return;
                }
                self.sockets.push(connection.socket());
                read(connection, self.sender.clone());
            }
        }
    }

    pub(crate) fn request(&mut self, method: &str, params: &Value) -> u64 {
        self.asked += 1;
        self.tell(&request(self.asked, method, params));
        self.asked
    }

    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> u64 {
        self.request("tools/call", &json!({"name": tool, "arguments": arguments}))
    }

    /// Calls a tool whose progress is wanted.
    pub(crate) fn watch(&mut self, tool: &str, arguments: &Value, token: &Value) -> u64 {
        let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": token}});
        self.request("tools/call", &params)
    }

    /// Waits for the next message.
    pub(crate) fn hear(&self) -> Value {
        self.heard.recv_timeout(PATIENCE).expect("a message in time")
    }

    /// A message that is there already.
    pub(crate) fn heard_by_now(&self) -> Option<Value> {
        self.heard.try_recv().ok()
    }

    /// Waits for the answer to a request; returns it with what was heard before.
    pub(crate) fn answer(&self, id: u64) -> (Vec<Value>, Value) {
        let mut before = Vec::new();
        loop {
            let message = self.hear();
            if message["id"] == id && message.get("method").is_none() {
                return (before, message);
            }
            if !is_of_lists(&message) {
                before.push(message);
            }
        }
    }

    /// Waits for the next message that is about a request.
    pub(crate) fn said(&self) -> Value {
        loop {
            let message = self.hear();
            if !is_of_lists(&message) {
                return message;
            }
        }
    }

    /// Waits for a question of the daemon's.
    pub(crate) fn question(&self) -> Value {
        let asked = self.said();
        assert!(asked["id"].is_u64() && asked["method"].is_string(), "{asked}");
        asked
    }

    pub(crate) fn reply(&mut self, question: &Value, result: Value) {
        self.tell(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result}));
    }

    /// The daemon's process.
    pub(crate) fn pid(&self) -> u32 {
        match &self.door {
            Door::Sse(daemon, _) | Door::Http(daemon, _) => daemon.pid(),
            Door::Stdio(pipe) => pipe.pid(),
        }
    }

    /// Closes every connection without a word.
    pub(crate) fn leave(&mut self) {
        for socket in self.sockets.drain(..) {
            // The daemon may have closed it.
            let _closed = socket.shutdown(Shutdown::Both);
        }
        if let Door::Stdio(pipe) = &mut self.door {
            pipe.end();
        }
    }
}

/// Reads one answer and what comes before it, beside whatever the test does.
pub(crate) fn read(connection: Connection, sender: Sender<Value>) {
    std::thread::spawn(move || match connection.either() {
        Err(reply) if reply.body.is_empty() => {}
        Err(reply) => {
            let _listening = sender.send(reply.json());
        }
        Ok(mut stream) => {
            while let Some(message) = stream.message() {
                let _listening = sender.send(message);
            }
        }
    });
}

/// On a busy machine a plugin may be described after its client came: that is told of, and says nothing of a call.
fn is_of_lists(message: &Value) -> bool {
    message["method"].as_str().is_some_and(|method| method.ends_with("/list_changed"))
}
