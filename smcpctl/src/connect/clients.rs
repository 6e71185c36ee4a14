//! What each client wants to hear, in its own words. Plain functions: nothing is read and nothing is written.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::cli::{Client, Transport};
use crate::exit::{Exit, Failure};

/// The variable that a printed configuration takes the key from.
const VARIABLE: &str = "SMCP_API_KEY";
/// Where the variable goes once everything else is quoted.
const PLACE: &str = "@SMCP-API-KEY@";
/// What VS Code calls the key that it asks for.
const INPUT: &str = "smcp-key";

/// How the client gets to the daemon.
#[derive(Debug, Clone)]
pub(super) enum Way {
    Url(Transport, String),
    /// The program and its arguments.
    Command(Vec<String>),
}

/// The key of the daemon.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Key {
    None,
    /// It is somewhere else: in the client's environment, or asked for by the client.
    Named,
    Given(String),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

/// What to put where.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    /// The client's own file, where it has one.
    pub(super) file: Option<PathBuf>,
    /// The object of that file which holds servers, and the entry for this one.
    pub(super) section: &'static str,
    pub(super) name: String,
    pub(super) entry: Option<Value>,
    /// What VS Code is to ask for.
    pub(super) inputs: Option<Value>,
    /// Another way: a command of the shell, or of the client.
    pub(super) command: Option<String>,
}

impl Offer {
    /// The whole file, were there nothing else in it.
    pub(super) fn document(&self) -> Option<Value> {
        let entry = self.entry.clone()?;
        let mut document = Map::new();
        document.insert(self.section.to_owned(), json!({self.name.clone(): entry}));
        if let Some(inputs) = &self.inputs {
            document.insert("inputs".to_owned(), json!([inputs]));
        }
        Some(document.into())
    }
}

pub(super) fn name(client: Client) -> &'static str {
    match client {
        Client::Letta => "letta",
        Client::LettaCode => "letta-code",
        Client::ClaudeCode => "claude-code",
        Client::ClaudeDesktop => "claude-desktop",
        Client::Cursor => "cursor",
        Client::Vscode => "vscode",
    }
}

/// What suits the client best.
pub(super) fn best(client: Client) -> Transport {
    match client {
        // Its file takes commands alone; a remote server is added in its settings, by a public address.
        Client::ClaudeDesktop => Transport::Stdio,
        Client::Letta | Client::LettaCode | Client::ClaudeCode | Client::Cursor | Client::Vscode => {
            Transport::Http
        }
    }
}

/// Refuses what the client cannot do, with what it can.
pub(super) fn supports(client: Client, transport: Transport, write: bool) -> Result<(), Failure> {
    let refuse = |message: &str, hint: &str| Err(Failure::new(Exit::Usage, message).hint(hint));
    match (client, transport, write) {
        (Client::ClaudeDesktop, Transport::Http | Transport::Sse, _) => refuse(
            "the file of Claude Desktop takes commands alone",
            "leave --transport out; a public address is added in its settings, under Connectors",
        ),
        (Client::LettaCode, _, true) => refuse(
            "Letta Code keeps its servers for each agent, not in a file",
            "leave --write out, and type what is printed into Letta Code",
        ),
        (Client::Letta, Transport::Http, true) => refuse(
            "the file of a Letta server takes SSE and commands; Streamable HTTP goes through its API",
            "leave --write out and run what is printed, or take --transport sse or stdio",
        ),
        _ => Ok(()),
    }
}

/// Where the client finds the key, so that none has to be in its file; Claude Code's is the project's, and often shared.
pub(super) fn finds_key(client: Client) -> Option<&'static str> {
    match client {
        Client::Vscode => Some("VS Code asks for the key when it first connects"),
        Client::ClaudeCode => {
            Some("set SMCP_API_KEY where Claude Code runs: its file is the project's, and has no key in it")
        }
        Client::Letta | Client::LettaCode | Client::ClaudeDesktop | Client::Cursor => None,
    }
}

