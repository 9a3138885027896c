"""The explanation of a decision, for the people who support players: what is known, how old it is, and why.

By e-mail no account is named, and none of its refusals is shown: the gateway is no oracle from an address to an
account. Nothing that a player presented is in an answer or in the log.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from service.api.answers import to_the_second
from service.api.explained import (
    ExplainedDecision,
    ExplainRequest,
    Explanation,
    OperatorSaid,
    RememberedAnswer,
    past_refusal,
    present_decision,
    remembered_answer,
    remembered_decision,
    requests_of,
)
from service.api.operations import Health
from service.api.questions import BodyReader
from service.api.verify_service import Asking
from service.cache.invalidations import SharedInvalidations
from service.cache.keys import KeyedFingerprints
from service.cache.override_notes import OverrideNotes
from service.cache.refusal_history import RefusalHistory
from service.cache.refusal_memory import RememberedRefusal
from service.cache.shared_overrides import SharedOverrides, StandingOverride
from service.cache.tiers import TieredCache
from service.causes import Cause
from service.credentials import read_download_key, read_email, read_jwt, read_user_id, unwrapped
from service.errors import BadQuestion, UnknownDecision
from service.explanation import Story, tell, tell_request, tell_states
from service.http.reply import Reply
from service.itch.request_trail import SentRequest, recorded_requests
from service.observability.logs import Logging
from service.ownership import (
    AppJwt,
    AssertedUser,
    Caveat,
    Credential,
    Decision,
    Evidence,
    Identity,
    Malformed,
    Method,
    Outcome,
    OverrideWord,
    PlayerId,
    Proof,
    Reason,
    Subject,
)
from service.rights import RIGHTS_FOR
from service.verification.interfaces import Clock
from service.verification.policy import GameRules, LookUp, operator_override
from service.verification.question import Question
from service.verification.revocations import HeldRevocations
from service.verification.verify import Verification

_READ: Final = BodyReader(ExplainRequest)
_BY_ACCOUNT: Final = (Method.JWT, Method.USER, Method.PASS)
"""The methods that ask about an account."""


class _Player(Struct, frozen=True):
    """All by which more is found about a player: names for the log, and what the store can be asked about."""

    method: Method
    subject: str | None
    account: str | None
    player_id: PlayerId | None
    credential: Credential | None = None


class _Known(Struct, frozen=True):
    """All that is known of a player now; `evidence` is the latest answer of the store about ownership."""

    now: datetime
    player: _Player
    answers: list[RememberedAnswer]
    evidence: Evidence | None
    operator: OperatorSaid | None
    refusals: list[RememberedRefusal]

    @property
    def proofs(self) -> Sequence[Proof]:
        """The proofs in that answer."""
        return () if self.evidence is None else self.evidence.proofs

    def latest_refusal(self) -> RememberedRefusal | None:
        """Return the latest refusal of what the player shows, unless the store has answered since."""
        for one in self.refusals:
            # By an id and by a JWT the question is the same; of a key, or a JWT that is no good, it is another.
            about_account = one.method in _BY_ACCOUNT and one.reason.outcome is not Outcome.REJECTED
            if one.subject == self.player.subject or about_account:
                is_latest = self.evidence is None or self.evidence.observed_at <= one.last_at
                return one if is_latest else None
        return None


class ExplainService:
    """Explains decisions, and leaves a line in the log about each.

    `history` is None where refusals are not remembered.
    """

    def __init__(
        self,
        *,
        verification: Verification,
        history: RefusalHistory | None,
        cache: TieredCache,
        invalidations: SharedInvalidations,
        overrides: SharedOverrides,
        notes: OverrideNotes,
        revocations: HeldRevocations,
        fingerprints: KeyedFingerprints,
        health: Callable[[], Health],
        log: Logging,
        clock: Clock,
        default_deadline: timedelta,
    ) -> None:
        self._verification = verification
        self._history = history
        self._cache = cache
        self._invalidations = invalidations
        self._overrides = overrides
        self._notes = notes
        self._revocations = revocations
        self._fingerprints = fingerprints
        self._health = health
        self._log = log
        self._clock = clock
        self._default_deadline = default_deadline

    async def explain(self, body: bytes, asking: Asking) -> Reply:
        """Explain a decision, or what is known of a player. Raises `QuestionRefused` when the caller is at fault."""
        wanted: ExplainRequest = _READ.read(body)
        if wanted.decision_id is not None:
            return await self._explain_decision(wanted, wanted.decision_id, asking)
        return await self._explain_player(wanted, asking)

    async def _explain_decision(self, wanted: ExplainRequest, decision_id: str, asking: Asking) -> Reply:
        if wanted.game is not None or wanted.ask or _given(wanted):
            raise BadQuestion("/decision_id", "too_many_subjects", "name a decision, or a game and one credential")
        text = unwrapped(decision_id).upper()
        refusal = None if self._history is None else await self._history.find(text)
        if refusal is None:
            raise UnknownDecision
        asking.caller.require_game(refusal.game_id)
        rules = asking.games.find(refusal.game_id)
        player = _Player(refusal.method, refusal.subject, refusal.account, refusal.player_id)
        decision = remembered_decision(refusal, text, rules)
        self._log_explained(asking, player, rules, decision, asked=False)
        known = await self._known(rules, player, self._clock.now())
        return self._reply(known, asking, decision, cause=refusal.cause)

    async def _explain_player(self, wanted: ExplainRequest, asking: Asking) -> Reply:
        credential = _credential(wanted)
        if wanted.game is None:
            raise BadQuestion("/game", "missing_field", "this field is required")
        rules, caller = asking.games.find(wanted.game), asking.caller
        caller.require_game(rules.game_id)
        if wanted.ask:
            caller.require(*RIGHTS_FOR[credential.method])
        question = Question(
            rules=rules,
            credential=credential,
            deadline=self._default_deadline,
            max_age=timedelta() if wanted.ask else None,
            only_if_cached=not wanted.ask,
            asked_at=asking.asked_at,
            caller=caller.name,
            tries=None if caller.limits is None else caller.limits.tries,
        )
        decision: ExplainedDecision | None = None
        try:
            with recorded_requests() as sent:
                verdict = await self._verification.verify(question)
            player = self._player(credential, await self._account_of(credential, verdict.decision))
            in_grace = Caveat.REVOCATIONS_HELD in verdict.decision.caveats
            known = await self._known(rules, player, self._clock.now(), in_grace=in_grace)
            present = decision = present_decision(
                verdict, rules, caller=caller.name, subject=player.subject, account=player.account, now=known.now
            )
        finally:  # also if the caller hangs up meanwhile: itch.io may have been asked already
            self._log_explained(asking, self._player(credential, None), rules, decision, asked=wanted.ask)
        if present.reason is Reason.NOT_CACHED and not wanted.ask and (refusal := known.latest_refusal()) is not None:
            past = remembered_decision(refusal, refusal.ids[-1], rules)
            return self._reply(known, asking, past, cause=refusal.cause, found_from=refusal.last_at)
        cause = (self._health().causes or {}).get("source")
        return self._reply(known, asking, present, cause=cause, sent=sent, asked=wanted.ask)

    def _log_explained(
        self, asking: Asking, player: _Player, rules: GameRules, decision: ExplainedDecision | None, *, asked: bool
    ) -> None:
        self._log.logger.info(
            "explained",
            caller=asking.caller.name,
            decision_id=None if decision is None else decision.decision_id,
            game=rules.label,
            method=player.method,
            reason=None if decision is None else decision.reason,
            subject=player.subject,
            asked=asked,
            request_id=asking.request_id,
        )

    def _player(self, credential: Credential | Malformed, player_id: PlayerId | None) -> _Player:
        account = None if player_id is None else self._fingerprints.of_account(player_id)
        if isinstance(credential, Malformed):
            return _Player(credential.method, None, account, player_id)
        subject = self._fingerprints.of_credential(credential)
        return _Player(credential.method, subject, account, player_id, credential)

    async def _account_of(self, credential: Credential | Malformed, decision: Decision) -> PlayerId | None:
        """Return the account that the credential is known to lead to; a decision without an answer names none."""
        if decision.player is not None:
            return decision.player.id
        if isinstance(credential, AssertedUser):
            return credential.player_id
        if isinstance(credential, AppJwt) and decision.outcome is Outcome.UNKNOWN:
            known = [one.observation for one in await self._cache.each(self._fingerprints.of_jwt(credential))]
            return next((one.player.id for one in known if isinstance(one, Identity)), None)
        return None

    def _reply(
        self,
        known: "_Known",
        asking: Asking,
        decision: ExplainedDecision,
        *,
        cause: Cause | None,
        sent: Sequence[SentRequest] = (),
        asked: bool = True,
        found_from: datetime | None = None,
    ) -> Reply:
        health = self._health()
        causes = health.causes or {}
        missing = [right for right in RIGHTS_FOR[decision.method] if right not in asking.caller.rights]
        told = tell(
            Story(
                reason=decision.reason,
                now=known.now,
                caveats=decision.caveats,
                observed_at=decision.observed_at,
                usable_until=decision.usable_until,
                stale=decision.stale,
                cause=cause,
                count=decision.count,
                operator=known.operator,
                is_past=decision.decision_id is not None,
                asked=asked,
                found_from=found_from,
                missing_rights=tuple(missing),
            )
        )
        requests = requests_of(sent, known.proofs, decision.method)
        tell_requests = [tell_request(one.endpoint, one.result, one.proofs) for one in requests]
        explanation = Explanation(
            verdict=told.verdict,
            let_in=told.let_in,
            why=told.why,
            details=[*told.details, *tell_requests],
            next_step=told.next_step,
            sentences=[*told.sentences, *tell_requests, *tell_states(health.components, causes).values()],
            missing_rights=missing,
            decision=decision,
            remembered=known.answers,
            operator=known.operator,
            requests=requests,
            refusals=[past_refusal(one) for one in known.refusals],
            components=dict(health.components),
            causes=dict(causes),
        )
        return Reply(200, msgspec.json.encode(explanation))

    async def _known(self, rules: GameRules, player: _Player, now: datetime, *, in_grace: bool = False) -> "_Known":
        """Return what is known; `in_grace` is as for `_remembered`."""
        answers, evidence = await self._remembered(rules, player, now, in_grace=in_grace)
        operator, refusals = await self._operator(rules, player), await self._refusals(rules, player)
        return _Known(now, player, answers, evidence, operator, refusals)

    async def _remembered(
        self, rules: GameRules, player: _Player, now: datetime, *, in_grace: bool
    ) -> tuple[list[RememberedAnswer], Evidence | None]:
        """Return what each tier remembers, and the latest answer about ownership.

        `in_grace` is as for `HeldRevocations.held`: the decision rests on a proof that the store contradicts.
        """
        look_ups = []
        if isinstance(player.credential, AppJwt):
            look_ups.append(LookUp(self._fingerprints.of_jwt(player.credential), rules, player.credential))
        subject = _subject(player)
        if subject is not None:
            name = self._fingerprints.of_question(rules.game_id, subject, rules.accept)
            look_ups.append(LookUp(name, rules, subject))
        answers: list[RememberedAnswer] = []
        evidence: Evidence | None = None
        for look_up in look_ups:
            before = self._invalidations.invalidated_before(look_up.game_id, look_up.name)
            for one in await self._cache.each(look_up.name):
                observation = one.observation
                usable = now - observation.observed_at < look_up.lifetime(observation).usable
                invalid = before is not None and observation.observed_at < before
                proven = self._revocations.held(look_up, observation, oldest=None, in_grace=in_grace)
                counts = usable and not invalid and proven is None
                answers.append(remembered_answer(one.tier, observation, player.method, counts=counts, now=now))
                if proven is not None:
                    answers.append(remembered_answer(one.tier, proven, player.method, counts=True, now=now))
                if isinstance(observation, Evidence) and (
                    evidence is None or evidence.observed_at < observation.observed_at
                ):
                    evidence = observation
        return answers, evidence

    async def _operator(self, rules: GameRules, player: _Player) -> OperatorSaid | None:
        """Return the operator's word about the credential or, as far as it holds by this method, about the account."""
        subjects = [] if player.credential is None or isinstance(player.credential, AppJwt) else [player.credential]
        if player.player_id is not None and player.method is not Method.EMAIL:
            subjects.append(AssertedUser(player.player_id))
        for subject in dict.fromkeys(subjects):
            override = self._overrides.about(rules.game_id, subject)
            holds = operator_override(rules, subject, said=override, seller_account=None, press=False)
            if holds is None:
                continue
            word = OverrideWord.BAN if holds.reason is Reason.OPERATOR_BAN else OverrideWord.GRANT
            if word is OverrideWord.GRANT and player.method is Method.DOWNLOAD_KEY:
                continue  # of an account that has not shown that it is the one
            if holds is not override:
                return OperatorSaid(word=word, source="configuration")
            standing = self._overrides.of_name(self._fingerprints.of_override(rules.game_id, subject))
            return None if standing is None else await self._said(standing)
        if player.credential is None:  # of a remembered refusal only its fingerprint is left
            for standing in self._overrides.of_game(rules.game_id):
                if standing.subject == player.subject:
                    return await self._said(standing)
        return None

    async def _said(self, standing: StandingOverride) -> OperatorSaid:
        [note] = await self._notes.read([standing])
        return OperatorSaid(
            word=standing.word,
            source="override",
            until=to_the_second(standing.until),
            id=standing.name.hex(),
            by=None if note is None else note.by,
            note=None if note is None else note.note,
            at=to_the_second(standing.at),
        )

    async def _refusals(self, rules: GameRules, player: _Player) -> list[RememberedRefusal]:
        """Return the last ones of the credential, and of the account unless an address led to it."""
        names = [player.subject, None if player.method is Method.EMAIL else player.account]
        found: dict[str, RememberedRefusal] = {}
        for name in dict.fromkeys(names):
            if name is not None and self._history is not None:
                found |= {one.ids[0]: one for one in await self._history.of(rules.game_id, name)}
        return sorted(found.values(), key=lambda one: one.last_at, reverse=True)


