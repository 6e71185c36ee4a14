# spare: environment EACH_ONE
import os
import sys

os.environ["OWN_BEFORE"] = "1"
os.environ.pop("LANG")
print(os.environ.get("EACH_ONE"), os.environ["SMCP_CALL_ID"], os.getenv("EACH_NONE", "none"))
os.environ["OWN_AFTER"] = "2"
del os.environ["EACH_ONE"]
print(sys.argv, dict(os.environ))
sys.stdout.flush()
os.system("env | grep -v '^_=' | grep -v ^SHLVL=")
