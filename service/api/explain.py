"""The explanation of a decision, for the people who support players: what is known, how old it is, and why.

By e-mail no account is named, and none of its refusals is shown: the gateway is no oracle from an address to an
account. Nothing that a player presented is in an answer or in the log.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from service.api.explained import (
    ExplainedDecision,
    ExplainRequest,
    Explanation,
    past_refusal,
    present_decision,
    remembered_decision,
    requests_of,
)
from service.api.known_player import KnownPlayer
from service.api.named_subject import named_credential
from service.api.operations import Readiness
from service.api.player_records import PlayerRecord, PlayerRecords
from service.api.questions import BodyReader
from service.api.verify_service import Asking
from service.causes import Cause
from service.credentials import unwrapped
from service.errors import BadQuestion, NotEnabled, UnknownDecision
from service.explanation import Story, tell, tell_request, tell_states
from service.http.reply import Reply
from service.itch.request_trail import SentRequest, recorded_requests
from service.observability.logs import Logging
from service.ownership import Caveat, DownloadKey, Method, Reason
from service.rights import RIGHTS_FOR
from service.verification.interfaces import Clock
from service.verification.policy import GameRules
from service.verification.question import Question
from service.verification.verify import Verification

_READ: Final = BodyReader(ExplainRequest)


class ExplainService:
    """Explains decisions, and leaves a line in the log about each."""

    def __init__(
        self,
        *,
        verification: Verification,
        records: PlayerRecords,
        readiness: Readiness,
        log: Logging,
        clock: Clock,
        default_deadline: timedelta,
        access_tokens: bool = False,
    ) -> None:
        self._verification = verification
        self._records = records
        self._readiness = readiness
        self._log = log
        self._clock = clock
        self._default_deadline = default_deadline
        self._access_tokens = access_tokens

    async def explain(self, body: bytes, asking: Asking) -> Reply:
        """Explain a decision, or what is known of a player. Raises `QuestionRefused` when the caller is at fault."""
        wanted: ExplainRequest = _READ.read(body)
        if wanted.decision_id is not None:
            return await self._explain_decision(wanted, wanted.decision_id, asking)
        return await self._explain_player(wanted, asking)

    async def _explain_decision(self, wanted: ExplainRequest, decision_id: str, asking: Asking) -> Reply:
        if wanted.game is not None or wanted.ask or wanted.names_credential:
            raise BadQuestion("/decision_id", "too_many_subjects", "name a decision, or a game and one credential")
        text = unwrapped(decision_id).upper()
        refusal = await self._records.refusal(text)
        if refusal is None:
            raise UnknownDecision
        asking.caller.require_game(refusal.game_id)
        rules = asking.games.find(refusal.game_id)
        player = KnownPlayer(refusal.method, refusal.subject, refusal.account, refusal.player_id)
        decision = remembered_decision(refusal, text, rules)
        self._log_explained(asking, player, rules, decision, asked=False)
        record = await self._records.of(rules, player, self._clock.now())
        return self._reply(record, asking, decision, cause=refusal.cause)

    async def _explain_player(self, wanted: ExplainRequest, asking: Asking) -> Reply:
        credential = named_credential(wanted, wanted.jwt, wanted.access_token)
        if credential is None:
            raise BadQuestion(
                "",
                "no_subject",
                "name a decision_id, or a game and a download_key, a jwt, an access_token, an email or a user_id",
            )
        if not self._access_tokens and credential.method is Method.ACCESS_TOKEN:
            raise NotEnabled("itch.access_tokens")
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
            player = self._records.player(credential, await self._records.account_of(credential, verdict.decision))
            in_grace = Caveat.REVOCATIONS_HELD in verdict.decision.caveats
            record = await self._records.of(rules, player, self._clock.now(), in_grace=in_grace)
            present = decision = present_decision(
                verdict, rules, caller=caller.name, subject=player.subject, account=player.account, now=record.now
            )
        finally:  # also if the caller hangs up meanwhile: itch.io may have been asked already
            self._log_explained(asking, self._records.player(credential), rules, decision, asked=wanted.ask)
        if present.reason is Reason.NOT_CACHED and not wanted.ask and (refusal := record.latest_refusal()) is not None:
            past = remembered_decision(refusal, refusal.ids[-1], rules)
            return self._reply(record, asking, past, cause=refusal.cause, found_from=refusal.last_at)
        limit = rules.key_limit if isinstance(credential, DownloadKey) else None
        return self._reply(
            record,
            asking,
            present,
            cause=self._readiness.cause_of("source"),
            sent=sent,
            asked=wanted.ask,
            key_players=limit.players if limit is not None and limit.reject else None,
        )

    def _log_explained(
        self, asking: Asking, player: KnownPlayer, rules: GameRules, decision: ExplainedDecision | None, *, asked: bool
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

    def _reply(
        self,
        record: PlayerRecord,
        asking: Asking,
        decision: ExplainedDecision,
        *,
        cause: Cause | None,
        sent: Sequence[SentRequest] = (),
        asked: bool = True,
        found_from: datetime | None = None,
        key_players: int | None = None,
    ) -> Reply:
        health = self._readiness.health()
        causes = health.causes or {}
        missing = [right for right in RIGHTS_FOR[decision.method] if right not in asking.caller.rights]
        told = tell(
            Story(
                reason=decision.reason,
                now=record.now,
                caveats=decision.caveats,
                observed_at=decision.observed_at,
                usable_until=decision.usable_until,
                stale=decision.stale,
                cause=cause,
                count=decision.count,
                operator=record.operator,
                is_past=decision.decision_id is not None,
                asked=asked,
                found_from=found_from,
                missing_rights=tuple(missing),
                key_players=key_players,
            )
        )
        requests = requests_of(sent, record.proofs, decision.method)
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
            remembered=record.answers,
            operator=record.operator,
            requests=requests,
            refusals=[past_refusal(one) for one in record.refusals],
            components=dict(health.components),
            causes=dict(causes),
        )
        return Reply(200, msgspec.json.encode(explanation))
