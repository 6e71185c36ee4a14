"""What the charts show: each transport, latency of a call, throughput, memory and start, over their range."""

import os
import subprocess
import time

import peers as others
import starts
import subjects
import wire
from bench import DEMO, ECHO, by_turns, median, percentile, settle

LISTED = {"tools": []}


def transports(bench):
    """`ping`, `tools/list` of 10 tools and a call over each door: the median in ms, and the daemon's CPU in µs."""
    links = {"demo_text": DEMO, "many": subjects.many(os.path.join(bench.temp, "t"), 6)}
    daemon = bench.daemon(links)
    doors = [("session", "Streamable HTTP, session"), ("stateless", "Streamable HTTP, 2026-07-28"), ("sse", "HTTP+SSE"),
             ("direct", "direct mode")]
    found = []
    for transport, what in doors:
        bench.open("door", daemon, transport)
        # What every request of 2026-07-28 may ask instead.
        ping = "server/discover" if transport == "stateless" else "ping"
        found.append({"transport": transport, "what": what, **asked(bench, "door", daemon.pid, ping)})
        bench.close("door")
    daemon.stop()
    arguments = [bench.smcpd, "--stdio", "--config", daemon.config, "--plugins-dir", daemon.plugins]
    program = {"argv": arguments, "directory": daemon.directory, "environment": daemon.environment}
    pid = bench.driver.order(do="open_stdio", name="door", program=program, outstanding=1)["pid"]
    found.append({"transport": "stdio", "what": "stdio", **asked(bench, "door", pid, "ping")})
    bench.close("door")
    return found


def asked(bench, name, pid, ping):
    count = bench.count(500, 100)
    kept = {}
    for key, method in ("ping", ping), ("list", "tools/list"):
        bench.driver.run(name, method, None, 50)
        samples = [bench.cost(name, pid, method, None, count) for _ in range(bench.count(10, 2))]
        kept[f"{key}_us"] = median([cost for cost, _ in samples])
        kept[f"{key}_ms"] = median(sum([ms for _, ms in samples], []))
    bench.driver.run(name, "tools/call", ECHO, 2)
    settle(0.5)
    kept["call_ms"] = median(bench.driver.run(name, "tools/call", ECHO, bench.count(40, 6), 50)["ms"])
    return kept


def by_smcpctl(bench):
    """A call from a shell over call.sock: the whole of `smcpctl call`, from its start to its end."""
    if not os.path.exists(bench.smcpctl):
        return None
    daemon = bench.daemon()
    argv = [bench.smcpctl, "call", "demo_text.echo", "message=hello", "--quiet"]
    done = subprocess.run(argv, env=daemon.environment, cwd=daemon.directory, capture_output=True, timeout=60)
    if done.returncode:
        raise SystemExit(f"smcpctl: {done.stderr.decode()}")
    settle(0.5)
    program = {"argv": argv, "directory": daemon.directory, "environment": daemon.environment}
    taken = bench.driver.execute(program, bench.count(30, 5), 50)
    daemon.stop()
    return {"transport": "call.sock", "what": "`smcpctl call`, call.sock", "call_ms": median(taken)}


def latency(bench, peers):
    """A call of the same plugin by each way there is, one each 50 ms: median and p99 in ms."""
    program = bench.direct_run(DEMO, "echo", "--message=hello")
    ways = [("direct", "direct run", None, None)]
    ways += [("cold", "smcpd, cold", "off", ECHO)]
    if bench.has_warm:
        ways += [("fork", "smcpd, forked", "fork", ECHO), ("spare", "smcpd, spare", "spare", ECHO)]
    sides = [lambda: bench.driver.execute(program, 4, 50)]
    daemons = []
    for key, _, warm, params in ways[1:]:
        daemon = bench.daemon(warm=warm)
        daemons.append(daemon)
        bench.open(key, daemon)
        bench.driver.run(key, "tools/call", params, 3)
        sides.append(lambda key=key: bench.driver.run(key, "tools/call", ECHO, 4, 50)["ms"])
    for index, peer in enumerate(peers):
        if peer["tool"]:
            key = f"peer{index}"
            bench.driver.open(key, peer["transport"], peer["url"])
            params = {"name": peer["tool"], "arguments": {"message": "@@"}}
            ways.append((key, peer["name"], None, params))
            sides.append(lambda key=key, params=params: bench.driver.run(key, "tools/call", params, 4, 50)["ms"])
    settle(1)
    taken = [sum(one, []) for one in by_turns(bench.samples, *sides)]
    bench.close(*[way[0] for way in ways[1:]])
    for daemon in daemons:
        daemon.stop()
    return [
        {"key": way[0], "what": way[1], "p50_ms": median(values), "p99_ms": percentile(values, 0.99)}
        for way, values in zip(ways, taken)
    ]


