"""The control endpoints under `/sandbox`: they show and change the world, the faults and the journal.

Functions of the sandbox and a body, without a framework: the sandbox's own server and the gateway's router both serve
`ENDPOINTS`. To add an endpoint, write its function and its line there.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from service.ownership import LARGEST_ID
from service.sandbox import seed
from service.sandbox.faults import Fault, FaultState
from service.sandbox.jwts import MintedJwt
from service.sandbox.state import JournalReport, Sandbox
from service.sandbox.store_answers import SandboxAnswer
from service.sandbox.world import KeyRecord, Purchase, PurchaseKind, SandboxError, SellerKeyState

LARGEST_BODY: Final = 4 * 1024 * 1024
"""Bytes of a body. A fault's body may be larger than anything that the gateway is willing to read."""

PREFIX: Final = "/sandbox"

T = TypeVar("T")

Id = Annotated[int, Meta(ge=1, le=LARGEST_ID)]
Email = Annotated[str, Meta(min_length=3, max_length=254)]
Seconds = Annotated[int, Meta(ge=-315_360_000, le=315_360_000)]
"""Ten years either way."""
Scope = Annotated[str, Meta(pattern=r"^[a-z:]+\Z", max_length=64)]


# Bodies of requests.


class MintKey(Struct, frozen=True, forbid_unknown_fields=True):
    """Add a download key; without `key` the sandbox makes one up."""

    game_id: Id
    key: str | None = None
    user_id: Id | None = None
    email: Email | None = None


class RevokeKey(Struct, frozen=True, forbid_unknown_fields=True):
    """Revoke a download key."""

    key: str


class ClaimKey(Struct, frozen=True, forbid_unknown_fields=True):
    """Let a user claim a download key."""

    key: str
    user_id: Id


class Buy(Struct, frozen=True, forbid_unknown_fields=True):
    """Add a purchase, by an address or by a user's first address; `with_key` adds the key that comes with it."""

    game_id: Id | Annotated[list[Id], Meta(min_length=1, max_length=1000)]
    email: Email | None = None
    user_id: Id | None = None
    purchase_type: PurchaseKind = PurchaseKind.GAME
    donation: bool = False
    price: Annotated[str, Meta(max_length=32)] = "$1.00"
    with_key: bool = False

    @property
    def game_ids(self) -> list[int]:
        """The games, as a list even of one."""
        return [self.game_id] if isinstance(self.game_id, int) else self.game_id


class Refund(Struct, frozen=True, forbid_unknown_fields=True):
    """Refund a purchase."""

    purchase_id: Id


class MintJwt(Struct, frozen=True, forbid_unknown_fields=True):
    """Sign a JWT for a user; with a negative lifetime it has expired."""

    user_id: Id
    lifetime_seconds: Seconds = 7 * 24 * 60 * 60


class ChangeSellerKey(Struct, frozen=True, forbid_unknown_fields=True):
    """Revoke one of the seller's keys or give it back, and narrow its scopes (null: everything)."""

    revoked: bool = False
    scopes: Annotated[list[Scope], Meta(max_length=32)] | None = None
    which: Literal["first", "second"] = "first"


# Bodies of answers.


class HeldGame(Struct, frozen=True):
    """A game that the seller's keys can see."""

    id: int
    slug: str
    title: str
    url: str


class Overview(Struct, frozen=True):
    """The contents of the sandbox that a test can use."""

    about: str
    seller_keys: dict[str, SellerKeyState]
    games: list[HeldGame]
    examples: list[seed.Example]


class StandingFaults(Struct, frozen=True):
    """The faults in force, and the number of requests that each has befallen."""

    faults: list[FaultState]


class Done(Struct, frozen=True):
    """The answer to a request that has nothing to show."""

    done: bool = True


class SandboxProblem(Struct, frozen=True):
    """The reason for a refusal (RFC 9457)."""

    title: str
    status: int
    code: str
    detail: str
    type: str = "about:blank"


# The endpoints.


def show(sandbox: Sandbox, _body: bytes) -> Overview:
    """Show ready-to-use credentials and what to expect of each."""
    world = sandbox.world
    return Overview(
        about="A stand-in for itch.io: nothing here is real, and no answer says anything about a real player.",
        seller_keys=world.seller_keys,
        games=[HeldGame(game.id, game.slug, game.title, game.url) for game in world.games_of(world.seller)],
        examples=seed.examples(lambda user_id, lifetime: sandbox.mint_jwt(user_id, lifetime=lifetime)),
    )


def show_faults(sandbox: Sandbox, _body: bytes) -> StandingFaults:
    """Show the faults in force."""
    return StandingFaults(sandbox.faults.state())


def replace_faults(sandbox: Sandbox, body: bytes) -> StandingFaults:
    """Let one fault, or each of a list, stand instead of those that did."""
    several = body.lstrip().startswith(b"[")
    sandbox.faults.replace(_decode(body, list[Fault]) if several else [_decode(body, Fault)])
    return StandingFaults(sandbox.faults.state())


