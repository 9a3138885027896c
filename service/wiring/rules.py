"""The rules for games, the directory of callers and the policies, made from the settings as one configuration."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from service.api.callers import LOCAL_CALLER, Caller, CallerDirectory
from service.api.current_configuration import Configuration
from service.api.game_directory import GameDirectory
from service.limits.caller_limits import CallerBounds, CallerLimits
from service.ownership import Method
from service.settings import Settings
from service.settings.games import GameSettings, KeyPlayersAction
from service.verification.interfaces import Clock
from service.verification.policy import GameRules, KeyLimit

if TYPE_CHECKING:
    from service.api.policies import Policy


def game_rules(settings: Settings) -> list[GameRules]:
    """Return the rules of each game that is configured."""
    return [
        GameRules(
            game_id=game.id,
            label=game.slug,
            accept=game.accept,
            grant_user_ids=game.grant_user_ids,
            ban_user_ids=game.ban_user_ids,
            ban_emails=game.ban_emails,
            grant_press=game.grant_press,
            owned_fresh=timedelta(seconds=game.owned_fresh_seconds),
            grace=timedelta(seconds=game.grace_seconds),
            not_owned_fresh=timedelta(seconds=game.not_owned_seconds),
            key_limit=_key_limit(game),
            channels=game.channels,
            redeem=game.redeem_keys,
        )
        for game in settings.games
    ]


def _key_limit(game: GameSettings) -> KeyLimit | None:
    if not game.key_players:
        return None
    return KeyLimit(
        players=game.key_players,
        reject=game.key_players_action is KeyPlayersAction.REJECT,
        lasts=timedelta(days=game.key_players_days),
    )


def configuration_of(
    settings: Settings,
    clock: Clock,
    *,
    before: Configuration | None = None,
    game_called: Callable[[str], int | None] | None = None,
) -> Configuration:
    """Return games, callers and policies; a caller that was there `before`, by its name, keeps its limits object.

    `game_called` finds the id of a game by its slug where none is configured.
    """
    known = {} if before is None else before.callers.limits()
    policies = _policies(settings) if settings.forward_auth else {}
    return Configuration(
        games=GameDirectory(
            game_rules(settings), game_called=game_called if before is None else before.games.game_called
        ),
        callers=CallerDirectory(
            (
                caller.token_digest,
                Caller(
                    name=caller.name,
                    rights=caller.rights,
                    games=settings.games_of(caller),
                    limits=known.get(caller.name)
                    or CallerLimits(
                        rate=caller.rate, failed_keys_per_minute=caller.failed_keys_per_minute, clock=clock
                    ),
                    bounds=CallerBounds(caller.rate, caller.failed_keys_per_minute),
                ),
            )
            for caller in settings.callers
        ),
        policies=policies,
    )


def _policies(settings: Settings) -> "dict[bytes, Policy]":
    from service.api.policies import Policy  # noqa: PLC0415 - off until configured: not even imported

    return {
        policy.name.encode("ascii"): Policy(
            name=policy.name,
            game=policy.game,
            caller=policy.caller or LOCAL_CALLER.name,
            methods=frozenset(Method(credential) for credential in policy.credentials),
            cookie=None if policy.cookie is None else policy.cookie.encode("ascii"),
        )
        for policy in settings.forward_auth
    }
