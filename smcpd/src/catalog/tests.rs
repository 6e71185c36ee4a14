use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::environment::Environment;
use super::scan::Located;
use super::*;
use crate::config::{Execution, Serialize};

fn execution(serialize: Serialize) -> Execution {
    Execution {
        serialize,
        max_concurrent: NonZeroUsize::new(8).unwrap(),
        queue: 1,
        timeout: Some(Duration::from_secs(300)),
        grace: Duration::ZERO,
        drain: Duration::ZERO,
        output_limit: 1_000,
    }
}

fn plugin_with(name: &str, contract: Value, granted: &config::Plugin, serialize: Serialize) -> Arc<Plugin> {
    let description = contract::parse(&contract).unwrap().unwrap();
    let located = Located {
        name: name.to_owned(),
        directory: "/p".into(),
        program: "/usr/bin/python3".into(),
        prefix: vec!["/p/cli.py".into()],
    };
    let environment =
        Environment::choose(std::iter::empty(), config::Environment::Declared, &[], &BTreeMap::new());
    Arc::new(Plugin::new(
        located,
        String::new(),
        description,
        environment,
        "/s".into(),
        granted,
        &execution(serialize),
    ))
}

fn plugin(name: &str, commands: Value) -> Arc<Plugin> {
    plugin_with(name, json!({"commands": commands}), &config::Plugin::default(), Serialize::Plugin)
}

fn catalog(plugins: &[Arc<Plugin>], separator: Separator) -> Catalog {
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
    let listed = |fields| serde_json::from_slice::<Value>(&catalog.listed(fields)).unwrap()[1].clone();
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
    CallContext { id: "c-1", caller: "key-1", agent: Some("agent"), traceparent: None, turn: "t".into() }
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
