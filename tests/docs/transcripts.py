"""Runs the commands that a page shows, and compares what they print with what the page says."""

import os
import re
import subprocess


def blocks(page):
    """Yields the indented code blocks of a page, without their indent."""
    block = []
    for line in [*page.splitlines(), ""]:
        inside = re.match(r"(?: {4}| {6})\S|(?: {4}).", line) and not re.match(r" {4}[-*] ", line)
        if inside:
            block.append(line)
            continue
        if block:
            indent = min(len(line) - len(line.lstrip()) for line in block)
            yield [line[indent:] for line in block]
        block = []


def commands(page):
    """Yields each command that a prompt stands before, with the lines that follow it."""
    for block in blocks(page):
        command, printed = None, []
        for line in [*block, "$ "]:
            if line.startswith("$ "):
                if command is not None:
                    yield command, printed
                command, printed = line[2:], []
            else:
                printed.append(line)


def unprompted(page, program):
    """Lines of code that run `program` and show no result, so that nothing of them would be compared."""
    return [line for block in blocks(page) for line in block if re.match(rf"(?:sudo )?{program}\b", line)]


def matches(told, printed):
    """Whether the lines are the same; `...` stands for any lines."""
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line) + r"\n" for line in told)
    return re.fullmatch(pattern, "".join(line + "\n" for line in printed)) is not None


class Shell:
    """Runs commands of a page against a daemon, and gives back what a reader of the page would see."""

    def __init__(self, daemon, files=None):
        self.daemon = daemon
        # Paths of the page, and those that stand for them here.
        self.files = files or {}
        self.programs = os.path.join(daemon.place.temp, "programs")
        os.makedirs(self.programs, exist_ok=True)
        for name, program in ("smcpd", daemon.place.smcpd), ("smcpctl", daemon.place.smcpctl):
            if not os.path.lexists(os.path.join(self.programs, name)):
                os.symlink(program, os.path.join(self.programs, name))

    def run(self, command, stdin=None, environment=None):
        for told, here in self.files.items():
            command = command.replace(told, here)
        variables = {**self.daemon.environment, **(environment or {})}
        variables["PATH"] = os.pathsep.join([self.programs, variables["PATH"]])
        return subprocess.run(
            ["sh", "-c", command], env=variables, cwd=self.daemon.directory, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
        )

    def shown(self, command):
        """What the page would show: its address, its paths."""
        text = self.run(command).stdout
        for here, told in (
            (self.daemon.address, "127.0.0.1:8000"),
            (os.path.realpath(self.daemon.place.smcpctl), "/usr/bin/smcpctl"),
            (self.daemon.directory, "/home/you"),
        ):
            text = text.replace(here, told)
        return text.splitlines()


def compare(shell, page):
    """Runs every command of the page that has a prompt; returns how many there were, and what differs."""
    found, wrong = 0, []
    for command, told in commands(page):
        found += 1
        printed = shell.shown(command)
        if not matches(told, printed):
            wrong.append("\n".join([f"$ {command}", *printed, "--- told:", *told]))
    return found, wrong
