//! The table is sound, and says what the journal's catalog and `docs/journal.md` say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;

fn text(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The journal's name of a field.
fn in_journal(field: Field) -> String {
    let mut name = "SMCP".to_owned();
    for letter in format!("{field:?}").chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// Reads a catalog as `journalctl --update-catalog` does: `-- id`, headers, an empty line, text.
fn catalog(text: &str) -> BTreeMap<String, (String, String)> {
    let mut found = BTreeMap::new();
    let mut id: Option<String> = None;
    let mut body = String::new();
    let mut close = |id: &mut Option<String>, body: &mut String| {
        if let Some(id) = id.take() {
            let (header, words) = body.split_once("\n\n").expect("an empty line after the headers");
            assert!(header.lines().all(|line| line.contains(": ")), "{id}: {header}");
            let subject = header.lines().find_map(|line| line.strip_prefix("Subject: "));
            let entry = (subject.expect("a subject").to_owned(), words.trim().to_owned());
            assert!(found.insert(id.clone(), entry).is_none(), "{id} came twice");
        }
        body.clear();
    };
    for line in text.lines() {
        match line.strip_prefix("-- ") {
            Some(next) => {
                close(&mut id, &mut body);
                id = Some(next.trim().to_owned());
            }
            None if id.is_none() => assert!(line.is_empty() || line.starts_with('#'), "{line}"),
            None => {
                body.push_str(line);
                body.push('\n');
            }
        }
    }
    close(&mut id, &mut body);
    found
}

#[test]
fn every_kind_has_its_place_and_an_id_of_its_own() {
    let mut ids = BTreeSet::new();
    for (at, entry) in ENTRIES.iter().enumerate() {
        assert_eq!(entry.kind as usize, at, "{}", entry.name);
        assert!(entry.id.len() == 32 && entry.id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(ids.insert(entry.id), "{} is not the first with its id", entry.name);
        assert!(std::ptr::eq(named(entry.name).unwrap(), entry));
    }
    assert!(Field::ALL.iter().all(|field| ENTRIES.iter().any(|entry| entry.fields.contains(field))));
}

#[test]
fn the_catalog_explains_every_kind_and_nothing_else() {
    let catalog = catalog(&text("packaging/journal/smcpd.catalog"));
    let known: BTreeSet<String> = Field::ALL.map(in_journal).into();
    for entry in &ENTRIES {
        let (subject, words) =
            catalog.get(entry.id).unwrap_or_else(|| panic!("{} is not explained", entry.name));
        assert!(!subject.is_empty() && words.len() > 60, "{}: {words}", entry.name);
        // A variable that the event does not have would be shown as it stands.
        let fields: BTreeSet<String> = entry.fields.iter().map(|field| in_journal(*field)).collect();
        for variable in subject.split('@').skip(1).step_by(2).chain(words.split('@').skip(1).step_by(2)) {
            assert!(known.contains(variable) && fields.contains(variable), "{}: {variable}", entry.name);
        }
    }
    assert_eq!(catalog.len(), ENTRIES.len());
}

#[test]
fn the_journal_itself_takes_the_catalog_where_it_can_be_asked() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().join("usr/lib/systemd/catalog");
    std::fs::create_dir_all(&at).unwrap();
    std::fs::create_dir_all(directory.path().join("var/lib/systemd/catalog")).unwrap();
    std::fs::write(at.join("smcpd.catalog"), text("packaging/journal/smcpd.catalog")).unwrap();
    let mut journalctl = std::process::Command::new("journalctl");
    journalctl.arg("--update-catalog").arg("--root").arg(directory.path());
    journalctl.stderr(std::process::Stdio::piped());
    let Ok(child) = journalctl.spawn() else { return };
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success() && !said.contains("smcpd.catalog:"), "{said}");
}

#[test]
fn the_table_for_people_has_every_id_and_every_field() {
    let page = text("docs/journal.md");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let kinds: Vec<String> = rows.iter().filter(|row| row.len() == 4).map(|row| row.join(" | ")).collect();
    let expected: Vec<String> = ENTRIES
        .iter()
        .map(|entry| {
            let fields: Vec<String> =
                entry.fields.iter().map(|field| format!("`{}`", in_journal(*field))).collect();
            let priority = format!("{:?}", entry.priority).to_lowercase();
            format!("`{}` | `{}` | {priority} | {}", entry.name, entry.id, fields.join(" "))
                .trim_end()
                .to_owned()
        })
        .collect();
    let found: Vec<&str> = kinds.iter().map(|row| row.trim_end()).collect();
    assert_eq!(found, expected, "the rows should be:\n| {} |", expected.join(" |\n| "));
    let fields: BTreeSet<String> =
        rows.iter().filter(|row| row.len() == 2).map(|row| row[0].to_owned()).collect();
    assert_eq!(fields, Field::ALL.iter().map(|field| format!("`{}`", in_journal(*field))).collect());
}

#[test]
fn a_trace_is_read_from_a_traceparent_that_is_well_made() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for (given, expected) in [
        (format!("00-{trace}-00f067aa0ba902b7-01"), Some(trace)),
        (format!("01-{trace}-00f067aa0ba902b7-01-later"), Some(trace)),
        (format!("ff-{trace}-00f067aa0ba902b7-01"), None),
        (format!("00-{trace}-00f067aa0ba902b7"), None),
        (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None),
        (format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()), None),
        ("00-x\nSMCP_CALL=y-z-01".to_owned(), None),
        (String::new(), None),
    ] {
        assert_eq!(trace_of(&given), expected, "{given:?}");
    }
}
