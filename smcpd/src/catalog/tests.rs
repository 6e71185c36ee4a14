use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::environment::Environment;
use super::plugin::Defaults;
use super::scan::Located;
use super::*;

use crate::config::{self, Execution, Serialize, WarmMode};

fn execution(serialize: Serialize) -> Execution {
    Execution {
        serialize,
        max_concurrent: NonZeroUsize::new(8).unwrap(),
        queue: 1,
        queue_per_caller: 1,
        timeout: Some(Duration::from_secs(300)),
        grace: Duration::ZERO,
        drain: Duration::ZERO,
        output_limit: 1_000,
    }
}

pub(super) fn linked_plugin(name: &str, linked: SystemTime, contract: Value) -> Arc<Plugin> {
    made(name, linked, contract, &config::Plugin::default(), Serialize::Plugin)
}

fn plugin_with(name: &str, contract: Value, granted: &config::Plugin, serialize: Serialize) -> Arc<Plugin> {
    made(name, SystemTime::UNIX_EPOCH, contract, granted, serialize)
}

fn made(
    name: &str,
    linked: SystemTime,
    contract: Value,
    granted: &config::Plugin,
    serialize: Serialize,
) -> Arc<Plugin> {
    let description = contract::parse(&contract).unwrap().unwrap();
    let located = Located {
        name: name.to_owned(),
        directory: "/p".into(),
        program: "/usr/bin/python3".into(),
        prefix: vec!["/p/cli.py".into()],
        linked,
        confinement: Default::default(),
        risks: Vec::new(),
    };
    let environment =
        Environment::choose(std::iter::empty(), config::Environment::Declared, &[], &BTreeMap::new());
    Arc::new(Plugin::new(
        located,
        Default::default(),
        description,
        environment,
        "/s".into(),
        granted,
        Defaults { execution: &execution(serialize), warm: WarmMode::Off },
    ))
}

pub(super) fn plugin(name: &str, commands: Value) -> Arc<Plugin> {
    plugin_with(name, json!({"commands": commands}), &config::Plugin::default(), Serialize::Plugin)
}

pub(super) fn catalog(plugins: &[Arc<Plugin>], separator: Separator) -> Catalog {
    let states =
        plugins.iter().map(|plugin| (plugin.name().to_owned(), PluginState::Described(Arc::clone(plugin))));
    Catalog::build(1, states.collect(), separator)
}

fn wire_names(catalog: &Catalog) -> Vec<&str> {
    catalog.tools().iter().map(|tool| tool.wire_name()).collect()
}

#[test]
fn tools_stand_in_a_fixed_order_under_the_operators_separator() {
    let plugins = [plugin("b", json!([{"name": "z"}, {"name": "y"}])), plugin("a", json!([{"name": "x"}]))];
    assert_eq!(
        wire_names(&catalog(&plugins, Separator::DoubleUnderscore)),
        ["health", "a__x", "b__z", "b__y"]
    );
    assert_eq!(wire_names(&catalog(&plugins, Separator::Underscore)), ["health", "a_x", "b_z", "b_y"]);
    let found = catalog(&plugins, Separator::Dot);
    assert_eq!(found.find("b_z").unwrap().id(), "b.z");
    assert_eq!(found.find("b.zz").unwrap_err().to_string(), "unknown tool: `b.zz`; did you mean `b.z`?");
}

#[test]
fn a_name_that_is_taken_or_too_long_leaves_its_tool_out_and_says_so() {
    let long = "c".repeat(63);
    let plugins = [
        plugin("a", json!([{"name": "b_c"}, {"name": long}, {"name": "d".repeat(45)}])),
        plugin("a_b", json!([{"name": "c"}])),
        plugin("z", json!([{"name": "x", "tool_name": "health"}, {"name": "y", "tool_name": "mine"}])),
    ];
    let catalog = catalog(&plugins, Separator::Underscore);
    assert_eq!(wire_names(&catalog), ["health", "a_b_c", &format!("a_{}", "d".repeat(45)), "mine"]);
    let problems: Vec<(&str, bool)> = catalog
        .problems
        .iter()
        .map(|problem| (problem.tool.as_str(), problem.message.starts_with("left out")))
        .collect();
    assert_eq!(
        problems,
        [
            (&*format!("a.{long}"), true),
            (&*format!("a.{}", "d".repeat(45)), false),
            ("a_b.c", true),
            ("z.x", true)
        ]
    );
}

