"""Opens as many sessions as an analyst may have, and one more; prints what came of it, as JSON.

usage: crowd.py PORT SESSIONS CA_FILE USER PASSWORD OTHER_USER OTHER_PASSWORD
"""

import asyncio
import json
import ssl
import sys

import asyncpg

PORT, SESSIONS, CA, USER, PASSWORD, OTHER, OTHER_PASSWORD = sys.argv[1:]
ATTEMPTS_MAX = 1_000


async def connect(user, password):
    tls = ssl.create_default_context(cafile=CA)
    tls.check_hostname = False  # It is the address that is given here.
    return await asyncpg.connect(host="127.0.0.1", port=int(PORT), user=user, database="aquifer", password=password, ssl=tls)


async def version(connection):
    return await connection.fetchval("SHOW server_version")


async def state_of_one_more():
    try:
        await connect(USER, PASSWORD)
    except asyncpg.PostgresError as error:
        return error.sqlstate


async def once_there_is_room():
    """The door hears of a client that has gone a moment after it went."""
    for _ in range(ATTEMPTS_MAX):
        try:
            return await connect(USER, PASSWORD)
        except asyncpg.TooManyConnectionsError:
            pass


async def main():
    sessions = [await connect(USER, PASSWORD) for _ in range(int(SESSIONS))]
    found = {"one_more": await state_of_one_more()}
    found["another"] = await version(await connect(OTHER, OTHER_PASSWORD))
    # One goes with a word, one without: there is room for two, and no more.
    await sessions.pop().close()
    sessions.pop().terminate()
    both = [await once_there_is_room() for _ in range(2)]
    found["after"] = await version(both[1])
    found["one_more_again"] = await state_of_one_more()
    return found


print(json.dumps(asyncio.run(main())))
