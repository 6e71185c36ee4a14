//! A server that answers as it is told and keeps what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use smcp_test_support::PATIENCE;

#[derive(Debug, Clone)]
pub(super) enum Answer {
    Whole(u16, String),
    /// Bytes that need be no HTTP.
    Raw(Vec<u8>),
    /// To the same path of another server.
    Elsewhere(String),
    /// A body without an end.
    Endless,
    /// Nothing, on a connection that stays open.
    Silence,
}

pub(super) struct Fake {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: Option<JoinHandle<()>>,
}

struct Shared {
    answer: Mutex<Answer>,
    requests: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl Fake {
    pub(super) fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, over) = (Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { answer: Mutex::new(answer), requests, over });
        let serving = Some(std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || serve(&listener, &shared)
        }));
        Self { address, shared, serving }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What is answered from now on.
    pub(super) fn answer(&self, answer: Answer) {
        *self.shared.answer.lock().unwrap() = answer;
    }

    /// The heads of all requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        let _woken = TcpStream::connect(self.address);
        let ended = self.serving.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the fake panicked");
    }
}

fn serve(listener: &TcpListener, shared: &Shared) {
    let mut silent = Vec::new();
    for stream in listener.incoming() {
        if shared.over.load(Ordering::Relaxed) {
            return;
        }
        let mut stream = stream.unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let head = head(&stream);
        let answer = shared.answer.lock().unwrap().clone();
        shared.requests.lock().unwrap().push(head.clone());
        let written = match answer {
            Answer::Silence => {
                silent.push(stream);
                continue;
            }
            Answer::Raw(bytes) => stream.write_all(&bytes),
            Answer::Whole(status, body) => write!(
                stream,
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ),
            Answer::Elsewhere(url) => {
                let path = head.split(' ').nth(1).unwrap_or_default();
                write!(stream, "HTTP/1.1 307 x\r\nlocation: {url}{path}\r\ncontent-length: 0\r\n\r\n")
            }
            Answer::Endless => endless(&mut stream),
        };
        // Whoever has heard enough may have gone.
        let _gone = written;
    }
}

fn head(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream).take(64 << 10);
    let mut head = String::new();
    while reader.read_line(&mut head).is_ok_and(|length| length > 0) && !head.ends_with("\r\n\r\n") {}
    head
}

/// As much as nobody should read.
fn endless(stream: &mut TcpStream) -> std::io::Result<()> {
    let chunk = [b' '; 64 << 10];
    write!(stream, "HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n")?;
    for _ in 0..4096 {
        write!(stream, "{:x}\r\n", chunk.len())?;
        stream.write_all(&chunk)?;
        stream.write_all(b"\r\n")?;
    }
    Ok(())
}
