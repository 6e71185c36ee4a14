import _socket, marshal, posix
control = _socket.socket(fileno=0)
read = lambda length: control.recv(length, _socket.MSG_WAITALL)
source = read(int.from_bytes(read(4), "little"))
ends = posix.pipe()
if not posix.fork():
    # In a process of its own: what compiling takes of memory would be copied for each call.
    with open(ends[1], "wb") as file:
        marshal.dump(compile(source, "<smcp>", "exec"), file)
    posix._exit(0)
posix.close(ends[1])
with open(ends[0], "rb") as file:
    code = marshal.load(file)
posix.wait()
del source, file
exec(code, {"__name__": "smcp", "control": control})
