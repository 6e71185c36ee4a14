# spare: event
import signal
import sys

signal.signal(signal.SIGALRM, lambda *_: sys.exit(5))
signal.setitimer(signal.ITIMER_REAL, 0.5)
print(len(sys.argv))
signal.pause()
