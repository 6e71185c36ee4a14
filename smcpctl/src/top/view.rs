//! The screen of `smcpctl top`.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table, TableState};
use smcp_control::{Activity, CallInfo, GroupActivity, GroupInfo, LaneInfo, ToolActivity};

use crate::table::{duration, escape, mebibytes};

/// What is shown, and which call is selected.
#[derive(Debug)]
pub(super) struct View {
    activity: Activity,
    /// A call by its id: its place changes when others end.
    selected: Option<String>,
    said: String,
}

impl View {
    pub(super) fn new(activity: Activity) -> Self {
        let mut view = Self { activity: Activity::default(), selected: None, said: String::new() };
        view.update(activity);
        view
    }

    /// Takes a newer look; a selected call that has ended gives way to the first.
    pub(super) fn update(&mut self, activity: Activity) {
        self.activity = activity;
        if self.place().is_none() {
            self.selected = self.activity.calls.first().map(|call| call.id.clone());
        }
    }

    pub(super) fn select(&mut self, by: isize) {
        let Some(place) = self.place() else { return };
        let last = self.activity.calls.len() - 1;
        let next = place.saturating_add_signed(by).min(last);
        self.selected = Some(self.activity.calls[next].id.clone());
    }

    pub(super) fn selected(&self) -> Option<String> {
        self.selected.clone()
    }

    /// Shows a sentence in the last line.
    pub(super) fn say(&mut self, said: String) {
        self.said = said;
    }

    fn place(&self) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        self.activity.calls.iter().position(|call| call.id == *selected)
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let Activity { lanes, calls, groups, tools, .. } = &self.activity;
        let rows = |count: usize| u16::try_from(count.clamp(1, 12)).unwrap_or(12) + 2;
        let areas = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(rows(lanes.len()).min(6)),
            Constraint::Length(rows(calls.len())),
            Constraint::Length(if groups.is_empty() { 0 } else { rows(groups.len()).min(8) }),
            Constraint::Min(3),
            Constraint::Length(1),
        ])
        .split(frame.area());
        frame.render_widget(Paragraph::new(self.headline()), areas[0]);
        table(frame, areas[1], ("lanes", ["LANE", "RUNNING", "WAITING"]), lanes.iter().map(lane), None);
        let headings = ["CALL", "TOOL", "STATE", "SINCE", "CALLER"];
        table(frame, areas[2], ("calls", headings), calls.iter().map(call), self.place());
        if !groups.is_empty() {
            let headings = ["PLUGIN", "PROCESSES", "MEMORY", "CPU TIME"];
            table(frame, areas[3], ("control groups", headings), groups.iter().map(group), None);
        }
        let headings = ["TOOL", "LAST MINUTE", "CALLS", "FAILED", "P50", "P95"];
        table(frame, areas[4], ("tools", headings), tools.iter().map(tool), None);
        let keys = "q quit   up/down select   c cancel";
        let last =
            if self.said.is_empty() { keys.to_owned() } else { format!("{keys}   {}", escape(&self.said)) };
        frame.render_widget(Paragraph::new(last), areas[5]);
    }

    fn headline(&self) -> Line<'_> {
        let Activity { uptime_seconds, sessions, calls_ok, calls_failed, calls, approvals, .. } =
            &self.activity;
        let waiting = calls.iter().filter(|call| call.waiting).count();
        let wanted = match approvals {
            0 => String::new(),
            count => format!("   {count} to approve"),
        };
        Line::from(format!(
            "smcpd up {}   {sessions} sessions   {} running, {waiting} waiting   {calls_ok} ok, {calls_failed} failed{wanted}",
            duration(*uptime_seconds),
            calls.len() - waiting,
        ))
    }
}

fn table<const N: usize>(
    frame: &mut Frame<'_>,
    area: Rect,
    (title, headings): (&str, [&str; N]),
    rows: impl Iterator<Item = [String; N]>,
    selected: Option<usize>,
) {
    let heading = Style::new().add_modifier(Modifier::BOLD);
    // A bold face and reversed rows are no colours: `NO_COLOR` is kept by having none.
    let widths = std::iter::once(Constraint::Fill(2)).chain(std::iter::repeat_n(Constraint::Fill(1), N - 1));
    let table = Table::new(rows.map(Row::new), widths)
        .header(Row::new(headings).style(heading))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(Block::new().borders(Borders::TOP).title(title));
    let mut state = TableState::new().with_selected(selected);
    frame.render_stateful_widget(table, area, &mut state);
}

fn lane(lane: &LaneInfo) -> [String; 3] {
    let name = if lane.lane == "*" { "all plugins" } else { &lane.lane };
    [escape(name), lane.running.to_string(), lane.waiting.to_string()]
}

fn call(call: &CallInfo) -> [String; 5] {
    let state = if call.waiting { "waiting" } else { "running" };
    let since = time(Duration::from_millis(call.milliseconds));
    [escape(&call.id), escape(&call.tool), state.to_owned(), since, escape(&call.caller)]
}

