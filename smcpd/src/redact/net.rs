//! What is taken out at this moment.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use super::Redactor;

/// Takes the values of secrets out of what is written down, whoever wrote it; clones share what they look for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Net(Arc<RwLock<Held>>);

#[derive(Debug, Default)]
struct Held {
    configured: Arc<Redactor>,
    handed_over: Arc<Redactor>,
    both: Arc<Redactor>,
}

impl Net {
    /// What is taken out now.
    pub(crate) fn redactor(&self) -> Arc<Redactor> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).both)
    }

    pub(crate) fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.redactor().text(text)
    }

    /// Takes out what the configuration has, from now on.
    pub(crate) fn configure(&self, configured: &Arc<Redactor>) {
        self.change(|held| held.configured = Arc::clone(configured));
    }

    /// Takes out what another server handed over, from now on.
    pub(crate) fn hand_over(&self, handed_over: Redactor) {
        self.change(|held| held.handed_over = Arc::new(handed_over));
    }

    fn change(&self, change: impl FnOnce(&mut Held)) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut held);
        held.both = match (held.configured.is_empty(), held.handed_over.is_empty()) {
            (_, true) => Arc::clone(&held.configured),
            (true, false) => Arc::clone(&held.handed_over),
            (false, false) => Arc::new(held.configured.and(&held.handed_over)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_configured_and_what_was_handed_over_are_taken_out_each_as_long_as_it_counts() {
        let net = Net::default();
        let reader = net.clone();
        let said = || reader.text("one-value, other-value").into_owned();
        assert_eq!(said(), "one-value, other-value");
        net.hand_over(Redactor::new(["other-value"]));
        assert_eq!(said(), "one-value, ***");
        net.configure(&Arc::new(Redactor::new(["one-value"])));
        assert_eq!(said(), "***, ***");
        net.hand_over(Redactor::default());
        assert_eq!(said(), "***, other-value");
    }
}
