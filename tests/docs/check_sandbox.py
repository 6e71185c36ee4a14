"""docs/sandbox.md, and the policies that the READMEs of the shipped plugins give: each plugin is called as it is held."""

import json
import os
import re
import shutil
import subprocess

from daemon import Daemon, basic, expect, held
from policies import policy

PAGE = "docs/sandbox.md"
# The app of these checks; `manage` and `build.sh` are in its releases.
APPS = """
[apps.web]
root = "{apps}/web"
source = {{ git = "{git}", ref = "main" }}
build = [["sh", "build.sh"]]
migrate = [["./manage"]]
units = ["web.service"]
health = {{ command = ["test", "-e", "built"] }}

[apps.other]
root = "{other}"
source = {{ git = "{git}", ref = "main" }}
"""
UNIT = r"""#!/bin/sh
[ "$1" != show ] || printf 'LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=4242\nNRestarts=0\n'
"""


def read(place, *path):
    with open(os.path.join(place.root, *path), encoding="utf-8") as file:
        return file.read()


def blocks(page):
    return re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def script(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o755)


def sandbox(daemon, plugin):
    done = daemon.ctl("plugin", "sandbox", plugin, "--json")
    expect(done.returncode == 0, done)
    return json.loads(done.stdout)["sandbox"]


def check_the_examples_of_the_page_are_taken(place):
    page = read(place, PAGE)
    examples = blocks(page) + ['[plugin.old]\nsandbox = "off"\n']
    expect(len(examples) == 2 and '    [plugin.old]\n    sandbox = "off"\n' in page, examples)
    config = os.path.join(place.temp, "smcpd.toml")
    for example in examples:
        script(config, example)
        done = subprocess.run(
            [place.smcpd, "--config", config, "--check"], env=basic(place, place.temp), capture_output=True, text=True,
            timeout=30,
        )
        expect(done.returncode == 0, done)


def check_what_is_shown_of_a_plugin(place):
    page = read(place, PAGE)
    shown = re.search(r"^    \$ smcpctl plugin sandbox weather\n((?:    .*\n)+)", page, re.MULTILINE)[1]
    rows = [line.strip() for line in shown.splitlines() if not line.strip().startswith("…")]
    with held(place) as place, Daemon(place, {"weather": "plugins/demo_text"}, config=blocks(page)[0]) as daemon:
        said = daemon.ctl("plugin", "sandbox", "weather").stdout.splitlines()
        at = 0
        for row in rows:
            pattern = ".*".join(re.escape(part) for part in row.split("…"))
            fits = [number for number, line in enumerate(said) if number >= at and re.fullmatch(pattern, line)]
            expect(fits, (row, said))
            at = fits[0] + 1
        # Those that the table has.
        found = sandbox(daemon, "weather")
        named = {path for path in found["write"] if "/state/" not in path}
        expect(all(f"`{path}`" in page for path in named) and len(named) == 3, named)
        expect("4096 open files, 4 GiB in one file" in page, "the bounds")
        expect(found["limits"]["files"] == 4096 and found["limits"]["file_size"] == 4 << 30, found)


def check_an_uncaught_refusal_looks_as_shown_and_goes_away_when_it_is_granted(place):
    with held(place) as place:
        plugin, pictures = os.path.join(place.temp, "plugin"), os.path.join(place.temp, "pictures")
        os.mkdir(plugin)
        os.mkdir(pictures)
        script(
            os.path.join(plugin, "cli.py"),
            "import argparse\nparser = argparse.ArgumentParser()\n"
            "parser.add_subparsers(dest='command').add_parser('save', help='Save')\n"
            f"parser.parse_args()\nopen({pictures!r} + '/new.png', 'w').close()\nprint('saved')\n",
        )
        links = {"thumbnails": plugin}
        with Daemon(place, links) as daemon:
            result = daemon.call("thumbnails.save")
            text = re.search(r"^    (PermissionError: .*)$", read(place, PAGE), re.MULTILINE)[1]
            expect(result["isError"], result)
            expect(text.replace("/srv/pictures", pictures) in result["content"][0]["text"], result)
            with open(daemon.config, "a", encoding="utf-8") as config:
                config.write(f'[plugin.thumbnails.sandbox]\nwrite = ["{pictures}"]\n')
            expect(daemon.ctl("reload").returncode == 0, daemon.said())
            result = daemon.call("thumbnails.save")
            expect(not result["isError"] and os.listdir(pictures) == ["new.png"], result)


def check_what_is_replaced_beside_something_hidden_is_seen_by_the_next_call(place):
    for mode in "spare", "fork", "off":
        config = f'[plugin.prowler]\nwarm = "{mode}"\n'
        with held(place) as place_held, Daemon(
            place_held, {"prowler": "tests/fixtures/plugins/prowler"}, config=config
        ) as daemon:
            # Beside the daemon's own directory, which is hidden.
            beside = os.path.join(daemon.directory, "state", "notes")
            for text in "one", "two":
                script(beside + ".new", text)
                os.rename(beside + ".new", beside)
                if text == "one":
                    # The parent begins, and is there.
                    for _ in range(3):
                        result = daemon.call("prowler.read", {"path": beside})["structuredContent"]
                        expect(result == {"did": "one"}, result)
            result = daemon.call("prowler.read", {"path": beside})["structuredContent"]
            expect(result == {"did": "two"}, (mode, result))
            result = daemon.call("prowler.list", {"path": os.path.dirname(beside)})["structuredContent"]
            expect(result == {"refused": "Permission denied"}, result)


# --- The shipped plugins --------------------------------------------------------------------------------------------


