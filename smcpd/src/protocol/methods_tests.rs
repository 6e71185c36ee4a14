use smcp_test_support::root;

use super::*;

fn revisions() -> Vec<Revision> {
    Revision::ALL.into_iter().chain([Revision::V2026_07_28]).collect()
}

fn row(cells: impl IntoIterator<Item = String>) -> String {
    format!("| {} |", cells.into_iter().collect::<Vec<_>>().join(" | "))
}

#[test]
fn the_table_for_people_has_every_method_with_its_revisions_and_no_other() {
    let page = std::fs::read_to_string(root().join("docs/protocol.md")).unwrap();
    let head = row(std::iter::once("method".to_owned())
        .chain(revisions().into_iter().map(|revision| revision.as_str().to_owned())));
    let told: Vec<&str> = page
        .lines()
        .skip_while(|line| *line != head)
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let known: Vec<String> = METHODS
        .iter()
        .map(|entry| {
            let has = |revision| match Method::of(entry.name, revision) {
                Some(method) if method == entry.method => "yes".to_owned(),
                Some(other) => panic!("`{}` is {other:?}", entry.name),
                None => "no".to_owned(),
            };
            row(std::iter::once(format!("`{}`", entry.name)).chain(revisions().into_iter().map(has)))
        })
        .collect();
    assert_eq!(told, known, "below `{head}` the rows should be:\n{}", known.join("\n"));
}

#[test]
fn a_method_that_is_not_in_the_table_is_of_no_revision() {
    for name in
        ["", "tools", "tools/List", "tasks/list", "sampling/createMessage", "notifications/initialized"]
    {
        assert!(revisions().into_iter().all(|revision| Method::of(name, revision).is_none()), "{name}");
    }
}
