"""One HTTP request to a store: the request sent, the answer read, and the exception for every failure.

Nothing raised here carries a URL, a header or a body: the driver's exceptions do, and they stop here.
"""

import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import cache
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import aiohttp
import httpx
from aiohttp.http_exceptions import ContentLengthError
from httpx_aiohttp import AiohttpTransport

from service.causes import Cause, find_cause
from service.errors import GatewayInTheWay, SourceProtocolError, SourceUnavailable
from service.secret import ProxyUrl, Secret
from service.stores.answer import LARGEST_BODY, AnswerTooLargeError, StoreAnswer
from service.trust import trusting_context
from service.used_up import used_up

_FAILURES: Final = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, ValueError)
"""All that the drivers raise when a request fails."""

_SANDBOX_HEADER: Final = "x-sandbox"


class StoreClient:
    """Asks the store over HTTP. It has no credential of its own: each request names the one it carries, if any.

    `transport` replaces the network, for tests; `proxy` returns the URL of the proxy through which every request goes,
    by CONNECT, with TLS to the store itself. Proxies and credentials from the environment are ignored, redirects
    are never followed, cookies never kept, answers neither decompressed nor read past their limit. Certificates are
    checked against what the system trusts, which OpenSSL lets `SSL_CERT_FILE` and `SSL_CERT_DIR` replace.
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
        self._client = httpx.AsyncClient(
            transport=transport or _transport(proxy),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": user_agent},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # noqa: S113 - httpx bounds each read; the caller bounds the whole, see the source
        )

    async def get(
        self, path: str, *, bearer: Secret | None, parameters: Mapping[str, str], largest: int = LARGEST_BODY
    ) -> StoreAnswer:
        """Return the answer. Raises `SourceUnavailable` when there was none, `SourceProtocolError` when it is unfit.

        They are `GatewayInTheWay` when this machine could not ask, and `AnswerTooLargeError` when the body is longer
        than `largest` bytes, of which no more is read.
        """
        try:
            async with self._client.stream(
                "GET",
                self._base_url + path,
                params=dict(parameters),
                headers={} if bearer is None else {"Authorization": f"Bearer {bearer.reveal()}"},
            ) as response:
                return await _read(response, largest)
        except _FAILURES as error:
            # `from None`: the texts of these carry URLs, headers and bodies.
            if used_up(error):
                raise GatewayInTheWay("the gateway has no descriptor, port or memory left") from None
            cause = find_cause(error, _told_by_http) or Cause.OTHER
            raise SourceUnavailable("no answer from the store", cause=cause) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def _read(response: httpx.Response, largest: int) -> StoreAnswer:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise SourceProtocolError("the answer is compressed, which was not asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > largest:
            raise AnswerTooLargeError("the answer is larger than any that is expected")
    return StoreAnswer(
        status=response.status_code,
        content_type=response.headers.get("content-type", ""),
        body=bytes(body),
        retry_after=response.headers.get("retry-after"),
        date=response.headers.get("date"),
        sandbox=_SANDBOX_HEADER in response.headers,
    )


class _ProxyFailed(httpx.ProxyError):
    """The proxy failed; the store had no part in it."""


def _told_by_http(error: BaseException) -> Cause | None:
    """Return the cause that an exception of the drivers tells by its class; most of httpx's say nothing true."""
    match error:
        case _ProxyFailed(__cause__=BaseException(__cause__=aiohttp.ClientHttpProxyError(status=status))):
            return Cause.AUTH if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED else Cause.PROXY
        case _ProxyFailed():
            return Cause.PROXY
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError(__cause__=ContentLengthError()):
            return Cause.RESET
        case aiohttp.ClientPayloadError() | aiohttp.ClientResponseError():
            return Cause.PROTOCOL
    return None


class _Tunnel:
    """The connection that the proxy makes for one request; it is built once there is TLS with the store in it."""

    def __init__(self) -> None:
        self.built = False


_tunnel: ContextVar[_Tunnel] = ContextVar("tunnel")


class _ThroughProxy(AiohttpTransport):
    """The network behind a proxy, whose URL may be another for the next request."""

    def __init__(self, proxy: Callable[[], ProxyUrl], client: Callable[[], aiohttp.ClientSession]) -> None:
        super().__init__(verify=_tls(), client=client, trust_env=False)
        self._current = proxy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises `_ProxyFailed` for all that fails before there is TLS with the store to speak of."""
        through = _Tunnel()
        _tunnel.set(through)
        try:
            self.proxy = _as_aiohttp_takes_it(httpx.Proxy(self._current().reveal()))
            return await super().handle_async_request(request)
        except _FAILURES as error:
            if through.built or _is_of_tls(error.__cause__):
                raise
            raise _ProxyFailed("the proxy failed") from error


def _is_of_tls(error: BaseException | None) -> bool:
    """Whether the handshake with the store failed, at the other end of what the proxy carries."""
    proxys_own = (aiohttp.ClientProxyConnectionError, aiohttp.ClientConnectorDNSError)
    return isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, proxys_own)


def _watching_tunnels() -> aiohttp.TraceConfig:
    """The one way in which aiohttp tells that a connection is there, since its exceptions do not tell that it was."""

    async def take_note(*_: object) -> None:
        _tunnel.get().built = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(take_note)
    return trace


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
            trace_configs=[_watching_tunnels()] if proxy is not None else None,
        )

    if proxy is not None:
        return _ThroughProxy(proxy, open_session)
    # Without `verify` it would load certificates for a session that it never opens.
    return AiohttpTransport(verify=_tls(), client=open_session, trust_env=False)


@cache
def _tls() -> ssl.SSLContext:
    """The trusted certificates, read once: both clients trust the same."""
    return trusting_context()
