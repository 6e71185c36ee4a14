# spare: argv
import signal
import sys

print({int(number): str(signal.getsignal(number)) for number in range(1, 32)})
print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
signal.signal(signal.SIGUSR1, lambda *_: print("usr1", sys.argv))
signal.raise_signal(signal.SIGUSR1)
signal.signal(signal.SIGALRM, lambda *_: sys.exit(5))
signal.setitimer(signal.ITIMER_REAL, 0.05)
signal.pause()
