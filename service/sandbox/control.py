"""The control endpoints under `/sandbox`: what it holds, what should change in it, what should go wrong."""

from datetime import timedelta
from typing import Any

from litestar import Request, Response, Router, delete, get, post, put
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency, Provide
from litestar.params import RawBody
from msgspec import Struct

from service.sandbox import seed
from service.sandbox.bodies import (
    Buy,
    ChangeSellerKey,
    ClaimKey,
    MintJwt,
    MintKey,
    Refund,
    RevokeKey,
    read_body,
)
from service.sandbox.delivery import SANDBOX_HEADER, SANDBOX_HEADER_VALUE
from service.sandbox.faults import Fault, FaultState
from service.sandbox.jwts import MintedJwt
from service.sandbox.problems import SandboxProblem, answer_problem
from service.sandbox.seed import Example, examples
from service.sandbox.state import JournalReport, Sandbox
from service.sandbox.world import KeyRecord, Purchase, SandboxError, SellerKeyState

_LARGEST_BODY = 4 * 1024 * 1024
"""A fault's body may be larger than anything that the gateway is willing to read."""


class HeldGame(Struct, frozen=True):
    """A game that the seller's keys can see."""

    id: int
    slug: str
    title: str
    url: str


class Overview(Struct, frozen=True):
    """What the sandbox holds."""

    about: str
    seller_keys: dict[str, SellerKeyState]
    games: list[HeldGame]
    examples: list[Example]


class Faults(Struct, frozen=True):
    """The faults that stand, and what they have done."""

    faults: list[FaultState]


class Done(Struct, frozen=True):
    """The sandbox did as it was told."""

    done: bool = True


def create_control_router(sandbox: Sandbox) -> Router:
    """Return the control endpoints of one sandbox, for any application that serves them."""
    return Router(
        "/sandbox",
        route_handlers=[
            show,
            show_faults,
            replace_faults,
            remove_faults,
            reset,
            mint_key,
            revoke_key,
            claim_key,
            buy,
            refund,
            mint_jwt,
            change_seller_key,
            show_requests,
        ],
        dependencies={"sandbox": Provide(lambda: sandbox, sync_to_thread=False)},
        exception_handlers={SandboxError: _refuse},
        response_headers=[ResponseHeader(name=SANDBOX_HEADER, value=SANDBOX_HEADER_VALUE)],
        request_max_body_size=_LARGEST_BODY,
        include_in_schema=False,
    )


def _refuse(_request: Request[Any, Any, Any], error: SandboxError) -> Response[SandboxProblem]:
    return answer_problem(400, title="The sandbox cannot do that", code="sandbox_mistake", detail=str(error))


@get("/", sync_to_thread=False)
def show(sandbox: NamedDependency[Sandbox]) -> Overview:
    """Show ready-to-use credentials and what to expect of each."""
    return Overview(
        about="A stand-in for itch.io: nothing here is real, and no answer says anything about a real player.",
        seller_keys=sandbox.world.seller_keys,
        games=[
            HeldGame(game.id, game.slug, game.title, game.url) for game in sandbox.world.games_of(sandbox.world.seller)
        ],
        examples=examples(lambda user_id, lifetime: sandbox.mint_jwt(user_id, lifetime=lifetime)),
    )


@get("/faults", sync_to_thread=False)
def show_faults(sandbox: NamedDependency[Sandbox]) -> Faults:
    """Show the standing faults."""
    return Faults(sandbox.faults.state())


@put("/faults", sync_to_thread=False)
def replace_faults(sandbox: NamedDependency[Sandbox], body: RawBody) -> Faults:
    """Let one fault, or each of a list, stand instead of those that did."""
    several = body.lstrip().startswith(b"[")
    sandbox.faults.replace(read_body(body, list[Fault]) if several else [read_body(body, Fault)])
    return Faults(sandbox.faults.state())


@delete("/faults", status_code=200, sync_to_thread=False)
def remove_faults(sandbox: NamedDependency[Sandbox]) -> Faults:
    """Let no fault stand."""
    sandbox.faults.replace(())
    return Faults(sandbox.faults.state())


@post("/reset", status_code=200, sync_to_thread=False)
def reset(sandbox: NamedDependency[Sandbox]) -> Done:
    """Return to the seeded world, without faults, having seen nothing."""
    sandbox.reset()
    return Done()


@post("/keys", status_code=200, sync_to_thread=False)
def mint_key(sandbox: NamedDependency[Sandbox], body: RawBody) -> KeyRecord:
    """Add a download key."""
    told = read_body(body, MintKey)
    return sandbox.world.mint_key(told.game_id, text=told.key, user_id=told.user_id, email=told.email)


@post("/keys/revoke", status_code=200, sync_to_thread=False)
def revoke_key(sandbox: NamedDependency[Sandbox], body: RawBody) -> KeyRecord:
    """Revoke a download key."""
    return sandbox.world.revoke_key(read_body(body, RevokeKey).key)


@post("/keys/claim", status_code=200, sync_to_thread=False)
def claim_key(sandbox: NamedDependency[Sandbox], body: RawBody) -> KeyRecord:
    """Let a user claim a download key."""
    told = read_body(body, ClaimKey)
    return sandbox.world.claim_key(told.key, told.user_id)


@post("/purchases", status_code=200, sync_to_thread=False)
def buy(sandbox: NamedDependency[Sandbox], body: RawBody) -> Purchase:
    """Add a purchase."""
    told = read_body(body, Buy)
    return sandbox.world.buy(
        told.game_ids,
        email=told.email,
        user_id=told.user_id,
        kind=told.purchase_type,
        donation=told.donation,
        price=told.price,
        with_key=told.with_key,
    )


@post("/purchases/refund", status_code=200, sync_to_thread=False)
def refund(sandbox: NamedDependency[Sandbox], body: RawBody) -> Purchase:
    """Refund a purchase."""
    return sandbox.world.refund(read_body(body, Refund).purchase_id)


@post("/jwts", status_code=200, sync_to_thread=False)
def mint_jwt(sandbox: NamedDependency[Sandbox], body: RawBody) -> MintedJwt:
    """Sign a JWT for a user."""
    told = read_body(body, MintJwt)
    return sandbox.mint_jwt(told.user_id, lifetime=timedelta(seconds=told.lifetime_seconds))


@put("/seller-key", sync_to_thread=False)
def change_seller_key(sandbox: NamedDependency[Sandbox], body: RawBody) -> dict[str, SellerKeyState]:
    """Change what one of the seller's keys may do."""
    told = read_body(body, ChangeSellerKey)
    key = seed.SELLER_KEY if told.which == "first" else seed.SECOND_SELLER_KEY
    scopes = None if told.scopes is None else tuple(told.scopes)
    sandbox.world.seller_keys[key] = SellerKeyState(told.revoked, scopes)
    return sandbox.world.seller_keys


@get("/requests", sync_to_thread=False)
def show_requests(sandbox: NamedDependency[Sandbox]) -> JournalReport:
    """Show which requests the store has seen since the last reset."""
    return sandbox.journal.report()
