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
    use clap::CommandFactory;

    use super::Flags;

    #[test]
    fn the_flags_are_well_made() {
        Flags::command().debug_assert();
    }
}
