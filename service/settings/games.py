"""All that an operator can set for one game; the string under each field is its documentation."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from service.key_use import MOST_KEY_PLAYERS
from service.ownership import PlayerId, ProofKind
from service.secret import RedeemKeys, RedeemSecret
from service.settings.values import Accept, Channels, ItchGame, ItchUser, ItchUsers, Mailboxes, TextFile


class KeyPlayersAction(StrEnum):
    """The ways to treat a player who is one too many for a download key."""

    OBSERVE = "observe"
    REJECT = "reject"


class GameSettings(Struct, frozen=True, kw_only=True):
    """One game. Its slug is the name of its table, by which callers, logs and metrics call it."""

    slug: str
    id: ItchGame
    """The number that itch.io gave the game; `ownership-gateway games` lists them. Required."""
    accept: Accept = frozenset({ProofKind.DOWNLOAD_KEY, ProofKind.PURCHASE, ProofKind.BUNDLE_PURCHASE})
    """Proofs that count as owning the game. `web_purchase`, a payment without a download key, is opt-in.
    Default: the other three."""
    grant_user_ids: ItchUsers = frozenset()
    """itch.io users who are let in without the store being asked: staff, testers. Default: none."""
    ban_user_ids: ItchUsers = frozenset()
    """itch.io users who are kept out even if they own the game, by every method that leads to their account.
    Default: none."""
    ban_emails: Mailboxes = frozenset()
    """Addresses that are kept out; upper and lower case are the same. By e-mail itch.io mostly names no account, so
    that `ban_user_ids` alone does not keep its address out. Default: none."""
    grant_press: bool = False
    """Whether itch.io's press accounts are let in. Default: no."""
    owned_fresh_seconds: Annotated[int, Meta(ge=60, le=86_400)] = 3600
    """Seconds that the store's yes is repeated before it is asked again. Default: an hour."""
    not_owned_seconds: Annotated[int, Meta(ge=1, le=300)] = 45
    """Seconds that the store's no is repeated before it is asked again. Default: 45."""
    grace_seconds: Annotated[int, Meta(ge=0, le=259_200)] = 86_400
    """Seconds that the store's yes may still be used while the store gives no usable answer; 0 turns that off,
    anything else is at least `owned_fresh_seconds`. Default: a day, at most three."""
    key_players: Annotated[int, Meta(ge=0, le=MOST_KEY_PLAYERS)] = 0
    """Players who may use one download key, by the `player_ref` of questions; 1 binds a key to the first who shows it,
    0 does not count them. Default: 0."""
    key_players_action: KeyPlayersAction = KeyPlayersAction.OBSERVE
    """For those who are too many: `observe` lets them in with the caveat `shared_download_key`, `reject` does not.
    Default: `observe`."""
    key_players_days: Annotated[int, Meta(ge=1, le=365)] = 30
    """Days that the players of a key are counted after the last new one. Default: 30."""
    channels: Channels = frozenset()
    """The channels of which callers may ask for the newest version, as they are named when builds are pushed.
    Default: none."""
    redeem_secret: RedeemSecret | None = None
    """The secret by which itch.io signs the redeem tokens of the game's sub-products, at least 16 characters.
    Default: unset; without one, redeem tokens are not taken."""
    redeem_secret_file: TextFile | None = None
    """A file that holds that secret; it is read again when it changes. Default: unset."""
    next_redeem_secret: RedeemSecret | None = None
    """Another such secret, which is good as well: for changing it without a gap. Default: unset."""
    next_redeem_secret_file: TextFile | None = None
    """A file that holds that other secret; it is read again when it changes. Default: unset."""
    canary_owner_user_id: ItchUser | None = None
    """An itch.io user who owns the game: the store is asked about it now and then, and no answer depends on it.
    Default: unset."""
    canary_stranger_user_id: ItchUser | None = None
    """An itch.io user who does not own the game, asked about in the same way. Default: unset."""

    @property
    def canary_user_ids(self) -> dict[str, PlayerId]:
        """The accounts of the canaries that are configured, by the key of their setting."""
        given = {
            "canary_owner_user_id": self.canary_owner_user_id,
            "canary_stranger_user_id": self.canary_stranger_user_id,
        }
        return {key: user for key, user in given.items() if user is not None}

    @property
    def redeem_keys(self) -> RedeemKeys | None:
        """The secrets of redeem tokens, None where there are none."""
        if self.redeem_secret is None and self.next_redeem_secret is None:
            return None
        return RedeemKeys(
            secret=self.redeem_secret,
            file=self.redeem_secret_file,
            next_secret=self.next_redeem_secret,
            next_file=self.next_redeem_secret_file,
        )
