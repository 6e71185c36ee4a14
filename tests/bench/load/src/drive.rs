//! Takes orders and keeps the time.

use std::collections::HashMap;
use std::io::BufRead;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::line::{Line, Transport};
use crate::programs::{Program, milliseconds};
use crate::stdio::Pipes;
use crate::{Failure, hold, say};

#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Order {
    /// Opens as many sessions to a URL.
    Open {
        name: String,
        transport: Transport,
        url: String,
        connections: usize,
    },
    /// Starts a server that speaks over stdio.
    OpenStdio {
        name: String,
        program: Program,
        outstanding: usize,
    },
    /// Sends requests on them, one at a time on each.
    Run {
        name: String,
        work: Work,
    },
    Close {
        name: String,
    },
    /// Opens sessions of HTTP+SSE; with `greet` each says `initialize` on a connection of its own.
    Hold {
        name: String,
        url: String,
        count: usize,
        at_once: usize,
        greet: bool,
    },
    Execute {
        program: Program,
        count: usize,
        pause_ms: u64,
    },
    UntilListed {
        program: Program,
        address: String,
        tools: usize,
    },
}

/// Requests to send; `@@` in a text of `params` is replaced by what no other request has, and the answer must have it.
#[derive(Debug, Deserialize)]
pub(crate) struct Work {
    pub(crate) method: String,
    #[serde(default)]
    params: Value,
    pub(crate) count: usize,
    /// Before each request.
    #[serde(default)]
    pause_ms: f64,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    Failed(String),
    /// It is the answer to something else.
    Foreign,
}

impl Work {
    pub(crate) fn params(&self, id: u64) -> Result<Value, Failure> {
        let params = if self.params.is_null() { json!({}) } else { self.params.clone() };
        Ok(serde_json::from_str(&params.to_string().replace("@@", &mark(id)))?)
    }

    pub(crate) fn verdict(&self, id: u64, answer: &[u8]) -> Verdict {
        let text = String::from_utf8_lossy(answer);
        let has = |part: &str| text.contains(part);
        if has("\"error\":") && !has("\"result\":") || has("\"isError\":true") || has("\"isError\": true") {
            return Verdict::Failed(text.chars().take(300).collect());
        }
        match self.params.to_string().contains("@@") && !has(&mark(id)) {
            true => Verdict::Foreign,
            false => Verdict::Right,
        }
    }

    fn pause(&self) -> Duration {
        Duration::from_secs_f64(self.pause_ms / 1e3)
    }

    pub(crate) fn pause_blocking(&self) {
        if !self.pause().is_zero() {
            std::thread::sleep(self.pause());
        }
    }
}

fn mark(id: u64) -> String {
    format!("mark-{id}-")
}

/// What came of some requests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    ms: Vec<f64>,
    errors: usize,
    first_error: Option<String>,
    pub(crate) misdelivered: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, took: Duration, verdict: Verdict) {
        match verdict {
            Verdict::Right => self.ms.push(milliseconds(took)),
            Verdict::Foreign => self.misdelivered += 1,
            Verdict::Failed(why) => {
                self.errors += 1;
                self.first_error.get_or_insert(why);
            }
        }
    }

    fn join(mut self, other: Self) -> Self {
        self.ms.extend(other.ms);
        self.errors += other.errors;
        self.misdelivered += other.misdelivered;
        self.first_error = self.first_error.or(other.first_error);
        self
    }
}

#[derive(Debug)]
enum Server {
    Http(Vec<Line>),
    Stdio(Box<Pipes>, usize),
}

#[derive(Debug, Default)]
struct Driver {
    servers: HashMap<String, Server>,
    ids: u64,
}

/// Answers orders until stdin ends; one that fails is answered with `failed` and why.
pub(crate) fn main() -> Result<(), Failure> {
    // One thread: it shares two cores with what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut driver = Driver::default();
    for line in std::io::stdin().lock().lines() {
        let order = serde_json::from_str(&line?)?;
        let answer = runtime.block_on(driver.obey(order));
        say(&answer.unwrap_or_else(|error| json!({"failed": error.to_string()})))?;
    }
    Ok(())
}

impl Driver {
    async fn obey(&mut self, order: Order) -> Result<Value, Failure> {
        match order {
            Order::Open { name, transport, url, connections } => {
                let lines = try_join_all((0..connections).map(|_| Line::open(transport, &url)));
                let mut lines = lines.await?;
                if transport == Transport::Sse {
                    hold::greet(&mut lines, &mut self.ids).await?;
                }
                self.servers.insert(name, Server::Http(lines));
                Ok(json!({}))
            }
            Order::OpenStdio { name, program, outstanding } => {
                let pipes = Box::new(Pipes::open(&program)?);
                let pid = pipes.pid();
                self.servers.insert(name, Server::Stdio(pipes, outstanding));
                Ok(json!({ "pid": pid }))
            }
            Order::Run { name, work } => self.run(&name, &work).await,
            Order::Close { name } => {
                self.servers.remove(&name);
                // The connections' tasks end when they are next polled.
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok(json!({}))
            }
            Order::Hold { name, url, count, at_once, greet } => {
                let (mut lines, answer) = hold::open(&url, count, at_once).await?;
                if greet {
                    hold::greet(&mut lines, &mut self.ids).await?;
                }
                self.servers.insert(name, Server::Http(lines));
                Ok(answer)
            }
            Order::Execute { program, count, pause_ms } => {
                program.execute(count, Duration::from_millis(pause_ms))
            }
            Order::UntilListed { program, address, tools } => program.until_listed(&address, tools),
        }
    }

    async fn run(&mut self, name: &str, work: &Work) -> Result<Value, Failure> {
        let began = Instant::now();
        let tally = match self.servers.get_mut(name).ok_or("nothing is open by this name")? {
            Server::Stdio(pipes, outstanding) => pipes.run(work, *outstanding, &mut self.ids)?,
            Server::Http(lines) => {
                let share = work.count.div_ceil(lines.len().max(1));
                let first = self.ids + 1;
                self.ids += (share * lines.len()) as u64;
                let runs = lines.iter_mut().enumerate().map(|(index, line)| {
                    let begin = (index * share).min(work.count);
                    let end = (begin + share).min(work.count);
                    on_line(line, work, first + begin as u64, end - begin)
                });
                try_join_all(runs).await?.into_iter().fold(Tally::default(), Tally::join)
            }
        };
        let seconds = began.elapsed().as_secs_f64();
        Ok(json!({
            "seconds": seconds, "ms": tally.ms, "errors": tally.errors, "first_error": tally.first_error,
            "misdelivered": tally.misdelivered,
        }))
    }
}

async fn on_line(line: &mut Line, work: &Work, first: u64, count: usize) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for id in (first..).take(count) {
        let params = work.params(id)?;
        line.prepare(&work.method, &params)?;
        let body = line.body(id, &work.method, &params);
        if !work.pause().is_zero() {
            tokio::time::sleep(work.pause()).await;
        }
        match line.ask(id, body).await {
            Ok((answer, took)) => tally.add(took, work.verdict(id, &answer)),
            Err(error) => tally.add(Duration::ZERO, Verdict::Failed(error.to_string())),
        }
    }
    tally.misdelivered += std::mem::take(&mut line.misdelivered);
    Ok(tally)
}
