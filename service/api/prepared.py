"""Answers from memory, ready to be given again: what they are made of does not change with who asks, or when."""

from collections import OrderedDict
from typing import Final

from msgspec import Struct

from service.ownership import Fingerprint
from service.policy import GameRules
from service.verification import Verdict

_ENTRY_BYTES: Final = 1_200
"""What a prepared answer takes beside its body: measured objects, on a 64-bit Python 3.11."""


class Prepared(Struct, frozen=True):
    """A verdict with `grounds`, under which rules it was given, and what about its answer is always the same."""

    verdict: Verdict
    rules: GameRules
    body: bytes
    """Up to the decision's id."""
    subject: str | None
    """The credential, as the log names it."""


class PreparedAnswers:
    """Prepared answers by the name of what was asked, in bounded memory: those used longest ago make room.

    Nothing here says whether an answer still holds: ask `Verification.would_repeat`.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._answers: OrderedDict[Fingerprint, Prepared] = OrderedDict()

    def find(self, name: Fingerprint, rules: GameRules) -> Prepared | None:
        """Return the answer that was given under these rules."""
        prepared = self._answers.get(name)
        if prepared is None or prepared.rules != rules:
            return None
        self._answers.move_to_end(name)
        return prepared

    def keep(self, name: Fingerprint, prepared: Prepared) -> None:
        """Keep the answer in place of any other under that name."""
        self.drop(name)
        self._answers[name] = prepared
        self._bytes += _size(prepared)
        while self._bytes > self._max_bytes:
            _, forgotten = self._answers.popitem(last=False)
            self._bytes -= _size(forgotten)

    def drop(self, name: Fingerprint) -> None:
        """Forget the answer, if there is one."""
        forgotten = self._answers.pop(name, None)
        if forgotten is not None:
            self._bytes -= _size(forgotten)

    @property
    def bytes(self) -> int:
        """How much memory the answers take, estimated."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._answers)


def _size(prepared: Prepared) -> int:
    return _ENTRY_BYTES + len(prepared.body)
