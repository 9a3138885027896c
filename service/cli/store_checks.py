"""The checks of `doctor` that ask the store: the key's account, scopes and games, canaries, and the store's clock."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, TypeVar

from service.canaries.canary import SETTING_OF, Canary, configured_canaries
from service.causes import Cause
from service.cli.findings import Finding, FindingLevel
from service.errors import GameNotAccessible, GatewayCredentialRefused, NoAnswer
from service.itch.source import ItchSource
from service.itch.wire import WireGame
from service.ownership import AssertedUser, GameId, Identity, ProofKind
from service.settings import Settings
from service.verification.interfaces import Lane, Overrides
from service.verification.policy import counting_proof
from service.wiring.rules import game_rules

T = TypeVar("T")

NEEDED_SCOPES: Final = ("profile:me", "profile:games", "game:view:purchases")
"""Of the endpoints that the gateway uses, as itch.io documents them."""

LARGEST_SKEW: Final = timedelta(seconds=30)
"""A JWT's last half minute is not used anyway, so that a skew up to this changes no answer."""

_LISTED: Final = 8
"""Games that a line names: enough to recognise the account."""

_NEW_KEY: Final = (
    "make a key at https://itch.io/user/settings/api-keys with the account that sells the game, and set it as"
    " OWNERSHIP_GATEWAY_ITCH__API_KEY or in the file that OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE names"
)

_HINTS: Final = {
    Cause.PROXY: (
        "the proxy of itch.proxy cannot be found, refuses, or is none: check its URL, and that it lets this machine"
        " CONNECT to {where}"
    ),
    Cause.DNS: (
        "no name server knows the host of {where}: check itch.base_url and this machine's name servers; where only a"
        " proxy leads out, set itch.proxy"
    ),
    Cause.REFUSED: "nothing listens at {where}, or a firewall refuses: check itch.base_url",
    Cause.UNREACHABLE: (
        "no route leads from this machine to {where}: check network and firewall; where only a proxy leads out, set"
        " itch.proxy"
    ),
    Cause.TIMEOUT: (
        "{where} is slow, or a firewall drops what is sent there; where only a proxy leads out, set itch.proxy"
    ),
    Cause.RESET: "{where}, or something on the way there, closes connections: look at firewalls and proxies",
    Cause.TLS_UNTRUSTED: (
        "no authority that this machine trusts has signed the certificate at {where}: install ca-certificates; where a"
        " proxy opens TLS, name its authority in SSL_CERT_FILE"
    ),
    Cause.TLS_EXPIRED: "the certificate at {where} is over, or not valid yet: look at this machine's clock first",
    Cause.TLS_NAME: "the certificate at {where} is for another host: check itch.base_url, and who answers in its place",
    Cause.NOT_TLS: "{where} does not speak TLS: check itch.base_url, and whether a portal of this network answers",
    Cause.AUTH: "the proxy wants another user or password: set them in itch.proxy",
    Cause.FORBIDDEN: "this machine does not let the gateway connect to {where}: look at its firewall",
    Cause.THROTTLED: "run it again in a minute",
    Cause.SERVER_ERROR: "itch.io itself fails: run it again in some minutes",
    Cause.WEB_PAGE: (
        "a page for people stands at {where}: a challenge, a maintenance notice, or a portal of this network"
    ),
    Cause.REDIRECT: "{where} leads elsewhere: check itch.base_url, and whether a portal of this network answers",
    Cause.PROTOCOL: "what answers at {where} does not speak that dialect; check itch.base_url and itch.dialect",
    Cause.OTHER: "check that this machine reaches {where}: name resolution, firewall, certificates",
}
"""The remedies where the store gives no answer; the causes that are missing are those of Redis alone."""


async def examine_store(source: ItchSource, settings: Settings, overrides: Overrides) -> list[Finding]:
    """Return a finding for each check; if the store does not even give the key's account, the rest is skipped.

    `overrides` are those that replicas have told through Redis.
    """
    canaries = tuple(configured_canaries(settings.games, game_rules(settings)))
    seller = await _ask("seller key", settings, source.identify_seller)
    if isinstance(seller, Finding):
        why = "nothing can be asked with this key now"
        checks = ("scopes", "games", "questions", *map(_check_of, canaries))
        skipped = [Finding(check, FindingLevel.SKIPPED, why) for check in checks]
        return [seller, *skipped, _clock(source)]
    scopes = await _ask("scopes", settings, source.scopes)
    games = await _ask("games", settings, source.games)
    return [
        _seller(seller),
        scopes if isinstance(scopes, Finding) else _scopes(scopes),
        games if isinstance(games, Finding) else _games(games, settings),
        await _questions(source, settings, seller, games),
        *[await _canary(source, settings, seller, canary, overrides) for canary in canaries],
        _clock(source),
    ]


async def examine_next_key(source: ItchSource, settings: Settings) -> Finding:
    """Return whether the store accepts the next key, and its account."""
    seller = await _ask("next seller key", settings, source.identify_seller)
    return seller if isinstance(seller, Finding) else _seller(seller, check="next seller key")


async def _ask(check: str, settings: Settings, question: Callable[[], Awaitable[T]]) -> T | Finding:
    """Return the store's answer, or the finding that there was none."""
    try:
        return await question()
    except NoAnswer as no_answer:
        return _without_answer(check, settings, no_answer)


