# spare: event sqlite3.connect
import sqlite3
import sys

base = sqlite3.connect("base.db")
base.execute("create table if not exists words (word text)")
base.executemany("insert into words values (?)", [(word,) for word in sys.argv[1:]])
base.commit()
print(base.execute("select count(*) from words").fetchall())
