# spare: argv
import sys
import traceback


def fails():
    return 1 // (len(sys.argv) - len(sys.argv))


try:
    fails()
except ZeroDivisionError:
    traceback.print_exc()
    print(traceback.format_exc())
    print(sys.exc_info()[2].tb_frame.f_code.co_name)
