"""The rows about messages: what the daemon itself costs, beside a server that checks nothing."""

import processes
import subjects
from bench import DEMO, ECHO, Bench, by_turns, median, percentile, settle
from driver import Failed


def listed(daemon):
    return daemon.ask("tools/list")["result"]


class Wire:
    """A daemon that lists 100 tools and one that lists 10, each with a bare server that has the same list."""

    def __init__(self, bench: Bench):
        self.bench = bench
        self.hundred = bench.daemon({"many": subjects.many(bench.temp, 100)})
        self.ten = bench.daemon({"many": subjects.many(bench.temp, 10)})
        for daemon, tools in (self.hundred, 100), (self.ten, 10):
            found = len(listed(daemon)["tools"])
            assert found == tools, f"{found} tools are listed"
        self.bare_hundred, self.bare_hundred_pid = bench.bare(listed(self.hundred))
        self.bare_ten, self.bare_ten_pid = bench.bare(listed(self.ten))
        bench.open("hundred", self.hundred)
        bench.open("bare_hundred", self.bare_hundred)
        for transport in "session", "sse":
            bench.open(f"ten_{transport}", self.ten, transport)
            bench.open(f"bare_ten_{transport}", self.bare_ten, transport)

    def beside(self, name, pid, bare, bare_pid, method):
        """The server's CPU of one request, over the bare server's."""
        count = self.bench.count(500, 200)
        for one in name, bare:
            self.bench.driver.run(one, method, None, 200)
        ours, theirs = by_turns(
            self.bench.samples,
            lambda: self.bench.cost(name, pid, method, None, count),
            lambda: self.bench.cost(bare, bare_pid, method, None, count),
        )
        cpu, bare_cpu = median([cost for cost, _ in ours]), median([cost for cost, _ in theirs])
        latency, bare_latency = (median(sum([ms for _, ms in side], [])) for side in (ours, theirs))
        return {"value": cpu / bare_cpu, "us": cpu, "bare_us": bare_cpu, "p50_ms": latency, "bare_p50_ms": bare_latency}

    def ping(self):
        return self.beside("ten_session", self.ten.pid, "bare_ten_session", self.bare_ten_pid, "ping")

    def list_hundred(self):
        return self.beside("hundred", self.hundred.pid, "bare_hundred", self.bare_hundred_pid, "tools/list")

    def sse_ping(self):
        return self.beside("ten_sse", self.ten.pid, "bare_ten_sse", self.bare_ten_pid, "ping")

    def sse_list(self):
        return self.beside("ten_sse", self.ten.pid, "bare_ten_sse", self.bare_ten_pid, "tools/list")

    def close(self):
        self.bench.close(
            "hundred", "bare_hundred", "ten_session", "ten_sse", "bare_ten_session", "bare_ten_sse",
        )
        self.hundred.stop()
        self.ten.stop()


def opening(bench):
    """Sessions of HTTP+SSE opened a second, a thousand at a time."""
    daemon = bench.daemon()
    bare, _ = bench.bare({"tools": []})

    def rate(url):
        def measure():
            taken = bench.driver.order(do="hold", name="held", url=url + "/sse", count=1000, at_once=8, greet=False)
            bench.close("held")
            settle(0.1)
            return 1000 / taken["seconds"]
        return measure

    ours, theirs = map(median, by_turns(bench.samples, rate(daemon.url), rate(bare)))
    daemon.stop()
    return {"value": ours / theirs, "per_s": ours, "bare_per_s": theirs}


def held(bench, url, pid, sessions):
    """KiB of a session, each with its stream and a connection that `initialize` came over."""
    before = processes.resident(pid)
    bench.driver.order(do="hold", name="held", url=url + "/sse", count=sessions, at_once=8, greet=True)
    settle(0.2)
    after = processes.resident(pid)
    bench.close("held")
    return (after - before) / sessions


def memory(bench):
    """Each sample is of a thousand sessions of a fresh server, for memory that was used once is not given back."""
    ours, theirs = [], []
    for _ in range(bench.count(5, 1)):
        daemon = bench.daemon()
        ours.append(held(bench, daemon.url, daemon.pid, 1000))
        daemon.stop()
        theirs.append(held(bench, *bench.bare({"tools": []}), 1000))
    return {"value": median(ours), "bare_kib": median(theirs)}


def under_load(bench):
    """`ping` while eight calls at a time keep both cores busy and a plugin writes as fast as it can."""
    links = {"demo_text": DEMO, "flood": subjects.flood(bench.temp)}
    daemon = bench.daemon(links, execution='serialize = "none"')
    bare, _ = bench.bare({"tools": []})
    bench.open("quiet", daemon)
    bench.open("bare", bare)
    count = bench.count(1000, 200)
    unloaded = median(bench.driver.run("quiet", "ping", None, count, 2)["ms"])
    callers, flooder = bench.client(), bench.client()
    callers.open("calls", "session", daemon.url + "/mcp", 8)
    flooder.open("flood", "session", daemon.url + "/mcp", 1)
    rounds, of_bare, calls = [], [], 0
    for _ in range(bench.count(5, 1)):
        # Enough for longer than the pings take.
        amount = bench.count(4000, 1500) if bench.has_warm else bench.count(300, 60)
        pour = {"name": "flood__pour", "arguments": {}}
        flooder.send(do="run", name="flood", work={"method": "tools/call", "params": pour, "count": bench.count(3, 1)})
        callers.send(do="run", name="calls", work={"method": "tools/call", "params": ECHO, "count": amount})
        settle(0.2)
        rounds.append(percentile(bench.driver.run("quiet", "ping", None, count // 2, 2)["ms"], 0.99))
        of_bare.append(percentile(bench.driver.run("bare", "ping", None, count // 2, 2)["ms"], 0.99))
        if callers.has_said():
            raise Failed("the calls were over before the pings: what was measured had no load")
        bench.driver.judged(callers.receive(), amount)
        calls += amount
        flooder.receive()
    bench.close("quiet", "bare")
    daemon.stop()
    p99 = median(rounds)
    return {
        # Nobody is quicker than a server that does nothing else, in the same load.
        "value": p99 / unloaded, "must": max(20, 1.25 * median(of_bare) / unloaded), "unloaded_p50_ms": unloaded, "p99_ms": p99, "bare_p99_ms": median(of_bare), "calls": calls,
    }


def crossed(bench):
    """Many sessions at once over every transport, each call with a text of its own: does any get another's answer?"""
    daemon = bench.daemon(execution='serialize = "none"')
    before = bench.driver.answers
    for transport in "session", "stateless", "direct", "sse":
        name = bench.open(f"crossed_{transport}", daemon, transport, 32)
        if transport in ("session", "sse"):
            bench.driver.run(name, "ping", None, bench.count(6400, 1600))
        bench.driver.run(name, "tools/list", None, bench.count(3200, 640))
        bench.driver.run(name, "tools/call", ECHO, bench.count(320, 16))
        bench.close(name)
    daemon.stop()
    # Whatever the other rows asked counts too.
    return {"value": bench.driver.misdelivered, "answers": bench.driver.answers, "crossed": bench.driver.answers - before}
