"""The sandbox's page about versions and redeem tokens is played through, with its own file and code."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.clock import FakeClock
from tests.docs.pages import blocks
from tests.gateways import Asker, LogLines, opened, settings_from

PAGE = "docs/sandbox.md"


def _block(kind: str, word: str) -> str:
    (found,) = (block for block in blocks(PAGE, kind) if word in block)
    return found


async def _version(gateway: Asker, **query: int) -> dict[str, Any]:
    answer: dict[str, Any] = (await gateway.http.get("/games/x-moon/channels/windows", params=query)).json()
    return answer


async def _push(gateway: Asker, version: str) -> None:
    body = {"game_id": 3, "channel": "windows", "latest": version}
    assert (await gateway.http.put("/sandbox/channels", json=body)).status_code == 200


async def test_versions(tmp_path: Path) -> None:
    """Pushed, newest a minute later or at once, stale for a day of outage, and none of a private game."""
    clock = FakeClock()
    settings = settings_from(tmp_path, _block("toml", "redeem_secret"))
    async with opened(settings, clock=clock, log=LogLines()) as gateway:
        await _push(gateway, "1.0")
        first = await _version(gateway)
        await _push(gateway, "1.1")
        clock.jump(timedelta(seconds=1))
        remembered, at_once = await _version(gateway), await _version(gateway, max_age=0)
        await gateway.http.put("/sandbox/faults", json={"name": "outage"})
        clock.jump(timedelta(hours=23))
        old = await _version(gateway)
        clock.jump(timedelta(hours=2))
        over = await _version(gateway)

    assert [one["latest"] for one in (first, remembered, at_once, old)] == ["1.0", "1.0", "1.1", "1.1"]
    assert [one["stale"] for one in (first, remembered, at_once, old)] == [False, False, False, True]
    assert (over["status"], over["allowed"]) == (503, False)


async def test_redeem_tokens(tmp_path: Path) -> None:
    """Made as the page says, good until 640 seconds of the sandbox's clock have passed."""
    code: dict[str, Any] = {}
    exec(compile(_block("python", "def redeem_token"), PAGE, "exec"), code)  # noqa: S102 - the code of our own page
    settings = settings_from(tmp_path, _block("toml", "redeem_secret"))
    async with opened(settings, clock=FakeClock(), log=LogLines()) as gateway:
        text = code["redeem_token"]("for-the-sandbox-alone", int(gateway.clock.now().timestamp()), 100, 101)
        body = {"game": "x-moon", "redeem_jwt": text}
        answers = [(await gateway.http.post("/verify/redeem", json=body)).json() for _ in range(2)]
        await gateway.http.post("/sandbox/clock", json={"advance_seconds": 640})
        answers.append((await gateway.http.post("/verify/redeem", json=body)).json())

    assert [one["reason"] for one in answers] == ["sub_product_purchase"] * 2 + ["expired_redeem_jwt"]
    assert (answers[0]["evidence"]["id"], answers[0]["product"]) == (100, 101)
    assert "sandbox" in answers[0]["caveats"]
