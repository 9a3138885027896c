"""The answer of the endpoint for the newest version of a channel, as callers see it."""

from msgspec import Struct

from service.api.answers import Instant
from service.ownership import CacheTier


class ChannelAnswer(Struct, frozen=True):
    """The newest version of a channel, null without one. Compare it for equality alone: versions have no order.

    It says nothing about ownership. Times are in UTC.
    """

    game_id: int
    channel: str
    latest: str | None
    observed_at: Instant
    fresh_until: Instant
    stale: bool
    cache: CacheTier
