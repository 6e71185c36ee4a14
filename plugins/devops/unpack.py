"""Trees of files that come from elsewhere: nothing in them may reach out of the place where they are laid."""

import hashlib
import os
import posixpath
import shutil
import stat
import tarfile

from trouble import Trouble


def leads_out(name, target):
    """Says whether a link at `name` leads out of the tree; both are relative paths with `/`."""
    if posixpath.isabs(target):
        return True
    parts = [part for part in target.split("/") if part not in ("", ".")]
    up = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    # A `..` behind a name could follow another link first, and so lead anywhere.
    return ".." in parts[up:] or up > name.count("/")


def stripped(name, levels):
    """Returns a member's name without its first directories, or None where nothing remains."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return "/".join(parts[levels:]) or None


def check(member, name):
    """Raises where a member may not be unpacked as `name`."""
    if posixpath.isabs(member.name) or ".." in member.name.split("/") or "\\" in member.name:
        raise Trouble(f"the archive is not safe: `{member.name}` leads out of it; nothing of it was kept")
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        raise Trouble(f"the archive is not safe: `{member.name}` is a device or a pipe; nothing of it was kept")
    if member.issym() and leads_out(name, member.linkname):
        raise Trouble(
            f"the archive is not safe: the link `{member.name}` leads out, to `{member.linkname}`; "
            "name what releases have in common in `shared`"
        )


def unpack(file, directory, levels=0):
    """Unpacks an archive that is open for reading into an empty directory."""
    try:
        with tarfile.open(fileobj=file, mode="r:*") as archive:
            links = set()
            for member in archive:
                name = stripped(member.name, levels)
                if member.islnk():
                    # Relative to the archive's root, unlike a symbolic one.
                    if posixpath.isabs(member.linkname) or ".." in member.linkname.split("/"):
                        raise Trouble(f"the archive is not safe: the link `{member.name}` leads out; nothing of it was kept")
                    member.linkname = stripped(member.linkname, levels) or ""
                if name is None:
                    check(member, "x")
                    continue
                check(member, name)
                # What is laid through a link could land where the link leads.
                parents = name.split("/")
                if any("/".join(parents[:depth]) in links for depth in range(1, len(parents) + 1)):
                    raise Trouble(f"the archive is not safe: `{member.name}` lies behind a link; nothing of it was kept")
                if member.issym():
                    links.add(name)
                member.name = name
                lay(archive, member, directory)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise Trouble(f"cannot unpack the archive: {error}; is it a whole tarball?")


def lay(archive, member, directory):
    member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
    # No set-user-id; the owner may always change what is his, or it could not be removed again.
    member.mode = (member.mode & 0o755) | (0o700 if member.isdir() else 0o600)
    if hasattr(tarfile, "data_filter"):
        archive.extract(member, directory, filter="data")
    else:
        archive.extract(member, directory, set_attrs=not member.issym())


def copy(source, directory):
    """Copies a tree into an empty directory, without a `.git` at its top."""
    for path, name, kind in walk(source):
        target = os.path.join(directory, name)
        if kind == "directory":
            os.mkdir(target)
        elif kind == "link":
            os.symlink(os.readlink(path), target)
        else:
            shutil.copyfile(path, target)
            os.chmod(target, (os.stat(path).st_mode & 0o755) | 0o600)


def digest(source):
    """Returns a SHA-256 over names, contents, links and who may execute what."""
    sum = hashlib.sha256()
    for path, name, kind in walk(source):
        sum.update(f"{kind}\0{name}\0".encode("utf-8", "surrogateescape"))
        if kind == "link":
            sum.update(os.fsencode(os.readlink(path)) + b"\0")
        elif kind != "directory":
            sum.update(file_digest(path).encode())
    return sum.hexdigest()


def walk(source):
    """Yields (path, relative name, kind) in one order on every host, parents first."""
    pending = [("", str(source))]
    while pending:
        prefix, directory = pending.pop()
        for name in sorted(os.listdir(directory)):
            path, relative = os.path.join(directory, name), prefix + name
            if relative == ".git":
                continue
            mode = os.lstat(path).st_mode
            if stat.S_ISDIR(mode):
                yield path, relative, "directory"
                pending.append((relative + "/", path))
            elif stat.S_ISLNK(mode):
                if leads_out(relative, os.readlink(path)):
                    raise Trouble(f"the link `{path}` leads out of the directory; name what releases have in common in `shared`")
                yield path, relative, "link"
            elif stat.S_ISREG(mode):
                yield path, relative, "program" if mode & 0o100 else "file"
            else:
                raise Trouble(f"`{path}` is neither a file nor a directory nor a link; it cannot be deployed")


def file_digest(path):
    sum = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            sum.update(chunk)
    return sum.hexdigest()


def remove(directory):
    """Removes a tree, also one with directories that may not be written to; one that is not there is removed already."""

    def again(function, path, _):
        try:
            os.chmod(os.path.dirname(path), 0o700)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
            function(path)
        except FileNotFoundError:
            pass

    if os.path.lexists(directory):
        shutil.rmtree(directory, onerror=again)
