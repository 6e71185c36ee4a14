//! The man page and `docs/json.md` have all that there is.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use smcp_test_support::root;

#[test]
fn every_finding_and_every_json_member_is_documented() {
    let page = fs::read_to_string(root().join("man/smcpctl.1")).unwrap();
    let sources = [
        "smcpctl/src/doctor.rs",
        "smcpd/src/control/doctor/mod.rs",
        "smcpd/src/control/doctor/plugins.rs",
        "smcpd/src/control/doctor/doors.rs",
        "smcpd/src/control/doctor/rights.rs",
    ];
    let source: String = sources.iter().map(|file| fs::read_to_string(root().join(file)).unwrap()).collect();
    let quoted: Vec<&str> = source.split('"').skip(1).step_by(2).collect();
    // A code is a word with hyphens and no blanks, and nothing else in these files is.
    let is_code = |word: &&&str| {
        word.contains('-')
            && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')
            && !word.starts_with('-')
            && !["is-active", "is-enabled"].contains(*word)
    };
    let codes: Vec<&&str> = quoted.iter().filter(is_code).collect();
    assert!(codes.len() > 15, "{codes:?}");
    for code in codes {
        assert!(page.contains(&format!(".It Li {code}\n")), "{code}");
    }
    let document = fs::read_to_string(root().join("docs/json.md")).unwrap();
    let mut members = 0;
    let mut directories = vec![root().join("smcpctl/src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let source = fs::read_to_string(path).unwrap();
            for rest in source.split("print_json(").skip(1) {
                let Some(member) =
                    rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next())
                else {
                    continue;
                };
                members += 1;
                assert!(document.contains(&format!("| `{member}` |")), "{member}");
            }
        }
    }
    assert!(members > 20, "{members}");
}

#[test]
fn every_command_and_exit_code_is_in_the_man_page() {
    let page = fs::read_to_string(root().join("man/smcpctl.1")).unwrap();
    let commands = |words: &[&str]| -> Vec<String> {
        let output = Command::new(env!("CARGO_BIN_EXE_smcpctl")).args(words).arg("--help").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let listed = text.split("Commands:").nth(1).unwrap_or_default().lines().skip(1);
        listed
            .take_while(|line| !line.is_empty())
            // A longer description goes on further to the right.
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .collect()
    };
    let flags = |words: &[&str]| -> Vec<String> {
        let output = Command::new(env!("CARGO_BIN_EXE_smcpctl")).args(words).arg("--help").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
        let words = lines.flat_map(|line| line.split([' ', ',', '=', '[', ']']));
        words.filter_map(|word| word.strip_prefix("--")).map(str::to_owned).collect()
    };
    // A dash within may be written with or without its backslash.
    let plain = page.replace("\\-", "-");
    let described: BTreeSet<&str> = plain
        .split("Fl -")
        .skip(1)
        .chain(plain.split(" , -").skip(1))
        .map(|rest| rest.split([' ', '\n']).next().unwrap())
        .collect();
    let mut known = BTreeSet::from([
        // What a plugin prints its contract on.
        "describe".to_owned(),
    ]);
    let top = commands(&[]);
    assert!(top.len() >= 12, "{top:?}");
    known.extend(flags(&[]));
    for command in &top {
        known.extend(flags(&[command]));
        known.extend(commands(&[command]).iter().flat_map(|below| flags(&[command, below])));
    }
    for flag in &known {
        assert!(described.contains(flag.as_str()), "--{flag} is not in the man page");
    }
    for flag in described {
        assert!(known.contains(flag), "there is no --{flag}");
    }
    for command in top {
        assert!(page.contains(&format!(".It Cm {command}")), "{command}");
        for below in commands(&[&command]).iter().filter(|below| *below != "help" && *below != "list") {
            assert!(page.contains(&format!(".It Cm {command} {below}")), "{command} {below}");
        }
    }
    let source = fs::read_to_string(root().join("smcpctl/src/exit.rs")).unwrap();
    let codes = source
        .lines()
        .filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "))
        .map(|(_, code)| code);
    for code in codes {
        assert!(page.contains(&format!(".It {code}\n")), "exit code {code}");
    }
}
