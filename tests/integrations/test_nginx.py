"""Nginx in front of the gateway, with connections that it keeps."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.integrations.conftest import TOKEN
from tests.integrations.load import Load
from tests.integrations.processes import Gateway, nginx
from tests.redis_server import free_port

_CONNECTIONS: Final = 16
_QUESTIONS_EACH: Final = 200
_MOST_UPSTREAM: Final = 100

_KEPT: Final = """
upstream gateway {{ server 127.0.0.1:{gateway}; keepalive {kept}; }}
server {{
    listen 127.0.0.1:{port};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    location / {{ proxy_pass http://gateway; }}
    location = /guarded/user {{ auth_request /auth; proxy_pass http://gateway/verify/user; }}
    # As many set it up: without the body, and with its length.
    location = /auth {{ internal; proxy_pass http://gateway/livez; proxy_pass_request_body off; }}
}}
"""


@pytest.fixture
def port(gateway: Gateway, tmp_path: Path) -> Iterator[int]:
    """The port of an nginx that keeps as many connections to the gateway as callers ask at once."""
    port = free_port()
    with nginx(tmp_path, port, _KEPT.format(gateway=gateway.port, port=port, kept=_CONNECTIONS)):
        yield port


@pytest.fixture
def narrow_port(gateway: Gateway, tmp_path: Path) -> Iterator[int]:
    """The port of an nginx that keeps one connection to the gateway, so that the next request comes on it."""
    port = free_port()
    with nginx(tmp_path, port, _KEPT.format(gateway=gateway.port, port=port, kept=1)):
        yield port


async def test_kept_connections(gateway: Gateway, port: int, seen: Callable[[str], None]) -> None:
    """Some thousand questions are all answered right, over few connections to the gateway."""
    before = _connections(gateway.port)
    load = Load(port, TOKEN)
    await load.run(staying=_CONNECTIONS, questions=_QUESTIONS_EACH)

    made = len(_connections(gateway.port) - before)
    seen(f"{load.seen}; {made} connections to the gateway")
    assert load.fates == {"right": _CONNECTIONS * _QUESTIONS_EACH}
    assert made <= _MOST_UPSTREAM


async def test_new_connections(port: int, seen: Callable[[str], None]) -> None:
    """A new connection to nginx for each question changes nothing."""
    load = Load(port, TOKEN)
    await load.run(staying=0, new=_CONNECTIONS, questions=_QUESTIONS_EACH // 4)

    seen(load.seen)
    assert load.fates == {"right": _CONNECTIONS * _QUESTIONS_EACH // 4}


async def test_announced_body_that_never_comes(narrow_port: int, seen: Callable[[str], None]) -> None:
    """`auth_request` sends a GET with the length of a body that stays away; the next request is answered right."""
    load = Load(narrow_port, TOKEN, path="/guarded/user")
    await load.run(staying=1, questions=50)

    seen(load.seen)
    assert load.fates == {"right": 50}


def _connections(port: int) -> set[str]:
    """Return the client ports of connections to this port that stand, or ended within the last minute."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = [(fields[1].split(":")[1], fields[2].split(":")[1]) for fields in lines]
    there = f"{port:04X}"
    return {far if near == there else near for near, far in ends if there in (near, far)} - {"0000"}
