# spare: argv
import sys

for name in ("imp", "asynchat", "cgi", "crypt", "distutils"):
    try:
        __import__(name)
    except ImportError:
        print("no", name)
try:
    import asynchat
    import cgi
    import crypt
    import imp

    print(imp, cgi, asynchat, crypt)
except ImportError:
    print("none")
print(sys.argv)
