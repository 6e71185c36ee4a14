use super::*;
use crate::config::for_tests;

/// What holds for the plugin `notes`, with these two sections of the file.
fn own(all: &str, notes: &str) -> Result<Sandbox, String> {
    let all: toml::Table = all.parse().unwrap();
    let of_all = all.into_iter().map(|(key, value)| (&*format!("sandbox.{key}").leak(), value));
    let notes: toml::Table = notes.parse().unwrap();
    let changes: Vec<_> = of_all.chain([("plugin.notes", toml::Value::Table(notes))]).collect();
    let config = for_tests(&changes).map_err(|error| error.to_string())?;
    let plugin = config.plugin.get("notes").cloned().unwrap_or_default();
    Ok(config.sandbox.of(&plugin))
}

#[test]
fn a_plugins_own_word_counts_and_its_files_come_on_top() {
    let merged = own(
        "mode = 'require'
read = ['/srv']
network = false
memory = 1073741824
files = 100",
        "sandbox = { read = ['/opt'], connect = [443], files = 200 }",
    )
    .unwrap();
    assert_eq!(merged.mode, Some(SandboxMode::Require));
    assert_eq!(merged.read, ["/srv", "/opt"].map(PathBuf::from));
    assert_eq!(merged.network, Some(Network::Ports(vec![443])));
    assert_eq!((merged.limits.memory, merged.limits.files), (Some(1 << 30), Some(200)));
}

#[test]
fn a_word_stands_for_a_table_with_the_mode() {
    for (word, mode) in [
        ("off", SandboxMode::Off),
        ("require", SandboxMode::Require),
        ("best-effort", SandboxMode::BestEffort),
    ] {
        assert_eq!(own("", &format!("sandbox = '{word}'")).unwrap().mode, Some(mode));
        assert_eq!(mode.as_str(), word);
    }
}

#[test]
fn what_cannot_be_meant_is_refused_by_its_key() {
    let cases = [
        ("", "sandbox = 'of'", "unknown variant `of`"),
        ("", "sandbox = 1", "or a table with what the plugin may do"),
        ("raed = ['/srv']", "", "unknown field `raed`"),
        ("", "sandbox.write = ['srv']", "a path begins with /"),
        ("exec = ['bin/sh']", "", "a path begins with /"),
        ("connect = [0]", "", "a port is 1 to 65535"),
        ("connect = [65536]", "", "a port is 1 to 65535"),
        ("network = false\nconnect = [443]", "", "closes all of them"),
        ("memory = 4096", "", "it must be at least 16777216"),
        ("processes = -1", "", "it must be at least 1"),
        ("cpu = 0", "", "it must be at least 1"),
    ];
    for (all, notes, reason) in cases {
        let refused = own(all, notes).unwrap_err();
        assert!(refused.contains(reason), "{all} {notes}: {refused}");
    }
}
