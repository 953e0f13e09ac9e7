"""Prepares a question and executes nothing; prints its columns and what it binds, as JSON.

usage: prepare_client.py PORT USER CA_FILE, with the password in PGPASSWORD
"""

import asyncio
import json
import os
import ssl
import sys

import asyncpg

PORT, USER, CA = int(sys.argv[1]), sys.argv[2], sys.argv[3]


async def prepared():
    tls = ssl.create_default_context(cafile=CA)
    tls.check_hostname = False  # It is the address that is given here.
    connection = await asyncpg.connect(
        host="127.0.0.1", port=PORT, user=USER, database="aquifer", password=os.environ["PGPASSWORD"], ssl=tls,
        server_settings={"aquifer.purpose": "reporting"},
    )
    statement = await connection.prepare("SELECT contract, COUNT(*) AS n FROM customers WHERE age >= $1 GROUP BY contract")
    columns = [column.name for column in statement.get_attributes()]
    bound = [kind.name for kind in statement.get_parameters()]
    await connection.close()
    return {"columns": columns, "bound": bound}


print(json.dumps(asyncio.run(prepared())))
