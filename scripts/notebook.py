"""Which customers do we lose, and what would keeping them be worth?

A notebook in cells. It knows nothing of Aquifer: pandas asks a PostgreSQL server whose place and password are in the PG* variables.
Every number that it shows is private, has an interval, and was paid for from the units' budgets.

usage: notebook.py [FOLDER FOR PLOTS]
"""

# %% Connect. The purpose is part of the connection (PGOPTIONS='-c aquifer.purpose=reporting').
import pathlib
import sys
import warnings

import matplotlib.pyplot as plt
import pandas as pd
import sqlalchemy

out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
engine = sqlalchemy.create_engine("postgresql+psycopg://")
notices = []


@sqlalchemy.event.listens_for(engine, "connect")
def listen(connection, _):
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))


def ask(sql):
    with engine.connect() as connection:
        return pd.read_sql(sqlalchemy.text(sql), connection)


# %% What would it cost, and how exact would it be? Asking for the price is free.
BY_CONTRACT = "SELECT contract, churned, COUNT(*) AS n FROM accounts GROUP BY contract, churned"
price = ask(f"EXPLAIN {BY_CONTRACT}").set_index("property")["value"]
print(price[["price", "n, 95 %", "left of the share", "slot"]].to_string(header=False), "\n")

# %% Who leaves, by contract? One question gives leavers and stayers of each contract.


def rates(counts, key):
    """Share of leavers for each value of a key, between the worst and the best case of both intervals."""
    counts = counts[~counts["suppressed"]]
    wide = counts.pivot(index=key, columns="churned", values=["n", "n_low", "n_high"]).astype(float)
    yes, no = wide.xs("yes", axis=1, level="churned"), wide.xs("no", axis=1, level="churned")
    table = pd.DataFrame({
        "customers": yes["n"] + no["n"],
        "rate": yes["n"] / (yes["n"] + no["n"]),
        "low": yes["n_low"] / (yes["n_low"] + no["n_high"]),
        "high": yes["n_high"] / (yes["n_high"] + no["n_low"]),
    })
    return table.dropna()


by_contract = rates(ask(BY_CONTRACT), "contract")
print(by_contract.round(3), "\n")

# %% Does asking for support announce it?
by_calls = rates(
    ask("SELECT width_bucket(support_calls, 0, 10, 5) AS calls, churned, COUNT(*) AS n FROM accounts GROUP BY 1, 2"), "calls")
by_calls.index = ["10 or more" if bucket == 6 else f"{2 * bucket - 2} to {2 * bucket - 1}" for bucket in by_calls.index.astype(int)]
print(by_calls.round(3), "\n")

# %% What is at stake: customers by the month who called at least four times and are still here.
at_stake = ask(
    "SELECT COUNT(*) AS customers, SUM(monthly_charge) AS revenue, AVG(monthly_charge) AS charge FROM accounts "
    "WHERE contract = 'month' AND support_calls >= 4 AND churned = 'no'").iloc[0]

# %% Two plots.


def bars(table, title, name):
    figure, axes = plt.subplots(figsize=(6, 3.6))
    beside = [100 * (table["rate"] - table["low"]), 100 * (table["high"] - table["rate"])]
    axes.bar([str(key) for key in table.index], 100 * table["rate"], yerr=beside, capsize=4, color="#4477aa")
    axes.set_ylabel("customers who left, %")
    axes.set_ylim(bottom=0)
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(out / name, dpi=120)
    print(f"plot: {out / name}")


with warnings.catch_warnings():
    warnings.simplefilter("error")
    bars(by_contract, "Leavers by contract, with 95 % intervals of the noise", "leavers-by-contract.png")
    bars(by_calls, "Leavers by calls for support in 90 days", "leavers-by-support-calls.png")

# %% The answer.
worst = by_contract["rate"].idxmax()
print(f"""
Customers on contract "{worst}" leave most: {by_contract.rate[worst]:.1%} of them ({by_contract.low[worst]:.1%} to {by_contract.high[worst]:.1%}).
By the month, with four calls for support or more, and still here: {at_stake.customers:,.0f} customers
({at_stake.customers_low:,.0f} to {at_stake.customers_high:,.0f}), who pay {at_stake.revenue:,.0f} euro a month ({at_stake.revenue_low:,.0f} to {at_stake.revenue_high:,.0f}), {at_stake.charge:.0f} each.
""")
print("what was paid:", *notices, sep="\n  ")
