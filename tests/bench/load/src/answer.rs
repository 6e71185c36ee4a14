//! An answer of HTTP/1.1, from the bytes that have come of it.

use crate::Failure;

const HEADERS: usize = 64;

/// An answer that has come whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) is_event_stream: bool,
    /// `mcp-session-id`.
    pub(crate) session: Option<String>,
    /// Nothing comes on its connection any more.
    pub(crate) is_last: bool,
    pub(crate) body: Vec<u8>,
}

/// How the end of a body is known.
enum Length {
    Bytes(usize),
    Chunks,
    UntilClosed,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Reads it from `bytes`; nothing as long as some are missing, of which none come any more once the connection
    /// `is_closed`.
    pub(crate) fn read(bytes: &[u8], is_closed: bool) -> Result<Option<Self>, Failure> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(end) = head.parse(bytes)? else { return missing(is_closed) };
        let mut answer = Self { status: head.code.unwrap_or(0), ..Self::default() };
        let mut length = if answer.status == 204 { Length::Bytes(0) } else { Length::UntilClosed };
        for header in &*head.headers {
            let value = std::str::from_utf8(header.value)?.trim();
            match header.name.to_ascii_lowercase().as_str() {
                "content-length" => length = Length::Bytes(value.parse()?),
                "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => length = Length::Chunks,
                "transfer-encoding" => return Err(format!("the answer is encoded as {value}").into()),
                "content-type" => answer.is_event_stream = value.starts_with("text/event-stream"),
                "mcp-session-id" => answer.session = Some(value.to_owned()),
                "connection" => answer.is_last = value.eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        let rest = &bytes[end..];
        let body = match length {
            Length::Bytes(length) => rest.get(..length).map(<[u8]>::to_vec),
            Length::Chunks => joined(rest)?,
            Length::UntilClosed => {
                answer.is_last = true;
                is_closed.then(|| rest.to_vec())
            }
        };
        match body {
            Some(body) => Ok(Some(Self { body, ..answer })),
            None => missing(is_closed),
        }
    }
}

fn missing<T>(is_closed: bool) -> Result<Option<T>, Failure> {
    if is_closed { Err("the connection was closed within an answer".into()) } else { Ok(None) }
}

/// The chunks of a body in one piece; nothing as long as the last one is missing.
fn joined(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
    let mut body = Vec::new();
    loop {
        let Ok(size) = httparse::parse_chunk_size(bytes) else { return Err("a chunk has no size".into()) };
        let httparse::Status::Complete((begin, size)) = size else { return Ok(None) };
        // No server here sends trailers: behind the last chunk is an empty line, as behind each.
        let end = begin.checked_add(usize::try_from(size)?).ok_or("a chunk is too large")?;
        let (Some(chunk), Some(rest)) = (bytes.get(begin..end), bytes.get(end..)) else { return Ok(None) };
        let Some(line) = rest.get(..2) else { return Ok(None) };
        if line != b"\r\n" {
            return Err("a chunk does not end where it says".into());
        }
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(chunk);
        bytes = &rest[2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_of(text: &str, is_closed: bool) -> Result<Option<String>, String> {
        match Answer::read(text.as_bytes(), is_closed) {
            Ok(answer) => Ok(answer.map(|answer| String::from_utf8(answer.body).expect("it is text"))),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn an_answer_is_whole_with_its_last_byte_and_not_before() {
        for (answer, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"),
            ("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", ""),
            ("HTTP/1.1 204 No Content\r\n\r\n", ""),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
                "hello",
            ),
        ] {
            for end in 0..answer.len() {
                assert_eq!(body_of(&answer[..end], false), Ok(None), "{end} of {answer}");
                assert!(body_of(&answer[..end], true).is_err(), "{end} of {answer}");
            }
            assert_eq!(body_of(answer, false), Ok(Some(body.to_owned())));
        }
        let endless = "HTTP/1.1 200 OK\r\n\r\nhello";
        assert_eq!(body_of(endless, false), Ok(None));
        assert_eq!(body_of(endless, true), Ok(Some("hello".to_owned())));
    }

    #[test]
    fn its_headers_say_what_comes_next() {
        let answer = "HTTP/1.1 404 Not Found\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
            Mcp-Session-Id: abc\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx";
        let answer = Answer::read(answer.as_bytes(), false).expect("it is well made").expect("it is whole");
        assert!(answer.is_event_stream && answer.is_last && !answer.is_success());
        assert_eq!((answer.status, answer.session.as_deref()), (404, Some("abc")));
    }

    #[test]
    fn what_is_no_answer_is_an_error_and_not_a_wait() {
        for bytes in [
            "hello there, this is no answer\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nlarge\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
        ] {
            assert!(body_of(bytes, false).is_err(), "{bytes}");
        }
    }
}
