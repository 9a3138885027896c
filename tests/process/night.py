"""A gateway process, a store that speaks TLS, a Redis with a password, and the troubles of one night."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple, Self

import httpx
import pytest

from service.clock import SystemClock
from service.ownership import Method
from service.sandbox import seed
from service.sandbox.state import Sandbox
from service.sandbox.world_content import SellerKeyState
from tests.cache.certificates import write_certificate
from tests.cli.terminals import start
from tests.fault_proxy import FaultProxy
from tests.gateways import PATHS, SECRET, X_MOON, plain_client, sandbox_alone
from tests.process.processes import TIMEOUT, Process, process
from tests.redis_server import RedisServer, free_port

PASSWORD: Final = "canary-password"
_FIRST_PLAYER: Final = 1_000_000
_PAUSE_SECONDS: Final = 0.2


class TlsStore:
    """A server in front of the sandbox that speaks TLS, with a certificate that can be replaced."""

    def __init__(self, directory: Path, *, target_port: int) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._good, self._expired = directory / "good", directory / "expired"
        for folder, valid_for in ((self._good, timedelta(days=1)), (self._expired, timedelta(minutes=-1))):
            folder.mkdir()
            write_certificate(folder, address="127.0.0.1", valid_for=valid_for, subject=folder.name)
        self.trusted = directory / "trusted.pem"
        # Both are trusted, so that nothing but its age is wrong with the one that is over.
        self.trusted.write_bytes(
            b"".join((one / "certificate.pem").read_bytes() for one in (self._good, self._expired))
        )
        self._proxy = FaultProxy(target_port, tls=self._context)

    @property
    def base_url(self) -> str:
        """Its address."""
        return f"https://127.0.0.1:{self._proxy.port}"

    def show(self, *, expired: bool) -> None:
        """Show this certificate from now on; connections that stand are cut."""
        shown = self._expired if expired else self._good
        self._context.load_cert_chain(shown / "certificate.pem", shown / "key.pem")
        self._proxy.cut()

    async def __aenter__(self) -> Self:
        self.show(expired=False)
        await self._proxy.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._proxy.__aexit__()


class Night:
    """All of it, while players whom the gateway does not know come one after the other."""

    gateway: Process
    http: httpx.AsyncClient

    def __init__(self, *, store: TlsStore, sandbox: Sandbox, environment: Mapping[str, str]) -> None:
        self._store = store
        self._sandbox = sandbox
        self._environment = environment
        self._redis: RedisServer | None = None

    def revoke_key(self, *, revoked: bool) -> None:
        """Revoke the seller's API key, or take that back."""
        self._sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState(revoked=revoked)

    def show_certificate(self, *, expired: bool) -> None:
        """Have the store show a certificate that is over, or one that is not."""
        self._store.show(expired=expired)

    def run_redis(self, *, password: str | None) -> None:
        """Have an empty Redis with this password, in place of the one that there is; None for no Redis."""
        if self._redis is not None:
            self._redis.stop()
            self._redis = None
        if password is not None:
            port = int(self._environment["REDIS__URL"].rpartition(":")[2])
            self._redis = RedisServer(arguments=["--requirepass", password], port=port)
            self._redis.start()

    async def until_health_names(self, causes: Mapping[str, str]) -> None:
        """Return once health names these causes and no others; fail if it never does."""
        give_up_at = time.monotonic() + 2 * TIMEOUT
        while (named := (await self.http.get("/readyz")).json().get("causes", {})) != causes:
            assert time.monotonic() < give_up_at, f"health names {named} instead of {causes}"
            await asyncio.sleep(_PAUSE_SECONDS)

    async def diagnosis(self) -> dict[str, str]:
        """Return the causes that `doctor` finds, by the name of the check."""
        variables = {f"OWNERSHIP_GATEWAY_{name}": value for name, value in self._environment.items()}
        with start(["doctor", "--json"], variables) as doctor:
            output, _ = await asyncio.to_thread(doctor.communicate)
        return {one["check"]: one["why"] for one in json.loads(output)["checks"] if one["why"]}

    async def play(self) -> None:
        """Ask about one player after the other, until cancelled."""
        for player in count(_FIRST_PLAYER):
            with suppress(httpx.HTTPError):
                await self.http.post(PATHS[Method.USER], json={"game": 3, "user_id": player})
            await asyncio.sleep(_PAUSE_SECONDS)


class Trouble(NamedTuple):
    """Something that goes wrong at night, and where its cause is seen."""

    befall: Callable[[Night], None]
    causes: dict[str, str]
    """By component, as health names them."""
    event: str
    """The line of the log, which has the cause as `why`."""
    alert: str
    """Its name, without what all begin with."""
    cause: str


def _lose_key(night: Night) -> None:
    night.revoke_key(revoked=True)


def _lose_redis(night: Night) -> None:
    night.revoke_key(revoked=False)
    night.run_redis(password=None)


def _let_certificate_expire(night: Night) -> None:
    night.show_certificate(expired=True)


def _change_password(night: Night) -> None:
    night.show_certificate(expired=False)
    night.run_redis(password="another")


TROUBLES: Final = (
    Trouble(_lose_key, {"credential": "auth"}, "credential_refused", "SellerKeyRefused", "auth"),
    Trouble(_lose_redis, {"redis": "refused"}, "redis_lost", "RedisLost", "refused"),
    Trouble(
        _let_certificate_expire,
        {"redis": "refused", "source": "tls_expired"},
        "source_lost",
        "StoreFailing",
        "tls_expired",
    ),
    Trouble(_change_password, {"redis": "auth"}, "redis_lost", "RedisLost", "auth"),
)
"""One after the other; the first is over when the second comes, the third when the fourth does."""


def mend(night: Night) -> None:
    """End the last of the troubles."""
    night.run_redis(password=PASSWORD)


@asynccontextmanager
async def nightfall(directory: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Night]:
    """Yield a night on which all is well yet."""
    async with AsyncExitStack() as stack:
        sandbox, base_url = await stack.enter_async_context(sandbox_alone(SystemClock()))
        store = TlsStore(directory, target_port=int(base_url.rpartition(":")[2]))
        await stack.enter_async_context(store)
        patch.setenv("SSL_CERT_FILE", str(store.trusted))
        patch.setenv("SSL_CERT_DIR", str(directory / "none"))
        config = directory / "gateway.toml"
        config.write_text(X_MOON)
        environment = {
            "CONFIG": str(config),
            "SECRET": SECRET,
            "REDIS__URL": f"redis://:{PASSWORD}@127.0.0.1:{free_port()}",
            "ITCH__BASE_URL": store.base_url,
            "ITCH__API_KEY": seed.SELLER_KEY,
            "ITCH__RATE": "8",
            "ITCH__BURST": "15",
        }
        night = Night(store=store, sandbox=sandbox, environment=environment)
        night.run_redis(password=PASSWORD)
        stack.callback(night.run_redis, password=None)
        night.gateway = await stack.enter_async_context(process(**environment))
        night.http = await stack.enter_async_context(plain_client(base_url=night.gateway.base_url, timeout=TIMEOUT))
        players = asyncio.create_task(night.play())
        stack.callback(players.cancel)
        await night.until_health_names({})
        yield night
