"""The story of one question at a relay, which has no store: its hub decides.

1. A credential that is no good by its very shape is rejected without asking.
2. A decision that was heard lately is passed on; from four fifths of that time on it is asked for anew meanwhile.
3. The hub is asked, once for all who want to know the same.
4. While it says nothing usable, older proof and the operator's word may do: see `ToldDecision`. An old no never does.

"The hub said nothing" is `unknown`, which is never a no.
"""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from msgspec import Struct

from service.errors import (
    DeadlineExceeded,
    HubSilent,
    NoAnswer,
    NotCached,
    NotEnabled,
    Overloaded,
    QuestionRefused,
    TooManyQuestions,
)
from service.ownership import CacheTier, Caveat, Fingerprint, Malformed, Reason
from service.verification import policy
from service.verification.interfaces import Clock, Tries
from service.verification.negative_cache import NegativeCache
from service.verification.question import Question, Verdict
from service.verification.singleflight import SingleFlight
from service.verification.told import Hub, Inquiry, InquiryNames, ToldDecision, ToldMemory, Unread, deadline_of_hub

_MOST_REFRESHES: Final = 64
"""Decisions that are asked for anew at once without a caller who waits."""

_RETRY_SOON: Final = timedelta(seconds=1)
_PROMISES_NOTHING: Final = datetime.min.replace(tzinfo=UTC)


class _TurnedAway(NoAnswer):
    """The caller who began it is at fault; another one who joined it may not be."""

    reason = Overloaded.reason

    def __init__(self, why: QuestionRefused) -> None:
        super().__init__()
        self.why = why


class _Limits(Struct, frozen=True):
    """The bounds of a question: no evidence from before `oldest`, no waiting past `give_up_at` (monotonic)."""

    oldest: datetime | None
    give_up_at: float


