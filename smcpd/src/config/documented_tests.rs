//! The shipped file and the manual have every key that the configuration takes, and no other.

use super::tests::load;
use super::*;

/// Keys that have no value by default, or one that depends on the machine.
const EXAMPLES: [&str; 30] = [
    "oauth.issuer",
    "oauth.resource",
    "oauth.jwks",
    "oauth.scopes",
    "tls.certificate",
    "tls.key",
    "tls.client_ca",
    "tls.client_crl",
    "tls.client_auth",
    "tls.callers",
    "sandbox.exec",
    "sandbox.connect",
    "sandbox.memory",
    "sandbox.data",
    "sandbox.cpu",
    "sandbox.processes",
    "sandbox.total_memory",
    "sandbox.total_processes",
    "sandbox.cpu_weight",
    "plugins.dir",
    "plugins.python",
    "log.file",
    "control.group",
    "control.call_group",
    "profiles.default",
    "profiles.file",
    "letta.url",
    "letta.agent",
    "letta.key_file",
    "auth.state_key_file",
];

const SHIPPED: &str = include_str!("../../../packaging/smcpd.toml");

/// The keys of each section as the mirror of the file has them, with those of `[plugin.NAME]`.
fn keys_of_the_mirror() -> Vec<String> {
    let plugin = super::super::file::Plugin {
        timeout: Some(Seconds(1.0)),
        concurrency: Some(1),
        dir: Some("/".into()),
        python: Some("/".into()),
        env: [("A".to_owned(), "b".to_owned())].into(),
        secrets: [("A".to_owned(), secrets::Given::default())].into(),
        warm: Some(crate::config::WarmMode::Spare),
        preload: vec!["os".to_owned()],
        sandbox: sandbox::OfPlugin(sandbox::Given::full()),
        pins: Some(crate::config::PinPolicy::Warn),
        confirm: Some(confirm::OfPlugin::Destructive(Default::default())),
    };
    let mut file = super::super::file::File { sandbox: sandbox::Given::full(), ..Default::default() };
    // What is not set by default would not be written either.
    file.plugins.dir = Some("/".into());
    file.plugins.python = Some("/".into());
    file.log.file = Some("/".into());
    file.control.group = Some("a".to_owned());
    file.control.call_group = Some("a".to_owned());
    file.letta.url = Some("a".to_owned());
    file.letta.agent = Some("a".to_owned());
    file.letta.key_file = Some("/".into());
    file.auth.state_key_file = Some("/".into());
    file.oauth.issuer = Some("a".to_owned());
    file.oauth.resource = Some("a".to_owned());
    file.oauth.jwks = Some("a".to_owned());
    file.tls.certificate = Some("/".into());
    file.tls.key = Some("/".into());
    file.tls.client_ca = Some("/".into());
    file.tls.client_crl = Some("/".into());
    file.tls.client_auth = Some(tls::ClientAuth::Required);
    file.plugin.insert("NAME".to_owned(), plugin);
    file.profiles.file = Some("/".into());
    file.profiles.default = Some("a".to_owned());
    let profile = profiles::Given { destructive: Some(false), ..Default::default() };
    file.profile.insert("NAME".to_owned(), profile);
    let table = toml::Table::try_from(file).unwrap();
    let mut keys = Vec::new();
    for (section, keys_of) in &table {
        let keys_of = keys_of.as_table().unwrap();
        if ["plugin", "profile"].contains(&&**section) {
            keys.extend(
                keys_of["NAME"].as_table().unwrap().keys().map(|key| format!("{section}.NAME.{key}")),
            );
        } else {
            keys.extend(keys_of.keys().map(|key| format!("{section}.{key}")));
        }
    }
    keys.sort();
    keys
}

/// The lines of the shipped file that set something once their `#` is taken away, with their section.
fn settings_of_the_shipped_file() -> Vec<(String, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in SHIPPED.lines() {
        // A comment for people has a blank behind its `#`.
        let line = line.strip_prefix('#').unwrap_or(line);
        if let Some(name) = line.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            section = name.to_owned();
        } else if !line.starts_with(' ') && line.contains(" = ") {
            found.push((section.clone(), line.to_owned()));
        }
    }
    found
}

#[test]
fn the_shipped_file_has_every_key_and_no_other() {
    let key = |(section, line): &(String, String)| format!("{section}.{}", line.split(' ').next().unwrap());
    let mut shipped: Vec<String> = settings_of_the_shipped_file().iter().map(key).collect();
    shipped.sort();
    assert_eq!(shipped, keys_of_the_mirror());
}

#[test]
fn the_shipped_file_holds_plugins_fast_and_shows_the_defaults() {
    /// Where there is a unit, and somebody installed it.
    const SET: [(&str, &str); 1] = [("sandbox.mode", "\"require\"")];
    let defaults = load("", &[], Vec::new()).unwrap();
    let untouched = load(SHIPPED, &[], Vec::new()).unwrap();
    let set: Vec<(&str, &str)> = untouched
        .effective
        .iter()
        .filter(|line| !defaults.effective.contains(line))
        .map(|(key, value, _)| (&**key, &**value))
        .collect();
    assert_eq!(set, SET);
    let is_example = |section: &str, line: &str| {
        section.starts_with("plugin.")
            || section.starts_with("profile.")
            || SET.iter().any(|(key, _)| *key == format!("{section}.{}", line.split(' ').next().unwrap()))
            || EXAMPLES.contains(&&*format!("{section}.{}", line.split(' ').next().unwrap()))
    };
    let text: String = settings_of_the_shipped_file()
        .iter()
        .filter(|(section, line)| !is_example(section, line))
        .map(|(section, line)| format!("{section}.{line}\n"))
        .collect();
    let shown = load(&text, &[], Vec::new()).unwrap();
    let values = |config: &Config| -> Vec<(String, String)> {
        config.effective.iter().map(|(key, value, _)| (key.clone(), value.clone())).collect()
    };
    assert_eq!(values(&shown), values(&defaults));
    assert!(shown.effective.iter().any(|(_, _, origin)| *origin != Origin::Default));
}

/// The first words of the items of each section `[name]` of the manual page.
fn keys_of_the_manual() -> Vec<String> {
    let page = include_str!("../../../man/smcpd.toml.5");
    let (mut section, mut depth, mut found) = (None, 0, Vec::new());
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix(".Ss ").or_else(|| line.strip_prefix(".Sh ")) {
            let name = heading.trim_end_matches("\\&").strip_prefix('[');
            section = name.and_then(|name| name.strip_suffix(']')).map(str::to_owned);
        } else if line.starts_with(".Bl ") {
            depth += 1;
        } else if line.starts_with(".El") {
            depth -= 1;
        } else if let (Some(section), Some(item), 1) = (&section, line.strip_prefix(".It Li "), depth) {
            found.push(format!("{section}.{}", item.split(' ').next().unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn the_manual_has_every_key_and_no_other() {
    assert_eq!(keys_of_the_manual(), keys_of_the_mirror());
}
