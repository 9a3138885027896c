"""Many questions at once: each answered as if it had come alone."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from service.api.admission import require_rights
from service.api.problems import Reply
from service.api.questions import Batch, BodyReader, Item, ItemHead, method_of
from service.api.verify import Asking, Case, VerifyDesk
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
    """Answers batches. Equal questions among the items share one look-up, as they would from different callers.

    `crashed` turns what no question should ever raise into a reply.
    """

    def __init__(self, desk: VerifyDesk, *, crashed: Callable[[Exception, str], Reply]) -> None:
        self._desk = desk
        self._crashed = crashed

    async def answer(self, body: bytes, asking: Asking) -> Reply:
        """Return 200 with a result for each item. Raises `BadQuestion` for a body that cannot be told apart into items.

        Each item counts against the caller's rate, and a body without items that could be counted as one question.
        """
        try:
            items = _split(body)
        except BadQuestion:
            asking.caller.ask()
            raise
        begun = [self._begin(raw, asking, at=f"/items/{index}") for index, (_, raw) in enumerate(items)]
        # What this process remembers needs no task to wait in.
        waiting = [self._conclude(case) for case in begun if isinstance(case, Case)]
        concluded = iter(await asyncio.gather(*waiting))
        replies = [next(concluded) if isinstance(one, Case) else one for one in begun]
        results = [_result(key, reply) for (key, _), reply in zip(items, replies, strict=True)]
        return Reply(200, msgspec.json.encode(BatchAnswer(results)))

    def _begin(self, raw: Raw, asking: Asking, *, at: str) -> Case | Reply:
        """Return the reply to an item, or the case of one that has to be waited for."""
        try:
            asking.caller.ask()
            item: Item = _READ_ITEM.read(raw, at=at)
            require_rights(method_of(item), asking.caller)
            case = self._desk.open(item, asking, at=at)
            verdict = case.hearing.verdict
            return case if verdict is None else self._desk.close(case, verdict)
        except Exception as error:  # noqa: BLE001 - a bug is that one item's, as it would be that one question's
            return self._failed(error, asking)

    async def _conclude(self, case: Case) -> Reply:
        try:
            return self._desk.close(case, await self._desk.conclude(case))
        except Exception as error:  # noqa: BLE001 - as above
            return self._failed(error, case.asking)

    def _failed(self, error: Exception, asking: Asking) -> Reply:
        if isinstance(error, QuestionRefused):
            return self._desk.refuse(error, request_id=asking.request_id, caller=asking.caller)
        return self._crashed(error, asking.request_id)


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
