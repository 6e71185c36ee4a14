//! `smcpctl stdio`: a client's stdin and stdout, bridged to the running daemon over its socket.
//!
//! The daemon may be restarted under a conversation. The bridge connects again, repeats the client's own `initialize`
//! in the new session, and answers what was in flight with an error: whether it was carried out nobody knows.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use smcp_control::{Client, ClientError, Reply, Request, candidates};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

use crate::exit::{Exit, Failure};

/// How long a daemon may be away before the conversation is given up.
const AWAY: Duration = Duration::from_secs(30);
/// Between two attempts to reach it.
const PAUSE: Duration = Duration::from_millis(200);
/// Lines of the client's that may wait for the daemon.
const WAITING: usize = 64;

/// The part of a message that the bridge looks at.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<String>,
}

/// What must be repeated, and what must be answered, when the daemon goes away.
#[derive(Debug, Default, PartialEq, Eq)]
struct Conversation {
    /// The client's `initialize`, and its note that it has the answer.
    opening: Option<String>,
    opened: Option<String>,
    /// Requests without an answer, each by its id as it was written.
    in_flight: BTreeSet<String>,
    /// The answer to a repeated `initialize` is not the client's.
    swallow: Option<String>,
}

impl Conversation {
    fn sent(&mut self, line: &str) {
        let Ok(head) = serde_json::from_str::<Head<'_>>(line) else { return };
        match (head.method.as_deref(), head.id) {
            (Some("initialize"), Some(_)) => self.opening = Some(line.to_owned()),
            (Some("notifications/initialized"), None) => self.opened = Some(line.to_owned()),
            _ => {}
        }
        if let (Some(_), Some(id)) = (head.method, head.id) {
            self.in_flight.insert(id.get().to_owned());
        }
    }

    /// Returns whether a line of the daemon's is the client's to see.
    fn received(&mut self, line: &str) -> bool {
        let Ok(head) = serde_json::from_str::<Head<'_>>(line) else { return true };
        let (None, Some(id)) = (head.method, head.id) else { return true };
        if self.swallow.as_deref() == Some(id.get()) {
            self.swallow = None;
            return false;
        }
        self.in_flight.remove(id.get());
        true
    }

    /// The answers to what was in flight when the daemon went away.
    fn lost(&mut self) -> Vec<String> {
        let lost = std::mem::take(&mut self.in_flight);
        let error = json!({
            "code": -32603,
            "message": "smcpd was restarted while it worked on this; whether it was done is not known",
        });
        let answer = |id: String| {
            let id = serde_json::from_str::<Value>(&id).unwrap_or_default();
            json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string()
        };
        lost.into_iter().map(answer).collect()
    }

    /// What a new session must hear before anything else.
    fn again(&mut self) -> Vec<String> {
        let Some(opening) = &self.opening else { return Vec::new() };
        self.swallow =
            serde_json::from_str::<Head<'_>>(opening).ok().and_then(|head| Some(head.id?.get().to_owned()));
        self.opening.iter().chain(&self.opened).cloned().collect()
    }
}

/// Bridges until the client's input ends, or until the daemon stays away.
pub(crate) async fn run(socket: Option<PathBuf>) -> Result<Exit, Failure> {
    let paths = candidates(socket);
    let (lines, mut client_lines) = mpsc::channel(WAITING);
    // Reading stdin cannot be taken back, so it goes on in a thread of its own; the program ends with its main task.
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(line) = line else { return };
            if !line.trim().is_empty() && lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    let mut conversation = Conversation::default();
    // The first time, a daemon that is not there is an error at once.
    let mut client = open(&paths).await?;
    loop {
        if converse(client, &mut conversation, &mut client_lines).await? == Ended::ByClient {
            return Ok(Exit::Ok);
        }
        for answer in conversation.lost() {
            say(&answer).await?;
        }
        client = open_again(&paths).await?;
    }
}

async fn open(paths: &[PathBuf]) -> Result<Client, ClientError> {
    let mut client = Client::connect(paths).await?;
    match client.ask(&Request::Stdio).await? {
        Reply::Done => Ok(client),
        _ => Err(ClientError::Closed),
    }
}

async fn open_again(paths: &[PathBuf]) -> Result<Client, Failure> {
    let since = Instant::now();
    loop {
        match open(paths).await {
            Ok(client) => return Ok(client),
            Err(error) if since.elapsed() > AWAY => return Err(error.into()),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    ByClient,
    ByDaemon,
}

/// Carries lines both ways until either side ends.
async fn converse(
    client: Client,
    conversation: &mut Conversation,
    client_lines: &mut mpsc::Receiver<String>,
) -> Result<Ended, Failure> {
    let (input, mut output) = tokio::io::split(client.into_stream());
    let mut daemon_lines = BufReader::new(input).lines();
    for line in conversation.again() {
        if send(&mut output, &line).await.is_err() {
            return Ok(Ended::ByDaemon);
        }
    }
    loop {
        tokio::select! {
            line = daemon_lines.next_line() => match line {
                Ok(Some(line)) => if conversation.received(&line) {
                    say(&line).await?;
                },
                Ok(None) | Err(_) => return Ok(Ended::ByDaemon),
            },
            line = client_lines.recv() => match line {
                Some(line) => {
                    conversation.sent(&line);
                    if send(&mut output, &line).await.is_err() {
                        return Ok(Ended::ByDaemon);
                    }
                }
                None => {
                    // What was asked is still answered, as by any server on stdio.
                    while !conversation.in_flight.is_empty() {
                        let Ok(Some(line)) = daemon_lines.next_line().await else { break };
                        if conversation.received(&line) {
                            say(&line).await?;
                        }
                    }
                    return Ok(Ended::ByClient);
                }
            },
        }
    }
}

async fn send(output: &mut (impl tokio::io::AsyncWrite + Unpin), line: &str) -> std::io::Result<()> {
    output.write_all(format!("{line}\n").as_bytes()).await?;
    output.flush().await
}

async fn say(line: &str) -> Result<(), Failure> {
    let mut stdout = tokio::io::stdout();
    send(&mut stdout, line)
        .await
        .map_err(|error| Failure::new(Exit::Failed, format!("the client does not read any more: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_in_flight_is_answered_and_the_opening_is_repeated() {
        let mut conversation = Conversation::default();
        assert!(conversation.again().is_empty());
        let opening = r#"{"jsonrpc":"2.0","id":"a","method":"initialize","params":{}}"#;
        let opened = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        for line in
            [opening, opened, r#"{"id":1,"method":"tools/list"}"#, r#"{"id":2,"method":"ping"}"#, "nonsense"]
        {
            conversation.sent(line);
        }
        assert!(conversation.received(r#"{"id":"a","result":{}}"#));
        assert!(conversation.received(r#"{"id":2,"result":{}}"#));
        assert!(conversation.received(r#"{"method":"notifications/tools/list_changed"}"#));
        assert!(conversation.received("nonsense"));
        let lost = conversation.lost();
        assert_eq!(lost.len(), 1);
        assert!(lost[0].contains("\"id\":1") && lost[0].contains("-32603"), "{lost:?}");
        assert_eq!(conversation.again(), [opening, opened]);
        // The client has its answer to `initialize` already.
        assert!(!conversation.received(r#"{"id":"a","result":{}}"#));
        assert!(conversation.received(r#"{"id":"a","result":{}}"#));
        assert!(conversation.lost().is_empty());
    }
}
