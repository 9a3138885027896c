"""A connection that is fed pieces of bytes, and what comes out of it."""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from service.http.connection import Bounds, Connection, HttpRefusal, Request, State, Whole


class Got(Struct, frozen=True, kw_only=True):
    """A whole request, as far as a test compares it; `headers` are compared only where a case gives them."""

    method: str
    target: str = "/"
    body: bytes = b""
    last: bool = False
    headers: dict[bytes, bytes] | None = None


class Outcome(Struct, frozen=True):
    """All that came out: requests and statuses of refusals in their order, and the state at the end."""

    wholes: tuple[Got | int, ...]
    state: State

    def seen_as(self, expected: "Outcome") -> "Outcome":
        """Return this outcome without the headers that the expected one does not name."""
        names = [isinstance(got, Got) and got.headers is not None for got in expected.wholes]
        names += [False] * (len(self.wholes) - len(names))
        return Outcome(tuple(map(_without, self.wholes, names)), self.state)


def _without(got: Got | int, with_headers: bool) -> Got | int:  # noqa: FBT001 - for map
    if isinstance(got, int) or with_headers:
        return got
    return Got(method=got.method, target=got.target, body=got.body, last=got.last)


def got(whole: Whole) -> Got | int:
    """Return the part of it that is compared."""
    if isinstance(whole, HttpRefusal):
        return whole.status
    return Got(
        method=whole.method.decode("ascii"),
        target=whole.target.decode("latin-1"),
        body=whole.body,
        last=whole.last,
        headers=whole.headers,
    )


def fed(pieces: Iterable[bytes], bounds: Bounds | None = None) -> Outcome:
    """Return the outcome of a connection whose every request is answered at once."""
    connection = Connection(bounds or Bounds())
    wholes = [got(whole) for piece in pieces for whole in answered_at_once(connection, piece)]
    return Outcome(tuple(wholes), connection.state)


def answered_at_once(connection: Connection, piece: bytes) -> Iterator[Whole]:
    """Feed the piece, and answer until nothing whole is left."""
    whole = connection.received(piece)
    while whole is not None:
        assert connection.state is State.ANSWERING
        yield whole
        whole = connection.answered()


def in_pieces(data: bytes) -> Iterator[bytes]:
    """Return the data in pieces of one byte; of 13 where it is so much that bytes would take a second."""
    size = 1 if len(data) < 10_000 else 13
    return (data[at : at + size] for at in range(0, len(data), size))


def request_of(whole: Whole | None) -> Request:
    """Return the request that it has to be."""
    assert isinstance(whole, Request)
    return whole


def state_of(connection: Connection) -> State:
    """Return its state: a call, since a type checker takes an attribute for unchanged between two events."""
    return connection.state
