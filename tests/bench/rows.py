"""The ratio suite: each row, what it must be, and the verdict on what it is."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

import starts
import wire
from calls import Calls


@dataclass(frozen=True)
class Row:
    """`value` must be at most `must`, or at least where `more` is set; beyond `gross` a short run fails."""

    key: str
    what: str
    unit: str
    must: float
    aim: float | None = None
    gross: float | None = None
    more: bool = False
    # It measures warm workers: a daemon without them cannot meet it.
    warm: bool = False

    def meets(self, value, limit):
        return value >= limit if self.more else value <= limit

    def far(self, limit):
        """Twice as bad as the limit."""
        return limit / 2 if self.more else limit * 2


# The unit is what stands behind the value; "1/" turns a ratio round.
ROWS = [
    Row("warm_paced", "warm call, one each 50 ms, over a direct run", "1/", 1 / 10, 1 / 18, 1, warm=True),
    Row("warm_back_to_back", "warm calls back to back, over a direct run", "1/", 1 / 5, 1 / 8, 1, warm=True),
    Row("heavy_imports", "warm call of a plugin with 500 ms of imports, one each second, over a direct run", "1/",
        1 / 50, 1 / 100, 1.5, warm=True),
    Row("at_eight", "warm calls a second, 8 outstanding, over cold ones", "×", 7, 9, 1, more=True, warm=True),
    Row("processor", "CPU of a warm call, child included", "ms", 6, 4, 60, warm=True),
    Row("cold_call", "cold call without a sandbox, beyond a direct run", "ms", 1, None, 300),
    Row("held_call", "cold call in its sandbox, beyond a direct run", "ms", 4, None, 300),
    Row("ping", "`ping` on `/mcp`, server CPU over the bare handler's", "×", 1.5, 1.2, 5),
    Row("list_hundred", "`tools/list` of 100 tools, server CPU over the bare handler's", "×", 1.3, None, 5),
    Row("sse_ping", "`ping` over SSE, server CPU over the bare stub's", "×", 2.0, None, 6),
    Row("sse_list", "`tools/list` of 10 tools over SSE, server CPU over the bare stub's", "×", 1.97, None, 6),
    Row("memory", "held SSE session with its POST connection", "KiB", 50, 30, 500),
    Row("opening", "opening 1,000 SSE sessions, rate over the bare stub's", "×", 0.6, None, 0.1, more=True),
    Row("idle", "idle with 50 plugins, resident, without warm parents", "MiB", 10, 8, 60),
    Row("start_cached", "start to the first list, 50 plugins described before", "ms", 15, None, 300),
    Row("start_uncached", "start with 50 plugins, nothing cached, over one after another", "×", 0.5, None, 2),
    Row("under_load", "p99 of `ping` under load, over its unloaded p50", "×", 20, None, 2000),
    Row("misdelivered", "answers delivered to the wrong session", "", 0, 0, 0),
]


def measure(bench, wanted, tell):
    """Yields what was measured for each row; `tell` hears of each as it begins."""
    found = {}

    def take(key, measured):
        if wanted and key not in wanted:
            return
        tell(key)
        began = time.monotonic()
        found[key] = {**measured(), "took_s": round(time.monotonic() - began, 1)}

    groups = [
        (Calls, [("warm_paced", Calls.paced), ("warm_back_to_back", Calls.back_to_back),
                 ("heavy_imports", Calls.heavy_imports), ("at_eight", Calls.at_eight),
                 ("processor", Calls.processor), ("cold_call", Calls.cold_call),
                 ("held_call", Calls.held_call)]),
        (wire.Wire, [("ping", wire.Wire.ping), ("list_hundred", wire.Wire.list_hundred),
                     ("sse_ping", wire.Wire.sse_ping), ("sse_list", wire.Wire.sse_list)]),
    ]
    for group, members in groups:
        if wanted and not wanted & {key for key, _ in members}:
            continue
        with contextlib.closing(group(bench)) as subject:
            for key, measured in members:
                take(key, lambda measured=measured, subject=subject: measured(subject))
    for key, measured in [
        ("memory", wire.memory), ("opening", wire.opening), ("idle", starts.idle), ("start_cached", starts.cached),
        ("start_uncached", starts.uncached), ("under_load", wire.under_load), ("misdelivered", wire.crossed),
    ]:
        take(key, lambda measured=measured: measured(bench))
    return [judge(row, found[row.key], bench.has_warm) for row in ROWS if row.key in found]


def judge(row, details, has_warm):
    """What a run keeps of a row. `must` may be what the measurement itself allows."""
    value = details.pop("value")
    must = details.pop("must", row.must)
    if row.warm and not has_warm:
        verdict = "no warm workers"
    elif row.aim is not None and row.meets(value, row.aim):
        verdict = "aim"
    elif row.meets(value, must):
        verdict = "must"
    else:
        verdict = "missed" if row.meets(value, row.far(must)) else "far"
    details.pop("all_ms", None)
    kept = {name: rounded(detail) for name, detail in details.items()}
    return {
        "key": row.key, "what": row.what, "unit": row.unit, "more": row.more, "value": rounded(value),
        "must": rounded(must), "aim": rounded(row.aim), "verdict": verdict, "details": kept,
    }


def rounded(value):
    """Four digits are more than any measurement here has."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def gross(found):
    """Of a short run: what cannot be the machine's mood."""
    rows = {row.key: row for row in ROWS}
    return [
        one for one in found
        if one["verdict"] != "no warm workers" and not rows[one["key"]].meets(one["value"], rows[one["key"]].gross)
    ]


def shown(value, unit):
    """A value as a person reads it."""
    if value is None:
        return ""
    if unit == "1/":
        return f"1/{1 / value:.1f}".removesuffix(".0") if value < 1 else f"{value:.2f}"
    digits = 0 if value == int(value) else 2 if value < 10 else 1
    return f"{value:.{digits}f} {unit}".rstrip()
