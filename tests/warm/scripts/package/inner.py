WORDS = "inner"