/// Says all that the client needs. `home` is where its file is; Claude Code and VS Code also have one a project.
pub(super) fn offer(client: Client, name: &str, way: &Way, key: &Key, home: Option<&Path>) -> Offer {
    let below = |path: &str| home.map(|home| home.join(path));
    let (entry, command) = match client {
        Client::Letta => (letta_entry(way, key), Some(letta_call(name, way, key))),
        Client::LettaCode => (None, Some(letta_code_command(name, way, key))),
        Client::ClaudeCode => {
            (Some(typed(way, key, &format!("${{{VARIABLE}}}"))), claude_command(name, way, key))
        }
        Client::ClaudeDesktop => (Some(plain(way, key, "")), None),
        Client::Cursor => (Some(plain(way, key, &format!("${{env:{VARIABLE}}}"))), None),
        Client::Vscode => (Some(typed(way, key, &format!("${{input:{INPUT}}}"))), None),
    };
    let file = match client {
        Client::Letta => below(".letta/mcp_config.json"),
        Client::LettaCode => None,
        Client::ClaudeCode => Some(PathBuf::from(".mcp.json")),
        Client::ClaudeDesktop if cfg!(target_os = "macos") => {
            below("Library/Application Support/Claude/claude_desktop_config.json")
        }
        Client::ClaudeDesktop => below(".config/Claude/claude_desktop_config.json"),
        Client::Cursor => below(".cursor/mcp.json"),
        Client::Vscode if cfg!(target_os = "macos") => {
            below("Library/Application Support/Code/User/mcp.json")
        }
        Client::Vscode => below(".config/Code/User/mcp.json"),
    };
    let input =
        json!({"type": "promptString", "id": INPUT, "description": "API key of smcp", "password": true});
    Offer {
        file: file.filter(|_| entry.is_some()),
        section: if client == Client::Vscode { "servers" } else { "mcpServers" },
        name: name.to_owned(),
        entry,
        inputs: (client == Client::Vscode && *key != Key::None).then_some(input),
        command,
    }
}

fn bearer(key: &Key, reference: &str) -> Option<String> {
    match key {
        Key::None => None,
        Key::Named => Some(format!("Bearer {reference}")),
        Key::Given(key) => Some(format!("Bearer {key}")),
    }
}

/// Claude Desktop and Cursor tell the kind of a server by what it has.
fn plain(way: &Way, key: &Key, reference: &str) -> Value {
    match way {
        Way::Command(words) => json!({"command": words[0], "args": words[1..]}),
        Way::Url(_, url) => with_headers(json!({"url": url}), key, reference),
    }
}

/// Claude Code and VS Code want the kind named.
fn typed(way: &Way, key: &Key, reference: &str) -> Value {
    match way {
        Way::Command(words) => json!({"type": "stdio", "command": words[0], "args": words[1..]}),
        Way::Url(transport, url) => {
            let kind = if *transport == Transport::Sse { "sse" } else { "http" };
            with_headers(json!({"type": kind, "url": url}), key, reference)
        }
    }
}

fn with_headers(mut entry: Value, key: &Key, reference: &str) -> Value {
    if let Some(bearer) = bearer(key, reference) {
        entry["headers"] = json!({"Authorization": bearer});
    }
    entry
}

/// `mcp_config.json` of a Letta server: `url` means SSE there.
fn letta_entry(way: &Way, key: &Key) -> Option<Value> {
    match way {
        Way::Command(words) => Some(json!({"command": words[0], "args": words[1..]})),
        Way::Url(Transport::Sse, url) => {
            let mut entry = json!({"url": url});
            if let Some(bearer) = bearer(key, "KEY") {
                (entry["auth_header"], entry["auth_token"]) = ("Authorization".into(), bearer.into());
            }
            Some(entry)
        }
        Way::Url(..) => None,
    }
}

/// One call of Letta's API, with every secret from the environment and none on a command line.
fn letta_call(name: &str, way: &Way, key: &Key) -> String {
    let mut config = match way {
        Way::Command(words) => json!({"mcp_server_type": "stdio", "command": words[0], "args": words[1..]}),
        Way::Url(transport, url) => {
            let kind = if *transport == Transport::Sse { "sse" } else { "streamable_http" };
            json!({"mcp_server_type": kind, "server_url": url})
        }
    };
    if *key != Key::None && matches!(way, Way::Url(..)) {
        config["auth_header"] = "Authorization".into();
        config["auth_token"] = format!("Bearer {PLACE}").into();
    }
    let body = json!({"server_name": name, "config": config}).to_string();
    // First for curl's own quotes, then for the shell, which reads what stands before END.
    let body = body.replace('\\', "\\\\").replace('"', "\\\"");
    let body = body.replace('\\', "\\\\").replace('$', "\\$").replace('`', "\\`");
    // Nothing is sent without it.
    let body = body.replace(PLACE, &format!("${{{VARIABLE}:?}}"));
    format!(
        "curl --fail-with-body --config - <<END\n\
         url = \"${{LETTA_SERVER_URL:-http://localhost:8283}}/v1/mcp-servers/\"\n\
         header = \"Authorization: Bearer ${{LETTA_SERVER_PASSWORD}}\"\n\
         header = \"Content-Type: application/json\"\n\
         data = \"{body}\"\n\
         END"
    )
}

