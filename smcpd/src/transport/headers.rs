//! Headers that repeat what the body says, so that proxies can route without reading it (2026-07-28, transports,
//! "request headers"; SEP-2243). One that says something else is refused: who trusts headers must not be deceived.

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::value::RawValue;

use super::text;
use crate::protocol::Repeated;
use crate::protocol::jsonrpc::{HEADER_MISMATCH, Request, RpcError};

/// A value that no header can hold as it is stands between these, in base64.
const OPENING: &str = "=?base64?";
const CLOSING: &str = "?=";

fn mismatch(message: String) -> RpcError {
    RpcError::new(HEADER_MISMATCH, message)
}

/// Checks the headers that every request has, and the name of what it is about.
pub(super) fn agree(headers: &HeaderMap, version: &str, request: &Request) -> Result<(), RpcError> {
    repeats(headers, "MCP-Protocol-Version", version)?;
    repeats(headers, "Mcp-Method", &request.method)?;
    match named(request) {
        Some(name) => repeats(headers, "Mcp-Name", &name),
        None => Ok(()),
    }
}

/// What a request is about, where its method has such a thing and the body says it.
fn named(request: &Request) -> Option<String> {
    let member = match request.method.as_str() {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return None,
    };
    let params = request.params.as_deref().map_or("{}", RawValue::get);
    let params: Value = serde_json::from_str(params).ok()?;
    params[member].as_str().map(str::to_owned)
}

fn repeats(headers: &HeaderMap, name: &str, said: &str) -> Result<(), RpcError> {
    let shown = |text: &str| text.chars().take(80).collect::<String>();
    match value(headers, name)? {
        None => Err(mismatch(format!("the header `{name}` is missing: it repeats `{}`", shown(said)))),
        Some(value) if value == said => Ok(()),
        Some(value) => {
            Err(mismatch(format!("the header `{name}` says `{}`, the body `{}`", shown(&value), shown(said))))
        }
    }
}

/// A header's value, decoded; an error where it is there twice or is no text.
fn value(headers: &HeaderMap, name: &str) -> Result<Option<String>, RpcError> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(_), None) => match text(headers, name).and_then(decoded) {
            Some(value) => Ok(Some(value)),
            None => Err(mismatch(format!("the header `{name}` is no text, or no base64 between its marks"))),
        },
        (Some(_), Some(_)) => Err(mismatch(format!("the header `{name}` is there twice"))),
    }
}

