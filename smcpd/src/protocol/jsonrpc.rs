//! JSON-RPC 2.0 as MCP uses it: frames in, answers out.
//!
//! An id is echoed as the client wrote it. A frame that is no JSON is -32700; JSON that is no request,
//! notification or response is -32600, with the id where one could be read.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub(crate) const PARSE_ERROR: i64 = -32700;
pub(crate) const INVALID_REQUEST: i64 = -32600;
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
pub(crate) const INVALID_PARAMS: i64 = -32602;
pub(crate) const INTERNAL_ERROR: i64 = -32603;
pub(crate) const SESSION_NOT_FOUND: i64 = -32001;
pub(crate) const HEADER_MISMATCH: i64 = -32020;
pub(crate) const MISSING_CAPABILITY: i64 = -32021;
pub(crate) const RESOURCE_NOT_FOUND: i64 = -32002;
pub(crate) const UNSUPPORTED_VERSION: i64 = -32022;

/// Requests of one batch; one more and the batch is refused.
const MOST_IN_A_BATCH: usize = 100;

/// A request's id, a string or a number, exactly as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Id(Box<str>);

impl Id {
    /// The id of a request of ours.
    pub(crate) fn of_ours(number: u64) -> Self {
        Self(number.to_string().into())
    }

    /// As JSON.
    pub(crate) fn as_json(&self) -> &str {
        &self.0
    }

    fn read(raw: &RawValue) -> Option<Self> {
        let text = raw.get();
        let begins = text.bytes().next()?;
        (begins == b'"' || begins == b'-' || begins.is_ascii_digit()).then(|| Self(text.into()))
    }

    /// Reads the id that another message refers to.
    pub(crate) fn from_value(value: &RawValue) -> Option<Self> {
        Self::read(value)
    }
}

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: Id,
    pub(crate) method: String,
    pub(crate) params: Option<Box<RawValue>>,
}

#[derive(Debug)]
pub(crate) struct Notification {
    pub(crate) method: String,
    pub(crate) params: Option<Box<RawValue>>,
}

#[derive(Debug)]
pub(crate) enum Message {
    Request(Request),
    Notification(Notification),
    /// An answer to something we asked.
    Response(Response),
}

/// What a client says to a request of ours.
#[derive(Debug)]
pub(crate) struct Response {
    /// `None` where no id could be read: nobody waits for that one.
    pub(crate) id: Option<Id>,
    pub(crate) result: Result<Box<RawValue>, Box<RawValue>>,
}

/// What one body, line or event holds.
#[derive(Debug)]
pub(crate) enum Frame {
    One(Message),
    Batch(Vec<Result<Message, Refusal>>),
}

/// A message that cannot be taken; the answer goes to `id`, or to `null`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) id: Option<Id>,
    pub(crate) error: RpcError,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message} ({code})")]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
}

impl RpcError {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    pub(crate) fn with_data(self, data: Value) -> Self {
        Self { data: Some(data), ..self }
    }
}

impl Refusal {
    fn new(id: Option<Id>, code: i64, message: &str) -> Self {
        Self { id, error: RpcError::new(code, message) }
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        failure(self.id.as_ref(), &self.error)
    }
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    jsonrpc: Option<&'a RawValue>,
    /// Absent and `null` are different things here.
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads one frame.
pub(crate) fn parse(bytes: &[u8]) -> Result<Frame, Refusal> {
    let malformed = || Refusal::new(None, PARSE_ERROR, "this is not JSON");
    let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
    if text.trim_start().starts_with('[') {
        let parts: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| malformed())?;
        return match parts.len() {
            0 => Err(Refusal::new(None, INVALID_REQUEST, "an empty batch asks nothing")),
            1..=MOST_IN_A_BATCH => {
                Ok(Frame::Batch(parts.into_iter().map(|part| message(part.get())).collect()))
            }
            _ => Err(Refusal::new(None, INVALID_REQUEST, "a batch may hold at most 100 messages")),
        };
    }
    message(text).map(Frame::One).map_err(|refusal| match serde_json::from_str::<IgnoredAny>(text) {
        Ok(IgnoredAny) => refusal,
        Err(_) => malformed(),
    })
}