#[test]
fn each_revision_sees_the_fields_it_knows_and_the_list_is_made_once() {
    let tools =
        json!([{"name": "x", "title": "X", "annotations": {"readOnlyHint": true}, "description": " "}]);
    let catalog = catalog(&[plugin("a", tools)], Separator::DoubleUnderscore);
    let listed =
        |fields| serde_json::from_slice::<Value>(&catalog.listed(fields)).unwrap()["tools"][1].clone();
    let keys = |tool: &Value| tool.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&listed(Fields::Plain)), ["name", "description", "inputSchema"]);
    assert_eq!(keys(&listed(Fields::Annotated)), ["name", "description", "inputSchema", "annotations"]);
    assert_eq!(keys(&listed(Fields::Titled)), ["name", "description", "inputSchema", "title", "annotations"]);
    assert_eq!(listed(Fields::Plain)["description"], "Runs the command `x` of the plugin `a`.");
    assert_eq!(catalog.listed(Fields::Plain).as_ptr(), catalog.listed(Fields::Plain).as_ptr());
    let page = catalog.tools_from(1, 1, Fields::Plain);
    assert_eq!((page.len(), page[0]["name"].clone()), (1, json!("a__x")));
}

fn context() -> CallContext<'static> {
    CallContext {
        id: "c-1",
        caller: "key-1",
        agent: Some("agent"),
        traceparent: None,
        capabilities: "{}",
        input: None,
        variables: None,
        turn: "t".into(),
    }
}

