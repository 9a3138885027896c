"""The control endpoints under `/sandbox`: they show and change the world, the faults, the clock and the journal.

Functions of the sandbox and a body, without a framework: the sandbox's own server and the gateway in front of it both
serve `ENDPOINTS`. To add an endpoint, write its function and its line there.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from inspect import isawaitable
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

from service.sandbox import seed
from service.sandbox.bodies import (
    LONGEST_SECONDS,
    Buy,
    ChangeSellerKey,
    ClaimKey,
    Done,
    HeldGame,
    MintAccessToken,
    MintedAccessToken,
    MintIdToken,
    MintJwt,
    MintKey,
    MoveClock,
    NewGame,
    NewUser,
    Overview,
    Refund,
    RevokeAccessToken,
    RevokeKey,
    SandboxMistake,
    SandboxProblem,
    StandingFaults,
    Time,
    decode,
)
from service.sandbox.faults import Fault, check_faults
from service.sandbox.id_token_issuer import IdTokenClaims, MintedIdToken
from service.sandbox.jwts import MintedJwt
from service.sandbox.mail_outbox import SentMail
from service.sandbox.state import JournalReport, Sandbox
from service.sandbox.store_answers import SandboxAnswer
from service.sandbox.world import SandboxError
from service.sandbox.world_content import Account, Channel, Game, KeyRecord, Purchase, SellerKeyState, WorldContent

LARGEST_BODY: Final = 4 * 1024 * 1024
"""Bytes of a body. A fault's body may be larger than anything that the gateway is willing to read."""

PREFIX: Final = "/sandbox"

_FOREIGN_PAGES: Final = ("cross-site", "same-site")
"""The words of `Sec-Fetch-Site` for a page of another origin (W3C Fetch Metadata)."""

_FURTHEST: Final = timedelta(seconds=LONGEST_SECONDS)


def show(sandbox: Sandbox, _body: bytes) -> Overview:
    """Show ready-to-use credentials and what to expect of each."""
    world = sandbox.world
    return Overview(
        about="A stand-in for itch.io: nothing here is real, and no answer says anything about a real player.",
        seller_keys=world.seller_keys,
        games=[HeldGame(game.id, game.slug, game.title, world.url_of(game)) for game in world.games_of(world.seller)],
        examples=seed.examples(lambda user_id, lifetime: sandbox.mint_jwt(user_id, lifetime=lifetime)),
    )


def show_world(sandbox: Sandbox, _body: bytes) -> WorldContent:
    """Show the whole world as it is now, in the form that `--world` reads."""
    return sandbox.world.content()


def show_faults(sandbox: Sandbox, _body: bytes) -> StandingFaults:
    """Show the faults in force."""
    return StandingFaults(sandbox.faults.state())


def replace_faults(sandbox: Sandbox, body: bytes) -> StandingFaults:
    """Let one fault, or each of a list, stand instead of those that did, and end what these have caused."""
    several = body.lstrip().startswith(b"[")
    faults = decode(body, list[Fault]) if several else [decode(body, Fault)]
    check_faults(faults)
    sandbox.faults.replace(faults)
    sandbox.mend()
    return StandingFaults(sandbox.faults.state())


def remove_faults(sandbox: Sandbox, _body: bytes) -> StandingFaults:
    """Let no fault stand, and end what those have caused that did."""
    sandbox.faults.replace(())
    sandbox.mend()
    return StandingFaults(sandbox.faults.state())


async def reset(sandbox: Sandbox, _body: bytes) -> Done:
    """Return to the first world and the machine's time, without faults, and have the gateway forget everything."""
    await sandbox.reset()
    return Done()


def add_user(sandbox: Sandbox, body: bytes) -> Account:
    """Add a user."""
    wanted = decode(body, NewUser)
    return sandbox.world.add_user(
        user_id=wanted.id,
        username=wanted.username,
        display_name=wanted.display_name,
        emails=wanted.emails,
        press=wanted.press,
    )


def add_game(sandbox: Sandbox, body: bytes) -> Game:
    """Add a game of the seller's."""
    wanted = decode(body, NewGame)
    return sandbox.world.add_game(wanted.slug, game_id=wanted.id, title=wanted.title, private=wanted.private)


def push_build(sandbox: Sandbox, body: bytes) -> Channel:
    """Push a build to a channel, which is made if there is none: from now on it is the newest."""
    return sandbox.world.push_build(decode(body, Channel))


def mint_key(sandbox: Sandbox, body: bytes) -> KeyRecord:
    """Add a download key."""
    wanted = decode(body, MintKey)
    return sandbox.world.mint_key(
        wanted.game_id,
        text=wanted.key,
        user_id=wanted.user_id,
        email=wanted.email,
        purchase_id=wanted.purchase_id,
    )


def revoke_key(sandbox: Sandbox, body: bytes) -> KeyRecord:
    """Revoke a download key."""
    return sandbox.world.revoke_key(decode(body, RevokeKey).key)


def claim_key(sandbox: Sandbox, body: bytes) -> KeyRecord:
    """Let a user claim a download key."""
    wanted = decode(body, ClaimKey)
    return sandbox.world.claim_key(wanted.key, wanted.user_id)


