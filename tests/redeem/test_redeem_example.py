"""The example that grants a purchase once: two posts at once, a thousand times."""

import importlib.util
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

_EXAMPLE: Final = Path("deploy/examples/redeem")
_TIMES: Final = 1000


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The file that others copy."""
    spec = importlib.util.spec_from_file_location("redeem_example", _EXAMPLE / "redeem.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _open(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=60, check_same_thread=False)
    database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;")
    database.executescript((_EXAMPLE / "redeemed.sql").read_text(encoding="utf-8"))
    return database


def _sold(purchase_id: int) -> dict[str, Any]:
    return {"allowed": True, "product": 101, "evidence": {"id": purchase_id, "kind": "sub_product"}}


def test_two_posts_at_once_grant_once(example: ModuleType, tmp_path: Path) -> None:
    """The gateway says yes to both; the database lets one of them grant, each of a thousand times."""
    databases = [_open(tmp_path / "studio.db") for _ in range(2)]
    together = threading.Barrier(2)

    def post(database: sqlite3.Connection, account: str) -> list[str]:
        results = []
        for purchase_id in range(1, _TIMES + 1):
            together.wait(60)
            results.append(example.grant(database, _sold(purchase_id), account))
        return results

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(post, databases, ("anna", "ben"))
    rows = databases[0].execute("SELECT count(*) FROM redeemed").fetchone()
    for database in databases:
        database.close()

    assert [sorted(both) for both in zip(first, second, strict=True)] == [["granted", "used"]] * _TIMES
    assert rows == (_TIMES,)


def test_what_a_player_is_told(example: ModuleType, tmp_path: Path) -> None:
    """A token that its buyer shows again is no trouble; a refused one records nothing, and no answer is no refusal."""
    database = _open(tmp_path / "studio.db")
    told = [example.grant(database, _sold(1), account) for account in ("anna", "anna", "ben")]
    told += [
        example.grant(database, {"allowed": False, "outcome": outcome, "evidence": None}, "ben")
        for outcome in ("rejected", "unknown")
    ]
    rows = database.execute("SELECT purchase_id, sub_product_id, account FROM redeemed").fetchall()
    database.close()

    assert told == ["granted", "yours_already", "used", "refused", "ask_again"]
    assert rows == [(1, 101, "anna")]


def test_the_documented_sql_is_that_of_the_example(example: ModuleType) -> None:
    """Docs and example say the same."""
    page = Path("docs/api.md").read_text(encoding="utf-8")
    documented = page.partition("```sql\n")[2].partition("```")[0].replace("(100, 101, 'anna')", "(?, ?, ?)")

    assert " ".join(example.RECORD.split()) in " ".join(documented.split())
