//! A reader of server-sent events.

use std::collections::VecDeque;

use serde_json::Value;

use crate::{Connection, Reply};

/// One event, comments included (`name` is `:` then).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub name: String,
    pub id: Option<String>,
    pub data: String,
}

impl Event {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// The body of a reply that does not end.
#[derive(Debug)]
pub struct Stream {
    pub reply: Reply,
    connection: Connection,
    text: String,
    events: VecDeque<Event>,
    has_ended: bool,
}

impl Stream {
    pub(crate) fn new(reply: Reply, connection: Connection) -> Self {
        Self { reply, connection, text: String::new(), events: VecDeque::new(), has_ended: false }
    }

    /// The events of a reply that came whole.
    pub(crate) fn whole(reply: Reply, connection: Connection) -> Self {
        let events = reply.text().split_terminator("\n\n").map(parse).collect();
        Self { reply, connection, text: String::new(), events, has_ended: true }
    }

    /// Opens `/sse` and returns the stream with the path to post to.
    pub fn open(mut connection: Connection, headers: &[(&str, &str)]) -> (Self, String) {
        connection.write("GET", "/sse", headers, b"");
        let mut stream = connection.into_stream();
        assert_eq!(stream.reply.status, 200, "{:?}", stream.reply);
        let first = stream.event().expect("the endpoint");
        assert_eq!(first.name, "endpoint");
        (stream, first.data)
    }

    /// Waits for the next event; `None` at the end of the stream.
    pub fn event(&mut self) -> Option<Event> {
        while self.events.is_empty() {
            if self.has_ended {
                return None;
            }
            let chunk = self.connection.chunk()?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("events are text"));
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                self.events.push_back(parse(event));
                self.text = rest.to_owned();
            }
        }
        self.events.pop_front()
    }

    /// Waits for the next message, past comments and empty events.
    pub fn message(&mut self) -> Option<Value> {
        loop {
            let event = self.event()?;
            if event.name == "message" && !event.data.is_empty() {
                return Some(event.json());
            }
        }
    }
}

fn parse(text: &str) -> Event {
    let mut event = Event { name: "message".to_owned(), id: None, data: String::new() };
    for line in text.lines() {
        match line.split_once(':') {
            Some(("", _)) => event.name = ":".to_owned(),
            Some(("event", name)) => event.name = name.trim().to_owned(),
            Some(("id", id)) => event.id = Some(id.trim().to_owned()),
            Some(("data", data)) => event.data.push_str(data.trim_start()),
            _ => {}
        }
    }
    event
}
