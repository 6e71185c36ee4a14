//! The order of the modules: a module names only lower ranks.

use std::fs;
use std::path::Path;

use smcp_test_support::root;

const RANKS: [(&str, u32); 31] = [
    ("daemon", 5),
    ("bench", 5),
    ("transport", 4),
    ("control", 4),
    ("protocol", 3),
    ("catalog", 2),
    ("executor", 1),
    ("auth", 0),
    ("activation", 0),
    ("audit", 0),
    ("metrics", 0),
    ("config", 0),
    ("heavy", 0),
    ("hexadecimal", 0),
    ("outbound", 0),
    ("paths", 0),
    ("stamp", 0),
    ("logging", 0),
    ("notify", 0),
    ("pulse", 0),
    ("recent", 0),
    ("redact", 0),
    ("events", 0),
    ("journal", 0),
    ("letta", 0),
    ("oauth", 0),
    ("limits", 0),
    ("throttle", 0),
    ("tls", 0),
    ("shutdown", 0),
    ("main", 6),
];

fn rank(module: &str) -> Option<u32> {
    RANKS.iter().find(|(name, _)| *name == module).map(|(_, rank)| *rank)
}

fn sources(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Returns the modules that a source names: `crate::X`, and each of `crate::{X, Y}`.
fn named(source: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, _) in source.match_indices("crate::") {
        let rest = &source[at + "crate::".len()..];
        let word =
            |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            Some(group) => {
                let group = &group[..group.find(['}', ';']).unwrap_or(group.len())];
                named.extend(group.split(',').map(|part| word(part.trim())));
            }
            None => named.push(word(rest)),
        }
    }
    named
}

#[test]
fn a_module_names_only_lower_ranks_and_leaves_name_only_leaves() {
    let base = root().join("smcpd/src");
    let mut files = Vec::new();
    sources(&base, &mut files);
    let mut edges = 0;
    let mut wrong = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&base).unwrap();
        let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if module == "lib" {
            continue;
        }
        let own = rank(&module).unwrap_or_else(|| panic!("`{module}` has no rank: give it one"));
        for other in named(&fs::read_to_string(&file).unwrap()) {
            let Some(theirs) = rank(&other) else { continue };
            edges += 1;
            let same_leaf_rank = own == 0 && theirs == 0;
            if other != module && theirs >= own && !same_leaf_rank {
                wrong.push(format!("{} (rank {own}) names {other} (rank {theirs})", relative.display()));
            }
        }
    }
    assert!(edges > 40, "the sources were read: {edges} edges");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
