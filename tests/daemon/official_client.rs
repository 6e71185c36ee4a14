//! The official Rust SDK's client, over Streamable HTTP and over stdio.

use std::time::Duration;

use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::{RunningService, ServiceError};
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{RoleClient, ServiceExt};
use serde_json::{Value, json};
use smcp_test_support::{Daemon, Setup, until};

use crate::smcpd;

type Client = RunningService<RoleClient, ()>;

fn setup() -> Setup {
    smcpd().plugins(&["demo_math", "demo_text", "worker"]).config("[plugin.worker]\ntimeout = 1\n")
}

async fn over_http(daemon: &Daemon) -> Client {
    let transport = StreamableHttpClientTransport::from_uri(format!("http://{}/mcp", daemon.address()));
    ().serve(transport).await.expect("it connects over HTTP")
}

async fn over_stdio(setup: &Setup) -> Client {
    let mut command = setup.command();
    command.arg("--stdio");
    #[expect(clippy::disallowed_types, reason = "the client's transport takes no other")]
    let command = tokio::process::Command::from(command);
    let transport = TokioChildProcess::new(command).expect("the daemon starts");
    ().serve(transport).await.expect("it connects over stdio")
}

async fn call(client: &Client, tool: &str, arguments: Value) -> Result<CallToolResult, ServiceError> {
    let params = CallToolRequestParams::new(tool.to_owned());
    client.call_tool(params.with_arguments(arguments.as_object().cloned().unwrap_or_default())).await
}

fn error_code(result: &CallToolResult) -> String {
    assert_eq!(result.is_error, Some(true), "{result:?}");
    let structured = result.structured_content.clone().unwrap_or_default();
    structured["error"]["code"].as_str().unwrap_or_default().to_owned()
}

async fn drive(client: &Client) {
    let server = client.peer_info().and_then(|info| info.server_info.clone());
    assert_eq!(server.expect("it initialized").name, "smcpd");
    let tools = client.list_all_tools().await.expect("a list");
    let calculate = tools.iter().find(|tool| tool.name == "demo_math__calculate").expect("it is listed");
    assert_eq!(calculate.input_schema["properties"]["a"]["type"], "number");
    let sum = call(client, "demo_math.calculate", json!({"operation": "add", "a": 2, "b": 3})).await.unwrap();
    assert_eq!(sum.structured_content.unwrap()["result"], 5);
    let unknown = call(client, "no_such_tool", json!({})).await.unwrap_err();
    assert!(matches!(&unknown, ServiceError::McpError(error) if error.code.0 == -32602), "{unknown}");
    let bad = call(client, "demo_math.calculate", json!({"operation": "add"})).await.unwrap();
    assert_eq!(error_code(&bad), "invalid_arguments");
    let failed = call(client, "worker.fail", json!({"message": "hm"})).await.unwrap();
    assert_eq!(error_code(&failed), "plugin_error");
    let late = call(client, "worker.sleep", json!({"seconds": 30})).await.unwrap();
    assert_eq!(error_code(&late), "timeout");
}

async fn twenty_at_once(clients: [&Client; 2]) {
    let calls = (0..20).map(async |number: usize| {
        let message = format!("message {number}");
        let result = call(clients[number % 2], "demo_text.echo", json!({"message": &message})).await.unwrap();
        assert_eq!(result.structured_content.unwrap()["message"], message.as_str());
    });
    futures_util::future::join_all(calls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_is_served_over_streamable_http() {
    let daemon = setup().start();
    let (client, other) = (over_http(&daemon).await, over_http(&daemon).await);
    drive(&client).await;
    twenty_at_once([&client, &other]).await;
    // Cancelled by dropping the future: the client says so, and the daemon ends the process.
    let running = || daemon.get("/health", &[]).json()["calls"]["running"].clone();
    let sleep = call(&client, "worker.sleep", json!({"seconds": 30}));
    assert!(tokio::time::timeout(Duration::from_millis(300), sleep).await.is_err());
    until("the call ended", || (running() == 0).then_some(()));
    client.cancel().await.unwrap();
    other.cancel().await.unwrap();
    until("the sessions were deleted", || (daemon.get("/health", &[]).json()["sessions"] == 0).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_is_served_over_stdio() {
    let setup = setup();
    let client = over_stdio(&setup).await;
    drive(&client).await;
    twenty_at_once([&client, &client]).await;
    client.cancel().await.unwrap();
}
