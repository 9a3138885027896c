"""The checks of `doctor` in a relay: whether the hub answers, knows the token and the games, and what it lets ask."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import msgspec
from msgspec import Struct

from service.api.paths import CONFIRM_PATH, PATHS
from service.causes import Cause
from service.cli.findings import Finding, FindingLevel
from service.errors import NoAnswer
from service.hub.hub_answers import NOT_AUTHENTICATED, NOT_FOUND, NOT_PERMITTED, OK, UNAVAILABLE, HubAnswer
from service.hub.hub_client import HubClient
from service.ownership import Method
from service.settings import Settings

_WITHIN: Final = timedelta(seconds=5)
_LARGEST: Final = 64 * 1024
_LISTED: Final = 8

_NOBODY: Final[Mapping[Method, tuple[str, str | int]]] = {
    Method.DOWNLOAD_KEY: ("download_key", "doctor-asks-about-no-player"),
    Method.EMAIL: ("email", "doctor@example.com"),
    Method.USER: ("user_id", 1),
}
"""Questions about no player, which are not handed on to the store: they show whether the hub lets the relay ask so."""

_HINTS: Final = {
    Cause.DNS: "no name server knows the host: check relay.url and this machine's name servers",
    Cause.REFUSED: "nothing listens there, or a firewall refuses: check relay.url, and whether the hub runs",
    Cause.TLS_UNTRUSTED: "no trusted authority has signed the certificate: name its own in relay.ca_file",
    Cause.TLS_EXPIRED: "the certificate is over, or not valid yet: look at this machine's clock first",
    Cause.TLS_NAME: "the certificate is for another host: check relay.url, and who answers in the hub's place",
    Cause.NOT_TLS: "what answers does not speak TLS: check relay.url",
    Cause.PROTOCOL: "what answers is no gateway, or something on the way changes X-Request-ID: see docs/relay.md",
    Cause.REDIRECT: "what answers leads elsewhere: give the address that it leads to, if that is the hub's",
}
_HINT: Final = "check relay.url, and that this machine reaches it: network, firewall"
_NEW_TOKEN: Final = "make a caller at the hub with `ownership-gateway new-caller`, and set its token in relay.token"  # noqa: S105 - advice, no token


class _Said(Struct, frozen=True):
    code: str = ""
    detail: str = ""


async def examine_hub(hub: HubClient, settings: Settings) -> list[Finding]:
    """Return a finding for each check; if the hub does not even answer, the rest is skipped."""
    try:
        answer = await hub.get("/version", within=_WITHIN, most=_LARGEST)
    except NoAnswer as no_answer:
        return [_silent(no_answer), *_skipped("token", "games", "rights", why="the hub does not answer")]
    if answer.status != OK:
        hint = _HINTS[Cause.PROTOCOL]
        finding = Finding("hub", FindingLevel.PROBLEM, f"it answered with {answer.status}, as no gateway does", hint)
        return [finding, *_skipped("token", "games", "rights", why="what answers is no gateway")]
    return [Finding("hub", FindingLevel.OK, f"{settings.relay.url} answers"), *await _examine_caller(hub, settings)]


async def _examine_caller(hub: HubClient, settings: Settings) -> list[Finding]:
    answers = {game.slug: await _ask(hub, Method.DOWNLOAD_KEY, game.id) for game in settings.games}
    known = answers or {"1": await _ask(hub, Method.DOWNLOAD_KEY, 1)}
    if any(answer.status == NOT_AUTHENTICATED for answer in known.values()):
        unknown = Finding("token", FindingLevel.PROBLEM, "the hub does not know it", _NEW_TOKEN, Cause.AUTH)
        return [unknown, *_skipped("games", "rights", why="nothing can be asked with this token")]
    return [
        Finding("token", FindingLevel.OK, "the hub knows it"),
        _games(answers),
        await _rights(hub, next((game.id for game in settings.games if answers[game.slug].status == UNAVAILABLE), 1)),
    ]


def _games(answers: Mapping[str, HubAnswer]) -> Finding:
    if not answers:
        return Finding("games", FindingLevel.SKIPPED, "none configured; the hub says which may be asked about")
    wrong = [f"{slug}: {why}" for slug, answer in answers.items() if (why := _wrong_with_game(answer)) is not None]
    if wrong:
        hint = "give the relay's caller these games at the hub, and compare their numbers"
        return Finding("games", FindingLevel.PROBLEM, "; ".join(wrong[:_LISTED]), hint)
    return Finding("games", FindingLevel.OK, "the hub answers about every configured game")


def _wrong_with_game(answer: HubAnswer) -> str | None:
    said = _said(answer)
    if answer.status == NOT_FOUND:
        return "the hub does not know it"
    return "it is not one of the relay's" if answer.status == NOT_PERMITTED and said.detail == _LACKS_GAME else None


_LACKS_GAME: Final = "it lacks this game"


async def _rights(hub: HubClient, game_id: int) -> Finding:
    allowed = [method for method in _NOBODY if _may(await _ask(hub, method, game_id))]
    if not allowed:
        hint = "give the relay's caller at the hub the rights that the game servers need"
        return Finding("rights", FindingLevel.PROBLEM, "the hub lets the relay ask nothing", hint)
    return Finding("rights", FindingLevel.OK, f"the relay may ask by {', '.join(allowed)}{await _mails(hub)}")


async def _mails(hub: HubClient) -> str:
    """Return whether the relay may have codes mailed; nothing where the hub mails none. No mail is sent for it."""
    try:
        answer = await hub.post(CONFIRM_PATH, {"challenge": "doctor", "code": "0"}, _WITHIN)
    except NoAnswer:
        return ""
    if answer.status == NOT_PERMITTED:
        return "; it may have no codes mailed: its caller lacks the right challenge"
    return "; it may have codes mailed" if answer.status == OK else ""


def _may(answer: HubAnswer) -> bool:
    return answer.status != NOT_PERMITTED or _said(answer).detail == _LACKS_GAME


async def _ask(hub: HubClient, method: Method, game_id: int) -> HubAnswer:
    """Return the answer about no player; one of status 0 if none came."""
    field, value = _NOBODY[method]
    try:
        return await hub.post(PATHS[method], {"game": game_id, field: value, "only_if_cached": True}, _WITHIN)
    except NoAnswer:
        return HubAnswer(0, b"{}")


def _said(answer: HubAnswer) -> _Said:
    try:
        return msgspec.json.decode(answer.body, type=_Said)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Said()


def _silent(no_answer: NoAnswer) -> Finding:
    cause = no_answer.cause or Cause.OTHER
    return Finding("hub", FindingLevel.PROBLEM, no_answer.detail, _HINTS.get(cause, _HINT), cause)


def _skipped(*checks: str, why: str) -> list[Finding]:
    return [Finding(check, FindingLevel.SKIPPED, why) for check in checks]
