"""Reads tables, columns and answers into data frames; prints what it found, as JSON.

usage: pandas_client.py PORT USER CA_FILE, with the password in PGPASSWORD
"""

import json
import sys

import pandas
import sqlalchemy

PORT, USER, CA = int(sys.argv[1]), sys.argv[2], sys.argv[3]
PLACE = dict(
    host="aquifer", hostaddr="127.0.0.1", port=PORT, user=USER, dbname="aquifer",
    sslmode="verify-full", sslrootcert=CA, options="-c aquifer.purpose=reporting",
)
QUESTION = "SELECT contract, COUNT(*) AS n FROM customers WHERE age >= %(age)s GROUP BY contract"

engine = sqlalchemy.create_engine("postgresql+psycopg://", connect_args=PLACE)
inspector = sqlalchemy.inspect(engine)
with engine.connect() as connection:
    answer = pandas.read_sql(QUESTION, connection, params={"age": 30})
    columns = pandas.read_sql("SELECT * FROM aquifer.contract_columns WHERE table_name = 'customers'", connection)
    last = pandas.read_sql("SELECT SUM(n) AS n FROM aquifer.last_answer", connection)
    stored = pandas.read_sql("SELECT * FROM aquifer.stored_answers", connection)
    again = pandas.read_sql(stored["sql"][0], connection)
    budget = pandas.read_sql("SELECT * FROM aquifer.budget", connection)
    releases = pandas.read_sql(sqlalchemy.text("SELECT * FROM aquifer.releases WHERE table_name = :table"), connection, params={"table": "customers"})
metadata = sqlalchemy.MetaData()
metadata.reflect(engine)
found = {
    "counts": answer["n"].dropna().tolist(),
    "kinds": [str(kind) for kind in answer.dtypes],
    "columns": columns["column_name"].tolist(),
    "last": float(last["n"][0]),
    "again": again.iloc[:, 1].dropna().tolist(),
    "statement": stored["statement"][0],
    "used": int(budget["used_urho"][0]),
    "releases": len(releases),
    "reflected": sorted(metadata.tables),
    "keys": [inspector.get_pk_constraint("customers")["constrained_columns"], inspector.get_foreign_keys("customers"), inspector.get_indexes("customers")],
    "comment": inspector.get_table_comment("customers")["text"],
    "views": inspector.get_view_names(schema="aquifer"),
}
print(json.dumps(found))
