use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;

use super::super::{Config, ConfigError, Override, Sources};
use super::*;
use crate::paths::Mode;

/// Loads the configuration of a system daemon whose `/etc/smcp` is a fresh directory.
pub(super) fn load(text: &str, environment: &[(&str, &str)], flags: Vec<Override>) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("smcpd.toml"), text).unwrap();
    load_from(directory.path(), environment, flags)
}

fn load_from(directory: &Path, environment: &[(&str, &str)], flags: Vec<Override>) -> Result<Config, String> {
    let mut variables: HashMap<String, OsString> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    variables.insert("CONFIGURATION_DIRECTORY".to_owned(), directory.into());
    let environment = move |name: &str| variables.get(name).cloned();
    let sources = Sources { mode: Mode::System, file: None, environment: &environment, flags };
    Config::load(sources).map_err(|error| reason(&error).replace(&directory.display().to_string(), "ETC"))
}

fn reason(error: &ConfigError) -> String {
    use std::error::Error;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[test]
fn without_a_file_the_defaults_hold() {
    let config = load("", &[], Vec::new()).unwrap();
    assert_eq!((config.http.host, config.http.port), (IpAddr::V4(Ipv4Addr::LOCALHOST), 8000));
    assert_eq!(config.execution.timeout, Some(Duration::from_secs(300)));
    assert_eq!(config.plugins.directory, Path::new("/var/lib/smcp/plugins"));
    assert!(config.effective.iter().all(|(_, _, origin)| *origin == Origin::Default));
}

#[test]
fn the_last_source_wins_and_its_origin_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let drop_ins = directory.path().join("smcpd.toml.d");
    fs::create_dir(&drop_ins).unwrap();
    fs::write(directory.path().join("smcpd.toml"), "[http]\nport = 1\nkeep_alive = 7\n").unwrap();
    fs::write(drop_ins.join("20-b.toml"), "# two\n[http]\nport = 3\n").unwrap();
    fs::write(drop_ins.join("10-a.toml"), "http.port = 2\nexecution.queue = 9").unwrap();
    fs::write(drop_ins.join("note.txt"), "not toml").unwrap();
    let origin = |config: &Config, key: &str| {
        let line = config.effective.iter().find(|(name, _, _)| name == key).unwrap();
        line.2.to_string().replace(&directory.path().display().to_string(), "ETC")
    };
    let config = load_from(directory.path(), &[], Vec::new()).unwrap();
    assert_eq!((config.http.port, config.execution.queue), (3, 9));
    assert_eq!(origin(&config, "http.port"), "ETC/smcpd.toml.d/20-b.toml:3");
    assert_eq!(origin(&config, "http.keep_alive"), "ETC/smcpd.toml:3");
    let flag = Override { key: "http.port", value: 5.into(), origin: Origin::Flag("--port") };
    let config = load_from(directory.path(), &[("MCP_PORT", "4")], vec![flag]).unwrap();
    assert_eq!(config.http.port, 5);
    assert_eq!(origin(&config, "http.port"), "--port");
    let config = load_from(directory.path(), &[("MCP_PORT", "4")], Vec::new()).unwrap();
    assert_eq!(origin(&config, "http.port"), "MCP_PORT");
}

