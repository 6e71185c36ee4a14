"""Deploy and rollback: steps that are written down before they are taken, and taken back where one fails.

The journal says which step was begun. Before `switch`, nothing that runs has changed; from `switch` to `health` the
release is on trial, and what ran before comes back; at `finish` it has passed, and only the writing down is left.
Whoever takes the lock next reads the journal first, so a killed operation ends the same way as a failed one.
"""

import os
import signal
import time

import health
import sources
import units
import unpack
from place import Place, describe, elapsed, now
from recovery import PREPARE, finish, interrupted, recover, settings_of, surroundings, undo, words
from running import must
from trouble import Stopped, Trouble

TRIAL = ("switch", "restart", "health")


def deploy(config, report, app, environment=None, version=None, dry_run=False):
    settings = config.settings(app, environment)
    if version is not None:
        sources.valid_version(version)
    place = Place(app, settings.root)
    if dry_run:
        return plan(settings, place, version)
    began = time.monotonic()
    with place.locked("deploy"), stoppable():
        recovered = recover(config, place, report)
        place.discard_strays()
        report.total = len(PREPARE + TRIAL) + 2
        report.step("resolve", f"asking for {version or settings.source.ref}")
        wanted = sources.resolve(settings.source, version)
        running = runs_already(settings, place, wanted)
        if running:
            return {**running, **recovered}
        release = place.new_id(wanted.revision)
        journal = begin(place, "deploy", release, environment)
        journal["record"] = {
            "release": release,
            "revision": wanted.revision,
            "version": wanted.version,
            "environment": environment,
            "recipe": recipe(settings),
            "previous": journal["previous"],
            "at": now(),
            # Two may be made in one second.
            "order": time.time_ns(),
        }
        variables = surroundings(settings, journal)
        directory = place.release(release)
        acts = {
            "fetch": lambda: lay(settings, place, wanted, directory, variables),
            "shared": lambda: share(settings, place, directory),
            "build": lambda: hooks(settings.build, settings.build_timeout, directory, variables, "build"),
            "migrate": lambda: hooks(settings.migrate, settings.migrate_timeout, directory, variables, "migrate"),
        }
        return {**carry_out(settings, place, journal, acts, report, began), **recovered}


def rollback(config, report, app, version=None):
    # What a rollback needs of the settings belongs to the release it goes to.
    place = Place(app, config.settings(app).root)
    if version is not None:
        sources.valid_version(version)
    began = time.monotonic()
    with place.locked("rollback"), stoppable():
        recovered = recover(config, place, report)
        target = choose(place, version)
        if target["release"] == place.current():
            return {"app": app, "outcome": "unchanged", "release": target["release"], "note": "it runs already", **recovered}
        settings = settings_of(config, app, target.get("environment"))
        report.total = len(TRIAL) + 1
        journal = begin(place, "rollback", target["release"], target.get("environment"))
        journal["record"] = target
        return {**carry_out(settings, place, journal, {}, report, began), **recovered}


def begin(place, action, release, environment):
    return {
        "operation": f"{os.getpid()}-{time.time_ns()}",
        "action": action,
        "release": release,
        "previous": place.current(),
        "environment": environment,
        "began": now(),
    }


def carry_out(settings, place, journal, acts, report, began):
    """Takes the steps in order, and takes them back where one fails."""
    variables = surroundings(settings, journal)
    directory = place.release(journal["release"])
    trial = {
        "switch": lambda: switch(place, journal),
        "restart": lambda: units.control("restart", settings.units, settings.restart_timeout, variables),
        "health": lambda: prove(settings, directory, variables, report),
    }
    seconds = {}
    try:
        for step, act in {**acts, **trial}.items():
            journal["step"] = step
            place.write_journal(journal)
            report.step(step, WORDS[step])
            start = time.monotonic()
            seen = act()
            seconds[step] = elapsed(start)
    except (Trouble, Stopped, OSError) as error:
        journal["error"] = str(error)
        journal["failed"] = journal["step"]
        report.note(f"{journal['step']} failed: {error}")
        undone = undo(settings, place, journal, report)
        what = f"{journal['action']} of `{settings.app}` failed at {journal['failed']}"
        raise Trouble(f"{what}: {error}; {words(undone)}", **undone)
    journal["step"] = "finish"
    place.write_journal(journal)
    report.step("finish", WORDS["finish"])
    pruned = finish(settings, place, journal)
    record = journal["record"]
    return {
        "app": settings.app,
        "outcome": "deployed" if journal["action"] == "deploy" else "rolled back",
        "release": record["release"],
        "revision": record.get("revision"),
        "version": record.get("version"),
        "environment": record.get("environment"),
        "previous": journal["previous"],
        "health": seen,
        "pruned": pruned,
        "seconds": {**seconds, "all": elapsed(began)},
    }


WORDS = {
    "fetch": "fetching the release",
    "shared": "linking what is shared",
    "build": "building",
    "migrate": "migrating",
    "switch": "switching to the release",
    "restart": "restarting its units",
    "health": "checking its health",
    "finish": "writing it down and removing old releases",
}


