"""A bad night: one thing after the other goes wrong, and log, health, metrics and doctor name each cause."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from service.causes import Cause
from service.cli.redis_checks import examine_redis
from service.clock import SystemClock
from service.sandbox import seed
from service.sandbox.world_content import SellerKeyState
from service.secret import RedisUrl
from tests.cache.certificates import write_certificate
from tests.clock import FakeClock
from tests.gateways import SECRET, X_MOON, Asker, LogLines, opened, pointing_at, sandbox_alone, settings_from, until
from tests.redis_server import RedisServer, free_port

PASSWORD = "canary-password"


def redis_on(port: int, directory: Path, *, password: str = PASSWORD, **certificate: Any) -> RedisServer:
    """Return a Redis on that port that speaks TLS, with a password and a certificate of its own."""
    write_certificate(directory, address="127.0.0.1", **certificate)
    files = ["--tls-cert-file", str(directory / "certificate.pem"), "--tls-key-file", str(directory / "key.pem")]
    arguments = [*files, "--tls-auth-clients", "no", "--requirepass", password]
    return RedisServer(arguments=arguments, port=port, plain=False)


@contextmanager
def running(server: RedisServer) -> Iterator[RedisServer]:
    """Run it; then it is killed."""
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Night:
    """A gateway to which players come, and its operator."""

    def __init__(self, gateway: Asker, redis_url: str) -> None:
        self.gateway = gateway
        self._redis_url = RedisUrl(redis_url)
        self._asked = 0

    async def until_causes(self, **causes: str) -> None:
        """Let players come, and time pass, until health names these causes and no others."""
        async with asyncio.timeout(60):
            while await self.causes() != causes:
                self._asked += 1
                asking = asyncio.ensure_future(self.gateway.key(f"key-of-player-{self._asked}"))
                while not asking.done():
                    await self.gateway.clock.advance(timedelta(milliseconds=1))
                    await asyncio.sleep(0)
                await self.gateway.clock.advance(timedelta(seconds=1))
                await asyncio.sleep(0.01)  # what a try takes is no virtual time

    async def causes(self) -> dict[str, str]:
        """Return the causes that health names, once the metric names the same."""
        causes: dict[str, str] = (await self.gateway.http.get("/readyz")).json().get("causes", {})
        shown = [await self.gateway.metric("trouble", component=name, cause=why) for name, why in causes.items()]
        # What was found out between the two is looked at again.
        return causes if all(shown) else {"metric": "another"}

    async def diagnosis(self) -> Cause | None:
        """Return the cause that the doctor finds for Redis; a busy machine may make a handshake late."""
        while (why := (await examine_redis(self._redis_url, clock=SystemClock()))[0].why) is Cause.TIMEOUT:
            pass
        return why


async def test_every_cause_of_a_night_is_named(tmp_path: Path, clock: FakeClock) -> None:
    """The seller's key is revoked, Redis killed, its certificate over, its password another; then all is well."""
    log, port = LogLines(), free_port()
    url = f"rediss://:{PASSWORD}@127.0.0.1:{port}?ssl_ca_certs={tmp_path / 'certificate.pem'}"
    named = []
    async with AsyncExitStack() as stack:
        healthy = stack.enter_context(running(redis_on(port, tmp_path)))
        sandbox, base_url = await stack.enter_async_context(sandbox_alone(clock))
        toml = f'secret = "{SECRET}"\n{X_MOON}\n{pointing_at(base_url)}\n[redis]\nurl = "{url}"\n'
        settings = settings_from(tmp_path, toml, sandbox=False)
        night = Night(await stack.enter_async_context(opened(settings, clock=clock, log=log)), url)
        await night.until_causes()

        sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState(revoked=True)
        await night.until_causes(credential="auth")
        sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState()
        await night.until_causes()

        healthy.kill()
        await night.until_causes(redis="refused")
        named.append(await night.diagnosis())

        with running(redis_on(port, tmp_path, valid_for=timedelta(minutes=-1))):
            await night.until_causes(redis="tls_expired")
            named.append(await night.diagnosis())

        with running(redis_on(port, tmp_path, password="another")):
            await night.until_causes(redis="auth")
            named.append(await night.diagnosis())

        with running(redis_on(port, tmp_path)):
            await night.until_causes()

        await until(lambda: len(log.lines("redis_found")) == 2)

    assert named == ["refused", "tls_expired", "auth"]
    assert [line["why"] for line in log.lines("credential_refused")] == ["auth"]
    # A busy machine may make a handshake late.
    whys = [line["why"] for line in log.lines("redis_lost") if line["why"] != "timeout"]
    assert whys == ["refused", "tls_expired", "auth"]
    assert PASSWORD.encode() not in log.written
