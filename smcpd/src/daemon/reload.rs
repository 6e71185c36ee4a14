//! Reads the configuration again while the daemon runs.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::flags::Flags;
use crate::config::{Config, ConfigError, Current, Publisher, Sources, Wish};
use crate::events::{Event, Field, Kind};
use crate::executor::{Executor, Limits, Queue, WarmLimits};
use crate::letta::Letta;
use crate::logging;
use crate::notify;
use crate::oauth::OAuth;
use crate::paths::Mode;
use crate::shutdown::Shutdown;
use crate::tls::Tls;

/// Reads and checks every source, as at the start.
pub(super) fn load(flags: &Flags) -> Result<Config, ConfigError> {
    let mode = if flags.system { Mode::System } else { Mode::User };
    let environment = |name: &str| std::env::var_os(name);
    let file = flags.config.as_deref();
    Config::load(Sources { mode, file, environment: &environment, flags: flags.overrides() })
}

/// Returns what the executor needs of a configuration.
pub(super) fn limits(config: &Config) -> Limits {
    Limits {
        max_concurrent: config.execution.max_concurrent,
        queue: Queue { most: config.execution.queue, per_caller: config.execution.queue_per_caller },
        grace: config.execution.grace,
        warm: WarmLimits {
            spares: config.warm.spares,
            spare_age: config.warm.spare_age,
            idle: config.warm.idle,
        },
    }
}

/// Those who are told of a new configuration.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) executor: Executor,
    pub(super) letta: Letta,
    pub(super) tls: Tls,
    pub(super) oauth: OAuth,
    pub(super) log: Arc<logging::Guard>,
}

/// Carries out reloads, one after the other, until everything is to end. Whoever reads the configuration
/// when they need it has it at once; the rest is told here.
pub(super) async fn serve(
    flags: Arc<Flags>,
    publisher: Publisher,
    current: Current,
    told: Told,
    mut requests: mpsc::Receiver<Wish>,
    shutdown: Shutdown,
) {
    loop {
        let request = tokio::select! {
            request = requests.recv() => request,
            () = shutdown.ending() => None,
        };
        let request = match request {
            None => return,
            Some(Wish::Keys(keys)) => {
                keys.carry_out(&publisher);
                continue;
            }
            Some(Wish::Reload(reload)) => reload,
        };
        let plan = request.plan;
        let before = current.get();
        if !plan {
            notify::reloading();
        }
        match request.carry_out(&publisher, || load(&flags)) {
            _ if plan => {}
            // Letta may have other values where the configuration is as it was, and files other contents.
            Ok(()) => {
                told.letta.refresh();
                told.tls.refresh();
                told.oauth.refresh();
            }
            Err(reason) => {
                let message = format!("the configuration was refused, and the old one stays: {reason}");
                Event::of(Kind::ReloadRefused).text(Field::Reason, reason).write_as(&message);
            }
        }
        let after = current.get();
        if !Arc::ptr_eq(&before, &after) {
            told.executor.set_limits(limits(&after));
            told.log.net().configure(&after.redactor);
            if before.log.level != after.log.level {
                told.log.set_level(&after.log.level);
            }
            Event::of(Kind::Reloaded).write();
        }
        if !plan {
            notify::reloaded();
        }
    }
}
