"""`POST /verify/redeem`: the signature alone decides, nothing is kept, and there is nothing where it is off."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from service.settings import SettingsReader
from tests.api.conftest import Open
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, caller_lines, store_calls, until
from tests.redeem.forging import NEXT_SECRET, SECRET, token
from tests.redeem.test_redeem_tokens import FORGED

PATH: Final = "/verify/redeem"
REDEEM: Final = X_MOON + f'redeem_secret = "{SECRET}"\n'
PAGE: Final = "ogw_redeem-page-redeem-page-redeem-page-redeem"
OTHER: Final = "ogw_watcher-watcher-watcher-watcher-watcher-w"


async def show(gateway: Asker, text: str, *, game: int | str = "x-moon", caller: str | None = None) -> httpx.Response:
    """Show a redeem token."""
    headers = {} if caller is None else {"authorization": f"Bearer {caller}"}
    return await gateway.http.post(PATH, json={"game": game, "redeem_jwt": text}, headers=headers)


@pytest.fixture
async def gateway(open_with: Open) -> Asker:
    """A gateway that takes redeem tokens of one game."""
    return await open_with(REDEEM)


async def test_a_purchase(gateway: Asker, log: LogLines) -> None:
    """The answer has every field of a decision; the store is not asked, and the token is in no line of the log."""
    text = token(external_id="map-pack", metadata={"account": "7f3a"})
    answer = await show(gateway, text)
    line = await log.line("redeem")

    body: dict[str, Any] = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert body == {
        "allowed": True,
        "outcome": "owned",
        "reason": "sub_product_purchase",
        "game_id": 3,
        "method": "redeem",
        "product": 101,
        "player": None,
        "evidence": {"id": 100, "kind": "sub_product", "acquired_at": None},
        "external_id": "map-pack",
        "metadata": {"account": "7f3a"},
        "observed_at": None,
        "fresh_until": None,
        "usable_until": None,
        "stale": False,
        "cache": "none",
        "caveats": ["sandbox", "record_purchase_id_before_granting"],
        "advice": None,
        "decision_id": body["decision_id"],
    }
    assert (line["reason"], line["game"], line["purchase_id"]) == ("sub_product_purchase", "x-moon", 100)
    assert line["decision_id"] == body["decision_id"]
    assert text.encode() not in log.written
    assert store_calls(gateway.sandbox) == 0
    assert await gateway.metric("redeem_total", reason="sub_product_purchase") == 1


async def test_an_answer_beside_a_real_key(open_with: Open) -> None:
    """It has the one caveat, and not that of the sandbox; a store that is away makes no difference."""
    toml = '[itch]\napi_key = "a-seller-key-of-a-test"\nbase_url = "http://127.0.0.1:9"\n' + REDEEM
    gateway = await open_with(toml, sandbox=False)

    good, bad = (await show(gateway, token())).json(), (await show(gateway, "no token")).json()
    assert (good["allowed"], good["caveats"]) == (True, ["record_purchase_id_before_granting"])
    assert (bad["reason"], bad["caveats"]) == ("malformed_redeem_jwt", [])


async def test_the_same_token_twice(gateway: Asker) -> None:
    """No record is kept: both are told of the same purchase, which the studio's record grants once."""
    text = token()
    answers = [(await show(gateway, text)).json() for _ in range(2)]

    assert [(one["allowed"], one["evidence"]["id"]) for one in answers] == [(True, 100), (True, 100)]


async def test_forged_tokens(gateway: Asker) -> None:
    """None is accepted, and each has its reason; one that fills the body and more is 413."""
    huge = await gateway.http.post(PATH, json={"game": 3, "redeem_jwt": "x" * 20_000})
    assert huge.status_code == 413
    short = [(text, reason) for text, reason in FORGED if len(text) < 100_000]
    answers = [await show(gateway, text) for text, _ in short]

    assert [one for one in answers if one.json().get("allowed")] == []
    assert {one.status_code for one in answers} == {200}
    for answer, (_, reason) in zip(answers, short, strict=True):
        if answer.status_code == 200:
            body = answer.json()
            assert (body["outcome"], body["reason"], body["advice"]) == ("rejected", reason, "open_redeem_link_again")
            assert (body["product"], body["evidence"], body["caveats"]) == (None, None, ["sandbox"])


