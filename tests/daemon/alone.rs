//! A client of the stateless dialect (2026-07-28) over `/mcp`: its requests say all that they need to say.

use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};
use smcp_test_support::{Daemon, PATIENCE, Reply};

use crate::client::{BOTH, JSON, read, request};

pub(crate) const VERSION: &str = "2026-07-28";
pub(crate) const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(crate) const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub(crate) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
pub(crate) const TASKS: &str = "io.modelcontextprotocol/tasks";

/// A request with its headers, to be sent as it is or with something wrong.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

/// What comes back on the connection of one request; dropping it does not close it, `leave` does.
#[derive(Debug)]
pub(crate) struct Heard {
    messages: Receiver<Value>,
    socket: TcpStream,
}

impl Asked {
    /// A request as it should be, of a client that declares `capabilities`.
    pub(crate) fn new(method: &str, params: Value, capabilities: &Value) -> Self {
        let mut params = params;
        params["_meta"][META_VERSION] = VERSION.into();
        params["_meta"][META_CAPABILITIES] = capabilities.clone();
        let mut asked = Self { headers: Vec::new(), body: request(1, method, &params) };
        asked = asked.header("MCP-Protocol-Version", VERSION).header("Mcp-Method", method);
        match ["name", "uri", "taskId"].iter().find_map(|name| params[name].as_str()) {
            Some(name) => asked.header("Mcp-Name", name),
            None => asked,
        }
    }

    pub(crate) fn call(tool: &str, arguments: Value, capabilities: &Value) -> Self {
        Self::new("tools/call", json!({"name": tool, "arguments": arguments}), capabilities)
    }

    /// Sets a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a header out.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub(crate) fn meta(mut self, name: &str, value: Value) -> Self {
        self.body["params"]["_meta"][name] = value;
        self
    }

    pub(crate) fn without_meta(mut self, name: &str) -> Self {
        self.body["params"]["_meta"].as_object_mut().unwrap().remove(name);
        self
    }

    pub(crate) fn param(mut self, name: &str, value: Value) -> Self {
        self.body["params"][name] = value;
        self
    }

    fn headers<'a>(&'a self, accept: (&'a str, &'a str)) -> Vec<(&'a str, &'a str)> {
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        [JSON, accept].into_iter().chain(own).collect()
    }

    /// Sends it and waits for the whole reply.
    pub(crate) fn send(&self, daemon: &Daemon) -> Reply {
        daemon.post("/mcp", &self.headers(BOTH), &self.body)
    }

    /// Sends it and returns the result.
    pub(crate) fn result(&self, daemon: &Daemon) -> Value {
        let reply = self.send(daemon);
        let mut answer = reply.json();
        assert!(reply.status == 200 && answer["error"].is_null(), "{} {answer}", reply.status);
        answer["result"].take()
    }

    /// Sends it and returns the error, with the status.
    pub(crate) fn error(&self, daemon: &Daemon) -> (u16, Value) {
        let reply = self.send(daemon);
        let mut answer = reply.json();
        assert!(answer["result"].is_null(), "{answer}");
        (reply.status, answer["error"].take())
    }

    /// Sends it; its answers are heard while the test goes on.
    pub(crate) fn begin(&self, daemon: &Daemon) -> Heard {
        let mut connection = daemon.connect();
        let socket = connection.socket();
        let body = self.body.to_string();
        connection.write("POST", "/mcp", &self.headers(BOTH), body.as_bytes());
        let (sender, messages) = channel();
        read(connection, sender);
        Heard { messages, socket }
    }
}

impl Heard {
    /// Waits for the next message; `None` at the end of the stream.
    pub(crate) fn next(&self) -> Option<Value> {
        match self.messages.recv_timeout(PATIENCE) {
            Ok(message) => Some(message),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Closes the connection.
    pub(crate) fn leave(self) {
        // The daemon may have closed it.
        let _closed = self.socket.shutdown(Shutdown::Both);
    }
}
