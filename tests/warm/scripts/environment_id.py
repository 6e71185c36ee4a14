# spare: environment SMCP_CALL_ID
import os
import sys

ID = os.environ.get("SMCP_CALL_ID", "no call")
CALLER = os.environb[b"SMCP_CALLER"]
print(ID, CALLER, sys.argv)
with open("/proc/self/environ", "rb") as file:
    # Padded in a warm worker: the place was reserved.
    print([word for word in file.read().split(b"\0") if word.startswith(b"SMCP_CALL_ID=")])
