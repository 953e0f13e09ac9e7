"""Asks the same questions through three drivers of Python; prints what each got, as JSON.

usage: clients.py PORT USER CA_FILE, with the password in PGPASSWORD
"""

import asyncio
import datetime
import json
import os
import ssl
import sys

import asyncpg
import psycopg
import sqlalchemy

PORT, USER, CA = int(sys.argv[1]), sys.argv[2], sys.argv[3]
QUESTION = "SELECT contract, COUNT(*) AS n, AVG(age) AS age FROM customers WHERE age >= {} AND contract IN ({}, 'one year') GROUP BY contract"
MONTHS = "SELECT date_trunc('month', day) AS month, COUNT(*) AS n FROM visits WHERE day BETWEEN {} AND {} GROUP BY month"
DAYS = (datetime.date(2024, 2, 1), datetime.date(2024, 11, 30))
PLACE = dict(
    host="aquifer", hostaddr="127.0.0.1", port=PORT, user=USER, dbname="aquifer",
    sslmode="verify-full", sslrootcert=CA, options="-c aquifer.purpose=reporting",
)


def plain(rows):
    return [list(row) for row in rows]


def with_psycopg():
    with psycopg.connect(**PLACE, channel_binding="require") as connection:
        notices = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        sql = QUESTION.format("%s", "%s")
        text = connection.execute(sql, (30, "month")).fetchall()
        binary = connection.cursor(binary=True).execute(sql, (30.0, "month"), prepare=True).fetchall()
        state = None
        try:
            connection.execute("SELECT * FROM customers")
        except psycopg.errors.GroupingError as error:
            state = [error.sqlstate, error.diag.statement_position, error.diag.message_detail]
        failed = connection.info.transaction_status.name
        connection.rollback()
        columns = [column.type_code for column in connection.execute(sql, (30, "month")).description]
        in_text, in_binary = MONTHS.format("%t", "%t"), MONTHS.format("%b", "%b")
        months = connection.execute(in_text, DAYS)
        month_types = [column.type_code for column in months.description]
        months = plain(months.fetchall())
        binary_months = plain(connection.cursor(binary=True).execute(in_binary, DAYS).fetchall())
        connection.execute("SET aquifer.intervals = 'json'")
        in_json = plain(connection.execute(in_text, DAYS).fetchall())
        binary_json = plain(connection.cursor(binary=True).execute(in_binary, DAYS).fetchall())
        return {
            "rows": plain(text), "binary": plain(binary), "notices": notices, "refused": state, "failed": failed,
            "types": columns, "months": months, "binary_months": binary_months, "month_types": month_types, "json": in_json,
            "binary_json": binary_json,
        }


def with_sqlalchemy():
    engine = sqlalchemy.create_engine("postgresql+psycopg://", connect_args=PLACE)
    with engine.connect() as connection:
        sql = sqlalchemy.text(QUESTION.format(":age", ":contract"))
        rows = plain(connection.execute(sql, {"age": 30, "contract": "month"}))
    inspector = sqlalchemy.inspect(engine)
    columns = {column["name"]: str(column["type"]) for column in inspector.get_columns("customers")}
    known = [inspector.has_table(name) for name in ("customers", "invoices")]
    return {"rows": rows, "tables": inspector.get_table_names(), "contract": columns["contract"], "known": known}


async def with_asyncpg():
    tls = ssl.create_default_context(cafile=CA)
    tls.check_hostname = False  # It is the address that is given here.
    connection = await asyncpg.connect(
        host="127.0.0.1", port=PORT, user=USER, database="aquifer", password=os.environ["PGPASSWORD"], ssl=tls,
        server_settings={"aquifer.purpose": "reporting"},
    )
    sql = QUESTION.format("$1", "$2")
    rows = plain(await connection.fetch(sql, 30.0, "month"))
    statement = await connection.prepare(sql)
    kinds = [column.type.name for column in statement.get_attributes()]
    in_parts = []
    async with connection.transaction():
        async for row in statement.cursor(30.0, "month", prefetch=1):
            in_parts.append(list(row))
    sql = MONTHS.format("$1", "$2")
    months = plain(await connection.fetch(sql, *DAYS))
    statement = await connection.prepare(sql)
    bound = [kind.name for kind in statement.get_parameters()]
    month_types = [column.type.name for column in statement.get_attributes()]
    await connection.execute("SET aquifer.intervals = 'json'")
    # What is prepared stays as it was described.
    prepared_months = plain(await statement.fetch(*DAYS))
    sql += " LIMIT 13"
    in_json = [[month, n and json.loads(n), suppressed] for month, n, suppressed in await connection.fetch(sql, *DAYS)]
    await connection.close()
    return {
        "rows": rows, "in_parts": in_parts, "types": kinds, "months": months, "bound": bound, "month_types": month_types,
        "json": in_json, "prepared_months": prepared_months,
    }


found = {"psycopg": with_psycopg(), "asyncpg": asyncio.run(with_asyncpg()), "sqlalchemy": with_sqlalchemy()}
print(json.dumps(found, default=str))
