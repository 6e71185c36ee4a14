"""Which functions a program enters, with its threads, and with its children until they become other programs.

Each function has a breakpoint, which is taken out where it is met first, so that the program runs nearly as fast as
alone. Each process has its own, since a child begins with its parent's. `NEXT`, a signal that the program does not get to
see, puts all of them in again: what is entered from then on is counted anew. For x86-64.
"""

import ctypes
import os
import signal

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long
TRACEME, PEEKUSER, POKEUSER, CONT, DETACH, SETOPTIONS = 0, 3, 6, 7, 17, 0x4200
# Children of fork and vfork, threads, an event at each exec; and all of them end where their tracer does.
OPTIONS = 0x2 | 0x4 | 0x8 | 0x10 | 0x100000
EXEC_EVENT = 4
NEXT = signal.SIGURG
# Where PEEKUSER finds the address that a thread stands at.
RIP = 16 * 8
BREAKPOINT = b"\xcc"
# Has waitpid tell of threads too.
WALL = 0x40000000


def ptrace(request, pid, address=0, data=0):
    ctypes.set_errno(0)
    value = LIBC.ptrace(request, pid, address, data)
    if value == -1 and (error := ctypes.get_errno()):
        raise OSError(error, os.strerror(error))
    return value


class Tracer:
    """A program that runs until it is told to end. Functions are known by their addresses in the file."""

    def __init__(self, argv, environment, directory, functions):
        self.functions = functions
        # A set for each time that they were put in.
        self.entered = [set()]
        # By address: the byte that a breakpoint took the place of, and the function.
        self.original = {}
        self.path = os.path.realpath(argv[0])
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.chdir(directory)
                ptrace(TRACEME, 0)
                os.execve(argv[0], argv, environment)
            finally:
                os._exit(127)
        os.waitpid(self.pid, 0)
        ptrace(SETOPTIONS, self.pid, 0, OPTIONS)
        self.arm()
        ptrace(CONT, self.pid)

    def arm(self):
        """Puts the breakpoints into the program, which stands before its first instruction."""
        with open(f"/proc/{self.pid}/maps") as file:
            base = next(int(line.split("-")[0], 16) for line in file if line.rstrip().endswith(self.path))
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            for function in self.functions:
                memory.seek(base + function)
                self.original[base + function] = memory.read(1), function
        self.put(self.original)

    def put(self, addresses):
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            for address in addresses:
                memory.seek(address)
                memory.write(BREAKPOINT)

    def run(self):
        """Until the program has ended."""
        while True:
            tid, status = os.waitpid(-1, WALL)
            if not os.WIFSTOPPED(status):
                if tid == self.pid:
                    return status
                continue
            try:
                self.stopped(tid, os.WSTOPSIG(status), status >> 16)
            except ProcessLookupError:
                pass

    def stopped(self, tid, number, event):
        if event == EXEC_EVENT:
            # Another program, without our breakpoints.
            ptrace(DETACH, tid)
        elif event:
            ptrace(CONT, tid)
        elif number == signal.SIGTRAP:
            self.met(tid)
            ptrace(CONT, tid)
        elif number == NEXT:
            self.entered.append(set())
            self.put(self.original)
            ptrace(CONT, tid)
        else:
            # Each thread and child begins with a SIGSTOP that only its tracer is to see.
            ptrace(CONT, tid, 0, 0 if number == signal.SIGSTOP else number)

    def met(self, tid):
        address = ptrace(PEEKUSER, tid, RIP) - 1
        if address not in self.original:
            return
        byte, function = self.original[address]
        self.entered[-1].add(function)
        with open(f"/proc/{tid}/mem", "r+b", buffering=0) as memory:
            memory.seek(address)
            memory.write(byte)
        ptrace(POKEUSER, tid, RIP, address)
