//! Says how a command of a plugin is started, to whoever starts one by hand: `smcpctl plugin sandbox NAME --trace`.

use std::ffi::OsString;

use smcp_control::{Launch, RefusalCode, Reply, SecretText};

use super::requests::refused;
use super::{Control, Operator};
use crate::catalog::PluginState;
use crate::executor::sandbox::{DEVICES, refused_calls};
use crate::executor::{CALL_VARIABLES, Invocation};

impl Control {
    /// Audited: whoever gets this runs the plugin's code, and sees its secrets.
    pub(super) async fn launch(&self, operator: Operator, name: &str, words: Vec<String>) -> Reply {
        let reply = match is_let_in(operator.uid, rustix::process::geteuid().as_raw()) {
            true => self.described_launch(operator, name, words).await,
            false => refused(
                RefusalCode::NotPermitted,
                "a plugin's command is run by hand by root or the daemon's own user alone: its secrets come with it".to_owned(),
                Some("try it with sudo"),
            ),
        };
        self.audit(operator, "trace", name, &reply);
        reply
    }

    async fn described_launch(&self, operator: Operator, name: &str, words: Vec<String>) -> Reply {
        let catalog = self.service.catalog();
        let failed = |message: String| refused(RefusalCode::Failed, message, None);
        let plugin = match catalog.plugins().get(name) {
            Some(PluginState::Described(plugin)) => plugin,
            Some(PluginState::Pending) => return failed(format!("`{name}`: it is not described yet")),
            Some(PluginState::Failed(reason)) => return failed(format!("`{name}`: {reason}")),
            // It says what there is instead.
            None => return self.plugin(name),
        };
        if let Err(error) = plugin.create_state(self.service.silent()).await {
            return failed(format!("`{name}`: cannot make its state directory: {error}"));
        }
        let words = words.into_iter().map(OsString::from).collect();
        let caller = operator.peer().caller().to_string();
        match said(plugin.by_hand(words, &caller)) {
            Some(launch) => Reply::Launch(launch),
            None => failed(format!("`{name}`: the path of its program is not UTF-8")),
        }
    }
}

fn is_let_in(uid: u32, own: u32) -> bool {
    uid == 0 || uid == own
}

fn said(invocation: Invocation) -> Option<Launch> {
    let text = |text: OsString| text.into_string().ok();
    let pair = |(name, value): (OsString, OsString)| Some((text(name)?, SecretText(text(value)?)));
    let [mark, ..] = CALL_VARIABLES;
    let mark = (mark.into(), invocation.call.into());
    Some(Launch {
        program: text(invocation.program.into())?,
        arguments: invocation.argv.into_iter().map(text).collect::<Option<_>>()?,
        directory: text(invocation.directory.into())?,
        environment: invocation.environment.into_iter().chain([mark]).filter_map(pair).collect(),
        sandbox: invocation
            .sandbox
            .map(|held| serde_json::to_string(&*held).expect("a sandbox has string keys")),
        refused_calls: refused_calls().map(str::to_owned).collect(),
        devices: DEVICES.map(str::to_owned).into(),
        timeout_seconds: invocation.timeout.map(|timeout| timeout.as_secs_f64()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_the_group_gets_no_plugins_secrets() {
        for (uid, own, expected) in [(0, 998, true), (998, 998, true), (1000, 998, false), (1000, 0, false)] {
            assert_eq!(is_let_in(uid, own), expected, "{uid} {own}");
        }
    }
}