def lay(settings, place, wanted, directory, variables):
    directory.mkdir()
    sources.fetch(settings.source, wanted, directory, place.own / "cache", variables)


def share(settings, place, directory):
    """Puts a link into the release for each shared path. The first release that has one gives its contents."""
    for name in settings.shared:
        common, own = place.shared / name, directory / name
        if not os.path.lexists(common):
            common.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(own):
                os.replace(own, common)
            elif name.endswith("/"):
                common.mkdir()
            else:
                way = f"put it at `{common}`, or write `{name}/` for an empty directory"
                raise Trouble(f"the shared `{name}` is not there; {way}")
        if own.is_dir() and not own.is_symlink():
            unpack.remove(own)
        elif os.path.lexists(own):
            own.unlink()
        own.parent.mkdir(parents=True, exist_ok=True)
        if directory.resolve() not in (own.parent.resolve(), *own.parent.resolve().parents):
            raise Trouble(f"the shared `{name}` lies behind a link that leads out of the release")
        os.symlink(os.path.relpath(common, own.parent), own)


def hooks(commands, timeout, directory, variables, what):
    for argv in commands:
        must(argv, timeout, what, cwd=directory, variables=variables)


def switch(place, journal):
    place.write_record(journal["record"])
    place.switch(journal["release"])


def prove(settings, directory, variables, report):
    seen = health.wait(settings, directory, variables, report.note)
    if seen["healthy"] is False:
        raise Trouble(f"it is not healthy: {seen['detail']}")
    return seen


def recipe(settings):
    """Returns what else decides what a release holds: the same revision built otherwise is another release."""
    import hashlib

    parts = (settings.build, settings.migrate, settings.shared, settings.variables, settings.source.strip)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def runs_already(settings, place, wanted):
    """Returns the answer for a deploy of what runs and is well, or None."""
    current = place.current()
    record = place.record(current) if current else {}
    same = (wanted.revision, settings.environment, recipe(settings))
    if not current or (record.get("revision"), record.get("environment"), record.get("recipe")) != same:
        return None
    seen = health.look(settings, place.release(current), dict(settings.variables))
    if seen["healthy"] is False:
        return None
    return {
        "app": settings.app,
        "outcome": "unchanged",
        "release": current,
        "revision": wanted.revision,
        "version": wanted.version,
        "environment": settings.environment,
        "health": seen,
        "note": "that revision runs already",
    }


def choose(place, version):
    """Returns the record of the release to go back to."""
    known = place.known()
    if version is None:
        before = place.previous()
        if before is None:
            names = ", ".join(record["release"] for record in known) or "none"
            raise Trouble(f"`{place.app}` has no previous release to go back to; name one with `--version`; kept are: {names}")
        return place.record(before)
    for match in (
        lambda record: record["release"] == version,
        lambda record: record.get("version") == version,
        lambda record: len(version) >= 7 and (record.get("revision") or "").startswith(version),
    ):
        found = [record for record in known if match(record)]
        if found:
            return found[-1]
    names = ", ".join(f"{record['release']} ({record.get('version')})" for record in known) or "none"
    raise Trouble(f"`{place.app}` keeps no release `{version}`; kept are: {names}")


def plan(settings, place, version):
    """Returns what a deploy would do. Only reads."""
    wanted = sources.resolve(settings.source, version)
    answer = {
        "app": settings.app,
        "environment": settings.environment,
        "version": wanted.version,
        "revision": wanted.revision,
        "current": place.current(),
    }
    steps = []
    if place.holder():
        answer["note"] = f"busy: {describe(place.holder())}"
    elif place.journal():
        steps.append({"step": "recover", "do": interrupted(place.journal())["next"]})
    if not steps and runs_already(settings, place, wanted):
        return {**answer, "outcome": "planned", "steps": [], "note": "that revision runs already"}
    check = settings.health
    steps += [
        {"step": "fetch", "do": f"{settings.source.kind} {wanted.location} into {place.releases}"},
        *({"step": "shared", "do": f"link {name} to {place.shared / name}"} for name in settings.shared),
        *({"step": "build", "do": list(argv)} for argv in settings.build),
        *({"step": "migrate", "do": list(argv)} for argv in settings.migrate),
        {"step": "switch", "do": f"let {place.link} lead to it"},
        *({"step": "restart", "do": unit} for unit in settings.units),
        {"step": "health", "do": f"{check.kind}, up to {1 + check.retries} times" if check else "none is configured"},
        {"step": "finish", "do": f"keep the last {settings.keep} releases"},
    ]
    return {**answer, "outcome": "planned", "steps": steps}


class stoppable:
    """While it holds, being asked to end fails the step that is under way; asked again, the undoing goes on."""

    def __enter__(self):
        self.before = {number: signal.signal(number, self.stop) for number in (signal.SIGTERM, signal.SIGINT)}

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def stop(self, number, frame):
        for other in self.before:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(f"it was asked to end ({signal.Signals(number).name})")
