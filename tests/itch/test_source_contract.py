"""The source's look-ups in both dialects: over a fake at the wire, and over a real loopback port."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from service.errors import GameNotAccessible, GatewayCredentialRefused
from service.itch.dialect import Dialect, Endpoint
from service.ownership import (
    AppJwt,
    AssertedUser,
    DownloadKey,
    Evidence,
    GameId,
    Identity,
    Player,
    PlayerId,
    Proof,
    ProofKind,
    Reason,
    Refusal,
    Subject,
    VerifiedEmail,
)
from service.sandbox import seed
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.state import Sandbox
from service.sandbox.world_content import SellerKeyState
from service.verification.interfaces import Lane
from tests.clock import START, FakeClock
from tests.itch.rig import Rig, StoreWire, build

GAME: Final = GameId(seed.GAME_ID)
ALL: Final = frozenset(ProofKind)
LATER: Final = datetime(2014, 2, 28, 0, 25, 9, tzinfo=UTC)


@pytest.fixture(params=Dialect)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    """Each of the two dialects."""
    spoken: Dialect = request.param
    return spoken


@pytest.fixture(params=["wire", "port"])
async def rig(
    request: pytest.FixtureRequest, dialect: Dialect, sandbox: Sandbox, clock: FakeClock
) -> AsyncIterator[Rig]:
    """A source that asks the sandbox, over a fake wire or a real port."""
    if request.param == "wire":
        rig = build(clock=clock, dialect=dialect, transport=StoreWire(sandbox).transport)
        yield rig
        await rig.requests.close()
        return
    async with SandboxServer(sandbox) as server:
        rig = build(clock=clock, dialect=dialect, base_url=server.base_url)
        yield rig
        await rig.requests.close()


def user(number: int) -> AssertedUser:
    """Return a player named by id."""
    return AssertedUser(PlayerId(number))


async def ask(rig: Rig, subject: Subject, accept: frozenset[ProofKind] = ALL, game_id: GameId = GAME) -> Evidence:
    """Look up a subject."""
    return await rig.source.look_up(game_id, subject, accept=accept, lane=Lane())


async def test_a_claimed_key(rig: Rig) -> None:
    """A claimed key proves ownership, and names its owner."""
    assert await ask(rig, DownloadKey(seed.OWNER_KEY)) == Evidence(
        observed_at=START,
        proofs=(Proof(ProofKind.DOWNLOAD_KEY, 124, LATER),),
        owner=Player(PlayerId(seed.OWNER_ID), "amos", "Amos"),
        sandbox=True,
    )


async def test_an_unclaimed_key(rig: Rig) -> None:
    """An unclaimed key proves ownership, and has no owner yet."""
    evidence = await ask(rig, DownloadKey(seed.UNCLAIMED_KEY))

    assert ([proof.id for proof in evidence.proofs], evidence.owner) == ([127], None)


@pytest.mark.parametrize("key", [seed.REVOKED_KEY, seed.OTHER_GAME_KEY, "no-such-key-anywhere", seed.OWNER_KEY.lower()])
async def test_a_key_that_does_not_work(rig: Rig, key: str) -> None:
    """Revoked, of another game, unknown, or almost right: the store says no."""
    assert await ask(rig, DownloadKey(key)) == Evidence(START, sandbox=True)


async def test_a_download_key_costs_one_request(rig: Rig, sandbox: Sandbox) -> None:
    """Purchases are of players; a key that does not exist has none."""
    await ask(rig, DownloadKey(seed.REVOKED_KEY))

    assert sandbox.journal.report().total == 1


@pytest.mark.parametrize(
    ("number", "kind", "proof_id"),
    [
        (seed.OWNER_ID, ProofKind.DOWNLOAD_KEY, 124),
        (seed.SHORT_KEY_OWNER_ID, ProofKind.DOWNLOAD_KEY, 125),
        (seed.BUYER_ID, ProofKind.PURCHASE, 11561),
        (seed.WEB_BUYER_ID, ProofKind.WEB_PURCHASE, 11563),
        (seed.LINKED_BUYER_ID, ProofKind.PURCHASE, 11565),
    ],
)
async def test_what_a_player_has(rig: Rig, number: int, kind: ProofKind, proof_id: int) -> None:
    """A key, or where there is none a purchase."""
    evidence = await ask(rig, user(number))

    assert evidence.proofs == (Proof(kind, proof_id, LATER),)


async def test_the_buyer_of_a_bundle(rig: Rig, dialect: Dialect) -> None:
    """Bundles are listed by the current dialect alone."""
    evidence = await ask(rig, user(seed.BUNDLE_BUYER_ID))

    expected = [ProofKind.BUNDLE_PURCHASE] if dialect is Dialect.CURRENT else []
    assert [proof.kind for proof in evidence.proofs] == expected


@pytest.mark.parametrize(
    "number", [seed.STRANGER_ID, seed.SUB_PRODUCT_BUYER_ID, seed.REFUNDED_ID, seed.OTHER_GAME_OWNER_ID, 2**53 - 1]
)
async def test_a_player_who_has_nothing(rig: Rig, sandbox: Sandbox, number: int) -> None:
    """The store was asked for keys and for purchases, and said no to both."""
    assert await ask(rig, user(number)) == Evidence(START, sandbox=True)
    counts = sandbox.journal.report().counts
    assert (counts["download_keys"], counts["purchases"]) == (1, 1)


@pytest.mark.parametrize(
    ("address", "kind", "proof_id"),
    [
        (seed.BUYER_EMAIL, ProofKind.PURCHASE, 11561),
        (seed.LINKED_BUYER_OTHER_EMAIL, ProofKind.PURCHASE, 11565),
        (seed.LINKED_BUYER_EMAIL, ProofKind.PURCHASE, 11565),
        (seed.UNCLAIMED_KEY_EMAIL, ProofKind.DOWNLOAD_KEY, 127),
    ],
)
async def test_what_an_address_has(rig: Rig, address: str, kind: ProofKind, proof_id: int) -> None:
    """A key that was sent there and not claimed, or a purchase; `+` is part of the address."""
    evidence = await ask(rig, VerifiedEmail(address))

    assert (evidence.proofs, evidence.owner) == ((Proof(kind, proof_id, LATER),), None)


@pytest.mark.parametrize("address", [seed.OWNER_EMAIL, seed.STRANGER_EMAIL, "lin games@example.com"])
async def test_an_address_that_has_nothing(rig: Rig, address: str) -> None:
    """A claimed key is not found by address."""
    assert (await ask(rig, VerifiedEmail(address))).proofs == ()


async def test_an_address_arrives_as_it_is(rig: Rig, sandbox: Sandbox) -> None:
    """Characters that are special in a query arrive unchanged."""
    await ask(rig, VerifiedEmail("a+b&user_id=1994%20#?=x@example.com"))

    assert [seen.query for seen in sandbox.journal.report().last] == [
        (("email", "a+b&user_id=1994%20#?=x@example.com"),)
    ] * 2


@pytest.mark.parametrize(
    ("number", "accept", "purchases_asked"),
    [
        (seed.STRANGER_ID, {ProofKind.DOWNLOAD_KEY}, 0),
        (seed.STRANGER_ID, set(), 0),
        (seed.STRANGER_ID, {ProofKind.DOWNLOAD_KEY, ProofKind.BUNDLE_PURCHASE}, 1),
        (seed.OWNER_ID, {ProofKind.DOWNLOAD_KEY, ProofKind.PURCHASE}, 0),
        (seed.OWNER_ID, {ProofKind.PURCHASE}, 1),
    ],
)
async def test_purchases_are_asked_for_only_where_they_count(
    rig: Rig, sandbox: Sandbox, number: int, accept: set[ProofKind], purchases_asked: int
) -> None:
    """The store is not asked for them if no kind of purchase is accepted, or an accepted key is there already."""
    await ask(rig, user(number), frozenset(accept))

    assert sandbox.journal.report().counts["purchases"] == purchases_asked


async def test_another_game_has_other_owners(rig: Rig) -> None:
    """Each game has owners of its own."""
    assert not (await ask(rig, user(seed.OWNER_ID), game_id=GameId(seed.OTHER_GAME_ID))).proofs
    assert (await ask(rig, user(seed.OTHER_GAME_OWNER_ID), game_id=GameId(seed.OTHER_GAME_ID))).proofs


@pytest.mark.parametrize("game_id", [seed.FOREIGN_GAME_ID, 999_999])
async def test_a_game_that_the_key_cannot_see(rig: Rig, game_id: int) -> None:
    """A game of another seller, or one that does not exist, raises `GameNotAccessible`."""
    with pytest.raises(GameNotAccessible):
        await ask(rig, user(seed.OWNER_ID), game_id=GameId(game_id))


@pytest.mark.parametrize("state", [SellerKeyState(revoked=True), SellerKeyState(scopes=("profile",))])
async def test_a_seller_key_that_may_not(rig: Rig, sandbox: Sandbox, state: SellerKeyState) -> None:
    """A seller key that is revoked or lacks its scope is our fault: no owner loses anything by it."""
    sandbox.world.seller_keys[seed.SELLER_KEY] = state

    with pytest.raises(GatewayCredentialRefused):
        await ask(rig, DownloadKey(seed.OWNER_KEY))

    assert rig.observer.credentials == [False]
    assert rig.observer.results == [(Endpoint.DOWNLOAD_KEYS, "credential")]


async def test_a_dead_seller_key_is_left_alone_for_a_while(rig: Rig, sandbox: Sandbox, clock: FakeClock) -> None:
    """The store is asked again after five seconds, and then it may be well."""
    sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState(revoked=True)
    for _ in range(3):
        with pytest.raises(GatewayCredentialRefused):
            await ask(rig, DownloadKey(seed.OWNER_KEY))
    assert sandbox.journal.report().total == 1

    sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState()
    clock.jump(timedelta(seconds=5))

    assert (await ask(rig, DownloadKey(seed.OWNER_KEY))).proofs
    assert rig.observer.credentials == [False, True]


async def test_evidence_is_as_old_as_the_start_of_the_look_up(rig: Rig, clock: FakeClock) -> None:
    """The facts are at least as recent as the start of the look-up."""
    clock.jump(timedelta(minutes=1))

    assert (await ask(rig, user(seed.STRANGER_ID))).observed_at == START + timedelta(minutes=1)


async def test_whose_a_jwt_is(rig: Rig, sandbox: Sandbox) -> None:
    """The store says whose the JWT is; the JWT itself says when it ends."""
    minted = sandbox.mint_jwt(seed.OWNER_ID)

    identity = await rig.source.identify(AppJwt(minted.jwt), GameId(3), lane=Lane())

    assert identity == Identity(
        observed_at=START,
        player=Player(PlayerId(seed.OWNER_ID), "amos", "Amos"),
        press=False,
        expires_at=minted.expires_at,
        only_game=None,
        sandbox=True,
    )


async def test_a_press_account_is_known_by_its_jwt(rig: Rig, sandbox: Sandbox) -> None:
    """The profile of a press account says so."""
    minted = sandbox.mint_jwt(seed.PRESS_ID)

    identity = await rig.source.identify(AppJwt(minted.jwt), GameId(3), lane=Lane())

    assert isinstance(identity, Identity)
    assert identity.press


async def test_a_jwt_whose_signature_is_wrong(rig: Rig, sandbox: Sandbox) -> None:
    """A forged JWT is refused, and the seller's key stays accepted."""
    minted = sandbox.mint_jwt(seed.OWNER_ID)
    head, claims, _ = minted.jwt.split(".")

    refusal = await rig.source.identify(AppJwt(f"{head}.{claims}.c2lnbmF0dXJl"), GameId(3), lane=Lane())

    assert refusal == Refusal(START, Reason.REFUSED_JWT, sandbox=True)
    assert rig.observer.credentials == []
    assert rig.observer.results == [(Endpoint.PROFILE, "refused")]


