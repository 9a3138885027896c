"""Contradictions between settings. Each check yields a line for each that it finds."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias
from urllib.parse import unquote, urlsplit

from service.errors import SettingsError
from service.redis.url import parse_redis_url
from service.secret import SellerKey
from service.settings.conversion import split_url
from service.settings.model import DEFAULT_BASE_URLS, CallerSettings, ItchDialect, Settings, is_loopback
from service.settings.names import Names
from service.settings.policy_checks import (
    access_tokens_have_their_dialect,
    policies_have_callers,
    policies_name_games_that_exist,
    policies_name_no_player,
    policies_take_what_there_is,
)
from service.settings.proof_checks import issuers_differ, mail_is_whole, mail_text_is_usable
from service.settings.relay_checks import hub_can_be_trusted, hub_url_is_safe, relay_decides_nothing, relay_is_whole
from service.settings.urls import has_host_and_port

# Contradictions between settings that exist once.

_HOSTS_OF = {
    ItchDialect.CURRENT: frozenset({"api.itch.io"}),
    ItchDialect.SERVER_SIDE: frozenset({"itch.io", "www.itch.io"}),
}


_REAL_STORE = (
    "itch.api_key",
    "itch.api_key_file",
    "itch.next_api_key",
    "itch.next_api_key_file",
    "itch.base_url",
    "itch.proxy",
    "itch.proxy_file",
    "passes.key",
    "passes.key_file",
    "mail.url",
    "mail.url_file",
)


def remote_callers_have_tokens(settings: Settings, names: Names) -> Iterator[str]:
    """Without callers no token is asked for, so only this machine may reach the gateway."""
    if settings.callers or settings.unix_socket is not None:
        return
    afar = [host for host in settings.host if not is_loopback(host)]
    if not afar:
        return
    verb = "is" if len(settings.host) == 1 else "holds"
    yield (
        f"{names.of('host')} {verb} {names.value(repr(afar[0]))}, but there are no [[callers]]: without callers the"
        " gateway listens only on loopback (127.0.0.1, ::1, localhost) or a Unix socket"
    )


def there_is_a_source(settings: Settings, names: Names) -> Iterator[str]:
    """Questions need a store that answers them: itch.io with a key, or the sandbox."""
    if settings.sandbox or settings.is_relay or names.given("itch.api_key", "itch.api_key_file", "relay.url"):
        return
    yield (
        f"{names.of('itch.api_key')} is not set: give the seller's itch.io API key there or in a file named by"
        f" {names.of('itch.api_key_file')}, or try the gateway with {names.of('sandbox')}=true"
    )


def sandbox_stands_alone(settings: Settings, names: Names) -> Iterator[str]:
    """A sandbox together with a real key would let in every player who has read the sandbox's README."""
    if not settings.sandbox:
        return
    for name in dict.fromkeys(names.given(*_REAL_STORE)):  # a secret in a file is called by the file's setting
        yield f"{names.of('sandbox')} and {name} are both set: the sandbox never stands in for a real store, keep one"


def names_a_store(settings: Settings) -> bool:
    """Whether anything is set that belongs to a real store, or the sandbox: then it is clear who is to answer."""
    itch = settings.itch
    return (
        settings.sandbox
        or settings.is_relay
        or any(value is not None for value in (itch.api_key, itch.next_api_key, itch.base_url, itch.proxy))
    )


def base_url_is_safe(settings: Settings, names: Names) -> Iterator[str]:
    """The seller's key goes to that address."""
    url = settings.itch.base_url
    if url is None:
        return
    fault = _base_url_fault(url, settings.itch.api_key, settings.itch.next_api_key)
    if fault is not None:
        yield f"{names.of('itch.base_url')} cannot be used: {fault}"
        return
    for dialect, hosts in _HOSTS_OF.items():
        if _host_of(url) in hosts and dialect is not settings.itch.dialect:
            yield (
                f"{names.of('itch.base_url')} belongs to the dialect {dialect.value}, but"
                f" {names.of('itch.dialect')} is {names.value(settings.itch.dialect.value)}, which is spoken at"
                f" {DEFAULT_BASE_URLS[settings.itch.dialect]}"
            )


def proxy_sees_no_key(settings: Settings, names: Names) -> Iterator[str]:
    """Without TLS a proxy would read the seller's key."""
    itch = settings.itch
    if itch.proxy is not None and itch.effective_base_url.startswith("http://"):
        yield (
            f"{names.of('itch.proxy')} is set, but {names.of('itch.base_url')} begins with http://: only https goes"
            " through a proxy"
        )


def redis_url_leads_somewhere(settings: Settings, names: Names) -> Iterator[str]:
    """A URL may begin as one of Redis and still say nothing that could be connected to."""
    if settings.redis.url is None:
        return
    try:
        parse_redis_url(settings.redis.url, name=names.of("redis.url"))
    except SettingsError as error:
        yield from error.mistakes


