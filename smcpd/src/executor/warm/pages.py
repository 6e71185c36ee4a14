"""A warm worker's program, part 5 of 8: the pages that a call will write to (see waiting.py for the order).

A page that two processes share since a fork is copied when one of them writes to it, in a fault of its own: a call that
does little has three hundred, which is half of what it takes. All spares of one model write to nearly the same ones. So
the first of them that ends notes which, in memory that they share, and those after it have the kernel copy them before
their call is there.

A page too many or too few does no harm, and what a system does not have (Linux before 5.14) is left out. Nothing here
goes by a function that a plugin could have replaced, or hears of.
"""

import os

import ctypes

LARGEST = 32 << 20  # bytes of a mapping that is looked through
MOST = 1024  # pages that a spare has ahead of its call
POPULATE_WRITE = 23  # of madvise
PRESENT, OF_FILE, ALONE = 1 << 63, 1 << 61, 1 << 56  # /proc/PID/pagemap
SHARED = 0x21  # MAP_SHARED | MAP_ANONYMOUS

pages = None  # of a model, and of what is forked from it


class Pages:
    """What spares of one model know: a number, 0 until one has noted; then one for each piece, and its start and length."""

    def __init__(self, libc):
        self.open, self.pread, self.close, self.madvise = libc.open, libc.pread, libc.close, libc.madvise
        word, size = ctypes.c_size_t, (1 + 2 * MOST) * ctypes.sizeof(ctypes.c_size_t)
        libc.mmap.argtypes = word, word, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_ssize_t
        libc.mmap.restype = self.pread.restype = ctypes.c_ssize_t
        self.pread.argtypes = ctypes.c_int, ctypes.c_void_p, word, ctypes.c_longlong
        self.madvise.argtypes = word, word, ctypes.c_int
        at = libc.mmap(0, size, 3, SHARED, -1, 0)
        can = at != -1 and self.madvise(at, PAGE, POPULATE_WRITE) == 0
        self.noted = (word * (1 + 2 * MOST)).from_address(at) if can else None

    def take(self):
        """Has the pages made this process's own, where it is known which."""
        if self.noted is not None:
            noted, madvise = self.noted, self.madvise
            for at in range(1, 2 * noted[0] - 1, 2):
                madvise(noted[at], noted[at + 1], POPULATE_WRITE)

    def note(self):
        """Notes which pages have become this process's own since its fork, unless it is known."""
        if self.noted is None or self.noted[0]:
            return
        self.noted[0] = 1  # it is tried once
        pieces = list(self.pieces())
        if sum(length for _, length in pieces) > MOST * PAGE:
            pieces = []
        for at, piece in enumerate(pieces):
            self.noted[2 * at + 1 : 2 * at + 3] = piece
        self.noted[0] = 1 + len(pieces)

    def pieces(self):
        """Yields where this process's own pages are, of private memory that may be written to."""
        for line in self.contents(b"/proc/self/maps", 0, 1 << 20).splitlines():
            where, rights = line.split()[:2]
            first, end = (int(address, 16) // PAGE for address in where.split(b"-"))
            if rights != b"rw-p" or (end - first) * PAGE > LARGEST:
                continue
            found, begun = self.contents(b"/proc/self/pagemap", 8 * first, 8 * (end - first)), None
            for page, flags in enumerate(memoryview(found).cast("Q"), first):
                if flags & (PRESENT | ALONE | OF_FILE) == PRESENT | ALONE:
                    begun = page if begun is None else begun
                elif begun is not None:
                    yield begun * PAGE, (page - begun) * PAGE
                    begun = None
            if begun is not None:
                yield begun * PAGE, (end - begun) * PAGE

    def contents(self, path, at, length):
        """Reads of a file of the kernel's, which gives a part at a time."""
        file = self.open(path, os.O_RDONLY | os.O_CLOEXEC)
        pieces, part = [], ctypes.create_string_buffer(min(length, 1 << 16))
        while length > 0:
            got = self.pread(file, part, min(length, len(part)), at)
            if got <= 0:
                break
            pieces.append(part.raw[:got])
            at, length = at + got, length - got
        self.close(file)
        return b"".join(pieces)
