"""Reads one row of an answer, leaves it in one of two ways, and asks again; prints what it got, as JSON.

usage: half_read.py PORT USER CA_FILE WAY QUESTION, with the password in PGPASSWORD; WAY is "leave" (the transaction) or
"terminate" (the connection)
"""

import asyncio
import json
import os
import ssl
import sys

import asyncpg

PORT, USER, CA, WAY, QUESTION = sys.argv[1:]


class Left(Exception):
    pass


async def connect(notices):
    tls = ssl.create_default_context(cafile=CA)
    tls.check_hostname = False  # It is the address that is given here.
    connection = await asyncpg.connect(
        host="127.0.0.1", port=int(PORT), user=USER, database="aquifer", password=os.environ["PGPASSWORD"], ssl=tls,
        server_settings={"aquifer.purpose": "reporting"},
    )
    connection.add_log_listener(lambda _, message: notices.append(message.message))
    return connection


async def main():
    first, again = [], []
    connection = await connect(first)
    try:
        async with connection.transaction():
            cursor = await connection.cursor(QUESTION)
            row = await cursor.fetchrow()
            if WAY == "terminate":
                connection.terminate()
            raise Left
    except (Left, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        pass
    if WAY == "terminate":
        connection = await connect(again)
    else:
        connection.add_log_listener(lambda _, message: again.append(message.message))
    rows = await connection.fetch(QUESTION)
    await connection.close()
    return {"row": list(row), "rows": [list(row) for row in rows], "first": first, "again": again}


print(json.dumps(asyncio.run(main())))
