//! Which files can be opened, which ports reached, and who can be signalled: Landlock.
//!
//! Rules only ever allow, and a rule holds for all that is below its path. So the system less what is hidden is said by
//! naming each neighbour of what is hidden, and each neighbour of the directories above it. These directories themselves
//! can be passed through and not be listed.

use std::fs;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::{Feature, Files, Sandbox, SandboxError};
use crate::config::Network;

/// The newest rules that are meant here; an older kernel takes those that it knows.
const RULES: ABI = ABI::V9;
/// Devices that hold nothing of anyone.
pub(crate) const DEVICES: [&str; 8] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
];
/// What loads a program before it runs, which is itself run.
const LOADERS: [&str; 4] = [
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
];

pub(super) fn confine(sandbox: &Sandbox, program: &Path) -> Result<(), SandboxError> {
    let status = restrict(sandbox, program)?;
    if status == RulesetStatus::NotEnforced && sandbox.required {
        return Err(SandboxError::Missing(Feature::Files));
    }
    Ok(())
}

fn restrict(sandbox: &Sandbox, program: &Path) -> Result<RulesetStatus, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RULES))?
        .scope(Scope::Signal | Scope::AbstractUnixSocket)?;
    if sandbox.network != Network::Any {
        ruleset = ruleset.handle_access(AccessNet::from_all(RULES))?;
    }
    let mut created = ruleset.create()?;
    for (paths, access) in allowed(&sandbox.files, program) {
        // What is not there needs no rule.
        created = created.add_rules(path_beneath_rules(paths, access))?;
    }
    if let Network::Ports(ports) = &sandbox.network {
        let port = |port: &u16| Ok::<_, RulesetError>(NetPort::new(*port, AccessNet::ConnectTcp));
        created = created.add_rules(ports.iter().map(port))?;
    }
    Ok(created.restrict_self()?.ruleset)
}

/// Returns what may be done with which paths.
fn allowed(files: &Files, program: &Path) -> Vec<(Vec<PathBuf>, BitFlags<AccessFs>)> {
    let execute = BitFlags::from(AccessFs::Execute);
    let all = AccessFs::from_all(RULES);
    let read = AccessFs::from_read(RULES) | AccessFs::from_all(RULES) & !AccessFs::from_all(ABI::V8);
    let (read, written, run) = match &files.execute {
        None => (read, all, Vec::new()),
        Some(run) => {
            let loaders = LOADERS.iter().map(PathBuf::from);
            let own = [program.to_owned()].into_iter().chain(fs::canonicalize(program).ok());
            (read & !execute, all & !execute, run.iter().cloned().chain(own).chain(loaders).collect())
        }
    };
    let mut readable = files.read.clone();
    // Links are passed over on the way down, so what is hidden is looked for where it really is. What is granted whole is so
    // with what is hidden below: nothing there need be named.
    let real = files.hidden.iter().map(|path| fs::canonicalize(path).unwrap_or_else(|_| path.clone()));
    let hidden: Vec<PathBuf> = real.filter(|path| files.written_with(path).is_none()).collect();
    visible(Path::new("/"), &hidden, &mut readable);
    let devices = DEVICES.iter().map(PathBuf::from).collect();
    vec![
        (readable, read),
        (files.write.clone(), written),
        (devices, all & !execute),
        (run, execute | AccessFs::ReadFile),
    ]
}

/// Collects what is at or below `path` and not `hidden`, in as few paths as say it.
fn visible(path: &Path, hidden: &[PathBuf], into: &mut Vec<PathBuf>) {
    if hidden.iter().any(|one| path.starts_with(one)) {
        return;
    }
    if !hidden.iter().any(|one| one.starts_with(path)) {
        into.push(path.to_owned());
        return;
    }
    // Whoever may not list it may not read what is in it either.
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        // A rule for a link would be one for its target, which has its own place in the tree.
        if entry.file_type().is_ok_and(|found| !found.is_symlink()) {
            visible(&entry.path(), hidden, into);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_left_out_with_all_that_is_below_and_no_neighbour_is() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for directory in
            ["etc/smcp/deep", "etc/ssl", "usr/lib", "var/lib/smcp/state/one", "var/lib/smcp/plugins"]
        {
            fs::create_dir_all(at(directory)).unwrap();
        }
        fs::write(at("etc/hosts"), "").unwrap();
        std::os::unix::fs::symlink(at("etc/smcp"), at("etc/way-in")).unwrap();
        let hidden = [at("etc/smcp"), at("var/lib/smcp/state"), at("not/there")];
        let mut found = Vec::new();
        visible(root.path(), &hidden, &mut found);
        found.sort();
        assert_eq!(found, ["etc/hosts", "etc/ssl", "usr", "var/lib/smcp/plugins"].map(at));
    }

    #[test]
    fn nothing_hidden_is_one_path_and_all_hidden_is_none() {
        let mut found = Vec::new();
        visible(Path::new("/"), &[], &mut found);
        assert_eq!(found, [Path::new("/")]);
        found.clear();
        visible(Path::new("/usr"), &[PathBuf::from("/")], &mut found);
        assert!(found.is_empty());
    }
}
