# spare: argv
import os
import subprocess
import sys

print(subprocess.run(["echo"] + sys.argv[1:], stdout=subprocess.PIPE).stdout)
print(subprocess.run(["ls", "/proc/self/fd"], stdout=subprocess.PIPE, close_fds=True).stdout)
print(subprocess.run(["ls", "/proc/self/fd"], stdout=subprocess.PIPE, close_fds=False).stdout)
sys.stdout.flush()
subprocess.run("env | grep -v ^_= | grep -v ^SHLVL=; echo error >&2; exit 3", shell=True)
print(os.environ["EACH_ONE"], os.getpgid(0) == os.getpid())
