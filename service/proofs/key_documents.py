"""The documents of an issuer that say which its keys are (OpenID Connect Discovery 1.0, RFC 7517)."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, TypeAlias

import aiohttp
import msgspec

from service.errors import IssuerUnavailable
from service.proofs.key_set import KeySet, UnfitKeys, read_key_set
from service.trust import trusting_context

LARGEST: Final = 64 * 1024
"""Bytes of a document; Google's keys are two kilobytes."""

SECONDS: Final = 2.0
"""The time that one document may take."""

Get: TypeAlias = Callable[[str], Awaitable[bytes]]
"""Returns the document at a URL. Raises `IssuerUnavailable`."""


async def fetch_keys(get: Get, *, issuer: str, jwks_url: str | None, algorithms: frozenset[str]) -> KeySet:
    """Return the keys of an issuer, from where it says that they are, unless `jwks_url` says it.

    Raises `IssuerUnavailable` if there are none that could check a token.
    """
    url = jwks_url or _place_in(await get(f"{issuer.rstrip('/')}/.well-known/openid-configuration"), issuer)
    try:
        return read_key_set(await get(url), algorithms)
    except UnfitKeys:
        raise IssuerUnavailable("the issuer shows no key that could check a token") from None


def _place_in(document: bytes, issuer: str) -> str:
    try:
        said = msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = None
    if not isinstance(said, dict) or said.get("issuer") != issuer:
        raise IssuerUnavailable("the configuration of the issuer is another's, or none")
    url = said.get("jwks_uri")
    if not isinstance(url, str) or not url.startswith("https://"):
        raise IssuerUnavailable("the configuration of the issuer names no https address of its keys")
    return url


class Documents:
    """Gets documents over HTTPS: no redirects, no proxies of the environment, nothing decompressed, 64 KiB, 2 s."""

    def __init__(self, *, user_agent: str) -> None:
        self._headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": user_agent}

    async def get(self, url: str) -> bytes:
        """Return the document. Raises `IssuerUnavailable`."""
        # A session for each: an issuer is asked once an hour, and so nothing is kept open, or trusted for longer.
        tls = await asyncio.to_thread(trusting_context)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=SECONDS),
            auto_decompress=False,
            trust_env=False,
        )
        try:
            async with session, session.get(url, headers=self._headers, allow_redirects=False) as response:
                return await _read(response)
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError):
            # `from None`: their texts carry URLs and hosts.
            raise IssuerUnavailable("the issuer gives no answer") from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    if response.status != HTTPStatus.OK or response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise IssuerUnavailable("the issuer gives no document")
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LARGEST:
            raise IssuerUnavailable("the document of the issuer is larger than any that is expected")
    return bytes(body)
