"""What can be answered at once: the same question, of whoever may ask it, while its answer from memory still stands.

1. The body is one whose answer was prepared, the head that of a plain question by a known caller; both together are
   the whole request.
2. The caller may ask about that game.
3. `Verification` would give the same verdict again, without waiting and without anything else to do.
4. The caller's rate allows it.
5. The answer is counted, logged and written as any other.

Whatever else it is goes the usual way, and nothing has happened to it here.
"""

from service.api.forms import Forms
from service.api.identifiers import make_ulid
from service.api.known_heads import KnownHeads
from service.api.paths import head_length
from service.api.prepared import PreparedAnswers
from service.api.verify import Asking
from service.errors import TooManyQuestions
from service.verification.interfaces import Clock
from service.verification.verify import Verification


class PromptDesk:
    """Gives prepared answers again."""

    def __init__(
        self, *, verification: Verification, heads: KnownHeads, answers: PreparedAnswers, forms: Forms, clock: Clock
    ) -> None:
        self._verification = verification
        self._heads = heads
        self._answers = answers
        self._forms = forms
        self._clock = clock

    def answer(self, request: bytes, fields: bytes) -> bytes | None:
        """Return the response, `fields` among its headers, or None: then the request is to be answered as usual."""
        started = self._clock.monotonic()
        end = head_length(request)
        body = request[end:]
        prepared = self._answers.find(body)  # step 1
        if prepared is None:
            return None
        head = self._heads.read(request[:end])
        if head is None or head.length != len(body) or head.path != prepared.path:
            return None
        caller, now = head.caller, self._clock.now()
        if not caller.may_ask_about(prepared.game_id):  # step 2
            return None
        if not self._verification.would_repeat(prepared.grounds, now=now):  # step 3
            return None
        try:
            caller.ask()  # step 4
        except TooManyQuestions:
            return None  # it is asked again, and then says so
        self._verification.repeated(prepared.grounds)
        asking = Asking(caller, head.request_id or make_ulid(now), head.trace_id, now)
        return self._forms.give(prepared, asking, started=started, now=now)(fields)  # step 5
