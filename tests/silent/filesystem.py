"""A read-only file system of one directory, over FUSE: `filesystem.py SOURCE MOUNTPOINT`.

It answers each look anew, so that whoever looks while it is stopped (SIGSTOP) waits for it, as for a server of NFS that is
gone. Only root may mount it.
"""

import ctypes
import errno
import os
import struct
import sys

MS_NOSUID_NODEV = 2 | 4
# Requests, by their numbers in linux/fuse.h.
LOOKUP, FORGET, GETATTR, READLINK, OPEN, READ, STATFS, RELEASE, FLUSH = 1, 2, 3, 5, 14, 15, 17, 18, 25
INIT, OPENDIR, READDIR, RELEASEDIR, ACCESS, INTERRUPT, BATCH_FORGET = 26, 27, 28, 29, 34, 36, 42
HEAD = struct.Struct("<IIQQ16x")


class Filesystem:
    def __init__(self, source, point):
        self.device = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"silent", point.encode(), b"fuse", MS_NOSUID_NODEV, options.encode()):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self.paths, self.nodes = {1: source}, {source: 1}

    def node(self, path):
        number = self.nodes.setdefault(path, len(self.nodes) + 1)
        self.paths[number] = path
        return number

    def attributes(self, path):
        found = os.lstat(path)
        second = 10**9
        return struct.pack(
            "<6Q10I", self.node(path), found.st_size, found.st_blocks,
            *(time // second for time in (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)),
            *(time % second for time in (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)),
            found.st_mode, found.st_nlink, found.st_uid, found.st_gid, 0, 4096, 0,
        )

    def entries(self, path, offset, size):
        said = b""
        for number, name in enumerate([".", "..", *sorted(os.listdir(path))]):
            name = name.encode()
            entry = struct.pack("<QQII", 1, number + 1, len(name), 0) + name
            entry += b"\0" * (-len(entry) % 8)
            if number >= offset:
                if len(said) + len(entry) > size:
                    break
                said += entry
        return said

    def answer(self, request, path, body):
        """Returns what is said to a request; nothing where none is waited for."""
        if request == INIT:
            return struct.pack("<4I2H2I2H8I", 7, 31, 1 << 16, 0, 12, 9, 1 << 16, 1, 16, 0, *[0] * 8)
        if request == LOOKUP:
            path = os.path.join(path, body.rstrip(b"\0").decode())
            attributes = self.attributes(path)
            return struct.pack("<4Q2I", self.node(path), 0, 0, 0, 0, 0) + attributes
        if request == GETATTR:
            return struct.pack("<Q2I", 0, 0, 0) + self.attributes(path)
        if request == READLINK:
            return os.readlink(path).encode()
        if request in (OPEN, OPENDIR):
            return struct.pack("<Q2I", 0, 0, 0)
        if request == READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            with open(path, "rb") as file:
                return os.pread(file.fileno(), size, offset)
        if request == READDIR:
            _, offset, size = struct.unpack_from("<QQI", body)
            return self.entries(path, offset, size)
        if request in (RELEASE, FLUSH, RELEASEDIR, ACCESS):
            return b""
        if request == STATFS:
            return b"\0" * 80
        if request in (FORGET, BATCH_FORGET, INTERRUPT):
            return None
        raise OSError(errno.ENOSYS, "not here")

    def serve(self):
        while True:
            try:
                message = os.read(self.device, 1 << 18)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return  # unmounted
                continue
            _, request, unique, node = HEAD.unpack_from(message)
            said, failed = b"", 0
            try:
                said = self.answer(request, self.paths.get(node), message[HEAD.size:])
            except OSError as error:
                failed = error.errno or errno.EIO
            if said is not None:
                try:
                    os.write(self.device, struct.pack("<IiQ", 16 + len(said), -failed, unique) + said)
                except FileNotFoundError:
                    pass  # nobody waits for it any more


if __name__ == "__main__":
    filesystem = Filesystem(*sys.argv[1:])
    print("mounted", flush=True)
    filesystem.serve()
