"""Contradictions between policies and the rest. Each check yields a line for each that it finds."""

from collections.abc import Iterator

from service.ownership import Method
from service.rights import Right
from service.settings.games import KeyPlayersAction
from service.settings.model import CallerSettings, ItchDialect, PolicySettings, Settings
from service.settings.names import Names
from service.settings.values import PolicyCredential


def policies_name_games_that_exist(settings: Settings, names: Names) -> Iterator[str]:
    """A policy about no game would keep every player out, and only players would notice."""
    known = {name for game in settings.games for name in (game.slug, str(game.id))}
    for policy in settings.forward_auth:
        if policy.game not in known and (known or not policy.game.isdecimal()):
            yield (
                f"{names.of_policy(policy, 'game')} is {names.value(repr(policy.game))}, which is no game: expected a"
                " slug or id from [games.<slug>]"
            )


def policies_have_callers(settings: Settings, names: Names) -> Iterator[str]:
    """A policy that its proxy may not ask by would keep every player out, too."""
    callers = {caller.name: caller for caller in settings.callers}
    for policy in settings.forward_auth:
        name, caller = names.of_policy(policy, "caller"), callers.get(policy.caller or "")
        if caller is not None:
            fault = _fault_of_asker(caller, policy, settings)
            if fault is not None:
                yield f"{name} is {names.value(repr(caller.name))}, which {fault}"
        elif callers or policy.caller is not None:
            given = "not set" if policy.caller is None else f"{names.value(repr(policy.caller))}, which is no caller"
            yield f"{name} is {given}: expected the name of one of [[callers]], and nothing where there are none"


def _fault_of_asker(caller: CallerSettings, policy: PolicySettings, settings: Settings) -> str | None:
    if Right.VERIFY not in caller.rights:
        return f"lacks the right {Right.VERIFY}: give it that right, or name another caller"
    same = {
        name
        for game in settings.games
        for name in (game.slug, str(game.id))
        if policy.game in (game.slug, str(game.id))
    }
    if not caller.all_games and (same | {policy.game}).isdisjoint(str(game) for game in caller.games):
        return "may not ask about the game of the policy: add it to those of the caller, or name another caller"
    return None


def policies_take_what_there_is(settings: Settings, names: Names) -> Iterator[str]:
    """A credential that the gateway cannot judge would keep out all who have nothing else."""
    for policy in settings.forward_auth:
        off = PolicyCredential.ACCESS_TOKEN in policy.credentials and Method.ACCESS_TOKEN in settings.methods_off
        if off:
            name = names.of_policy(policy, "credentials")
            yield f"{name} holds access_token, but {names.of('itch.access_tokens')} is off: turn it on, or leave it out"
        if PolicyCredential.PASS not in policy.credentials:
            if policy.cookie is not None:
                name = names.of_policy(policy, "cookie")
                yield f"{name} is set, but passes are none of the credentials: add pass to them, or leave it out"
        elif Method.PASS in settings.methods_off:
            name = names.of_policy(policy, "credentials")
            yield f"{name} holds pass, but there are no passes: set {names.of('passes.key')}, or leave it out"


def access_tokens_have_their_dialect(settings: Settings, names: Names) -> Iterator[str]:
    """The older API has no answer for them."""
    if settings.itch.access_tokens and settings.itch.dialect is not ItchDialect.CURRENT:
        yield (
            f"{names.of('itch.access_tokens')} is on, but {names.of('itch.dialect')} is"
            f" {names.value(settings.itch.dialect.value)}: only {ItchDialect.CURRENT.value} has them"
        )


def policies_name_no_player(settings: Settings, names: Names) -> Iterator[str]:
    """A game that lets in the first players who show a key has to be told who asks, and no proxy says it."""
    strict = {
        name: game
        for game in settings.games
        if game.key_players and game.key_players_action is KeyPlayersAction.REJECT
        for name in (game.slug, str(game.id))
    }
    for policy in settings.forward_auth:
        if PolicyCredential.DOWNLOAD_KEY in policy.credentials and policy.game in strict:
            yield (
                f"{names.of_policy(policy, 'credentials')} holds download_key, but"
                f" {names.of_game(strict[policy.game], 'key_players_action')} is reject, for which each question has to"
                " name the player, and no proxy does: leave it out, or set observe"
            )
