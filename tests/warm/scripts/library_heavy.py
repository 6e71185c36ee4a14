# spare: argv
import asyncio
import decimal
import logging.handlers
import sqlite3
import ssl
import sys
import urllib.request
import uuid


async def main():
    await asyncio.sleep(0.01)
    process = await asyncio.create_subprocess_exec("echo", *sys.argv[1:], stdout=asyncio.subprocess.PIPE)
    print((await process.communicate())[0], process.returncode)


asyncio.run(main())
print(decimal.getcontext(), logging.handlers, len(str(uuid.uuid4())), bool(ssl.OPENSSL_VERSION), urllib.request)
print(sqlite3.connect("x.db").execute("select 1").fetchall())
