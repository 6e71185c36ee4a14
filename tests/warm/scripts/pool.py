# spare: argv
import concurrent.futures
import sys

with concurrent.futures.ThreadPoolExecutor(2) as pool:
    print(list(pool.map(len, sys.argv[1:])))