def redis_is_sealed(settings: Settings, names: Names) -> Iterator[str]:
    """A secret made anew by each process could not be shared, and Redis is for sharing."""
    if settings.redis.url is not None and settings.secret is None:
        yield (
            f"{names.of('secret')} is not set, but {names.of('redis.url')} is: what is kept in Redis must be sealed"
            " with a secret of at least 32 characters, the same on all replicas"
        )


def secrets_differ(settings: Settings, names: Names) -> Iterator[str]:
    """A leak of the one must not be a leak of the other."""
    secret = settings.secret
    for name, key in (("itch.api_key", settings.itch.api_key), ("itch.next_api_key", settings.itch.next_api_key)):
        if key is not None and secret is not None and key.reveal() == secret.reveal():
            yield f"{names.of('secret')} is the same as {names.of(name)}: make a secret of its own"


def passes_are_whole(settings: Settings, names: Names) -> Iterator[str]:
    """A pass names its issuer, and what it is revoked by follows from the secret."""
    issuer, key = names.given("passes.issuer"), names.given("passes.key")
    if key and not issuer:
        yield f"{key[0]} is set without {names.of('passes.issuer')}: set both or neither"
    if issuer and not key:
        yield f"{issuer[0]} is set without {names.of('passes.key')}: set both or neither"
    if key and settings.secret is None:
        yield (
            f"{names.of('secret')} is not set, but {key[0]} is: what passes are revoked by is made with a secret of at"
            " least 32 characters, the same on all replicas and after a restart"
        )


def operations_have_a_place(settings: Settings, names: Names) -> Iterator[str]:
    """A listener of its own needs a port of its own."""
    host, port = settings.operations.host, settings.operations.port
    if port is None:
        if host is not None:
            yield f"{names.of('operations.host')} is set without {names.of('operations.port')}: set both or neither"
        return
    taken = settings.unix_socket is None and port == settings.port and port != 0
    if taken and (host is None or not set(host).isdisjoint(settings.host)):
        yield (
            f"{names.of('operations.port')} is {names.value(port)}, which {names.of('port')} is too: leave it out to"
            " serve both from one listener"
        )


def console_asks_for_tokens(settings: Settings, names: Names) -> Iterator[str]:
    """Without callers the console asks for no token, so only this machine may reach it."""
    if settings.console and settings.console_is_open_to_all:
        yield (
            f"{names.of('console')} is on and there are no [[callers]], but the console would be served on"
            f" {names.of('operations.port')} to other machines: configure callers, or set"
            f" {names.of('operations.host')} to 127.0.0.1"
        )


# Contradictions in and between the tables of games and callers.

_DIGESTS_OF_NOTHING = {hashlib.sha256(text).digest() for text in (b"", b" ", b"\n", b"\r\n")} | {bytes(32)}
"""Digests of an empty token or a line break, as `echo $TOKEN | sha256sum` makes where TOKEN is unset; and all zeros."""

_LISTED = 5
"""Ids that a line repeats: enough to find them."""


def ids_name_one_game(settings: Settings, names: Names) -> Iterator[str]:
    """Two sets of rules for one game would leave it to chance which applies."""
    slugs: dict[int, str] = {}
    for game in settings.games:
        first = slugs.setdefault(game.id, game.slug)
        if first != game.slug:
            yield (
                f"{names.of_game(game, 'id')} is {names.value(game.id)}, which games.{first} has already: an id"
                " names one game"
            )


def grace_outlasts_freshness(settings: Settings, names: Names) -> Iterator[str]:
    """Grace counts from the same moment as freshness, so a shorter one could never begin."""
    for game in settings.games:
        if 0 < game.grace_seconds < game.owned_fresh_seconds:
            yield (
                f"{names.of_game(game, 'grace_seconds')} is {names.value(game.grace_seconds)}: expected 0, or at"
                f" least owned_fresh_seconds, which is {names.value(game.owned_fresh_seconds)}"
            )


def grants_and_bans_differ(settings: Settings, names: Names) -> Iterator[str]:
    """A user in both lists is a mistake in one of them."""
    for game in settings.games:
        both = sorted(game.grant_user_ids & game.ban_user_ids)
        if both:
            listed = ", ".join(str(user) for user in both[:_LISTED]) + (", …" if both[_LISTED:] else "")
            yield f"{names.of_game(game)} both grants and bans {names.value(listed)}: keep each user in one list"


def canaries_can_be_asked(settings: Settings, names: Names) -> Iterator[str]:
    """The store is never asked about an account that the file decides, and none owns a game and does not own it."""
    for game in settings.games:
        for key, user in game.canary_user_ids.items():
            for decided, users in (("grant_user_ids", game.grant_user_ids), ("ban_user_ids", game.ban_user_ids)):
                if user in users:
                    yield (
                        f"{names.of_game(game, key)} is {names.value(user)}, which {decided} holds too: expected an"
                        " account that itch.io alone decides about"
                    )
        owner, stranger = game.canary_owner_user_id, game.canary_stranger_user_id
        if owner is not None and owner == stranger:
            yield (
                f"{names.of_game(game, 'canary_stranger_user_id')} is {names.value(stranger)}, which"
                " canary_owner_user_id is too: expected an account that does not own the game"
            )


