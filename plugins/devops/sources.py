"""Where releases come from: which revision a version means, and how it gets into a release's directory."""

import os
import re
import shutil
import tempfile
from dataclasses import dataclass

import unpack
from config import valid_version
from running import must, run, said
from trouble import Trouble

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Wanted:
    """What is to be deployed: `revision` names the contents, `version` is what people call it."""

    version: str
    revision: str
    location: str


def resolve(source, version):
    """Returns what a version of a source is now. Changes nothing."""
    if version is not None:
        valid_version(version)
    return RESOLVE[source.kind](source, version)


def fetch(source, wanted, directory, cache, variables):
    """Lays what was resolved into an empty directory; `cache` is the app's, to keep what can be used again."""
    FETCH[source.kind](source, wanted, directory, cache, variables)


def git(*words):
    # The configuration of whoever runs this cannot bring in other transports or programs.
    return ("git", "-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null", *words)


GIT_VARIABLES = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes"),
    "LC_ALL": "C.UTF-8",
}


def resolve_git(source, version):
    if not shutil.which("git"):
        raise Trouble("there is no `git` here; install it")
    ref = version or source.ref
    if COMMIT.fullmatch(ref):
        return Wanted(ref, ref, source.location)
    names = [ref] if ref == "HEAD" or ref.startswith("refs/") else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
    # An annotated tag is an object of its own; the peeled one is the commit.
    asked = [*names, *(name + "^{}" for name in names)]
    done = run(git("ls-remote", "--", source.location, *asked), source.timeout, variables=GIT_VARIABLES, keep=1 << 18)
    if done.status:
        raise Trouble(f"cannot ask `{source.location}` for `{ref}`{said(done.output)}")
    found = dict(reversed(line.split("\t", 1)) for line in done.output.splitlines() if "\t" in line)
    for name in names:
        for spelled in (name + "^{}", name):
            if COMMIT.fullmatch(found.get(spelled, "")):
                return Wanted(ref, found[spelled], source.location)
    raise Trouble(f"`{source.location}` has no branch or tag `{ref}`; a commit has to be given whole")


def fetch_git(source, wanted, directory, cache, variables):
    variables = {**variables, **GIT_VARIABLES}
    cache.mkdir(parents=True, exist_ok=True)
    mirror = cache / "repository.git"

    def here(*words):
        return git("--git-dir", str(mirror), *words)

    # A fetch that was killed may have left its lock behind; nobody else fetches here, the app's lock is held.
    for lock in mirror.rglob("*.lock"):
        lock.unlink()
    try:
        must(git("init", "--quiet", "--bare", "--", str(mirror)), 60, "git", variables=variables)
        must(
            here("fetch", "--quiet", "--force", "--no-tags", "--no-recurse-submodules", "--", wanted.location,
                 "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"),
            source.timeout, f"cannot fetch `{wanted.location}`", variables=variables,
        )
    except Trouble:
        # It may be what a kill left half-made: the next deploy begins afresh.
        unpack.remove(mirror)
        raise
    if run(here("cat-file", "-e", wanted.revision + "^{commit}"), 60, variables=variables).status:
        raise Trouble(f"no branch or tag of `{wanted.location}` has the commit {wanted.revision}; is it pushed?")
    with tempfile.NamedTemporaryFile(dir=cache, prefix="archive-") as archive:
        must(here("archive", "--format=tar", f"--output={archive.name}", wanted.revision), source.timeout,
             "cannot read the commit", variables=variables)
        with open(archive.name, "rb") as file:
            unpack.unpack(file, directory)


def place(source, version):
    """Returns the path of a tarball or directory, with its version put in."""
    if "{version}" not in source.location:
        if version is not None:
            raise Trouble(f"`{source.location}` has no {{version}} in it; leave `--version` out, or put it in")
        return source.location
    if version is None:
        raise Trouble(f"`{source.location}` has a {{version}} in it; say which with `--version`")
    if "/" in version:
        raise Trouble(f"the version `{version}` has a `/`, which the name of a file or directory cannot have")
    return source.location.replace("{version}", version)


def resolve_tarball(source, version):
    path = place(source, version)
    try:
        sum = unpack.file_digest(path)
    except OSError as error:
        raise Trouble(f"cannot read the tarball `{path}`: {error.strerror}")
    return Wanted(version or os.path.basename(path), sum, path)


def fetch_tarball(source, wanted, directory, cache, variables):
    # Another file put in its place meanwhile changes nothing: one open file is summed and unpacked.
    with open(wanted.location, "rb") as file:
        if unpack.file_digest(f"/proc/self/fd/{file.fileno()}") != wanted.revision:
            raise Trouble(f"`{wanted.location}` changed meanwhile; deploy again")
        unpack.unpack(file, directory, source.strip)


def resolve_directory(source, version):
    path = place(source, version)
    try:
        sum = unpack.digest(path)
    except OSError as error:
        raise Trouble(f"cannot read the directory `{path}`: {error.filename}: {error.strerror}")
    return Wanted(version or os.path.basename(path.rstrip("/")), sum, path)


def fetch_directory(source, wanted, directory, cache, variables):
    unpack.copy(wanted.location, directory)
    if unpack.digest(directory) != wanted.revision:
        raise Trouble(f"`{wanted.location}` changed while it was copied; deploy again")


def resolve_image(source, version):
    engine()
    name, _, known = source.location.partition("@")
    if version is not None and not DIGEST.fullmatch(version):
        raise Trouble(f"an image is named by its digest, `sha256:` and 64 hex digits; `{version}` is none")
    sum = version or known
    return Wanted(sum, sum.partition(":")[2], f"{name}@{sum}")


def fetch_image(source, wanted, directory, cache, variables):
    """Pulls an image; the release is a file that a unit reads with `EnvironmentFile=`."""
    must((engine(), "pull", "--quiet", wanted.location), source.timeout, "cannot pull the image", variables=variables)
    with open(os.path.join(directory, "image.env"), "w") as file:
        file.write(f"IMAGE={wanted.location}\n")


def engine():
    for program in ("podman", "docker"):
        if shutil.which(program):
            return program
    raise Trouble("there is neither `podman` nor `docker` here, which a source by `image` needs")


RESOLVE = {"git": resolve_git, "tarball": resolve_tarball, "directory": resolve_directory, "image": resolve_image}
FETCH = {"git": fetch_git, "tarball": fetch_tarball, "directory": fetch_directory, "image": fetch_image}