#[test]
fn a_call_is_prepared_with_the_narrowest_of_what_is_granted_and_asked() {
    let contract = json!({"timeout": 60, "concurrency": 2, "commands": [
        {"name": "x", "parameters": [{"name": "a"}]},
        {"name": "quick", "timeout": 5, "annotations": {"readOnlyHint": true}},
        {"name": "slow", "timeout": 9_000, "stdin": true, "parameters": [{"name": "a", "type": "integer"}]},
    ]});
    let given = |value: Value| value.as_object().unwrap().clone();
    let lifted = config::Plugin {
        timeout: Some(None),
        concurrency: NonZeroUsize::new(4),
        ..config::Plugin::default()
    };
    let plain = plugin_with("p", contract.clone(), &config::Plugin::default(), Serialize::Plugin);
    let (admission, invocation) = plain.prepare(0, &given(json!({"a": "-x"})), &context()).unwrap();
    assert_eq!(invocation.program, std::path::Path::new("/usr/bin/python3"));
    assert_eq!(invocation.argv, ["/p/cli.py", "x", "--a=-x"]);
    assert_eq!(
        (invocation.timeout, invocation.stdin, admission.slots.get()),
        (Some(Duration::from_secs(60)), None, 1)
    );
    assert!(!admission.shared && &*admission.lane == "p" && &*admission.caller == "t");
    let variable = |name: &str| {
        invocation.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    assert_eq!(variable("SMCP_AGENT_ID"), Some("agent".into()));
    assert_eq!(variable("SMCP_STATE_DIR"), Some("/s".into()));
    assert_eq!(variable("TRACEPARENT"), None);
    let (admission, invocation) = plain.prepare(1, &Map::new(), &context()).unwrap();
    assert!(admission.shared && invocation.timeout == Some(Duration::from_secs(5)));
    let granted = plugin_with("p", contract.clone(), &lifted, Serialize::Plugin);
    let (admission, invocation) = granted.prepare(2, &given(json!({"a": "7"})), &context()).unwrap();
    assert_eq!((invocation.timeout, admission.slots.get()), (Some(Duration::from_secs(9_000)), 2));
    assert_eq!(
        (invocation.argv, invocation.stdin),
        (vec!["/p/cli.py".into(), "slow".into()], Some(b"{\"a\":7}".to_vec()))
    );
    let single = plugin_with("p", contract, &config::Plugin::default(), Serialize::All);
    let (admission, _) = single.prepare(1, &Map::new(), &context()).unwrap();
    assert!(&*admission.lane == "*" && !admission.shared);
    assert!(single.prepare(0, &given(json!({"b": 1})), &context()).is_err());
}

#[test]
fn changes_between_catalogs_are_told_by_tool_and_parameter() {
    let before = catalog(
        &[plugin("a", json!([{"name": "x", "parameters": [{"name": "p"}, {"name": "q"}]}, {"name": "y"}]))],
        Separator::Dot,
    );
    let tools = json!([{"name": "x", "parameters": [{"name": "p", "type": "integer"}, {"name": "r"}]}, {"name": "z"}]);
    let after = catalog(&[plugin("a", tools)], Separator::Dot);
    let changes = Changes::between(&before, &after);
    assert_eq!((changes.added, changes.removed), (vec!["a.z".to_owned()], vec!["a.y".to_owned()]));
    assert_eq!(changes.changed.len(), 1);
    assert_eq!(changes.changed[0].parameters, ["+r", "-q", "~p"]);
    assert_eq!(Changes::between(&before, &before), Changes::default());
}

fn described(environment: Environment, names: &[&str]) -> Plugin {
    let command = |name: &&str| json!({"name": name, "path": [name], "open": true});
    let commands: Vec<Value> = names.iter().map(command).collect();
    let description = serde_json::from_value(json!({"commands": commands})).unwrap();
    let (name, directory, program) = ("p".to_owned(), "/p".into(), "/p/cli.py".into());
    let located = Located {
        name,
        directory,
        program,
        prefix: Vec::new(),
        linked: SystemTime::UNIX_EPOCH,
        confinement: Default::default(),
        risks: Vec::new(),
    };
    let (granted, execution) = (config::Plugin::default(), execution(Serialize::None));
    Plugin::new(
        located,
        Default::default(),
        description,
        environment,
        "/s".into(),
        &granted,
        Defaults { execution: &execution, warm: WarmMode::Off },
    )
}

pub(super) fn argv(plugin: &Plugin, given: Value) -> Result<Vec<String>, String> {
    let (_, invocation) =
        plugin.prepare(0, given.as_object().unwrap(), &context()).map_err(|error| error.to_string())?;
    Ok(invocation.argv.into_iter().map(|word| word.into_string().unwrap()).collect())
}

#[test]
fn every_spelling_finds_a_tool_and_what_may_mean_several_names_them() {
    let two = json!([{"name": "click_it"}, {"name": "run", "tool_name": "Go"}]);
    let (one, other) = (plugin("a_b", json!([{"name": "c"}])), plugin("a", json!([{"name": "b-c"}])));
    let catalog = catalog(&[plugin("dev-ops", two), one, other], Separator::DoubleUnderscore);
    let long = "x".repeat(300);
    let cases = [
        ("dev-ops__click_it", Ok("dev-ops.click_it")),
        ("dev_ops_click_it", Ok("dev-ops.click_it")),
        ("Go", Ok("dev-ops.run")),
        ("a_b.c", Ok("a_b.c")),
        ("a_b_c", Err("`a_b_c` may mean `a__b-c` or `a_b__c`: use the exact name".to_owned())),
        ("a__bc", Err("unknown tool: `a__bc`; did you mean `a__b-c`?".to_owned())),
        ("nothing", Err("unknown tool: `nothing`".to_owned())),
        (&long, Err(format!("unknown tool: `{}`", "x".repeat(128)))),
    ];
    for (name, expected) in cases {
        let found = catalog.find(name).map_err(|error| error.to_string());
        assert_eq!(found.as_ref().map(|tool| tool.id()).map_err(String::clone), expected, "{name}");
    }
    assert_eq!(wire_names(&Catalog::empty()), ["health"]);
}

#[test]
fn only_described_plugins_have_tools_and_every_state_is_counted() {
    let states = BTreeMap::from([
        ("a".to_owned(), PluginState::Described(plugin("a", json!([{"name": "x"}])))),
        ("b".to_owned(), PluginState::Pending),
        ("c".to_owned(), PluginState::Failed("no".to_owned())),
    ]);
    let catalog = Catalog::build(3, states, Separator::DoubleUnderscore);
    assert_eq!((wire_names(&catalog), catalog.generation), (vec!["health", "a__x"], 3));
    assert_eq!(catalog.plugin_counts(), PluginCounts { described: 1, pending: 1, failed: 1 });
    let same = |one: &str, other: &str| catalog.plugins()[one].is_same(&catalog.plugins()[other]);
    assert!(same("a", "a") && same("b", "b") && same("c", "c") && !same("a", "b") && !same("b", "c"));
}

#[test]
fn what_no_command_line_can_carry_is_refused_by_name_and_stdin_takes_it() {
    let of = |stdin: bool| plugin("p", json!([{"name": "x", "stdin": stdin, "parameters": [{"name": "b"}]}]));
    let (line, stdin) = (of(false), of(true));
    let long = "é".repeat(1 << 19);
    for (value, reason) in [("a\0b", "`b` holds a NUL character"), (&long, "`b` is 1048580 bytes long")] {
        let given = json!({"b": value});
        let refused = argv(&line, given.clone()).unwrap_err();
        assert!(refused.starts_with(reason) && refused.len() < 200, "{refused}");
        let (_, invocation) = stdin.prepare(0, given.as_object().unwrap(), &context()).unwrap();
        assert_eq!(invocation.argv, ["/p/cli.py", "x"]);
        assert_eq!(serde_json::from_slice::<Value>(&invocation.stdin.unwrap()).unwrap(), given);
    }
    let many: Map<String, Value> = (0..10_000).map(|key| (format!("k{key}"), Value::Null)).collect();
    assert_eq!(argv(&line, many.into()).unwrap(), ["/p/cli.py", "x"]);
}

#[test]
fn a_call_has_its_own_variables_and_nothing_of_the_daemons() {
    let stale = ["TRACEPARENT", "SMCP_AGENT_ID"].map(|name| (name.to_owned(), "stale".to_owned()));
    let own = Environment::choose([].into_iter(), config::Environment::Inherit, &[], &stale.into());
    let plugin = described(own, &["x"]);
    let told = |context: &CallContext<'_>| {
        let (admission, invocation) = plugin.prepare(0, &Map::new(), context).unwrap();
        assert_eq!((admission.slots.get(), &*invocation.call), (8, "c-1"));
        let all: BTreeMap<_, _> = invocation.environment.into_iter().collect();
        ["SMCP_CALLER", "SMCP_AGENT_ID", "TRACEPARENT"]
            .map(|name| all.get(std::ffi::OsStr::new(name)).map(|value| value.to_str().unwrap().to_owned()))
    };
    assert_eq!(told(&context()), [Some("key-1".to_owned()), Some("agent".to_owned()), None]);
    let other = CallContext { agent: None, traceparent: Some("00-1"), ..context() };
    assert_eq!(told(&other)[1..], [None, Some("00-1".to_owned())]);
}

