# spare: argv
import copy
import gc
import json
import pickle
from sys import argv

kept = argv
print(argv[0] == __file__, type(argv), isinstance(argv, list), argv == ["x"])
print(argv, kept is argv, type(argv), json.dumps(argv), pickle.loads(pickle.dumps(argv)), copy.deepcopy(argv))
kept.append("more")
print(argv, gc.is_tracked(argv), argv.__class__, argv.__reduce_ex__(2)[0].__name__)
