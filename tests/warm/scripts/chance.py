# spare: argv
# known: chance
import random
import secrets
import sys
import tempfile
import uuid

print(random.random(), uuid.uuid4(), secrets.token_hex(8), random.SystemRandom().random(), uuid.uuid1())
print(next(tempfile._get_candidate_names()), sys.argv)