fn letta_code_command(name: &str, way: &Way, key: &Key) -> String {
    match way {
        Way::Command(words) => format!("/mcp add --transport stdio {name} {}", quoted(words)),
        Way::Url(transport, url) => {
            let kind = if *transport == Transport::Sse { "sse" } else { "http" };
            let key = if *key == Key::None { String::new() } else { format!(" --auth-env {VARIABLE}") };
            format!("/mcp add --transport {kind} {name} {url}{key}")
        }
    }
}

/// As a shell, and Letta Code, take a line apart.
fn quoted(words: &[String]) -> String {
    // Only a NUL cannot be quoted, and no argument of a program has one.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default()
}

/// Only without a key: its `--header` would put it on a command line.
fn claude_command(name: &str, way: &Way, key: &Key) -> Option<String> {
    match way {
        _ if *key != Key::None => None,
        Way::Command(words) => Some(format!("claude mcp add {name} -- {}", quoted(words))),
        Way::Url(transport, url) => {
            let kind = if *transport == Transport::Sse { "sse" } else { "http" };
            Some(format!("claude mcp add --transport {kind} {name} {url}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENTS: [Client; 6] = [
        Client::Letta,
        Client::LettaCode,
        Client::ClaudeCode,
        Client::ClaudeDesktop,
        Client::Cursor,
        Client::Vscode,
    ];

    fn shown(client: Client, transport: Transport, key: &Key) -> String {
        let way = match transport {
            Transport::Stdio => Way::Command(vec!["/usr/bin/smcpctl".to_owned(), "stdio".to_owned()]),
            Transport::Http => Way::Url(transport, "http://h:1/mcp".to_owned()),
            Transport::Sse => Way::Url(transport, "http://h:1/sse".to_owned()),
        };
        let offer = offer(client, "smcp", &way, key, Some(Path::new("/home/you")));
        let file = offer.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
        let document = offer.document().map(|document| document.to_string()).unwrap_or_default();
        format!("{file} {document} {}", offer.command.unwrap_or_default()).trim().to_owned()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn every_client_gets_what_it_reads() {
        let given = Key::Given("K".to_owned());
        for (client, transport, key, expected) in [
            (
                Client::ClaudeCode,
                Transport::Http,
                &Key::None,
                r#".mcp.json {"mcpServers":{"smcp":{"type":"http","url":"http://h:1/mcp"}}} claude mcp add --transport http smcp http://h:1/mcp"#,
            ),
            (
                Client::ClaudeCode,
                Transport::Sse,
                &Key::Named,
                r#".mcp.json {"mcpServers":{"smcp":{"type":"sse","url":"http://h:1/sse","headers":{"Authorization":"Bearer ${SMCP_API_KEY}"}}}}"#,
            ),
            (
                Client::ClaudeCode,
                Transport::Stdio,
                &Key::None,
                r#".mcp.json {"mcpServers":{"smcp":{"type":"stdio","command":"/usr/bin/smcpctl","args":["stdio"]}}} claude mcp add smcp -- /usr/bin/smcpctl stdio"#,
            ),
            (
                Client::ClaudeDesktop,
                Transport::Stdio,
                &Key::None,
                r#"/home/you/.config/Claude/claude_desktop_config.json {"mcpServers":{"smcp":{"command":"/usr/bin/smcpctl","args":["stdio"]}}}"#,
            ),
            (
                Client::Cursor,
                Transport::Http,
                &given,
                r#"/home/you/.cursor/mcp.json {"mcpServers":{"smcp":{"url":"http://h:1/mcp","headers":{"Authorization":"Bearer K"}}}}"#,
            ),
            (
                Client::Cursor,
                Transport::Http,
                &Key::Named,
                r#"/home/you/.cursor/mcp.json {"mcpServers":{"smcp":{"url":"http://h:1/mcp","headers":{"Authorization":"Bearer ${env:SMCP_API_KEY}"}}}}"#,
            ),
            (
                Client::Vscode,
                Transport::Http,
                &Key::Named,
                r#"/home/you/.config/Code/User/mcp.json {"servers":{"smcp":{"type":"http","url":"http://h:1/mcp","headers":{"Authorization":"Bearer ${input:smcp-key}"}}},"inputs":[{"type":"promptString","id":"smcp-key","description":"API key of smcp","password":true}]}"#,
            ),
            (
                Client::Vscode,
                Transport::Stdio,
                &Key::None,
                r#"/home/you/.config/Code/User/mcp.json {"servers":{"smcp":{"type":"stdio","command":"/usr/bin/smcpctl","args":["stdio"]}}}"#,
            ),
            (
                Client::LettaCode,
                Transport::Http,
                &Key::Named,
                "/mcp add --transport http smcp http://h:1/mcp --auth-env SMCP_API_KEY",
            ),
            (
                Client::LettaCode,
                Transport::Stdio,
                &Key::None,
                "/mcp add --transport stdio smcp /usr/bin/smcpctl stdio",
            ),
        ] {
            assert_eq!(shown(client, transport, key), expected);
        }
        let letta = shown(Client::Letta, Transport::Sse, &given);
        assert!(letta.contains(r#"{"mcpServers":{"smcp":{"url":"http://h:1/sse","auth_header":"Authorization","auth_token":"Bearer K"}}}"#), "{letta}");
        assert!(letta.ends_with("END"), "{letta}");
    }

    #[test]
    fn the_call_of_lettas_api_means_what_it_says_to_a_shell_and_has_no_secret_in_it() {
        let odd = "/opt/$(id -un)/`x`/a\\b/\"c\"/smcpctl";
        let command = Way::Command(vec![odd.to_owned(), "stdio".to_owned()]);
        let url = Way::Url(Transport::Http, "http://h:1/mcp".to_owned());
        let secret = Key::Given("hunter2".to_owned());
        for (way, key, expected) in [
            (&command, &Key::None, json!({"mcp_server_type": "stdio", "command": odd, "args": ["stdio"]})),
            (
                &url,
                &secret,
                json!({
                    "mcp_server_type": "streamable_http", "server_url": "http://h:1/mcp",
                    "auth_header": "Authorization", "auth_token": "Bearer from-the-environment",
                }),
            ),
        ] {
            let call = letta_call("smcp", way, key);
            assert!(!call.contains("hunter2"));
            // A shell reads it, and `cat` shows what curl would get.
            let script = call.replacen("curl --fail-with-body --config -", "cat", 1);
            let child = std::process::Command::new("sh")
                .args(["-c", &script])
                .env(VARIABLE, "from-the-environment")
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let seen = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
            let body =
                seen.lines().find_map(|line| line.strip_prefix("data = \"")?.strip_suffix('"')).unwrap();
            // curl takes a backslash and a quote back in its own way.
            let body = body.replace("\\\\", "\u{0}").replace("\\\"", "\"").replace('\u{0}', "\\");
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body, json!({"server_name": "smcp", "config": expected}));
        }
    }

    #[test]
    fn a_program_in_an_odd_place_is_quoted() {
        let way = Way::Command(vec!["/opt/my tools/smcpctl".to_owned(), "stdio".to_owned()]);
        assert_eq!(
            claude_command("smcp", &way, &Key::None).unwrap(),
            "claude mcp add smcp -- '/opt/my tools/smcpctl' stdio"
        );
        assert!(letta_code_command("smcp", &way, &Key::None).ends_with("'/opt/my tools/smcpctl' stdio"));
    }

    #[test]
    fn what_suits_a_client_best_is_something_it_can_do() {
        for client in CLIENTS {
            assert!(supports(client, best(client), false).is_ok(), "{}", name(client));
        }
        for (client, transport, write) in [
            (Client::ClaudeDesktop, Transport::Http, false),
            (Client::LettaCode, Transport::Http, true),
            (Client::Letta, Transport::Http, true),
        ] {
            assert!(supports(client, transport, write).is_err(), "{}", name(client));
        }
    }
}
