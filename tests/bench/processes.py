"""What processes use: the CPU of a tree, and memory."""

import glob
import os
import time

TICK = os.sysconf("SC_CLK_TCK")


def _fields(pid):
    """The fields of /proc/PID/stat behind the name, or None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def tree(root):
    """The process and all that descend from it."""
    children = {}
    for path in glob.glob("/proc/[0-9]*"):
        pid = int(path.rpartition("/")[2])
        if fields := _fields(pid):
            children.setdefault(int(fields[1]), []).append(pid)
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def cpu(pid):
    """Seconds of CPU of one process and its threads, to the nanosecond."""
    # The clock of a process, as clock_getcpuclockid(3) makes it.
    return time.clock_gettime((~pid << 3) | 2)


def tree_cpu(root):
    """Seconds of CPU of a tree: what lives by its clocks, and what was reaped by the ticks of who reaped it."""
    total = 0.0
    for pid in tree(root):
        fields = _fields(pid)
        if fields is None:
            continue
        try:
            total += cpu(pid) + (int(fields[13]) + int(fields[14])) / TICK
        except OSError:
            pass
    return total


def resident(pid):
    """KiB of memory of one process that are resident."""
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise ValueError(f"process {pid} has no memory")


def tree_resident(root):
    """KiB of a tree, each shared page counted by its share."""
    total = 0
    for pid in tree(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except OSError:
            pass
    return total