def buy(sandbox: Sandbox, body: bytes) -> Purchase:
    """Add a purchase."""
    wanted = decode(body, Buy)
    return sandbox.world.buy(
        wanted.game_ids,
        email=wanted.email,
        user_id=wanted.user_id,
        kind=wanted.purchase_type,
        donation=wanted.donation,
        price=wanted.price,
        with_key=wanted.with_key,
    )


def refund(sandbox: Sandbox, body: bytes) -> Purchase:
    """Refund a purchase: it is not reported any more, and its keys are revoked."""
    return sandbox.world.refund(decode(body, Refund).purchase_id)


def mint_jwt(sandbox: Sandbox, body: bytes) -> MintedJwt:
    """Sign a JWT for a user."""
    wanted = decode(body, MintJwt)
    return sandbox.mint_jwt(wanted.user_id, lifetime=timedelta(seconds=wanted.lifetime_seconds))


def mint_id_token(sandbox: Sandbox, body: bytes) -> MintedIdToken:
    """Sign an id token as an issuer that has seen that the address is the player's."""
    wanted = decode(body, MintIdToken)
    claims = IdTokenClaims(wanted.email, wanted.email_verified, wanted.audience, wanted.nonce)
    lifetime = timedelta(seconds=wanted.lifetime_seconds)
    return sandbox.issuer.mint(claims, issued_at=sandbox.now(), lifetime=lifetime)


def mint_access_token(sandbox: Sandbox, body: bytes) -> MintedAccessToken:
    """Let a user give an application an access token."""
    wanted = decode(body, MintAccessToken)
    text = sandbox.world.mint_access_token(wanted.user_id, application_of=wanted.application_of, scopes=wanted.scopes)
    token = sandbox.world.access_tokens[text]
    return MintedAccessToken(text, token.user_id, token.application_of, token.scopes)


def revoke_access_token(sandbox: Sandbox, body: bytes) -> Done:
    """Let the user take an access token back."""
    sandbox.world.revoke_access_token(decode(body, RevokeAccessToken).access_token)
    return Done()


def change_seller_key(sandbox: Sandbox, body: bytes) -> dict[str, SellerKeyState]:
    """Change the rights of one of the seller's keys; given back, it is tried at once."""
    wanted = decode(body, ChangeSellerKey)
    key = seed.SELLER_KEY if wanted.which == "first" else seed.SECOND_SELLER_KEY
    scopes = None if wanted.scopes is None else tuple(wanted.scopes)
    sandbox.world.seller_keys[key] = SellerKeyState(wanted.revoked, scopes)
    sandbox.mend()
    return sandbox.world.seller_keys


def show_clock(sandbox: Sandbox, _body: bytes) -> Time:
    """Show what time it is in the sandbox, and in a gateway that has it."""
    return Time(sandbox.clock.now(), sandbox.clock.ahead.total_seconds())


def move_clock(sandbox: Sandbox, body: bytes) -> Time:
    """Move the time of the sandbox forward, and of a gateway that has it."""
    wanted = timedelta(seconds=decode(body, MoveClock).advance_seconds)
    if sandbox.clock.ahead + wanted > _FURTHEST:
        raise SandboxError("the clock may be ten years ahead at most", pointer="/advance_seconds")
    sandbox.clock.advance(wanted)
    return show_clock(sandbox, b"")


def show_mails(sandbox: Sandbox, _body: bytes) -> list[SentMail]:
    """Show the mails that a real gateway would have sent, oldest first."""
    return sandbox.outbox.mails()


def show_requests(sandbox: Sandbox, _body: bytes) -> JournalReport:
    """Show the requests to the store since the last reset."""
    return sandbox.journal.report()


class ControlAction(Struct, frozen=True):
    """The function of a control endpoint by one method, and the types of its bodies."""

    act: Callable[[Sandbox, bytes], Any]
    answers: Any
    takes: Any = None


_ENDPOINTS: Final[Mapping[str, Mapping[str, ControlAction]]] = {
    "": {"GET": ControlAction(show, Overview)},
    "/world": {"GET": ControlAction(show_world, WorldContent)},
    "/reset": {"POST": ControlAction(reset, Done)},
    "/clock": {"GET": ControlAction(show_clock, Time), "POST": ControlAction(move_clock, Time, MoveClock)},
    "/faults": {
        "GET": ControlAction(show_faults, StandingFaults),
        "PUT": ControlAction(replace_faults, StandingFaults, Fault | list[Fault]),
        "DELETE": ControlAction(remove_faults, StandingFaults),
    },
    "/users": {"POST": ControlAction(add_user, Account, NewUser)},
    "/games": {"POST": ControlAction(add_game, Game, NewGame)},
    "/channels": {"PUT": ControlAction(push_build, Channel, Channel)},
    "/keys": {"POST": ControlAction(mint_key, KeyRecord, MintKey)},
    "/keys/claim": {"POST": ControlAction(claim_key, KeyRecord, ClaimKey)},
    "/keys/revoke": {"POST": ControlAction(revoke_key, KeyRecord, RevokeKey)},
    "/purchases": {"POST": ControlAction(buy, Purchase, Buy)},
    "/purchases/refund": {"POST": ControlAction(refund, Purchase, Refund)},
    "/jwts": {"POST": ControlAction(mint_jwt, MintedJwt, MintJwt)},
    "/id-tokens": {"POST": ControlAction(mint_id_token, MintedIdToken, MintIdToken)},
    "/access-tokens": {"POST": ControlAction(mint_access_token, MintedAccessToken, MintAccessToken)},
    "/access-tokens/revoke": {"POST": ControlAction(revoke_access_token, Done, RevokeAccessToken)},
    "/seller-key": {"PUT": ControlAction(change_seller_key, dict[str, SellerKeyState], ChangeSellerKey)},
    "/requests": {"GET": ControlAction(show_requests, JournalReport)},
    "/mails": {"GET": ControlAction(show_mails, list[SentMail])},
}


