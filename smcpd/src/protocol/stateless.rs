//! The stateless dialect (2026-07-28): each request says in `_meta` what a session would have said once.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::jsonrpc::{INVALID_PARAMS, Id, METHOD_NOT_FOUND, Request, RpcError};
use super::logging::Level;
use super::methods::Method;
use super::{Revision, implementation, unsupported_version};

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// The member of `_meta` that names the subscription of a notification.
pub(super) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// How long a list may be kept: whoever listens hears of changes at once, the others look again soon.
const LIST_TTL_MS: u64 = 5_000;

/// What a request says of its client.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    pub(crate) version: String,
    pub(crate) client: Arc<Client>,
}

#[derive(Deserialize, Default)]
struct Params {
    #[serde(rename = "_meta", default)]
    meta: Option<Map<String, Value>>,
}

fn meta(request: &Request) -> Option<Map<String, Value>> {
    let params = request.params.as_deref().map_or("{}", RawValue::get);
    serde_json::from_str::<Params>(params).ok()?.meta
}

/// Returns whether a request is of this dialect by what it says itself.
pub(crate) fn is_claimed_by(request: &Request) -> bool {
    meta(request).is_some_and(|meta| meta.contains_key(VERSION))
}

/// Reads what every request must say ("request metadata"); `clientInfo` may be left out.
pub(crate) fn said(request: &Request) -> Result<Said, RpcError> {
    let missing = |what: &str| RpcError::new(INVALID_PARAMS, format!("`params._meta` must have `{what}`"));
    let meta = meta(request).ok_or_else(|| missing(VERSION))?;
    let version = meta.get(VERSION).and_then(Value::as_str).ok_or_else(|| missing(VERSION))?.to_owned();
    let Some(Value::Object(capabilities)) = meta.get(CAPABILITIES) else { return Err(missing(CAPABILITIES)) };
    let level = match meta.get(LEVEL) {
        None | Some(Value::Null) => None,
        Some(level) => match level.as_str().and_then(Level::parse) {
            Some(level) => Some(level),
            None => {
                return Err(RpcError::new(INVALID_PARAMS, format!("`params._meta`: `{LEVEL}` is no level")));
            }
        },
    };
    Ok(Said { version, client: Arc::new(Client { capabilities: capabilities.clone(), level }) })
}

/// Refuses a version that is not this dialect's (-32022), and a method that it does not have (-32601).
pub(crate) fn admit(said: &Said, request: &Request) -> Result<(), RpcError> {
    if said.version != Revision::V2026_07_28.as_str() {
        return Err(unsupported_version(&said.version));
    }
    match Method::of(&request.method, Revision::V2026_07_28) {
        Some(_) => Ok(()),
        None => {
            let name: String = request.method.chars().take(128).collect();
            Err(RpcError::new(METHOD_NOT_FOUND, format!("there is no method `{name}`")))
        }
    }
}

/// The members that every result of this dialect has, and those of a result that may be kept, with a comma after each.
pub(super) fn added(method: Method, result: &[u8], is_private: bool) -> String {
    static META: LazyLock<String> = LazyLock::new(|| {
        let meta = json!({"io.modelcontextprotocol/serverInfo": implementation()});
        format!("\"_meta\":{meta},")
    });
    let mut added = String::with_capacity(200);
    if !result.starts_with(b"{\"resultType\":") {
        added.push_str("\"resultType\":\"complete\",");
    }
    if let Some(ttl) = ttl(method) {
        let scope = if is_private { "private" } else { "public" };
        added.push_str(&format!("\"ttlMs\":{ttl},\"cacheScope\":\"{scope}\","));
    }
    // One that has something to say there itself says it.
    if !result.starts_with(b"{\"_meta\":") {
        added.push_str(&META);
    }
    added
}

/// How long the result of a method may be kept ("caching").
fn ttl(method: Method) -> Option<u64> {
    match method {
        Method::Discover
        | Method::ListTools
        | Method::ListResources
        | Method::ListTemplates
        | Method::ListPrompts => Some(LIST_TTL_MS),
        // A command may print something else each time.
        Method::ReadResource => Some(0),
        Method::CallTool | Method::Listen | Method::GetPrompt | Method::Complete => None,
        Method::GetTask | Method::UpdateTask | Method::CancelTask => None,
        Method::Initialize | Method::Ping | Method::SetLevel | Method::Subscribe | Method::Unsubscribe => {
            None
        }
    }
}