#[test]
fn a_refusal_names_the_file_the_line_the_key_and_the_reason() {
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let cases: &[Case<'_>] = &[
        ("[http]\nprot = 80\n", &[], "ETC/smcpd.toml:2: unknown field `prot`"),
        ("[htp]\n", &[], "ETC/smcpd.toml:1: unknown field `htp`"),
        ("[http]\n\nport = \"80\"\n", &[], "ETC/smcpd.toml:3: invalid type: string \"80\", expected i64"),
        ("[http]\nport = 70000\n", &[], "ETC/smcpd.toml:2: `http.port` is 70000: a port is 0 to 65535"),
        ("[http]\nport = -1\n", &[], "ETC/smcpd.toml:2: `http.port` is -1"),
        ("[http]\nport = 1\nport = 2\n", &[], "ETC/smcpd.toml:3: duplicate key"),
        ("[http\n", &[], "ETC/smcpd.toml:1: "),
        ("[http]\nhost = \"nowhere\"\n", &[], "ETC/smcpd.toml:2: `http.host` is `nowhere`"),
        (
            "[plugins]\ndir = \"/nonexistent\"\n",
            &[],
            "ETC/smcpd.toml:2: `plugins.dir` is `/nonexistent`: No such",
        ),
        (
            "[plugins]\npython = \"python3\"\n",
            &[],
            "ETC/smcpd.toml:2: `plugins.python` is `python3`: it must be an",
        ),
        ("[execution]\nserialize = \"some\"\n", &[], "ETC/smcpd.toml:2: unknown variant `some`"),
        ("[execution]\ntimeout = -1\n", &[], "ETC/smcpd.toml:2: `execution.timeout` is -1"),
        ("[execution]\ntimeout = nan\n", &[], "ETC/smcpd.toml:2: `execution.timeout` is NaN"),
        ("[execution]\ntimeout = 1e300\n", &[], "ETC/smcpd.toml:2: `execution.timeout` is 1"),
        ("[execution]\nmax_concurrent = 0\n", &[], "ETC/smcpd.toml:2: `execution.max_concurrent` is 0"),
        ("[log]\nlevel = \"what=ever=\"\n", &[], "ETC/smcpd.toml:2: `log.level` is"),
        ("[plugin.a]\nconcurrency = 0\n", &[], "ETC/smcpd.toml:2: `plugin.a.concurrency` is 0"),
        ("[plugin.a]\nenv = { \"A=B\" = \"c\" }\n", &[], "default: `plugin.a.env` names `A=B`"),
        ("[auth]\nkey_files = [\"/nonexistent\"]\n", &[], "cannot read `/nonexistent`: No such file"),
        ("", &[("MCP_PORT", "http")], "MCP_PORT: `http` is not a whole number"),
        ("", &[("MCP_PORT", "65536")], "MCP_PORT: `http.port` is 65536"),
        ("", &[("MCP_PLUGINS_DIR", "/nonexistent")], "MCP_PLUGINS_DIR: `plugins.dir` is"),
        ("", &[("MCP_AUTH_DISABLED", "maybe")], "MCP_AUTH_DISABLED: `maybe` is neither"),
        ("", &[("MCP_HOST", "0.0.0.0")], "refusing to listen on 0.0.0.0 without an API key: set MCP_API_KEY"),
        ("http.allow_external = true", &[], "refusing to listen on 0.0.0.0 without an API key"),
        ("auth.required = true", &[], "a key is required (--require-auth) and there is none"),
        ("auth.required = true", &[("MCP_AUTH_DISABLED", "1")], "a key is required"),
    ];
    for (text, environment, expected) in cases {
        let refused = load(text, environment, Vec::new()).map(|_| ()).expect_err(text);
        assert!(refused.starts_with(expected), "{text:?}: {refused}\nexpected {expected}");
    }
}

#[test]
fn an_address_beyond_loopback_needs_a_key_or_the_guard_switched_off() {
    let key: &[(&str, &str)] = &[("MCP_API_KEY", "secret")];
    let config = load("http.allow_external = true", key, Vec::new()).unwrap();
    assert_eq!(config.http.host, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    assert!(load("http.host = \"::\"", key, Vec::new()).is_ok());
    assert!(load("http.host = \"::1\"", &[], Vec::new()).is_ok());
    let open = load("http.host = \"0.0.0.0\"", &[("MCP_AUTH_DISABLED", "1")], Vec::new()).unwrap();
    assert!(open.auth_disabled && open.keys.is_open());
}

#[test]
fn keys_come_from_both_variables_and_files_and_requiring_them_closes_loopback() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys");
    fs::write(&file, "three\n\n  four  \n").unwrap();
    let text = format!("auth.key_files = [{file:?}]\nauth.allow_loopback = true\n");
    let environment = [("MCP_API_KEY", "one"), ("MCP_API_KEYS", "two, one,,")];
    let config = load(&text, &environment, Vec::new()).unwrap();
    assert_eq!(format!("{:?}", config.keys), "Keys(4 of them)");
    assert!(config.keys.admit(&[], &[], true, 0, || None).is_ok());
    let config = load(&format!("{text}auth.required = true"), &environment, Vec::new()).unwrap();
    assert!(config.keys.admit(&[], &[], true, 0, || None).is_err());
    assert!(config.keys.admit(&[], &["four"], true, 0, || None).is_ok());
}

