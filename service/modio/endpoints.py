"""The endpoints of mod.io that are asked, and the hosts that they are on."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final

from service.products import MOST_PRODUCTS, ModioGame, Product


class ModioEndpoint(StrEnum):
    """The endpoints, by their names in the metrics."""

    ME = "me"
    """Whose a token is."""
    PURCHASED = "purchased"
    """The mods that the owner of a token has bought."""
    PING = "ping"
    """Whether mod.io answers this address, which needs no credential."""


class ModioEnvironment(StrEnum):
    """The two worlds of mod.io; accounts, games and tokens of the one mean nothing in the other."""

    LIVE = "live"
    TEST = "test"


PATHS: Final[Mapping[ModioEndpoint, str]] = {
    ModioEndpoint.ME: "/me",
    ModioEndpoint.PURCHASED: "/me/purchased",
    ModioEndpoint.PING: "/ping",
}
_HOSTS: Final = {
    ModioEnvironment.LIVE: "https://g-{game}.modapi.io/v1",
    ModioEnvironment.TEST: "https://g-{game}.test.mod.io/v1",
}


def base_url(environment: ModioEnvironment, game: ModioGame, *, instead: str | None = None) -> str:
    """Return the address of a game's API. Only a number gets into it; `instead` replaces the host that mod.io names."""
    return (instead or _HOSTS[environment]).rstrip("/").replace("{game}", str(int(game)))


def parameters_of(products: Collection[Product]) -> Mapping[str, str]:
    """Return the query for the purchases among these products.

    It names no game: with one, mod.io leaves out what is not for the platform of a header that is not sent.
    """
    return {"id-in": ",".join(str(int(product)) for product in products), "_limit": str(MOST_PRODUCTS)}
