"""Examples on the pages: they can be pasted, and give what the pages say."""

import os
import re
import runpy
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest
from click.testing import CliRunner
from msgspec import Struct

from service.api.answers import Answer, NoAnswerProblem
from service.api.problems import Problem
from service.cli import main
from service.cli.greeting import curl_lines
from service.ownership import Method
from service.sandbox import seed
from service.sandbox.seed import examples
from service.settings import load_settings
from tests.clock import FakeClock
from tests.docs.pages import ROOT, blocks, code, codes, section, table
from tests.gateways import Asker, LogLines, befall, opened, settings_from

_BASE_URL: Final = "http://127.0.0.1:8080"
_SHORTENED: Final = "…"
_JWT_SHOWN: Final = 20

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_ULID: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_VOLATILE: Final = {
    "observed_at": _INSTANT,
    "fresh_until": _INSTANT,
    "usable_until": _INSTANT,
    "decision_id": _ULID,
    "request_id": _ULID,
}
"""The values that differ each time, as the walk says, by their patterns."""

_MayEnter = Callable[[httpx.AsyncClient, str, dict[str, object]], Awaitable[tuple[str, str, int]]]


class Shown(Struct, frozen=True):
    """A command as a page shows it, with what it prints."""

    line: str
    output: str


def _shown(page: str) -> list[Shown]:
    found = []
    for block in blocks(page, "console"):
        line, _, output = block.removeprefix("$ ").partition("\n")
        found.append(Shown(line, output))
    return found


async def _curl(http: httpx.AsyncClient, line: str) -> httpx.Response:
    """Run the printed curl lines."""
    method, url, body, headers = "GET", "", None, {}
    words = iter(shlex.split(line))
    assert next(words) == "curl"
    for word in words:
        match word:
            case "-sS":
                pass
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                body = next(words)
            case _:
                url = word
    return await http.request(method, url.removeprefix(_BASE_URL), headers=headers, content=body)


def _without_volatile(value: Any) -> Any:
    """Return the value with values that differ each time replaced by their patterns."""
    match value:
        case dict():
            return {
                name: _VOLATILE[name].pattern
                if name in _VOLATILE and isinstance(one, str) and _VOLATILE[name].fullmatch(one)
                else _without_volatile(one)
                for name, one in value.items()
            }
        case list():
            return [_without_volatile(one) for one in value]
        case _:
            return value


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Asker]:
    """The gateway that `make run` serves, with nothing configured."""
    async with opened(settings_from(tmp_path, ""), clock=FakeClock(), log=LogLines()) as asker:
        yield asker


@pytest.fixture
def may_enter(tmp_path: Path) -> _MayEnter:
    """The README's Python, pasted into a module."""
    (snippet,) = blocks("README.md", "python")
    module = tmp_path / "snippet.py"
    module.write_text(snippet, encoding="utf-8")
    function: _MayEnter = runpy.run_path(str(module))["may_enter"]
    return function


def _printed(gateway: Asker) -> list[str]:
    """Return the commands that `make run` prints, with the JWT shortened as on the pages."""
    jwt = gateway.sandbox.mint_jwt(seed.OWNER_ID).jwt
    lines = curl_lines(_BASE_URL, load_settings({"OWNERSHIP_GATEWAY_SANDBOX": "true"}), jwt=jwt).splitlines()
    return [line.replace(jwt, jwt[:_JWT_SHOWN] + _SHORTENED) for line in lines if not line.startswith("#")]


async def test_commands_of_the_walk_are_those_printed(gateway: Asker) -> None:
    """The walk shows exactly the commands that `make run` prints, in their order."""
    assert [shown.line for shown in _shown("docs/sandbox.md")] == _printed(gateway)


async def test_commands_in_readme_are_among_those_printed(gateway: Asker) -> None:
    """The README shows some of the commands that `make run` prints, in their order."""
    shown = [shown.line for shown in _shown("README.md")]

    assert shown
    assert shown == [line for line in _printed(gateway) if line in shown]


@pytest.mark.parametrize("page", ["README.md", "docs/sandbox.md"])
async def test_answers_as_shown(page: str, gateway: Asker) -> None:
    """Pasted in order, the commands of a page give the answers that it shows."""
    jwt = gateway.sandbox.mint_jwt(seed.OWNER_ID).jwt

    for shown in _shown(page):
        response = await _curl(gateway.http, shown.line.replace(jwt[:_JWT_SHOWN] + _SHORTENED, jwt))

        assert _without_volatile(response.json()) == _without_volatile(msgspec.json.decode(shown.output)), shown.line


