"""Contradictions between settings that exist once. Each check yields a line for each it finds."""

from collections.abc import Iterator

from service.settings.addresses import base_url_fault, host_of, is_loopback
from service.settings.model import DEFAULT_BASE_URLS, Dialect, Settings
from service.settings.names import Names

_HOSTS_OF = {
    Dialect.CURRENT: frozenset({"api.itch.io"}),
    Dialect.SERVER_SIDE: frozenset({"itch.io", "www.itch.io"}),
}


_REAL_STORE = (
    "itch.api_key",
    "itch.api_key_file",
    "itch.next_api_key",
    "itch.next_api_key_file",
    "itch.base_url",
)


def nobody_may_ask_from_afar(settings: Settings, names: Names) -> Iterator[str]:
    """Without callers everybody who reaches the gateway may ask, so nobody else may reach it."""
    if settings.callers or settings.unix_socket is not None or is_loopback(settings.host):
        return
    yield (
        f"{names.of('host')} is {settings.host!r}, but there are no [[callers]]: without callers the gateway"
        " listens only on loopback (127.0.0.1, ::1, localhost) or a Unix socket"
    )


def there_is_a_source(settings: Settings, names: Names) -> Iterator[str]:
    """Something has to answer."""
    if settings.sandbox or names.given("itch.api_key", "itch.api_key_file"):
        return
    yield (
        f"{names.of('itch.api_key')} is not set: give the seller's itch.io API key there or in a file named by"
        f" {names.of('itch.api_key_file')}, or try the gateway with {names.of('sandbox')}=true"
    )


def sandbox_stands_alone(settings: Settings, names: Names) -> Iterator[str]:
    """A sandbox beside a real key would grant everything to everybody who has read the sandbox's README."""
    if not settings.sandbox:
        return
    for name in names.given(*_REAL_STORE):
        yield f"{names.of('sandbox')} and {name} are both set: the sandbox never stands in for a real store, keep one"


def base_url_is_safe(settings: Settings, names: Names) -> Iterator[str]:
    """The seller's key goes to that address."""
    url = settings.itch.base_url
    if url is None:
        return
    fault = base_url_fault(url, settings.itch.api_key, settings.itch.next_api_key)
    if fault is not None:
        yield f"{names.of('itch.base_url')} cannot be used: {fault}"
        return
    for dialect, hosts in _HOSTS_OF.items():
        if host_of(url) in hosts and dialect is not settings.itch.dialect:
            yield (
                f"{names.of('itch.base_url')} belongs to the dialect {dialect.value}, but"
                f" {names.of('itch.dialect')} is {settings.itch.dialect.value}, which is spoken at"
                f" {DEFAULT_BASE_URLS[settings.itch.dialect]}"
            )


def redis_is_sealed(settings: Settings, names: Names) -> Iterator[str]:
    """A secret made anew by each process could not be shared, and Redis is for sharing."""
    if settings.redis.url is not None and settings.secret is None:
        yield (
            f"{names.of('secret')} is not set, but {names.of('redis.url')} is: what is kept in Redis must be sealed"
            " with a secret of at least 32 characters, the same on all replicas"
        )


def secrets_differ(settings: Settings, names: Names) -> Iterator[str]:
    """Whoever learns the one must not have the other."""
    secret = settings.secret
    for name, key in (("itch.api_key", settings.itch.api_key), ("itch.next_api_key", settings.itch.next_api_key)):
        if key is not None and secret is not None and key.reveal() == secret.reveal():
            yield f"{names.of('secret')} is the same as {names.of(name)}: make a secret of its own"


def operations_have_a_place(settings: Settings, names: Names) -> Iterator[str]:
    """A listener of its own needs a port of its own."""
    host, port = settings.operations.host, settings.operations.port
    if port is None:
        if host is not None:
            yield f"{names.of('operations.host')} is set without {names.of('operations.port')}: set both or neither"
        return
    taken = settings.unix_socket is None and port == settings.port and port != 0
    if taken and (host is None or host == settings.host):
        yield (
            f"{names.of('operations.port')} is {port}, which {names.of('port')} is too: leave it out to serve both from"
            " one listener"
        )
