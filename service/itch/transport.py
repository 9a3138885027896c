"""One HTTP request to the store: the request sent, the answer read, and the exception for every failure.

Nothing raised here carries a URL, a header or a body: the driver's exceptions do, and they stop here.
"""

import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from service.errors import GatewayInTheWay, SourceProtocolError, SourceUnavailable
from service.itch.classification import StoreAnswer
from service.itch.used_up import used_up
from service.secret import ProxyUrl, Secret

_LARGEST_BODY: Final = 256 * 1024
"""A download key is half a kilobyte, a list of games some tens; a compressed bomb of 300 kB has been 300 MB."""

_SANDBOX_HEADER: Final = "x-sandbox"


class StoreClient:
    """Asks the store over HTTP. It has no credential of its own: each request names the one it carries.

    `transport` replaces the network, for tests; `proxy` returns the URL of the proxy through which every request goes,
    by CONNECT, with TLS to the store itself. Proxies and credentials from the environment are ignored, redirects
    are never followed, cookies never kept, answers neither decompressed nor read past 256 KiB. Certificates are checked
    against what the system trusts, which OpenSSL lets `SSL_CERT_FILE` and `SSL_CERT_DIR` replace.
    """

    def __init__(
        self,
        *,
        base_url: str,
        user_agent: str,
        transport: httpx.AsyncBaseTransport | None = None,
        proxy: Callable[[], ProxyUrl] | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._behind_proxy = proxy is not None
        self._client = httpx.AsyncClient(
            transport=transport or _transport(proxy),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": user_agent},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # noqa: S113 - httpx bounds each read; the caller bounds the whole, see the source
        )

    async def get(self, path: str, *, bearer: Secret, parameters: Mapping[str, str]) -> StoreAnswer:
        """Return the answer. Raises `SourceUnavailable` when there was none, `SourceProtocolError` when it is unfit.

        It is `GatewayInTheWay` when this machine could not ask.
        """
        try:
            async with self._client.stream(
                "GET",
                self._base_url + path,
                params=dict(parameters),
                headers={"Authorization": f"Bearer {bearer.reveal()}"},
            ) as response:
                return await _read(response)
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, ValueError) as error:
            # `from None`: the texts of these carry URLs, headers and bodies.
            if used_up(error):
                raise GatewayInTheWay("the gateway has no descriptor, port or memory left") from None
            raise SourceUnavailable(
                f"no answer from the store ({_cause_of(error, behind_proxy=self._behind_proxy)})"
            ) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def _read(response: httpx.Response) -> StoreAnswer:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise SourceProtocolError("the answer is compressed, which was not asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise SourceProtocolError("the answer is larger than any that is expected")
    return StoreAnswer(
        status=response.status_code,
        content_type=response.headers.get("content-type", ""),
        body=bytes(body),
        retry_after=response.headers.get("retry-after"),
        date=response.headers.get("date"),
        sandbox=_SANDBOX_HEADER in response.headers,
    )


def _cause_of(error: Exception, *, behind_proxy: bool) -> str:
    """Return `auth` where the proxy wants another password, `proxy` where it is the cause otherwise, or the type."""
    match error.__cause__ or error:
        # Behind a proxy nothing here looks the store's own name up, and its URL was examined at start.
        case aiohttp.ClientConnectorDNSError() | aiohttp.InvalidURL() | httpx.InvalidURL() | UnicodeError() if (
            behind_proxy
        ):
            return "proxy"
        case aiohttp.ClientHttpProxyError(status=HTTPStatus.PROXY_AUTHENTICATION_REQUIRED):
            return "auth"
        case aiohttp.ClientHttpProxyError() | aiohttp.ClientProxyConnectionError():
            return "proxy"
    return type(error).__name__


class _ThroughProxy(AiohttpTransport):
    """The network behind a proxy, whose URL may be another for the next request."""

    def __init__(self, proxy: Callable[[], ProxyUrl], client: Callable[[], aiohttp.ClientSession]) -> None:
        super().__init__(verify=_tls(), client=client, trust_env=False)
        self._current = proxy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.proxy = _as_aiohttp_takes_it(httpx.Proxy(self._current().reveal()))
        return await super().handle_async_request(request)


def _as_aiohttp_takes_it(proxy: httpx.Proxy) -> httpx.Proxy:
    """The same proxy with user and password in a header of the CONNECT: aiohttp has deprecated its other way."""
    if proxy.raw_auth is None:
        return proxy
    login = b64encode(b":".join(proxy.raw_auth)).decode("ascii")
    return httpx.Proxy(proxy.url, headers={"Proxy-Authorization": f"Basic {login}"})


def _transport(proxy: Callable[[], ProxyUrl] | None) -> AiohttpTransport:
    """The network, through aiohttp: httpcore's pool wedges for good when calls are cancelled."""

    def open_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            # A new connection for each request: aiohttp takes bytes that a reused one received while idle for the next
            # answer, and a no names no player, so that one stray no would be the wrong player's answer from then on.
            # Their number is bounded by the queue for the store, which knows whose each of them is.
            connector=aiohttp.TCPConnector(limit=0, ssl=_tls(), force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=False,
        )

    if proxy is not None:
        return _ThroughProxy(proxy, open_session)
    # Without `verify` it would load certificates for a session that it never opens.
    return AiohttpTransport(verify=_tls(), client=open_session, trust_env=False)


@cache
def _tls() -> ssl.SSLContext:
    """The trusted certificates, read once: it takes 15 ms, and both clients trust the same."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
