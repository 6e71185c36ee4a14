# spare: ends
print("no arguments wanted")