fn message(text: &str) -> Result<Message, Refusal> {
    let invalid = |id: Option<Id>, message: &str| Refusal::new(id, INVALID_REQUEST, message);
    let Ok(raw) = serde_json::from_str::<Raw<'_>>(text) else {
        return Err(invalid(None, "a message is a JSON object with each member once"));
    };
    let id = raw.id.and_then(Id::read);
    if raw.jsonrpc.map(RawValue::get) != Some("\"2.0\"") {
        return Err(invalid(id, "`jsonrpc` must be \"2.0\""));
    }
    let Some(method) = raw.method else {
        let result = match (raw.result, raw.error) {
            (_, Some(error)) => Err(error.to_owned()),
            (Some(result), None) => Ok(result.to_owned()),
            (None, None) => return Err(invalid(id, "`method` is missing")),
        };
        return Ok(Message::Response(Response { id, result }));
    };
    let Ok(method) = serde_json::from_str::<String>(method.get()) else {
        return Err(invalid(id, "`method` must be a string"));
    };
    let params = match raw.params.map(|params| (params.get().as_bytes().first(), params)) {
        None => None,
        Some((Some(b'{' | b'['), params)) => Some(params.to_owned()),
        Some((Some(b'n'), _)) => None,
        Some(_) => return Err(invalid(id, "`params` must be an object")),
    };
    match (raw.id, id) {
        (None, _) => Ok(Message::Notification(Notification { method, params })),
        (Some(_), Some(id)) => Ok(Message::Request(Request { id, method, params })),
        (Some(_), None) => Err(invalid(None, "`id` must be a string or a number")),
    }
}

/// The answer to a request that succeeded: `result` is a JSON object, `added` are members that come before its own,
/// with a comma after each.
pub(crate) fn success(id: &Id, added: &str, result: &[u8]) -> Bytes {
    let own = result.strip_prefix(b"{").unwrap_or(result);
    let added = if own == b"}" { added.trim_end_matches(',') } else { added };
    let pieces =
        [b"{\"jsonrpc\":\"2.0\",\"id\":", id.0.as_bytes(), b",\"result\":{", added.as_bytes(), own, b"}"];
    pieces.concat().into()
}

/// The answer to a request that failed.
pub(crate) fn failure(id: Option<&Id>, error: &RpcError) -> Bytes {
    let mut body = json!({"code": error.code, "message": error.message});
    if let Some(data) = &error.data {
        body["data"] = data.clone();
    }
    let id = id.map_or("null", |id| &id.0);
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{body}}}").into()
}

/// The answer to a request that failed, in the dialect where an id that could not be read is left out.
pub(crate) fn failure_or_nameless(id: Option<&Id>, error: &RpcError) -> Bytes {
    match id {
        Some(_) => failure(id, error),
        None => {
            let nameless = failure(None, error);
            let without = String::from_utf8_lossy(&nameless).replacen("\"id\":null,", "", 1);
            without.into()
        }
    }
}

/// A request of ours.
pub(crate) fn request(id: u64, method: &str, params: &Value) -> Bytes {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string().into()
}

/// A notification of ours.
pub(crate) fn notification(method: &str, params: Option<&Value>) -> Bytes {
    let mut message = json!({"jsonrpc": "2.0", "method": method});
    if let Some(params) = params {
        message["params"] = params.clone();
    }
    message.to_string().into()
}

