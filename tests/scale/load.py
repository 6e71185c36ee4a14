"""Calls that go on while something happens to a daemon, and what became of each."""

import collections
import threading
import time

from clients import Alone, Lost, Over, Refused, Session, Stream

# How long one call runs.
WORK = 0.15
Call = collections.namedtuple("Call", "id kind sent done outcome said")


def on(proxy, name, opened):
    """Opens again until it is on this daemon: where the next one comes to is for the proxy to say."""
    for _ in range(40):
        one = opened()
        if proxy.instance(one.instance) == name:
            return one
        one.close()
    raise AssertionError(f"nothing comes to {name}")


class Load:
    """`with Load(proxy, fleet) as load` calls without a pause, by all three dialects."""

    # Distinct over the whole run: the ledger is one.
    number = 0

    def __init__(self, proxy, alone=4):
        self.proxy = proxy
        self.calls, self.lock, self.over = [], threading.Lock(), threading.Event()
        # Sessions that were unknown, or whose stream ended: their clients began again.
        self.begun_again = 0
        self.broken = []
        clients = [Alone(proxy.address) for _ in range(alone)]
        # One of each on each daemon, so that none of them is ever without.
        for kind in Session, Stream:
            clients += [on(proxy, name, lambda kind=kind: kind(proxy.address).open()) for name in "abc"]
        self.threads = [threading.Thread(target=self.work, args=(client,)) for client in clients]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(60)

    def id(self):
        with self.lock:
            Load.number += 1
            return f"call-{Load.number}"

    def work(self, client):
        try:
            while not self.over.is_set():
                self.one(client)
        except BaseException as error:  # noqa: BLE001
            self.broken.append(f"{client.kind}: {type(error).__name__}: {error}")
        finally:
            client.close()

    def one(self, client, seconds=WORK):
        name, sent, outcome, said = self.id(), time.monotonic(), "answered", None
        try:
            said = client.call("scale__work", {"id": name, "seconds": seconds})
        except Lost as error:
            outcome, said = "lost", str(error)
        except Refused as error:
            outcome, said = "refused", str(error)
        except Over:
            outcome = "over"
        with self.lock:
            self.begun_again += outcome == "over"
            self.calls.append(Call(name, client.kind, sent, time.monotonic(), outcome, said))

    def of(self, outcome):
        with self.lock:
            return [call for call in self.calls if call.outcome == outcome]

    def answered_by(self, name, since=0.0):
        return any(call.said == name and call.sent >= since for call in self.of("answered"))
