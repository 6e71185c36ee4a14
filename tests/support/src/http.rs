//! A client of HTTP/1.1 that sends what it is told, well made or not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use crate::{PATIENCE, Stream, read_rest};

/// One connection, kept alive from request to request.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Panics with the whole reply when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.text()))
    }
}

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the daemon listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a duration above zero");
        stream.set_nodelay(true).expect("TCP has it");
        Self { address, stream: BufReader::new(stream) }
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        // A server that refused already may have closed its side.
        let _closed = self.stream.get_mut().write_all(bytes);
    }

    pub fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let mut all = vec![("Content-Type", "application/json")];
        all.retain(|(name, _)| !headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)));
        all.extend_from_slice(headers);
        self.send("POST", path, &all, body.to_string().as_bytes())
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.write(method, path, headers, body);
        self.reply()
    }

    /// Sends a request without waiting for its reply.
    pub fn write(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        let given = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        if !given("host") {
            head.push_str(&format!("Host: {}\r\n", self.address));
        }
        if !given("content-length") && !given("transfer-encoding") {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.raw(&[head.as_bytes(), body].concat());
    }

    /// Reads one reply; a body without a length is read to the end of the connection.
    pub fn reply(&mut self) -> Reply {
        let (status, headers) = self.head();
        self.whole(status, headers)
    }

    fn whole(&mut self, status: u16, headers: Vec<(String, String)>) -> Reply {
        let mut reply = Reply { status, headers, body: Vec::new() };
        match reply.header("content-length").map(|length| length.parse::<usize>().expect("a number")) {
            Some(length) => {
                reply.body.resize(length, 0);
                self.stream.read_exact(&mut reply.body).expect("the whole body");
            }
            None if reply.header("transfer-encoding").is_some() => {
                while let Some(chunk) = self.chunk() {
                    reply.body.extend(chunk);
                }
            }
            None if status == 202 || status == 204 => {}
            None => reply.body = read_rest(&mut self.stream),
        }
        reply
    }

    /// Reads the head of a reply whose body is a stream of events.
    pub fn into_stream(mut self) -> Stream {
        let (status, headers) = self.head();
        let reply = Reply { status, headers, body: Vec::new() };
        Stream::new(reply, self)
    }

    /// Reads a reply that is a stream of events, or else is whole.
    pub fn either(mut self) -> Result<Stream, Reply> {
        let (status, headers) = self.head();
        let reply = Reply { status, headers, body: Vec::new() };
        let is_stream = reply.header("content-type") == Some("text/event-stream");
        let is_bounded = reply.header("content-length").is_some();
        match (is_stream, is_bounded) {
            (true, false) => Ok(Stream::new(reply, self)),
            (true, true) => Ok(Stream::whole(self.whole(status, reply.headers), self)),
            (false, _) => Err(self.whole(status, reply.headers)),
        }
    }

    /// What ends the connection from another thread.
    pub fn socket(&self) -> TcpStream {
        self.stream.get_ref().try_clone().expect("there are descriptors left")
    }

    fn head(&mut self) -> (u16, Vec<(String, String)>) {
        let line = self.line();
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { return (status, headers) };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line in time");
        line.trim_end().to_owned()
    }

    /// Reads one chunk of a chunked body; `None` at its end.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        self.stream.read_exact(&mut chunk).ok()?;
        chunk.truncate(length);
        (length > 0).then_some(chunk)
    }

    /// Whether the server has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.stream.read(&mut byte), Ok(0) | Err(_))
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        self.stream.get_ref().shutdown(Shutdown::Write).expect("it is open");
    }
}
