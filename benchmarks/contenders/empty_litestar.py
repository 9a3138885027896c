"""The framework's own cost: one POST handler with a typed body and a typed answer, and nothing in between."""

from datetime import UTC, datetime
from typing import Annotated

from litestar import Litestar, get, post
from litestar.params import JSONBody
from msgspec import Meta, Struct


class Question(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of the gateway's question."""

    game: Annotated[int, Meta(ge=1)] | str
    download_key: str
    max_age: Annotated[int, Meta(ge=0)] | None = None
    only_if_cached: bool = False
    deadline_ms: Annotated[int, Meta(ge=50, le=10_000)] | None = None


class Player(Struct, frozen=True):
    """The fields of the gateway's player."""

    id: int
    username: str | None
    display_name: str | None


class Evidence(Struct, frozen=True):
    """The fields of the gateway's evidence."""

    kind: str
    id: int | None
    acquired_at: datetime | None


class Answer(Struct, frozen=True, kw_only=True):
    """The fields of the gateway's answer."""

    allowed: bool
    outcome: str
    reason: str
    game_id: int
    method: str
    player: Player | None
    evidence: Evidence | None
    observed_at: datetime | None
    fresh_until: datetime | None
    usable_until: datetime | None
    stale: bool
    cache: str
    caveats: tuple[str, ...]
    decision_id: str


_AT = datetime(2026, 1, 1, tzinfo=UTC)


@post("/verify/download-key", status_code=200)
async def verify(data: JSONBody[Question]) -> Answer:  # noqa: ARG001 - it is read, and that is what is measured
    """Answer the same to everybody."""
    return Answer(
        allowed=True,
        outcome="owned",
        reason="download_key",
        game_id=3,
        method="download_key",
        player=Player(1, None, None),
        evidence=Evidence("download_key", 1, _AT),
        observed_at=_AT,
        fresh_until=_AT,
        usable_until=_AT,
        stale=False,
        cache="memory",
        caveats=("sandbox",),
        decision_id="01K00000000000000000000000",
    )


@get("/readyz", sync_to_thread=False)
def ready() -> str:
    """Say that it is ready."""
    return "ready"


app = Litestar([verify, ready], openapi_config=None, logging_config=None)