def throughput(bench, peers):
    """Calls a second by how many are outstanding."""
    lines = [("cold", "smcpd, cold", "off")] + ([("spare", "smcpd, warm", "spare")] if bench.has_warm else [])
    series, daemons = [], {}
    for key, what, warm in lines:
        daemons[key] = bench.daemon(warm=warm, execution='serialize = "none"')
        series.append({"key": key, "what": what, "points": []})
    for index, peer in enumerate(peers):
        if peer["tool"] and not peer.get("calls_only"):
            series.append({"key": f"peer{index}", "what": peer["name"], "points": []})
    for outstanding in 1, 2, 4, 8, 16, 32:
        bursts = []
        for one in series:
            if one["key"] in daemons:
                bench.open(one["key"], daemons[one["key"]], connections=outstanding)
                params = ECHO
            else:
                peer = peers[int(one["key"].removeprefix("peer"))]
                bench.driver.open(one["key"], peer["transport"], peer["url"], outstanding)
                params = {"name": peer["tool"], "arguments": {"message": "@@"}}
            bursts.append(burst(bench, one["key"], params, 128 if one["key"] == "spare" else 32))
            bench.driver.run(one["key"], "tools/call", params, outstanding)
        for one, rates in zip(series, by_turns(5, *bursts)):
            one["points"].append([outstanding, median(rates)])
        bench.close(*[one["key"] for one in series])
    for daemon in daemons.values():
        daemon.stop()
    return series


def burst(bench, name, params, amount):
    return lambda: amount / bench.driver.run(name, "tools/call", params, amount)["seconds"]


def memory(bench):
    """MiB of a server by the sessions of HTTP+SSE that it holds."""
    series = [{"key": "smcpd", "what": "smcpd", "points": []}, {"key": "bare", "what": "bare server", "points": []}]
    for sessions in 100, 300, 1000, 3000:
        for one in series:
            if one["key"] == "smcpd":
                daemon = bench.daemon()
                url, pid = daemon.url, daemon.pid
            else:
                daemon, (url, pid) = None, bench.bare(LISTED)
            kib = wire.held(bench, url, pid, sessions)
            one["points"].append([sessions, kib * sessions / 1024])
            if daemon:
                daemon.stop()
    return series


def start(bench):
    """ms to the first whole list, by the plugins."""
    keys = [("cached", "described before"), ("uncached", "nothing cached"), ("alone", "one program after another")]
    series = [{"key": key, "what": what, "points": []} for key, what in keys]
    for plugins in 1, 10, 50, 100, 200:
        subject = starts.Starts(bench, plugins, f"curve-{plugins}")
        sides = [subject.start_anew, subject.start, subject.one_after_another]
        anew, cached, alone = map(median, by_turns(3, *sides))
        for one, value in zip(series, (cached, anew, alone)):
            one["points"].append([plugins, value])
    return series


def all_of(bench, given, tell):
    """Everything that the charts and the tables of the page show, beside the rows."""
    found = {}
    steps = [
        ("peers", lambda: others.measure(bench, given) if given else []),
        ("transports", lambda: transports(bench) + [one for one in [by_smcpctl(bench)] if one]),
        ("latency", lambda: latency(bench, given)),
        ("throughput", lambda: throughput(bench, given)),
        ("memory", lambda: memory(bench)),
        ("start", lambda: start(bench)),
    ]
    for key, measured in steps:
        tell(key)
        began = time.monotonic()
        found[key] = measured()
        tell(f"{key} took {time.monotonic() - began:.0f} s")
    return found
