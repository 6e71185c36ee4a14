"""Whether what runs is well: its units, and one check that the operator chose."""

import socket
import time

import units
from running import run, said
from trouble import Trouble


def once(health, cwd, variables):
    """Returns whether the check passes now, and what it saw."""
    try:
        return CHECKS[health.kind](health, cwd, variables)
    except (OSError, ValueError, Trouble) as error:
        return False, str(error)


def check_http(health, cwd, variables):
    import http.client
    import urllib.error
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    # Straight to the address: a proxy or a redirection could be well in its place.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay)
    try:
        with opener.open(health.target, timeout=health.timeout) as response:
            return 200 <= response.status < 300, f"{health.target} answers {response.status}"
    except urllib.error.HTTPError as error:
        error.close()
        return False, f"{health.target} answers {error.code}"
    except urllib.error.URLError as error:
        return False, f"{health.target}: {error.reason}"
    except http.client.HTTPException as error:
        return False, f"{health.target}: {type(error).__name__}"


def check_tcp(health, cwd, variables):
    host, port = health.target
    try:
        socket.create_connection((host, port), health.timeout).close()
    except OSError as error:
        return False, f"{host}:{port}: {error.strerror or error}"
    return True, f"{host}:{port} accepts connections"


def check_command(health, cwd, variables):
    done = run(health.target, health.timeout, cwd=cwd, variables=variables)
    return done.status == 0, f"`{' '.join(health.target)}` ended with {done.status}" + (said(done.output) if done.status else "")


CHECKS = {"http": check_http, "tcp": check_tcp, "command": check_command}


def look(settings, cwd, variables=None):
    """Returns whether an app is well at this moment: `{"healthy": …, "detail": …}`; None where nothing can tell."""
    for unit in settings.units:
        problem = units.broken(units.state(unit))
        if problem:
            return {"healthy": False, "detail": problem}
    if settings.health is None:
        return {"healthy": None, "detail": "no health check is configured"}
    healthy, detail = once(settings.health, cwd, variables)
    return {"healthy": healthy, "detail": detail}


def wait(settings, cwd, variables, said=lambda text: None):
    """Looks until an app is well, as often as it may be asked; returns what was seen last."""
    tries = 1 + (settings.health.retries if settings.health else 0)
    for number in range(1, tries + 1):
        seen = look(settings, cwd, variables)
        if seen["healthy"] is not False or number == tries:
            return seen
        said(f"{seen['detail']} (try {number} of {tries})")
        time.sleep(settings.health.interval)
