# spare: event
import sys
import threading


def work():
    raise ValueError(sys.argv[1])


thread = threading.Thread(target=work, name="worker")
thread.start()
thread.join()