/// Answers of a batch, in the order of its requests.
pub(crate) fn batch(answers: &[Bytes]) -> Bytes {
    let mut frame = Vec::with_capacity(answers.iter().map(|answer| answer.len() + 1).sum::<usize>() + 2);
    frame.push(b'[');
    for (index, answer) in answers.iter().enumerate() {
        if index > 0 {
            frame.push(b',');
        }
        frame.extend_from_slice(answer);
    }
    frame.push(b']');
    frame.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        match parse(text.as_bytes()) {
            Ok(Frame::One(message)) => show(&message),
            Ok(Frame::Batch(messages)) => messages
                .iter()
                .map(|message| match message {
                    Ok(message) => show(message),
                    Err(refusal) => format!("{}", refusal.error.code),
                })
                .collect::<Vec<_>>()
                .join(", "),
            Err(refusal) => match refusal.id {
                Some(id) => format!("{} for {}", refusal.error.code, id.0),
                None => refusal.error.code.to_string(),
            },
        }
    }

    fn show(message: &Message) -> String {
        let params =
            |params: &Option<Box<RawValue>>| params.as_ref().map_or(String::new(), |raw| raw.to_string());
        match message {
            Message::Request(request) => {
                format!("{} #{} {}", request.method, request.id.0, params(&request.params))
            }
            Message::Notification(one) => format!("{} {}", one.method, params(&one.params)),
            Message::Response(_) => "response".to_owned(),
        }
    }

    #[test]
    fn frames_are_read_or_refused_with_the_exact_code() {
        let cases = [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "ping #1 "),
            (r#"{"jsonrpc":"2.0","id":"a\"b","method":"ping","params":{}}"#, r#"ping #"a\"b" {}"#),
            (
                r#"{"jsonrpc":"2.0","id":12345678901234567890,"method":"p","params":null}"#,
                "p #12345678901234567890 ",
            ),
            (r#"{"jsonrpc":"2.0","method":"n\u002fx","params":[1]}"#, "n/x [1]"),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "response"),
            (r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, "response"),
            (
                r#" [ {"jsonrpc":"2.0","id":1,"method":"a"}, 7, {"jsonrpc":"2.0","method":"b"} ] "#,
                "a #1 , -32600, b ",
            ),
            ("", "-32700"),
            ("{", "-32700"),
            ("[", "-32700"),
            ("nul", "-32700"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#, "-32700"),
            ("[]", "-32600"),
            ("7", "-32600"),
            ("\"x\"", "-32600"),
            ("{}", "-32600"),
            (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, "-32600 for 1"),
            (r#"{"jsonrpc":"2.0","id":1}"#, "-32600 for 1"),
            (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, "-32600 for 1"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#, "-32600 for 1"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"p","params":7}"#, "-32600 for 1"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"p"}"#, "-32600"),
            (r#"{"jsonrpc":"2.0","id":true,"method":"p"}"#, "-32600"),
            (r#"{"jsonrpc":"2.0","id":{},"method":"p"}"#, "-32600"),
            (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"p"}"#, "-32600"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert_eq!(shown(&format!("[{}]", vec!["1"; 101].join(","))), "-32600");
    }

    #[test]
    fn bytes_that_are_no_utf8_and_nesting_without_end_are_refused_quietly() {
        assert!(parse(b"{\"jsonrpc\":\"\xff\"}").is_err());
        let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"p","params":{}}}"#, "[".repeat(100_000));
        assert_eq!(shown(&deep), "-32700");
    }

    #[test]
    fn answers_echo_the_id_as_it_was_written() {
        let Ok(Frame::One(Message::Request(request))) =
            parse(br#"{"jsonrpc":"2.0","id":"\u0041","method":"p"}"#)
        else {
            panic!("it is a request")
        };
        assert_eq!(success(&request.id, "", b"{}"), r#"{"jsonrpc":"2.0","id":"\u0041","result":{}}"#);
        let error = RpcError::new(-1, "no \"way\"").with_data(json!([1]));
        let expected = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"no \"way\"","data":[1]}}"#;
        assert_eq!(failure(None, &error), expected);
        assert_eq!(batch(&["1".into(), "2".into()]), "[1,2]");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _either = parse(&bytes);
        }

        #[test]
        fn no_mutation_of_a_request_panics(at in 0usize..60, byte in any::<u8>()) {
            let mut text = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"a":[1]}}"#.to_vec();
            text[at] = byte;
            let _either = parse(&text);
        }
    }
}
