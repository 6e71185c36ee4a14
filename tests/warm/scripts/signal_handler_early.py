# spare: argv
import os
import signal
import sys

signal.signal(signal.SIGTERM, lambda *_: print("term", sys.argv))
count = len(sys.argv)
os.kill(os.getpid(), signal.SIGTERM)
print(count)
