"""The operator's file of apps, as checked values: a `Settings` that exists is valid."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from trouble import Trouble

DEFAULT_FILE = "/etc/smcp/devops.toml"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# What a version may look like in any kind of source: never an option, never a way up.
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@:+-]{0,199}")
UNIT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9:_.@\\-]{0,250}\.(service|socket|timer|path|target)")
IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:-]*@sha256:[0-9a-f]{64}")
SOURCES = ("git", "tarball", "directory", "image")


@dataclass(frozen=True)
class Source:
    kind: str
    location: str
    ref: str = "HEAD"
    strip: int = 0
    timeout: float = 600


@dataclass(frozen=True)
class Health:
    kind: str
    target: object
    timeout: float = 5
    interval: float = 1
    retries: int = 10


@dataclass(frozen=True)
class Settings:
    """One app, as one environment has it."""

    app: str
    environment: object
    root: Path
    source: Source
    keep: int = 5
    shared: tuple = ()
    build: tuple = ()
    build_timeout: float = 600
    migrate: tuple = ()
    migrate_timeout: float = 300
    units: tuple = ()
    restart_timeout: float = 90
    variables: tuple = ()
    health: object = None


class Bad(Exception):
    """A value that cannot be; whoever knows the place says it."""


def file_path():
    return Path(os.environ.get("DEVOPS_CONFIG") or DEFAULT_FILE)


def valid_version(version):
    """Returns the version, or says why it is none."""
    if not VERSION.fullmatch(version) or ".." in version or "//" in version or "@{" in version or version.endswith("/"):
        raise Trouble(
            f"`{version}` is not a version: it begins with a letter or digit, has only those and `._/@:+-`, and no `..`"
        )
    return version


class Config:
    def __init__(self, path, apps):
        self.path = path
        self.apps = apps

    @classmethod
    def load(cls, path=None):
        """Reads the file; where there is none, no app is configured."""
        path = path or file_path()
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return cls(path, {})
        except OSError as error:
            raise Trouble(
                f"cannot read `{path}`: {error.strerror}; let the user who runs the plugin read it, and grant it to the plugin "
                "(`devops.toml`)"
            )
        tables = parse(path, text)
        unknown = set(tables) - {"apps"}
        if unknown:
            raise Trouble(f"{path}: `{min(unknown)}` is not known here; apps are tables like `[apps.web]`")
        apps = tables.get("apps", {})
        config = cls(path, apps)
        if not isinstance(apps, dict):
            raise Trouble(f"{path}: `apps` has to be a table of apps like `[apps.web]`")
        for app in apps:
            if not NAME.fullmatch(app):
                raise Trouble(f"{path}: `{app}` cannot be an app's name; use letters, digits, `_` and `-`")
            for environment in config.environments(app):
                config.settings(app, environment)
        roots = {}
        for app in apps:
            other = roots.setdefault(config.settings(app).root, app)
            if other != app:
                raise Trouble(f"{path}: apps.{app}.root: `{other}` has the same; each app needs one of its own")
        return config

    def environments(self, app):
        """Returns the app's own settings, as None, and its environments."""
        return [None, *self.table(app, "environments")]

    def table(self, app, key):
        table = self.apps[app] if isinstance(self.apps[app], dict) else {}
        value = table.get(key, {})
        if not isinstance(value, dict):
            raise Trouble(f"{self.path}: apps.{app}.{key} has to be a table")
        return value

    def has(self, app):
        """Returns the app's name, or says that there is no such app."""
        if app in self.apps:
            return app
        if not self.path.exists():
            raise Trouble(f"no app is called `{app}`: `{self.path}` does not exist; write it, with a table `[apps.{app}]`")
        known = ", ".join(f"`{name}`" for name in self.apps) or "none"
        raise Trouble(f"no app is called `{app}` in `{self.path}`; it has: {known}")

    def settings(self, app, environment=None):
        """Returns the settings of a known app in one environment."""
        place = f"{self.path}: apps.{self.has(app)}"
        table = self.apps[app]
        if not isinstance(table, dict):
            raise Trouble(f"{place} has to be a table")
        merged = {key: value for key, value in table.items() if key != "environments"}
        if environment is not None:
            over = self.table(app, "environments").get(environment)
            if over is None:
                known = ", ".join(f"`{name}`" for name in self.environments(app)[1:]) or "none"
                raise Trouble(f"`{app}` has no environment `{environment}`; it has: {known}")
            place += f".environments.{environment}"
            if not NAME.fullmatch(environment):
                raise Trouble(f"{place}: an environment's name has letters, digits, `_` and `-`")
            if not isinstance(over, dict):
                raise Trouble(f"{place} has to be a table")
            if "root" in over:
                raise Trouble(f"{place}.root: an app has one root; make another app for another one")
            merged.update(over)
        merged.setdefault("root", default_root(app))
        if "source" not in merged:
            raise Trouble(f'{place}: it needs a source, as `source = {{ git = "https://…", ref = "main" }}`')
        values = {}
        for key, value in merged.items():
            if key not in FIELDS:
                raise Trouble(f"{place}.{key} is not known; there are: {', '.join(FIELDS)}")
            try:
                values[key] = FIELDS[key](value)
            except Bad as error:
                raise Trouble(f"{place}.{key}: {error}")
        return Settings(app=app, environment=environment, **values)


