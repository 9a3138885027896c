"""The bodies about redeem tokens."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from service.advice import Advice
from service.api.answers import Instant
from service.api.questions import GameName, Presented
from service.ownership import CacheTier, Caveat, Outcome
from service.redeem.redeem_reason import RedeemReason


class RedeemQuestion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Has itch.io sold what this redeem token says?"""

    game: GameName
    redeem_jwt: Annotated[Presented, Meta(description="The `jwt` that itch.io added to the studio's redeem URL.")]


class SubProductPurchase(Struct, frozen=True):
    """The purchase of a sub-product. `id` is its `purchase_id`: grant each one once."""

    id: int
    kind: Literal["sub_product"] = "sub_product"
    acquired_at: Instant | None = None


class RedeemAnswer(Struct, frozen=True, kw_only=True):
    """The answer about a redeem token, with the fields of every answer; it names no player and has no instants.

    `product` is itch.io's number of the sub-product, `external_id` the studio's name for it, and `metadata` what the
    studio signed into the link to the purchase. Record `evidence.id` before granting: the token is good until it ends.
    """

    allowed: bool
    outcome: Outcome
    reason: RedeemReason
    game_id: int
    method: Literal["redeem"] = "redeem"
    product: int | None = None
    player: None = None
    evidence: SubProductPurchase | None = None
    external_id: str | None = None
    metadata: dict[str, Any] | None = None
    observed_at: Instant | None = None
    fresh_until: Instant | None = None
    usable_until: Instant | None = None
    stale: bool = False
    cache: CacheTier = CacheTier.NONE
    caveats: tuple[Caveat, ...]
    advice: Advice | None
    decision_id: str
