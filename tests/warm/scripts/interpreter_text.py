# spare: argv
import sys
from datetime import datetime

print(datetime.strptime("2024-02-03", "%Y-%m-%d"), sys.argv)
print("é\udcff".encode("utf-8", "surrogateescape"))
print("\udcff", file=sys.stderr)
print("\udcff")
