# spare: argv
import sys

print(sys.argv)
sys.stdout.close()
