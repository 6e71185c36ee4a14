#!/usr/bin/env python3
"""Opens sockets as a service manager does, and becomes the program that they are for.

ACTIVATE_PROGRAM is that program, ACTIVATE_DIR a directory for Unix sockets, ACTIVATE the names in their order:
`control:call:http`; `NAME=ADDRESS:PORT` is a TCP socket of another address, `NAME=PATH` a Unix socket of that path.
"""

import os
import socket
import sys
import time

names = []
sockets = []
for number, word in enumerate(os.environ["ACTIVATE"].split(",")):
    name, _, where = word.partition("=")
    host, colon, port = where.rpartition(":")
    if name == "http" or colon:
        opened = socket.socket(socket.AF_INET)
        opened.bind((host or "127.0.0.1", int(port or 0)))
    else:
        opened = socket.socket(socket.AF_UNIX)
        opened.bind(where or os.path.join(os.environ["ACTIVATE_DIR"], name + ".sock"))
    opened.listen(16)
    names.append(name)
    sockets.append(opened)
# First out of the way, since their numbers may be those that are wanted.
moved = [os.dup(opened.fileno()) for opened in sockets]
moved = [os.dup2(number, 50 + at) for at, number in enumerate(moved)]
for at, number in enumerate(moved):
    os.dup2(number, 3 + at, inheritable=True)
os.closerange(3 + len(moved), 100)
os.environ.update(LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=":".join(names), LISTEN_PID=str(os.getpid()))
# Sockets that are the service manager's stay open when the daemon has ended.
daemon = os.getpid()
if os.fork() == 0:
    while os.getppid() == daemon:
        time.sleep(0.05)
    os._exit(0)
program = os.environ["ACTIVATE_PROGRAM"]
os.execv(program, [program] + sys.argv[1:])
