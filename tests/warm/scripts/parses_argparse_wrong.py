# spare: argv
# arguments: --nothing
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--number", type=int, required=True)
parser.parse_args()
