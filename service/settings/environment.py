"""Settings from environment variables."""

import re
from collections.abc import Mapping
from typing import Final

from service.settings.mistakes import Mistakes, did_you_mean, unknown
from service.settings.model import SINGLE
from service.settings.values import Given

PREFIX: Final = "OWNERSHIP_GATEWAY_"

CONFIG: Final = f"{PREFIX}CONFIG"
"""The variable that names the TOML file."""


def variable(key: str) -> str:
    """Return the environment variable that sets a dotted key."""
    return PREFIX + key.replace(".", "__").upper()


_KEYS: Final = {variable(key): key for key in SINGLE}

_ONLY_IN_TOML: Final = {"GAMES": "[games.<slug>]", "CALLERS": "[[callers]]"}


def read_environment(environ: Mapping[str, str], mistakes: Mistakes) -> dict[str, Given]:
    """Return what the variables with our prefix set. An empty variable sets nothing, as Compose and Helm expect."""
    given: dict[str, Given] = {}
    for name, text in sorted(environ.items()):
        if not name.upper().startswith(PREFIX) or name == CONFIG or _is_service_link(name, environ):
            continue
        if name not in _KEYS:
            mistakes.add(_unknown(name))
        elif text:
            given[_KEYS[name]] = Given(text, written=name, textual=True)
    return given


def _unknown(name: str) -> str:
    first = name.upper().removeprefix(PREFIX).split("__")[0]
    if first in _ONLY_IN_TOML:
        return (
            f"{_printable(name)} cannot be set: {first.lower()} stand in the TOML file only, as {_ONLY_IN_TOML[first]}"
        )
    # Without the prefix: it is so long that every name would resemble every other.
    known = [known.removeprefix(PREFIX) for known in [*_KEYS, CONFIG]]
    meant = did_you_mean(name.upper().removeprefix(PREFIX), known)
    return unknown(_printable(name), PREFIX + meant if meant else None)


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)


_HOST_OF_SERVICE: Final = "_SERVICE_HOST"

_REST_OF_LINK: Final = re.compile(
    r"_SERVICE_HOST|_SERVICE_PORT(_[A-Z0-9_]+)?|_PORT|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
)

_TARGET_OF_LINK: Final = re.compile("(tcp|udp|sctp)://")


def _is_service_link(name: str, environ: Mapping[str, str]) -> bool:
    """Whether Kubernetes made the variable, because a Service of the namespace has a name like ours.

    For a Service `ownership-gateway` every pod gets `OWNERSHIP_GATEWAY_PORT=tcp://10.0.0.7:8080` and more, unless its
    spec says `enableServiceLinks: false`.
    https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
    """
    services = [one.removesuffix(_HOST_OF_SERVICE) for one in environ if one.endswith(_HOST_OF_SERVICE)]
    if not any(name.startswith(one) and _REST_OF_LINK.fullmatch(name, len(one)) for one in services):
        return False
    return name not in _KEYS or _TARGET_OF_LINK.match(environ[name]) is not None
