"""An app's directory: its releases, what runs, the lock, the journal of what is being done, the history.

    ROOT/releases/ID        one release each
    ROOT/shared             what releases have in common
    ROOT/current            a link to the release that runs; it is replaced by one rename, so it always leads somewhere
    ROOT/.devops/lock       held by whoever changes anything; it says who
    ROOT/.devops/journal    what is being done, and which step; there is none when nothing is
    ROOT/.devops/records    what is known of each release, written before the release can run
    ROOT/.devops/history    one line for each deploy and rollback
"""

import contextlib
import fcntl
import json
import os
import re
import time
from datetime import datetime, timezone
from pathlib import Path

import unpack
from running import start_time
from trouble import Trouble

RELEASE = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{12}(-\d+)?")
HISTORY_LINES = 1000


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def sync_directory(path):
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path, value):
    """Writes a file so that at any moment the old one or the new one is there, whole."""
    beside = path.with_name(path.name + ".new")
    with open(beside, "w", encoding="utf-8") as file:
        file.write(json.dumps(value) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    sync_directory(path.parent)


def read(path):
    """Returns what a file holds, or None where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise Trouble(f"`{path}` is damaged; look at it, and remove it where it says nothing")


class Place:
    def __init__(self, app, root):
        self.app = app
        self.root = Path(root)
        self.own = self.root / ".devops"
        self.releases = self.root / "releases"
        self.shared = self.root / "shared"
        self.records = self.own / "records"
        self.link = self.root / "current"

    def prepare(self):
        for directory in (self.root, self.own, self.releases, self.shared, self.records):
            try:
                directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise Trouble(
                    f"cannot make `{directory}`: {error.strerror}; make it, give it to the user who runs the plugin, "
                    "and open the service's sandbox for it (`devops.conf` and `devops.toml`)"
                )

    # What runs.

    def current(self):
        """Returns the id of the release that `current` leads to, or None where there is no link."""
        try:
            target = os.readlink(self.link)
        except FileNotFoundError:
            return None
        except OSError:
            raise Trouble(f"`{self.link}` is not a link; move it away, the releases are kept in `{self.releases}`")
        return os.path.basename(target)

    def since(self):
        """Returns when `current` was switched to what it leads to."""
        try:
            stamp = os.lstat(self.link).st_mtime
        except FileNotFoundError:
            return None
        return datetime.fromtimestamp(stamp, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def switch(self, release):
        """Lets `current` lead to a release, in one step; to None, there is no `current` any more."""
        if release is None:
            with contextlib.suppress(FileNotFoundError):
                self.link.unlink()
        else:
            beside = self.own / "current.new"
            with contextlib.suppress(FileNotFoundError):
                beside.unlink()
            os.symlink(os.path.join("releases", release), beside)
            os.replace(beside, self.link)
        sync_directory(self.root)

    # Releases.

    def release(self, name):
        return self.releases / name

    def new_id(self, revision):
        stem = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ-") + revision[:12]
        name, number = stem, 2
        while os.path.lexists(self.release(name)):
            name, number = f"{stem}-{number}", number + 1
        return name

    def record(self, name):
        return read(self.records / f"{name}.json") or {"release": name}

    def write_record(self, record):
        write_whole(self.records / f"{record['release']}.json", record)

    def known(self):
        """Returns the records of the releases that can run, the oldest first."""
        try:
            names = sorted(path.stem for path in self.records.glob("*.json"))
        except OSError:
            return []
        found = [self.record(name) for name in names if RELEASE.fullmatch(name) and self.release(name).is_dir()]
        return sorted(found, key=lambda record: (record.get("order", 0), record["release"]))

    def discard(self, name):
        """Removes a release. Without its record first, so that none that is half removed can be chosen."""
        if name == self.current():
            raise Trouble(f"the release {name} runs and is not removed")
        with contextlib.suppress(FileNotFoundError):
            (self.records / f"{name}.json").unlink()
        unpack.remove(self.release(name))

    def discard_strays(self):
        """Removes what killed operations may have left: releases without a record, and files half written."""
        known = {record["release"] for record in self.known()}
        for name in os.listdir(self.releases):
            if RELEASE.fullmatch(name) and name not in known and name != self.current():
                self.discard(name)
        for path in (*self.own.glob("cache/archive-*"), *self.records.glob("*.new")):
            path.unlink()

    def previous(self):
        """Returns the release that ran before the current one was deployed, where it is kept."""
        before = self.record(self.current()).get("previous") if self.current() else None
        return before if before and any(record["release"] == before for record in self.known()) else None

    def prune(self, keep):
        """Removes the oldest releases beyond `keep`, but neither what runs nor what ran before it."""
        releases = [record["release"] for record in self.known()]
        spared = {self.current(), self.previous()}
        kept = set(releases[-keep:]) | spared
        gone = [release for release in releases if release not in kept]
        for release in gone:
            self.discard(release)
        return gone

    # Who changes it, and what is under way.

    @contextlib.contextmanager
    def locked(self, action):
        """Holds the app's lock, or refuses at once and says who has it. A killed holder has it no more."""
        self.prepare()
        with open(self.own / "lock", "a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Trouble(f"`{self.app}` is busy: {describe(self.holder())}; try again when it has ended")
            who = {"action": action, "pid": os.getpid(), "started": start_time(os.getpid()), "since": now()}
            for key, variable in (("caller", "SMCP_CALLER"), ("call", "SMCP_CALL_ID")):
                if os.environ.get(variable):
                    who[key] = os.environ[variable]
            file.truncate(0)
            file.write(json.dumps(who))
            file.flush()
            try:
                yield
            finally:
                file.truncate(0)

    def holder(self):
        """Returns who holds the lock, or None; asks no lock, so that it never gets in the way of one."""
        try:
            who = json.loads((self.own / "lock").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return who if start_time(who.get("pid")) == who.get("started") else None

    def journal(self):
        return read(self.own / "journal")

    def write_journal(self, journal):
        write_whole(self.own / "journal", journal)

    def close_journal(self):
        with contextlib.suppress(FileNotFoundError):
            (self.own / "journal").unlink()
        sync_directory(self.own)

    def history(self, limit):
        """Returns the last entries, the newest first. A line that a power failure cut is left out."""
        try:
            lines = (self.own / "history").read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        entries = []
        for line in reversed(lines):
            if len(entries) == limit:
                break
            with contextlib.suppress(ValueError):
                entries.append(json.loads(line))
        return entries

    def remember(self, entry):
        """Adds an entry, once for each operation however often it is tried."""
        if any(known.get("operation") == entry["operation"] for known in self.history(3)):
            return
        path = self.own / "history"
        whole = not path.exists() or path.read_bytes()[-1:] in (b"\n", b"")
        with open(path, "a", encoding="utf-8") as file:
            file.write(("" if whole else "\n") + json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        if len(lines) > 2 * HISTORY_LINES:
            beside = path.with_name("history.new")
            beside.write_text("".join(lines[-HISTORY_LINES:]), encoding="utf-8")
            os.replace(beside, path)


def describe(who):
    """Returns who holds a lock, in words."""
    if not who:
        return "another deploy or rollback has just begun"
    by = f" of {who['caller']}" if who.get("caller") else ""
    call = f", call {who['call']}" if who.get("call") else ""
    return f"a {who['action']}{by} (process {who['pid']}{call}) since {who['since']}"


def elapsed(began):
    return round(time.monotonic() - began, 2)