async def test_a_token_of_another_game(open_with: Open) -> None:
    """The secret of one says nothing about another, and a game without any takes none."""
    more = f'[games.sun-garden]\nid = 4\nredeem_secret = "{NEXT_SECRET}"\n[games.tea]\nid = 5\n'
    gateway = await open_with(REDEEM + more)

    assert (await show(gateway, token(), game="sun-garden")).json()["reason"] == "refused_redeem_jwt"
    assert (await show(gateway, token(NEXT_SECRET), game=4)).json()["allowed"] is True
    without = await show(gateway, token(), game="tea")
    assert (without.status_code, without.json()["code"]) == (404, "not_enabled")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"game": 3}, "missing_field"),
        ({"game": 3, "redeem_jwt": 5}, "wrong_type"),
        ({"game": 3, "redeem_jwt": token(), "max_age": 0}, "unknown_field"),
        ({"game": 99, "redeem_jwt": token()}, "unknown_game"),
    ],
)
async def test_bad_questions(gateway: Asker, body: dict[str, Any], code: str) -> None:
    """They get one line, and no count."""
    answer = await gateway.http.post(PATH, json=body)

    assert answer.json()["code"] == code
    assert token() not in answer.text
    assert await gateway.metric("redeem_total") == 0


async def test_no_items_of_batches(gateway: Asker) -> None:
    """A batch takes none."""
    answer = await gateway.batch({"id": "1", "method": "redeem", "game": 3, "redeem_jwt": token()})

    assert answer.json()["results"][0]["status"] == 400


async def test_who_may_ask(open_with: Open) -> None:
    """A caller with the right, about its games."""
    toml = REDEEM + caller_lines("page", PAGE, games='["x-moon"]', rights='["verify"]')
    toml += caller_lines("watcher", OTHER, rights='["admin"]')
    toml += f'[games.sun-garden]\nid = 4\nredeem_secret = "{SECRET}"\n'
    gateway = await open_with(toml)

    answers = [
        await show(gateway, token(), caller=PAGE),
        await show(gateway, token()),
        await show(gateway, token(), caller=OTHER),
        await show(gateway, token(), caller=PAGE, game="sun-garden"),
    ]
    assert [one.status_code for one in answers] == [200, 401, 403, 403]


async def test_secrets_change_in_their_files(open_with: Open, tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """Another secret in a file is used within a second, a broken file changes nothing, and no secret is in the log."""
    first, second = tmp_path / "redeem", tmp_path / "next"
    first.write_text(f"{SECRET}\n", encoding="utf-8")
    second.write_text(NEXT_SECRET, encoding="utf-8")
    gateway = await open_with(X_MOON + f'redeem_secret_file = "{first}"\nnext_redeem_secret_file = "{second}"\n')

    async def taken() -> list[bool]:
        clock.jump(timedelta(seconds=1))
        return [(await show(gateway, token(secret))).json()["allowed"] for secret in (SECRET, NEXT_SECRET, SECRET * 2)]

    assert await taken() == [True, True, False]
    second.write_text("too short", encoding="utf-8")
    assert await taken() == [True, True, False]
    first.write_text(SECRET * 2, encoding="utf-8")
    assert await taken() == [False, True, True]
    assert (await log.line("credential_unreadable"))["setting"] == "games.x-moon.next_redeem_secret"
    assert (await log.line("credential_reloaded"))["setting"] == "games.x-moon.redeem_secret"
    assert SECRET.encode() not in log.written


async def test_the_configuration_turns_it_on(open_with: Open, tmp_path: Path, log: LogLines) -> None:
    """And changes the secret, and off again, without a restart."""
    file = tmp_path / "gateway.toml"
    file.write_text(X_MOON, encoding="utf-8")
    reader = SettingsReader({}, config_file=file, flags={"sandbox": "true"})
    reader.read()
    gateway = await open_with(X_MOON, reader=reader)
    results = []
    for number, lines in enumerate((REDEEM, REDEEM.replace(SECRET, NEXT_SECRET), X_MOON)):
        file.write_text(lines, encoding="utf-8")
        gateway.gateway.reload()
        await _until_lines(log, number + 1)
        answer = await show(gateway, token(NEXT_SECRET))
        results.append(answer.json().get("allowed", answer.json().get("code")))

    assert results == [False, True, "not_enabled"]


async def _until_lines(log: LogLines, number: int) -> None:
    await until(lambda: len(log.lines("configuration_reloaded")) >= number)


_OWN: Final = (
    "service.redeem.redeem_tokens",
    "service.api.redeem",
    "service.wiring.redeem",
    "service.observability.redeem",
)


def _loaded() -> list[str]:
    return [name for name in sys.modules if name.startswith(_OWN) and name != "service.api.redeem_bodies"]


@contextmanager
def _not_loaded() -> Iterator[None]:
    kept = {name: sys.modules.pop(name) for name in _loaded() if not name.endswith("description")}
    try:
        yield
    finally:
        sys.modules.update(kept)


async def test_off(open_with: Open) -> None:
    """Without a secret there is no endpoint, no series and no import."""
    with _not_loaded():
        gateway = await open_with()
        answer = await show(gateway, token())
        imported = [name for name in _loaded() if not name.endswith("description")]

    assert (answer.status_code, answer.json()["code"]) == (404, "not_enabled")
    assert "games.<slug>.redeem_secret" in answer.json()["detail"]
    assert "redeem" not in (await gateway.http.get("/metrics")).text
    assert imported == []
