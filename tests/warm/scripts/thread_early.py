# spare: event
import sys
import threading

found = []
thread = threading.Thread(target=lambda: found.append(threading.active_count()))
thread.start()
thread.join()
print(found, sys.argv)
