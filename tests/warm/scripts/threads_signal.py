# spare: argv
import os
import signal
import sys
import threading

words, heard = sys.argv[1:], []
signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
main = threading.main_thread()
# The C library has the thread's number from the fork.
thread = threading.Thread(target=signal.pthread_kill, args=(main.ident, signal.SIGUSR1))
thread.start()
thread.join()
print(words, heard, threading.get_native_id() == os.getpid(), main is threading.current_thread())
print(main.native_id == os.getpid(), os.getpgrp() == os.getpid(), os.getsid(0) != os.getpid())
child = os.fork()
if child == 0:
    os.abort()
print(os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGABRT)
try:
    os.wait()
except ChildProcessError as error:
    print(error)