fn decoded(value: &str) -> Option<String> {
    match value.strip_prefix(OPENING).and_then(|rest| rest.strip_suffix(CLOSING)) {
        Some(inner) => String::from_utf8(STANDARD.decode(inner).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

/// Checks the header that repeats one argument.
pub(super) fn agree_on(headers: &HeaderMap, repeated: &Repeated) -> Result<(), RpcError> {
    let Repeated { header, argument, value: said } = repeated;
    match (said, value(headers, header)?) {
        (None, None) => Ok(()),
        (Some(said), Some(value)) if is_same(said, &value) => Ok(()),
        (Some(_), Some(_)) => {
            Err(mismatch(format!("the header `{header}` is not the argument `{argument}`")))
        }
        (Some(_), None) => {
            Err(mismatch(format!("the header `{header}` is missing: it repeats the argument `{argument}`")))
        }
        (None, Some(_)) => {
            Err(mismatch(format!("the header `{header}` is there, and no argument `{argument}`")))
        }
    }
}

/// Numbers are compared as numbers: `1` is `1.0`.
fn is_same(argument: &Value, header: &str) -> bool {
    match argument {
        Value::String(text) => text == header,
        Value::Bool(value) => header == value.to_string(),
        Value::Number(number) => {
            let read: Option<serde_json::Number> = serde_json::from_str(header).ok();
            read.is_some_and(|read| read == *number || read.as_f64() == number.as_f64())
        }
        // Nothing else can be annotated.
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::jsonrpc::{Frame, Message, parse};

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(axum::http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn request(method: &str, params: &str) -> Request {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        match parse(text.as_bytes()) {
            Ok(Frame::One(Message::Request(request))) => request,
            other => panic!("{other:?}"),
        }
    }

    const VERSION: (&str, &str) = ("MCP-Protocol-Version", "2026-07-28");

    #[test]
    fn a_header_repeats_its_body_or_the_request_is_refused() {
        let call = |pairs: &[(&str, &str)]| {
            let pairs = [&[VERSION], pairs].concat();
            agree(&headers(&pairs), "2026-07-28", &request("tools/call", r#"{"name": "a.b"}"#))
                .map_err(|error| error.code)
        };
        let method = ("mcp-method", "tools/call");
        assert_eq!(call(&[method, ("Mcp-Name", "a.b")]), Ok(()));
        assert_eq!(call(&[method, ("Mcp-Name", "  a.b ")]), Ok(()));
        assert_eq!(call(&[method, ("Mcp-Name", "=?base64?YS5i?=")]), Ok(()));
        for refused in [
            &[method][..],
            &[("Mcp-Name", "a.b")],
            &[method, ("Mcp-Name", "a.c")],
            &[method, ("Mcp-Name", "a.b"), ("mcp-name", "a.b")],
            &[method, ("Mcp-Name", "=?base64?YS5?=")],
            &[("Mcp-Method", "TOOLS/CALL"), ("Mcp-Name", "a.b")],
            &[("Mcp-Method", "tools/list"), ("Mcp-Name", "a.b")],
        ] {
            assert_eq!(call(refused), Err(HEADER_MISMATCH), "{refused:?}");
        }
        let list = request("tools/list", "{}");
        let with = |version: &str| agree(&headers(&[VERSION, ("Mcp-Method", "tools/list")]), version, &list);
        assert!(with("2026-07-28").is_ok());
        assert_eq!(with("v999").unwrap_err().code, HEADER_MISMATCH);
        let without = agree(&headers(&[("Mcp-Method", "tools/list")]), "2026-07-28", &list);
        assert!(without.unwrap_err().message.contains("MCP-Protocol-Version"));
        let read = request("resources/read", r#"{"uri": "a:b"}"#);
        let named = [VERSION, ("Mcp-Method", "resources/read"), ("Mcp-Name", "a:b")];
        assert!(agree(&headers(&named), "2026-07-28", &read).is_ok());
    }

    #[test]
    fn an_argument_is_repeated_as_it_is_or_in_base64() {
        let check = |arguments: Value, pairs: &[(&str, &str)]| {
            ["s", "n", "b"].iter().all(|name| {
                let value = arguments.get(name).filter(|value| !value.is_null()).cloned();
                let header = format!("Mcp-Param-{}", name.to_uppercase());
                agree_on(&headers(pairs), &Repeated { header, argument: (*name).to_owned(), value }).is_ok()
            })
        };
        for (arguments, pairs, fits) in [
            (json!({}), &[][..], true),
            (json!({"s": null}), &[], true),
            (json!({"s": "Hello"}), &[("Mcp-Param-S", "Hello")], true),
            (json!({"s": "Hello"}), &[("mcp-param-s", "=?base64?SGVsbG8=?=")], true),
            (json!({"s": "SGVsbG8="}), &[("Mcp-Param-S", "SGVsbG8=")], true),
            (json!({"s": "=?base64?SGVsbG8="}), &[("Mcp-Param-S", "=?base64?SGVsbG8=")], true),
            (json!({"n": 1}), &[("Mcp-Param-N", "1.0")], true),
            (json!({"n": 0.5}), &[("Mcp-Param-N", "5e-1")], true),
            (json!({"n": 9_007_199_254_740_993_u64}), &[("Mcp-Param-N", "9007199254740993")], true),
            (json!({"b": false}), &[("Mcp-Param-B", "false")], true),
            (json!({"s": "Hello"}), &[("Mcp-Param-S", "=?base64?SGVsbG8?=")], false),
            (json!({"s": "Hello"}), &[("Mcp-Param-S", "=?base64?SGVs!!!bG8=?=")], false),
            (json!({"s": "Hello"}), &[("Mcp-Param-S", "hello")], false),
            (json!({"s": "Hello"}), &[], false),
            (json!({}), &[("Mcp-Param-S", "Hello")], false),
            (json!({"n": 1}), &[("Mcp-Param-N", "2")], false),
            (json!({"n": 1}), &[("Mcp-Param-N", "one")], false),
            (json!({"b": true}), &[("Mcp-Param-B", "True")], false),
        ] {
            assert_eq!(check(arguments.clone(), pairs), fits, "{arguments} {pairs:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_comes_through_base64(text in ".*") {
            let header = format!("{OPENING}{}{CLOSING}", STANDARD.encode(&text));
            proptest::prop_assert_eq!(decoded(&header), Some(text));
        }

        #[test]
        fn no_header_panics(value in "[ -~]{0,60}") {
            let _either = decoded(&value);
        }
    }
}
