"""Gateways without passes, the sandbox's, and the form of what asks for one."""

import sys
from pathlib import Path

import pytest

from service.ownership import Method
from service.sandbox import seed
from service.sandbox.state import Sandbox
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, caller_lines, opened, settings_from, until_learned
from tests.passes.conftest import OpenReal, line_to
from tests.passes.test_asking import ask_for, checked, show

WITHOUT = f'[itch]\napi_key = "{seed.SELLER_KEY}"\n{X_MOON}'
OURS = ("service.passes", "service.pass_pem", "service.api.passes", "service.wiring.pass_parts")


async def test_nothing_of_it_is_there(
    tmp_path: Path, clock: FakeClock, log: LogLines, store: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No route, no series, no import."""
    for name in [name for name in sys.modules if name.startswith(OURS)]:
        monkeypatch.delitem(sys.modules, name)
    settings = settings_from(tmp_path, WITHOUT, sandbox=False)
    async with opened(settings, clock=clock, log=log, transport=line_to(store, clock)) as gateway:
        await until_learned(gateway.gateway)
        order = {"game": 3, "method": "user", "user_id": seed.OWNER_ID}
        answers = [
            await gateway.http.post("/passes", json=order),
            await gateway.http.get("/.well-known/jwks.json"),
            await gateway.http.get("/passes/invalidated"),
            await gateway.ask(Method.PASS, "a.b.c"),
        ]
        item = {"id": "a", "method": "pass", "game": 3, "pass": "a.b.c"}
        (result,) = (await gateway.batch(item)).json()["results"]
        await gateway.user(seed.OWNER_ID)

        assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "not_enabled")] * 4
        assert (result["status"], result["problem"]["code"]) == (404, "not_enabled")
        assert (await gateway.http.get("/nowhere")).json()["code"] == "unknown_route"
        metrics = (await gateway.http.get("/metrics")).text
        assert [line for line in metrics.splitlines() if "pass_" in line or "_pass" in line or '"pass"' in line] == []
        assert [name for name in sys.modules if name.startswith(OURS)] == []


async def test_the_sandbox_has_its_own(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """A key of its process, an issuer that no host can have, and passes as the real ones."""
    async with opened(settings_from(tmp_path, X_MOON), clock=clock, log=log) as gateway:
        issued = await ask_for(gateway, method="download_key", download_key=seed.OWNER_KEY)

        claims = await checked(gateway, issued["pass"]["value"])
        answer = await show(gateway, issued["pass"]["value"])

        assert claims["iss"] == "https://sandbox.invalid"
        assert (answer["outcome"], answer["caveats"]) == ("owned", ["sandbox"])


async def test_no_sandbox_gets_a_real_pass(open_real: OpenReal, store: Sandbox) -> None:
    """A store that says that it is a sandbox has its decisions signed with no key of the operator's."""
    gateway = await open_real(marked=True)

    answer = await ask_for(gateway, method="user", user_id=seed.OWNER_ID)

    assert (answer["outcome"], answer["caveats"], answer["pass"]) == ("owned", ["sandbox"], None)


async def test_the_right_is_needed_and_those_of_the_method(open_real: OpenReal) -> None:
    """A caller that may ask for passes may not name users for that, and the other way round."""
    callers = caller_lines("lobby", "ogw_lobby", rights='["verify", "pass"]') + caller_lines(
        "match", "ogw_match", rights='["verify", "assert:user"]'
    )
    gateway = await open_real(X_MOON + callers)

    async def status(token: str, **order: object) -> tuple[int, str | None]:
        headers = {"authorization": f"Bearer {token}"}
        answer = await gateway.http.post("/passes", json={"game": 3, **order}, headers=headers)
        return answer.status_code, answer.json().get("detail")

    key = {"method": "download_key", "download_key": seed.OWNER_KEY}
    assert (await status("ogw_lobby", **key))[0] == 200
    assert await status("ogw_lobby", method="user", user_id=1) == (403, "it lacks the right assert:user")
    assert await status("ogw_match", **key) == (403, "it lacks the right pass")
    assert (await status("ogw_nobody", **key))[0] == 401


@pytest.mark.parametrize(
    ("order", "pointer"),
    [
        ({"method": "user", "user_id": 1, "audience": "Server"}, "/audience"),
        ({"method": "user", "user_id": 1, "audience": "server\n"}, "/audience"),
        ({"method": "user", "user_id": 1, "player_ref": "a b"}, "/player_ref"),
        ({"method": "user", "user_id": 1, "player_ref": ""}, "/player_ref"),
        ({"method": "user", "user_id": 1, "player_ref": "a" * 65}, "/player_ref"),
        ({"method": "user", "user_id": 1, "id": "a"}, "/id"),
        ({"method": "pass", "pass": 1}, "/pass"),
        ({"method": "none"}, "/method"),
    ],
)
async def test_what_is_no_order_is_refused_with_a_pointer(
    open_real: OpenReal, order: dict[str, object], pointer: str
) -> None:
    gateway = await open_real()
    answer = await gateway.http.post("/passes", json={"game": 3, **order})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)


async def test_a_pass_is_asked_about_in_a_batch(open_real: OpenReal) -> None:
    """Beside others, each with its own answer."""
    gateway: Asker = await open_real()
    issued = await ask_for(gateway, method="user", user_id=seed.OWNER_ID, player_ref="a")
    common = {"method": "pass", "game": 3, "pass": issued["pass"]["value"]}

    answer = await gateway.batch({"id": "a", **common, "player_ref": "a"}, {"id": "b", **common, "player_ref": "b"})

    results = answer.json()["results"]
    assert [result["decision"]["reason"] for result in results] == ["download_key", "refused_pass"]
