"""The reasons of answers about redeem tokens."""

from enum import StrEnum

from service.advice import Advice
from service.ownership import Outcome


class RedeemReason(StrEnum):
    """The reasons of answers about redeem tokens: stable codes."""

    SUB_PRODUCT_PURCHASE = "sub_product_purchase"
    """itch.io says that the sub-product was bought."""
    EXPIRED_REDEEM_JWT = "expired_redeem_jwt"
    """itch.io has signed it for this game, and its time is over."""
    REFUSED_REDEEM_JWT = "refused_redeem_jwt"
    """Not signed with a secret of this game, or by another algorithm, or what it says is not what itch.io says."""
    MALFORMED_REDEEM_JWT = "malformed_redeem_jwt"
    """No JWT at all."""

    @property
    def outcome(self) -> Outcome:
        """The outcome that this reason explains."""
        return Outcome.OWNED if self is RedeemReason.SUB_PRODUCT_PURCHASE else Outcome.REJECTED

    @property
    def advice(self) -> Advice | None:
        """The act by which the player can mend it."""
        return None if self.outcome is Outcome.OWNED else Advice.OPEN_REDEEM_LINK_AGAIN
