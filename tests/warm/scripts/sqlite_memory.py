# spare: argv
import sqlite3
import sys

base = sqlite3.connect(":memory:")
base.execute("create table words (word text)")
base.executemany("insert into words values (?)", [(word,) for word in sys.argv[1:]])
print(base.execute("select * from words").fetchall())
