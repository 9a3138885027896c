"""Passes over HTTP: asking for one, the keys that check them, and the list of those that are void.

Imported only where passes are on.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from service.api.answers import PassBody
from service.api.pass_bodies import Order
from service.api.paths import KEYS_PATH, PASSES_PATH, VOID_PASSES_PATH
from service.api.questions import BodyReader
from service.api.routes import AnyRequest, CallerGate, has_already, response
from service.api.verify_service import Asking, OpenedPass, VerifyService
from service.http.reply import Reply
from service.ownership import Decision
from service.passes.pass_writer import PassOrder, PassWriter
from service.passes.shown_pass import ShownPass
from service.passes.signing_keys import SigningKeys
from service.passes.void_passes import VoidPasses
from service.rights import RIGHTS_TO_BEGIN, Right
from service.verification import policy
from service.verification.question import Question

KEYS_KEPT: Final = timedelta(minutes=5)
VOID_KEPT: Final = timedelta(seconds=30)
"""The time for which others may keep the keys, and the list, without asking again."""

_READ_ORDER: Final = BodyReader(Order)


class PassService:
    """Answers those who ask for passes; `on_issued` is called with the label of the game of each that is made."""

    def __init__(self, *, verify: VerifyService, writer: PassWriter, on_issued: Callable[[str], None]) -> None:
        self._verify = verify
        self._writer = writer
        self._on_issued = on_issued

    async def answer(self, body: bytes, asking: Asking) -> Reply:
        """Return the answer to a question, with a pass if it lets the player in.

        Raises `QuestionRefused` when the caller is at fault.
        """
        order: Order = _READ_ORDER.read(body)
        asking.caller.require(*RIGHTS_TO_BEGIN[order.asked_by])
        wanted = PassOrder(order.audience, order.player_ref)
        return await self._verify.answer(order, asking, issue=partial(self._issue, wanted))

    def _issue(
        self,
        wanted: PassOrder,
        question: Question,
        decision: Decision,
        opened: OpenedPass | None,
        *,
        decision_id: str,
        now: datetime,
    ) -> PassBody | None:
        allowance = policy.allowance(decision)
        if allowance is None:
            return None
        shown = opened.claims if isinstance(opened, ShownPass) else None
        written = self._writer.write(allowance, question, wanted, shown=shown, decision_id=decision_id, now=now)
        if written is None:
            return None
        self._on_issued(question.rules.label)
        return PassBody(written.value, written.expires_at)


def create_pass_routes(
    *, gate: CallerGate, passes: PassService, keys: SigningKeys, void: VoidPasses
) -> list[HTTPRouteHandler]:
    """Return the endpoints that only a gateway with passes has, all but the question about one."""

    @post(PASSES_PATH, status_code=200)
    async def ask_for_pass(request: AnyRequest) -> Response[bytes]:
        """Answer a question, with a pass."""
        return await gate.admit(request, [Right.PASS], passes.answer, counted=True)

    @get(KEYS_PATH, sync_to_thread=False)
    def show_keys(request: AnyRequest) -> Response[bytes]:
        """Return the public keys."""
        return _public(request, keys.current().published, KEYS_KEPT)

    @get(VOID_PASSES_PATH, sync_to_thread=False)
    def show_void_passes(request: AnyRequest) -> Response[bytes]:
        """Return what makes passes void before they end."""
        listed = void.listed()
        return _public(request, listed.body, VOID_KEPT, etag=listed.etag)

    return [ask_for_pass, show_keys, show_void_passes]


def _public(request: AnyRequest, body: bytes, kept: timedelta, *, etag: str | None = None) -> Response[bytes]:
    """Return what is public and may be kept for a while; nothing but 304 to those who have it already."""
    fields = {"cache-control": f"public, max-age={int(kept.total_seconds())}"}
    if etag is not None:
        fields["etag"] = etag
        if has_already(request, etag):
            return response(Reply(304, b"", headers=fields))
    return response(Reply(200, body, headers=fields))
