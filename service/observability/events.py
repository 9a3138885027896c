"""Changes of the gateway's state: each is one log line and one metric, never a flood."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from service.causes import Cause
from service.observability.labels import BugPlace, InvalidationKind, JoinScope
from service.observability.logs import Logging
from service.observability.metrics import Metrics
from service.verification.interfaces import Clock

CLUSTER_CLOCK_OFF: Final = timedelta(seconds=5)
STORE_CLOCK_OFF: Final = timedelta(seconds=60)
"""The offsets over which our clock is said to be wrong; of the store we know whole seconds, and answers take time."""

_MOST_NAMED: Final = 20
"""Games, callers or mistakes that one line names."""


class _Hints(Struct, frozen=True):
    """The advice in lines about what answers, be it the store or a hub."""

    credential: str
    in_the_way: str


_HINTS: Final = _Hints(
    credential="itch.io refuses the seller's API key; replace it, then run doctor",
    in_the_way="this is no fault of itch.io",
)
_HINTS_OF_RELAY: Final = _Hints(
    credential="the hub does not know the token in relay.token; replace it, then run doctor",
    in_the_way="this is no fault of the hub",
)


class _Component:
    """A component that the gateway can lose, and the cause for which it has; `known` is whether it was asked yet."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.known = False
        self.cause: Cause | None = None
        self._told: set[Cause] = set()

    def becomes(self, cause: Cause | None) -> bool:
        """Take note of the cause, None where the component works; return whether that is worth a line.

        Each cause is worth one until the component works again: causes may change to and fro.
        """
        before, known = self.cause, self.known
        self.cause, self.known = cause, True
        if cause is None:
            self._told.clear()
            return before is not None or not known
        is_news = cause not in self._told
        self._told.add(cause)
        return is_news


