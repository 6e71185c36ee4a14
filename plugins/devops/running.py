"""Programs that the plugin starts: bounded in time and output, ended with all they started."""

import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass

from trouble import Trouble

# In the environment of every program that an operation starts, so that what outlived a killed one can be found.
MARK = "DEVOPS_OPERATION"


@dataclass(frozen=True)
class Done:
    status: int
    output: str
    # Output that was longer than is kept has lost its beginning.
    cut: bool = False


def run(argv, timeout, cwd=None, variables=None, keep=8192, quiet_errors=False):
    """Runs a program to its end and returns its status and the end of its output.

    A program over its time is killed with its whole group, and that is a `Trouble`. Whatever stops the caller kills it too.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env={**os.environ, **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet_errors else subprocess.STDOUT,
            # A group of its own, which a time-out can end as a whole.
            start_new_session=True,
        )
    except OSError as error:
        raise Trouble(f"cannot start `{argv[0]}`: {error.strerror or error}")
    try:
        return collect(process, argv, time.monotonic() + timeout, timeout, keep)
    except BaseException:
        kill_group(process)
        raise
    finally:
        process.stdout.close()


def collect(process, argv, deadline, timeout, keep):
    kept, total, pipe = b"", 0, process.stdout.fileno()
    ended_at = None
    while True:
        now = time.monotonic()
        if now >= deadline:
            raise Trouble(f"`{' '.join(argv)}` took longer than {timeout:g} s and was killed{said(kept)}")
        # A daemon that a hook left behind may hold the pipe open for ever.
        if ended_at is None and process.poll() is not None:
            ended_at = now
        if ended_at is not None and now - ended_at > 0.5:
            break
        if select.select([pipe], [], [], min(0.05, deadline - now))[0]:
            chunk = os.read(pipe, 65536)
            if not chunk:
                break
            total += len(chunk)
            kept = (kept + chunk)[-keep:]
    try:
        status = process.wait(max(0.01, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise Trouble(f"`{' '.join(argv)}` took longer than {timeout:g} s and was killed{said(kept)}")
    return Done(status, kept.decode("utf-8", "replace"), total > keep)


def kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def said(output):
    """Returns the end of an output, as it goes behind an error."""
    text = output if isinstance(output, str) else output.decode("utf-8", "replace")
    tail = text.strip()[-600:]
    return f"; it said: {tail}" if tail else ""


def must(argv, timeout, what, **options):
    """Runs a program that has to succeed."""
    done = run(argv, timeout, **options)
    if done.status:
        how = f"ended with {done.status}" if done.status > 0 else f"was killed by signal {-done.status}"
        raise Trouble(f"{what}: `{' '.join(argv)}` {how}{said(done.output)}")
    return done


def end_leftovers(operation, patience=5):
    """Kills what a killed operation left running, and returns how many processes that were."""
    mark = f"{MARK}={operation}".encode()
    killed, deadline = set(), time.monotonic() + patience
    while time.monotonic() < deadline:
        found = [pid for pid in processes() if pid != os.getpid() and mark in environment(pid)]
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            except (ProcessLookupError, PermissionError):
                pass
        if not found:
            return len(killed)
        time.sleep(0.02)
    raise Trouble("processes of an operation that was killed do not end; see `ps` for what they wait for")


def processes():
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def environment(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            # A process that has ended but was not reaped has none.
            return file.read().split(b"\0")
    except OSError:
        return []


def start_time(pid):
    """Returns when a process started, in the kernel's ticks: with the pid it names one process for ever."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None
