"""Letta's API over plain HTTP: what is asked, and what kind of failure an answer is."""

import http.client
import json
import re
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from email.utils import parsedate_to_datetime

from errors import Refused

LARGEST = 16 * 1024 * 1024  # bytes of an answer


class Failure(Exception):
    """A request that did not end well. `doubtful`: Letta may have acted on it; `again`: a later try may do better."""

    def __init__(self, message, again=False, doubtful=False, wait=None, status=None):
        super().__init__(message)
        self.again, self.doubtful, self.wait, self.status = again, doubtful, wait, status


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it could take the key to another host, and turns a POST into a GET."""

    def redirect_request(self, *_):
        return None


class Letta:
    def __init__(self, environment):
        self.base = (environment.get("LETTA_BASE_URL") or environment.get("LETTA_SERVER_URL") or "").strip().rstrip("/")
        self.key = (environment.get("LETTA_API_KEY") or environment.get("LETTA_SERVER_PASSWORD") or "").strip()
        if not self.base:
            raise Refused("Letta's address is not known: grant promptyoself LETTA_BASE_URL, as in `http://127.0.0.1:8283`")
        if not _plain(self.base):
            raise Refused("LETTA_BASE_URL is no plain http or https address: write it as `http://127.0.0.1:8283`")
        if self.key and not (self.key.isascii() and self.key.isprintable()):
            raise Refused("LETTA_API_KEY or LETTA_SERVER_PASSWORD has letters that no HTTP header can carry: set it again")
        try:
            self.timeout = float(environment.get("PROMPTYOSELF_TIMEOUT") or 120)
        except ValueError:
            self.timeout = 0
        if not 0.1 <= self.timeout <= 3600:
            raise Refused("PROMPTYOSELF_TIMEOUT is no number of seconds between 0.1 and 3600: correct or unset it")
        self.opener = urllib.request.build_opener(_StayHere)

    def request(self, method, path, body=None, timeout=None):
        """Returns the JSON of the answer; anything else is a `Failure`."""
        headers = {"Accept": "application/json"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        if self.key:
            headers["Authorization"] = "Bearer " + self.key
        request = urllib.request.Request(self.base + path, data=data, headers=headers, method=method)
        where = f"Letta at `{self.base}`"
        try:
            with self.opener.open(request, timeout=timeout or min(self.timeout, 15)) as answer:
                text = _whole(answer, time.monotonic() + (timeout or min(self.timeout, 15)))
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error, where) from None
        except urllib.error.URLError as error:
            reason = error.reason
            # A sandbox or a firewall that lets nothing through says nothing either: the connection is only never made.
            if isinstance(reason, (socket.timeout, TimeoutError)):
                reason = "no connection in time"
            # Where not even a connection was made, nothing can have arrived.
            sure = isinstance(reason, (ConnectionRefusedError, socket.gaierror))
            raise Failure(
                f"cannot reach {where}: {reason}; check LETTA_BASE_URL, that Letta runs, and the daemon's network.conf",
                again=True,
                doubtful=not sure,
            ) from None
        except (socket.timeout, TimeoutError):
            raise Failure(f"{where} did not answer in time", again=True, doubtful=True) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Failure(f"{where} broke off: {type(error).__name__}", again=True, doubtful=True) from None
        try:
            return json.loads(text)
        except ValueError:
            raise Failure(
                f"{where} answered with something that is no JSON: is LETTA_BASE_URL Letta's?", again=True, doubtful=True
            ) from None

    def version(self):
        health = self.request("GET", "/v1/health/", timeout=min(self.timeout, 5))
        if not isinstance(health, dict):
            raise Failure("the answer to the health check is no object: is LETTA_BASE_URL Letta's?")
        return health.get("version"), health.get("status")

    def agents(self, most=1000):
        """Returns id and name of the agents, page by page, up to `most`, and whether there are more."""
        found, after = [], None
        while True:
            query = {"limit": 100, "order": "asc", **({"after": after} if after else {})}
            page = self.request("GET", "/v1/agents/?" + urllib.parse.urlencode(query))
            if not isinstance(page, list) or not all(isinstance(agent, dict) and agent.get("id") for agent in page):
                raise Failure("the answer to the list of agents has not the shape of one: is LETTA_BASE_URL Letta's?")
            found += [{"id": agent["id"], "name": agent.get("name")} for agent in page]
            # A server that knows no `after` would give the first page for ever.
            if len(page) < 100 or page[-1]["id"] == after:
                return found[:most], len(found) > most
            if len(found) >= most:
                return found[:most], True
            after = page[-1]["id"]

    def agent(self, agent_id):
        return self.request("GET", "/v1/agents/" + urllib.parse.quote(agent_id, safe=""))

    def send(self, agent_id, prompt, otid):
        body = {"messages": [{"role": "user", "content": prompt, "otid": otid}]}
        return self.request("POST", _messages(agent_id), body, timeout=self.timeout)

    def has(self, agent_id, otid):
        """Tells whether one of the agent's last 100 messages is the one with this otid."""
        messages = self.request("GET", _messages(agent_id) + "?limit=100&order=desc")
        if not isinstance(messages, list):
            raise Failure("the answer to the list of messages has not the shape of one", again=True)
        return any(isinstance(message, dict) and message.get("otid") == otid for message in messages)

    def upload(self, source_code, description):
        body = {"source_code": source_code, "source_type": "python"}
        if description:
            body["description"] = description
        # PUT makes the tool or replaces the one of its name.
        return self.request("PUT", "/v1/tools/", body)


