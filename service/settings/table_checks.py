"""Contradictions in and between the tables of games and callers. Each check yields a line for each it finds."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator

from service.settings.model import CallerSettings, Settings
from service.settings.names import Names

_DIGESTS_OF_NOTHING = {hashlib.sha256(text).digest() for text in (b"", b" ", b"\n", b"\r\n")} | {bytes(32)}
"""What hashing comes to when the token got lost on the way, as in `echo $TOKEN | sha256sum`; and no digest at all."""

_LISTED = 5
"""Ids that a line repeats: enough to find them."""


def ids_name_one_game(settings: Settings, names: Names) -> Iterator[str]:
    """Two sets of rules for one game would leave it to chance which applies."""
    slugs: dict[int, str] = {}
    for game in settings.games:
        first = slugs.setdefault(game.id, game.slug)
        if first != game.slug:
            yield f"{names.of_game(game, 'id')} is {game.id}, which games.{first} has already: an id names one game"


def grace_outlasts_freshness(settings: Settings, names: Names) -> Iterator[str]:
    """Grace counts from the same moment as freshness, so a shorter one could never begin."""
    for game in settings.games:
        if 0 < game.grace_seconds < game.owned_fresh_seconds:
            yield (
                f"{names.of_game(game, 'grace_seconds')} is {game.grace_seconds}: expected 0, or at least"
                f" owned_fresh_seconds, which is {game.owned_fresh_seconds}"
            )


def nobody_is_granted_and_banned(settings: Settings, names: Names) -> Iterator[str]:
    """One of the two must be a mistake."""
    for game in settings.games:
        both = sorted(game.grant_user_ids & game.ban_user_ids)
        if both:
            listed = ", ".join(str(user) for user in both[:_LISTED]) + (", …" if both[_LISTED:] else "")
            yield f"{names.of_game(game)} both grants and bans {listed}: keep each user in one list"


def callers_differ(settings: Settings, names: Names) -> Iterator[str]:
    """A name or a token that two callers share tells nobody who asks."""
    by_name: defaultdict[str, int] = defaultdict(int)
    by_token: dict[bytes, CallerSettings] = {}
    for caller in settings.callers:
        by_name[caller.name] += 1
        first = by_token.setdefault(caller.token_digest, caller)
        if first is not caller:
            name = names.of_caller(caller, "token_sha256")
            yield f"{name} is that of callers[{first.name}] too: expected a token of its own for each caller"
    for caller in settings.callers:
        if by_name.pop(caller.name, 0) > 1:
            name = names.of_caller(caller, "name")
            yield f"{name} is there more than once: expected a name of its own for each caller"


def callers_have_tokens(settings: Settings, names: Names) -> Iterator[str]:
    """A digest of nothing would let in whoever sends no token, or be nobody's."""
    for caller in settings.callers:
        if caller.token_digest in _DIGESTS_OF_NOTHING:
            name = names.of_caller(caller, "token_sha256")
            yield f"{name} is that of no token: expected the SHA-256 of the whole token, as new-caller prints it"


def callers_name_games_that_exist(settings: Settings, names: Names) -> Iterator[str]:
    """A game that nobody configured is a typo; only without any games every numeric id may be asked about."""
    slugs = {game.slug for game in settings.games}
    ids = {str(game.id) for game in settings.games}
    for caller in settings.callers:
        name = names.of_caller(caller, "games")
        asked = {str(game) for game in caller.games}
        if caller.all_games and len(asked) > 1:
            yield f'{name} holds "*" and more: expected "*" alone, or the games one by one'
        for game in sorted(asked - slugs - ids - {"*"}):
            if slugs or not game.isdecimal():
                yield f"{name} holds {game!r}, which is no game: expected a slug or id from [games.<slug>]"