def test_readme_shows_three_answers() -> None:
    """A reader sees a yes, a no, and that no answer is neither."""
    answers = [msgspec.json.decode(shown.output) for shown in _shown("README.md")]

    assert [answer["outcome"] for answer in answers if "outcome" in answer] == ["owned", "not_owned", "unknown"]


async def test_python_lets_owners_in(gateway: Asker, may_enter: _MayEnter) -> None:
    """The README's Python lets in a player who owns the game."""
    question: dict[str, object] = {"game": 3, "download_key": seed.OWNER_KEY}

    verdict = await may_enter(gateway.http, "/verify/download-key", question)

    assert verdict == ("in", "download_key", 0)


async def test_python_keeps_others_out(gateway: Asker, may_enter: _MayEnter) -> None:
    """The README's Python keeps out a player who owns nothing."""
    verdict = await may_enter(gateway.http, "/verify/user", {"game": 3, "user_id": seed.STRANGER_ID})

    assert verdict == ("out", "no_download_key", 0)


async def test_python_asks_for_another_credential(gateway: Asker, may_enter: _MayEnter) -> None:
    """The README's Python takes a refused credential for no answer about ownership."""
    verdict = await may_enter(gateway.http, "/verify/download-key", {"game": 3, "download_key": "no key"})

    assert verdict == ("other credential", "malformed_download_key", 0)


async def test_python_keeps_players_waiting(gateway: Asker, may_enter: _MayEnter) -> None:
    """The README's Python waits for the time in `Retry-After` while the store gives no usable answer."""
    befall(gateway.sandbox, status=429, retry_after="7")

    verdict = await may_enter(gateway.http, "/verify/user", {"game": 3, "user_id": seed.OWNER_ID})

    assert verdict == ("later", "source_rate_limited", 7)


async def test_python_reports_its_own_mistakes(gateway: Asker, may_enter: _MayEnter) -> None:
    """The README's Python raises mistakes that only the developer can mend."""
    with pytest.raises(RuntimeError, match="missing_field"):
        await may_enter(gateway.http, "/verify/user", {"game": 3})


def _refuse_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


@pytest.mark.parametrize(
    "answer",
    [
        _refuse_connection,
        lambda _: httpx.Response(502, text="<html>Bad Gateway</html>"),
        lambda _: httpx.Response(500, json={"code": "internal_error"}),
    ],
)
async def test_python_grants_nothing_without_an_answer(
    answer: Callable[[httpx.Request], httpx.Response], may_enter: _MayEnter
) -> None:
    """The README's Python keeps the player waiting when the gateway is away or broken, or another server answers."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url=_BASE_URL) as http:
        what, _, wait = await may_enter(http, "/verify/user", {"game": 3, "user_id": seed.OWNER_ID})

    assert (what, wait) == ("later", 2)


def test_fields_that_godot_reads() -> None:
    """The example that cannot be run here reads only fields that answers and problems have, and waits where it must."""
    source = (ROOT / "deploy/examples/gdscript/ownership_gateway.gd").read_text(encoding="utf-8")
    read = set(re.findall(r'answer\.get\("(\w+)"', source))

    assert read >= {"allowed", "outcome", "reason", "code", "retry_after_seconds"}
    assert read <= {
        *Answer.__struct_fields__,
        *NoAnswerProblem.__struct_fields__,
        *Problem.__struct_fields__,
    }
    assert "429" in source


def test_toml(tmp_path: Path) -> None:
    """Every configuration that is shown can be used as it is, once its secrets are there."""
    for name, secret in {"itch-api-key": "k" * 40, "sealing-secret": "s" * 64, "redis-url": "redis://redis"}.items():
        (tmp_path / name).write_text(secret, encoding="utf-8")
    shown = blocks("docs/configuration.md", "toml")
    assert shown

    for text in shown:
        file = tmp_path / "gateway.toml"
        file.write_text(text.replace("/run/secrets", str(tmp_path)), encoding="utf-8")

        assert load_settings({}, config_file=file).callers


@pytest.mark.parametrize("shown", _shown("docs/configuration.md"), ids=lambda shown: shown.line.split()[-2])
def test_commands_as_shown(shown: Shown) -> None:
    """The configuration reference shows what commands really print."""
    words = shlex.split(shown.line)
    environment: dict[str, str | None] = {name: None for name in os.environ if name.startswith("OWNERSHIP_GATEWAY_")}
    environment |= dict(word.split("=") for word in words if "=" in word)
    arguments = words[words.index("ownership-gateway") + 1 :]

    result = CliRunner().invoke(main, arguments, env=environment)

    assert result.output == shown.output


@pytest.mark.parametrize(
    ("first", "method"), [("download_key", Method.DOWNLOAD_KEY), ("user_id", Method.USER), ("email", Method.EMAIL)]
)
async def test_world(first: str, method: Method, gateway: Asker) -> None:
    """Every key, user and address of the sandbox yields what its page says."""
    world = table("docs/sandbox.md", "The world", first=f"`{first}`")

    for row in world.rows:
        credential = int(row[0]) if method is Method.USER else code(row[0])
        answer = (await gateway.ask(method, credential)).json()

        assert [answer["outcome"], answer["reason"]] == codes(row[-1])[:2], row[0]


def test_world_is_complete(gateway: Asker) -> None:
    """Every example that the sandbox itself gives is on its page; JWTs are by the user they belong to."""
    text = section("docs/sandbox.md", "The world")

    for example in examples(lambda user_id, lifetime: gateway.sandbox.mint_jwt(user_id, lifetime=lifetime)):
        for name, value in example.body.items():
            assert name == "jwt" or str(value) in text


@pytest.mark.parametrize("name", ["first", "second"])
def test_seller_keys(name: str) -> None:
    """The sandbox's seller keys are shown as they are."""
    key = {"first": seed.SELLER_KEY, "second": seed.SECOND_SELLER_KEY}[name]

    assert f"`{key}`" in section("docs/sandbox.md", "The world")


