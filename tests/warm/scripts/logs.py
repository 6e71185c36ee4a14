# spare: argv
import logging
import sys

logging.basicConfig(format="%(name)s %(levelname)s %(filename)s:%(lineno)d %(funcName)s %(message)s")
log = logging.getLogger(__name__)
log.warning("before")
log.warning("after %s", sys.argv)
try:
    int(sys.argv[1])
except ValueError:
    log.exception("went wrong")
