//! Users of this host, as `/etc/passwd` has them, and what the modes of a file let them do.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: PathBuf,
}

/// Finds a user by name.
pub(super) fn find(name: &str) -> std::io::Result<Option<User>> {
    Ok(parse(&fs::read_to_string("/etc/passwd")?, name))
}

fn parse(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields[..] {
            [known, _, uid, gid, _, home, _] if known == name => {
                Some(User { uid: uid.parse().ok()?, gid: gid.parse().ok()?, home: home.into() })
            }
            _ => None,
        }
    })
}

/// The rights in one digit of a mode.
pub(super) const READ: u32 = 4;
pub(super) const WRITE: u32 = 2;
pub(super) const ENTER: u32 = 1;

impl User {
    /// Returns whether the modes on the way to `path`, and its own, grant these rights.
    pub(super) fn may(&self, path: &Path, rights: u32) -> bool {
        let granted =
            |path: &Path, rights| fs::metadata(path).is_ok_and(|found| self.is_granted(&found, rights));
        granted(path, rights) && path.ancestors().skip(1).all(|above| granted(above, ENTER))
    }

    fn is_granted(&self, found: &Metadata, rights: u32) -> bool {
        granted(found.mode(), found.uid() == self.uid, found.gid() == self.gid, rights)
    }
}

/// Only the first class that fits counts, as in the kernel.
fn granted(mode: u32, is_owner: bool, is_group: bool, rights: u32) -> bool {
    let digit = match (is_owner, is_group) {
        (true, _) => mode >> 6,
        (false, true) => mode >> 3,
        (false, false) => mode,
    };
    digit & rights == rights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_whole_or_not_at_all() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nsmcp:x:998:997::/var/lib/smcp:/usr/sbin/nologin\nbad:x:y:1::/:\nshort:x\n";
        let smcp = User { uid: 998, gid: 997, home: "/var/lib/smcp".into() };
        let cases = [("smcp", Some(smcp)), ("smc", None), ("bad", None), ("short", None), ("", None)];
        for (name, expected) in cases {
            assert_eq!(parse(passwd, name), expected, "{name}");
        }
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        let cases = [
            (0o700, true, false, READ | WRITE, true),
            (0o700, false, true, READ, false),
            (0o070, true, true, READ, false),
            (0o750, false, true, READ | ENTER, true),
            (0o750, false, true, WRITE, false),
            (0o755, false, false, ENTER, true),
            (0o755, false, false, WRITE, false),
        ];
        for (mode, is_owner, is_group, rights, expected) in cases {
            assert_eq!(granted(mode, is_owner, is_group, rights), expected, "{mode:o} {rights}");
        }
    }
}