#[test]
fn what_an_open_command_is_given_reaches_its_command_line() {
    let given = json!({"name": "n", "on": true, "tags": ["a", "b"], "more": {"k": 1}});
    let words = argv(&described(Environment::default(), &["x"]), given).unwrap();
    assert_eq!(words, ["x", "--name=n", "--on=true", "--tags=a", "--tags=b", "--more={\"k\":1}"]);
}

#[test]
fn a_name_with_letters_that_clients_refuse_is_never_listed() {
    let plugin = described(Environment::default(), &["db:migrate", "größe", "ok"]);
    let catalog = catalog(&[Arc::new(plugin)], Separator::default());
    let listed = wire_names(&catalog);
    assert!(listed.iter().all(|name| names::is_plain(name)) && listed.contains(&"p__ok"), "{listed:?}");
}

fn through_stdin(schema: Value, given: &Value) -> Result<Value, String> {
    let plugin = plugin("p", json!([{"name": "x", "stdin": true, "inputSchema": schema}]));
    let prepared = plugin.prepare(0, given.as_object().unwrap(), &context());
    let (_, invocation) = prepared.map_err(|error| error.to_string())?;
    Ok(serde_json::from_slice(&invocation.stdin.unwrap()).unwrap())
}

#[test]
fn stdin_gets_the_values_that_the_verbatim_schema_allows() {
    let (number, list) = (json!({"type": ["integer", "null"]}), json!({"type": ["array", "null"]}));
    let schema = json!({"type": "object", "properties": {"n": number, "any": {}, "list": list}});
    let given = json!({"n": 7, "any": {"k": true}, "list": [1]});
    assert_eq!(through_stdin(schema, &given), Ok(given));
}

#[test]
fn a_verbatim_schema_that_is_open_takes_what_it_does_not_name() {
    let schema = json!({"type": "object", "additionalProperties": true});
    assert_eq!(through_stdin(schema, &json!({"free": 1})), Ok(json!({"free": 1})));
}
