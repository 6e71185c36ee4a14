"""systemd, as far as an app's units go: through `systemctl` and `journalctl`, without a password asked."""

import shutil

from running import must, run, said
from trouble import Trouble

PROPERTIES = ("LoadState", "ActiveState", "SubState", "MainPID", "NRestarts", "ActiveEnterTimestamp")
# A log is an answer of a tool, not a download.
LOG_BYTES = 256 * 1024


def control(verb, units, timeout, variables):
    """Starts, stops or restarts units, together."""
    if not units:
        return
    if not shutil.which("systemctl"):
        raise Trouble(f"cannot {verb} {', '.join(units)}: there is no `systemctl` here")
    ask = ("systemctl", "--no-ask-password")

    def tell():
        must((*ask, verb, "--", *units), timeout, f"cannot {verb} {', '.join(units)}", variables=variables)

    try:
        tell()
    except Trouble as error:
        # systemd starts no unit that was started often in a short time, as a release is that does not come up. What ran
        # before has to come back all the same.
        if verb != "restart" or "reset-failed" not in str(error):
            raise
        must((*ask, "reset-failed", "--", *units), timeout, f"{error}; and then", variables=variables)
        tell()


def parse(text):
    """Returns what `systemctl show` printed, as a mapping."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def state(unit):
    """Returns the state of a unit, or why it cannot be told."""
    if not shutil.which("systemctl"):
        return {"unit": unit, "state": None, "note": "there is no `systemctl` here"}
    try:
        done = run(("systemctl", "show", "--property=" + ",".join(PROPERTIES), "--", unit), 10)
    except Trouble as error:
        return {"unit": unit, "state": None, "note": str(error)}
    if done.status:
        return {"unit": unit, "state": None, "note": f"systemctl ended with {done.status}{said(done.output)}"}
    found = parse(done.output)
    answer = {"unit": unit, "state": found.get("ActiveState"), "substate": found.get("SubState")}
    if found.get("LoadState") not in (None, "loaded"):
        answer["note"] = f"the unit is {found['LoadState']}"
    if found.get("MainPID", "0").isdigit() and int(found.get("MainPID", "0")):
        answer["pid"] = int(found["MainPID"])
    if found.get("ActiveEnterTimestamp"):
        answer["since"] = found["ActiveEnterTimestamp"]
    if found.get("NRestarts", "").isdigit():
        answer["restarts"] = int(found["NRestarts"])
    return answer


def broken(state):
    """Returns why a unit in such a state cannot be healthy, or None."""
    if state["state"] == "failed":
        return f"{state['unit']} failed"
    if state.get("substate") == "auto-restart":
        return f"{state['unit']} ended and waits to be started again"
    return None


def read_log(units, lines):
    """Returns the last lines of the journal of these units."""
    if not shutil.which("journalctl"):
        raise Trouble("there is no `journalctl` here: this host has no journal to read")
    argv = ["journalctl", "--quiet", "--no-pager", "--output=cat", f"--lines={lines}", *(f"--unit={unit}" for unit in units)]
    done = run(argv, 30, keep=LOG_BYTES)
    if done.status:
        hint = "; the user who runs the plugin has to be in the group `systemd-journal`"
        raise Trouble(f"journalctl ended with {done.status}{said(done.output)}{hint}")
    return done.output.splitlines(), done.cut