def _plain(address):
    try:
        parts = urllib.parse.urlsplit(address)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and not (parts.username or parts.password or parts.query or parts.fragment)
            and re.fullmatch(r"[!-~]+", address) is not None
        )
    except ValueError:
        return False


def _whole(answer, deadline):
    """Returns the body. A socket's own timeout is for each read, and an answer that trickles would have no end."""
    text = b""
    while len(text) <= LARGEST:
        part = answer.read1(65536)
        if not part:
            return text
        text += part
        if time.monotonic() > deadline:
            raise TimeoutError
    raise ValueError("it is too long")


def _messages(agent_id):
    return f"/v1/agents/{urllib.parse.quote(agent_id, safe='')}/messages"


def _refusal(error, where):
    """Returns the `Failure` that an HTTP status stands for."""
    said = " ".join(_detail(error).split())[:300]
    text = f"{where} answered {error.code}" + (f": {said}" if said else "")
    if error.code in (401, 403):
        text += "; grant promptyoself the right LETTA_API_KEY or LETTA_SERVER_PASSWORD"
    elif 300 <= error.code < 400:
        text += "; redirects are not followed, so set LETTA_BASE_URL to where Letta is"
    if error.code in (408, 425, 429):
        return Failure(text, again=True, wait=_wait(error.headers), status=error.code)
    if error.code >= 500:
        # The agent may have begun to work when it failed.
        return Failure(text, again=True, doubtful=True, wait=_wait(error.headers), status=error.code)
    return Failure(text, status=error.code)


def _detail(error):
    try:
        text = error.read(4096).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""
    try:
        detail = json.loads(text)["detail"]
        return detail if isinstance(detail, str) else json.dumps(detail)
    except (ValueError, KeyError, TypeError):
        return text


def _wait(headers):
    """Returns the seconds of `Retry-After`, at most a day, or nothing. A date is measured by the server's own clock."""
    value = (headers.get("Retry-After") or "").strip()
    try:
        if value.isdigit():
            seconds = int(value)
        else:
            seconds = (parsedate_to_datetime(value) - parsedate_to_datetime(headers["Date"])).total_seconds()
    except (TypeError, ValueError, IndexError):
        return None
    return int(min(max(seconds, 0), 86400))
