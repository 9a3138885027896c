"""Streams drawn at random from pieces of HTTP: cut anywhere, they mean the same, and to another parser, too."""

import random

import h11
import pytest

from service.http.connection import Bounds, State
from tests.http.corpus import cases
from tests.http.feeding import Got, fed
from tests.sizes import HTTP_STREAMS

SEEDS = 20
BOUNDS = Bounds(fields=8, head_bytes=200, body_bytes=40, trailer_bytes=30, extension_bytes=10, held_bytes=300)
"""Small, so that short streams meet them."""

SHORT = [case.sent for case in cases() if len(case.sent) < 400]
BITS = (
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b",", b"\0", b"\xff", b"0", b"1", b"a", b"abc", b"chunked",
    b"5\r\nabcde\r\n", b"0\r\n\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"HTTP/1.0",
    b"Connection: close\r\n", b"Connection: upgrade\r\nUpgrade: h2c\r\n", b"Expect: 100-continue\r\n",
    b"Host: b\r\n", b"GET / HTTP/1.1\r\n", b"x: y\r\n",
)  # fmt: skip


def _stream(chance: random.Random) -> bytes:
    """Return a few requests of the corpus, some of them spoilt."""
    data = bytearray(b"".join(chance.choices(SHORT, k=chance.randint(1, 3))))
    for _ in range(chance.choice((0, 0, 1, 1, 2, 5))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[at:at] = chance.choice(BITS)
            case 1:
                del data[at : at + chance.randint(1, 8)]
            case 2:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case _:
                data[at:at] = data[at // 2 : at]
    return bytes(data)


def _cut(data: bytes, chance: random.Random) -> list[bytes]:
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randint(1, 12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_cut_anywhere_a_stream_means_the_same(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(HTTP_STREAMS // SEEDS):
        data = _stream(chance)
        bounds = chance.choice((Bounds(), BOUNDS))
        whole = fed([data], bounds)

        assert fed(_cut(data, chance), bounds) == whole, data

        assert whole.state in {State.IDLE, State.READING, State.LINGERING}
        assert {got for got in whole.wholes if isinstance(got, int)} <= {400, 405, 413, 505}


def _heard_by_h11(data: bytes) -> list[Got]:
    """Return the whole requests up to the first that h11 refuses, or that ends the connection."""
    heard: list[Got] = []
    method = target = ""
    body = b""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                method, target, body = event.method.decode(), event.target.decode("latin-1"), b""
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                heard.append(Got(method=method, target=target, body=body))
                connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE:
                    return heard
                connection.start_next_cycle()
            else:
                return heard
    except h11.ProtocolError:
        return heard


@pytest.mark.parametrize("seed", range(SEEDS))
def test_requests_are_the_same_to_another_parser(seed: int) -> None:
    """A request that both accept is the same one, so that none can be smuggled past either (RFC 9112 §11.2)."""
    chance = random.Random(seed)
    for _ in range(HTTP_STREAMS // SEEDS):
        data = _stream(chance)
        for ours, other in zip(fed([data]).wholes, _heard_by_h11(data), strict=False):
            if isinstance(ours, int) or ours.method not in {"POST", "PUT", "PATCH"}:
                break
            assert Got(method=ours.method, target=ours.target, body=ours.body) == other, data
