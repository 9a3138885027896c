"""Addresses, as far as they can be judged without asking the network."""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult

_HOST_AND_PORT: Final = re.compile(r"(?:(?P<name>[A-Za-z0-9._-]+)|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(?::[0-9]*)?")
"""Host and port as a whole: `urlsplit` finds the host ::1 in `[::1].evil.com`, and passes `%00` on to the resolver."""


def has_host_and_port(parts: SplitResult) -> bool:
    """Whether a URL names a host, and no port or one that there can be."""
    match = _HOST_AND_PORT.fullmatch(parts.netloc.rpartition("@")[2])
    try:
        return match is not None and parts.port != 0 and bool(match["name"] or ip_address(match["ipv6"]))
    except ValueError:
        return False
