# spare: argv
"""Asks for translations before and after it looks at its arguments; some are there only then."""

import gettext
import os
import struct
import sys
import tempfile


def catalogue(original, translated):
    """Returns the bytes of a .mo file with one message."""
    one, two = original.encode() + b"\0", translated.encode() + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, 1, 28, 36, 0, 44)
    return head + struct.pack("<4I", len(one) - 1, 44, len(two) - 1, 44 + len(one)) + one + two


def show(when):
    found = gettext.find("messages"), gettext.find("messages", all=True), gettext.gettext("usage: ")
    print(when, *found, gettext.find.__name__, gettext.find.__module__, gettext.find.__doc__)


show("early")
os.environ["LANGUAGE"] = "xx:yy"
show("another language")
del os.environ["LANGUAGE"]
kept = gettext.find
words = sys.argv[1:]
with tempfile.TemporaryDirectory() as directory:
    place = os.path.join(directory, "xx", "LC_MESSAGES")
    os.makedirs(place)
    with open(os.path.join(place, "messages.mo"), "wb") as file:
        file.write(catalogue("usage: ", "xx: "))
    gettext._default_localedir = directory
    for language in "yy", "xx":
        os.environ["LANGUAGE"] = language
        print(gettext.gettext("usage: "), kept("messages") is None, len(kept("messages", all=True)), kept.__name__)
print(words)
