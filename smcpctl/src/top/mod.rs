//! `smcpctl top`: what goes on, looked at again and again.
//!
//! `view` draws; here are the terminal, the keys and the daemon. With `--json` it looks once and prints what it sees.

mod view;

use std::io::IsTerminal;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use smcp_control::{Activity, Reply, Request};
use tokio::sync::mpsc;

use crate::daemon::{Daemon, unexpected};
use crate::exit::{Exit, Failure};
use crate::table::print_json;
use view::View;

/// Keys that may wait; a person types slower.
const KEYS: usize = 16;
/// Faster is more than the eye can take.
const FASTEST: f64 = 0.1;

/// Shows the daemon's activity until the operator has seen enough.
pub(crate) async fn run(daemon: &mut Daemon, interval: f64) -> Result<Exit, Failure> {
    if !interval.is_finite() || !(FASTEST..=3600.0).contains(&interval) {
        let message = format!("`--interval {interval}` is no interval: take {FASTEST} to 3600 seconds");
        return Err(Failure::new(Exit::Usage, message));
    }
    let activity = fetch(daemon).await?;
    if daemon.json {
        print_json("activity", &activity)?;
        return Ok(Exit::Ok);
    }
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::new(Exit::Usage, "`smcpctl top` needs a terminal")
            .hint("`smcpctl top --json` looks once, for programs"));
    }
    let mut terminal = ratatui::init();
    let ended = watch(daemon, &mut terminal, View::new(activity), Duration::from_secs_f64(interval)).await;
    ratatui::restore();
    ended.map(|()| Exit::Ok)
}

async fn fetch(daemon: &mut Daemon) -> Result<Activity, Failure> {
    match daemon.ask(Request::Activity).await? {
        Reply::Activity(activity) => Ok(activity),
        other => unexpected(&other),
    }
}

async fn watch(
    daemon: &mut Daemon,
    terminal: &mut DefaultTerminal,
    mut view: View,
    interval: Duration,
) -> Result<(), Failure> {
    let mut keys = keys();
    let mut tick = tokio::time::interval(interval);
    loop {
        terminal
            .draw(|frame| view.draw(frame))
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot draw: {error}")))?;
        tokio::select! {
            _ = tick.tick() => view.update(fetch(daemon).await?),
            key = keys.recv() => match key.map_or(Action::Quit, action) {
                Action::Quit => return Ok(()),
                Action::Select(by) => view.select(by),
                Action::Cancel => if let Some(call) = view.selected() {
                    let said = cancel(daemon, call).await;
                    view.say(said);
                    view.update(fetch(daemon).await?);
                },
                // A terminal of another size is drawn anew.
                Action::Nothing => {}
            },
        }
    }
}

/// A call may have ended before the key was pressed: that is said, and is no reason to leave.
async fn cancel(daemon: &mut Daemon, call: String) -> String {
    match daemon.ask(Request::Cancel { call: call.clone() }).await {
        Ok(_) => format!("{call} is cancelled"),
        Err(failure) => failure.message,
    }
}

/// Reads the terminal in a thread of its own, which ends with the program.
fn keys() -> mpsc::Receiver<Event> {
    let (sender, keys) = mpsc::channel(KEYS);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    keys
}

#[derive(Debug, PartialEq, Eq)]
enum Action {
    Quit,
    Select(isize),
    Cancel,
    Nothing,
}

fn action(event: Event) -> Action {
    let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else {
        return Action::Nothing;
    };
    match (code, modifiers.contains(KeyModifiers::CONTROL)) {
        (KeyCode::Char('c'), true) | (KeyCode::Char('q') | KeyCode::Esc, _) => Action::Quit,
        (KeyCode::Char('c'), false) => Action::Cancel,
        (KeyCode::Up | KeyCode::Char('k'), _) => Action::Select(-1),
        (KeyCode::Down | KeyCode::Char('j'), _) => Action::Select(1),
        _ => Action::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_last_line_says() {
        let key = |code, modifiers| action(Event::Key(KeyEvent::new(code, modifiers)));
        let plain = KeyModifiers::NONE;
        assert_eq!(key(KeyCode::Char('q'), plain), Action::Quit);
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Action::Quit);
        assert_eq!(key(KeyCode::Char('c'), plain), Action::Cancel);
        assert_eq!(key(KeyCode::Down, plain), Action::Select(1));
        assert_eq!(key(KeyCode::Char('k'), plain), Action::Select(-1));
        assert_eq!(key(KeyCode::Char('x'), plain), Action::Nothing);
        assert_eq!(action(Event::Resize(1, 1)), Action::Nothing);
    }
}