async def test_control_endpoints(gateway: Asker) -> None:
    """Every control endpoint on the sandbox's page exists."""
    for row in table("docs/sandbox.md", "Control endpoints", first="endpoint").rows:
        for endpoint in codes(row[0]):
            method, path = endpoint.split(" ")
            response = await gateway.http.request(method, path, content=b"")

            assert response.status_code in (200, 400), endpoint
            assert response.headers["x-sandbox"] == "ownership-gateway", endpoint


async def test_faults(gateway: Asker) -> None:
    """Every fault on the sandbox's page is one that the sandbox takes."""
    for row in table("docs/sandbox.md", "Faults", first="effect").rows:
        body = f"{{{codes(row[0])[0]}}}"

        response = await gateway.http.put("/sandbox/faults", content=body.encode())

        assert response.status_code == 200, body


async def test_cache_status(gateway: Asker) -> None:
    """The three forms of `Cache-Status` are those that are sent."""
    seen = [
        (await gateway.key(seed.OWNER_KEY)).headers["cache-status"],
        (await gateway.key(seed.OWNER_KEY)).headers["cache-status"],
        (await gateway.key("no key")).headers["cache-status"],
    ]
    forms = {re.sub(r"ttl=\d+", "ttl=N", form) for form in codes(section("docs/api.md", "Headers"))}

    assert {re.sub(r"ttl=\d+", "ttl=N", status) for status in seen} <= forms


async def test_metrics_are_served_as_shown(gateway: Asker) -> None:
    """The bodies of the operational endpoints are those that are shown."""
    for row in table("docs/api.md", "Operational endpoints", first="endpoint").rows:
        shown = [one for one in codes(row[1]) if one.startswith("{")]
        path = code(row[0]).removeprefix("GET ")
        if shown:
            body = (await gateway.http.get(path)).json()

            assert _keys(body) == _keys(msgspec.json.decode(shown[0])), path


def _keys(value: object) -> object:
    return {name: _keys(one) for name, one in value.items()} if isinstance(value, dict) else None


async def test_problems_as_shown(gateway: Asker) -> None:
    """The problems in the API reference are what is really sent."""
    befall(gateway.sandbox, status=429, retry_after="7")
    sent = [await gateway.http.post("/verify/user", json={"game": 3}), await gateway.user(seed.SHORT_KEY_OWNER_ID)]
    shown = [one for one in map(msgspec.json.decode, blocks("docs/api.md", "json")) if "type" in one]

    assert [_without_volatile(one.json()) for one in sent] == [_without_volatile(one) for one in shown]
