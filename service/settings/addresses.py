"""What can be said about an address without asking the network."""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from service.secret import SellerKey

REDIS_SCHEMES: Final = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)

_HOST_AND_PORT: Final = re.compile(r"(?:(?P<name>[A-Za-z0-9._-]+)|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(?::[0-9]*)?")
"""The whole of it: `urlsplit` finds the host ::1 in `[::1].evil.com`, and leaves `%00` to who resolves the name."""

_VISIBLE: Final = re.compile(r"[!-\[\]-~]+")
"""Printable ASCII but the backslash, which some read as a slash: then two readers see two hosts."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host: 127.0.0.0/8, ::1, or localhost by name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_redis_url(text: str) -> bool:
    """Whether the text is a URL of one of the forms that the Redis tier understands."""
    parts = _split(text)
    if parts is None or parts.scheme not in REDIS_SCHEMES:
        return False
    return bool(parts.path.strip("/")) if parts.scheme == "unix" else bool(parts.netloc.rpartition("@")[2])


def host_of(url: str) -> str:
    """Return the host that a URL without `base_url_fault` names, in lower case."""
    return urlsplit(url).hostname or ""


def base_url_fault(url: str, *api_keys: SellerKey | None) -> str | None:
    """Return why the seller's keys must not be sent there, or None; the words never repeat the URL."""
    parts = _split(url)
    if parts is None or parts.scheme not in {"http", "https"} or not _has_host_and_port(parts):
        return "expected a URL such as https://api.itch.io"
    if "@" in parts.netloc:
        return "a user name or password has no place in it"
    if "?" in url or "#" in url:
        return "a query or fragment has no place in it"
    if any(key is not None and (key.reveal() in url or key.reveal() in unquote(url)) for key in api_keys):
        return "the API key has no place in it, URLs end up in logs; the gateway sends the key in a header"
    if parts.scheme == "http" and not is_loopback(host_of(url)):
        return "plain http would show the API key to everybody on the way; expected https, or a loopback address"
    return None


def _split(url: str) -> SplitResult | None:
    if not _VISIBLE.fullmatch(url):
        return None
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _has_host_and_port(parts: SplitResult) -> bool:
    match = _HOST_AND_PORT.fullmatch(parts.netloc.rpartition("@")[2])
    try:
        return match is not None and parts.port != 0 and bool(match["name"] or ip_address(match["ipv6"]))
    except ValueError:
        return False
