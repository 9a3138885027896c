"""What can be answered soon: well-formed single questions of known callers whose answer is not at hand yet.

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

from service.api.edge import Finish
from service.api.identifiers import make_ulid
from service.api.known_heads import KnownHeads
from service.api.problems import Reply
from service.api.prompt import PromptDesk
from service.api.questions import QUESTIONS, AnyQuestion, BodyReader
from service.api.response_bytes import Response
from service.api.routes import PATHS
from service.api.verify import Asking, VerifyDesk
from service.errors import QuestionRefused
from service.interfaces import Clock
from service.verdict import Verdict

_READERS: Final = {path: BodyReader(QUESTIONS[method]) for method, path in PATHS.items()}


class SoonDesk:
    """Takes whole requests. `crashed` turns what no question should ever raise into a reply."""

    def __init__(
        self,
        *,
        desk: VerifyDesk,
        prompt: PromptDesk,
        heads: KnownHeads,
        clock: Clock,
        crashed: Callable[[Exception, str], Reply],
    ) -> None:
        self.desk = desk
        self.prompt = prompt
        self.crashed = crashed
        self.loop = asyncio.get_running_loop()
        self.under_way = 0
        """How many are being answered."""
        self._heads = heads
        self._clock = clock

    def answer(self, request: bytes, finish: Finish) -> asyncio.Future[Response] | None:
        """Return what will be the response, or is already; None hands the request on.

        Whoever cancels it is no longer answered. `finish` makes responses of replies.
        """
        end = request.find(b"\r\n\r\n") + 4
        head, body = self._heads.read(request[:end]), request[end:]  # step 1
        if head is None or head.length != len(body):
            return None
        try:
            asked = _READERS[head.path].read(body)
        except QuestionRefused:
            return None  # the framework's handler finds the same, and says so
        now = self._clock.now()
        asking = Asking(head.caller, head.request_id or make_ulid(now), head.trace_id, now)
        exchange = _Exchange(self, asking, path=head.path, body=body, finish=finish)
        exchange.begin(asked)
        return exchange.response


class _Exchange:
    """One request on its way to its response."""

    __slots__ = ("_asking", "_body", "_case", "_desk", "_finish", "_path", "response")

    def __init__(self, desk: SoonDesk, asking: Asking, *, path: str, body: bytes, finish: Finish) -> None:
        self.response: asyncio.Future[Response] = desk.loop.create_future()
        self._desk = desk
        self._asking = asking
        self._path = path
        self._body = body
        self._finish = finish

    def begin(self, asked: AnyQuestion) -> None:
        limits = self._asking.caller.limits
        self._desk.under_way += 1
        try:
            if limits is not None:
                limits.ask()  # step 2
            self._case = self._desk.desk.open(asked, self._asking)
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
            reading.add_done_callback(self._read)
        else:
            waiting = self._desk.loop.create_task(self._wait())
            # Whoever has gone is not waited for.
            self.response.add_done_callback(lambda _: waiting.cancel())

    def _read(self, reading: asyncio.Future[Any]) -> None:
        if self.response.done():
            self._desk.under_way -= 1  # whoever asked has gone
            return
        try:
            self._case.hearing.go_on(reading.result())
            self._go_on()
        except Exception as bug:  # noqa: BLE001 - as above
            self._crash(bug)

    async def _wait(self) -> None:
        try:
            self._respond(await self._desk.desk.conclude(self._case))  # step 4
        except QuestionRefused as refusal:
            self._refuse(refusal)
        except asyncio.CancelledError:
            self._desk.under_way -= 1
            self.response.cancel()
            raise
        except Exception as bug:  # noqa: BLE001 - as above
            self._crash(bug)

    def _respond(self, verdict: Verdict) -> None:
        case = self._case
        form = self._desk.prompt.prepare(self._path, self._body, case, verdict)  # step 5
        if form is None:
            self._end(self._finish(self._desk.desk.close(case, verdict), self._asking.request_id))
        else:
            self._end(Response(self._desk.prompt.give(form, case)))

    def _refuse(self, refusal: QuestionRefused) -> None:
        request_id = self._asking.request_id
        reply = self._desk.desk.refuse(refusal, request_id=request_id, caller=self._asking.caller)
        self._end(self._finish(reply, request_id))

    def _crash(self, bug: Exception) -> None:
        request_id = self._asking.request_id
        self._end(self._finish(self._desk.crashed(bug, request_id), request_id))

    def _end(self, response: Response) -> None:
        self._desk.under_way -= 1
        if not self.response.done():  # whoever asked may have gone at this moment
            self.response.set_result(response)
