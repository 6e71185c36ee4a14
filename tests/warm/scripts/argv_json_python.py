# spare: argv
import json
import sys

print(json.dumps({"argv": sys.argv}, indent=1))
