# spare: argv
import sys

seen = []


def trace(frame, event, arg):
    if frame.f_code.co_filename == __file__:
        seen.append((event, frame.f_code.co_name, frame.f_lineno))
        return trace


def work():
    return len(sys.argv)


sys.settrace(trace)
work()
work()
sys.settrace(None)
print(seen)
