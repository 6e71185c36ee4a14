# spare: event subprocess.Popen
import subprocess
import sys

found = subprocess.check_output(["echo", "early"])
print(found, sys.argv)
