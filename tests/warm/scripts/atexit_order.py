# spare: argv
import atexit
import logging
import sys

logging.basicConfig(level="INFO", format="%(levelname)s %(message)s")


class Late:
    def __del__(self):
        print("deleted", file=sys.__stdout__)


late = Late()
for number in range(3):
    atexit.register(print, number)


@atexit.register
def last():
    logging.info("at exit %s", sys.argv)
    atexit.register(print, "registered at exit")


logging.info("running %s", sys.argv)