def parse(path, text):
    try:
        import tomllib
    except ImportError:
        try:
            import tomli as tomllib
        except ImportError:
            raise Trouble("Python before 3.11 needs `tomli` to read TOML: install requirements.txt, or use Python 3.11")
    try:
        return tomllib.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Trouble(f"`{path}` is not TOML: {error}")


def default_root(app):
    return os.path.join(os.path.abspath(os.environ.get("SMCP_STATE_DIR") or "."), "apps", app)


def text(value):
    if not isinstance(value, str) or not value or "\0" in value or "\n" in value:
        raise Bad("it has to be a text of one line")
    return value


def whole(least, most):
    def check(value):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Bad(f"it has to be a whole number from {least} to {most}")
        return value

    return check


def seconds(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 86400:
        raise Bad("it has to be a number of seconds, up to 86400")
    return value


def absolute(value):
    if not os.path.isabs(text(value)) or ".." in Path(value).parts or Path(value) == Path("/"):
        raise Bad("it has to be an absolute path without `..`")
    return Path(value)


def inside(value):
    parts = Path(text(value)).parts
    if os.path.isabs(value) or ".." in parts or not parts:
        raise Bad(f"`{value}` has to be a path below the release, without `..`")
    return value


def argv(value):
    if not isinstance(value, list) or not value or not all(isinstance(word, str) and "\0" not in word for word in value):
        raise Bad('a command is a list of words, as `["make", "install"]`; no shell reads it')
    if not value[0]:
        raise Bad("the first word of a command is the program")
    return tuple(value)


def each(check):
    def checks(value):
        if not isinstance(value, list):
            raise Bad("it has to be a list")
        return tuple(check(item) for item in value)

    return checks


def unit(value):
    if not UNIT.fullmatch(text(value)):
        raise Bad(f"`{value}` is not the name of a unit, as `web.service`")
    return value


def shared(value):
    paths = each(inside)(value)
    parts = sorted(Path(path).parts for path in paths)
    for one, other in zip(parts, parts[1:]):
        if other[: len(one)] == one:
            raise Bad(f"`{'/'.join(other)}` lies in `{'/'.join(one)}`, which is shared too")
    return paths


def variables(value):
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise Bad("it has to be a table of texts")
    for name in value:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name.startswith("DEVOPS_"):
            raise Bad(f"`{name}` cannot be a variable's name here")
    return tuple(sorted(value.items()))


def one_of(kinds, value, others):
    """Returns which kind a table is of; the others are what it may have besides."""
    if not isinstance(value, dict):
        raise Bad(f"it has to be a table with one of: {', '.join(kinds)}")
    unknown = set(value) - set(kinds) - set(others)
    if unknown:
        raise Bad(f"`{min(unknown)}` is not known; there are: {', '.join([*kinds, *others])}")
    chosen = [kind for kind in kinds if kind in value]
    if len(chosen) != 1:
        raise Bad(f"it has to have exactly one of: {', '.join(kinds)}")
    return chosen[0], {key: check(value[key]) for key, check in others.items() if key in value}


def source(value):
    kind, others = one_of(SOURCES, value, {"ref": text, "strip": whole(0, 10), "timeout": seconds})
    location = text(value[kind])
    if kind == "git":
        git_location(location)
        if "ref" in others:
            try:
                valid_version(others["ref"])
            except Trouble as error:
                raise Bad(str(error))
    elif "ref" in others:
        raise Bad("`ref` is for git")
    if kind != "tarball" and "strip" in others:
        raise Bad("`strip` is for tarballs")
    if kind in ("tarball", "directory"):
        absolute(location)
    if kind == "image" and not IMAGE.fullmatch(location):
        raise Bad("an image is named by its digest, as `registry.example/web@sha256:…`")
    return Source(kind, location, **others)


def git_location(location):
    known = re.match(r"(https|http|ssh|git|file)://[^-]|/|[A-Za-z0-9_.]+@[A-Za-z0-9][A-Za-z0-9.-]*:[^-:]", location)
    if not known or "::" in location:
        raise Bad("it has to be https://, ssh://, user@host:path or an absolute path")
    if re.match(r"[a-z]+://[^/]*:[^/]*@", location):
        raise Bad("it has a password in it; leave that to ssh or a credential helper")


def health(value):
    kinds = {"http": web_address, "tcp": host_and_port, "command": argv}
    kind, others = one_of(kinds, value, {"timeout": seconds, "interval": seconds, "retries": whole(0, 1000)})
    return Health(kind, kinds[kind](value[kind]), **others)


def web_address(value):
    if not re.match(r"https?://[^/]", text(value)):
        raise Bad("`http` has to be an address, as `http://127.0.0.1:8080/healthz`")
    return value


def host_and_port(value):
    host, _, port = text(value).rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise Bad("`tcp` has to be HOST:PORT")
    return host.strip("[]"), int(port)


FIELDS = {
    "source": source,
    "root": absolute,
    "keep": whole(2, 1000),
    "shared": shared,
    "build": each(argv),
    "build_timeout": seconds,
    "migrate": each(argv),
    "migrate_timeout": seconds,
    "units": each(unit),
    "restart_timeout": seconds,
    "variables": variables,
    "health": health,
}
