//! One client's conversation with a server, over each way that HTTP offers.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::Uri;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Failure;
use crate::answer::Answer;
use crate::connection::{Connection, Times, headers};
use crate::events::{Events, stream};

/// Nothing that is measured takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const REVISION: &str = "2025-06-18";
const STATELESS: &str = "2026-07-28";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Transport {
    /// Streamable HTTP with a session.
    Session,
    /// 2026-07-28.
    Stateless,
    /// `POST /messages/` without a session, and whatever else takes a message with nothing before it.
    Direct,
    Sse,
}

/// A session, or the connection that stands for one.
#[derive(Debug)]
pub(crate) struct Line {
    transport: Transport,
    connection: Connection,
    path: String,
    headers: HeaderMap,
    stream: Option<(Incoming, Events)>,
    /// Answers that belonged to nobody here.
    pub(crate) misdelivered: usize,
}

/// A message that has come, and when.
type Event = (Vec<u8>, Instant);

impl Line {
    /// Opens a session where the transport has one. A stream of SSE is open when its first event has come.
    pub(crate) async fn open(transport: Transport, url: &str) -> Result<Self, Failure> {
        let url: Uri = url.parse()?;
        let path = url.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let connection = Connection::to(&url)?;
        let mut line =
            Self { transport, connection, path, headers: headers(&[])?, stream: None, misdelivered: 0 };
        match transport {
            Transport::Direct => {}
            Transport::Stateless => line.headers = headers(&[("mcp-protocol-version", STATELESS)])?,
            Transport::Session => {
                let (answer, _) = line.connection.post(&line.path, &line.headers, &hello(0)).await?;
                if !answer.is_success() {
                    return Err(format!("initialize: {}", refusal(&answer)).into());
                }
                line.headers.insert("mcp-protocol-version", HeaderValue::from_static(REVISION));
                if let Some(id) = answer.session {
                    line.headers.insert("mcp-session-id", HeaderValue::from_str(&id)?);
                }
                line.connection.post(&line.path, &line.headers, INITIALIZED).await?;
            }
            Transport::Sse => {
                line.stream = Some((stream(&url, &line.path, &line.headers).await?, Events::default()));
                let endpoint = String::from_utf8(line.event().await?.0)?;
                let endpoint: Uri = endpoint.parse()?;
                line.path = endpoint.path_and_query().ok_or("no endpoint")?.as_str().to_owned();
            }
        }
        Ok(line)
    }

    /// Says `initialize` on a stream of SSE.
    pub(crate) async fn greet(&mut self, id: u64) -> Result<(), Failure> {
        self.ask(id, hello(id)).await?;
        let (answer, _) = self.connection.post(&self.path, &self.headers, INITIALIZED).await?;
        if answer.is_success() { Ok(()) } else { Err(format!("initialized: {}", refusal(&answer)).into()) }
    }

    /// The body of a request over this line.
    pub(crate) fn body(&self, id: u64, method: &str, params: &Value) -> String {
        let mut params = params.clone();
        if self.transport == Transport::Stateless {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": STATELESS,
                "io.modelcontextprotocol/clientCapabilities": {},
            });
        }
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
    }

    /// Adds the headers that repeat what the body says (2026-07-28).
    pub(crate) fn prepare(&mut self, method: &str, params: &Value) -> Result<(), Failure> {
        if self.transport == Transport::Stateless {
            let method = HeaderValue::from_str(method)?;
            self.headers.insert("mcp-method", method);
            self.headers.remove("mcp-name");
            if let Some(name) = params["name"].as_str() {
                self.headers.insert("mcp-name", HeaderValue::from_str(name)?);
            }
        }
        Ok(())
    }

    /// Sends one request and returns its answer, and how long that took.
    pub(crate) async fn ask(&mut self, id: u64, body: String) -> Result<(Vec<u8>, Duration), Failure> {
        let (answer, Times { began, came }) =
            tokio::time::timeout(PATIENCE, self.exchange(id, body)).await??;
        Ok((answer, came - began))
    }

    async fn exchange(&mut self, id: u64, body: String) -> Result<(Vec<u8>, Times), Failure> {
        let Self { connection, path, headers, stream, misdelivered, .. } = self;
        let posted = async {
            let (answer, times) = connection.post(path, headers, &body).await?;
            if answer.is_success() { Ok((answer, times)) } else { Err(Failure::from(refusal(&answer))) }
        };
        let Some(stream) = stream else {
            let (answer, times) = posted.await?;
            if answer.is_event_stream {
                let mut events = Events::default();
                events.add(&answer.body);
                while let Some(event) = events.next() {
                    if id_of(&event) == Some(id) {
                        return Ok((event, times));
                    }
                }
                return Err("the stream had no answer".into());
            }
            if id_of(&answer.body).is_some_and(|found| found != id) {
                *misdelivered += 1;
            }
            return Ok((answer.body, times));
        };
        let answered = async {
            loop {
                let (event, came) = event(stream).await?;
                match id_of(&event) {
                    Some(found) if found == id => return Ok::<Event, Failure>((event, came)),
                    Some(_) => *misdelivered += 1,
                    None => {}
                }
            }
        };
        let ((answer, came), (_, times)) = futures_util::future::try_join(answered, posted).await?;
        Ok((answer, Times { came, ..times }))
    }

    async fn event(&mut self) -> Result<Event, Failure> {
        event(self.stream.as_mut().ok_or("the stream is not open")?).await
    }
}

/// What a server says that does not take a message.
fn refusal(answer: &Answer) -> String {
    format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body))
}

async fn event(stream: &mut (Incoming, Events)) -> Result<Event, Failure> {
    let (body, events) = stream;
    loop {
        if let Some(event) = events.next() {
            return Ok((event, Instant::now()));
        }
        let frame = body.frame().await.ok_or("the stream has ended")??;
        if let Some(data) = frame.data_ref() {
            events.add(data);
        }
    }
}

const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

pub(crate) fn hello(id: u64) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": "initialize", "params": {
        "protocolVersion": REVISION, "capabilities": {}, "clientInfo": {"name": "bench", "version": "0"},
    }})
    .to_string()
}

/// The id of an answer; a request or a notification of the server has none that counts.
pub(crate) fn id_of(message: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Message<'a> {
        id: Option<u64>,
        #[serde(borrow)]
        method: Option<&'a serde_json::value::RawValue>,
    }
    let message: Message<'_> = serde_json::from_slice(message).ok()?;
    message.id.filter(|_| message.method.is_none())
}
