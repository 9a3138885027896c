"""The configuration that questions are answered by, as one value that is replaced whole."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct, field

from service.api.callers import Caller, CallerDirectory
from service.api.game_directory import GameDirectory
from service.ownership import Method

if TYPE_CHECKING:  # off until configured: not even imported
    from service.api.policies import Policy

Head: TypeAlias = tuple[Method, bytes | None, bytes | None, bytes | None]
"""The method, `Authorization`, `Content-Type` and `Content-Encoding`: all that the first checks look at."""


class Configuration(Struct, frozen=True):
    """The games, callers and policies of one version of the file; policies by their names in the paths of requests.

    `known_heads` are the callers of requests seen under it.
    """

    games: GameDirectory
    callers: CallerDirectory
    policies: "Mapping[bytes, Policy]" = field(default_factory=dict)
    known_heads: dict[Head, Caller] = field(default_factory=dict)


class CurrentConfiguration:
    """The configuration of this moment.

    A request takes it once, when it begins, and keeps it to its end: so it is answered by the old one or by the new
    one, and never by parts of both.
    """

    __slots__ = ("configuration",)

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
