"""One pass of `execute`: makes what is due into deliveries, claims them one by one, sends them and records how it went."""

from letta import Failure

ATTEMPTS = 8
FIRST_WAIT = 30  # seconds; each further try waits twice as long
LONGEST_WAIT = 3600
DOUBT_WAIT = 300  # at least, where Letta may still be working on the message and not have kept it yet
SLACK = 60  # seconds that a claim outlasts the longest that its requests may take


def backoff(attempts, doubtful=False, wait=None):
    """Returns the seconds until the next try after so many. What Letta asks for is waited at least."""
    return max(min(FIRST_WAIT * 2 ** (attempts - 1), LONGEST_WAIT), DOUBT_WAIT if doubtful else 0, wait or 0)


def deliver(store, letta, clock, report, go_on=lambda: True):
    """Sends all that is due and returns the counts. `go_on` is asked before each delivery whether to begin it."""
    counts = {"delivered": 0, "retried": 0, "dead": 0}
    store.enqueue(int(clock()))
    while go_on():
        now = int(clock())
        delivery = store.claim(now, now + int(2 * letta.timeout) + SLACK)
        if delivery is None:
            break
        outcome = _attempt(store, letta, clock, delivery)
        counts[outcome] += 1
        report(sum(counts.values()), f"schedule {delivery['schedule_id']}: {outcome}")
    return counts


def _attempt(store, letta, clock, delivery):
    doubtful = delivery["doubtful"]
    try:
        if doubtful and letta.has(delivery["agent_id"], delivery["otid"]):
            store.settle(delivery, "delivered", int(clock()))
            return "delivered"
        if delivery["attempts"] > ATTEMPTS:
            # One look more than there are tries: the last one's end was not known.
            reason = delivery["error"] or "each try was interrupted"
            store.settle(delivery, "dead", int(clock()), reason, doubtful=doubtful)
            return "dead"
        doubtful = False
        letta.send(delivery["agent_id"], delivery["prompt"], delivery["otid"])
    except Failure as failure:
        return _failed(store, clock, delivery, failure, doubtful or failure.doubtful)
    store.settle(delivery, "delivered", int(clock()))
    return "delivered"


def _failed(store, clock, delivery, failure, doubtful):
    now = int(clock())
    if failure.again and delivery["attempts"] < ATTEMPTS + doubtful:
        try_at = now + backoff(delivery["attempts"], doubtful, failure.wait)
        store.settle(delivery, "waiting", now, str(failure), try_at, doubtful)
        return "retried"
    store.settle(delivery, "dead", now, str(failure), doubtful=doubtful)
    return "dead"