class Events:
    """Receives every request and every failure; reports only changes.

    `source_asked_at` is when it became known last whether the store answers; None while it was not asked. To a `relay`
    its hub is the store, and the relay's token at the hub the seller's key.
    """

    def __init__(self, *, metrics: Metrics, log: Logging, clock: Clock, relay: bool = False) -> None:
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self.source_asked_at: datetime | None = None
        self._hints = _HINTS_OF_RELAY if relay else _HINTS
        names = ("hub" if relay else "source", "credential", "redis")
        self._source, self._credential, self._redis = (_Component(name) for name in names)
        self._in_the_way = False
        self._cluster_clock_off = False
        self._store_clock_off = False
        self._differing: tuple[str, ...] | None = None
        self._canaries: dict[tuple[str, str], bool | None] = {}

    @property
    def source_state(self) -> str:
        """Whether the store answers: `ok`, `unavailable`, or `unknown` while it was not asked."""
        return _word(self._source, "unavailable")

    @property
    def credential_state(self) -> str:
        """Whether the store accepts our key: `ok`, `refused`, or `unknown` while it has not said."""
        return _word(self._credential, "refused")

    @property
    def redis_state(self) -> str:
        """Whether Redis answers: `ok`, `unavailable`, or `unknown` while it was not asked."""
        return _word(self._redis, "unavailable")

    @property
    def secrets_state(self) -> str:
        """Whether all replicas use the same secrets: `ok`, `differ`, or `unknown` while they were not compared."""
        if self._differing is None:
            return "unknown"
        return "differ" if self._differing else "ok"

    @property
    def causes(self) -> dict[str, Cause]:
        """The causes by the name of the component, of those components alone that do not work."""
        components = (self._source, self._credential, self._redis)
        return {component.name: component.cause for component in components if component.cause is not None}

    def requested(self, endpoint: str, result: str, seconds: float) -> None:
        """One request to the store ended."""
        self._metrics.source_request(endpoint, result, seconds=seconds)

    def reachable(self, cause: Cause | None) -> None:
        """The store answered, or gave no usable answer for that cause."""
        self._in_the_way = False
        self.source_asked_at = self._clock.now()
        first = not self._source.known
        if not self._becomes(self._source, cause):
            return
        if cause is not None:
            self._log.logger.warning("source_lost", why=cause, hint="proven owners keep playing, nobody new is granted")
        elif not first:
            self._log.logger.info("source_found")

    def in_the_way(self, why: str) -> None:
        """The gateway's own trouble kept it from asking the store; said once until a request gets through."""
        if not self._in_the_way:
            self._log.logger.error("source_not_asked", why=why, hint=self._hints.in_the_way)
        self._in_the_way = True

    def credential(self, cause: Cause | None) -> None:
        """The store accepted the seller's key, or refused it for that cause."""
        if not self._becomes(self._credential, cause):
            return
        self._metrics.source_credential(ok=cause is None)
        if cause is None:
            self._log.logger.info("credential_accepted")
        else:
            self._log.logger.error("credential_refused", why=cause, hint=self._hints.credential)

    def paused(self, pause: timedelta) -> None:
        """The store is throttling us."""
        self._log.logger.warning("source_paused", seconds=round(pause.total_seconds(), 3))

    def resumed(self) -> None:
        """The store answers again after throttling us."""
        self._log.logger.info("source_resumed")

    def key_reloaded(self, setting: str) -> None:
        """A seller's key, or another secret, was read anew from its file."""
        self._log.logger.info("credential_reloaded", setting=setting)

    def key_unreadable(self, setting: str, why: str) -> None:
        """The file of such a secret changed and could not be read; the one read before stays in use."""
        self._log.logger.error("credential_unreadable", setting=setting, why=why, hint="what was read before stays")

    def key_switched(self, setting: str) -> None:
        """The store refuses the key that was in use, and accepts the other, which is in use from now on."""
        self._log.logger.warning("credential_switched", setting=setting, hint="itch.io refuses the other key")

    def redis(self, cause: Cause | None) -> None:
        """Redis was found, or lost for that cause."""
        if not self._becomes(self._redis, cause):
            return
        self._metrics.redis(up=cause is None)
        if cause is None:
            self._log.logger.info("redis_found")
        else:
            self._log.logger.warning("redis_lost", why=cause, hint="answers stay right, and cost more store budget")

    def tls_file_unusable(self, why: str) -> None:
        """A file for TLS to Redis is missing, or does not hold what it should."""
        hint = "open connections stay, and no other can be made until the file can be used"
        self._log.logger.error("tls_file_unusable", why=why, hint=hint)

    def _becomes(self, component: _Component, cause: Cause | None) -> bool:
        """Take note of the cause, None where the component works; return whether that is worth a line."""
        if cause is not component.cause:
            self._metrics.trouble(component.name, before=component.cause, now=cause)
        return component.becomes(cause)

    def cluster_clock(self, offset: timedelta) -> None:
        """Redis has said the time: so far its clock is ahead of ours."""
        self._metrics.cluster_clock(offset.total_seconds())
        off = abs(offset) > CLUSTER_CLOCK_OFF
        if off is self._cluster_clock_off:
            return
        self._cluster_clock_off = off
        if off:
            self._log.logger.warning(
                "cluster_clock_differs",
                seconds=round(offset.total_seconds(), 3),
                hint="the clock of this machine or of Redis is wrong; answers are dated by that of Redis",
            )
        else:
            self._log.logger.info("cluster_clock_agrees")

    def store_clock(self, offset: timedelta) -> None:
        """The store has said the time: so far its clock is ahead of ours."""
        self._metrics.store_clock(offset.total_seconds())
        off = abs(offset) > STORE_CLOCK_OFF
        if off is self._store_clock_off:
            return
        self._store_clock_off = off
        if off:
            self._log.logger.warning(
                "source_clock_differs",
                seconds=round(offset.total_seconds()),
                hint="set the clock of this machine right; JWTs expire by it",
            )
        else:
            self._log.logger.info("source_clock_agrees")

    def invalidations_overflowed(self, kind: InvalidationKind, game: str) -> None:
        """A game had too many invalidations of a kind, and much of what is known about it is asked again."""
        self._metrics.invalidations_overflowed(kind)
        self._log.logger.error(
            "invalidations_overflowed", kind=kind, game=game, hint="this game is asked about again; others lose nothing"
        )

    def revocations(self, game: str, *, held: bool, by_operator: bool, until: datetime) -> None:
        """Noes about proven owners of a game are held back from now on, or an operator believes them."""
        by = "operator" if by_operator else "guard"
        if held:
            hint = "itch.io says no to too many owners: look there, then tell the gateway whether to believe it"
            self._log.logger.error("revocations_held", game=game, by=by, until=until, hint=hint)
        else:
            self._log.logger.warning("revocations_believed", game=game, by=by, until=until)

    def secrets(self, differing: Iterable[str]) -> None:
        """The secrets of the replicas were compared; another replica has other ones for these settings."""
        before, self._differing = self._differing, tuple(sorted(differing))
        self._metrics.secrets(differ=bool(self._differing))
        if self._differing and self._differing != before:
            hint = "give all replicas at one Redis the same; until then each asks itch.io at its own part of the rate"
            self._log.logger.error("secrets_differ", settings=self._differing, hint=hint)
        elif before and not self._differing:
            self._log.logger.info("secrets_agree")

    def configuration_reloaded(self, changed: Sequence[str], needs_restart: Sequence[str]) -> None:
        """The configuration file was read again, and holds from now on."""
        self._metrics.configuration(ok=True)
        self._log.logger.info(
            "configuration_reloaded", changed=_first_of(changed), needs_restart=_first_of(needs_restart)
        )

    def configuration_refused(self, mistakes: Sequence[str]) -> None:
        """The configuration file was read again, and has these mistakes in it: all stays as it was."""
        self._metrics.configuration(ok=False)
        hint = "everything stays as it is, but a restart would fail, or do without what the file lacks: mend the file"
        self._log.logger.error("configuration_refused", mistakes=_first_of(mistakes), hint=hint)

    def reload_crashed(self, error: BaseException) -> None:
        """A bug of ours has ended the reading of the configuration file: all stays as it was."""
        self._metrics.configuration(ok=False)
        self.crashed(error, where="reload")

    def no_configuration_to_reload(self) -> None:
        """A signal asked for the file to be read again, and there is none."""
        hint = "it was started without a configuration file, or with one that can be read only once"
        self._log.logger.warning("configuration_not_read", hint=hint)

    def pass_keys_reloaded(self, kids: Sequence[str]) -> None:
        """Other keys for passes were read from their file; the first signs."""
        self._metrics.pass_keys(ok=True)
        self._log.logger.info("pass_keys_reloaded", kids=list(kids))

    def pass_keys_unreadable(self, why: str) -> None:
        """The file of the keys for passes changed and cannot be used; those read before stay in use."""
        self._metrics.pass_keys(ok=False)
        hint = "the keys read before stay; a restart would fail: mend the file"
        self._log.logger.error("pass_keys_unreadable", why=why, hint=hint)

    def canary(self, game: str, expect: str, *, ok: bool, checked_at: datetime) -> None:
        """The store has answered about a canary, as expected or not."""
        self._metrics.canary(game, expect, ok=ok, checked_at=checked_at)
        before = self._canaries.get((game, expect))
        self._canaries[game, expect] = ok
        if not ok and before is not False:
            hint = "look the account up on itch.io: if nothing has changed there, itch.io gives wrong answers"
            self._log.logger.error("canary_failed", game=game, expect=expect, hint=hint)
        elif ok and before is False:
            self._log.logger.info("canary_recovered", game=game, expect=expect)

    def canary_not_asked(self, game: str, expect: str, why: str) -> None:
        """The answer about a canary would say nothing; said once until it is asked again."""
        self._metrics.forget_canary(game, expect)
        if self._canaries.get((game, expect), True) is not None:
            hint = "name another account, which itch.io alone decides about"
            self._log.logger.warning("canary_not_asked", game=game, expect=expect, why=why, hint=hint)
        self._canaries[game, expect] = None

    def canary_gone(self, game: str, expect: str) -> None:
        """The canary is configured no more."""
        self._metrics.forget_canary(game, expect)
        self._canaries.pop((game, expect), None)

    def joined(self) -> None:
        """A question found the look-up it needed under way."""
        self._metrics.singleflight_joined(JoinScope.PROCESS)

    def joined_replica(self) -> None:
        """Another replica's look-up answered a question of ours."""
        self._metrics.singleflight_joined(JoinScope.CLUSTER)

    def crashed(self, error: BaseException, *, where: str = "look-up") -> None:
        """A look-up, or other background work, ended in a bug of ours."""
        self._metrics.bug(BugPlace.BACKGROUND)
        self._log.logger.error("bug", where=where, exc_info=error)

    def stalled(self, seconds: float) -> None:
        """The event loop was held up, and every caller with it."""
        self._log.logger.warning("event_loop_stalled", seconds=round(seconds, 3))


def _word(component: _Component, lost: str) -> str:
    if component.cause is not None:
        return lost
    return "ok" if component.known else "unknown"


def _first_of(names: Sequence[str]) -> list[str]:
    """Return names as a line can show them."""
    return [*names[:_MOST_NAMED], *([f"and {len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else [])]
