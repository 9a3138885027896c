"""The operator's word about one game, as it stands under `[games.<slug>]`."""

from typing import Annotated

from msgspec import Meta, Struct

from service.ownership import ProofKind
from service.settings.kinds import Accept, ItchGame, ItchUsers


class GameSettings(Struct, frozen=True, kw_only=True):
    """One game. Its slug is the name of its table, by which callers, logs and metrics call it."""

    slug: str
    id: ItchGame
    """The number that itch.io gave the game; `ownership-gateway games` lists them. Required."""
    accept: Accept = frozenset({ProofKind.DOWNLOAD_KEY, ProofKind.PURCHASE, ProofKind.BUNDLE_PURCHASE})
    """What counts as owning the game. `web_purchase`, a payment without a download key, is opt-in.
    Default: the other three."""
    grant_user_ids: ItchUsers = frozenset()
    """itch.io users who are let in without the store being asked: staff, testers. Default: nobody."""
    ban_user_ids: ItchUsers = frozenset()
    """itch.io users who are kept out whatever they own. Default: nobody."""
    grant_press: bool = False
    """Whether itch.io's press accounts are let in. Default: no."""
    owned_fresh_seconds: Annotated[int, Meta(ge=60, le=86_400)] = 3600
    """How many seconds the store's yes is repeated before it is asked again. Default: an hour."""
    not_owned_seconds: Annotated[int, Meta(ge=1, le=300)] = 45
    """How many seconds the store's no is repeated before it is asked again. Default: 45."""
    grace_seconds: Annotated[int, Meta(ge=0, le=259_200)] = 86_400
    """How many seconds the store's yes may still be used while the store says nothing; 0 turns that off,
    anything else is at least `owned_fresh_seconds`. Default: a day, at most three."""
