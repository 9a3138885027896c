"""Grants a purchase of a sub-product exactly once, in SQLite. Python 3.11 or later."""  # noqa: INP001 - a file to copy

import sqlite3
from collections.abc import Mapping
from typing import Any

RECORD = """
INSERT INTO redeemed (purchase_id, sub_product_id, account) VALUES (?, ?, ?)
ON CONFLICT (purchase_id) DO NOTHING
"""
WHOSE = "SELECT account FROM redeemed WHERE purchase_id = ?"


def grant(database: sqlite3.Connection, answer: Mapping[str, Any], account: str) -> str:
    """Return what to tell the account: `granted`, `yours_already`, `used`, `refused`, or `ask_again` without an answer.

    `answer` is the body of a 200 or 503 of `POST /verify/redeem`. Of two at once for one purchase the second waits
    until the first has committed, and then records nothing.
    """
    if not answer["allowed"]:
        return "ask_again" if answer["outcome"] == "unknown" else "refused"
    purchase_id = answer["evidence"]["id"]
    with database:  # one transaction: it is committed at the end, or nothing of it happens
        recorded = database.execute(RECORD, (purchase_id, answer["product"], account)).rowcount == 1
        if recorded:
            # Coins, items and the like: grant them here, in this transaction.
            return "granted"
        (owner,) = database.execute(WHOSE, (purchase_id,)).fetchone()
    return "yours_already" if owner == account else "used"
