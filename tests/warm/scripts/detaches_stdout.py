# spare: argv
import sys

print("detached")
sys.stdout = sys.stdout.detach()
sys.stdout.write(repr(sys.argv).encode())
