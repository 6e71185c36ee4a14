# spare: argv
# arguments: -n 3 rest
import optparse

parser = optparse.OptionParser()
parser.add_option("-n", type="int")
options, rest = parser.parse_args()
print(options, rest)