#[test]
fn a_created_key_counts_for_the_guards_and_its_file_has_to_be_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;

    use crate::auth::{self, Created, KeyChange, NewSecret};
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(auth::FILE);
    let state = directory.path().display().to_string();
    let environment: [(&str, &str); 1] = [("STATE_DIRECTORY", &state)];
    let loaded = |text: &str| load(text, &environment, Vec::new());
    assert!(loaded("http.allow_external = true").is_err() && loaded("auth.required = true").is_err());
    let mut created = Created::default();
    let change = |created: &mut Created, change| {
        created.change(&change, 1, &NewSecret("s".to_owned())).unwrap();
        auth::write_created(&file, created).unwrap();
    };
    let name = "a".to_owned();
    let create = KeyChange::Create { name: name.clone(), profiles: Vec::new(), agent: None, expires: None };
    change(&mut created, create);
    let config = loaded(
        "http.allow_external = true
auth.required = true",
    )
    .unwrap();
    assert!(config.keys.admit(&[], &["s"], false, 2, || None).is_ok());
    // Without any key left the door is shut, which is guard enough, and not what `required` asks for.
    change(&mut created, KeyChange::Revoke { name });
    assert!(loaded("http.allow_external = true").is_ok() && loaded("auth.required = true").is_err());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(loaded("").unwrap_err().contains("is open to others"));
}

