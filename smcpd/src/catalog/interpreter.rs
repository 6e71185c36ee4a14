//! Which Python a plugin runs with, found out ahead: what a warm worker has to be started with.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::scan::{self, Located};

/// The interpreter of a script, and the words that it would find in `sys.orig_argv`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interpreter {
    pub(super) program: PathBuf,
    pub(super) script: PathBuf,
    pub(super) words: Vec<String>,
}

/// Returns what a cold start comes to, or why nothing can stand in for it. `path` is the plugin's own PATH.
pub(super) fn of(plugin: &Located, path: Option<&OsStr>) -> Result<Interpreter, String> {
    let text = |path: &Path| path.to_str().map(str::to_owned).ok_or("its path is not UTF-8");
    match plugin.prefix.as_slice() {
        [] => {
            let line = scan::first_line(&plugin.program)?;
            let (program, first) = match line.as_deref() {
                Some(line) => by_shebang(line, path)?,
                None => return Err("it is not a Python script".to_owned()),
            };
            binary(&program)?;
            Ok(Interpreter {
                program,
                words: vec![first, text(&plugin.program)?],
                script: plugin.program.clone(),
            })
        }
        [script] => {
            binary(&plugin.program)?;
            let script = PathBuf::from(script);
            let words = vec![text(&plugin.program)?, text(&script)?];
            Ok(Interpreter { program: plugin.program.clone(), words, script })
        }
        [_, ..] => Err("its interpreter takes options".to_owned()),
    }
}

/// Returns the interpreter, and what it is called by.
fn by_shebang(line: &str, path: Option<&OsStr>) -> Result<(PathBuf, String), String> {
    let words: Vec<&str> = line.trim_start_matches("#!").split_ascii_whitespace().collect();
    let is_python = |word: &str| {
        Path::new(word).file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("python"))
    };
    match words.as_slice() {
        [program] if is_python(program) => Ok((PathBuf::from(program), (*program).to_owned())),
        ["/usr/bin/env" | "/bin/env", name] if is_python(name) && !name.contains('/') => {
            let found = path
                .into_iter()
                .flat_map(std::env::split_paths)
                .map(|directory| directory.join(name))
                .find(|program| scan::is_executable(program));
            found
                .map(|found| (found, (*name).to_owned()))
                .ok_or_else(|| format!("no `{name}` is on its PATH"))
        }
        [program, ..] if is_python(program) || words.iter().any(|word| is_python(word)) => {
            Err(format!("its first line, `{line}`, has options"))
        }
        _ => Err("it is not a Python script".to_owned()),
    }
}

/// A script in an interpreter's place sets things up for it that only a start brings.
fn binary(program: &Path) -> Result<(), String> {
    match scan::is_binary(program) {
        true => Ok(()),
        false => Err(format!("its interpreter `{}` is a script", program.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn an_interpreter_is_found_as_the_kernel_and_env_find_it() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let write = |name: &str, text: &str| {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), text).unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(0o755)).unwrap();
        };
        write("one/python3", "\x7fELF");
        write("two/python3", "\x7fELF");
        write("shims/python3", "#!/bin/sh");
        let python = at("one/python3").display().to_string();
        let cases = [
            (format!("#!{python}"), "one", Ok((at("one/python3"), python.as_str()))),
            (format!("#! {python} "), "none", Ok((at("one/python3"), python.as_str()))),
            ("#!/usr/bin/env python3".to_owned(), "two", Ok((at("two/python3"), "python3"))),
            ("#!/usr/bin/env python3".to_owned(), "none", Err("no `python3` is on its PATH".to_owned())),
            (
                "#!/usr/bin/env python3".to_owned(),
                "shims",
                Err(format!("its interpreter `{}` is a script", at("shims/python3").display())),
            ),
            (
                "#!/usr/bin/env -S python3 -I".to_owned(),
                "one",
                Err("its first line, `#!/usr/bin/env -S python3 -I`, has options".to_owned()),
            ),
            (format!("#!{python} -u"), "one", Err(format!("its first line, `#!{python} -u`, has options"))),
            ("#!/bin/sh".to_owned(), "one", Err("it is not a Python script".to_owned())),
            ("print(1)".to_owned(), "one", Err("it is not a Python script".to_owned())),
        ];
        for (line, path, expected) in cases {
            write("cli.py", &format!("{line}\n"));
            let located = Located {
                name: "p".into(),
                directory: root.path().into(),
                program: at("cli.py"),
                prefix: Vec::new(),
                linked: SystemTime::UNIX_EPOCH,
                confinement: Default::default(),
                risks: Vec::new(),
            };
            let found = of(&located, Some(at(path).as_os_str()));
            let found = found.map(|found| (found.program, found.words[0].clone()));
            assert_eq!(found, expected.map(|(program, word)| (program, word.to_owned())), "{line} {path}");
        }
    }
}
