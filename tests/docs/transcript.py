"""Transcripts in Markdown, run against a real daemon on a terminal, and code that a page names as a file.

In a block of the kind `console`, a line after `$ ` is a command of the shell (lines after `> ` continue it), and what
follows is what it prints; a last line `[7]` is its exit code where that is not 0. What differs from run to run is
replaced before it is compared. `UPDATE_TRANSCRIPTS=1 tests/docs/run MODULE` writes the page anew.
"""

import os
import re
import shutil
import subprocess
import sys

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`([\w-]+/[\w./-]+)`")
# A progress bar is drawn anew in place; what stays is what was drawn last.
REDRAWN = re.compile(r"\r\x1b\[K")
COLUMNS = 110


def named(page, block):
    """Returns the path of the file that a block is: the last one that the paragraph before it names."""
    paragraph = page[: block.start()].rstrip().rpartition("\n\n")[2]
    found = NAMED.findall(paragraph)
    return found[-1] if found and block[1] in ("python", "bash", "rust", "json") else None


def files(page):
    """Returns the code of a page by its path."""
    return {path: block[2] for block in BLOCK.finditer(page) if (path := named(page, block))}


def lay(directory, path, code):
    """Writes a file, which others may not change whatever the umask: `plugin check` would warn."""
    path = os.path.join(directory, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.chmod(os.path.dirname(path), 0o755)
    with open(path, "w", encoding="utf-8") as file:
        file.write(code)
    os.chmod(path, 0o644)


def commands(block):
    """Yields each command of a block, as it stands there and as the shell reads it, with what is shown below it."""
    command, shown = None, []
    for line in block.splitlines():
        if line.startswith("$ "):
            if command is not None:
                yield command, shown
            command, shown = [line[2:]], []
        elif line == ">" or line.startswith("> ") and not shown:
            command.append(line[2:])
        else:
            assert command is not None, f"a block begins without a command: {line}"
            shown.append(line)
    if command is not None:
        yield command, shown


class Stage:
    """Where the commands of a page run: one directory, one daemon, and a terminal for each command."""

    def __init__(self, place, daemon, directory):
        self.place, self.daemon, self.directory = place, daemon, directory
        path = [os.path.dirname(place.smcpctl), os.path.dirname(place.smcpd), daemon.environment["PATH"]]
        self.environment = {
            **daemon.environment, **rust(), "PATH": os.pathsep.join(path), "TERM": "xterm", "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, command):
        """Returns what a command shows on a terminal, with its exit code as a last line."""
        done = subprocess.run(
            [sys.executable, os.path.join(self.place.root, "tests/ctl/on_terminal.py"), str(COLUMNS), command],
            env=self.environment, cwd=self.directory, capture_output=True, timeout=120, check=False,
            umask=0o022,
        )
        assert not done.stderr, done.stderr
        said = self.fixed(done.stdout.decode())
        # What was drawn while somebody waited, and wiped out, is no line.
        said = re.sub(r"[^\n]*\r\x1b\[K$", "", said)
        lines = [REDRAWN.split(line)[-1] for line in said.removesuffix("\n").split("\n")] if said else []
        return lines + ([f"[{done.returncode}]"] if done.returncode else [])

    def fixed(self, said):
        for what, word in [
            (os.path.realpath(self.directory), "/home/you"),
            (self.directory, "/home/you"),
            (self.daemon.config, "/home/you/.config/smcp/smcpd.toml"),
            (self.place.root, "/opt/smcp"),
        ]:
            said = said.replace(what, word)
        return re.sub(r"^(Ran \d+ tests? in )[0-9.]+s", r"\g<1>0.150s", said, flags=re.MULTILINE)


def rust():
    """rustup keeps the compiler in the caller's home, which is not the home of the commands."""
    if shutil.which("rustup") is None:
        return {}
    home = os.path.expanduser("~")
    return {name: os.environ.get(name, os.path.join(home, place)) for name, place in
            [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")]}


def play(page, stage, before=lambda block: None):
    """Runs every transcript of a page in order; returns the page as the programs would have it."""
    parts, end = [], 0
    for block in BLOCK.finditer(page):
        before(block)
        if block[1] == "console":
            lines = []
            for command, _ in commands(block[2]):
                lines += ["$ " + command[0], *("> " + more if more else ">" for more in command[1:])]
                lines += stage.run("\n".join(command))
            parts += [page[end : block.start(2)], "\n".join(lines) + "\n"]
            end = block.end(2)
    return "".join(parts) + page[end:]


def same(path, wanted, got):
    """Fails with the first difference, or writes the file where that is asked for."""
    if wanted == got:
        return
    if os.environ.get("UPDATE_TRANSCRIPTS"):
        with open(path, "w", encoding="utf-8") as file:
            file.write(got)
        return
    pairs = zip(wanted.splitlines() + ["(end)"], got.splitlines() + ["(end)"])
    number, (theirs, ours) = next((n, pair) for n, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    raise AssertionError(f"{os.path.basename(path)}:{number}\nthe page has {theirs}\nthe program has {ours}")