#[test]
fn profiles_come_from_the_file_and_from_the_earlier_systems_and_wrong_ones_are_refused() {
    use crate::auth::{Facts, Scope};
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write(
        "a.json",
        r#"{"default_profile": "all", "profiles": {"all": {"mode": "all"}}, "intent_hints": []}"#,
    );
    write(
        "b.json",
        r#"{"profiles": {"pre": {"mode": "prefix", "prefix": "notes_"}}, "default_profile": null}"#,
    );
    write("readme.txt", "{");
    let theirs = directory.path().display().to_string();
    let variables = [("SMCP_PROFILES", theirs.as_str())];
    let config = load("[profile.mine]\nread_only = true\n", &variables, Vec::new()).unwrap();
    let names: Vec<&str> = config.profiles.named.keys().map(String::as_str).collect();
    assert_eq!((names, config.profiles.usual()), (vec!["all", "mine", "pre"], Scope::of(["all"])));
    let tool = Facts { id: "notes.add", wire_name: "notes__add", read_only: false, destructive: true };
    let selects: Vec<bool> = config.profiles.named.values().map(|profile| profile.selects(&tool)).collect();
    assert_eq!(selects, [true, false, true]);
    assert_eq!(
        config.profiles.named["mine"].origin,
        "ETC/smcpd.toml:2".replace("ETC", config.paths.config.to_str().unwrap())
    );
    assert_eq!(config.keys.anonymous().scope(), &Scope::of(["all"]));
    let attached = [variables[0], ("SMCP_ATTACH_PROFILE", "pre")];
    assert_eq!(load("", &attached, Vec::new()).unwrap().profiles.usual(), Scope::of(["pre"]));
    for (text, variables, expected) in [
        ("[profile.a]\nexcept = ['x']\n", vec![], "default: `profile.a.tools` selects nothing"),
        ("[profile.a]\ntools = ['']\n", vec![], "ETC/smcpd.toml:2: `profile.a.tools` has an empty name"),
        (
            "[profile.'a b']\nread_only = true\n",
            vec![],
            "default: `profile.a b` `a b` is no name for a profile",
        ),
        (
            "profiles.default = 'x'\n",
            vec![],
            "ETC/smcpd.toml:1: `profiles.default` is `x`, which is no profile: there is none",
        ),
        ("", vec![("SMCP_ATTACH_PROFILE", "x")], "SMCP_ATTACH_PROFILE: `profiles.default` is `x`"),
        (
            "",
            vec![("SMCP_PROFILES", "/nonexistent")],
            "SMCP_PROFILES: `profiles.file` `/nonexistent`: No such file",
        ),
        (
            "[profile.all]\nread_only = true\n",
            variables.to_vec(),
            "SMCP_PROFILES: `profiles.file` the profile `all` is defined in",
        ),
    ] {
        let refused = load(text, &variables, Vec::new()).map(|_| ()).expect_err(text);
        assert!(refused.starts_with(expected), "{text:?}: {refused}\nexpected {expected}");
    }
    write("b.json", r#"{"profiles": {"x": {"mode": "magic"}}}"#);
    assert!(load("", &variables, Vec::new()).unwrap_err().contains("b.json"));
}

#[test]
fn whoever_is_let_in_to_a_profile_that_is_none_stops_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("profiles.json");
    fs::write(&file, r#"{"profiles": {"theirs": {"mode": "all"}}}"#).unwrap();
    let theirs = [("SMCP_PROFILES", file.to_str().unwrap())];
    let tls = |callers: &str| {
        format!(
            "[profile.ops]\nread_only = true\n[tls]\ncertificate = '/x'\nkey = '/x'\nclient_ca = '/x'\n{callers}"
        )
    };
    let oauth = |scopes: &str| {
        let at = "issuer = 'https://a.example'\nresource = 'https://b.example'\njwks = 'https://a.example/j'";
        format!("[profile.ops]\nread_only = true\n[oauth]\n{at}\n{scopes}")
    };
    let said = |what: &str, known: &str| {
        format!(
            "has `{what}`, which is no profile: {known}; name one that there is, or define `[profile.{what}]`"
        )
    };
    let one = said("opps", "`ops`");
    for (text, expected) in [
        (
            tls("callers.'a.b'.profiles = ['opps']\n"),
            format!("ETC/smcpd.toml:7: `tls.callers.a.b.profiles` {one}"),
        ),
        (
            tls("[tls.callers.c]\n\nprofiles = ['ops', 'theirs']\n"),
            format!("ETC/smcpd.toml:9: `tls.callers.c.profiles` {}", said("theirs", "`ops`")),
        ),
        (oauth("scopes = { 'x.y' = ['opps'] }\n"), format!("ETC/smcpd.toml:7: `oauth.scopes.x.y` {one}")),
        (oauth("scopes = { x = ['*', 'opps'] }\n"), format!("ETC/smcpd.toml:7: `oauth.scopes.x` {one}")),
        (
            oauth("[oauth.scopes]\nx = ['ops']\ny = ['ops', 'Ops']\n"),
            format!("ETC/smcpd.toml:9: `oauth.scopes.y` {}", said("Ops", "`ops`")),
        ),
        (
            "[tls.callers.a]\nprofiles = ['x']\n".to_owned(),
            "default: `tls.callers` is set, and `tls.certificate` is not: set it too".to_owned(),
        ),
    ] {
        assert_eq!(load(&text, &[], Vec::new()).unwrap_err(), expected, "{text}");
    }
    // Those of the earlier system's file are profiles like any other.
    let scopes = oauth("scopes = { x = ['ops', 'theirs'], y = ['*'] }\n");
    assert!(load(&scopes, &theirs, Vec::new()).is_ok());
    let refused = load(&oauth("scopes = { x = ['opps'] }\n"), &theirs, Vec::new()).unwrap_err();
    assert!(refused.ends_with(&said("opps", "`ops`, `theirs`")), "{refused}");
    let callers = tls("callers.c.profiles = ['ops', 'theirs']\n");
    let refused = load(&callers, &theirs, Vec::new()).unwrap_err();
    assert!(refused.contains("`tls.certificate` cannot be used"), "{refused}");
}

#[test]
fn what_a_plugin_is_granted_is_not_shown() {
    let config = load("[plugin.a.env]\nTOKEN = \"hush\"\n", &[], Vec::new()).unwrap();
    let shown: Vec<_> = config.effective.iter().filter(|(key, _, _)| key.contains("TOKEN")).collect();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].1, "***");
}

