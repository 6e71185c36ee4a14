//! What is kept ready for a plugin's calls: as much as the operator grants, its contract asks for, and its interpreter
//! allows.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use super::environment::Environment;
use super::interpreter;
use super::model::Description;
use super::scan::Located;
use crate::config::{self, WarmMode};
use crate::executor::{CALL_VARIABLES, Warm};

/// How a plugin's calls start.
#[derive(Debug)]
pub(crate) struct Warmth {
    mode: WarmMode,
    /// What a warm worker is started with, or why there is none.
    warm: Result<Arc<Warm>, String>,
}

impl Warmth {
    pub(super) fn choose(
        located: &Located,
        description: &Description,
        environment: &Environment,
        state: &Path,
        granted: &config::Plugin,
        default: WarmMode,
    ) -> Self {
        let mode = mode(granted.warm.unwrap_or(default), description.warm);
        let found = match mode {
            Ok(_) => interpreter::of(located, environment.get("PATH").map(OsString::as_os_str)),
            Err(whose) => Err(format!("{whose} says so")),
        };
        let mode = mode.unwrap_or(WarmMode::Off);
        let warm = found.map(|interpreter| {
            let mut constant = environment.clone();
            constant.set("SMCP_STATE_DIR", state);
            Arc::new(Warm {
                name: located.name.as_str().into(),
                spares: mode >= WarmMode::Spare,
                stays: mode == WarmMode::Always,
                interpreter: interpreter.program,
                script: interpreter.script,
                root: located.directory.clone(),
                directory: state.to_owned(),
                orig_argv: interpreter.words,
                preload: description.preload.iter().chain(&granted.preload).cloned().collect(),
                environment: constant_part(constant),
                prefix: located.prefix.len(),
                sandbox: located.confinement.sandbox().cloned(),
            })
        });
        Self { mode, warm }
    }

    /// Returns what a call with this environment may be run by; `is_other` where it has more than the plugin's own.
    pub(super) fn of_call(&self, environment: &Environment, is_other: bool) -> Option<Arc<Warm>> {
        let warm = self.warm.as_ref().ok()?;
        if !is_other {
            return Some(Arc::clone(warm));
        }
        Some(Arc::new(Warm { environment: constant_part(environment.clone()), ..Warm::clone(warm) }))
    }

    /// What to have ready before the first call.
    pub(crate) fn kept_from_the_start(&self) -> Option<&Arc<Warm>> {
        self.warm.as_ref().ok().filter(|_| self.mode == WarmMode::Always)
    }

    /// Its mode, and why it is off.
    pub(crate) fn shown(&self) -> (&'static str, Option<&str>) {
        match &self.warm {
            Err(reason) => (WarmMode::Off.as_str(), Some(reason)),
            Ok(_) => (self.mode.as_str(), None),
        }
    }
}

/// The most that both want; where that is nothing, who says so.
fn mode(granted: WarmMode, asked: Option<WarmMode>) -> Result<WarmMode, &'static str> {
    match (granted, asked) {
        (WarmMode::Off, _) => Err("the configuration"),
        (_, Some(WarmMode::Off)) => Err("its contract"),
        // A contract has no word for more than spares, and asks for no less with it.
        (granted, None | Some(WarmMode::Spare | WarmMode::Always)) => Ok(granted),
        (_, Some(WarmMode::Fork)) => Ok(WarmMode::Fork),
    }
}

fn constant_part(mut environment: Environment) -> Vec<(OsString, OsString)> {
    CALL_VARIABLES.iter().for_each(|name| environment.remove(name));
    environment.into_pairs()
}

#[cfg(test)]
mod tests {
    use WarmMode::{Always, Fork, Off, Spare};

    use super::*;

    #[test]
    fn a_contract_narrows_what_is_granted_and_never_widens_it() {
        let cases = [
            (Spare, None, Ok(Spare)),
            (Always, None, Ok(Always)),
            (Always, Some(Spare), Ok(Always)),
            (Always, Some(Fork), Ok(Fork)),
            (Spare, Some(Fork), Ok(Fork)),
            (Fork, Some(Spare), Ok(Fork)),
            (Spare, Some(Off), Err("its contract")),
            (Off, Some(Spare), Err("the configuration")),
            (Off, None, Err("the configuration")),
        ];
        for (granted, asked, expected) in cases {
            assert_eq!(mode(granted, asked), expected, "{granted:?} {asked:?}");
        }
    }
}
