"""How an operation ends: written down as done, or taken back, at once or by whoever comes after a kill."""

import health
import units
from place import now
from running import MARK, end_leftovers
from trouble import Trouble

# Until these are done, nothing that runs has changed.
PREPARE = ("fetch", "shared", "build", "migrate")
UNDO = "undo"


def recover(config, place, report):
    """Ends what an operation that was killed had begun. The lock is held, so it does not run any more."""
    journal = place.journal()
    if journal is None:
        return {}
    step = journal["step"]
    report.note(f"a {journal['action']} was killed at {step}; ending it first")
    end_leftovers(journal["operation"])
    if step == "finish":
        finish(settings_of(config, place.app, journal["environment"]), place, journal)
        return {"recovered": {"action": journal["action"], "killed_at": step, "runs": place.current()}}
    # What comes back is restarted and checked as its own environment says.
    before = place.record(journal["previous"]).get("environment") if journal["previous"] else journal["environment"]
    undone = undo(settings_of(config, place.app, before), place, journal, report)
    return {"recovered": {"action": journal["action"], "killed_at": step, **undone}}


def undo(settings, place, journal, report):
    """Takes back an operation that failed or was killed, as far as it came; may itself be killed and done again."""
    before = journal["previous"]
    failed = journal.setdefault("failed", journal["step"])
    untouched = failed in PREPARE or (failed == "switch" and place.current() == before)
    answer = {"step": failed, "runs": before, "rolled_back": not untouched}
    if not untouched:
        journal["step"] = UNDO
        place.write_journal(journal)
        report.note(f"going back to {before or 'no release'}")
        place.switch(before)
        try:
            variables = surroundings(settings, journal)
            if before:
                units.control("restart", settings.units, settings.restart_timeout, variables)
                answer["health"] = health.wait(settings, place.release(before), variables, report.note)
            else:
                units.control("stop", settings.units, settings.restart_timeout, variables)
        except (Trouble, OSError) as error:
            answer["problem"] = str(error)
    if journal["action"] == "deploy":
        place.discard(journal["release"])
    place.remember(entry(journal, "failed", step=failed, error=journal.get("error", "it was killed")))
    place.close_journal()
    return answer


def words(undone):
    """Returns how things stand after something was taken back."""
    runs = f"{undone['runs']} runs" if undone["runs"] else "no release runs"
    if not undone["rolled_back"]:
        return f"{runs}, as before" if undone["runs"] else "nothing was changed"
    if undone.get("problem"):
        return f"it was taken back, {runs.replace(' runs', ' is current')}, but: {undone['problem']}"
    if undone.get("health", {}).get("healthy") is False:
        return f"it was taken back and {runs}, which is not healthy either: {undone['health']['detail']}"
    return f"it was taken back and {runs}"


def interrupted(journal):
    """Returns what the next deploy or rollback will do about an operation that was killed."""
    step = journal["step"]
    if step == "finish":
        will = "writes down that it succeeded"
    elif step in PREPARE:
        will = "removes the half-built release"
    else:
        will = f"goes back to {journal['previous'] or 'no release'}"
    return {
        "action": journal["action"],
        "release": journal["release"],
        "killed_at": step,
        "began": journal["began"],
        "next": f"the next deploy or rollback {will} first",
    }


def finish(settings, place, journal):
    place.remember(entry(journal, "deployed" if journal["action"] == "deploy" else "rolled back"))
    pruned = place.prune(settings.keep)
    place.close_journal()
    return pruned


def entry(journal, outcome, **more):
    record = journal.get("record") or {}
    return {
        "at": now(),
        "action": journal["action"],
        "outcome": outcome,
        "release": journal["release"],
        "revision": record.get("revision"),
        "version": record.get("version"),
        "environment": journal["environment"],
        "previous": journal["previous"],
        "began": journal["began"],
        "operation": journal["operation"],
        **more,
    }


def settings_of(config, app, environment):
    """Returns the settings of an environment, or the app's own where it is not configured any more."""
    return config.settings(app, environment if environment in config.environments(app) else None)


def surroundings(settings, journal):
    """Returns the variables of every program that an operation starts."""
    record = journal.get("record") or {}
    return {
        **dict(settings.variables),
        "DEVOPS_APP": settings.app,
        "DEVOPS_ENVIRONMENT": settings.environment or "",
        "DEVOPS_RELEASE": journal["release"],
        "DEVOPS_REVISION": record.get("revision") or "",
        MARK: journal["operation"],
    }
