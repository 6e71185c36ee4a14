# spare: event os.fork
import os
import sys

pid = os.fork()
if pid:
    os.waitpid(pid, 0)
print("child" if pid == 0 else "parent", sys.argv)
