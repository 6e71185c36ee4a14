"""What the operator may write, and what each mistake is told."""

import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from .bench import toml
from config import Config, valid_version
from trouble import Trouble

DIGEST = "registry.invalid/web@sha256:" + "a" * 64
GOOD = {"source": {"directory": "/srv/web"}}

WRONG = [
    ({}, "needs a source"),
    ({**GOOD, "colour": 1}, "colour is not known"),
    ({"source": {"git": "/a", "tarball": "/b"}}, "exactly one of"),
    ({"source": {"git": "ext::sh -c true"}}, "it has to be https://"),
    ({"source": {"git": "--upload-pack=x"}}, "it has to be https://"),
    ({"source": {"git": "https://-x/y"}}, "it has to be https://"),
    ({"source": {"git": "ssh://-oProxyCommand=x/y"}}, "it has to be https://"),
    ({"source": {"git": "https://user:word@host/x"}}, "password"),
    ({"source": {"git": "/a", "ref": "-x"}}, "not a version"),
    ({"source": {"directory": "srv"}}, "absolute path"),
    ({"source": {"directory": "/srv/../etc"}}, "without `..`"),
    ({"source": {"image": "web:latest"}}, "by its digest"),
    ({**GOOD, "root": "/"}, "absolute path"),
    ({**GOOD, "keep": 1}, "from 2"),
    ({**GOOD, "keep": True}, "from 2"),
    ({**GOOD, "shared": ["../x"]}, "without `..`"),
    ({**GOOD, "shared": ["/etc"]}, "without `..`"),
    ({**GOOD, "shared": ["a", "a/b"]}, "shared too"),
    ({**GOOD, "build": ["make"]}, "a list of words"),
    ({**GOOD, "build": [[]]}, "a list of words"),
    ({**GOOD, "build_timeout": 0}, "seconds"),
    ({**GOOD, "units": ["-x.service"]}, "name of a unit"),
    ({**GOOD, "units": ["web"]}, "name of a unit"),
    ({**GOOD, "units": ["a/../b.service"]}, "name of a unit"),
    ({**GOOD, "variables": {"DEVOPS_APP": "x"}}, "variable's name"),
    ({**GOOD, "health": {"http": "file:///etc/passwd"}}, "address"),
    ({**GOOD, "health": {"tcp": "host"}}, "HOST:PORT"),
    ({**GOOD, "health": {"tcp": "host:1", "http": "http://x"}}, "exactly one of"),
    ({**GOOD, "environments": {"staging": {"root": "/x"}}}, "one root"),
    ({**GOOD, "environments": {"staging": {"keep": 0}}}, "environments.staging.keep"),
    ({**GOOD, "environments": {"-x": {}}}, "environment's name"),
]


class TheFile(unittest.TestCase):
    def load(self, apps):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "devops.toml")
            path.write_text("".join(f"[apps]\n{toml(name)} = {toml(app)}\n" for name, app in apps.items()))
            return Config.load(path)

    def test_every_mistake_is_named(self):
        for app, text in WRONG:
            with self.subTest(app), self.assertRaises(Trouble) as caught:
                self.load({"web": app})
            self.assertIn(text, str(caught.exception))

    def test_names_of_apps(self):
        for name in ("-x", "../x", "a b", "", "a/b", "x" * 65):
            with self.subTest(name), self.assertRaises(Trouble):
                self.load({name: GOOD})

    def test_an_environment_goes_over_the_apps_own(self):
        config = self.load({"web": {**GOOD, "keep": 3, "environments": {"staging": {"keep": 9, "units": ["w.service"]}}}})
        self.assertEqual((config.settings("web").keep, config.settings("web").units), (3, ()))
        staging = config.settings("web", "staging")
        self.assertEqual((staging.keep, staging.units, staging.root), (9, ("w.service",), config.settings("web").root))
        with self.assertRaisesRegex(Trouble, "no environment `live`; it has: `staging`"):
            config.settings("web", "live")

    def test_sources_and_checks(self):
        for source in ({"git": "https://host/x.git", "ref": "v1"}, {"git": "git@host:x.git"}, {"git": "ssh://git@host:22/x"},
                       {"tarball": "/srv/{version}.tar.gz", "strip": 1}, {"image": DIGEST}):
            self.load({"web": {"source": source}})
        health = self.load({"web": {**GOOD, "health": {"tcp": "[::1]:80", "retries": 0}}}).settings("web").health
        self.assertEqual((health.target, health.retries), (("::1", 80), 0))

    def test_without_a_reader_of_toml(self):
        with mock.patch.dict(sys.modules, {"tomllib": None, "tomli": None}), self.assertRaisesRegex(Trouble, "needs `tomli`"):
            self.load({"web": GOOD})

    def test_versions(self):
        for version in ("v1.2.3", "main", "feature/x", "sha256:abc", "a@b", "1.0+2"):
            self.assertEqual(valid_version(version), version)
        for version in ("", "-x", "--upload-pack=x", "a..b", "../x", "a b", "a//b", "a@{1}", "a/", "a\n", "x" * 300, ".x", "/x"):
            with self.subTest(version), self.assertRaises(Trouble):
                valid_version(version)
