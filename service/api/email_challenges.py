"""Codes that are mailed, over HTTP. Imported only where they are on."""

from datetime import timedelta
from typing import Final

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler

from service.api.challenge_bodies import ChallengeBegun, ChallengeRequest, CodeAnswer, CodeRequest
from service.api.paths import CHALLENGES_PATH, CONFIRM_PATH
from service.api.problems import mail_unavailable_reply
from service.api.questions import BodyReader
from service.api.routes import AnyRequest, CallerGate
from service.api.verify_service import Asking
from service.credentials import read_email
from service.errors import TooManyQuestions
from service.http.reply import Reply
from service.observability.challenge_reports import ChallengeReports, ChallengeResult
from service.proofs.challenges import Asked, Challenges, Confirmed
from service.proofs.mail_bounds import RESEND_AFTER
from service.proofs.mail_failures import MailUnavailable
from service.rights import Right

_READ_REQUEST: Final = BodyReader(ChallengeRequest)
_READ_CODE: Final = BodyReader(CodeRequest)
_RETRY_SOON: Final = timedelta(seconds=10)


class ChallengeService:
    """Answers those who have codes mailed, and those who type them in."""

    def __init__(self, *, challenges: Challenges, reports: ChallengeReports) -> None:
        self._challenges = challenges
        self._reports = reports

    async def begin(self, body: bytes, asking: Asking) -> Reply:
        """Return 202 with a challenge, the same for every address, or 503 if the mail server has not taken the mail.

        Raises `QuestionRefused` when the caller is at fault.
        """
        wanted: ChallengeRequest = _READ_REQUEST.read(body)
        rules = asking.games.find(wanted.game)
        asking.caller.require_game(rules.game_id)
        address = read_email(wanted.email.reveal(), pointer="/email")
        asked = Asked(address, rules.game_id, rules.label, asking.caller.name, wanted.player_ref)
        try:
            begun = await self._challenges.begin(asked)
        except TooManyQuestions:
            self._report(ChallengeResult.LIMITED, asked, asking)
            raise
        except MailUnavailable as unavailable:
            self._reports.mail_server(str(unavailable))
            self._report(ChallengeResult.FAILED, asked, asking, why=str(unavailable))
            # A mail that may be on its way is not sent a second time at once.
            wait = RESEND_AFTER if unavailable.perhaps_sent else _RETRY_SOON
            return mail_unavailable_reply(asking.request_id, wait)
        if begun.refused:
            self._reports.mail_refused(address, request_id=asking.request_id)
        self._reports.mail_server(None)
        self._report(ChallengeResult.SENT, asked, asking)
        return Reply(202, msgspec.json.encode(ChallengeBegun(begun.challenge, begun.expires_at, begun.resend_after)))

    async def confirm(self, body: bytes, asking: Asking) -> Reply:
        """Return 200, with a proof or the reason for which there is none."""
        typed: CodeRequest = _READ_CODE.read(body)
        result = await self._challenges.confirm(
            typed.challenge.reveal(), typed.code.reveal(), caller=asking.caller.name
        )
        self._reports.report(
            ChallengeResult.CONFIRMED if isinstance(result, Confirmed) else ChallengeResult.WRONG_CODE,
            caller=asking.caller.name,
            request_id=asking.request_id,
            game_id=result.game_id,
            address=result.address,
            why=None if isinstance(result, Confirmed) else result.reason,
        )
        if isinstance(result, Confirmed):
            answer = CodeAnswer(confirmed=True, proof=result.proof, expires_at=result.expires_at)
        else:
            answer = CodeAnswer(confirmed=False, reason=result.reason, tries_left=result.tries_left)
        return Reply(200, msgspec.json.encode(answer))

    def _report(self, result: ChallengeResult, asked: Asked, asking: Asking, *, why: str | None = None) -> None:
        self._reports.report(
            result,
            caller=asked.caller,
            request_id=asking.request_id,
            game_id=asked.game_id,
            address=asked.address,
            why=why,
        )


def create_challenge_routes(*, gate: CallerGate, service: ChallengeService) -> list[HTTPRouteHandler]:
    """Return the endpoints that only a gateway that mails codes has."""

    @post(CHALLENGES_PATH, status_code=202)
    async def mail_code(request: AnyRequest) -> Response[bytes]:
        """Mail a code to a player."""
        return await gate.admit(request, [Right.CHALLENGE], service.begin, counted=True)

    @post(CONFIRM_PATH, status_code=200)
    async def confirm_code(request: AnyRequest) -> Response[bytes]:
        """Take the code that a player has typed."""
        return await gate.admit(request, [Right.CHALLENGE], service.confirm, counted=True)

    return [mail_code, confirm_code]
