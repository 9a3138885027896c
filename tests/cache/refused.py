"""A question that is refused, for tests of what is remembered of it."""

from datetime import datetime

from service.cache.refusal_memory import RefusalMemory
from service.ownership import CacheTier, Decision, GameId, Method, Player, PlayerId, Reason
from tests.cache.samples import GAME


def note_refusal(
    memory: RefusalMemory,
    decision_id: str,
    *,
    now: datetime,
    subject: str,
    caller: str,
    account: str | None,
    reason: Reason = Reason.NO_DOWNLOAD_KEY,
    game_id: GameId = GAME,
) -> str:
    """Have the memory note that user 7 was refused; return the decision's id."""
    memory.note(
        Decision(reason, game_id, Method.USER, player=Player(PlayerId(7), "nia", "Nia")),
        decision_id,
        caller=caller,
        cache=CacheTier.NONE,
        subject=subject,
        account=account,
        now=now,
    )
    return decision_id
