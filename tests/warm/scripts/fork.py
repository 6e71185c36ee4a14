# spare: argv
import atexit
import os
import sys

sys.argv.append("more")
atexit.register(lambda: print("atexit"))
pid = os.fork()
if pid == 0:
    print("child", sys.argv[1:])
    sys.exit(3)
print("parent", os.WEXITSTATUS(os.waitpid(pid, 0)[1]))
