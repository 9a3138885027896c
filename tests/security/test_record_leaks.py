"""`doctor --record` beside a store full of canaries: neither its file nor its output holds one of them."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from service.clock import SystemClock
from service.sandbox.faults import Fault
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.state import Sandbox
from service.sandbox.store_endpoints import StoreEndpoint
from service.sandbox.world_content import Account, Channel, Game, KeyRecord, Purchase, SellerKeyState, WorldContent
from tests.cli.terminals import COMMAND, environment, run_in_background
from tests.security.search import found

SELLER_KEY: Final = "canarySellerKeyQ7vT2mB9xK4wZ8pL3nR6sD1fH"
DOWNLOAD_KEY: Final = "canaryDownloadKeyM3nB6vC9xZ2lK5jH8gF4dS7"
EMAIL: Final = "canary.player+games-x4z7@mail.example.com"
PLAYER_NAME: Final = "canary-player_name-r8k2"
DISPLAY_NAME: Final = "Cänary P. Layer of Q5w9"
SELLER_NAME: Final = "canary-studio-t6u3"
SLUG: Final = "canary-game-y7m4"
TITLE: Final = "Canary: the Game V1b8"
SHORT_TEXT: Final = "About a canary that sings N2c5."
CHANNEL: Final = "canary-channel-p4"
VERSION: Final = "canary-version-9.8.7654"
PRICE: Final = "$7418.53"
SELLER_ID: Final = 918273645
PLAYER_ID: Final = 564738291
GAME_ID: Final = 738291564
KEY_ID: Final = 291564738
PURCHASE_ID: Final = 645918273

WORLD: Final = WorldContent(
    seller_id=SELLER_ID,
    accounts=(
        Account(SELLER_ID, SELLER_NAME, "Canary Studio L8x2", ("canary.seller@example.com",), developer=True),
        Account(PLAYER_ID, PLAYER_NAME, DISPLAY_NAME, (EMAIL,), press=True),
    ),
    games=(Game(GAME_ID, SLUG, TITLE, SELLER_ID, SHORT_TEXT),),
    keys=(KeyRecord(id=KEY_ID, text=DOWNLOAD_KEY, game_id=GAME_ID, owner_id=PLAYER_ID, email=EMAIL),),
    purchases=(Purchase(id=PURCHASE_ID, game_ids=(GAME_ID,), email=EMAIL, price=PRICE),),
    channels=(Channel(GAME_ID, CHANNEL, VERSION),),
)

CANARIES: Final = {
    "the seller's key": SELLER_KEY,
    "the download key": DOWNLOAD_KEY,
    "the address": EMAIL,
    "a part of the address": EMAIL.partition("@")[0],
    "the player's name": PLAYER_NAME,
    "the player's display name": DISPLAY_NAME,
    "the seller's name": SELLER_NAME,
    "the seller's display name": "Canary Studio L8x2",
    "the slug": SLUG,
    "the title": TITLE,
    "the description": SHORT_TEXT,
    "the channel": CHANNEL,
    "the version": VERSION,
    "the price": PRICE,
    **{f"the number {number}": str(number) for number in (SELLER_ID, PLAYER_ID, GAME_ID, KEY_ID, PURCHASE_ID)},
}
ANYTHING: Final = f"{SELLER_KEY} {DOWNLOAD_KEY} {EMAIL} {PLAYER_NAME} {PLAYER_ID} {DISPLAY_NAME}"
FAULTS: Final[list[dict[str, Any]]] = [
    {"body": json.dumps({"errors": [f"no such user {ANYTHING}"], "details": {ANYTHING: ANYTHING}})},
    {"body": json.dumps({"errors": ANYTHING, EMAIL: PLAYER_ID})},
    {"body": json.dumps({"errors": {DOWNLOAD_KEY: [EMAIL]}}), "status": 400},
    {"body": json.dumps({PLAYER_NAME: {EMAIL: [{DOWNLOAD_KEY: SELLER_KEY}]}})},
    {"body": json.dumps({"user": {"id": PLAYER_ID, "type": ANYTHING, "status": PLAYER_NAME, "created_at": ANYTHING}})},
    {"body": json.dumps({"scopes": [PLAYER_NAME, EMAIL, DOWNLOAD_KEY], "expires_at": ANYTHING})},
    {"body": json.dumps([[ANYTHING]])},
    {"body": json.dumps(ANYTHING)},
    {"body": f"<html>{ANYTHING}</html>", "content_type": f"text/{DOWNLOAD_KEY}; charset={PLAYER_NAME}"},
    {"body": ANYTHING * 100},
    {"body": ANYTHING * 10_000},
    {"body_base64": b"\xff\xfe" + SELLER_KEY.encode()},
    {"redirect": f"https://{PLAYER_NAME}.example/?key={SELLER_KEY}&email={EMAIL}"},
    {"status": 429, "retry_after": f"{SELLER_KEY} {EMAIL}"},
    {"status": 429, "retry_after": str(PLAYER_ID)},
    {"truncated": True},
]


@asynccontextmanager
async def store_of_canaries(faults: list[dict[str, Any]]) -> AsyncIterator[tuple[Sandbox, dict[str, str]]]:
    """Open a store that is full of canaries, and return it with the settings of a gateway in front."""
    sandbox = Sandbox(clock=SystemClock(), content=WORLD)
    sandbox.world.seller_keys[SELLER_KEY] = SellerKeyState()
    sandbox.faults.replace([Fault(**fault) for fault in faults])
    async with SandboxServer(sandbox) as server:
        yield (
            sandbox,
            {
                "OWNERSHIP_GATEWAY_ITCH__BASE_URL": server.base_url,
                "OWNERSHIP_GATEWAY_ITCH__API_KEY": SELLER_KEY,
                "OWNERSHIP_GATEWAY_ITCH__TIMEOUT": "1",
            },
        )


def arguments(directory: Path, method: str | None) -> list[str]:
    """Return the command, for a game and a channel that are canaries, too."""
    config = directory / "gateway.toml"
    config.write_text(f'[games.{SLUG}]\nid = {GAME_ID}\nchannels = ["{CHANNEL}"]\n')
    given = ["doctor", "--config", str(config), "--record", str(directory / "record")]
    return given if method is None else [*given, "--method", method]


def leaked(seen: dict[str, bytes], credentials: dict[str | None, str]) -> list[str]:
    """Return the canaries, and the credentials of a player, that can be seen."""
    tokens = {
        "the JWT": credentials["jwt"],
        "the claims": credentials["jwt"].split(".")[1],
        "the access token": credentials["access_token"],
    }
    return found(CANARIES | tokens, seen)


def credentials_in(sandbox: Sandbox) -> dict[str | None, str]:
    """Return what standard input holds, by method."""
    return {
        None: "",
        "jwt": sandbox.mint_jwt(PLAYER_ID).jwt,
        "access_token": sandbox.world.mint_access_token(PLAYER_ID, application_of=None),
        "download_key": DOWNLOAD_KEY,
        "email": EMAIL,
    }


async def recorded(directory: Path, faults: list[dict[str, Any]], *, method: str | None = None) -> bytes:
    """Record a store that is full of canaries, and return the file, once nothing was found in it or the output."""
    async with store_of_canaries(faults) as (sandbox, settings):
        credentials = credentials_in(sandbox)
        result = await run_in_background(
            *arguments(directory, method), environ=settings, stdin=credentials[method].encode()
        )
    file = (directory / "record").read_bytes()
    assert leaked({"the file": file, "the output": result.stdout_bytes + result.stderr_bytes}, credentials) == []
    return file


@pytest.mark.parametrize("method", [None, "jwt", "access_token", "download_key", "email"])
async def test_nothing_of_a_well_store(tmp_path: Path, method: str | None) -> None:
    """Its answers are recorded whole, and hold none of the canaries that the store told."""
    file = await recorded(tmp_path, [], method=method)

    (store,) = json.loads(file)["stores"]
    assert len(store["answers"]) >= 5
    assert [one["differences"] for one in store["answers"] if "differences" in one] == []


@pytest.mark.parametrize("fault", FAULTS)
async def test_nothing_of_a_store_that_is_unwell(tmp_path: Path, fault: dict[str, Any]) -> None:
    """Words, names of fields, types of bodies, headers and pages with canaries in them."""
    file = await recorded(tmp_path, [fault], method="access_token")

    assert b'"no_answer"' in file


@pytest.mark.parametrize("endpoint", [one for one in StoreEndpoint if one is not StoreEndpoint.UPLOADS])
async def test_nothing_of_one_odd_endpoint(tmp_path: Path, endpoint: StoreEndpoint) -> None:
    """The others lead to it, so that each is asked; files are no part of a record."""
    body = json.dumps({"errors": [f"no such user {ANYTHING}"], "details": {ANYTHING: ANYTHING}})

    file = await recorded(tmp_path, [{"endpoint": endpoint, "body": body}], method="access_token")

    assert b"no such user" not in file
    assert b"no <4 characters> user <40 characters>" in file


async def test_nothing_in_the_log_at_debug(tmp_path: Path) -> None:
    """Standard error has it then, of a process as an operator runs it."""
    async with store_of_canaries([{"endpoint": "latest", "body": json.dumps({"latest": {EMAIL: ANYTHING}})}]) as opened:
        sandbox, settings = opened
        credentials = credentials_in(sandbox)
        variables = environment(settings | {"OWNERSHIP_GATEWAY_LOG__LEVEL": "debug"})
        process = await asyncio.create_subprocess_exec(
            *COMMAND, *arguments(tmp_path, "jwt"),
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        out, errors = await process.communicate(credentials["jwt"].encode())

    file = (tmp_path / "record").read_bytes()
    assert b"credential_accepted" in errors
    assert leaked({"the file": file, "the output": out, "the log": errors}, credentials) == []
