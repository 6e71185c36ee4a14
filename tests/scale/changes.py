"""What is lost, and what is not, while a daemon is drained, killed or added, or has calls that wait."""

import collections
import http.client
import signal
import threading
import time

from checks import listening
from clients import Alone, Refused, Session, Stream
from fleet import state, wait
from load import Load, on

# Long enough that each daemon has calls in flight at any time.
A_WHILE = 1.2
# Longer than a proxy takes to see that a daemon is not well.
LONG = 2.5


def judge(load, fleet, may_be_lost=()):
    """Fails if a call was lost that may not be, or ran twice, or ran although it was refused."""
    assert not load.broken, load.broken
    began, _ = fleet.ran()
    twice = {call: names for call, names in began.items() if len(names) > 1}
    assert not twice, f"ran twice: {twice}"
    refused = [call for call in load.of("refused") + load.of("over") if call.id in began]
    assert not refused, f"ran although they were refused: {refused}"
    lost = load.of("lost")
    strange = [(call, began.get(call.id)) for call in lost if call not in may_be_lost]
    assert not strange, f"lost: {strange}"


def nothing_is_lost_on_a_daemon_that_is_drained(proxy):
    fleet = proxy.fleet
    daemon = fleet.daemons["b"]
    with Load(proxy) as load:
        time.sleep(A_WHILE)
        # Long ones, some of them on each daemon: a drain takes as long as what is in flight.
        long = [threading.Thread(target=load.one, args=(Alone(proxy.address), LONG)) for _ in range(6)]
        for thread in long:
            thread.start()
        time.sleep(0.3)
        asked = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        # Before the proxy has looked: some of them come to it, and are opened on another one.
        opened = [Stream(proxy.address).open() for _ in range(6)]
        assert daemon.process.wait(15) == 0, daemon.said()
        gone = time.monotonic()
        for thread in long:
            thread.join(30)
        for stream in opened:
            stream.close()
        time.sleep(A_WHILE / 2)
        assert not load.answered_by("b", since=gone)
        daemon.stop()
        daemon.start()
        back = time.monotonic()
        wait(10, "b is given calls again", lambda: load.answered_by("b", since=back))
    judge(load, fleet)
    during = [call for call in load.of("answered") if call.sent <= asked < call.done and call.said == "b"]
    assert any(call.done - call.sent > LONG for call in during), "no long call was in flight on it"
    assert gone - asked > LONG / 2, gone - asked
    # A stream of HTTP+SSE that is open stays open: what is still sent on it is refused in words. Nothing else is.
    refused = [call for call in load.of("refused") if call.kind != "HTTP+SSE" or "stopping" not in call.said]
    assert not refused, refused
    return (f"0 of {len(load.calls)} lost; {len(during)} in flight answered, "
            f"{len(load.of('refused'))} refused in words, {load.begun_again} sessions begun again")


def is_cut(events):
    """Whether a stream broke, and did not merely end."""
    try:
        events.answer.read()
    except (OSError, http.client.HTTPException):
        return True
    finally:
        events.close()
    return False


def of_a_daemon_that_is_killed_only_what_was_in_flight_is_lost(proxy):
    fleet = proxy.fleet
    listens = on(proxy, "c", lambda: listening(proxy.address))
    with Load(proxy) as load:
        time.sleep(A_WHILE)
        daemon = fleet.daemons["c"]
        killed = time.monotonic()
        daemon.process.kill()
        daemon.process.wait()
        # Until then the kernel takes connections for it.
        gone = time.monotonic()
        time.sleep(2 * A_WHILE)
    assert is_cut(listens), "a stream that broke looks as if it had ended"
    began, _ = fleet.ran()
    in_flight = [call for call in load.calls
                 if call.sent <= gone and killed < call.done and began.get(call.id, ["c"]) == ["c"]]
    judge(load, fleet, may_be_lost=in_flight)
    lost = load.of("lost")
    assert lost, "no call was in flight on it"
    assert not load.of("refused"), load.of("refused")
    assert {call.kind for call in load.of("answered") if call.sent > killed + 0.5} == {"2026-07-28", "Mcp-Session-Id",
                                                                                      "HTTP+SSE"}
    daemon.stop()
    daemon.start()
    return (f"{len(lost)} of {len(load.calls)} lost, all in flight on it; "
            f"{load.begun_again} sessions begun again")


def nothing_is_lost_as_one_is_added(proxy):
    fleet = proxy.fleet
    with Load(proxy) as load:
        time.sleep(A_WHILE)
        fleet.daemons["d"].start()
        proxy.add()
        wait(10, "the new one is given calls", lambda: load.answered_by("d"))
        time.sleep(A_WHILE)
        sessions = {Session(proxy.address).open().instance for _ in range(12)}
        assert "d" in sessions, sessions
    judge(load, fleet)
    assert not load.of("refused"), load.of("refused")
    assert load.begun_again == 0, "sessions did not outlive the reload"
    return f"0 of {len(load.calls)} lost, no session begun again"


def queue(proxy, name, and_then):
    """Nine calls of a tool that runs one at a time on each daemon; returns what became of them."""
    outcomes = collections.Counter()

    def one(call):
        try:
            Alone(proxy.address).call("scale__queued", {"id": call, "seconds": 0.3})
            outcomes["answered"] += 1
        except Refused as error:
            assert "the daemon is stopping" in str(error), error
            assert call not in proxy.fleet.ran()[0], call
            outcomes["refused"] += 1
        except Exception as error:  # noqa: BLE001
            outcomes[f"{type(error).__name__}: {error}"] += 1

    threads = [threading.Thread(target=one, args=(f"{name}-{number}",)) for number in range(9)]
    for thread in threads:
        thread.start()
    b = proxy.fleet.daemons["b"]
    wait(5, "calls wait on b", lambda: state(b)["calls"]["waiting"])
    and_then(b)
    b.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(30)
    assert b.process.wait(15) == 0, b.said()
    b.stop()
    assert outcomes["answered"] + outcomes["refused"] == 9, outcomes
    return outcomes["refused"]


def what_waits_in_a_queue_is_answered(proxy):
    at_once = queue(proxy, f"at-once-{proxy.name}", lambda daemon: None)
    proxy.fleet.up()
    proxy.well()

    def let_go(daemon):
        proxy.take_out()
        wait(10, "b has no call left", lambda: not any(state(daemon)["calls"][key] for key in ("running", "waiting")))

    before = queue(proxy, f"let-go-{proxy.name}", let_go)
    proxy.reload(lambda text: text)
    assert (at_once, before) == (0, 0), (at_once, before)
    return "of 9, none was refused, whether the daemon was stopped first or taken out of the proxy"


EACH = [
    nothing_is_lost_on_a_daemon_that_is_drained,
    of_a_daemon_that_is_killed_only_what_was_in_flight_is_lost,
]
# With what a proxy must be able to do for it.
SOME = [
    (nothing_is_lost_as_one_is_added, "add"),
    (what_waits_in_a_queue_is_answered, "take_out"),
]