class Inquiries:
    """Answers questions by what the hub decides. Implements `Verifier`."""

    def __init__(
        self,
        *,
        hub: Hub,
        memory: ToldMemory,
        names: InquiryNames,
        flights: SingleFlight[ToldDecision],
        clock: Clock,
        fresh_for: timedelta,
    ) -> None:
        self._hub = hub
        self._memory = memory
        self._names = names
        self._flights = flights
        self._clock = clock
        self._fresh_for = fresh_for
        self._failed = NegativeCache(clock=clock)
        self._silent = False
        self._refreshing = 0
        self._sandbox = False

    def is_sandbox(self) -> bool:
        """Whether the hub's last decision came from a sandbox."""
        return self._sandbox

    async def verify(self, question: Question) -> Verdict:
        """Return the verdict on a question; raises nothing for anything that the hub or the player does.

        Raises `TooManyQuestions` if the hub would have to be asked and the caller has spent its tries. The coroutine
        needs no task until it first waits, and does not wait for what memory holds.
        """
        rules, credential = question.rules, question.credential
        if isinstance(credential, Malformed):
            return self._without_answer(question, credential.reason)
        others = ("" if question.player_ref is None else f"={question.player_ref}",)
        name = self._names.of_inquiry(rules.game_id, credential, others)
        inquiry = Inquiry(name, rules.game_id, credential, question.player_ref)
        oldest = None if question.max_age is None else (question.asked_at or self._clock.now()) - question.max_age
        limits = _Limits(oldest, self._clock.monotonic() + question.deadline.total_seconds())
        known = self._memory.get(name)
        if (verdict := self._use(inquiry, question, limits, known)) is not None:
            return verdict
        # A coroutine that was run by hand so far has become a task when this returns: time-outs need one.
        await asyncio.sleep(0)
        return await self._ask_or_use(inquiry, question, limits)

    async def hand_on(self, question: Question, shown: Unread) -> Verdict:
        """Return the hub's decision about what it alone can judge; it is not remembered.

        Raises `NotEnabled` if that is off at the hub.
        """
        await asyncio.sleep(0)  # as above
        inquiry = Inquiry(_NOT_REMEMBERED, question.rules.game_id, shown, question.player_ref)
        try:
            async with self._clock.timeout(question.deadline):
                told = await self._hub.ask(
                    inquiry,
                    max_age=question.max_age,
                    only_if_cached=question.only_if_cached,
                    deadline=deadline_of_hub(question.deadline),
                )
        except TimeoutError:
            return self._without_answer(question, DeadlineExceeded.reason, retry_after=_RETRY_SOON)
        except NoAnswer as no_answer:
            return self._without_answer(question, no_answer.reason, retry_after=no_answer.retry_after)
        return Verdict(told.decision(inquiry, stale=False), CacheTier.NONE)

    def forget_failures(self) -> None:
        """Let the hub be asked at once about what it gave no usable answer to."""
        self._failed.clear()
        self._silent = False

    async def close(self) -> None:
        """Give up what is being asked; callers who still wait are cancelled."""
        await self._flights.close()

    # --- steps 2 and 4: what is remembered ---

    def _use(self, inquiry: Inquiry, question: Question, limits: _Limits, known: ToldDecision | None) -> Verdict | None:
        """Return what the relay may say alone, if it knows anything; ask anew in the background when that is due."""
        now = self._clock.now()
        if known is None or not _recent(known, limits) or now >= known.served_until(self._fresh_for):
            return None
        refresh_from = known.refresh_from(self._fresh_for)
        if not question.only_if_cached and refresh_from is not None and now >= refresh_from:
            self._refresh(inquiry, question)
        return Verdict(known.decision(inquiry, stale=False), CacheTier.MEMORY)

    def _use_in_silence(self, inquiry: Inquiry, limits: _Limits) -> Verdict | None:
        """Return older proof, or the operator's word: the hub says nothing."""
        known = self._memory.peek(inquiry.name)
        if known is None or not _recent(known, limits) or self._clock.now() >= known.usable_while_silent():
            return None
        return Verdict(known.decision(inquiry, stale=True), CacheTier.MEMORY)

    # --- step 3 ---

    async def _ask_or_use(self, inquiry: Inquiry, question: Question, limits: _Limits) -> Verdict:
        if (verdict := self._use(inquiry, question, limits, self._memory.peek(inquiry.name))) is not None:
            return verdict  # it was heard meanwhile
        if self._silent and (verdict := self._use_in_silence(inquiry, limits)) is not None:
            # The hub said nothing a moment ago: who is proven need not wait until it does so again.
            self._refresh(inquiry, question)
            return verdict
        try:
            told = await self._ask(inquiry, question, limits)
        except NotCached as no_answer:
            return self._without_answer(question, no_answer.reason, retry_after=no_answer.retry_after)
        except NoAnswer as no_answer:
            verdict = self._use_in_silence(inquiry, limits)
            return verdict or self._without_answer(question, no_answer.reason, retry_after=no_answer.retry_after)
        return Verdict(told.decision(inquiry, stale=False), CacheTier.NONE)

    async def _ask(self, inquiry: Inquiry, question: Question, limits: _Limits) -> ToldDecision:
        """Return the hub's decision, asked for once for all callers.

        Raises `NoAnswer` if it has none, `TooManyQuestions` if it takes one of the caller's tries and all are spent.
        """
        name = _name_of_flight(inquiry, question)
        tries = self._tries(inquiry, question)
        if tries is not None and not self._flights.under_way(name, not_before=limits.oldest):
            tries.check()
        if (no_answer := self._failed.get(name)) is not None:
            raise no_answer
        mine = False

        def begin(left: timedelta) -> Coroutine[None, None, ToldDecision]:
            nonlocal mine
            mine = True
            return self._run(name, inquiry, question, left, tries)

        try:
            async with self._clock.timeout(timedelta(seconds=limits.give_up_at - self._clock.monotonic())):
                while True:
                    left = timedelta(seconds=limits.give_up_at - self._clock.monotonic())
                    try:
                        return await self._flights.fly(
                            name, partial(begin, left), now=self._promised(question), not_before=limits.oldest
                        )
                    except _TurnedAway as turned_away:
                        if mine:
                            raise turned_away.why from None
                    except DeadlineExceeded:
                        if mine:
                            raise
                    # Another caller had no try left, or less time than this one: ask again, now for this one.
        except TimeoutError:
            raise DeadlineExceeded(retry_after=_RETRY_SOON) from None

    async def _run(
        self, name: Fingerprint, inquiry: Inquiry, question: Question, left: timedelta, tries: Tries | None
    ) -> ToldDecision:
        """Ask the hub, remember its decision and return it. Raises `NoAnswer`, which is remembered for a moment."""
        held = None
        if tries is not None:
            with self._flights.queueing():
                try:
                    held = await tries.hold()
                except TooManyQuestions as why:
                    raise _TurnedAway(why) from None
        try:
            told = await self._hub.ask(
                inquiry,
                max_age=question.max_age,
                only_if_cached=question.only_if_cached,
                deadline=deadline_of_hub(left),
            )
            if held is not None and told.is_no_good(inquiry):
                held.spend()
        except NotEnabled as why:
            raise _TurnedAway(why) from None
        except (DeadlineExceeded, NotCached):
            self._silent = False
            raise  # that is about what this caller allowed, and says nothing to others
        except NoAnswer as no_answer:
            self._silent = isinstance(no_answer, HubSilent)
            self._failed.put(name, no_answer)
            raise
        finally:
            if held is not None:
                held.let_go()
        self._silent = False
        self._failed.remove(name)
        self._sandbox = Caveat.SANDBOX in told.caveats
        return self._memory.put(inquiry.name, told)

    def _refresh(self, inquiry: Inquiry, question: Question) -> None:
        name = inquiry.name
        busy = self._refreshing >= _MOST_REFRESHES
        if busy or self._flights.under_way(name) or self._failed.get(name) is not None:
            return
        self._refreshing += 1
        self._flights.start(name, partial(self._run_alone, inquiry, question), now=_PROMISES_NOTHING)

    async def _run_alone(self, inquiry: Inquiry, question: Question) -> ToldDecision:
        try:
            plain = Question(rules=question.rules, credential=question.credential, deadline=question.deadline)
            return await self._run(inquiry.name, inquiry, plain, question.deadline, None)
        finally:
            self._refreshing -= 1

    def _promised(self, question: Question) -> datetime:
        """Return the instant from before which no evidence comes of asking now: without a `max_age` none is promised.

        So a question with one never joins what was asked without it.
        """
        return _PROMISES_NOTHING if question.max_age is None else self._clock.now() - question.max_age

    def _tries(self, inquiry: Inquiry, question: Question) -> Tries | None:
        """Return the tries of the caller that it takes to ask, None if it takes none."""
        if question.tries is None or question.only_if_cached:
            return None
        known = self._memory.peek(inquiry.name)
        return question.tries if (known or _NOTHING_KNOWN).is_no_good(inquiry) else None

    def _without_answer(self, question: Question, reason: Reason, *, retry_after: timedelta | None = None) -> Verdict:
        decision = policy.decide_without_evidence(
            question.rules, question.credential.method, reason, sandbox=self._sandbox
        )
        return Verdict(decision, CacheTier.NONE, retry_after)


_NOT_REMEMBERED: Final = Fingerprint(b"")

_NOTHING_KNOWN: Final = ToldDecision(Reason.INVALID_DOWNLOAD_KEY, _PROMISES_NOTHING, _PROMISES_NOTHING)
"""A credential that was never seen counts as no good until it is."""


def _recent(known: ToldDecision, limits: _Limits) -> bool:
    return limits.oldest is None or known.seen_at >= limits.oldest


def _name_of_flight(inquiry: Inquiry, question: Question) -> Fingerprint:
    """Return the name under which callers share what is asked: a look into the hub's memory alone is another."""
    return Fingerprint(inquiry.name + b" cached") if question.only_if_cached else inquiry.name