def _without_answer(check: str, settings: Settings, no_answer: NoAnswer) -> Finding:
    match no_answer:
        case GatewayCredentialRefused():
            hint = _NEW_KEY
        case GameNotAccessible():
            hint = "`ownership-gateway games` lists the games of this key; only their owner's key can ask about them"
        case _:
            where = f"{settings.itch.effective_base_url} ({settings.itch.dialect.value})"
            hint = _HINTS.get(no_answer.cause or Cause.OTHER, _HINTS[Cause.OTHER]).format(where=where)
    return Finding(check, FindingLevel.PROBLEM, no_answer.detail, hint, no_answer.cause)


def _seller(seller: Identity, *, check: str = "seller key") -> Finding:
    account = f"{seller.player.username or 'an account without a name'} (user {seller.player.id})"
    return Finding(check, FindingLevel.OK, f"accepted; it belongs to {account}, who is always let in")


def _scopes(scopes: Sequence[str]) -> Finding:
    if not scopes:
        return Finding("scopes", FindingLevel.OK, "none listed: the key may ask everything")
    lacking = [needed for needed in NEEDED_SCOPES if not any(_covers(scope, needed) for scope in scopes)]
    listed = f"the key has {', '.join(scopes)}"
    if not lacking:
        return Finding("scopes", FindingLevel.OK, listed)
    hint = f"{_NEW_KEY}; keys from there have no such limits"
    return Finding("scopes", FindingLevel.WARNING, f"{listed}; it seems to lack {', '.join(lacking)}", hint)


def _covers(scope: str, needed: str) -> bool:
    """Whether it is that scope or one above it; `game:view:purchases` gives nothing of `game:view`."""
    return needed == scope or needed.startswith(f"{scope}:")


def _games(games: Sequence[WireGame], settings: Settings) -> Finding:
    visible = {game.id for game in games}
    missing = [f"games.{game.slug} (id {game.id})" for game in settings.games if game.id not in visible]
    if missing:
        hint = "`ownership-gateway games` lists the games of this key; only their owner's key can ask about them"
        return Finding("games", FindingLevel.PROBLEM, f"not among the key's games: {', '.join(missing)}", hint)
    if not games:
        return Finding(
            "games", FindingLevel.PROBLEM, "the key sees no game", "use the key of the account that sells the game"
        )
    if settings.games:
        return Finding("games", FindingLevel.OK, "every configured game is among the key's")
    named = [f"{game.slug} (id {game.id})" for game in games[:_LISTED]] + (["…"] if games[_LISTED:] else [])
    return Finding(
        "games", FindingLevel.OK, f"none configured, so the key's own can be asked about: {', '.join(named)}"
    )


async def _questions(
    source: ItchSource, settings: Settings, seller: Identity, games: Sequence[WireGame] | Finding
) -> Finding:
    """Ask as every question does: only the store can say what a list of scopes means."""
    visible = [] if isinstance(games, Finding) else [game.id for game in games]
    candidates: list[GameId] = [game.id for game in settings.games if game.id in visible] or visible
    if not candidates:
        return Finding("questions", FindingLevel.SKIPPED, "there is no game to ask about")
    subject = AssertedUser(seller.player.id)
    evidence = await _ask(
        "questions",
        settings,
        lambda: source.look_up(candidates[0], subject, accept=frozenset(ProofKind), lane=Lane()),
    )
    if isinstance(evidence, Finding):
        return evidence
    return Finding("questions", FindingLevel.OK, f"the store answers questions about game {candidates[0]}")


def _check_of(canary: Canary) -> str:
    return f"canary {canary.rules.label} {canary.expect}"


async def _canary(
    source: ItchSource, settings: Settings, seller: Identity, canary: Canary, overrides: Overrides
) -> Finding:
    """Ask about a canary as the gateway does, or say why it does not."""
    check, user, label = _check_of(canary), canary.player_id, canary.rules.label
    setting = f"games.{label}.{SETTING_OF[canary.expect]}"
    override = overrides.about(canary.rules.game_id, canary.subject)
    why = canary.why_not_asked(seller.player.id, override)
    if why is not None:
        hint = f"{'' if override is None else 'take the override back, or '}set {setting} to another account"
        return Finding(check, FindingLevel.WARNING, f"user {user} is not asked about: {why}", hint)
    evidence = await _ask(
        check,
        settings,
        lambda: source.look_up(canary.rules.game_id, canary.subject, accept=canary.rules.accept, lane=Lane()),
    )
    if isinstance(evidence, Finding):
        return evidence
    said = "owns" if counting_proof(evidence, canary.rules) is not None else "does not own"
    if canary.as_expected(evidence):
        return Finding(check, FindingLevel.OK, f"the store says that user {user} {said} {label}, as expected")
    hint = f"look the account up on itch.io: if it is right, set {setting} to another account; else the store is wrong"
    return Finding(check, FindingLevel.PROBLEM, f"the store says that user {user} {said} {label}", hint)


def _clock(source: ItchSource) -> Finding:
    skew = source.clock_skew
    if skew is None:
        return Finding("clock", FindingLevel.SKIPPED, "the store did not say what time it is")
    seconds = round(abs(skew.total_seconds()))
    if abs(skew) <= LARGEST_SKEW:
        return Finding("clock", FindingLevel.OK, f"within {seconds} s of the store's")
    direction = "behind" if skew > timedelta() else "ahead of"
    hint = "set up time synchronisation: JWTs are taken for expired too early, or used too long"
    return Finding("clock", FindingLevel.WARNING, f"this machine is {seconds} s {direction} the store", hint)
