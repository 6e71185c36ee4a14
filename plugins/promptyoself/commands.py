"""What each command does with its arguments; the answer is what is printed."""

import ast
import json
import os
import re
import signal
import sqlite3
import sys
import threading
import time
from contextlib import closing

import when
from deliver import deliver
from errors import Refused
from letta import Failure, Letta
from store import Store

LONGEST_PROMPT = 100_000  # characters


def run(command, arguments):
    """Returns the answer of a command, or `{"error": …}`."""
    try:
        return RUN[command](**arguments)
    except (Refused, Failure) as error:
        return {"error": str(error)}
    except (sqlite3.Error, OSError) as error:
        return {"error": f"the schedules cannot be read or written: {error}; check SMCP_STATE_DIR and its disk"}


def _store():
    directory = os.environ.get("SMCP_STATE_DIR")
    if not directory:
        raise Refused("SMCP_STATE_DIR is not set: call through `smcpctl call promptyoself.…`, or set it to a directory")
    return closing(Store(directory))


def _text(name, value, longest):
    """Returns a text that is neither empty, nor too long, nor broken."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refused(f"--{name} is not UTF-8: send it as that") from None
    if not value.strip() or len(value) > longest:
        raise Refused(f"--{name} has {len(value)} characters: give 1 to {longest}, not all blank")
    return value


def _agent(agent_id):
    said = agent_id or os.environ.get("SMCP_AGENT_ID") or os.environ.get("LETTA_AGENT_ID")
    if not said:
        raise Refused("no agent is named: give --agent-id, have the client send X-Agent-Id, or set LETTA_AGENT_ID")
    # It becomes a part of an address.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_:-]{0,199}", said):
        raise Refused("that is no agent's id: `agents` lists them, as in `agent-0123…`")
    return said


def _schedule(row):
    zone = row["timezone"]
    shown = {"id": row["id"], "agent_id": row["agent_id"], "prompt": row["prompt"], "status": row["status"]}
    rule = {"once": "time", "cron": "cron", "every": "every"}[row["kind"]]
    shown[rule] = when.iso(int(row["rule"]), zone) if rule == "time" else row["rule"]
    if rule == "every":
        shown[rule] = when.said(int(row["rule"]))
    shown["timezone"] = zone
    for name in ("next_due", "start_at", "end_at", "created_at"):
        shown[name] = when.iso(row[name], zone)
    for name in ("repetitions", "max_repetitions", "created_by", "problem"):
        shown[name] = row[name]
    return {name: value for name, value in shown.items() if value is not None}


def _delivery(row):
    zone = row["timezone"]
    state = "retrying" if row["state"] == "waiting" and row["attempts"] else row["state"]
    shown = {"schedule_id": row["schedule_id"], "agent_id": row["agent_id"], "state": state, "attempts": row["attempts"]}
    shown["due"] = when.iso(row["due"], zone)
    shown["next_try"] = when.iso(row["try_at"], zone) if row["state"] == "waiting" else None
    shown["finished_at"] = when.iso(row["finished_at"], zone)
    shown["error"] = row["error"] if state != "delivered" else None
    shown["otid"] = row["otid"]
    if row["doubtful"]:
        shown["maybe_delivered"] = True
    return {name: value for name, value in shown.items() if value is not None}


def register(agent_id, prompt, time, cron, every, max_repetitions, start_at, end_at, timezone, skip_validation):
    now = _now()
    when.zone(timezone)
    agent_id, prompt = _agent(agent_id), _text("prompt", prompt, LONGEST_PROMPT)
    start = when.moment(start_at, timezone) if start_at is not None else None
    end = when.moment(end_at, timezone) if end_at is not None else None
    if time is not None:
        if start is not None or end is not None:
            raise Refused("--start-at and --end-at are for --cron and --every: leave them out with --time")
        kind, rule = "once", str(when.moment(time, timezone))
        if int(rule) <= now:
            raise Refused(f"--time {when.iso(int(rule), timezone)} is past: give a later one")
    elif cron is not None:
        kind, rule = "cron", " ".join(_text("cron", cron, 200).split())
    else:
        kind, rule = "every", str(when.interval(every))
    due = when.first_due(kind, rule, timezone, start, now)
    if due >= when.LATEST:
        raise Refused("the first time is after the year 9999: give an earlier one")
    if end is not None and due > end:
        raise Refused(f"it would never be due: the first time, {when.iso(due, timezone)}, is after --end-at")
    if not skip_validation:
        _exists(agent_id)
    schedule = {
        "agent_id": agent_id, "prompt": prompt, "kind": kind, "rule": rule, "timezone": timezone, "start_at": start,
        "end_at": end, "max_repetitions": max_repetitions, "next_due": due, "created_at": now,
        "created_by": os.environ.get("SMCP_CALLER"),
    }  # fmt: skip
    with _store() as store:
        return _schedule(store.schedule(store.add(schedule)))


def _exists(agent_id):
    try:
        Letta(os.environ).agent(agent_id)
    except Failure as failure:
        if failure.status == 404:
            raise Refused(f"Letta has no agent `{agent_id}`: `agents` lists those it has") from None
        raise Refused(f"{failure} (--skip-validation schedules without asking Letta)") from None


def list_schedules(agent_id, all):
    with _store() as store:
        return {"schedules": [_schedule(row) for row in store.schedules(agent_id, all)]}


def show(id):
    with _store() as store:
        return {**_schedule(store.schedule(id)), "deliveries": [_delivery(row) for row in store.history(id, 10)]}


def cancel(id):
    with _store() as store:
        changed, given_up = store.cancel(id, _now())
        return {**_schedule(store.schedule(id)), "changed": changed, "deliveries_given_up": given_up}


def execute(loop, interval):
    called = bool(os.environ.get("SMCP_CALL_ID"))
    if loop and called:
        raise Refused("--loop never ends, and a call has to: call without it, as smcp-promptyoself.timer does each minute")
    letta = Letta(os.environ)
    # A call may take 300 seconds; the last delivery that it begins has to end within them.
    until = time.monotonic() + max(1, 270 - letta.timeout)
    if not loop:
        return _round(letta, lambda: not called or time.monotonic() < until)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        # What is being sent ends first, and is recorded.
        signal.signal(name, lambda *_: stop.set())
    rounds = 0
    while not stop.is_set():
        try:
            answer = _round(letta, lambda: not stop.is_set())
        except (Refused, sqlite3.Error, OSError) as error:
            answer = {"error": str(error)}
        rounds += 1
        if "error" in answer or answer["delivered"] or answer["retried"] or answer["dead"] or answer["problems"]:
            print(json.dumps(answer), flush=True)
        stop.wait(interval)
    return {"rounds": rounds}


def _round(letta, go_on):
    def report(count, message):
        print(json.dumps({"progress": count, "message": message}), file=sys.stderr, flush=True)

    with _store() as store:
        counts = deliver(store, letta, time.time, report, go_on)
        counts["open"] = store.open_deliveries()
        counts["problems"] = [dict(row) for row in store.problems()]
        return counts


def test():
    letta = Letta(os.environ)
    version, status = letta.version()
    answer = {"reachable": True, "base_url": letta.base, "version": version, "status": status}
    # The health check needs no key; a list does.
    letta.request("GET", "/v1/agents/?limit=1")
    return {**answer, "authorized": True, "key_given": bool(letta.key)}


def agents():
    found, more = Letta(os.environ).agents()
    return {"agents": found, **({"more": True} if more else {})}


def history(id, limit):
    with _store() as store:
        if id is not None:
            store.schedule(id)
        return {"deliveries": [_delivery(row) for row in store.history(id, limit)]}


def upload(source_code, name, description):
    _text("source-code", source_code, LONGEST_PROMPT)
    try:
        tree = ast.parse(source_code)
    except (SyntaxError, ValueError) as error:
        raise Refused(f"--source-code is no Python: {error}; correct it") from None
    functions = [item.name for item in tree.body if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))]
    if not functions:
        raise Refused("--source-code has no function: give the tool as `def name(…):` with a docstring")
    # Letta names a tool after its function, and takes the last one.
    if name is not None and name != functions[-1]:
        raise Refused(f"the last function is called `{functions[-1]}`, not `{name}`: Letta names a tool after it, so rename one")
    tool = Letta(os.environ).upload(source_code, description)
    if not isinstance(tool, dict) or not tool.get("id"):
        raise Refused("Letta's answer has no tool in it: look in Letta whether it is there")
    return {"id": tool["id"], "name": tool.get("name")}


def _now():
    return int(time.time())


RUN = {
    "register": register, "list": list_schedules, "show": show, "cancel": cancel, "execute": execute, "test": test,
    "agents": agents, "history": history, "upload": upload,
}  # fmt: skip
