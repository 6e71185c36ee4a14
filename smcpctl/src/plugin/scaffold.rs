//! Writes a new plugin, whole or not at all.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use serde_json::json;

use crate::cli::Language;
use crate::exit::{Exit, Failure};
use crate::link::is_plain;
use crate::table::{escape, print, print_json};

/// A file of a new plugin; `NAME` in its text is the plugin's name.
struct Template {
    path: &'static str,
    text: &'static str,
    is_program: bool,
}

const fn file(path: &'static str, text: &'static str) -> Template {
    Template { path, text, is_program: false }
}

const fn program(path: &'static str, text: &'static str) -> Template {
    Template { path, text, is_program: true }
}

const PYTHON: [Template; 4] = [
    program("cli.py", include_str!("templates/python/cli.py")),
    file("README.md", include_str!("templates/python/README.md")),
    file("test_cli.py", include_str!("templates/python/test_cli.py")),
    file(".gitignore", include_str!("templates/python/gitignore")),
];

const BASH: [Template; 3] = [
    program("cli", include_str!("templates/bash/cli")),
    file("README.md", include_str!("templates/bash/README.md")),
    program("test.sh", include_str!("templates/bash/test.sh")),
];

const RUST: [Template; 4] = [
    file("Cargo.toml", include_str!("templates/rust/Cargo.toml")),
    file("README.md", include_str!("templates/rust/README.md")),
    file("src/main.rs", include_str!("templates/rust/main.rs")),
    file(".gitignore", include_str!("templates/rust/gitignore")),
];

/// Longer, and the names of its tools would soon be too long for clients.
const LONGEST: usize = 32;

fn templates(language: Language) -> &'static [Template] {
    match language {
        Language::Python => &PYTHON,
        Language::Bash => &BASH,
        Language::Rust => &RUST,
    }
}

/// Makes the plugin `name` in the directory `into`, and says what to do next.
pub(super) fn new(
    name: &str,
    language: Language,
    into: &Path,
    dry_run: bool,
    json: bool,
) -> Result<Exit, Failure> {
    judge(name, language)?;
    let directory = if into == Path::new(".") { PathBuf::from(name) } else { into.join(name) };
    let shown = directory.display().to_string();
    if !into.is_dir() {
        let message = format!("there is no directory `{}`", escape(&into.display().to_string()));
        return Err(
            Failure::new(Exit::NotFound, message).hint("make it first, or choose another with --into")
        );
    }
    if fs::symlink_metadata(&directory).is_ok() {
        return Err(exists(&shown));
    }
    let files: Vec<&str> = templates(language).iter().map(|template| template.path).collect();
    let next = next(name, language, &shown);
    if !dry_run {
        write(name, templates(language), into, &directory)?;
    }
    if json {
        print_json("new", &json!({"directory": shown, "files": files, "next": next, "dry_run": dry_run}))?;
        return Ok(Exit::Ok);
    }
    let verb = if dry_run { "would write" } else { "wrote" };
    print(&format!("{verb} `{}`: {}\n", escape(&shown), files.join(", ")))?;
    let next: String = next.iter().map(|step| format!("next: {}\n", escape(step))).collect();
    print(&next)?;
    Ok(Exit::Ok)
}

fn judge(name: &str, language: Language) -> Result<(), Failure> {
    let refuse = |reason: &str| {
        let message = format!("`{}` is no name: {reason}", escape(name));
        Err(Failure::new(Exit::Usage, message).hint("choose one such as `release-notes`"))
    };
    let first_letter = name.starts_with(|letter: char| letter.is_ascii_alphabetic());
    match language {
        _ if !is_plain(name) => refuse("letters, digits, `_` and `-` make one"),
        _ if name.len() > LONGEST => {
            refuse("it has more than 32 letters, and every tool's name begins with it")
        }
        _ if name.starts_with('-') => refuse("it begins with `-`"),
        Language::Rust if !first_letter => refuse("a package of cargo begins with a letter"),
        Language::Python | Language::Bash | Language::Rust => Ok(()),
    }
}

fn exists(shown: &str) -> Failure {
    Failure::new(Exit::Invalid, format!("`{}` is there already", escape(shown)))
        .hint("choose another name, or another place with --into")
}

fn next(name: &str, language: Language, directory: &str) -> Vec<String> {
    let build = format!("cd {directory} && cargo build --release && ln -s target/release/{name} cli");
    let steps = [format!("smcpctl plugin check {directory}"), format!("smcpctl plugin link {directory}")];
    match language {
        Language::Rust => std::iter::once(build).chain(steps).collect(),
        Language::Python | Language::Bash => steps.into(),
    }
}

/// Writes beside the place and moves there, so that nobody sees a half of it; nothing stays on failure.
fn write(name: &str, templates: &[Template], into: &Path, directory: &Path) -> Result<(), Failure> {
    let draft = into.join(format!(".{name}.{}.new", std::process::id()));
    let written = fill(&draft, name, templates).and_then(|()| {
        // An empty directory that appeared meanwhile is someone else's.
        Ok(rustix::fs::renameat_with(CWD, &draft, CWD, directory, RenameFlags::NOREPLACE)?)
    });
    written.map_err(|error| {
        let _left = fs::remove_dir_all(&draft);
        let shown = directory.display().to_string();
        match error.kind() {
            std::io::ErrorKind::AlreadyExists => exists(&shown),
            std::io::ErrorKind::PermissionDenied => {
                Failure::new(Exit::NotPermitted, format!("cannot write `{}`: {error}", escape(&shown)))
                    .hint("choose another place with --into")
            }
            _ => Failure::new(Exit::Failed, format!("cannot write `{}`: {error}", escape(&shown))),
        }
    })
}

fn fill(draft: &Path, name: &str, templates: &[Template]) -> std::io::Result<()> {
    // Modes are set, not left to the umask: what a group may write, `plugin check` warns of.
    let make = |path: &Path| {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
    };
    make(draft)?;
    for template in templates {
        let path = draft.join(template.path);
        if let Some(parent) = path.parent().filter(|parent| *parent != draft) {
            make(parent)?;
        }
        let mode = if template.is_program { 0o755 } else { 0o644 };
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        std::io::Write::write_all(&mut file, template.text.replace("NAME", name).as_bytes())?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_tool_can_bear_are_refused() {
        let long = "a".repeat(33);
        let cases = [
            ("greeter", Language::Python, true),
            ("release-notes_2", Language::Rust, true),
            ("2nd", Language::Bash, true),
            ("2nd", Language::Rust, false),
            ("", Language::Python, false),
            ("a b", Language::Python, false),
            ("../up", Language::Python, false),
            ("a/b", Language::Bash, false),
            (".", Language::Bash, false),
            ("-x", Language::Bash, false),
            ("\u{e4}", Language::Python, false),
            (&long, Language::Python, false),
        ];
        for (name, language, is_good) in cases {
            assert_eq!(judge(name, language).is_ok(), is_good, "{name}");
        }
    }

    #[test]
    fn every_template_bears_the_name() {
        for language in [Language::Python, Language::Bash, Language::Rust] {
            for template in templates(language) {
                let is_named = template.text.contains("NAME");
                let needs_none = template.path.contains("test") || template.path.starts_with('.');
                assert!(is_named || needs_none, "{}", template.path);
            }
        }
    }
}
