"""Answers from memory, ready to be given again: what they are made of does not change with who asks, or when."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from service.api.answers import AnswerForm
from service.api.keyed_digest import KeyedDigest
from service.observability.verified_lines import LineForm
from service.ownership import GameId
from service.verification.grounds import Grounds

_ENTRY_BYTES: Final = 1_100
"""What a prepared answer takes beside its body: measured objects, on a 64-bit Python 3.11."""


class Form(Struct, frozen=True, gc=False, kw_only=True):
    """An answer with its log line and what counts it, but for what is about whoever gets it, and when."""

    answer: AnswerForm
    line: LineForm
    count: Callable[[float], None]
    """Counts it once more, with the seconds that it took."""


class Prepared(Form, frozen=True, gc=False, kw_only=True):
    """An answer to a body that was sent to `path`; it may be given again as long as its grounds hold."""

    path: str
    game_id: GameId
    grounds: Grounds


class PreparedAnswers:
    """Prepared answers by the body that asked for them, in bounded memory: those used longest ago make room.

    Bodies hold credentials, so that only their digests are kept, made with a key of this process.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._answers: OrderedDict[bytes, Prepared] = OrderedDict()
        self._digest = KeyedDigest()

    def find(self, body: bytes) -> Prepared | None:
        """Return the answer to this very body."""
        name = self._digest.of(body)
        prepared = self._answers.get(name)
        if prepared is not None:
            self._answers.move_to_end(name)
        return prepared

    def keep(self, body: bytes, prepared: Prepared) -> None:
        """Keep the answer in place of any other to this body."""
        name = self._digest.of(body)
        known = self._answers.pop(name, None)
        self._bytes += _size(prepared) - (0 if known is None else _size(known))
        self._answers[name] = prepared
        while self._bytes > self._max_bytes:
            _, forgotten = self._answers.popitem(last=False)
            self._bytes -= _size(forgotten)


def _size(prepared: Prepared) -> int:
    return _ENTRY_BYTES + len(prepared.answer.body)
