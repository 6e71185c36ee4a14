# spare: argv
import pickle
import sys

print(pickle.loads(pickle.dumps({"argv": sys.argv})))