#[test]
fn credentials_are_keys_and_what_one_plugin_alone_is_granted() {
    let directory = tempfile::tempdir().unwrap();
    let credentials = directory.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::write(credentials.join("smcp.key"), "one\n\ntwo\n").unwrap();
    fs::write(credentials.join("smcp.key.letta"), "three").unwrap();
    fs::write(credentials.join("smcp.plugin.devops.TOKEN"), "hunter2\n").unwrap();
    fs::write(credentials.join("tls.pem"), "not ours").unwrap();
    let path = credentials.display().to_string();
    let variables = [("CREDENTIALS_DIRECTORY", path.as_str()), ("MCP_API_KEY", "four")];
    let config =
        load("[plugin.devops]\ntimeout = 9\nenv = { TOKEN = \"old\", A = \"b\" }\n", &variables, Vec::new())
            .unwrap();
    assert_eq!(config.keys.count(), 4);
    let devops = &config.plugin["devops"];
    assert_eq!((devops.environment["TOKEN"].as_str(), devops.environment["A"].as_str()), ("hunter2", "b"));
    assert_eq!(devops.timeout, Some(Some(Duration::from_secs(9))));
    let shown: Vec<String> = config
        .effective
        .iter()
        .filter(|(_, _, origin)| matches!(origin, Origin::Credential(_)))
        .map(|(key, value, origin)| format!("{key} = {value}  # {origin}"))
        .collect();
    assert_eq!(
        shown,
        [
            "auth.keys.smcp.key = ***  # credential smcp.key",
            "auth.keys.smcp.key.letta = ***  # credential smcp.key.letta",
            "plugin.devops.env.TOKEN = ***  # credential smcp.plugin.devops.TOKEN",
        ]
    );
    fs::write(credentials.join("smcp.plugin.devops"), "x").unwrap();
    assert!(load("", &variables, Vec::new()).unwrap_err().contains("`smcp.plugin.NAME.VARIABLE`"));
    let nowhere = [("CREDENTIALS_DIRECTORY", "/nonexistent")];
    assert!(load("", &nowhere, Vec::new()).unwrap_err().contains("cannot read `/nonexistent`"));
}