def describe(_sandbox: Sandbox, _body: bytes) -> dict[str, Any]:
    """Describe these endpoints in OpenAPI 3.1."""
    kinds = [endpoint for methods in ENDPOINTS.values() for endpoint in methods.values()]
    taken = [endpoint.takes for endpoint in kinds if endpoint.takes is not None]
    types = list(dict.fromkeys([SandboxProblem, *taken, *(endpoint.answers for endpoint in kinds)]))
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(types, schemas, strict=True))

    def content(kind: Any, media_type: str = "application/json") -> dict[str, Any]:  # noqa: ANN401 - a type is Any
        return {"content": {media_type: {"schema": schema_of[kind]}}}

    def operation(endpoint: ControlAction) -> dict[str, Any]:
        summary = (endpoint.act.__doc__ or "").strip()
        described: dict[str, Any] = {"operationId": endpoint.act.__name__, "summary": summary}
        if endpoint.takes is not None:
            described["requestBody"] = {"required": True} | content(endpoint.takes)
        problem = {"description": "What was wrong."} | content(SandboxProblem, "application/problem+json")
        described["responses"] = {"200": {"description": "Done."} | content(endpoint.answers), "400": problem}
        return described

    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The sandbox of the ownership gateway",
            "version": "1",
            "description": "Beside the API, only in a gateway that was started with its sandbox. Nothing here is real.",
        },
        "servers": [{"url": "/"}],
        "paths": {
            PREFIX + path: {method.lower(): operation(endpoint) for method, endpoint in methods.items()}
            for path, methods in ENDPOINTS.items()
        },
        "components": {"schemas": components},
    }


ENDPOINTS: Final[Mapping[str, Mapping[str, ControlAction]]] = {
    **_ENDPOINTS,
    "/openapi.json": {"GET": ControlAction(describe, dict[str, Any])},
}
"""The endpoint of each path below `PREFIX` and method."""


async def control(sandbox: Sandbox, method: str, path: str, body: bytes, *, site: str | None) -> SandboxAnswer | None:
    """Answer a request to a control endpoint; None if the path belongs to none.

    `site` is the browser's word on the page that sends it, in `Sec-Fetch-Site`; others send none.
    """
    parts = [part for part in path.split("/") if part]
    if not parts or f"/{parts[0]}" != PREFIX:
        return None
    methods = ENDPOINTS.get("".join(f"/{part}" for part in parts[1:]))
    if methods is None:
        return None
    if method == "POST" and site in _FOREIGN_PAGES:  # browsers ask before they send PUT or DELETE for such a page
        return _problem(
            403,
            title="A page of another site may not change the sandbox",
            code="foreign_page",
            detail="send this from the sandbox's own console, or without a browser",
        )
    if method in methods:
        return await _perform(methods[method], sandbox, body)
    allow = ("Allow", ", ".join(sorted([*methods, "OPTIONS"])))
    if method == "OPTIONS":
        return SandboxAnswer(204, b"", headers=(allow,))
    return refuse(405, allow)


async def _perform(endpoint: ControlAction, sandbox: Sandbox, body: bytes) -> SandboxAnswer:
    """Answer with the JSON of an endpoint's result, or with the problem that it raised."""
    try:
        result = endpoint.act(sandbox, body)
        return SandboxAnswer(200, msgspec.json.encode(await result if isawaitable(result) else result))
    except SandboxError as error:
        mistakes = [SandboxMistake(error.pointer, str(error))]
        return _problem(
            400, title="The sandbox cannot do that", code="sandbox_mistake", detail=str(error), mistakes=mistakes
        )


def refuse(status: int, *headers: tuple[str, str]) -> SandboxAnswer:
    """Refuse a request as such. The text repeats nothing of it."""
    return _problem(
        status, title="Not here", code="refused", detail="GET /sandbox shows what there is", headers=headers
    )


def _problem(
    status: int,
    *,
    title: str,
    code: str,
    detail: str,
    mistakes: list[SandboxMistake] | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> SandboxAnswer:
    problem = SandboxProblem(title, status, code, detail, UNSET if mistakes is None else mistakes)
    return SandboxAnswer(status, msgspec.json.encode(problem), "application/problem+json", headers)
