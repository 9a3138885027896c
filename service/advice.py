"""Advice: what a player can do about a refusal."""

from enum import StrEnum
from typing import Final

from service.ownership import Caveat, Reason


class Advice(StrEnum):
    """The act by which the player can mend a refusal: a stable code, made of reason and caveats and nothing else."""

    OPEN_GAME_ONCE = "open_game_once"
    """Open the game once on itch.io: that makes the key of a buyer of a large bundle."""
    USE_ITCH_LOGIN = "use_itch_login"
    """Present a JWT or a download key instead of an address."""
    COPY_KEY_AGAIN = "copy_key_again"
    """Copy the download key once more, from the page of the purchase."""
    OPEN_GAME_FROM_BUNDLE = "open_game_from_bundle"
    """Open the game from the page of the bundle, and use the link found there."""
    RESTART_FROM_APP = "restart_from_app"
    """Start the game again from the itch.io app."""
    REVOKE_API_KEY = "revoke_api_key"
    """Revoke the personal API key in the account's settings: it has been shown to others."""
    VERIFY_ADDRESS = "verify_address"
    """Verify the e-mail address."""
    TRY_AGAIN = "try_again"
    """Ask again later."""
    SIGN_IN_AGAIN = "sign_in_again"
    """Present the credential once more that the pass was given for."""
    OPEN_REDEEM_LINK_AGAIN = "open_redeem_link_again"
    """Open the link once more by which itch.io redeems the purchase: that makes a new token."""


def advice_on(reason: Reason, caveats: tuple[Caveat, ...]) -> Advice | None:
    """Return the advice for a player, None where there is nothing that the player can do, or need do."""
    advice = _ADVICE_ON_REASON[reason]
    for caveat in caveats:
        # Of two, the later one is the narrower: an address that misses claimed keys says more than a bundle that might.
        advice = _ADVICE_ON_CAVEAT.get(caveat, advice)
    return advice


_ADVICE_ON_REASON: Final[dict[Reason, Advice | None]] = {
    Reason.DOWNLOAD_KEY: None,
    Reason.PURCHASE: None,
    Reason.BUNDLE_PURCHASE: None,
    Reason.WEB_PURCHASE: None,
    Reason.SELLER_ACCOUNT: None,
    Reason.OPERATOR_GRANT: None,
    Reason.PRESS: None,
    Reason.OPERATOR_BAN: None,
    Reason.INVALID_DOWNLOAD_KEY: Advice.COPY_KEY_AGAIN,
    Reason.NO_DOWNLOAD_KEY: None,
    Reason.MALFORMED_DOWNLOAD_KEY: Advice.COPY_KEY_AGAIN,
    Reason.TEMPORARY_DOWNLOAD_LINK: Advice.COPY_KEY_AGAIN,
    Reason.BUNDLE_LINK: Advice.OPEN_GAME_FROM_BUNDLE,
    Reason.MALFORMED_JWT: Advice.RESTART_FROM_APP,
    Reason.EXPIRED_JWT: Advice.RESTART_FROM_APP,
    Reason.REFUSED_JWT: Advice.RESTART_FROM_APP,
    Reason.API_KEY_NOT_ACCEPTED: Advice.REVOKE_API_KEY,
    Reason.EMAIL_NOT_VERIFIED: Advice.VERIFY_ADDRESS,
    Reason.MALFORMED_PASS: Advice.SIGN_IN_AGAIN,
    Reason.EXPIRED_PASS: Advice.SIGN_IN_AGAIN,
    Reason.REFUSED_PASS: Advice.SIGN_IN_AGAIN,
    Reason.SHARED_DOWNLOAD_KEY: Advice.RESTART_FROM_APP,
    Reason.MALFORMED_ACCESS_TOKEN: Advice.SIGN_IN_AGAIN,
    Reason.REFUSED_ACCESS_TOKEN: Advice.SIGN_IN_AGAIN,
    Reason.SOURCE_UNAVAILABLE: Advice.TRY_AGAIN,
    Reason.SOURCE_RATE_LIMITED: Advice.TRY_AGAIN,
    Reason.SOURCE_PROTOCOL: Advice.TRY_AGAIN,
    Reason.GATEWAY_CREDENTIAL: None,
    Reason.GAME_NOT_ACCESSIBLE: None,
    Reason.NOT_CACHED: Advice.TRY_AGAIN,
    Reason.DEADLINE_EXCEEDED: Advice.TRY_AGAIN,
    Reason.OVERLOADED: Advice.TRY_AGAIN,
    Reason.ISSUER_UNAVAILABLE: Advice.TRY_AGAIN,
}
_ADVICE_ON_CAVEAT: Final = {
    Caveat.BUNDLE_KEY_MAY_BE_UNCLAIMED: Advice.OPEN_GAME_ONCE,
    Caveat.EMAIL_MISSES_CLAIMED_KEYS: Advice.USE_ITCH_LOGIN,
}
