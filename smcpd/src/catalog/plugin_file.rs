//! Reads a file of a plugin for a client: never one outside of the plugin's directory, and never all of a flood.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::base64;

/// A client gets a file whole, in one message.
const LONGEST: u64 = 16 << 20;

/// The contents of a file: text where it is UTF-8, else base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contents {
    Text(String),
    Blob(String),
}

/// Returns the contents of `path` below `directory`; the error is the reason to show.
pub(super) fn read(directory: &Path, path: &Path) -> Result<Contents, String> {
    let shown = path.display();
    let file = open(directory, path).map_err(|error| match error {
        Errno::NOENT => format!("there is no file `{shown}`"),
        Errno::LOOP | Errno::NOTDIR => format!("`{shown}` leads over a symbolic link or a file"),
        error => format!("cannot read `{shown}`: {error}"),
    })?;
    let failed = |error: io::Error| format!("cannot read `{shown}`: {error}");
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(format!("`{shown}` is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("`{shown}` is longer than {} MiB", LONGEST >> 20));
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Contents::Text(text),
        Err(error) => Contents::Blob(base64::encode(error.as_bytes())),
    })
}

/// Opens each directory on the way, so that no link of it can lead elsewhere, not even one made meanwhile.
fn open(directory: &Path, path: &Path) -> Result<File, Errno> {
    let through = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let mut at: OwnedFd = rustix::fs::open(directory, through, Mode::empty())?;
    let mut names = path.iter().peekable();
    while let Some(name) = names.next() {
        let flags = match names.peek() {
            Some(_) => through,
            // Opening a FIFO would wait for its writer.
            None => OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        };
        at = rustix::fs::openat(&at, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(at.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_a_regular_file_below_the_directory_is_read() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("plugin");
        fs::create_dir_all(directory.join("data")).unwrap();
        fs::write(root.path().join("secret"), "s").unwrap();
        fs::write(directory.join("data/text"), "ä").unwrap();
        fs::write(directory.join("data/bytes"), [0xfb, 0xff]).unwrap();
        symlink(root.path(), directory.join("up")).unwrap();
        symlink("../../secret", directory.join("data/out")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            directory.join("fifo"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let long = File::create(directory.join("long")).unwrap();
        long.set_len(LONGEST + 1).unwrap();
        let cases = [
            ("data/text", Ok(Contents::Text("ä".to_owned()))),
            ("data/bytes", Ok(Contents::Blob("+/8=".to_owned()))),
            ("data/none", Err("there is no file `data/none`")),
            ("data", Err("`data` is not a regular file")),
            ("fifo", Err("`fifo` is not a regular file")),
            ("data/out", Err("`data/out` leads over a symbolic link or a file")),
            ("up/secret", Err("`up/secret` leads over a symbolic link or a file")),
            ("data/text/x", Err("`data/text/x` leads over a symbolic link or a file")),
            ("long", Err("`long` is longer than 16 MiB")),
        ];
        for (path, expected) in cases {
            assert_eq!(read(&directory, Path::new(path)), expected.map_err(str::to_owned), "{path}");
        }
    }
}
