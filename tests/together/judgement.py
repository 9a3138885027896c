"""The answers that may be given in company, and those that are wrong. Time is that of this process, in seconds.

It knows what was bought and refunded when, who was invalidated when, and when what was in trouble; of caches, look-ups
and leases it knows nothing.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from msgspec import Struct

from tests.together.company import FRESH_SECONDS, Member

RECOVERED: Final = 6.0
"""Seconds after the end of a trouble: docs/reliability.md promises five."""

NO_LASTS: Final = 60.0
"""Longer than a no is remembered, which is 45 seconds and a bit."""

DEADLINE_SECONDS: Final = 8.0
"""Long enough for a process that gets a part of one busy core."""

ANSWER_SECONDS: Final = DEADLINE_SECONDS + 3.0
"""The longest that a question may wait for its answer."""

SPREAD: Final = 2.0 + 1.0
"""Seconds within which all replicas have heard of an invalidation, and one for a busy machine."""


class Given(Struct, frozen=True):
    """An answer of a member about a player, and when it was asked for and came; `status` is 0 where none came."""

    member: Member
    player: int
    status: int
    body: dict[str, Any]
    asked_at: float
    came_at: float
    starts: int
    """How often the member had been started when it was asked."""


class Judge:
    """Collects what is wrong in `wrong`; raises nothing, so that one run tells all."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.judged: Counter[str] = Counter()
        self.troubles: Counter[str] = Counter()
        self._names: list[tuple[float, float, str]] = []
        self._owns: dict[int, list[tuple[float, bool]]] = {}
        self._invalidated: dict[int, tuple[float, str, int]] = {}
        self._proven: dict[tuple[str, int, int], float] = {}
        self._trouble: dict[str, list[tuple[float, float]]] = {}

    def owns(self, player: int, at: float, *, owns: bool) -> None:
        """Note that a player owns the game from now on, or does not."""
        self._owns.setdefault(player, []).append((at, owns))

    def invalidated(self, player: int, at: float, member: Member) -> None:
        """Note that a member has answered that what was known of a player is forgotten."""
        self._invalidated[player] = (at, member.name, member.starts)
        self._proven = {key: proven for key, proven in self._proven.items() if key[1] != player}

    @contextmanager
    def trouble(self, name: str, now: Any, *places: str) -> Iterator[None]:
        """Note for as long as the block lasts that these are in trouble: members, `store` or `redis`."""
        self.troubles[name] += 1
        began = now()
        self._names.append((began, float("inf"), name))
        place_of_name = len(self._names) - 1
        spans = [self._trouble.setdefault(place, []) for place in places]
        for span in spans:
            span.append((began, float("inf")))
        try:
            yield
        finally:
            self._names[place_of_name] = (began, now(), name)
            for span in spans:
                span.remove((began, float("inf")))
                span.append((began, now()))

    def judge(self, given: Given) -> None:
        """Judge an answer, and note what it proves."""
        outcome = str(given.body.get("outcome")) if given.status in (200, 503) else f"status {given.status}"
        self.judged[outcome] += 1
        mistake = self._mistake(given, outcome)
        if mistake is not None:
            reason = given.body.get("reason", given.body.get("code"))
            during = ", ".join(self._during(given)) or "no trouble"
            waited = given.came_at - given.asked_at
            told = f"{outcome} ({reason}) after {waited:.2f} s"
            self.wrong.append(f"{given.member.name}, player {given.player}: {told}: {mistake}; {during}")
        if outcome == "owned":
            self._proven.setdefault((given.member.name, given.player, given.starts), given.came_at)

    def _mistake(self, given: Given, outcome: str) -> str | None:
        match outcome:
            case "owned":
                return self._mistake_in_yes(given)
            case "not_owned":
                began = given.asked_at - NO_LASTS
                return None if False in self._states(given.player, began, given.came_at) else "owned all the time"
            case "unknown":
                return self._mistake_in_unknown(given)
            case "status 0":
                return (
                    None if self._was_in_trouble(given, given.member.name) else "no answer from a process that is well"
                )
        return "an answer that must not be"

    def _mistake_in_yes(self, given: Given) -> str | None:
        if True not in self._states(given.player, 0.0, given.came_at):
            return "never owned"
        at, where, starts = self._invalidated.get(given.player, (float("inf"), "", 0))
        if True in self._states(given.player, at, given.came_at) or given.asked_at < at:
            return None
        if (where, starts) == (given.member.name, given.starts):
            return "a yes from before the invalidation, where it was"
        heard, places = SPREAD, [given.member.name, "redis"]
        if given.member.is_relay:
            heard += FRESH_SECONDS
            places.append(given.member.name.replace("relay", "replica"))
        if given.asked_at < at + heard or any(self._in_trouble(place, at, given.came_at) for place in (*places, where)):
            return None
        return f"a yes from before the invalidation, {given.asked_at - at:.1f} s after it"

    def _mistake_in_unknown(self, given: Given) -> str | None:
        proven = self._proven.get((given.member.name, given.player, given.starts), float("inf"))
        if proven < given.asked_at and False not in self._states(given.player, proven, given.came_at):
            return "an owner is left standing"
        places = ["store", given.member.name]
        if given.member.is_relay:
            places.append(given.member.name.replace("relay", "replica"))
        return None if self._was_in_trouble(given, *places) else "nothing was wrong"

    def _during(self, given: Given) -> list[str]:
        """Return the troubles of that time, with the seconds for which they are over."""
        began, ended = given.asked_at - RECOVERED, given.came_at
        return [
            f"{name} ({max(0.0, given.asked_at - over):.1f})"
            for start, over, name in self._names
            if start <= ended and began <= over
        ]

    def _was_in_trouble(self, given: Given, *places: str) -> bool:
        return any(self._in_trouble(place, given.asked_at, given.came_at) for place in places)

    def _in_trouble(self, place: str, began: float, ended: float) -> bool:
        return any(start <= ended and began <= end + RECOVERED for start, end in self._trouble.get(place, ()))

    def _states(self, player: int, began: float, ended: float) -> set[bool]:
        """Return whether the player owned the game, and whether not, at some time between these."""
        found = {False} if not self._owns.get(player) or self._owns[player][0][0] > began else set[bool]()
        states = self._owns.get(player, [])
        for number, (at, owns) in enumerate(states):
            until = states[number + 1][0] if number + 1 < len(states) else float("inf")
            if at <= ended and until >= began:
                found.add(owns)
        return found
