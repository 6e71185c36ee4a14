//! What a plugin's processes are held to: `plugin sandbox`, and with `--explain` where each rule comes from.

use smcp_control::{ConfigValue, Sandbox, Status};

use crate::daemon::Daemon;
use crate::exit::{Exit, Failure};
use crate::table::{print_json, print_rows};

/// Says what a plugin's processes may do and what not.
pub(crate) async fn show(daemon: &mut Daemon, name: &str, explain: bool) -> Result<Exit, Failure> {
    let plugin = daemon.fetch_plugin(name).await?;
    let Some(described) = plugin.described else {
        let reason = plugin.info.reason.unwrap_or_else(|| "it is not described yet".to_owned());
        return Err(Failure::new(Exit::Failed, format!("`{name}`: {reason}")));
    };
    if !explain {
        match daemon.json {
            true => print_json("sandbox", &described.sandbox)?,
            false => print_rows(&["WHAT", "VALUE"], &rows_of(&described.sandbox))?,
        }
        return Ok(Exit::Ok);
    }
    let sources =
        Sources { plugin: name, config: daemon.fetch_config().await?, status: daemon.fetch_status().await? };
    let rules = sources.explain(&described.sandbox);
    if daemon.json {
        let rules: Vec<_> =
            rules.iter().map(|rule| serde_json::json!({"rule": rule[0], "why": rule[1]})).collect();
        print_json("rules", &rules)?;
    } else {
        print_rows(&["RULE", "WHY"], &rules)?;
    }
    Ok(Exit::Ok)
}

/// The rules as they are shown, without a word on where they come from.
fn rows_of(held: &Sandbox) -> Vec<Vec<String>> {
    let row = |name: &str, value: &str| vec![name.to_owned(), value.to_owned()];
    let mut rows = vec![row("mode", &held.mode)];
    if held.mode == "off" {
        return rows;
    }
    rows.extend(held.write.iter().map(|path| row("writes", path)));
    rows.push(row("reads", "the system, but for what is hidden"));
    rows.extend(held.read.iter().map(|path| row("reads", path)));
    rows.extend(held.hidden.iter().map(|path| row("hidden", path)));
    match &held.exec {
        None => rows.push(row("runs", "whatever it reads")),
        Some(paths) => {
            rows.push(row("runs", "its own program"));
            rows.extend(paths.iter().map(|path| row("runs", path)));
        }
    }
    rows.push(row("connects to", &ports(held.connect.as_deref())));
    rows.extend(
        held.limits
            .iter()
            .map(|(name, bound)| row(&format!("limit of {}", name.replace('_', " ")), &bound.to_string())),
    );
    rows.extend(held.missing.iter().map(|lacking| row("not held by", lacking)));
    rows
}

