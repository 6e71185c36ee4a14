//! The steps of this stage that need no plugin to run, for the benchmarks.

use std::ffi::OsString;

use serde_json::Value;

use super::model::Description;
use super::{arguments, argv, contract, help_text, schema};

/// What a contract offers.
#[derive(Debug)]
pub(crate) struct Commands(Description);

impl Commands {
    pub(crate) fn read(text: &str) -> Option<Self> {
        contract::parse(&serde_json::from_str(text).ok()?)?.ok().map(Self)
    }

    pub(crate) fn argv(&self, command: &str, arguments: &Value) -> Result<Vec<OsString>, String> {
        let command = self.0.commands.iter().find(|one| one.name == command).ok_or("no such command")?;
        let given = arguments.as_object().ok_or("no object")?;
        let values = arguments::check(command, given).map_err(|error| error.to_string())?;
        argv::build(command, &values).map_err(|error| error.to_string())
    }

    pub(crate) fn listed(&self) -> String {
        let schemas: Vec<Value> = self.0.commands.iter().map(schema::of).collect();
        Value::Array(schemas).to_string()
    }
}

pub(crate) fn help(text: &str) -> usize {
    help_text::parse(text).parser.actions.len()
}
