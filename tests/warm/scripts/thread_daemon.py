# spare: argv
import sys
import threading
import time


def work():
    time.sleep(30)
    print("never")


print(sys.argv)
threading.Thread(target=work, daemon=True).start()
print("main done", threading.active_count())