#[test]
fn the_agents_variables_need_a_plugin_an_address_and_an_agent() {
    const FULL: &str =
        "[letta]\nurl = \"http://127.0.0.1:8283/\"\nagent = \"agent-1\"\nplugins = [\"b\", \"a\", \"b\"]\n";
    let letta = load(FULL, &[], Vec::new()).unwrap().letta.unwrap();
    assert_eq!((&*letta.url, &*letta.agent), ("http://127.0.0.1:8283", "agent-1"));
    assert_eq!(letta.plugins.iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((letta.key, letta.timeout), (None, Duration::from_secs(10)));
    // What is in the environment for other programs is not taken amiss where no plugin is named.
    let ambient = [("LETTA_SERVER_URL", "nonsense"), ("LETTA_AGENT_ID", "?"), ("LETTA_API_KEY", "hush")];
    let config = load("", &ambient, Vec::new()).unwrap();
    assert!(config.letta.is_none() && config.effective.iter().all(|(key, _, _)| key != "letta.key"));
    let named = "letta.plugins = [\"a\"]\n";
    let ambient = [("LETTA_SERVER_URL", "https://letta.example"), ("LETTA_AGENT_ID", "agent-2")];
    let letta = load(named, &ambient, Vec::new()).unwrap().letta.unwrap();
    assert_eq!((&*letta.url, &*letta.agent), ("https://letta.example", "agent-2"));
    for (text, environment, expected) in [
        (
            named.to_owned(),
            vec![],
            "ETC/smcpd.toml:1: `letta.plugins` names plugins, and `letta.url` is not set",
        ),
        (
            format!("{named}letta.url = \"http://h\""),
            vec![],
            "ETC/smcpd.toml:1: `letta.plugins` names plugins, and `letta.agent` is not set",
        ),
        (
            named.to_owned(),
            vec![("LETTA_SERVER_URL", "h:1"), ambient[1]],
            "LETTA_SERVER_URL: `letta.url` must be",
        ),
        (
            named.to_owned(),
            vec![("LETTA_SERVER_URL", "http://u:hush@h"), ambient[1]],
            "LETTA_SERVER_URL: `letta.url` must be an http or https address without user",
        ),
        (
            named.to_owned(),
            vec![ambient[0], ("LETTA_AGENT_ID", "../x")],
            "LETTA_AGENT_ID: `letta.agent` must be",
        ),
        (
            named.to_owned(),
            vec![ambient[0], ambient[1], ("LETTA_API_KEY", "hu\nsh")],
            "LETTA_API_KEY: `letta.key` has letters that no HTTP header can carry",
        ),
        (format!("{FULL}timeout = 0"), vec![], "ETC/smcpd.toml:5: `letta.timeout` is 0"),
        (format!("{FULL}key_file = \"/nonexistent\""), vec![], "cannot read `/nonexistent`"),
        (
            format!("{FULL}key_file = \"/dev/null\""),
            vec![],
            "ETC/smcpd.toml:5: `letta.key_file` is `/dev/null`, which is empty",
        ),
    ] {
        let refused = load(&text, &environment, Vec::new()).map(|_| ()).expect_err(&text);
        assert!(refused.starts_with(expected) && !refused.contains("hush"), "{refused}\nexpected {expected}");
    }
}

#[test]
fn lettas_key_comes_from_the_strongest_source_and_is_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let (home, credentials) = (directory.path().join("home"), directory.path().join("credentials"));
    fs::create_dir_all(home.join(".letta")).unwrap();
    fs::create_dir(&credentials).unwrap();
    let own = "LETTA_SERVER_URL=http://own.example\nLETTA_AGENT_ID='agent-own'\nexport LETTA_SERVER_PASSWORD=\"hush-own\"\n";
    fs::write(home.join(".letta/.env"), own).unwrap();
    let key_file = directory.path().join("key");
    fs::write(&key_file, "hush-file\n").unwrap();
    fs::write(credentials.join("smcp.letta"), "hush-credential\n").unwrap();
    let (home, credentials) = (home.display().to_string(), credentials.display().to_string());
    let with_file =
        format!("letta.plugins = [\"a\"]\nletta.key_file = {key_file:?}\nletta.agent = \"agent-1\"\n");
    let without = "letta.plugins = [\"a\"]\n";
    // Without the directories before it.
    let name = |origin: &Origin| origin.to_string().rsplit('/').next().unwrap().to_owned();
    let mut variables = vec![("HOME", &*home)];
    let mut key = |text: &str, more: Option<(&'static str, &str)>| {
        if let Some((name, value)) = more {
            variables.push((name, Box::leak(value.to_owned().into_boxed_str())));
        }
        let config = load(text, &variables, Vec::new()).unwrap();
        assert!(!format!("{config:?}").contains("hush"));
        let line = config.effective.iter().find(|(key, _, _)| key == "letta.key").unwrap().clone();
        let letta = config.letta.unwrap();
        (letta.agent, letta.key.unwrap().reveal().to_owned(), format!("{}  # {}", line.1, name(&line.2)))
    };
    let expected =
        |agent: &str, key: &str, line: &str| (agent.to_owned(), key.to_owned(), format!("***  # {line}"));
    assert_eq!(key(without, None), expected("agent-own", "hush-own", ".env:3"));
    assert_eq!(key(&with_file, None), expected("agent-1", "hush-file", "smcpd.toml:2"));
    assert_eq!(
        key(&with_file, Some(("LETTA_SERVER_PASSWORD", "hush-password"))),
        expected("agent-1", "hush-password", "LETTA_SERVER_PASSWORD")
    );
    assert_eq!(
        key(&with_file, Some(("LETTA_API_KEY", " hush-key "))),
        expected("agent-1", "hush-key", "LETTA_API_KEY")
    );
    assert_eq!(
        key(without, Some(("CREDENTIALS_DIRECTORY", &credentials))),
        expected("agent-own", "hush-credential", "credential smcp.letta")
    );
    // What may hold a password is not shown, used or not.
    let config = load("", &[("LETTA_SERVER_URL", "http://u:hush@h")], Vec::new()).unwrap();
    assert!(!format!("{config:?}").contains("hush"));
}