# --- what is asked ---


def _given(wanted: ExplainRequest) -> list[str]:
    """Return the names of the credentials that a request has."""
    fields = {"download_key": wanted.download_key, "jwt": wanted.jwt, "email": wanted.email, "user_id": wanted.user_id}
    return [name for name, value in fields.items() if value is not None]


def _credential(wanted: ExplainRequest) -> Credential | Malformed:
    given = _given(wanted)
    if len(given) > 1:
        raise BadQuestion(f"/{given[1]}", "too_many_subjects", "name one credential")
    if wanted.download_key is not None:
        return read_download_key(wanted.download_key.reveal())
    if wanted.jwt is not None:
        return read_jwt(wanted.jwt.reveal())
    if wanted.email is not None:
        return read_email(wanted.email.reveal(), pointer="/email")
    if wanted.user_id is not None:
        return read_user_id(wanted.user_id, pointer="/user_id")
    raise BadQuestion(
        "", "no_subject", "name a decision_id, or a game and a download_key, a jwt, an email or a user_id"
    )


def _subject(player: _Player) -> Subject | None:
    """Return that about whose ownership the store is asked, as far as it is known."""
    if player.credential is not None and not isinstance(player.credential, AppJwt):
        return player.credential
    return AssertedUser(player.player_id) if player.method in _BY_ACCOUNT and player.player_id is not None else None
