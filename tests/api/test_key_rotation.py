"""While one of the seller's keys replaces the other, every question is answered, and only the operator is informed."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from service.sandbox import seed
from service.sandbox.state import Sandbox
from service.sandbox.store_endpoints import StoreEndpoint
from service.sandbox.world_content import SellerKeyState
from tests.api.conftest import Open
from tests.clock import FakeClock
from tests.gateways import X_MOON, LogLines, asked_store, pointing_at, sandbox_alone, until, until_learned

NEXT_KEY: Final = seed.SECOND_SELLER_KEY


@pytest.fixture
async def world(clock: FakeClock) -> AsyncIterator[tuple[Sandbox, str]]:
    """A store that takes both keys, and its address."""
    async with sandbox_alone(clock) as (sandbox, base_url):
        yield sandbox, base_url


def revoke(sandbox: Sandbox) -> None:
    """Let the seller revoke the key in use."""
    sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState(revoked=True)


async def test_the_next_key_takes_over_at_once(open_with: Open, world: tuple[Sandbox, str], log: LogLines) -> None:
    """The question that finds the old key revoked is answered with the next one."""
    sandbox, base_url = world
    toml = pointing_at(base_url) + f'next_api_key = "{NEXT_KEY}"\n' + X_MOON
    gateway = await open_with(toml, sandbox=False)
    await until_learned(gateway.gateway)
    revoke(sandbox)

    answers = [await gateway.key(key) for key in (seed.OWNER_KEY, seed.SHORT_KEY)]

    line = await log.line("credential_switched")
    assert [answer.json()["outcome"] for answer in answers] == ["owned", "owned"]
    assert line["setting"] == "itch.next_api_key"
    assert await gateway.metric("source_credential_ok") == 1


async def test_without_a_next_key_it_is_nobodys_loss(open_with: Open, world: tuple[Sandbox, str]) -> None:
    """A player who is not known yet gets `unknown`, which is neither yes nor no."""
    sandbox, base_url = world
    gateway = await open_with(pointing_at(base_url) + X_MOON, sandbox=False)
    await until_learned(gateway.gateway)
    revoke(sandbox)

    answer = await gateway.key(seed.OWNER_KEY)

    assert (answer.status_code, answer.json()["reason"]) == (503, "gateway_credential")


async def test_another_key_in_the_file_is_used_without_a_restart(
    open_with: Open, world: tuple[Sandbox, str], tmp_path: Path, clock: FakeClock, log: LogLines
) -> None:
    """The new key is used within a second, and the store is asked whose it is."""
    sandbox, base_url = world
    file = tmp_path / "api-key"
    file.write_text(seed.SELLER_KEY)
    gateway = await open_with(f'[itch]\napi_key_file = "{file}"\nbase_url = "{base_url}"\n' + X_MOON, sandbox=False)
    await until_learned(gateway.gateway)
    revoke(sandbox)
    file.write_text(NEXT_KEY)
    clock.jump(timedelta(seconds=1))
    sandbox.journal.clear()

    answer = await gateway.key(seed.OWNER_KEY)

    assert answer.json()["outcome"] == "owned"
    assert (await log.line("credential_reloaded"))["setting"] == "itch.api_key"
    await until(lambda: asked_store(sandbox, StoreEndpoint.PROFILE))


async def test_a_mistaken_key_in_the_file_keeps_no_player_out(
    open_with: Open, world: tuple[Sandbox, str], tmp_path: Path, clock: FakeClock, log: LogLines
) -> None:
    """Half a key looks like a key; the store refuses it, and the question is answered with the one before."""
    _, base_url = world
    file = tmp_path / "api-key"
    file.write_text(seed.SELLER_KEY)
    gateway = await open_with(f'[itch]\napi_key_file = "{file}"\nbase_url = "{base_url}"\n' + X_MOON, sandbox=False)
    await until_learned(gateway.gateway)
    file.write_text(seed.SELLER_KEY[:20])
    clock.jump(timedelta(seconds=1))

    answers = [await gateway.key(key) for key in (seed.OWNER_KEY, seed.SHORT_KEY)]

    assert [answer.json()["outcome"] for answer in answers] == ["owned", "owned"]
    assert (await log.line("credential_switched"))["setting"] == "itch.api_key before it changed"
