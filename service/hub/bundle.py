"""The questions of one batch, asked of the hub in one request.

A bundle is the context of a batch: what is asked in it in the same turn of the event loop goes together. One question
that is left over goes alone, as any.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Final

import msgspec
from msgspec import Raw, Struct

from service.errors import NoAnswer, SourceProtocolError
from service.hub.hub_answers import NOT_PERMITTED, OK, HubAnswer
from service.ownership import Method

BATCH_PATH: Final = "/verify/batch"

MOST_ITEMS: Final = 100
_LARGEST: Final = 15 * 1024
"""Bytes of the items of one request: a gateway takes 16 KiB in all."""

Post = Callable[[str, Mapping[str, object], timedelta], Awaitable[HubAnswer]]
"""Sends a body to a path of the hub, and returns its answer within that time."""


class _Bundled(Struct, frozen=True):
    path: str
    method: Method
    fields: Mapping[str, object]
    within: timedelta
    answer: "asyncio.Future[HubAnswer]"


class _Result(Struct, frozen=True):
    id: str
    status: int
    decision: Raw = Raw()
    problem: Raw = Raw()


class _Results(Struct, frozen=True):
    results: list[_Result]


_read_results: Final = msgspec.json.Decoder(_Results).decode


class Bundle:
    """The questions of a batch that wait to be sent."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._waiting: list[_Bundled] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def ask(self, path: str, method: Method, fields: Mapping[str, object], within: timedelta) -> HubAnswer:
        """Return the hub's answer to one question. Raises `NoAnswer` if there is none."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            # Those that are asked in this turn are there by the next.
            loop.call_soon(self._send)
        waiting = _Bundled(path, method, fields, within, loop.create_future())
        self._waiting.append(waiting)
        return await waiting.answer

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for some in _parts(waiting):
            task = asyncio.get_running_loop().create_task(self._send_together(some))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send_together(self, some: Sequence[_Bundled]) -> None:
        if len(some) > 1:
            items = [{"id": str(at), "method": one.method, **one.fields} for at, one in enumerate(some)]
            within = max(one.within for one in some)
            try:
                answer = await self._post(BATCH_PATH, {"items": items}, within)
                # A relay that may ask by one method alone may not send batches.
                if answer.status != NOT_PERMITTED:
                    _hand_out(some, answer)
                    return
            except NoAnswer as no_answer:
                for one in some:
                    _fail(one, no_answer)
                return
        await asyncio.gather(*map(self._send_alone, some))

    async def _send_alone(self, one: _Bundled) -> None:
        try:
            _settle(one, await self._post(one.path, one.fields, one.within))
        except NoAnswer as no_answer:
            _fail(one, no_answer)


def _parts(waiting: Sequence[_Bundled]) -> Iterator[list[_Bundled]]:
    part: list[_Bundled] = []
    size = 0
    for one in waiting:
        # Beside its fields an item has an id and a method.
        more = len(msgspec.json.encode(one.fields)) + 64
        if part and (size + more > _LARGEST or len(part) == MOST_ITEMS):
            yield part
            part, size = [], 0
        part.append(one)
        size += more
    yield part


def _hand_out(some: Sequence[_Bundled], answer: HubAnswer) -> None:
    if answer.status != OK:
        for one in some:
            _settle(one, answer)
        return
    try:
        found = {result.id: result for result in _read_results(answer.body).results}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = {}
    for at, one in enumerate(some):
        result = found.get(str(at))
        if result is None:
            _fail(one, SourceProtocolError("the hub's answer to a batch lacks the question"))
        else:
            body = result.decision if result.status == OK else result.problem
            _settle(one, HubAnswer(result.status, bytes(body), answer.date))


def _settle(one: _Bundled, answer: HubAnswer) -> None:
    if not one.answer.done():
        one.answer.set_result(answer)


def _fail(one: _Bundled, why: NoAnswer) -> None:
    if not one.answer.done():
        one.answer.set_exception(type(why)(why.detail, retry_after=why.retry_after, cause=why.cause))


_current: ContextVar[Bundle | None] = ContextVar("bundle", default=None)


def current_bundle() -> Bundle | None:
    """Return the bundle of the batch that is being answered, None outside of one."""
    return _current.get()


@contextmanager
def bundled(post: Post) -> Iterator[None]:
    """Have the questions that are asked in here go together."""
    token = _current.set(Bundle(post))
    try:
        yield
    finally:
        _current.reset(token)
