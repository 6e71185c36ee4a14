WORDS = "beside"
