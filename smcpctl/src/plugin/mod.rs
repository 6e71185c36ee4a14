//! For whoever writes plugins: `check` judges one, `scaffold` makes one, `describe` saves its contract, `deps` makes
//! its virtual environment. `inspection` runs the `smcpd` beside us, which knows what a plugin is; `build` is the
//! part of `deps` that never runs as root, and `users` finds whom it runs as.

mod build;
mod check;
mod deps;
mod describe;
mod held;
mod inspection;
mod scaffold;
mod users;

use crate::cli::Plugin;
use crate::exit::{Exit, Failure};
use crate::trace;

pub(crate) use deps::deps;

/// Carries out a command that needs no daemon; `None` for one that does.
pub(crate) async fn without_daemon(command: &Plugin, json: bool) -> Option<Result<Exit, Failure>> {
    match command {
        Plugin::Check { path, strict } => Some(check::check(path, *strict, json).await),
        Plugin::New { name, lang, into, dry_run } => Some(scaffold::new(name, *lang, into, *dry_run, json)),
        Plugin::Describe { path, write, dry_run } => {
            Some(describe::describe(path, *write, *dry_run, json).await)
        }
        Plugin::TraceEnter => Some(trace::enter()),
        Plugin::TraceOutside => Some(trace::answer_all()),
        Plugin::DepsBuild(build) => Some(build::build(&build.directory, &build.target, &build.held())),
        Plugin::List
        | Plugin::Show { .. }
        | Plugin::Sandbox { .. }
        | Plugin::Link { .. }
        | Plugin::Unlink { .. }
        | Plugin::Deps { .. } => None,
    }
}
