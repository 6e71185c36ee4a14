# spare: argv
# unread: yes
import sys
import time

count = len(sys.argv)
time.sleep(0.1)
print("nobody reads this", count)
