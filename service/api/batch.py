"""Many questions at once: each answered as if it had come alone."""

import asyncio
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from service.api.problems import Reply
from service.api.questions import Batch, BodyReader, Item, ItemHead, method_of
from service.api.verify import Asking, VerifyDesk, require_rights
from service.errors import BadQuestion, QuestionRefused

_READ_BATCH: Final = BodyReader(Batch)
_READ_HEAD: Final = BodyReader(ItemHead)
_READ_ITEM: Final = BodyReader(Item)


class Result(Struct, frozen=True):
    """What became of one item: the status and body that it would have got alone."""

    id: str
    status: int
    decision: Raw | UnsetType = UNSET
    problem: Raw | UnsetType = UNSET


class BatchAnswer(Struct, frozen=True):
    """The results, in the order in which the items were asked."""

    results: list[Result]


class BatchDesk:
    """Answers batches. Equal questions among the items share one look-up, as they would from different callers."""

    def __init__(self, desk: VerifyDesk) -> None:
        self._desk = desk

    async def answer(self, body: bytes, asking: Asking) -> Reply:
        """Return 200 with a result for each item. Raises `BadQuestion` for a body that cannot be told apart into items.

        Each item counts against the caller's rate, and a body without items that could be counted as one question.
        """
        try:
            items = _split(body)
        except BadQuestion:
            if asking.caller.limits is not None:
                asking.caller.limits.ask()
            raise
        results = await asyncio.gather(
            *(self._answer_item(raw, key, asking, at=f"/items/{index}") for index, (key, raw) in enumerate(items))
        )
        return Reply(200, msgspec.json.encode(BatchAnswer(list(results))))

    async def _answer_item(self, raw: Raw, key: str, asking: Asking, *, at: str) -> Result:
        try:
            if asking.caller.limits is not None:
                asking.caller.limits.ask()
            item: Item = _READ_ITEM.read(raw, at=at)
            require_rights(method_of(item), asking.caller)
            reply = await self._desk.answer(item, asking, at=at)
        except QuestionRefused as refusal:
            reply = self._desk.refuse(refusal, request_id=asking.request_id, caller=asking.caller)
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
