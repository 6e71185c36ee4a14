"""Runs a command of the shell on a terminal of its own: on_terminal.py COLUMNS COMMAND. Prints what it wrote there."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

columns, command = int(sys.argv[1]), sys.argv[2]
ours, theirs = pty.openpty()
fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
child = subprocess.Popen(["sh", "-c", command], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
os.close(theirs)
said = b""
while True:
    try:
        more = os.read(ours, 65536)
    except OSError:
        # Nobody has the other side any more.
        break
    if not more:
        break
    said += more
sys.stdout.buffer.write(said.replace(b"\r\n", b"\n"))
sys.exit(child.wait())