/// The answer to `server/discover`, as far as it is its own.
pub(super) fn discovered(capabilities: &Value) -> Bytes {
    json!({"supportedVersions": Revision::supported(), "capabilities": capabilities}).to_string().into()
}

/// A notification's params with the subscription that it belongs to.
pub(super) fn tagged(id: &Id, params: Value) -> Value {
    let mut params = params;
    let id: Value = serde_json::from_str(id.as_json()).unwrap_or_default();
    params["_meta"] = json!({SUBSCRIPTION: id});
    params
}

#[cfg(test)]
mod tests {
    use super::super::jsonrpc::{Frame, Message, parse, success};
    use super::*;

    fn request(method: &str, params: &str) -> Request {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        match parse(text.as_bytes()) {
            Ok(Frame::One(Message::Request(request))) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_missing_is_named_before_anything_else_is_looked_at() {
        let code = |params: &str| said(&request("x", params)).map_err(|error| (error.code, error.message));
        for (params, missing) in [
            ("{}", VERSION),
            ("[]", VERSION),
            (r#"{"_meta": 7}"#, VERSION),
            (r#"{"_meta": {}}"#, VERSION),
            (r#"{"_meta": {"io.modelcontextprotocol/protocolVersion": 7}}"#, VERSION),
            (r#"{"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}"#, CAPABILITIES),
        ] {
            let (code, message) = code(params).unwrap_err();
            assert!(
                code == INVALID_PARAMS && message.ends_with(&format!("`{missing}`")),
                "{params}: {message}"
            );
        }
        let meta = |version: &str, level: &str| {
            format!(
                r#"{{"_meta": {{"{VERSION}": "{version}", "{CAPABILITIES}": {{"roots": {{}}}}{level}}}}}"#
            )
        };
        let level = format!(r#", "{LEVEL}": "warning""#);
        let found = said(&request("x", &meta("v9", &level))).unwrap();
        assert_eq!((found.version.as_str(), found.client.level), ("v9", Some(Level::Warning)));
        assert!(found.client.capabilities.contains_key("roots"));
        let loud = format!(r#", "{LEVEL}": "loud""#);
        assert!(said(&request("x", &meta("v9", &loud))).unwrap_err().message.contains("no level"));
        let admitted = |method: &str, version: &str| {
            let request = request(method, &meta(version, ""));
            admit(&said(&request).unwrap(), &request).map_err(|error| error.code)
        };
        assert_eq!(admitted("tools/list", "2026-07-28"), Ok(()));
        assert_eq!(admitted("tools/list", "v999.0.0"), Err(-32022));
        for method in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "unknown/method", ""]
        {
            assert_eq!(admitted(method, "2026-07-28"), Err(METHOD_NOT_FOUND), "{method}");
        }
    }

    #[test]
    fn a_result_gets_what_every_result_has() {
        let whole = |method, result: &str| -> Value {
            let added = added(method, result.as_bytes(), true);
            let answer = success(&Id::of_ours(1), &added, result.as_bytes());
            serde_json::from_slice::<Value>(&answer).unwrap()["result"].take()
        };
        let list = whole(Method::ListTools, r#"{"tools":[]}"#);
        assert_eq!((&list["resultType"], &list["cacheScope"]), (&json!("complete"), &json!("private")));
        assert_eq!((&list["ttlMs"], &list["tools"]), (&json!(5000), &json!([])));
        assert_eq!(list["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "smcpd");
        let empty = whole(Method::CallTool, "{}");
        assert_eq!(empty["resultType"], "complete");
        assert!(empty.get("ttlMs").is_none());
        let asks = whole(Method::CallTool, r#"{"resultType":"input_required","inputRequests":{}}"#);
        assert_eq!(asks["resultType"], "input_required");
        let own = whole(Method::Listen, r#"{"_meta":{"a":1}}"#);
        assert_eq!((&own["_meta"], &own["resultType"]), (&json!({"a": 1}), &json!("complete")));
    }
}