async def test_an_expired_jwt(rig: Rig, sandbox: Sandbox) -> None:
    """The store refuses an expired JWT with an unknown string; the JWT's own expiry explains it."""
    minted = sandbox.mint_jwt(seed.OWNER_ID, lifetime=timedelta(seconds=-1))

    refusal = await rig.source.identify(AppJwt(minted.jwt), GameId(3), lane=Lane())

    assert refusal == Refusal(START, Reason.EXPIRED_JWT, sandbox=True)


async def test_whose_the_sellers_key_is(rig: Rig) -> None:
    """The seller's account is known without another request until it is forgotten."""
    before = rig.source.known_seller_account()

    identity = await rig.source.identify_seller()

    assert before is None
    assert identity.player == Player(PlayerId(seed.SELLER_ID), "leafo", "Leaf")
    assert rig.source.known_seller_account() == seed.SELLER_ID
    rig.source.forget_seller()
    assert rig.source.known_seller_account() is None


async def test_the_sellers_games(rig: Rig) -> None:
    """The list holds only the games that the key can see."""
    assert [(game.id, game.slug) for game in await rig.source.games()] == [(3, "x-moon"), (4, "sun-garden")]


async def test_the_scopes_of_the_sellers_key(rig: Rig, sandbox: Sandbox) -> None:
    """As the store lists them; an empty list is an empty object."""
    sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState(scopes=("profile:me", "game:view"))
    scopes = await rig.source.scopes()
    sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState(scopes=())
    none = await rig.source.scopes()

    assert (scopes, none) == (["profile:me", "game:view"], [])
