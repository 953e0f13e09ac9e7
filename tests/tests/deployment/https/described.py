"""Asks for what a deployment really has, and holds every answer against the description that it serves; prints what was asked, as JSON.

usage: described.py PORT CA_FILE, with the token in AQUIFER_TOKEN
"""

import json
import os
import sys

import schemathesis

PORT, CA = sys.argv[1], sys.argv[2]
BASE = f"https://localhost:{PORT}"
HEADERS = {"Authorization": f"Bearer {os.environ['AQUIFER_TOKEN']}"}
SQL = "SELECT contract, COUNT(*) AS n, AVG(age) AS age FROM customers GROUP BY contract"
QUESTION = {"sql": SQL, "purpose": "reporting"}
PERSON = {"tenure": 2, "monthly_charge": 90, "contract": "month", "payment": "invoice"}
LINES = 3
NDJSON = "application/x-ndjson"


@schemathesis.serializer(NDJSON)
def lines_as_they_are(_context, value):
    return value.encode()


described = schemathesis.openapi.from_url(f"{BASE}/v1/openapi.json", headers=HEADERS, verify=CA)
asked = []


def ask(method, path, **parts):
    """An answer with status 200 that fits the description: its status, its type, its schema, and what else the tool checks."""
    case = described[path][method].Case(**parts)
    answer = case.call_and_validate(headers=HEADERS, verify=CA)
    assert answer.status_code == 200, (method, path, answer.status_code, answer.text)
    asked.append(f"{method} {path}")
    return answer


fresh = ask("POST", "/v1/query", body=QUESTION).json()
release = fresh["release"]["release_id"]
assert not fresh["release"]["cached"] and fresh["rows"], fresh
again = ask("POST", "/v1/query", body={**QUESTION, "cache": "only", "intervals": "json", "request_id": "monday"}).json()
assert again["release"]["release_id"] == release, again
assert ask("POST", "/v1/explain", body=QUESTION).json()["rows"]

assert ask("GET", "/v1/releases").json()["releases"][0]["release"]["release_id"] == release
assert ask("GET", "/v1/releases", query={"before": release}).json()["releases"] == []
assert ask("GET", "/v1/releases/{id}", path_parameters={"id": release}).json()["cells"] > 0

assert ask("GET", "/v1/models").json()["models"][0]["name"] == "churn"
for name in ("churn", "churn@1"):
    assert ask("GET", "/v1/models/{name}", path_parameters={"name": name}).json()["format"]
for whom in ("hypothetical", "segment"):
    query = {"model": "churn", "input": whom, "threshold": 0.3, "explain": "true"}
    one = ask("POST", "/v1/predict", query=query, body=PERSON, media_type="application/json").json()
    assert one["contributions"] and one["input"] == whom, one
lines = "".join(f"{json.dumps(PERSON)}\n" for _ in range(LINES))
batch = ask("POST", "/v1/predict", query={"model": "churn", "input": "segment"}, body=lines, media_type=NDJSON)
assert batch.headers["content-type"] == [NDJSON], batch.headers
assert len(batch.text.splitlines()) == LINES, batch.text

assert ask("GET", "/v1/nodes").json()["units"]
assert ask("GET", "/v1/budget").json()["shares"][0]["rho_micro_used"] > 0
assert ask("GET", "/v1/catalogue").json()["standing"][0]["tables"]
# Left out by generated runs: the tool passes over the place that it has read the description from.
assert ask("GET", "/v1/openapi.json").json() == described.raw_schema
assert ask("GET", "/health").json() == {"state": "open"}

every = {f"{method.upper()} {path}" for path, methods in described.raw_schema["paths"].items() for method in methods}
assert every == set(asked), every ^ set(asked)
print(json.dumps(asked))
