//! The flags of `smcpd`; the last source of the configuration.

use std::path::PathBuf;

use clap::Parser;

use crate::config::{LogFormat, Origin, Override};

/// Serves the commands of CLI plugins to AI agents as Model Context Protocol tools
#[derive(Debug, Parser)]
#[command(name = "smcpd", version)]
pub(super) struct Flags {
    /// Use the system's directories: /etc/smcp, /var/lib/smcp, /var/cache/smcp, /run/smcp
    #[arg(long)]
    pub(super) system: bool,

    /// Read this file instead of the default one; its drop-ins stand beside it in FILE.d/
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Listen on this address
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,

    /// Listen on this port; 0 takes a free one
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// Serve the plugins in this directory
    #[arg(long, value_name = "DIRECTORY")]
    plugins_dir: Option<PathBuf>,

    /// End a call after so many seconds; 0 lifts the limit
    #[arg(long, value_name = "SECONDS")]
    plugin_timeout: Option<f64>,

    /// Listen on every address; needs an API key
    #[arg(long)]
    allow_external: bool,

    /// Refuse to start without an API key, and ask loopback clients for it too
    #[arg(long)]
    require_auth: bool,

    /// Serve one client on stdin and stdout instead of HTTP
    #[arg(long)]
    pub(super) stdio: bool,

    /// Check the configuration, print the effective values with their origin, and exit
    #[arg(long)]
    pub(super) check: bool,

    /// How log lines look
    #[arg(long, value_name = "FORMAT", value_enum)]
    log_format: Option<LogFormat>,
}

impl Flags {
    /// Returns the configuration keys that the flags set.
    pub(super) fn overrides(&self) -> Vec<Override> {
        let set = |key, flag, value: toml::Value| Override { key, value, origin: Origin::Flag(flag) };
        let path = |path: &PathBuf| toml::Value::String(path.to_string_lossy().into_owned());
        let switch = |on: bool| on.then_some(toml::Value::Boolean(true));
        let format = self.log_format.map(|format| toml::Value::try_from(format).expect("a format is a word"));
        [
            self.host.clone().map(|host| set("http.host", "--host", host.into())),
            self.port.map(|port| set("http.port", "--port", i64::from(port).into())),
            self.plugins_dir.as_ref().map(|directory| set("plugins.dir", "--plugins-dir", path(directory))),
            self.plugin_timeout.map(|seconds| set("execution.timeout", "--plugin-timeout", seconds.into())),
            switch(self.allow_external).map(|on| set("http.allow_external", "--allow-external", on)),
            switch(self.require_auth).map(|on| set("auth.required", "--require-auth", on)),
            format.map(|format| set("log.format", "--log-format", format)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use clap::CommandFactory;

    use super::Flags;

    const MANUAL: &str = include_str!("../../../man/smcpd.8");

    #[test]
    fn the_flags_are_well_made() {
        Flags::command().debug_assert();
    }

    #[test]
    fn the_manual_has_every_flag_and_no_other() {
        let mut command = Flags::command();
        command.build();
        let flags: BTreeSet<String> =
            command.get_arguments().filter_map(|flag| flag.get_long()).map(str::to_owned).collect();
        let options =
            MANUAL.split(".Sh OPTIONS\n").nth(1).and_then(|rest| rest.split("\n.Sh ").next()).unwrap();
        let items = options.lines().filter_map(|line| line.strip_prefix(".It Fl "));
        let described: BTreeSet<String> = items
            .flat_map(|item| item.split(' ').filter_map(|word| word.strip_prefix("\\-")).map(str::to_owned))
            .collect();
        assert_eq!(described, flags);
    }

    /// What the sources name as variables: those of the earlier systems wherever they stand, and ours where they are read.
    /// (Ours are also fields of the journal, and variables of plugins, which smcp-plugin(7) has.)
    fn variables(directory: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                variables(&path, found);
            } else if path.extension().is_some_and(|is| is == "rs") && !path.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap();
                let parts: Vec<&str> = code.split('"').collect();
                for pair in parts.windows(2) {
                    let (before, word) = (pair[0].trim_end(), pair[1]);
                    let is_name = word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
                    const OLD: [&str; 2] = ["SMCP_PROFILES", "SMCP_ATTACH_PROFILE"];
                    let is_old =
                        word.starts_with("MCP_") || word.starts_with("LETTA_") || OLD.contains(&word);
                    let is_read = ["var(", "var_os(", "environment(", "read("]
                        .iter()
                        .any(|call| before.ends_with(call));
                    if is_name && (is_old || (is_read && word.starts_with("SMCP_"))) {
                        found.insert(word.to_owned());
                    }
                }
            }
        }
    }

    #[test]
    fn the_manual_has_every_variable_and_no_other() {
        let mut read = BTreeSet::new();
        variables(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut read);
        let words =
            MANUAL.lines().filter_map(|line| line.strip_prefix(".It Ev ").or(line.strip_prefix(".Ev ")));
        let described: BTreeSet<String> = words
            .flat_map(|line| line.split([' ', ',']))
            .filter(|word| ["MCP_", "SMCP_", "LETTA_"].iter().any(|prefix| word.starts_with(prefix)))
            .map(str::to_owned)
            .collect();
        assert!(read.contains("MCP_PORT"), "{read:?}");
        assert_eq!(described, read);
    }
}
