# spare: event
import sys
import threading
import time


def work():
    time.sleep(0.1)
    print("thread done", sys.argv, threading.current_thread().name)


threading.Thread(target=work).start()
print("main done", threading.main_thread() is threading.current_thread())