/// What the kernel does not count for the plugin is left empty.
fn group(found: &GroupActivity) -> [String; 4] {
    let GroupInfo { processes, memory_bytes, cpu_seconds } = &found.group;
    let memory = memory_bytes.map(mebibytes).unwrap_or_default();
    let cpu = cpu_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    [escape(&found.plugin), processes.to_string(), memory, cpu.map(time).unwrap_or_default()]
}

fn tool(tool: &ToolActivity) -> [String; 6] {
    let microseconds = |time_us| time(Duration::from_micros(time_us));
    [
        escape(&tool.tool),
        tool.last_minute.to_string(),
        tool.calls.to_string(),
        tool.failed.to_string(),
        microseconds(tool.p50_us),
        microseconds(tool.p95_us),
    ]
}

/// `0.8 ms`, `59 ms`, `1.2 s`, `3 min 20 s`.
fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 0.01 => format!("{:.1} ms", seconds * 1e3),
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        seconds if seconds < 60.0 => format!("{seconds:.1} s"),
        _ => duration(time.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn taken(plugin: &str, memory_bytes: Option<u64>, cpu_seconds: Option<f64>) -> GroupActivity {
        let group = GroupInfo { processes: 2, memory_bytes, cpu_seconds };
        GroupActivity { plugin: plugin.to_owned(), group }
    }

    fn activity(ids: &[&str]) -> Activity {
        let call = |id: &&str| CallInfo {
            id: (*id).to_owned(),
            tool: "worker.sleep".to_owned(),
            caller: "key-1".to_owned(),
            waiting: *id == "b",
            milliseconds: 1_234,
        };
        Activity {
            approvals: 0,
            groups: Vec::new(),
            uptime_seconds: 61,
            sessions: 2,
            calls_ok: 9,
            calls_failed: 1,
            lanes: vec![LaneInfo { lane: "worker".to_owned(), running: 1, waiting: 1 }],
            calls: ids.iter().map(call).collect(),
            tools: vec![ToolActivity {
                tool: "demo\u{1b}.echo".to_owned(),
                calls: 10,
                failed: 1,
                last_minute: 3,
                p50_us: 800,
                p95_us: 59_400,
            }],
        }
    }

    fn screen(view: &View) -> String {
        let mut terminal = Terminal::new(TestBackend::new(80, 16)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let line = |y| (0..80).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..16).map(line).collect::<Vec<String>>().join("\n")
    }

    #[test]
    fn the_screen_has_lanes_calls_tools_and_the_keys() {
        let mut view = View::new(activity(&["a", "b"]));
        view.say("a is cancelled".to_owned());
        let screen = screen(&view);
        let screen = screen.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        for line in [
            "smcpd up 1 min 1 s 2 sessions 1 running, 1 waiting 9 ok, 1 failed",
            "LANE RUNNING WAITING\nworker 1 1",
            "b worker.sleep waiting 1.2 s key-1",
            "demo\\u{1b}.echo 3 10 1 0.8 ms 59 ms",
            "q quit up/down select c cancel a is cancelled",
        ] {
            assert!(screen.contains(line), "{line}\n{screen}");
        }
    }

    #[test]
    fn what_plugins_take_is_there_where_it_is_counted() {
        let mut view = View::new(activity(&["a"]));
        assert!(!screen(&view).contains("PLUGIN"));
        let groups = vec![taken("worker", Some(43_200_000), Some(1.54)), taken("x\u{1b}", None, None)];
        view.update(Activity { groups, ..activity(&["a"]) });
        let screen = screen(&view);
        let screen = screen.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        for line in
            ["PLUGIN PROCESSES MEMORY CPU TIME\nworker 2 41.2 MiB 1.5 s\nx\\u{1b} 2", "TOOL LAST MINUTE"]
        {
            assert!(screen.contains(line), "{line}\n{screen}");
        }
    }

    #[test]
    fn the_selection_stays_with_its_call() {
        let mut view = View::new(activity(&[]));
        assert_eq!(view.selected(), None);
        view.select(1);
        view.update(activity(&["a", "b", "c"]));
        assert_eq!(view.selected().as_deref(), Some("a"));
        view.select(1);
        view.update(activity(&["b", "c"]));
        assert_eq!(view.selected().as_deref(), Some("b"));
        view.select(9);
        assert_eq!(view.selected().as_deref(), Some("c"));
        view.select(-9);
        view.update(activity(&["c"]));
        assert_eq!(view.selected().as_deref(), Some("c"));
    }

    #[test]
    fn times_are_short() {
        let said = [800, 59_400, 1_234_000, 200_000_000].map(|us| time(Duration::from_micros(us)));
        assert_eq!(said, ["0.8 ms", "59 ms", "1.2 s", "3 min 20 s"]);
    }
}
