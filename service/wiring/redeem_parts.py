"""The parts that check redeem tokens. Imported when one is first shown where they are taken."""

from collections.abc import Sequence
from pathlib import Path

from service.api.redeem import RedeemService
from service.observability.redeem_reports import RedeemReports
from service.ownership import GameId
from service.redeem.redeem_reason import RedeemReason
from service.secret import RedeemKeys, RedeemSecret
from service.secret_file import SecretFile, SecretPlace
from service.secret_text import read_redeem_secret
from service.verification.policy import GameRules
from service.wiring.basics import Basics


def open_redeem(basics: Basics) -> RedeemService:
    """Return the service."""
    return RedeemService(
        secrets_of=_Secrets(basics).of,
        reports=RedeemReports(basics.metrics, basics.log, reasons=RedeemReason),
        clock=basics.shared_clock,
        sandbox=basics.settings.sandbox,
    )


class _Secrets:
    """The secrets of the games, as the configuration and the files have them now."""

    def __init__(self, basics: Basics) -> None:
        self._basics = basics
        self._places: dict[GameId, tuple[RedeemKeys, list[SecretPlace[RedeemSecret]]]] = {}

    def of(self, rules: GameRules) -> Sequence[RedeemSecret]:
        """Return those of a game, none if it has none."""
        keys = rules.redeem
        if keys is None:
            return ()
        known = self._places.get(rules.game_id)
        if known is None or known[0] != keys:
            known = self._places[rules.game_id] = (keys, self._open(rules.label, keys))
        return [place.current() for place in known[1]]

    def _open(self, label: str, keys: RedeemKeys) -> list[SecretPlace[RedeemSecret]]:
        given = (("redeem_secret", keys.secret, keys.file), ("next_redeem_secret", keys.next_secret, keys.next_file))
        return [self._place(f"games.{label}.{key}", secret, file) for key, secret, file in given if secret is not None]

    def _place(self, setting: str, secret: RedeemSecret, file: Path | None) -> SecretPlace[RedeemSecret]:
        events = self._basics.events
        return SecretPlace(
            setting,
            secret,
            file=None if file is None else SecretFile(file, read=read_redeem_secret),
            monotonic=self._basics.clock.monotonic,
            reloaded=events.key_reloaded,
            unreadable=events.key_unreadable,
        )
