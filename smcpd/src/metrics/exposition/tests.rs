use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::*;

/// What a collector reads: the type of each metric, and each sample with its labels and value.
#[derive(Debug, Default)]
struct Parsed {
    types: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

/// Reads the text format, version 0.0.4, and fails on whatever is not of it.
fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => assert!(!name.is_empty() && !help.is_empty(), "{line}"),
            ["#", "TYPE", name, kind] => {
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(parsed.types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            }
            ["#", ..] => panic!("an unknown comment: {line}"),
            _ => {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let value = value.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
                let name = series.split('{').next().unwrap();
                assert!(base(&parsed, name).is_some(), "{line} comes before its type");
                if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
                    assert!(labels.starts_with('{') && labels.ends_with("\"}"), "{line}");
                }
                assert!(parsed.samples.insert(series.to_owned(), value).is_none(), "{line} came twice");
            }
        }
    }
    parsed
}

fn base(parsed: &Parsed, name: &str) -> Option<String> {
    let suffixes = ["", "_bucket", "_sum", "_count"];
    suffixes.iter().find_map(|suffix| {
        let base = name.strip_suffix(suffix)?;
        let kind = parsed.types.get(base)?;
        (suffix.is_empty() != (kind == "histogram")).then(|| base.to_owned())
    })
}

fn call<'a>(plugin: &'a str, tool: &'a str, outcome: &'static str) -> Finished<'a> {
    let (queued, total) = (Some(Duration::from_millis(20)), Duration::from_millis(120));
    Finished { plugin: Some(plugin), tool, outcome, queued, start: queued.map(|_| "cold"), total }
}

fn moment() -> Moment {
    Moment {
        running: 3,
        approvals: 2,
        groups: vec![GroupMoment {
            plugin: "a".to_owned(),
            processes: 2,
            memory: Some(4096),
            cpu_seconds: Some(1.5),
        }],
        sessions: [("http", 2), ("sse", 0), ("stdio", 0)],
        plugins: [("described", 1), ("failed", 0), ("pending", 0)],
        ..Moment::default()
    }
}

#[test]
fn what_is_counted_is_read_back() {
    let exposition = Exposition::new();
    exposition.call_finished(&call("a", "a.b", "ok"));
    exposition.call_finished(&call("a", "a.b", "ok"));
    exposition.call_finished(&Finished { queued: None, start: None, ..call("a", "a.c", "queue_full") });
    exposition.refused(Reason::KeyWrong);
    exposition.rescanned(Rescan::Changed);
    exposition.approval_ended(Approval::Denied);
    exposition.lines_dropped(7);
    let parsed = parse(&exposition.render(&moment()));
    for (series, value) in [
        ("smcp_calls_total{plugin=\"a\",tool=\"a.b\",outcome=\"ok\"}", 2.0),
        ("smcp_calls_total{plugin=\"a\",tool=\"a.c\",outcome=\"queue_full\"}", 1.0),
        ("smcp_call_run_seconds_bucket{le=\"0.1\",plugin=\"a\"}", 2.0),
        ("smcp_call_run_seconds_bucket{le=\"+Inf\",plugin=\"a\"}", 2.0),
        ("smcp_call_queue_seconds_bucket{le=\"0.01\",plugin=\"a\"}", 0.0),
        ("smcp_call_seconds_count{plugin=\"a\"}", 3.0),
        ("smcp_requests_refused_total{reason=\"key_wrong\"}", 1.0),
        ("smcp_requests_refused_total{reason=\"host\"}", 0.0),
        ("smcp_rescans_total{outcome=\"changed\"}", 1.0),
        ("smcp_approvals_total{outcome=\"denied\"}", 1.0),
        ("smcp_approvals_total{outcome=\"expired\"}", 0.0),
        ("smcp_approvals_waiting", 2.0),
        ("smcp_plugin_lines_dropped_total", 7.0),
        ("smcp_calls_running", 3.0),
        ("smcp_sessions{transport=\"http\"}", 2.0),
    ] {
        assert_eq!(parsed.samples.get(series), Some(&value), "{series}: {:#?}", parsed.samples);
    }
    assert!(parsed.samples["process_resident_memory_bytes"] > 1e6);
    assert!(parsed.samples["process_open_fds"] > 2.0);
    assert!(parsed.samples["process_start_time_seconds"] > 1.6e9);
}

#[test]
fn labels_are_bounded_and_the_rest_is_counted_as_other() {
    let exposition = Exposition::new();
    for number in 0..TOOLS + 20 {
        let (plugin, tool) = (format!("p{number}"), format!("p{number}.t"));
        exposition.call_finished(&call(&plugin, &tool, "ok"));
    }
    let parsed = parse(&exposition.render(&moment()));
    let of = |name: &str| parsed.samples.keys().filter(|series| series.starts_with(name)).count();
    assert_eq!(of("smcp_calls_total{"), TOOLS + 1);
    assert_eq!(of("smcp_call_seconds_count{"), PLUGINS + 1);
    assert_eq!(parsed.samples["smcp_calls_total{plugin=\"other\",tool=\"other\",outcome=\"ok\"}"], 20.0);
}

/// Every word of a text that is the name of a metric or of one of its series.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words
        .filter(|word| word.starts_with("smcp_") || word.starts_with("process_"))
        .map(|word| {
            let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| word.strip_suffix(suffix));
            histogram.unwrap_or(word)
        })
        .collect()
}

#[test]
fn the_guide_the_dashboard_and_the_alerts_name_the_metrics_that_are_there() {
    let exposition = Exposition::new();
    exposition.call_finished(&call("a", "a.b", "ok"));
    let parsed = parse(&exposition.render(&moment()));
    let there: BTreeSet<&str> = parsed.types.keys().map(String::as_str).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |path: &str| {
        std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let guide = read("docs/monitoring.md");
    let (board, alerts) =
        (read("packaging/monitoring/grafana.json"), read("packaging/monitoring/alerts.yml"));
    for (path, text) in [("the guide", &guide), ("the dashboard", &board), ("the alerts", &alerts)] {
        let strange: Vec<&str> = named(text).into_iter().filter(|name| !there.contains(name)).collect();
        assert!(strange.is_empty(), "{path} names {strange:?}");
    }
    let guide = named(&guide);
    let missing: Vec<&&str> = there.iter().filter(|name| !guide.contains(**name)).collect();
    assert!(missing.is_empty(), "the guide does not explain {missing:?}");
    let shown: BTreeSet<&str> = named(&board).union(&named(&alerts)).copied().collect();
    let unused: Vec<&&str> = there.iter().filter(|name| !shown.contains(**name)).collect();
    assert!(unused.is_empty(), "neither the dashboard nor an alert looks at {unused:?}");
    serde_json::from_str::<serde_json::Value>(&board).unwrap();
}
