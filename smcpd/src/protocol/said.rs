//! What plugins say on stderr, as the log has it: a few lines a second of each plugin, with the call that they
//! belong to, and nothing in them that could pass for another record.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::catalog::Tool;
use crate::events::{Event, Field, Kind};
use crate::throttle::Throttle;

/// Lines of one plugin in a second; the rest is counted.
const LINES: u32 = 20;
/// Letters of one line.
const LETTERS: usize = 2_000;

/// The throttle of each plugin.
#[derive(Debug, Default)]
pub(super) struct Said {
    plugins: Mutex<HashMap<String, Arc<Throttle>>>,
}

/// One call, as it speaks.
#[derive(Debug)]
pub(super) struct Speaker<'a> {
    plugin: &'a str,
    tool: &'a str,
    call: &'a str,
    throttle: Arc<Throttle>,
    dropped: AtomicU64,
}

impl Said {
    /// Returns the voice of a call; the daemon's own tools have none.
    pub(super) fn by<'a>(&self, tool: &'a Tool, call: &'a str) -> Option<Speaker<'a>> {
        let plugin = tool.plugin_name()?;
        let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        let throttle = match plugins.get(plugin) {
            Some(throttle) => Arc::clone(throttle),
            None => {
                let throttle = Arc::new(Throttle::new(LINES));
                plugins.insert(plugin.to_owned(), Arc::clone(&throttle));
                throttle
            }
        };
        drop(plugins);
        Some(Speaker { plugin, tool: tool.id(), call, throttle, dropped: AtomicU64::new(0) })
    }
}

impl Speaker<'_> {
    pub(super) fn say(&self, line: &str, now: Instant) {
        match self.throttle.pass(now) {
            Some(dropped) => self.event().dropped(dropped).write_as(&shown(line)),
            None => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Says what is not said yet: how many lines were dropped. Returns those of this call.
    pub(super) fn finish(self) -> u64 {
        let dropped = self.throttle.take_dropped();
        if dropped > 0 {
            self.event().dropped(dropped).write_as("lines of the plugin were dropped: there were too many");
        }
        self.dropped.into_inner()
    }

    fn event(&self) -> Event<'_> {
        Event::of(Kind::PluginSaid)
            .text(Field::Plugin, self.plugin)
            .text(Field::Tool, self.tool)
            .text(Field::Call, self.call)
    }
}

/// A line that a terminal can be shown.
fn shown(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    for letter in line.chars().take(LETTERS) {
        match letter.is_control() && letter != '\t' {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_line_is_one_line_and_steers_no_terminal() {
        assert_eq!(shown("a\u{1b}[2J\rb\n\tc \u{e4}"), "a\\u{1b}[2J\\rb\\n\tc \u{e4}");
        assert_eq!(shown(&"x".repeat(9_000)).len(), super::LETTERS);
    }
}