def check_the_demos_do_all_they_do_as_they_are_held(place):
    calls = [
        ("demo_math.calculate", {"operation": "add", "a": 2, "b": 3}),
        ("demo_math.format-bytes", {"value": 1536}),
        ("demo_math.coin-flip", {}),
        ("demo_text.echo", {"message": "hello"}),
        ("demo_text.word-count", {"text": "one two"}),
        ("demo_text.slugify", {"title": "Crème Brûlée"}),
        ("demo_text.hash-preview", {"text": "hello"}),
    ]
    demos = "demo_math", "demo_text"
    config = "".join(policy(place, name) for name in demos)
    with held(place) as place, Daemon(place, {name: f"plugins/{name}" for name in demos}, config=config) as daemon:
        tools = {name.replace("__", ".") for name in daemon.tools() if name.startswith("demo_")}
        expect(tools == {name for name, _ in calls}, tools)
        # Cold, by a fork and by a spare.
        for name, arguments in calls * 3:
            result = daemon.call(name, arguments)
            expect(not result["isError"], result)
        for name in demos:
            found = sandbox(daemon, name)
            expect((found["exec"], found["connect"]) == ([], []), found)


def check_botfather_says_what_it_lacks_as_it_is_held(place):
    """Its library is not there to be imported, and neither is Telegram."""
    with held(place) as place, Daemon(
        place, {"botfather": "plugins/botfather"}, config=policy(place, "botfather")
    ) as daemon:
        for _ in range(3):
            result = daemon.call("botfather.status")
            expect(not result["isError"] and result["structuredContent"]["ready"] is False, result)
        found = sandbox(daemon, "botfather")
        expect((found["exec"], found["connect"]) == ([], [443]), found)


def check_the_readme_of_devops_shows_its_drop_in(place):
    shipped = read(place, "packaging/drop-ins/devops.toml")
    expect(shipped.endswith("\n" + policy(place, "devops")), "they differ")


def check_devops_deploys_as_it_is_held_and_nowhere_else(place):
    given = policy(place, "devops")
    with held(place) as place:
        at = {name: os.path.join(place.temp, name) for name in ("apps", "git", "other", "bin", "devops.toml")}
        for name in "apps", "git", "bin":
            os.mkdir(at[name])
        # Programs stand where this machine has them; systemd's two are stand-ins.
        for name, text in ("systemctl", UNIT), ("journalctl", "#!/bin/sh\nprintf 'listening\\n'\n"):
            script(os.path.join(at["bin"], name), text)
            given = given.replace(f"/usr/bin/{name}", os.path.join(at["bin"], name))
        given = given.replace("/usr/bin/git", os.path.realpath(shutil.which("git")))
        # What `health` runs here, as the policy says.
        given = given.replace('"/usr/bin/sh"', f'"/usr/bin/sh", "{shutil.which("test")}"')
        given = given.replace("/srv/smcp", at["apps"])
        repository(at["git"])
        with Daemon(place, environment={"PATH": f"{at['bin']}:{os.environ['PATH']}"}) as daemon:
            hidden = os.path.join(daemon.directory, "config", "smcp", "devops.toml")
            os.makedirs(os.path.dirname(hidden), exist_ok=True)
            given = given.replace("/etc/smcp/devops.toml", hidden)
            variables = f'env = {{ DEVOPS_CONFIG = "{hidden}" }}\n'
            with open(daemon.config, "w", encoding="utf-8") as file:
                file.write("[plugin.devops]\n" + variables + given)
            expect(daemon.ctl("reload").returncode == 0, daemon.said())
            linked = daemon.ctl("plugin", "link", os.path.join(place.root, "plugins/devops"))
            expect(linked.returncode == 0, linked)
            expect(daemon.call("devops.status")["structuredContent"]["apps"] == [], "apps")
            # It comes to be, and is replaced, between calls.
            for _ in range(2):
                script(hidden + ".new", APPS.format(**at))
                os.rename(hidden + ".new", hidden)
                expect(len(daemon.call("devops.apps")["structuredContent"]["apps"]) == 2, "apps")
            for version, outcome in ("v1", "deployed"), ("v2", "deployed"), ("v2", "unchanged"):
                result = daemon.call("devops.deploy", {"app_name": "web", "version": version})
                expect(not result["isError"] and result["structuredContent"]["outcome"] == outcome, result)
            result = daemon.call("devops.rollback", {"app_name": "web"})
            expect(result["structuredContent"]["version"] == "v1", result)
            for name in "status", "history", "logs":
                result = daemon.call(f"devops.{name}", {"app_name": "web"})
                expect(not result["isError"], result)
            expect("listening" in json.dumps(result), result)
            with open(os.path.join(at["apps"], "web/current/migrated")) as file:
                expect(file.read() == "yes\n", "another hook")
            result = daemon.call("devops.deploy", {"app_name": "other"})
            expect(result["isError"] and "Permission denied" in json.dumps(result), result)
            expect(not os.path.exists(at["other"]), "it is there")


def repository(path):
    """Two releases of an app, with the hooks that `APPS` names."""
    names = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    variables = {**os.environ, **dict.fromkeys(names, "dev@git.example")}

    def git(*words):
        subprocess.run(["git", "-C", path, *words], env=variables, check=True, capture_output=True, timeout=60)

    git("init", "--quiet", "--initial-branch=main")
    script(os.path.join(path, "build.sh"), "echo built >built\n")
    script(os.path.join(path, "manage"), "#!/bin/sh\necho yes >migrated\n")
    for version in "v1", "v2":
        script(os.path.join(path, "version"), version)
        git("add", "--all")
        git("commit", "--quiet", "--message", version)
        git("tag", version)