fn ports(connect: Option<&[u16]>) -> String {
    match connect {
        None => "any port".to_owned(),
        Some([]) => "nothing: it has no network".to_owned(),
        Some(some) => format!("TCP {}", some.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// Where rules come from.
struct Sources<'a> {
    plugin: &'a str,
    config: Vec<ConfigValue>,
    status: Status,
}

impl Sources<'_> {
    /// The key that says it, the plugin's own before that of all; with the file and the line.
    fn key(&self, key: &str) -> Option<String> {
        let own = format!("plugin.{}.sandbox", self.plugin);
        let keys = [format!("{own}.{key}"), format!("sandbox.{key}")];
        keys.iter().find_map(|key| self.said(key))
    }

    fn said(&self, key: &str) -> Option<String> {
        let found = self.config.iter().find(|value| value.key == key && value.origin != "default")?;
        Some(format!("`{}`, {}", found.key, found.origin))
    }

    /// The list that names a path, of the plugin or of all.
    fn granted(&self, key: &str, path: &str) -> Option<String> {
        let keys = [format!("plugin.{}.sandbox.{key}", self.plugin), format!("sandbox.{key}")];
        let names = |value: &&ConfigValue| {
            keys.contains(&value.key)
                && serde_json::from_str::<Vec<String>>(&value.value)
                    .is_ok_and(|paths| paths.iter().any(|one| one == path))
        };
        self.config.iter().find(names).map(|found| format!("`{}`, {}", found.key, found.origin))
    }

    fn why_written(&self, path: &str) -> String {
        self.granted("write", path).unwrap_or_else(|| match path {
            "/tmp" | "/var/tmp" | "/dev/shm" => "every plugin has it for scratch".to_owned(),
            _ if path.starts_with(&self.status.state_directory) => "its state directory".to_owned(),
            _ => self
                .said(&format!("plugin.{}.dir", self.plugin))
                .unwrap_or_else(|| "the daemon's TMPDIR, for scratch".to_owned()),
        })
    }

    fn why_read(&self, path: &str) -> String {
        self.granted("read", path).unwrap_or_else(|| match path.starts_with(&self.status.state_directory) {
            true => "its virtual environment".to_owned(),
            false => "its own code".to_owned(),
        })
    }

    fn why_hidden(&self, path: &str) -> &'static str {
        let Status { plugins_directory, state_directory, .. } = &self.status;
        if path == plugins_directory {
            "the plugins directory: the code of others"
        } else if path == state_directory {
            "the daemon's state: that of other plugins is in it"
        } else if ["/etc", "/run/credentials", "/root"].iter().any(|root| path.starts_with(root))
            && !path.contains("smcp")
        {
            "root alone may read it, and the daemon is root"
        } else {
            "the daemon's own: its configuration, keys, cache, sockets or log"
        }
    }

    fn explain(&self, held: &Sandbox) -> Vec<Vec<String>> {
        let default = |key: &str, unset: &str| self.key(key).unwrap_or_else(|| unset.to_owned());
        let row = |rule: String, why: String| vec![rule, why];
        let mode = self.said(&format!("plugin.{}.sandbox", self.plugin));
        let mode =
            mode.unwrap_or_else(|| default("mode", "without a word: what the kernel lacks is left out"));
        let mut rows = vec![row(format!("mode {}", held.mode), mode)];
        if held.mode == "off" {
            return rows;
        }
        rows.extend(
            held.write.iter().map(|path| row(format!("reads and writes `{path}`"), self.why_written(path))),
        );
        let all = "without a word: every plugin reads the system".to_owned();
        rows.push(row("reads all that its user may, but what is hidden".to_owned(), all));
        rows.extend(held.read.iter().map(|path| row(format!("reads `{path}`"), self.why_read(path))));
        let hidden = |path: &String| row(format!("cannot open `{path}`"), self.why_hidden(path).to_owned());
        rows.extend(held.hidden.iter().map(hidden));
        rows.push(match &held.exec {
            None => row("runs whatever it reads".to_owned(), "without a word".to_owned()),
            Some(paths) => row(
                format!("runs its own program, and {}", paths.join(", ")),
                default("exec", "without a word"),
            ),
        });
        let network = self.key("connect").or_else(|| self.key("network"));
        let network = network.unwrap_or_else(|| "without a word".to_owned());
        rows.push(row(format!("connects to {}", ports(held.connect.as_deref())), network));
        let others = "every plugin: signals and abstract sockets of its own alone, and no system call that no plugin needs";
        rows.push(row("reaches no other process".to_owned(), others.to_owned()));
        rows.extend(held.limits.iter().map(|(name, bound)| {
            let unset = "without a word".to_owned();
            row(format!("{}: {bound}", meaning(name)), self.key(name).unwrap_or(unset))
        }));
        rows.extend(
            held.missing
                .iter()
                .map(|lacking| row(format!("not held: {lacking}"), "this kernel lacks it".to_owned())),
        );
        rows
    }
}

/// What a bound is of.
fn meaning(limit: &str) -> &str {
    match limit {
        "memory" => "at most bytes of address space in a process",
        "data" => "at most bytes of memory that a process shares with nobody",
        "cpu" => "at most seconds of processor time in a process",
        "files" => "at most open files in a process",
        "processes" => "at most processes of the daemon's user",
        "more_processes" => "at most processes beyond those that run on the machine",
        "file_size" => "at most bytes in one file",
        "total_memory" => "at most bytes of memory for all of its processes",
        "total_processes" => "at most processes and threads of its own",
        "cpu_weight" => "its share of busy processors beside others",
        other => other,
    }
}
