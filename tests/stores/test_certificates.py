"""The store over TLS, asked by a process of its own: a process reads its trusted certificates only once."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from service.cli.exits import Exit
from tests.cache.certificates import write_certificate
from tests.cli.terminals import start
from tests.stores.raw_server import http_answer


class Store:
    """A store that speaks TLS, and the requests that it received."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.requests: list[bytes] = []

    async def is_asked(self, *, trusting: Path, **settings: str) -> int:
        """Have a gateway that trusts the certificates in this file ask the store; return how the command ended."""
        variables = {
            "OWNERSHIP_GATEWAY_ITCH__BASE_URL": self.base_url,
            "OWNERSHIP_GATEWAY_ITCH__API_KEY": "canary-seller-key",
            "SSL_CERT_FILE": str(trusting),
            "SSL_CERT_DIR": str(trusting.parent / "none"),
            **{f"OWNERSHIP_GATEWAY_{name}": value for name, value in settings.items()},
        }
        with start(["games", "--json"], variables) as process:
            await asyncio.to_thread(process.communicate)
            return process.returncode


@asynccontextmanager
async def store(directory: Path) -> AsyncIterator[Store]:
    """Serve with the certificate in this directory."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    found = Store("")

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(http_answer(b'{"games":{}}'))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    found.base_url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield found


async def test_a_store_that_somebody_vouches_for_is_asked(tmp_path: Path) -> None:
    """A control: a trusted certificate works, so the refusals below are due to the certificates."""
    write_certificate(tmp_path, address="127.0.0.1")
    async with store(tmp_path) as shop:
        assert await shop.is_asked(trusting=tmp_path / "certificate.pem") == Exit.OK
        assert len(shop.requests) == 1


async def test_a_store_that_nobody_vouches_for_is_not_asked(tmp_path: Path) -> None:
    """The seller's key is never sent to a store with a self-signed certificate."""
    for name in ("trusted", "other"):
        (tmp_path / name).mkdir()
        write_certificate(tmp_path / name, address="127.0.0.1")
    async with store(tmp_path / "other") as shop:
        assert await shop.is_asked(trusting=tmp_path / "trusted" / "certificate.pem") == Exit.UNKNOWN
        assert shop.requests == []


async def test_a_store_of_another_name_is_not_asked(tmp_path: Path) -> None:
    """A trusted certificate for another address is refused."""
    write_certificate(tmp_path, address="127.0.0.2")
    async with store(tmp_path) as shop:
        assert await shop.is_asked(trusting=tmp_path / "certificate.pem") == Exit.UNKNOWN
        assert shop.requests == []


async def test_a_store_whose_certificate_has_run_out_is_not_asked(tmp_path: Path) -> None:
    """An expired certificate is refused, even if it is among the trusted ones."""
    write_certificate(tmp_path, address="127.0.0.1", valid_for=timedelta(minutes=-1))
    async with store(tmp_path) as shop:
        assert await shop.is_asked(trusting=tmp_path / "certificate.pem") == Exit.UNKNOWN
        assert shop.requests == []
