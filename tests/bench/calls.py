"""The rows about tool calls: what an interpreter's start costs, and what is left of it."""

import processes
import subjects
from bench import DEMO, ECHO, by_turns, median, settle

ECHO_WORDS = ("echo", "--message=hello")


class Calls:
    """Daemons side by side: one that keeps workers warm, where it can, one that starts each call cold, and one that holds
    none of its calls."""

    def __init__(self, bench):
        self.bench = bench
        # One daemon has the plugin with the slow imports too, so that nothing else is started in a row of calls.
        self.heavy = subjects.heavy(bench.temp, 0.5)
        links = {"demo_text": DEMO, "heavy": self.heavy}
        self.warm = bench.daemon(links, warm="spare", execution='serialize = "none"')
        self.cold = bench.daemon(links, warm="off", execution='serialize = "none"')
        self.loose = bench.daemon(links, warm="off", sandbox="off")
        self.direct = bench.direct_run(DEMO, *ECHO_WORDS)
        for name, daemon in ("warm", self.warm), ("cold", self.cold), ("loose", self.loose):
            bench.open(name, daemon)
            bench.open(f"{name}8", daemon, connections=8)
        url, _ = bench.bare({"tools": []}, bench.direct_run(DEMO, ECHO_WORDS[0]))
        bench.open("bare", url)
        bench.driver.run("warm", "tools/call", ECHO, 5)
        settle(1)

    def call(self, name, count=1, pause_ms=0, params=ECHO):
        return self.bench.driver.run(name, "tools/call", params, count, pause_ms)

    def against_direct(self, name, pause_ms, block, *beside):
        """The medians of direct runs and of calls by this name, and by each of those beside, in ms, in blocks that take
        turns."""
        def directly():
            return self.bench.driver.execute(self.direct, block)

        def called(name):
            # Whatever the direct runs displaced comes back first.
            settle(0.1)
            return self.call(name, block, pause_ms)["ms"]

        sides = [directly] + [lambda name=name: called(name) for name in (*beside, name)]
        *others, calls = [sum(side, []) for side in by_turns(self.bench.samples, *sides)]
        medians = zip(("direct", *beside, "call"), map(median, (*others, calls)))
        return {**{f"{key}_ms": value for key, value in medians}, "all_ms": calls}

    def over_direct(self, pause_ms, block):
        found = self.against_direct("warm", pause_ms, block)
        return {**found, "value": found["call_ms"] / found["direct_ms"]}

    def beyond_direct(self, name, *beside):
        found = self.against_direct(name, 0, self.bench.count(8, 4), *beside)
        return {**found, "value": found["call_ms"] - found["direct_ms"]}

    def paced(self):
        return self.over_direct(50, 4)

    def back_to_back(self):
        return self.over_direct(0, self.bench.count(8, 4))

    def cold_call(self):
        """The bare server runs the same program for a call, and checks nothing."""
        found = self.beyond_direct("loose", "bare")
        return {**found, "must": max(1.0, 0.03 * found["direct_ms"])}

    def held_call(self):
        return self.beyond_direct("cold")

    def heavy_imports(self):
        params = {"name": "heavy__echo", "arguments": {"message": "@@"}}
        program = self.bench.direct_run(self.heavy, *ECHO_WORDS)
        # The first call starts what is kept.
        self.call("warm", 1, 0, params)
        samples = self.bench.count(30, 2)
        settle(1.5)
        calls = self.call("warm", samples, 1000, params)["ms"]
        direct = self.bench.driver.execute(program, self.bench.count(15, 1), 100)
        return {"value": median(calls) / median(direct), "direct_ms": median(direct), "call_ms": median(calls)}

    def at_eight(self):
        """Calls a second, eight at a time."""
        many, few = self.bench.count(128, 64), self.bench.count(32, 16)
        self.call("warm8", 16)
        rates = by_turns(
            self.bench.count(30, 2),
            lambda: many / self.call("warm8", many)["seconds"],
            lambda: few / self.call("cold8", few)["seconds"],
        )
        warm, cold = map(median, rates)
        return {"value": warm / cold, "warm_per_s": warm, "cold_per_s": cold}

    def processor(self):
        """CPU of a call, of the daemon and of all that it started, those that were reaped among them."""
        def side(name, daemon, count):
            def measure():
                before = processes.tree_cpu(daemon.pid)
                self.call(name, count)
                # What is made ready for the next call is part of the cost.
                settle(0.3)
                return (processes.tree_cpu(daemon.pid) - before) * 1e3 / count
            return measure

        warmly = side("warm", self.warm, self.bench.count(50, 20))
        coldly = side("cold", self.cold, self.bench.count(15, 8))
        warm, cold = by_turns(self.bench.count(30, 2), warmly, coldly)
        return {"value": median(warm), "cold_ms": median(cold)}

    def close(self):
        self.bench.close("warm", "warm8", "cold", "cold8", "loose", "loose8", "bare")
        self.warm.stop()
        self.cold.stop()
        self.loose.stop()
