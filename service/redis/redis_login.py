"""User and password for connections to Redis, read again when the file with its URL has changed.

A rotated password, or a token that ends after a quarter of an hour, is used by the next connection. Those that are open
stay: Redis asks each only once.
"""

from collections.abc import Callable

from msgspec.structs import replace
from redis.credentials import CredentialProvider

from service.errors import SettingsError
from service.redis.url import RedisAddress, RedisPassword, parse_redis_url
from service.secret import RedisUrl
from service.secret_text import UnusableText

_NO_LOGIN = {"username": None, "password": None, "sentinel_username": None, "sentinel_password": None}


class RedisUrlFile:
    """The file with the URL of Redis. `reread` returns its text when it has changed, and raises `UnusableText`.

    `reloaded` is called when another user or password was read, `unreadable` with the reason when the file holds none
    that can be used; what was read before stays then. A file that the URL names may come later than the URL: one that
    cannot be used is tried again by the next connections, until it can or another comes.
    """

    def __init__(
        self,
        url: RedisUrl,
        *,
        reread: Callable[[], str | None],
        reloaded: Callable[[], None],
        unreadable: Callable[[str], None],
    ) -> None:
        self._address = parse_redis_url(url)
        self._untaken: RedisUrl | None = None
        self._said = ""
        self._reread = reread
        self._reloaded = reloaded
        self._unreadable = unreadable

    def current(self) -> RedisAddress:
        """Return the address with the user and password to connect with now."""
        try:
            if (text := self._reread()) is not None:
                self._untaken, self._said = RedisUrl(text), ""
            address = self._address if self._untaken is None else parse_redis_url(self._untaken)
        except UnusableText as unusable:
            self._unreadable(str(unusable))
        except SettingsError as error:
            said, self._said = self._said, "; ".join(error.mistakes)
            if said != self._said:
                self._unreadable(self._said)
        else:
            self._untaken = None
            if replace(address, **_NO_LOGIN) != replace(self._address, **_NO_LOGIN):
                self._unreadable(
                    "only user and password can change while the gateway runs; for another Redis, restart it"
                )
            elif address != self._address:
                self._address = address
                self._reloaded()
        return self._address


class RedisLogin(CredentialProvider):
    """Gives redis-py the user and password for each new connection, to Redis itself or to its Sentinels."""

    def __init__(self, file: RedisUrlFile, *, for_sentinels: bool = False) -> None:
        self._file = file
        self._for_sentinels = for_sentinels

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return a password, or a user and a password; nothing where none is needed."""
        username, password = login_of(self._file.current(), for_sentinels=self._for_sentinels)
        if password is None:
            return ()  # type: ignore[return-value]  # redis-py then does not log in, which its types do not say
        return (password.reveal(),) if username is None else (username, password.reveal())

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """Return the same."""
        return self.get_credentials()


def login_of(address: RedisAddress, *, for_sentinels: bool) -> tuple[str | None, RedisPassword | None]:
    """Return the user and password for Redis itself, or for its Sentinels."""
    if for_sentinels:
        return address.sentinel_username, address.sentinel_password
    return address.username, address.password
