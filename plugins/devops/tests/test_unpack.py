"""Archives that were made to do harm."""

import io
import os
import tarfile
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from . import bench
import unpack
from trouble import Trouble


def member(name, kind=tarfile.REGTYPE, link="", mode=0o644):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = kind, link, mode
    return entry


def archive(*members):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as file:
        for entry in members:
            text = b"text" if entry.isfile() else b""
            entry.size = len(text)
            file.addfile(entry, io.BytesIO(text))
    made.seek(0)
    return made


HARMFUL = [
    ("absolute", [member("/etc/x")]),
    ("up", [member("../x")]),
    ("up, inside", [member("a/../../x")]),
    ("a link out", [member("l", tarfile.SYMTYPE, "../../etc")]),
    ("a link to the root", [member("l", tarfile.SYMTYPE, "/etc/passwd")]),
    ("a link through a link", [member("s/up", tarfile.SYMTYPE, ".."), member("l", tarfile.SYMTYPE, "s/up/../..")]),
    ("behind a link", [member("l", tarfile.SYMTYPE, "."), member("l/x")]),
    ("over a link", [member("l", tarfile.SYMTYPE, "y"), member("l")]),
    ("a hard link out", [member("l", tarfile.LNKTYPE, "../x")]),
    ("a hard link to the root", [member("l", tarfile.LNKTYPE, "/etc/passwd")]),
    ("a device", [member("d", tarfile.CHRTYPE)]),
    ("a block device", [member("d", tarfile.BLKTYPE)]),
    ("a pipe", [member("p", tarfile.FIFOTYPE)]),
]


class Unpack(unittest.TestCase):
    def setUp(self):
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.outer = Path(made.name)
        self.directory = self.outer / "in"
        self.directory.mkdir()

    def refuse_all(self):
        for what, members in HARMFUL:
            with self.subTest(what), self.assertRaises(Trouble):
                unpack.unpack(archive(*members), self.directory)
            self.assertEqual(os.listdir(self.outer), ["in"])
            unpack.remove(self.directory)
            self.directory.mkdir()

    def test_harm_is_refused(self):
        self.refuse_all()

    @unittest.skipUnless(hasattr(tarfile, "data_filter"), "this Python has no filter to do without")
    def test_harm_is_refused_without_pythons_filter(self):
        with mock.patch.object(tarfile, "data_filter"):
            del tarfile.data_filter
            self.refuse_all()

    def test_what_is_well_is_laid(self):
        made = archive(member("top/d", tarfile.DIRTYPE, mode=0o500), member("top/d/run", mode=0o4755),
                       member("top/link", tarfile.SYMTYPE, "d/run"), member("top/hard", tarfile.LNKTYPE, "top/d/run", 0o755))
        unpack.unpack(made, self.directory, 1)
        self.assertEqual(sorted(os.listdir(self.directory)), ["d", "hard", "link"])
        self.assertEqual((self.directory / "link").read_text(), "text")
        self.assertEqual(os.stat(self.directory / "d/run").st_mode & 0o7777, 0o755)

    def test_a_broken_archive(self):
        whole = archive(member("a"), member("b")).getvalue()
        for data in (b"", b"nonsense", whole[: len(whole) // 2]):
            with self.assertRaisesRegex(Trouble, "cannot unpack"):
                unpack.unpack(io.BytesIO(data), self.directory)

    def test_a_tree_is_copied_and_summed(self):
        (self.directory / "sub").mkdir()
        (self.directory / "sub/file").write_text("x")
        os.symlink("sub/file", self.directory / "link")
        (self.directory / ".git").mkdir()
        copy = self.outer / "copy"
        copy.mkdir()
        unpack.copy(self.directory, copy)
        self.assertEqual(unpack.digest(copy), unpack.digest(self.directory))
        self.assertFalse((copy / ".git").exists())
        (copy / "sub/file").chmod(0o755)
        self.assertNotEqual(unpack.digest(copy), unpack.digest(self.directory))
        os.symlink("../..", copy / "sub/out")
        with self.assertRaisesRegex(Trouble, "leads out"):
            unpack.digest(copy)

    def test_what_may_not_be_written_to_is_removed_too(self):
        (self.directory / "sub").mkdir()
        (self.directory / "sub/file").write_text("x")
        (self.directory / "sub").chmod(0o500)
        unpack.remove(self.directory)
        self.assertFalse(self.directory.exists())
        unpack.remove(self.directory)
