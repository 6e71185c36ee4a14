"""Releases from git, tarballs and images."""

import io
import tarfile

from .bench import OnHost, program, tree

PODMAN = '#!/bin/sh\necho "$*" >>"$HOST/podman"; [ ! -e "$HOST/podman-fails" ] || { echo no route; exit 125; }\n'


class Git(OnHost):
    def test_branches_tags_and_commits(self):
        one = self.host.repository("one")
        self.host.git("tag", "--annotate", "--message=x", "v1")
        self.host.configure(build=[["sh", "-c", "test ! -e .git"]])
        answer = self.host.deploy()
        self.assertEqual((answer["revision"], answer["version"], self.host.runs()), (one, "main", "one"))
        two = self.host.commit("two")
        self.assertEqual((self.host.deploy()["revision"], self.host.runs()), (two, "two"))
        self.assertEqual((self.host.deploy("--version=v1")["revision"], self.host.runs()), (one, "one"))
        self.assertEqual((self.host.deploy(f"--version={two}")["revision"], self.host.runs()), (two, "two"))
        self.host.git("branch", "feature/x", "v1")
        self.assertEqual(self.host.deploy("--version=feature/x")["revision"], one)
        self.assertIn("has no branch or tag `nine`", self.host.error("deploy", "--app-name=web", "--version=nine")["error"])
        self.assertIn("has the commit", self.host.error("deploy", "--app-name=web", "--version=" + "a" * 40)["error"])
        self.assertEqual(self.host.runs(), "one")

    def test_a_branch_that_was_forced(self):
        self.host.repository("one")
        self.host.configure()
        self.host.deploy()
        self.host.write("other")
        self.host.git("commit", "--quiet", "--all", "--amend", "--message=x")
        self.host.deploy()
        self.assertEqual(self.host.runs(), "other")

    def test_a_dry_run_touches_nothing(self):
        commit = self.host.repository("one")
        self.host.configure()
        before = tree(self.host.home)
        self.assertEqual(self.host.deploy("--dry-run")["revision"], commit)
        self.assertEqual(tree(self.host.home), before)

    def test_what_cannot_be_reached(self):
        self.host.configure(source={"git": str(self.host.home / "nothing")})
        self.assertIn("cannot ask", self.host.error("deploy", "--app-name=web")["error"])

    def test_a_cache_that_is_broken_is_made_again(self):
        self.host.repository("one")
        self.host.configure()
        self.host.deploy()
        (self.host.root / ".devops/cache/repository.git/HEAD").write_text("nonsense")
        self.host.commit("two")
        self.host.run("deploy", "--app-name=web")
        self.host.deploy()
        self.assertEqual(self.host.runs(), "two")


class Tarball(OnHost):
    def make(self, name, version, *more):
        with tarfile.open(self.host.home / name, "w:gz") as file:
            entry = tarfile.TarInfo("web/version")
            entry.size = len(version)
            file.addfile(entry, io.BytesIO(version.encode()))
            for member in more:
                file.addfile(member)

    def test_versions_by_name(self):
        self.make("web-1.tar.gz", "one")
        self.make("web-2.tar.gz", "two")
        self.host.configure(source={"tarball": str(self.host.home / "web-{version}.tar.gz"), "strip": 1})
        for version, text in (("1", "one"), ("2", "two")):
            self.assertEqual(self.host.deploy("--version", version)["version"], version)
            self.assertEqual(self.host.runs(), text)
        self.host.answer("rollback", "--app-name=web", "--version=1")
        self.assertEqual(self.host.runs(), "one")
        for argv, text in (([], "say which"), (["--version=3"], "cannot read the tarball"), (["--version=a/b"], "has a `/`")):
            self.assertIn(text, self.host.error("deploy", "--app-name=web", *argv)["error"])

    def test_a_harmful_one_leaves_what_runs(self):
        self.make("web.tar.gz", "one")
        self.host.configure(source={"tarball": str(self.host.home / "web.tar.gz"), "strip": 1})
        self.host.deploy()
        self.make("web.tar.gz", "two", tarfile.TarInfo("web/../../x"))
        self.assertIn("not safe", self.host.error("deploy", "--app-name=web")["error"])
        self.assertEqual((self.host.runs(), len(self.host.releases())), ("one", 1))
        self.assertIn("no {version}", self.host.error("deploy", "--app-name=web", "--version=2")["error"])


class Image(OnHost):
    def test_an_image_is_pulled_and_named_to_the_unit(self):
        name = "registry.invalid/web"
        program(self.host.bin / "podman", PODMAN)
        self.host.configure(source={"image": f"{name}@sha256:{'a' * 64}"})
        self.host.deploy()
        read = lambda: (self.host.root / "current/image.env").read_text()
        self.assertEqual(read(), f"IMAGE={name}@sha256:{'a' * 64}\n")
        other = "sha256:" + "b" * 64
        self.host.deploy(f"--version={other}")
        self.assertEqual(read(), f"IMAGE={name}@{other}\n")
        self.assertEqual((self.host.home / "podman").read_text().splitlines()[1], f"pull --quiet {name}@{other}")
        self.assertIn("named by its digest", self.host.error("deploy", "--app-name=web", "--version=latest")["error"])
        (self.host.home / "podman-fails").touch()
        self.assertIn("no route", self.host.error("deploy", "--app-name=web")["error"])
        self.assertEqual(read(), f"IMAGE={name}@{other}\n")
