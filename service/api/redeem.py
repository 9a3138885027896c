"""Redeem tokens over HTTP. Imported when one is first shown where they are taken."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from service.api.identifiers import make_ulid
from service.api.problems import common_headers
from service.api.questions import BodyReader
from service.api.redeem_bodies import RedeemAnswer, RedeemQuestion, SubProductPurchase
from service.api.verify_service import Asking
from service.errors import NotEnabled
from service.http.reply import Reply
from service.observability.redeem_reports import RedeemReports
from service.ownership import Caveat
from service.redeem.redeem_reason import RedeemReason
from service.redeem.redeem_tokens import Redeemed, read_redeem_token
from service.secret import RedeemSecret
from service.verification.interfaces import Clock
from service.verification.policy import GameRules

SETTING: Final = "games.<slug>.redeem_secret"
_READ: Final = BodyReader(RedeemQuestion)


class RedeemService:
    """Answers those who ask about redeem tokens, and keeps nothing of them.

    `secrets_of` returns the secrets of a game, none where its redeem tokens are not taken.
    """

    def __init__(
        self,
        *,
        secrets_of: Callable[[GameRules], Sequence[RedeemSecret]],
        reports: RedeemReports,
        clock: Clock,
        sandbox: bool,
    ) -> None:
        self._secrets_of = secrets_of
        self._reports = reports
        self._clock = clock
        self._about_source = (Caveat.SANDBOX,) if sandbox else ()

    async def answer(self, body: bytes, asking: Asking) -> Reply:
        """Return 200 with what the token says, or why it counts for nothing. Raises `QuestionRefused`."""
        asked: RedeemQuestion = _READ.read(body)
        rules = asking.games.find(asked.game)
        asking.caller.require_game(rules.game_id)
        secrets = self._secrets_of(rules)
        if not secrets:
            raise NotEnabled(SETTING)
        now = self._clock.now()
        found = read_redeem_token(asked.redeem_jwt.reveal(), secrets, now=now)
        answer = self._answer(rules, found, make_ulid(now))
        self._reports.report(
            answer.reason,
            game=rules.label,
            purchase_id=None if answer.evidence is None else answer.evidence.id,
            decision_id=answer.decision_id,
            caller=asking.caller.name,
            request_id=asking.request_id,
        )
        headers = common_headers(asking.request_id) | {"cache-status": "ownership-gateway"}
        return Reply(200, msgspec.json.encode(answer), headers=headers)

    def _answer(self, rules: GameRules, found: Redeemed | RedeemReason, decision_id: str) -> RedeemAnswer:
        if isinstance(found, RedeemReason):
            return RedeemAnswer(
                allowed=False,
                outcome=found.outcome,
                reason=found,
                game_id=rules.game_id,
                caveats=self._about_source,
                advice=found.advice,
                decision_id=decision_id,
            )
        reason = RedeemReason.SUB_PRODUCT_PURCHASE
        return RedeemAnswer(
            allowed=True,
            outcome=reason.outcome,
            reason=reason,
            game_id=rules.game_id,
            product=found.sub_product_id,
            evidence=SubProductPurchase(found.purchase_id),
            external_id=found.external_id,
            metadata=found.metadata,
            caveats=(*self._about_source, Caveat.RECORD_PURCHASE_ID_BEFORE_GRANTING),
            advice=reason.advice,
            decision_id=decision_id,
        )
