"""What can be answered soon: well-formed single questions of known callers whose answer was not prepared.

1. The head is that of a plain question by a caller who may ask it, the body a question; both are the whole request.
2. The caller's rate allows it, and the caller may ask about that game.
3. What this process remembers is enough; or what other replicas have shared, once that was read: nobody waits for that,
   the reading calls back.
4. Else the store is asked, in a task that waits for it.
5. The answer is counted, logged and written as any other; what may be given again is prepared.

Whatever else it is goes the usual way, and nothing has happened to it here.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from service.api.edge import Exit
from service.api.forms import Forms
from service.api.identifiers import make_ulid
from service.api.known_heads import KnownHeads
from service.api.paths import PATHS, head_length
from service.api.problems import Reply
from service.api.questions import QUESTIONS, AnyQuestion, BodyReader
from service.api.response_bytes import Response
from service.api.verify import Asking, VerifyDesk
from service.errors import QuestionRefused
from service.verification.interfaces import Clock
from service.verification.question import Verdict

_READERS: Final = {path: BodyReader(QUESTIONS[method]) for method, path in PATHS.items()}


class SoonDesk:
    """Takes whole requests. `crashed` turns what no question should ever raise into a reply."""

    def __init__(
        self,
        *,
        desk: VerifyDesk,
        forms: Forms,
        heads: KnownHeads,
        clock: Clock,
        crashed: Callable[[Exception, str], Reply],
    ) -> None:
        self.verify_desk = desk
        self.forms = forms
        self.crashed = crashed
        self.clock = clock
        self.loop = asyncio.get_running_loop()
        self.under_way = 0
        """How many are being answered."""
        self._heads = heads

    def answer(self, request: bytes, leave_by: Exit) -> asyncio.Future[Response] | None:
        """Return what will be the response, or is already; None hands the request on.

        Whoever cancels it is no longer answered.
        """
        end = head_length(request)
        head, body = self._heads.read(request[:end]), request[end:]  # step 1
        if head is None or head.length != len(body):
            return None
        try:
            asked = _READERS[head.path].read(body)
        except QuestionRefused:
            return None  # the framework's handler finds the same, and says so
        now = self.clock.now()
        asking = Asking(head.caller, head.request_id or make_ulid(now), head.trace_id, now)
        exchange = _Exchange(self, asking, path=head.path, body=body, leave_by=leave_by)
        exchange.begin(asked)
        return exchange.response


class _Exchange:
    """One request on its way to its response."""

    __slots__ = ("_asking", "_body", "_case", "_exit", "_path", "_soon", "response")

    def __init__(self, soon: SoonDesk, asking: Asking, *, path: str, body: bytes, leave_by: Exit) -> None:
        self.response: asyncio.Future[Response] = soon.loop.create_future()
        self._soon = soon
        self._asking = asking
        self._path = path
        self._body = body
        self._exit = leave_by

    def begin(self, asked: AnyQuestion) -> None:
        self._soon.under_way += 1
        try:
            self._asking.caller.ask()  # step 2
            self._case = self._soon.verify_desk.open(asked, self._asking)
            self._go_on()
        except QuestionRefused as refusal:
            self._refuse(refusal)
        except Exception as bug:  # noqa: BLE001 - what the framework does with it, too
            self._crash(bug)

    def _go_on(self) -> None:
        hearing = self._case.hearing
        if hearing.verdict is not None:
            self._respond(hearing.verdict)
        elif (reading := hearing.read_shared()) is not None:
            reading.add_done_callback(self._was_read)
        else:
            waiting = self._soon.loop.create_task(self._wait_for_store())
            # Whoever has gone is not waited for.
            self.response.add_done_callback(lambda _: waiting.cancel())

    def _was_read(self, reading: asyncio.Future[Any]) -> None:
        if self.response.done():  # whoever asked has gone
            self._leave()
            reading.exception()  # nobody else is there to be told
            return
        try:
            self._case.hearing.go_on(reading.result())
            self._go_on()
        except Exception as bug:  # noqa: BLE001 - as above
            self._crash(bug)

    async def _wait_for_store(self) -> None:
        try:
            self._respond(await self._soon.verify_desk.conclude(self._case))  # step 4
        except QuestionRefused as refusal:
            self._refuse(refusal)
        except asyncio.CancelledError:
            self._leave()
            self.response.cancel()
            raise
        except Exception as bug:  # noqa: BLE001 - as above
            self._crash(bug)

    def _respond(self, verdict: Verdict) -> None:
        case, soon = self._case, self._soon
        form = soon.forms.prepare(self._path, self._body, case, verdict)  # step 5
        if form is None:
            self._end(self._exit.finish(soon.verify_desk.close(case, verdict), self._asking.request_id))
        else:
            write = soon.forms.give(form, self._asking, started=case.started, now=soon.clock.now())
            self._end(self._exit.finish_written(write))

    def _refuse(self, refusal: QuestionRefused) -> None:
        request_id = self._asking.request_id
        reply = self._soon.verify_desk.refuse(refusal, request_id=request_id, caller=self._asking.caller)
        self._end(self._exit.finish(reply, request_id))

    def _crash(self, bug: Exception) -> None:
        request_id = self._asking.request_id
        self._end(self._exit.finish(self._soon.crashed(bug, request_id), request_id))

    def _leave(self) -> None:
        self._soon.under_way -= 1

    def _end(self, response: Response) -> None:
        self._leave()
        if not self.response.done():  # whoever asked may have gone at this moment
            self.response.set_result(response)
