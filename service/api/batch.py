"""Many questions at once: each answered as if it had come alone."""

import asyncio
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from service.api.questions import Batch, BodyReader, Item, ItemHead
from service.api.verify_service import Asking, VerifyService
from service.eager import start
from service.errors import BadQuestion, QuestionRefused
from service.http.reply import Reply
from service.rights import RIGHTS_TO_BEGIN

_READ_BATCH: Final = BodyReader(Batch)
_READ_HEAD: Final = BodyReader(ItemHead)
_READ_ITEM: Final = BodyReader(Item)


class Result(Struct, frozen=True):
    """The result of one item: the status and body that it would have got alone."""

    id: str
    status: int
    decision: Raw | UnsetType = UNSET
    problem: Raw | UnsetType = UNSET


class BatchAnswer(Struct, frozen=True):
    """The results, in the order in which the items were asked."""

    results: list[Result]


class BatchService:
    """Answers batches. Equal questions among the items share one look-up, as they would from different callers."""

    def __init__(self, service: VerifyService) -> None:
        self._service = service

    async def answer(self, body: bytes, asking: Asking) -> Reply:
        """Return 200 with a result for each item. Raises `BadQuestion` for a body that cannot be split into items.

        Each item counts against the caller's rate, and a body without items that could be counted as one question.
        """
        try:
            items = _split(body)
        except BadQuestion:
            asking.caller.ask()
            raise
        loop = asyncio.get_running_loop()
        # An item that is answered from memory needs no task.
        begun = [start(self._answer(raw, asking, at=f"/items/{at}"), loop) for at, (_, raw) in enumerate(items)]
        replies = [await one if isinstance(one, asyncio.Task) else one for one in begun]
        results = [_result(key, reply) for (key, _), reply in zip(items, replies, strict=True)]
        return Reply(200, msgspec.json.encode(BatchAnswer(results)))

    async def _answer(self, raw: Raw, asking: Asking, *, at: str) -> Reply:
        try:
            asking.caller.ask()
            item: Item = _READ_ITEM.read(raw, at=at)
            asking.caller.require(*RIGHTS_TO_BEGIN[item.asked_by])
            return await self._service.answer(item, asking, at=at)
        except QuestionRefused as refusal:
            return self._service.refuse(refusal, request_id=asking.request_id, caller=asking.caller)
        except Exception as bug:  # noqa: BLE001 - it is that one item's, as it would be that one question's
            return self._service.crashed(bug, request_id=asking.request_id)


def _result(key: str, reply: Reply) -> Result:
    if reply.status == 200:  # noqa: PLR2004 - HTTP's own number
        return Result(key, reply.status, decision=Raw(reply.body))
    return Result(key, reply.status, problem=Raw(reply.body))


def _split(body: bytes) -> list[tuple[str, Raw]]:
    """Return the items with their ids. Raises `BadQuestion` if one has none, or two have the same."""
    batch: Batch = _READ_BATCH.read(body)
    items: dict[str, Raw] = {}
    for index, raw in enumerate(batch.items):
        head: ItemHead = _READ_HEAD.read(raw, at=f"/items/{index}")
        if head.id in items:
            raise BadQuestion(f"/items/{index}/id", "duplicate_id", "each item needs an id of its own")
        items[head.id] = raw
    return list(items.items())