def remove_faults(sandbox: Sandbox, _body: bytes) -> StandingFaults:
    """Let no fault stand."""
    sandbox.faults.replace(())
    return StandingFaults(sandbox.faults.state())


def reset(sandbox: Sandbox, _body: bytes) -> Done:
    """Return to the first world, without faults and with an empty journal."""
    sandbox.reset()
    return Done()


def mint_key(sandbox: Sandbox, body: bytes) -> KeyRecord:
    """Add a download key."""
    wanted = _decode(body, MintKey)
    return sandbox.world.mint_key(wanted.game_id, text=wanted.key, user_id=wanted.user_id, email=wanted.email)


def revoke_key(sandbox: Sandbox, body: bytes) -> KeyRecord:
    """Revoke a download key."""
    return sandbox.world.revoke_key(_decode(body, RevokeKey).key)


def claim_key(sandbox: Sandbox, body: bytes) -> KeyRecord:
    """Let a user claim a download key."""
    wanted = _decode(body, ClaimKey)
    return sandbox.world.claim_key(wanted.key, wanted.user_id)


def buy(sandbox: Sandbox, body: bytes) -> Purchase:
    """Add a purchase."""
    wanted = _decode(body, Buy)
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
    """Refund a purchase."""
    return sandbox.world.refund(_decode(body, Refund).purchase_id)


def mint_jwt(sandbox: Sandbox, body: bytes) -> MintedJwt:
    """Sign a JWT for a user."""
    wanted = _decode(body, MintJwt)
    return sandbox.mint_jwt(wanted.user_id, lifetime=timedelta(seconds=wanted.lifetime_seconds))


def change_seller_key(sandbox: Sandbox, body: bytes) -> dict[str, SellerKeyState]:
    """Change the rights of one of the seller's keys."""
    wanted = _decode(body, ChangeSellerKey)
    key = seed.SELLER_KEY if wanted.which == "first" else seed.SECOND_SELLER_KEY
    scopes = None if wanted.scopes is None else tuple(wanted.scopes)
    sandbox.world.seller_keys[key] = SellerKeyState(wanted.revoked, scopes)
    return sandbox.world.seller_keys


def show_requests(sandbox: Sandbox, _body: bytes) -> JournalReport:
    """Show the requests to the store since the last reset."""
    return sandbox.journal.report()


ENDPOINTS: Final[Mapping[str, Mapping[str, Callable[[Sandbox, bytes], Any]]]] = {
    "/": {"GET": show},
    "/faults": {"GET": show_faults, "PUT": replace_faults, "DELETE": remove_faults},
    "/reset": {"POST": reset},
    "/keys": {"POST": mint_key},
    "/keys/revoke": {"POST": revoke_key},
    "/keys/claim": {"POST": claim_key},
    "/purchases": {"POST": buy},
    "/purchases/refund": {"POST": refund},
    "/jwts": {"POST": mint_jwt},
    "/seller-key": {"PUT": change_seller_key},
    "/requests": {"GET": show_requests},
}
"""The function of each path below `PREFIX` and method."""


def control(sandbox: Sandbox, method: str, path: str, body: bytes) -> SandboxAnswer | None:
    """Answer a request to a control endpoint; None if the path belongs to none."""
    parts = [part for part in path.split("/") if part]
    if not parts or f"/{parts[0]}" != PREFIX or (methods := ENDPOINTS.get("/" + "/".join(parts[1:]))) is None:
        return None
    if method in methods:
        return perform(methods[method], sandbox, body)
    allow = ("Allow", ", ".join(sorted([*methods, "OPTIONS"])))
    if method == "OPTIONS":
        return SandboxAnswer(204, b"", headers=(allow,))
    return refuse(405, allow)


def perform(act: Callable[[Sandbox, bytes], Any], sandbox: Sandbox, body: bytes) -> SandboxAnswer:
    """Answer with the JSON of an endpoint's result, or with the problem that it raised."""
    try:
        return SandboxAnswer(200, msgspec.json.encode(act(sandbox, body)))
    except SandboxError as error:
        return _problem(400, title="The sandbox cannot do that", code="sandbox_mistake", detail=str(error))


def refuse(status: int, *headers: tuple[str, str]) -> SandboxAnswer:
    """Refuse a request as such. The text repeats nothing of it."""
    return _problem(
        status, title="Not here", code="refused", detail="GET /sandbox shows what there is", headers=headers
    )


def _problem(
    status: int, *, title: str, code: str, detail: str, headers: tuple[tuple[str, str], ...] = ()
) -> SandboxAnswer:
    body = msgspec.json.encode(SandboxProblem(title, status, code, detail))
    return SandboxAnswer(status, body, "application/problem+json", headers)


def _decode(body: bytes, kind: type[T]) -> T:
    """Return the content of a body. Raises `SandboxError` with the place and the kind of the mistake."""
    try:
        return msgspec.json.decode(body, type=kind)
    except UnicodeDecodeError:
        raise SandboxError("the body is not UTF-8") from None
    except msgspec.DecodeError as error:
        raise SandboxError(f"the body does not fit: {error}") from None
