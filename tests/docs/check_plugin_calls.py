"""The calls that the README of promptyoself shows, with a fake of Letta. Those of devops want a host: `tests/rig/run`."""

import datetime
import importlib.util
import os
import re
import shlex
import subprocess
import time

from daemon import Daemon, expect, held
from policies import policy
from shown import play


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def check_promptyoself_answers_as_shown(place):
    page = read(place.root, "plugins/promptyoself/README.md")
    path = os.path.join(place.root, "plugins/promptyoself/tests/fake_letta.py")
    specification = importlib.util.spec_from_file_location("fake_letta", path)
    fakes = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(fakes)
    with fakes.FakeLetta() as fake:
        fake.agents[:] = [{"id": "agent-0123", "name": "ada"}]
        # As "Set-up" has it, with the address and the key of the fake.
        config = re.search(r"^ +(\[plugin\.promptyoself\])\n +(env = .*)$", page, re.MULTILINE)
        config = f"{config[1]}\n{config[2]}\n".replace("http://127.0.0.1:8283", fake.url).replace("…", fakes.KEY)
        # And held as "Sandbox" has it.
        port = fake.url.rpartition(":")[2]
        config += policy(place, "promptyoself").replace("8283", port)
        with held(place) as place, Daemon(place, {"promptyoself": "plugins/promptyoself"}, config=config) as daemon:
            steps = Steps(daemon, fake)
            before = {name: getattr(steps, name) for name in ("show", "cancel", "execute", "history", "test", "upload")}
            # Cron schedules alone want a library.
            cron, every = 'cron="0 9 * * 1-5" timezone=Europe/Berlin', "every=1d"
            if not croniter(place):
                words = ["agent-id=agent-0123", "prompt=x", *shlex.split(cron)]
                refused = daemon.ctl("call", "promptyoself.register", *words)
                expect(refused.returncode == 10 and "croniter" in refused.stdout, refused.stdout)
                page = page.replace(cron, every).replace('"cron": "0 9 * * 1-5",', '"every": "1d",')
                page = page.replace('"timezone": "Europe/Berlin"', '"timezone": "UTC"')
            count = play(daemon, page, before)
        expect(count == 9, count)
        expect(not fake.wrong, fake.wrong)


def croniter(place):
    return subprocess.run([place.python, "-c", "import croniter"], stderr=subprocess.DEVNULL).returncode == 0


class Steps:
    """What has happened before a call of promptyoself's README."""

    def __init__(self, daemon, fake):
        self.daemon, self.fake = daemon, fake

    def call(self, command, **arguments):
        result = self.daemon.call(f"promptyoself__{command}", arguments)
        expect(not result["isError"], result)
        return result["structuredContent"]

    def due(self, **more):
        """Registers a prompt that is due when this returns."""
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=4)
        times = {"time": soon.isoformat()} if "every" not in more else {"start_at": soon.isoformat()}
        found = self.call("register", prompt="Hello", **{"agent_id": "agent-0123", **times, **more})
        # A machine under load may have taken a while to register it.
        time.sleep(max(0.0, (soon - datetime.datetime.now(datetime.timezone.utc)).total_seconds()) + 1)
        return found

    def show(self):
        self.due(every="1h", max_repetitions=1)
        self.call("execute")

    def cancel(self):
        pass

    def execute(self):
        self.due()

    def history(self):
        gone = self.fake.agents.pop()
        self.due(skip_validation=True)
        self.call("execute")
        self.fake.agents.append(gone)

    def test(self):
        expect(len(self.fake.messages) == 2, self.fake.messages)

    def upload(self):
        with open(os.path.join(self.daemon.directory, "roll.py"), "w", encoding="utf-8") as file:
            file.write('def roll():\n    """Rolls a die."""\n    return 4\n')


SYSTEMCTL = r"""#!/bin/sh
[ "$1" != show ] || printf 'LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=4242\nNRestarts=0\n'
"""
JOURNALCTL = "#!/bin/sh\nprintf 'listening on 8080\\nGET /healthz 200\\n'\n"
