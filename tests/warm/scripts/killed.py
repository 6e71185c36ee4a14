# spare: argv
import os
import signal
import sys

print(sys.argv, flush=True)
os.kill(os.getpid(), signal.SIGTERM)
