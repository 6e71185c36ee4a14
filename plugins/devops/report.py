"""The commands that only read: what runs, what was done, what the units wrote."""

import health
import recovery
import units
from place import Place, describe
from trouble import Trouble


def status(config, report, app_name=None):
    if app_name is not None:
        return one(config, app_name)
    answer = {"apps": [one(config, app) for app in config.apps]}
    if not config.apps:
        answer["note"] = none_configured(config)
    return answer


def none_configured(config):
    why = "it has no app" if config.path.exists() else "it does not exist"
    return f"no app is configured in `{config.path}`: {why}"


def one(config, app):
    """Returns how an app is. Takes no lock and changes nothing; what a killed operation left is told, not mended."""
    place = Place(app, config.settings(app).root)
    try:
        return look(config, place)
    except (Trouble, OSError) as error:
        return {"app": app, "state": "unknown", "problem": str(error)}


def look(config, place):
    holder, journal, current = place.holder(), place.journal(), place.current()
    record = place.record(current) if current else {}
    settings = recovery.settings_of(config, place.app, record.get("environment"))
    answer = {
        "app": place.app,
        "state": "deployed" if current else "not deployed",
        "release": current,
        "version": record.get("version"),
        "revision": record.get("revision"),
        "environment": record.get("environment"),
        "since": place.since(),
        "previous": place.previous(),
        "units": [units.state(unit) for unit in settings.units],
        "health": health.look(settings, place.release(current)) if current else None,
        "releases": [known["release"] for known in place.known()],
        "last": place.history(3),
        "root": str(place.root),
    }
    if holder:
        answer["busy"] = describe(holder) + (f", at {journal['step']}" if journal else "")
    elif journal:
        answer["interrupted"] = recovery.interrupted(journal)
    if current and not place.release(current).is_dir():
        answer["problem"] = f"`{place.link}` leads to `{place.release(current)}`, which is not there; deploy again"
    return answer


def history(config, report, app_name, limit):
    place = Place(app_name, config.settings(app_name).root)
    return {"app": app_name, "entries": place.history(bounded("limit", limit))}


def logs(config, report, app_name, lines):
    place = Place(app_name, config.settings(app_name).root)
    current = place.current()
    record = place.record(current) if current else {}
    settings = recovery.settings_of(config, app_name, record.get("environment"))
    if not settings.units:
        raise Trouble(f"`{app_name}` has no units in `{config.path}`, and so no log that could be read")
    read, cut = units.read_log(settings.units, bounded("lines", lines))
    answer = {"app": app_name, "units": list(settings.units), "lines": read}
    if cut:
        answer["note"] = f"only the last {units.LOG_BYTES // 1024} KiB; the first line may be cut"
    elif not read:
        answer["note"] = "nothing was written, or the user who runs the plugin may not read it: see the group `systemd-journal`"
    return answer


def bounded(name, value):
    if not 1 <= value <= 1000:
        raise Trouble(f"`--{name}` is from 1 to 1000, not {value}")
    return value


def apps(config, report):
    listed = []
    for app in config.apps:
        settings = config.settings(app)
        listed.append(
            {
                "app": app,
                "source": {"kind": settings.source.kind, "location": settings.source.location, "ref": settings.source.ref}
                if settings.source.kind == "git"
                else {"kind": settings.source.kind, "location": settings.source.location},
                "environments": config.environments(app)[1:],
                "units": list(settings.units),
                "root": str(settings.root),
            }
        )
    answer = {"apps": listed, "config": str(config.path)}
    if not listed:
        answer["note"] = none_configured(config)
    return answer
