"""Contradictions between a relay's settings and the rest. Each check yields a line for each that it finds."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from service.settings.conversion import split_url
from service.settings.games import GameSettings
from service.settings.model import GAME, SINGLE, Settings, is_loopback
from service.settings.names import Names
from service.settings.urls import has_host_and_port
from service.trust import trusting_context

_OF_THE_HUB: Final = tuple(key for key in SINGLE if key.startswith(("itch.", "redis.", "passes.", "mail.")))
_RULES: Final = tuple(key for key in GAME if key != "id")


def relay_is_whole(settings: Settings, names: Names) -> Iterator[str]:
    """A relay has a hub and a token for it."""
    if not settings.is_relay:
        for name in names.given(*(key for key in SINGLE if key.startswith("relay."))):
            yield f"{name} is set without {names.of('relay.url')}: set both or neither"
    elif settings.relay.token is None:
        yield (
            f"{names.of('relay.token')} is not set, but {names.of('relay.url')} is: give the token of a caller at the"
            f" hub there or in a file named by {names.of('relay.token_file')}"
        )


def hub_url_is_safe(settings: Settings, names: Names) -> Iterator[str]:
    """The token and all that players present go to that address."""
    url = settings.relay.url
    if url is not None and (fault := _fault_of(url)) is not None:
        yield f"{names.of('relay.url')} cannot be used: {fault}"


def relay_decides_nothing(settings: Settings, names: Names) -> Iterator[str]:
    """The store, the rules and the passes are the hub's: a relay with a seller's key would be no relay."""
    if not settings.is_relay:
        return
    url = names.of("relay.url")
    for name in dict.fromkeys(names.given(*_OF_THE_HUB)):
        yield f"{name} is set, but {url} is too: in a relay its hub has that; leave it out, or leave {url} out"
    for key, on in (("sandbox", settings.sandbox), ("console", settings.console)):
        if on:
            yield f"{names.of(key)} is on, but {url} is set: a relay has none; leave one of them out"
    if settings.oidc:
        yield f"[[oidc]] is set, but {url} is too: the hub has the issuers; leave it out"
    for game in settings.games:
        plain = GameSettings(slug=game.slug, id=game.id)
        for rule in _RULES:
            if getattr(game, rule) != getattr(plain, rule):
                yield f"{names.of_game(game, rule)} is set, but {url} is too: the hub has the rules; keep only id"


def hub_can_be_trusted(settings: Settings, names: Names) -> Iterator[str]:
    """Without authorities no certificate is good."""
    if settings.relay.ca_file is None:
        return
    try:
        trusting_context(settings.relay.ca_file)
    except OSError:
        yield f"{names.of('relay.ca_file')} cannot be used: expected a file with certificates in PEM"


def _fault_of(url: str) -> str | None:
    """Return why nothing must be sent there, or None; the words never repeat the URL."""
    parts = split_url(url)
    if parts is None or parts.scheme not in {"http", "https"} or not has_host_and_port(parts):
        return "expected a URL such as https://ownership.example"
    if "@" in parts.netloc:
        return "a user name or password has no place in it; the token has a setting of its own"
    if parts.path.strip("/") or "?" in url or "#" in url:
        return "a path, query or fragment has no place in it"
    if parts.scheme == "http" and not is_loopback(urlsplit(url).hostname or ""):
        return "plain http would show the token to everybody on the way; expected https, or a loopback address"
    return None