def callers_differ(settings: Settings, names: Names) -> Iterator[str]:
    """A name or a token that two callers share identifies neither."""
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
    """The digest of an empty token would let in requests without one; that of all zeros is a template's."""
    for caller in settings.callers:
        if caller.token_digest in _DIGESTS_OF_NOTHING:
            name = names.of_caller(caller, "token_sha256")
            yield f"{name} is that of no token: expected the SHA-256 of the whole token, as new-caller prints it"


def callers_name_games_that_exist(settings: Settings, names: Names) -> Iterator[str]:
    """A game that is not configured is a typo; only without any games every numeric id may be asked about."""
    slugs = {game.slug for game in settings.games}
    ids = {str(game.id) for game in settings.games}
    known = slugs | ids | {"*"}
    for caller in settings.callers:
        name = names.of_caller(caller, "games")
        asked = {str(game) for game in caller.games}
        if caller.all_games and len(asked) > 1:
            yield f'{name} holds "*" and more: expected "*" alone, or the games one by one'
        for game in sorted(asked - known):
            if slugs or not game.isdecimal():
                yield (
                    f"{name} holds {names.value(repr(game))}, which is no game: expected a slug or id from"
                    " [games.<slug>]"
                )


# Addresses, as far as they can be judged without asking the network.


def _host_of(url: str) -> str:
    """Return the host that a URL without `_base_url_fault` names, in lower case."""
    return urlsplit(url).hostname or ""


def _base_url_fault(url: str, *api_keys: SellerKey | None) -> str | None:
    """Return why the seller's keys must not be sent there, or None; the words never repeat the URL."""
    parts = split_url(url)
    if parts is None or parts.scheme not in {"http", "https"} or not has_host_and_port(parts):
        return "expected a URL such as https://api.itch.io"
    if "@" in parts.netloc:
        return "a user name or password has no place in it"
    if "?" in url or "#" in url:
        return "a query or fragment has no place in it"
    if any(key is not None and (key.reveal() in url or key.reveal() in unquote(url)) for key in api_keys):
        return "the API key has no place in it, URLs end up in logs; the gateway sends the key in a header"
    if parts.scheme == "http" and not is_loopback(_host_of(url)):
        return "plain http would show the API key to everybody on the way; expected https, or a loopback address"
    return None


Check: TypeAlias = Callable[[Settings, Names], Iterator[str]]


CHECKS: Final[tuple[tuple[Check, set[str]], ...]] = (
    (remote_callers_have_tokens, {"host", "unix_socket", "callers"}),
    (there_is_a_source, {"sandbox"}),
    (sandbox_stands_alone, {"sandbox"}),
    (base_url_is_safe, {"itch.base_url", "itch.dialect"}),
    (proxy_sees_no_key, {"itch.proxy", "itch.base_url"}),
    (redis_url_leads_somewhere, {"redis.url"}),
    (redis_is_sealed, {"redis.url", "secret"}),
    (passes_are_whole, {"passes.issuer", "passes.key", "secret", "sandbox"}),
    (secrets_differ, {"itch.api_key", "itch.next_api_key", "secret"}),
    (operations_have_a_place, {"host", "port", "unix_socket", "operations.host", "operations.port"}),
    (console_asks_for_tokens, {"console", "host", "operations.host", "operations.port", "callers"}),
    (ids_name_one_game, set()),
    (grace_outlasts_freshness, set()),
    (grants_and_bans_differ, set()),
    (canaries_can_be_asked, set()),
    (callers_differ, set()),
    (callers_have_tokens, set()),
    (callers_name_games_that_exist, {"games"}),
    (policies_name_games_that_exist, {"games", "forward_auth"}),
    (policies_have_callers, {"games", "callers", "forward_auth"}),
    (policies_take_what_there_is, {"sandbox", "passes.key", "itch.access_tokens", "forward_auth"}),
    (access_tokens_have_their_dialect, {"itch.access_tokens", "itch.dialect"}),
    (policies_name_no_player, {"games", "forward_auth"}),
    (relay_is_whole, {"relay.url", "relay.token"}),
    (hub_url_is_safe, {"relay.url"}),
    (relay_decides_nothing, {"relay.url"}),
    (hub_can_be_trusted, {"relay.ca_file"}),
    (issuers_differ, {"oidc"}),
    (mail_is_whole, {"mail.url", "mail.from", "sandbox"}),
    (mail_text_is_usable, {"mail.text_file"}),
)
"""Each check, and the settings without which it would find what is not there."""
